"""The model on a device, as the server's engine uses it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from keepbusy.api.classes import class_ids, thresholds
from keepbusy.api.pipeline import Pipeline
from keepbusy.config import DetectConfig
from keepbusy.embedded import embedded_model
from keepbusy.flow.run import Run
from keepbusy.serve.configuration.settings import ServeSettings


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What really runs where.

    Attributes:
        wanted: The device that the configuration names.
        device: The device that the model was compiled for.
        full_name: What the device that computes calls itself.
        precision: Number type that it computes in; empty where it does not say.
        model: The model's name.
        head: How the detection head is computed.
        input_wh: The input's width and height, pixels.
        num_slots: How many frames can be in flight.
        hint: What it was compiled for, `latency` or `throughput`; empty where the device does not say.
        is_hint_given: Whether the configuration says so.
    """

    wanted: str
    device: str
    full_name: str = ""
    precision: str = ""
    model: str = ""
    head: str = ""
    input_wh: tuple[int, int] = (0, 0)
    num_slots: int = 0
    hint: str = ""
    is_hint_given: bool = False

    @property
    def is_fallback(self) -> bool:
        """Whether another device stands in for the one that is wanted."""
        return self.device != self.wanted


class Backend(Protocol):
    """A model on a device."""

    @property
    def names(self) -> tuple[str, ...]:
        """The class names."""
        ...

    def start(self, live_fps: float | None = None) -> Run:
        """Begin a run without streams; compiles the model where that is not done.

        Args:
            live_fps: Frames per second of all streams to come; None where they are not all live: the device is used
                as fully as can be then.

        Raises:
            KeepbusyError: The model does not compile, or the device fails.
        """
        ...

    def facts(self) -> DeviceFacts:
        """What runs where; of a model that is compiled."""
        ...

    def close(self) -> None:
        """Free the device, as far as it lets itself be freed."""
        ...


MakeBackend = Callable[[ServeSettings, str], Backend]
"""Settings and a device's name → the model, not compiled yet."""


class PipelineBackend:
    """A model of OpenVINO.

    Args:
        settings: The configuration.
        device: The device, which need not be the one that it names.

    Raises:
        ModelError: The model cannot be read.
        DeviceError: There is no such device.
        ConfigError: An option has a value that it cannot have.
    """

    def __init__(self, settings: ServeSettings, device: str) -> None:
        self._wanted, self._device = settings.device, device
        model = embedded_model() if settings.model is None else settings.model
        options: dict[str, Any] = settings.engine_options
        self._is_hint_given = settings.hint is not None or settings.nstreams is not None
        self._pipeline = Pipeline(model, device, names=settings.names, on_error="skip", **options)
        self.names = self._pipeline.names

    def start(self, live_fps: float | None = None) -> Run:
        return self._pipeline.start(live_fps=live_fps)

    def facts(self) -> DeviceFacts:
        pipeline = self._pipeline
        said = pipeline.device.describe()
        height, width = pipeline.input_hw
        return DeviceFacts(
            wanted=self._wanted,
            device=self._device,
            full_name=said.get("device_name", ""),
            precision=said.get("precision", ""),
            model=pipeline.model.path.stem,
            head=pipeline.head,
            input_wh=(width, height),
            num_slots=pipeline.num_slots,
            hint=said.get("hint", "").lower(),
            is_hint_given=self._is_hint_given,
        )

    def close(self) -> None:
        self._pipeline.close()


def detect_config(given: dict[str, Any], names: tuple[str, ...]) -> DetectConfig:
    """Thresholds as people write them → those of a stream.

    Raises:
        ConfigError: The model has no such class.
    """
    options = dict(given)
    classes = class_ids(options.pop("classes", None), names)
    by_class = options.pop("class_conf", None)
    if by_class is not None:
        # Keys of a file are texts: ids, too, unless a class is called so.
        by_class = {int(key) if key.isdecimal() and key not in names else key: conf for key, conf in by_class.items()}
    region = options.pop("region", None)
    config = DetectConfig(**options, classes=classes, region=None if region is None else tuple(map(tuple, region)))
    return dataclasses.replace(config, class_conf=thresholds(by_class, names))
