"""Whether a model's boxes and confidences can be what they are read as."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keepbusy.errors import ModelError
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.values.detections import Detections

AS_SHARES = frozenset({"yolov5", "yolov8", "yolov10"})
"""Families whose exporters give boxes as shares of the input where they go by way of TensorFlow. Others have their own
scale, or no such export."""


ROUNDING = 0.01
"""So much beyond 0 and 1 can a confidence be: INT8 and 16 bits round."""


def check_confidences(found: Detections, model: Path) -> None:
    """See that confidences and probabilities are shares of 1: other numbers were read as them otherwise.

    Args:
        found: A frame's detections.
        model: The model's file, for the message.

    Raises:
        ModelError: One is outside of 0 to 1.
    """
    for values in (found.confidence, found.probabilities):
        if values is None or not len(values):
            continue
        odd = float(values.max()) if float(values.max()) > 1 + ROUNDING else float(values.min())
        if not -ROUNDING <= odd <= 1 + ROUNDING:
            raise ModelError(
                f"{model}: a confidence is {odd:.6g}, and 0 to 1 is expected: its outputs are something else",
                hint="say what they are with `family` and `task`, or leave both out to let keepbusy find out",
            )


def check_pixels(found: Detections, letterbox: Letterbox, model: Path) -> None:
    """See that boxes are in pixels of the input, not shares of it, as exports by way of TensorFlow give them.

    Shares are at most 1: read as pixels, no box of a frame is larger than one pixel of the input, and no network finds
    such things only.

    Args:
        found: A frame's detections, at least one.
        letterbox: How the frame lay in the input.
        model: The model's file, for the message.

    Raises:
        ModelError: All boxes are that small.
    """
    sides_px = (found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]) * np.asarray(letterbox.scale_xy, np.float32)
    if float(sides_px.max()) <= 1.0:
        raise ModelError(
            f"{model}: its boxes are shares of the input (0 to 1), and pixels are expected",
            hint="export the model again from its original weights, to OpenVINO or ONNX directly",
        )
