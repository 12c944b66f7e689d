"""One model and one device: the model's graphs put together, compiled, and named for the notebook."""

from __future__ import annotations

import dataclasses
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keepbusy.cache.compiled import compiled_folder
from keepbusy.cache.fingerprint import model_fingerprint
from keepbusy.config import DetectConfig, DeviceConfig, Hint, Mode
from keepbusy.device.engine import OpenVINODevice
from keepbusy.device.names import full_device_name
from keepbusy.models.head import Head
from keepbusy.models.load import Model
from keepbusy.models.plain import without_rounding
from keepbusy.models.prepare import Prepared, prepare
from keepbusy.models.quantized import why_quantized
from keepbusy.models.shapes import SizeHW
from keepbusy.values.forms import HeadStrategy

if TYPE_CHECKING:
    import openvino as ov

LOW_CONF = 0.05
"""Below this threshold, as in evaluations, a crowd of cells passes: the tail then decodes more of them."""

MANY_CELLS = 4096


class Compiler:
    """Puts a model's graphs together and compiles them for one device. Thread-safe.

    Args:
        model: As loaded.
        config: The device and its options.
        detect: Thresholds: how many cells the tail decodes depends on them.
        head: The model's head, if it is one that can be replaced.
        core: The OpenVINO core.

    Attributes:
        is_quantized: Whether the model is INT8.
        keeps_rounding: Whether an INT8 model runs with its roundings; False computes it in floating point.
    """

    def __init__(
        self, model: Model, config: DeviceConfig, detect: DetectConfig, head: Head | None, core: ov.Core
    ) -> None:
        self.model = model
        self.config = config
        self.detect = detect
        self.head = head
        self.core = core
        self.keeps_rounding = True
        self._lock = threading.Lock()
        self._plain: Model | None = None

    @cached_property
    def is_quantized(self) -> bool:
        return bool(why_quantized(self.model.graph))

    def prepare(self, strategy: HeadStrategy, input_hw: SizeHW, *, keeps_rounding: bool | None = None) -> Prepared:
        """A graph ready to compile.

        Args:
            strategy: How its head is computed.
            input_hw: Its input's (height, width), pixels.
            keeps_rounding: Whether an INT8 model keeps its roundings; None for what is chosen.

        Raises:
            ConfigError: The graph cannot take this shape.
            ModelError: OpenVINO refuses it.
        """
        max_cells = MANY_CELLS if self.detect.conf < LOW_CONF else None
        with self._lock:  # All of them are made from one graph.
            keeps = self.keeps_rounding if keeps_rounding is None else keeps_rounding
            model = self.model if keeps else self._without_rounding()
            return prepare(
                model,
                head=self.head,
                strategy=strategy,
                input_hw=input_hw,
                max_cells=max_cells,
                is_for_cpu=self.config.device == "CPU",
            )

    def _without_rounding(self) -> Model:
        if self._plain is None:
            self._plain = dataclasses.replace(self.model, graph=without_rounding(self.model.graph))
        return self._plain

    def compile(
        self, graph: Prepared, mode: Mode, *, threads: int | None = None, hint: Hint | None = None
    ) -> OpenVINODevice:
        """Compile a graph, or find it in the cache.

        Args:
            graph: What `prepare` has made.
            mode: Chooses the performance hint.
            threads: Threads for inference; None for what is configured.
            hint: The performance hint; None for what is configured.

        Raises:
            ModelError: It does not compile.
        """
        config = self.device_config()
        if threads is not None:
            config = dataclasses.replace(config, threads=threads)
        if hint is not None:
            config = dataclasses.replace(config, hint=hint)
        return OpenVINODevice(graph, config, mode, self.core)

    def device_config(self) -> DeviceConfig:
        """The device's options with the folder that compiled models are kept in."""
        config = self.config
        if config.cache_dir is None:
            import openvino

            config = dataclasses.replace(config, cache_dir=compiled_folder(openvino.__version__) or False)
        return config

    def key(self, input_hw: SizeHW) -> dict[str, Any]:
        """All that a measurement in one input shape depends on: the key of its note."""
        import openvino

        from keepbusy.version import __version__

        config = self.config
        return {
            "model": model_fingerprint(self.model.path),
            "device": config.device,
            "device_name": full_device_name(config.device, self.core),
            "precision": config.precision,
            "keeps_rounding": self.keeps_rounding,
            "hint": config.hint,
            "nstreams": config.nstreams,
            "threads": config.threads,
            "input_hw": list(input_hw),
            "is_low_conf": self.detect.conf < LOW_CONF,
            "multi_label": self.detect.multi_label,
            "openvino": openvino.__version__,
            "keepbusy": __version__,
        }
