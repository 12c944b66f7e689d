"""Candidates on the real machine: compiled, kept for the next round, measured end to end, checked."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from keepbusy.api import Pipeline
from keepbusy.bench.windows import measure_end_to_end
from keepbusy.cache.notes import Notebook
from keepbusy.config import MAX_PIXELS, Options, Precision
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.evaluate.verify import detection_floor, verify
from keepbusy.models.head.memory import recall_head
from keepbusy.sources import frame_sizes, open_sources
from keepbusy.threads.cores import affinity_cores, usable_cores, whole_cores
from keepbusy.threads.signal_stack import kept_signal_stack
from keepbusy.tune.profile import origin
from keepbusy.tune.rounds import Sample
from keepbusy.tune.space import DEFAULT, Candidate, Machine

if TYPE_CHECKING:
    from keepbusy.values.forms import HeadStrategy

log = logging.getLogger("keepbusy")

MAX_OPEN = 24
"""Compiled candidates that are kept at the same time: those of one stage."""

MAX_GROWTH_BYTES = 2 << 30
"""From this growth of the process on, those used the longest time ago are given up, and compiled again when needed."""

CHECK_FRAMES = 12
_MAX_DET = 1000
_CAPABILITIES: dict[str, Precision] = {"FP32": "f32", "BF16": "bf16", "FP16": "f16"}


class RealTrials:
    """A model and sources on a device; `Trials` for a `Search`. Not thread-safe.

    Args:
        model: The model's file.
        device: OpenVINO's device name.
        sources: Finite ones; each measurement begins them anew, and loops them.
        fixed: Options that all candidates have.
        conf: The threshold of detections.
        percentile: The latency that counts, 0 to 100.
        max_open: Compiled candidates that are kept at the same time.
        resident_bytes: How much memory the process has; 0 where that is not known.
    """

    def __init__(
        self,
        model: Path,
        device: str,
        sources: Sequence[str],
        *,
        fixed: Options | None = None,
        conf: float = 0.25,
        percentile: float = 90.0,
        max_open: int = MAX_OPEN,
        resident_bytes: Callable[[], int] | None = None,
    ) -> None:
        self._model = model
        self._device = device
        self._sources = [str(source) for source in sources]
        self._fixed: dict[str, Any] = dict(fixed or {})
        self._max_pixels: int = self._fixed.get("max_pixels", MAX_PIXELS)
        self._conf = conf
        self._percentile = percentile
        self._max_open = max_open
        self._resident_bytes = resident_bytes or _resident_bytes
        self._begin_bytes = self._resident_bytes()
        self._open: OrderedDict[Candidate, Pipeline] = OrderedDict()
        self._reference: Pipeline | None = None
        self._reasons: dict[Candidate, str] = {}

    @property
    def reasons(self) -> dict[Candidate, str]:
        """Candidates that could not be run, and why."""
        return dict(self._reasons)

    def machine(self) -> Machine:
        """What there is to search; compiles the default configuration.

        Raises:
            KeepbusyError: It cannot be run.
        """
        pipeline = self._pipeline(DEFAULT)
        described = pipeline.device.describe()
        streams = described.get("streams", "")
        cores = whole_cores()
        pinned_precision = self._fixed.get("precision") is not None
        return Machine(
            device=self._device,
            cores=cores,
            is_limited=cores < affinity_cores(),
            num_streams=int(streams) if streams.isdecimal() else 0,
            num_slots=pipeline.num_slots,
            head=pipeline.head,
            other_heads=self._other_heads(pipeline),
            has_other_shape=pipeline.head != "stock" and pipeline.input_hw != self._square_hw(pipeline),
            other_precisions=() if pinned_precision else self._other_precisions(described.get("precision", "")),
        )

    def environment(self) -> dict[str, Any]:
        """The keys of `profile.TUNED_FOR` as they are here."""
        pipeline = self._pipeline(DEFAULT)
        opened = open_sources(self._sources, read_ahead=False, max_pixels=self._max_pixels)
        try:
            sizes = frame_sizes(opened)
        finally:
            for source in opened:
                source.close()
        return origin(
            self._model,
            self._device,
            self._sources,
            device_name=pipeline.device.describe().get("device_name", ""),
            frame_hw=max(sizes, key=lambda size: sizes[size], default=None),
            usable_cores=usable_cores(),
        )

    def measure(self, candidate: Candidate, seconds: float) -> Sample | None:
        """Run a candidate for some seconds, after a warm-up; None where it cannot be run, unless it is the default.

        Raises:
            KeepbusyError: The default configuration failed.
        """
        try:
            run = self._pipeline(candidate).run(*self._sources, loop=True)
            window = measure_end_to_end(run, seconds)
        except KeepbusyError as error:
            if candidate == DEFAULT:
                raise
            log.info("%s: cannot be run: %s", candidate, error.message)
            self._reasons[candidate] = error.message
            self._give_up(candidate)
            return None
        return Sample(window.fps, float(np.percentile(window.latencies_ns, self._percentile)) / 1e6)

    def objection(self, candidate: Candidate) -> str | None:
        """Why a candidate's detections cannot stand for the default's, on frames from all over the sources."""
        # The head is named: at another threshold and mode it would be measured, and perhaps chosen, anew.
        head = self._pipeline(DEFAULT).head
        options: dict[str, Any] = {"mode": "sync", "head": head, "max_det": _MAX_DET, **self._fixed}
        options["conf"] = detection_floor(self._conf)
        try:
            if self._reference is None:
                self._reference = Pipeline(self._model, self._device, **options)
                self._reference.plan(*self._sources)
            with Pipeline(self._model, self._device, **{**options, **candidate.graph.options}) as other:
                other.plan(*self._sources)
                opened = open_sources(self._sources, read_ahead=False, max_pixels=self._max_pixels)
                report = verify(self._reference, other, opened, max_frames=CHECK_FRAMES, conf=self._conf, num_worst=0)
        except KeepbusyError as error:
            return error.message
        return report.problems[0] if report.problems else None

    def close(self) -> None:
        """Free the device."""
        for candidate in list(self._open):
            self._give_up(candidate)
        if self._reference is not None:
            self._reference.close()
            self._reference = None

    def __enter__(self) -> RealTrials:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def open_candidates(self) -> list[Candidate]:
        """Those that are compiled now, the one used last at the end."""
        return list(self._open)

    def _pipeline(self, candidate: Candidate) -> Pipeline:
        pipeline = self._open.get(candidate)
        if pipeline is None:
            self._make_room()
            pipeline = Pipeline(self._model, self._device, **{**self._fixed, "conf": self._conf, **candidate.options})
            try:
                pipeline.plan(*self._sources)
            except BaseException:
                pipeline.close()
                raise
            self._open[candidate] = pipeline
        self._open.move_to_end(candidate)
        return pipeline

    def _make_room(self) -> None:
        growth = self._resident_bytes() - self._begin_bytes
        # The default is measured in every round, and stays.
        others = [one for one in self._open if one != DEFAULT]
        if others and (len(self._open) >= self._max_open or growth > MAX_GROWTH_BYTES):
            self._give_up(others[0])

    def _give_up(self, candidate: Candidate) -> None:
        pipeline = self._open.pop(candidate, None)
        if pipeline is not None:
            pipeline.close()

    def _other_heads(self, pipeline: Pipeline) -> tuple[HeadStrategy, ...]:
        if self._fixed.get("head") is not None:
            return ()
        model = pipeline.model
        found = recall_head(model, Notebook())
        if found is None:
            return ()
        heads: tuple[HeadStrategy, ...] = ("tail", "stock") if found.num_selected else ("tail", "host", "stock")
        return tuple(head for head in heads if head != pipeline.head)

    def _square_hw(self, pipeline: Pipeline) -> tuple[int, int]:
        return cast("tuple[int, int] | None", self._fixed.get("imgsz")) or pipeline.model.input_hw

    def _other_precisions(self, own: str) -> tuple[Precision, ...]:
        import openvino

        try:
            with kept_signal_stack():
                found = openvino.Core().get_property(self._device, "OPTIMIZATION_CAPABILITIES")
        except RuntimeError:
            return ()
        listed = [precision for name, precision in _CAPABILITIES.items() if name in found]
        return tuple(precision for precision in listed if precision != own)


def check_sources(sources: Sequence[str]) -> None:
    """See that sources can be tuned for: a live one sets the pace, so that everything would seem equally fast.

    Raises:
        ConfigError: One is live.
        SourceError: One cannot be opened.
    """
    opened = open_sources(sources, read_ahead=False)
    try:
        for source in opened:
            if source.info.is_live:
                raise ConfigError(
                    f"{source.info.name}: is live: it sets the pace itself, and nothing could be faster than it",
                    hint="record a minute of it and tune with the file: keepbusy detect SOURCE --save clip.mp4",
                )
    finally:
        for source in opened:
            source.close()


def _resident_bytes() -> int:
    """Memory of this process, from Linux; 0 elsewhere, where only the count limits."""
    import os

    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
