"""The exact fallback: a frame with more candidates than the tail decodes is inferred again with the host head."""

from __future__ import annotations

import logging
import threading

from keepbusy.config import DetectConfig
from keepbusy.device.compiler import Compiler
from keepbusy.device.engine import infer_once
from keepbusy.device.slots import Seat, create_slots
from keepbusy.errors import KeepbusyError, ModelError, first_line
from keepbusy.models.shapes import SizeHW
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import to_detections
from keepbusy.values.detections import Detections
from keepbusy.values.forms import OutputForm

log = logging.getLogger("keepbusy")

MANY_REDONE = 32
"""After so many frames that were inferred twice, it is said that another head would be faster."""


class Fallback:
    """A second graph in each input shape, with no limit of candidates, for frames that have too many. Thread-safe.

    A frame that needs a graph which is not ready waits for it, and that is logged.

    Args:
        compiler: What makes the graphs.
    """

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._ready: dict[tuple[SizeHW, bool], tuple[Seat, OutputForm]] = {}
        self._num_redone = 0
        # Two locks: frames of a shape that is ready do not wait for another one to be compiled.
        self._making = threading.Lock()
        self._redoing = threading.Lock()

    def is_ready(self, input_hw: SizeHW) -> bool:
        """Whether `redo` need not compile for an input shape."""
        return self._key(input_hw) in self._ready

    def make_ready(self, input_hw: SizeHW) -> None:
        """Compile for an input shape, which takes seconds where it is not in the cache; does nothing where it is ready.

        Args:
            input_hw: (height, width), pixels.

        Raises:
            ModelError: The graph does not compile.
            DeviceError: Its first inference fails.
        """
        key = self._key(input_hw)
        if key in self._ready:
            return
        with self._making:
            if key not in self._ready:
                graph = self._compiler.prepare("host", input_hw)
                device = self._compiler.compile(graph, "sync")
                self._ready[key] = (create_slots(device, 1)[0].seat, graph.output)

    def try_to_make_ready(self, input_hw: SizeHW) -> None:
        """`make_ready` for a time when no frame needs it: a failure is logged, and left to the first frame that does.

        Args:
            input_hw: (height, width), pixels.
        """
        try:
            self.make_ready(input_hw)
        except KeepbusyError as error:
            log.warning("the second graph, for frames with many candidates: %s", first_line(error))

    def redo(self, seat: Seat, letterbox: Letterbox, config: DetectConfig) -> Detections:
        """Infer a finished frame again, with every cell decoded, from what is still in its input.

        Args:
            seat: The frame's request, finished and not started again.
            letterbox: How the frame lies in the input.
            config: Thresholds, classes and limits.

        Raises:
            ModelError: There is no second graph: the model's file is a rewritten one.
        """
        model = self._compiler.model
        if model.output.is_tail:
            raise ModelError(
                "more candidates than this rewritten graph decodes",
                hint="raise `conf`, or run the model that it was made from",
            )
        if not self.is_ready(letterbox.input_hw):
            log.info("compiling a second graph, for frames with more than the usual number of candidates")
            self.make_ready(letterbox.input_hw)
        own, form = self._ready[self._key(letterbox.input_hw)]
        with self._redoing:
            self._num_redone += 1
            if self._num_redone == MANY_REDONE:
                log.warning(
                    "%d frames had more candidates than the tail decodes and were inferred twice: "
                    "`head` host or a higher `conf` is faster",
                    MANY_REDONE,
                )
            own.request.input[...] = seat.request.input
            infer_once(own.request, self._compiler.config.device)
            return to_detections(own.request.outputs, letterbox, form, config, model.names)

    def _key(self, input_hw: SizeHW) -> tuple[SizeHW, bool]:
        """What a graph is kept by: it rounds as the one does whose frames it takes over."""
        return input_hw, self._compiler.keeps_rounding
