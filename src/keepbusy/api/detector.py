"""Detections in one picture at a time."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keepbusy.api.load import check_process, load
from keepbusy.device.slots import Slot
from keepbusy.flow import stages
from keepbusy.flow.run import give_up
from keepbusy.sources.picture import read_image
from keepbusy.sources.pixels import is_odd_array, to_image
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame, Image
from keepbusy.values.result import Result, Timings

if TYPE_CHECKING:
    from typing import Unpack

    from PIL.Image import Image as PillowImage

    from keepbusy.config import Options


class Detector:
    """Detections in one picture at a time. Thread-safe: calls queue up.

    ```python
    detections = kb.Detector("yolov5n.xml")("bus.jpg")
    ```

    Args:
        model: OpenVINO IR (`.xml`) or ONNX file of a YOLO model.
        device: OpenVINO's device name.
        names: Class names, or the file that has them; None takes the model's own.
        **options: Any attribute of `DetectConfig` and `DeviceConfig`, by its name.

    Raises:
        ModelError, DeviceError, ConfigError: As for `Pipeline`.
    """

    def __init__(
        self,
        model: str | Path,
        device: str = "CPU",
        *,
        names: tuple[str, ...] | str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._compiled, self._detect, self._config = load(model, names, {"device": device, "mode": "sync", **options})
        self._device_name = device
        self._process_id = os.getpid()
        self._lock = threading.Lock()
        self._slot: Slot | None = None
        self.names = self._compiled.model.names

    def __call__(self, image: Image | str | Path | PillowImage) -> Detections:
        """Detect.

        Args:
            image: uint8 (H, W, 3), BGR; (H, W), grey; (H, W, 4), BGRA; a picture of Pillow; or the path of a picture.

        Raises:
            ConfigError: It is none of these.
            FrameError: The picture cannot be read or is not of that form, or its inference failed.
            DeviceTimeoutError: The device does not answer.
        """
        check_process(self._process_id)
        if isinstance(image, (str, Path)):
            source, picture = str(image), read_image(Path(image), max_pixels=self._config.max_pixels)
        elif isinstance(image, np.ndarray) and image.ndim > 1 and is_odd_array(image):
            # It fails as frames do, in the stage that lays it out.
            source, picture = "image", image
        else:
            source, picture = "image", to_image(image)
        frame = Frame(picture, 0, 0.0, 0, source)
        with self._lock:
            slot = self._slot if self._slot is not None and not self._slot.is_lost else self._plan(picture)
            try:
                result = self._infer(slot, frame)
            finally:
                if slot.frame is not None:
                    give_up(slot)
        if result.error is not None:
            raise result.error
        return result.detections

    @property
    def input_hw(self) -> tuple[int, int]:
        """The input's (height, width), pixels; the model's own until the first picture."""
        return self._compiled.input_hw

    def _infer(self, slot: Slot, frame: Frame) -> Result:
        error = stages.start(slot, frame, Timings(), _no_clock)
        if error is None:
            error = stages.wait(slot, self._config.device_timeout_s, self._device_name, _no_clock)
        if error is not None:
            raise error
        result = stages.postprocess(slot, self._compiled.postprocessor(self._detect), _no_clock)
        stages.release(slot)
        return result

    def _plan(self, image: Image) -> Slot:
        height, width = image.shape[:2] if image.ndim >= 2 else (0, 0)
        self._compiled.plan({(height, width): 1} if height and width else {})
        self._slot = self._compiled.create_slots()[0]
        return self._slot


def _no_clock() -> int:
    return 0
