"""Whether live streams leave the device time for one frame after the other: results are the freshest then."""

from __future__ import annotations

import logging
import math

from keepbusy.cache.notes import Notebook
from keepbusy.config import Hint, Mode
from keepbusy.device.compiler import Compiler
from keepbusy.device.sharing import inference_ms
from keepbusy.models.shapes import SizeHW
from keepbusy.values.forms import HeadStrategy

log = logging.getLogger("keepbusy")

LATENCY_SHARE = 0.7
"""Of what a device does one by one may be needed at most. The rest is for frames that come unevenly, and, where the
device is the CPU, for decoding and for the other stages."""


MAX_MEASURED = 5
"""How often it is measured what an inference takes, where that seems to be too long."""


def live_hint(
    compiler: Compiler, mode: Mode, strategy: HeadStrategy, input_hw: SizeHW, live_fps: float | None
) -> Hint | None:
    """The hint with which live frames become the freshest results, at the rate at which they come.

    What an inference takes is measured for a model, device and shape, and remembered.

    Args:
        compiler: What makes the graphs.
        mode: In sync mode there is nothing to choose.
        strategy: How the head is computed.
        input_hw: The input of most frames, (height, width), pixels.
        live_fps: Frames per second of all streams together; None where they are not all live, or it is not known.

    Returns:
        `latency`, or None for what the configuration says.
    """
    config = compiler.config
    if live_fps is None or mode == "sync" or config.hint is not None or config.nstreams is not None:
        return None
    took_ms = _one_by_one_ms(compiler, mode, strategy, input_hw, LATENCY_SHARE * 1000 / max(live_fps, 0.001))
    possible_fps = 1000 / max(took_ms, 0.001)
    is_enough = live_fps <= LATENCY_SHARE * possible_fps
    chosen = "latency, for the freshest results" if is_enough else "throughput"
    text = "live: %.4g frames/s are needed, and %.4g are possible one by one: `hint` is %s"
    log.info(text, live_fps, possible_fps, chosen, extra={"once": True})
    return "latency" if is_enough else None


def _one_by_one_ms(compiler: Compiler, mode: Mode, strategy: HeadStrategy, input_hw: SizeHW, enough_ms: float) -> float:
    """What an inference takes, milliseconds: the shortest of what was measured.

    Other work of the machine makes it longer: what is too long for the streams is measured again in later runs.
    """
    key = {"what": "one by one", "strategy": strategy, **compiler.key(input_hw)}
    known = Notebook().read(key) or {}
    shortest_ms, num_measured = float(known.get("inference_ms", math.inf)), int(known.get("num_measured", 0))
    if num_measured == 0 or (shortest_ms > enough_ms and num_measured < MAX_MEASURED):
        device = compiler.compile(compiler.prepare(strategy, input_hw), mode, hint="latency")
        shortest_ms = min(shortest_ms, inference_ms(device))
        Notebook().write(key, {"inference_ms": shortest_ms, "num_measured": num_measured + 1})
    return shortest_ms
