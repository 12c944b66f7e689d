"""Speed and accuracy of one model in several forms, each through the same code that runs it later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from keepbusy.api import Pipeline
from keepbusy.bench.rounds import measure_rounds
from keepbusy.bench.windows import Window, measure_model_only
from keepbusy.config import Precision, ShapeChoice
from keepbusy.errors import ModelError, SourceError
from keepbusy.evaluate import Accuracy, DatasetScorer, match_classes
from keepbusy.evaluate.verify import Verification, detection_floor, verify
from keepbusy.models.names import Names
from keepbusy.optimize.frames import Frames
from keepbusy.values.forms import HeadStrategy

EVAL_CONF = 0.001
EVAL_IOU = 0.6
MAX_DET = 300
"""The field's settings for mAP, as in `keepbusy eval`."""

VERIFY_MAX_DET = 1000

OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way of running one file.

    Attributes:
        name: What it is called.
        path: The file.
        head: Where its head is computed where speed counts; where accuracy counts, `tail` is `host`: evaluations want
            every class of a box, and the two agree.
        shape: The input where speed counts.
        scored_shape: The input where accuracy counts: the rectangles of the frames, or the same.
        precision: The number type; None for the device's own choice.
        imgsz: Input (height, width) of a file that leaves it open, pixels.
    """

    name: str
    path: Path
    head: HeadStrategy
    shape: ShapeChoice
    scored_shape: ShapeChoice
    precision: Precision | None = None
    imgsz: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Speed:
    """What the device did with one form.

    Attributes:
        rounds_fps: Frames a second in each round.
        precision: The number type that the device says it computes in.
        input_hw: (height, width) of the input, pixels.
    """

    rounds_fps: tuple[float, ...]
    precision: str
    input_hw: tuple[int, int]


def measure_speed(
    forms: Sequence[Form], device: str, *, num_rounds: int, seconds: float, on_step: OnStep
) -> dict[str, Speed]:
    """Keep the device busy with one form after the other, in interleaved rounds.

    Args:
        forms: What is measured.
        device: Where.
        num_rounds: How often each is measured.
        seconds: Length of each measurement.
        on_step: Told what is being done.

    Returns:
        By name of the form; one in float32 is missing where the device does not have that.

    Raises:
        KeyboardInterrupt: Before all rounds were finished.
    """
    with ExitStack() as stack:
        contenders: dict[str, Callable[[], Window]] = {}
        pipelines: dict[str, Pipeline] = {}
        for form in forms:
            on_step(f"compiling {form.name}")
            pipeline = stack.enter_context(
                Pipeline(
                    form.path, device, precision=form.precision, head=form.head, shape=form.shape, imgsz=form.imgsz
                )
            )
            try:
                requests = pipeline.warm_requests()
            except ModelError:
                if form.precision != "f32" or device == "CPU":
                    raise
                continue  # A device without float32.
            pipelines[form.name] = pipeline
            contenders[form.name] = partial(measure_model_only, requests, seconds)
        windows, is_interrupted = measure_rounds(
            contenders,
            num_rounds,
            lambda index, name: on_step(f"measuring speed: round {index + 1} of {num_rounds}, {name}"),
        )
        if is_interrupted:
            raise KeyboardInterrupt
        return {
            name: Speed(
                tuple(window.fps for window in windows[name]),
                pipeline.device.describe().get("precision", ""),
                pipeline.input_hw,
            )
            for name, pipeline in pipelines.items()
        }


def own_precision(form: Form, device: str) -> str:
    """The number type that a device computes a form in where it may choose; "" where it does not say."""
    with Pipeline(form.path, device, head=form.head, shape=form.shape, imgsz=form.imgsz) as pipeline:
        pipeline.plan()
        return pipeline.device.describe().get("precision", "")


def measure_accuracy(form: Form, frames: Frames, device: str, names: Names, on_step: OnStep) -> Accuracy:
    """COCO's mAP of one form on frames with labels; of float32, which is the reference, always on the CPU.

    Raises:
        SourceError: No frame can be scored.
        FrameError: A frame failed.
        MissingExtraError: faster-coco-eval is not installed.
    """
    assert frames.dataset is not None  # nosec B101 # for mypy: the caller sees to it, as documented
    with Pipeline(
        form.path,
        "CPU" if form.precision == "f32" else device,
        names=names,
        precision=form.precision,
        head="host" if form.head == "tail" else form.head,
        shape=form.scored_shape,
        imgsz=form.imgsz,
        conf=EVAL_CONF,
        iou=EVAL_IOU,
        max_det=MAX_DET,
        multi_label=True,
    ) as pipeline:
        mapping, _ = match_classes(frames.dataset, names, ignore_missing=True)
        scorer = DatasetScorer(frames.dataset, names, mapping, ignore_missing=True)
        source = frames.open()
        with pipeline.run(source, limit=frames.limit, stride=frames.stride(source)) as run:
            for count, result in enumerate(run, start=1):
                scorer.add(result)
                on_step(f"scoring {form.name}: frame {count}")
    accuracy = scorer.evaluation.accuracy()
    if accuracy.map50_95 is None:
        raise SourceError(f"{frames.name}: there is nothing to find in the frames taken", hint="raise `limit`")
    return accuracy


def measure_agreement(reference: Form, candidate: Form, frames: Frames, device: str, on_step: OnStep) -> Verification:
    """How far one form finds what another finds, on frames without labels.

    The reference is computed on the CPU in float32, whatever the device.
    """
    floor = detection_floor(None)
    with (
        Pipeline(
            reference.path,
            "CPU",
            precision="f32",
            head=reference.head,
            shape=reference.scored_shape,
            imgsz=reference.imgsz,
            mode="sync",
            conf=floor,
            max_det=VERIFY_MAX_DET,
        ) as trusted,
        Pipeline(
            candidate.path,
            device,
            precision=candidate.precision,
            head=candidate.head,
            shape=candidate.scored_shape,
            imgsz=candidate.imgsz,
            conf=floor,
            max_det=VERIFY_MAX_DET,
        ) as tried,
    ):
        return verify(
            trusted,
            tried,
            [frames.open()],
            max_frames=frames.limit,
            num_worst=0,
            on_frames=lambda count: on_step(f"comparing {candidate.name}: frame {count}"),
        )


def share_matched(verification: Verification) -> float:
    """The share of detections with a partner on the other side, of the worse side."""
    agreement = verification.agreement
    return min(agreement.found_share, agreement.backed_share)
