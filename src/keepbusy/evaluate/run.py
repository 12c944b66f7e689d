"""A run over a data set → everything that its scores are computed from.

```python
data = open_dataset("coco.yaml")
with kb.Pipeline("yolov5n.xml", conf=0.001, iou=0.6, multi_label=True) as pipeline:
    collected = collect(pipeline, data)
print(collected.scorer.evaluation.accuracy().map50_95)
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from keepbusy.config import SelectConfig
from keepbusy.errors import ConfigError, SourceError
from keepbusy.evaluate.classes import ClassMatch, match_classes
from keepbusy.evaluate.coco import MAX_DETECTIONS
from keepbusy.evaluate.dataset import Dataset
from keepbusy.evaluate.scoring import DatasetScorer
from keepbusy.flow.run import Run
from keepbusy.flow.stats import Snapshot
from keepbusy.sources.base import Source
from keepbusy.sources.selection import Selection


class Described(Protocol):
    """A device that tells its properties."""

    def describe(self) -> Mapping[str, str]:
        """What the compiled model says of itself."""
        ...


class Runner(Protocol):
    """What is scored: `keepbusy.Pipeline` is one."""

    @property
    def names(self) -> tuple[str, ...]:
        """The class names."""
        ...

    def run(self, *sources: Source, limit: int | None = None, stride: int = 1) -> Run:
        """Run over sources."""
        ...

    @property
    def device(self) -> Described:
        """What the model was compiled for."""
        ...

    @property
    def head(self) -> str:
        """How the detection head is computed."""
        ...

    @property
    def quantized(self) -> str | None:
        """How an INT8 model is computed."""
        ...

    @property
    def input_hw(self) -> tuple[int, int]:
        """The input's (height, width) for most frames, pixels."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Collected:
    """The results of a run over a data set, with the truth beside them.

    Attributes:
        scorer: Has them: its `evaluation` computes the scores.
        notes: What a person should know before trusting these, one sentence each.
        snapshot: The run's numbers.
    """

    scorer: DatasetScorer
    notes: Sequence[str]
    snapshot: Snapshot


Watch = Callable[[Run, int | None], AbstractContextManager[Callable[[], None]]]
"""Is given the run and its number of frames, None where that is not known, and entered while the run goes on. What
entering it gives is called behind each result."""


@contextmanager
def unwatched(_run: Run, _num_frames: int | None) -> Iterator[Callable[[], None]]:
    """A `Watch` that does nothing."""
    yield lambda: None


def collect(
    pipeline: Runner,
    dataset: Dataset,
    source: Source | None = None,
    *,
    class_match: ClassMatch = "auto",
    ignore_missing: bool = False,
    max_det: int = MAX_DETECTIONS,
    limit: int | None = None,
    stride: int = 1,
    on_notes: Callable[[Sequence[str]], None] = lambda _notes: None,
    watch: Watch = unwatched,
) -> Collected:
    """Run a pipeline over a data set.

    Args:
        pipeline: What is scored. Made with `conf=0.001, iou=0.6, multi_label=True`, it is scored as in papers.
        dataset: The data.
        source: From `dataset.open`, which is what it is by default; closed when the run is over.
        class_match: As for `match_classes`.
        ignore_missing: Leave out objects of classes that the model does not have.
        max_det: Detections of a frame that count.
        limit: At most this many frames.
        stride: Only every n-th frame.
        on_notes: Told, before the run, what a person should know of the data.
        watch: Follows the run.

    Raises:
        DataError: Objects are of classes that the model does not have.
        ConfigError: The two have no class in common; or the data never ends, and there is no limit.
        SourceError: All pictures failed, or one is not the one that was labelled.
        FrameError: A picture failed, and the pipeline's `on_error` is `raise`.
        ModelError: The model does not detect.
        MissingExtraError: faster-coco-eval is not installed.
    """
    if source is None:
        source = dataset.open()
        check_has_end(source, limit)
    mapping, notes = match_classes(dataset, tuple(pipeline.names), class_match, ignore_missing=ignore_missing)
    notes = [*dataset.notes, *notes]
    on_notes(notes)
    scorer = DatasetScorer(dataset, pipeline.names, mapping, max_det=max_det, ignore_missing=ignore_missing)
    num_frames = Selection(source, SelectConfig(limit=limit, stride=stride)).info.num_frames
    run = pipeline.run(source, limit=limit, stride=stride)
    with run, watch(run, num_frames) as on_result:
        for result in run:
            scorer.add(result)
            on_result()
    snapshot = run.stats.snapshot()
    if len(scorer.failures) == snapshot.num_frames:
        raise SourceError(
            f"{source.info.name}: all {len(scorer.failures)} pictures failed; the first: {scorer.failures[0]}",
            hint="there is nothing to score",
        )
    return Collected(scorer, notes, snapshot)


def check_has_end(source: Source, limit: int | None) -> None:
    """See that a run over a data set's frames comes to an end.

    Raises:
        ConfigError: They never end, and there is no limit.
    """
    if source.info.num_frames is None and limit is None:
        raise ConfigError(f"`data`: {source.info.name} never ends", hint="add frames=100 to it, or `limit` 100")


def settings_of(
    pipeline: Runner, *, model: str, data: str, device: str, shape: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What scores depend on, ready for JSON.

    Args:
        pipeline: After its run.
        model: What the model is called.
        data: What the data is called.
        device: OpenVINO's device name.
        shape: The input's shape as it was asked for.
        options: The keyword options that the pipeline was made with; `mode`, `conf`, `iou`, `max_det`, `multi_label`
            and `precision` are among them.
    """
    precision = pipeline.device.describe().get("precision", options["precision"] or "")
    return {
        "model": model,
        "data": data,
        "device": device,
        "precision": str(precision) or None,
        "input_hw": list(pipeline.input_hw),
        "shape": shape,
        "head": pipeline.head,
        "quantized": pipeline.quantized,
        **{name: options[name] for name in ("mode", "conf", "iou", "max_det", "multi_label")},
    }
