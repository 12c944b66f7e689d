"""The model alone: OpenVINO's own `benchmark_app`, which stands beside the interpreter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.peers.worker import GRACE_S, ContenderError

TOOL = Path(sys.executable).parent / ("benchmark_app.exe" if os.name == "nt" else "benchmark_app")


def run_alone(model: Path, api: str, device: str, seconds: float) -> dict[str, float]:
    """Frames a second and median latency (ms) of a model alone: no frames read, no boxes made.

    Args:
        model: The model's file.
        api: `sync` (latency hint) or `async` (throughput hint).
        device: OpenVINO's device name.
        seconds: How long; the tool takes whole seconds, at least one.

    Raises:
        ContenderError: The tool is missing or failed.
    """
    hint = "throughput" if api == "async" else "latency"
    command = [str(TOOL), "-m", str(model), "-d", device, "-api", api, "-hint", hint]
    command += ["-t", str(max(1, round(seconds)))]
    try:
        # A session of its own, as the workers have: Ctrl-C is for the comparison.
        ended = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=seconds + 5 * GRACE_S,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ContenderError(f"benchmark_app: {error}") from error
    return parse(ended.stdout + ended.stderr)


def parse(text: str) -> dict[str, float]:
    """Throughput and median latency from the tool's report.

    Raises:
        ContenderError: There is no throughput in it.
    """
    fps = re.search(r"Throughput:\s+([\d.]+) FPS", text)
    if fps is None:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        raise ContenderError(f"benchmark_app: {lines[-1] if lines else 'says nothing'}")
    found = {"fps": float(fps[1])}
    latency = re.search(r"Median:\s+([\d.]+) ms", text)
    if latency is not None:
        found["latency_ms_p50"] = float(latency[1])
    return found
