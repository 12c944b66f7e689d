"""How a `Detector` and a `Pipeline` show themselves, on one line."""

from __future__ import annotations

from typing import Protocol

from keepbusy.models.load import Model
from keepbusy.values.forms import HeadStrategy


class Compiled(Protocol):
    """What is shown."""

    model: Model

    @property
    def head(self) -> HeadStrategy:
        """How the head is computed."""
        ...

    @property
    def input_hw(self) -> tuple[int, int]:
        """(height, width), pixels."""
        ...

    @property
    def num_slots(self) -> int:
        """How many frames can be in flight; 0 before the model has been compiled."""
        ...


def told(compiled: Compiled, device_name: str, state: str) -> str:
    """`Detector(yolov5n.xml on CPU, 640x384, head tail, idle, 4 requests)`; sizes are width x height.

    Args:
        compiled: A `Detector` or `Pipeline`.
        device_name: OpenVINO's name of its device.
        state: What it does now.
    """
    height, width = compiled.input_hw
    num_slots = compiled.num_slots
    # Both are chosen when the model is compiled.
    known = f", head {compiled.head}" if num_slots else ""
    requests = f", {num_slots} request{'' if num_slots == 1 else 's'}" if num_slots else ""
    kind = type(compiled).__name__
    return f"{kind}({compiled.model.path.name} on {device_name}, input {width}x{height}{known}, {state}{requests})"
