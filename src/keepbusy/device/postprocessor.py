"""What a run calls for each frame."""

from __future__ import annotations

from keepbusy.config import DetectConfig
from keepbusy.device.compiled import CompiledModel
from keepbusy.device.engine import Seat
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import Outputs
from keepbusy.values.detections import Detections


class Postprocessor:
    """What a run calls for each frame: outputs → detections, with the thresholds of the run.

    Args:
        compiled: The model.
        config: Thresholds, classes and limits.
    """

    def __init__(self, compiled: CompiledModel, config: DetectConfig) -> None:
        self._compiled = compiled
        self._config = config

    def __call__(self, outputs: Outputs, letterbox: Letterbox) -> Detections:
        return self._compiled.postprocess(outputs, letterbox, self._config)

    def redo(self, seat: Seat, letterbox: Letterbox) -> Detections:
        """See `CompiledModel.redo`."""
        return self._compiled.redo(seat, letterbox, self._config)
