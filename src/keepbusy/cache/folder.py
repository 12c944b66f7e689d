"""Where the cache is."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "KEEPBUSY_CACHE"


def cache_folder() -> Path:
    """`KEEPBUSY_CACHE`, or the user's cache folder; it need not exist."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("keepbusy", appauthor=False)
