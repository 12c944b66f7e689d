"""A wall of four synthetic streets, on the model that the package carries: nothing is downloaded or configured."""

from __future__ import annotations

from keepbusy.serve.configuration.load import check_settings
from keepbusy.serve.configuration.settings import ServeSettings

STREETS = {
    "Station Road": "synth:street?seed=1&size=960x540&fps=6&realtime",
    "Market Square": "synth:street?seed=7&size=960x540&fps=6&realtime",
    "School Lane": "synth:street?seed=12&size=960x540&fps=6&realtime",
    "Harbour Street": "synth:street?seed=23&size=960x540&fps=6&realtime",
}


def demo_settings() -> ServeSettings:
    """Four streets at 6 frames/s."""
    return check_settings({"streams": [{"name": name, "source": source} for name, source in STREETS.items()]})
