"""What can be changed about a model on a machine: what advice may name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keepbusy.models.load import Model

CELL_PX = 32
"""Inputs are multiples of this."""

SMALLEST_PX = 160
"""Below this side hardly any detector finds anything."""

SMALLER = 0.75
"""The next smaller input that is named: this share of each side, which is about half of the work."""

CORES_PER_PREPROCESSOR = 8
"""As many cores have one preprocessing thread by default."""

_REDUCIBLE = frozenset({".jpg", ".jpeg"})
_SMOOTHED = frozenset({".mp4", ".mov", ".mkv", ".m4v", ".ts"})
"""Endings of files that mostly hold H.264 or HEVC, which have block edges to smooth."""


@dataclass(frozen=True, slots=True)
class Possible:
    """What can be tried.

    Attributes:
        smaller_imgsz: The next smaller input that the model takes, as `--imgsz` has it; "" where it takes no other.
        other_devices: Devices of this machine beside the one in use and the CPU.
        can_be_int8: The model is not quantized yet.
        higher_conf: A higher confidence than the one in use; "" where it is high.
        quicker_reading: The switch that makes reading cheaper; "" where none fits the sources.
        more_preprocess_threads: How many preprocessing threads there is room for; 0 where none is free.
    """

    smaller_imgsz: str = "480"
    other_devices: tuple[str, ...] = ()
    can_be_int8: bool = True
    higher_conf: str = "0.4"
    quicker_reading: str = ""
    more_preprocess_threads: int = 0


EVERYTHING = Possible()
"""Where nothing is known of model and machine: no other device is named."""


def possible(
    model: Model,
    device: str,
    available: Sequence[str],
    sources: Sequence[str],
    *,
    conf: float,
    num_cores: float,
    decoding: Sequence[str] = (),
) -> Possible:
    """What can be tried with a model here.

    Args:
        model: As loaded.
        device: The device in use, OpenVINO's name.
        available: All devices of this machine.
        sources: What is read.
        conf: The lowest confidence in use.
        num_cores: Cores that this process may use.
        decoding: What makes decoding cheaper already: `fast_decode`, `reduce_jpegs`, `vaapi`, `qsv`.
    """
    from keepbusy.models.quantized import why_quantized

    used = device.upper().split(":")[0].split(".")[0]
    others = [name for name in available if name.split(".")[0] != used and name.split(".")[0] != "CPU"]
    return Possible(
        smaller_imgsz=_smaller(model),
        other_devices=tuple(others),
        can_be_int8=not why_quantized(model.graph),
        higher_conf="0.4" if conf < 0.35 else "",
        quicker_reading=_quicker_reading(sources, decoding),
        more_preprocess_threads=max(1, int(num_cores // CORES_PER_PREPROCESSOR)) + 1 if num_cores >= 4 else 0,
    )


def _smaller(model: Model) -> str:
    from keepbusy.models.head import fixed_by, look_for_head

    height, width = (max(CELL_PX, round(side * SMALLER / CELL_PX) * CELL_PX) for side in model.input_hw)
    if min(height, width) < SMALLEST_PX or (height, width) == model.input_hw:
        return ""
    if model.input.is_fixed:
        if model.output.is_rewritten:
            return ""
        head = look_for_head(model.graph, model.output, model.input_hw)
        if isinstance(head, str) or fixed_by(model.graph, head, model.input_hw, model.input.shape):
            return ""
    return str(height) if height == width else f"{height}x{width}"


def _quicker_reading(sources: Sequence[str], decoding: Sequence[str]) -> str:
    endings = {PurePath(source).suffix.lower() for source in sources}
    for name, flag, fitting in (
        ("reduce_jpegs", "--reduce-jpegs", _REDUCIBLE),
        ("fast_decode", "--fast-decode", _SMOOTHED),
    ):
        if endings and endings <= fitting and name not in decoding:
            return flag
    return ""
