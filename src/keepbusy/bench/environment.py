"""Where a measurement was made: what must be the same for two of them to be compared."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keepbusy.files.paths import beside
from keepbusy.texts import short_name
from keepbusy.threads.cores import affinity_cores, cgroup_quota_cores, usable_cores
from keepbusy.values.forms import QuantizedUse

COMPARABLE = {
    "cpu_model": "CPU",
    "usable_cores": "usable cores",
    "device": "device",
    "device_name": "device's full name",
    "model_sha256": "model",
    "precision": "precision",
    "input_hw": "input size",
    "sources": "sources",
}
"""What must agree for throughputs to be comparable: key → name in messages."""


def describe(
    model: Path,
    sources: Sequence[str],
    *,
    device: str,
    head: str,
    quantized: QuantizedUse | None,
    decoding: Sequence[str],
    input_hw: tuple[int, int],
    exported_hw: tuple[int, int],
    nireq: int,
    properties: Mapping[str, str],
) -> dict[str, Any]:
    """The environment of a measurement, ready for JSON.

    Args:
        model: The model's file.
        sources: As the user named them; only the last part of a path is kept.
        device: OpenVINO's device name.
        head: How the detection head is computed.
        quantized: How an INT8 model is computed; None where the model is none.
        decoding: What makes decoding cheaper than it is by default: `fast_decode`, `reduce_jpegs`, `vaapi`, `qsv`.
        input_hw: The model input's (height, width) as run, pixels.
        exported_hw: The same as exported.
        nireq: Slots of the async pipeline.
        properties: What the compiled model says of itself: hint, streams, precision, ...
    """
    import openvino

    from keepbusy.version import __version__

    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "cpu_model": cpu_model(),
        "num_cores": os.cpu_count() or 1,
        "affinity_cores": affinity_cores(),
        "cgroup_quota_cores": cgroup_quota_cores(),
        "usable_cores": usable_cores(),
        "load_average": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "keepbusy": __version__,
        "openvino": openvino.__version__,
        "device": device,
        "device_name": properties.get("device_name", ""),
        "hint": properties.get("hint", ""),
        "streams": properties.get("streams", ""),
        "precision": properties.get("precision", ""),
        "threads": properties.get("threads", ""),
        "optimal_requests": properties.get("optimal_requests", ""),
        "requests": nireq,
        "model": model.name,
        "model_sha256": _digest(model),
        "head": head,
        "quantized": quantized,
        "decoding": list(decoding),
        "input_hw": list(input_hw),
        "exported_hw": list(exported_hw),
        "sources": [short_name(source) for source in sources],
    }


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """What makes two environments incomparable: one line for each, empty where nothing does."""
    lines: list[str] = []
    for key, name in COMPARABLE.items():
        a, b = here.get(key), there.get(key)
        if a != b:
            if key == "model_sha256":
                a, b = (f"{env.get('model')} ({str(env.get(key))[:8]})" for env in (here, there))
            lines.append(f"{name}: {_text(a)} here, {_text(b)} there")
    return lines


def cpu_model() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _digest(model: Path) -> str:
    digest = hashlib.sha256()
    for path in (model, beside(model, f"{model.stem}.bin")):
        if os.path.isfile(path):
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def _text(value: object) -> str:
    if isinstance(value, list):
        return "x".join(map(str, value)) if all(isinstance(item, int) for item in value) else ", ".join(map(str, value))
    return str(value) if value not in (None, "") else "unknown"
