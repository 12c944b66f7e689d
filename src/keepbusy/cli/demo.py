"""`keepbusy demo`: the embedded clip three ways, with accuracy, a picture and a video, in half a minute."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from keepbusy.cli.options import DebugOption
from keepbusy.terminal.console import open_console
from keepbusy.terminal.table import FigureTable

if TYPE_CHECKING:
    from keepbusy.api import Pipeline
    from keepbusy.config import Options
    from keepbusy.evaluate import Accuracy
    from keepbusy.flow.stats import Snapshot

ROUNDS = 2
"""Each way runs this often, in turn, so that a machine that slows down slows all."""

NUM_FRAMES = 120
"""Frames of the clip in a round: a second of work or more on two cores."""

ACCURACY_STRIDE = 6
"""Every sixth frame of the clip is scored: neighbours show nearly the same."""

NUM_FRAMES_SAVED = 150
"""Frames of the annotated video: five seconds."""

PICTURE_INDEX = 60
"""The frame that becomes a picture."""

EXPORTED, REWRITTEN, OVERLAPPED = "as exported, one by one", "rewritten, one by one", "rewritten, all at once"

WAYS: dict[str, Options] = {
    EXPORTED: {"mode": "sync", "head": "stock", "shape": "square"},
    REWRITTEN: {"mode": "sync"},
    OVERLAPPED: {"mode": "async"},
}
"""From the loop that people write first to what keepbusy does by default: one change at a time."""


@dataclasses.dataclass(frozen=True)
class Speed:
    """What the ways did.

    Attributes:
        rounds: Way → what its rounds counted.
        graph: What the rewritten ways ran: shape and head.
    """

    rounds: dict[str, list[Snapshot]]
    graph: str

    def median(self, way: str, name: str) -> float:
        """The median of a figure over a way's rounds."""
        return float(statistics.median(getattr(one, name) for one in self.rounds[way]))

    def ratio(self, way: str, to: str) -> float:
        """How many times as fast as another way: of the medians that the table shows."""
        return self.median(way, "throughput_fps") / self.median(to, "throughput_fps")


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the annotated picture and video, and the records.", metavar="FOLDER")
    ] = Path("demo"),
    device: Annotated[str, typer.Option("--device", "-d", help="CPU, GPU, NPU, ...", metavar="DEVICE")] = "CPU",
    debug: DebugOption = False,
) -> None:
    """Show the main job on what the package carries: its own clip and its own model, nothing to download.

    Runs the clip through the model as exported in a blocking loop, then through the graph that keepbusy makes of it,
    then with all stages at once; scores each against the scene's exact truth; and writes an annotated picture and
    video. `keepbusy bench` also measures the model alone.
    """
    from keepbusy.embedded import embedded_clip, embedded_model

    console = open_console(stderr=True)
    clip, model = embedded_clip(), embedded_model()
    speed = _measure(console, model, clip, device)
    accuracy = _score(console, model, clip, device)
    picture, video = _save(console, model, clip, device, out)
    result = open_console()
    result.print(_table(speed, accuracy))
    result.print(_meaning(speed), highlight=False)
    for line in _next(picture, video):
        result.print(line, highlight=False, soft_wrap=True)


def _pipeline(model: Path, device: str, way: str, **more: object) -> Pipeline:
    from keepbusy.api import Pipeline

    return Pipeline(model, device, **{**WAYS[way], **more})  # type: ignore[arg-type]


def _measure(console: Console, model: Path, clip: Path, device: str) -> Speed:
    from contextlib import ExitStack

    from keepbusy.bench.tables import graphs

    snapshots: dict[str, list[Snapshot]] = {way: [] for way in WAYS}
    with ExitStack() as stack:
        pipelines = {way: stack.enter_context(_pipeline(model, device, way)) for way in WAYS}
        for way, pipeline in pipelines.items():
            with console.status(f"{way}: compiling"):
                pipeline.plan(
                    clip
                )  # A run of so few frames would not measure heads, and the ways would run two graphs.
        for number in range(ROUNDS):
            for way, pipeline in pipelines.items():
                status = console.status(f"{way}, round {number + 1} of {ROUNDS}")
                with status, pipeline.run(clip, limit=NUM_FRAMES) as run:
                    for _ in run:
                        pass
                snapshots[way].append(run.stats.snapshot())
        last = pipelines[OVERLAPPED]
        exported_hw = last.model.input_hw
        graph = graphs({"head": last.head, "input_hw": last.input_hw, "exported_hw": exported_hw})
    return Speed(snapshots, graph)


def _score(console: Console, model: Path, clip: Path, device: str) -> dict[str, Accuracy]:
    from keepbusy.embedded import CLIP_SPEC
    from keepbusy.evaluate import CocoEvaluation
    from keepbusy.sources.street import Street

    street = Street(CLIP_SPEC)
    truths = {}
    scores: dict[str, Accuracy] = {}
    for way in WAYS:
        with (
            console.status(f"{way}: accuracy"),
            _pipeline(model, device, way, conf=0.001, iou=0.6, multi_label=True) as pipeline,
            pipeline.run(clip, stride=ACCURACY_STRIDE) as run,
        ):
            evaluation = CocoEvaluation(pipeline.names)
            for result in run:
                frame = result.frame
                if frame.index not in truths:
                    truths[frame.index] = street.truth(frame.index)
                truth = truths[frame.index]
                size_wh = (frame.width, frame.height)
                evaluation.add(size_wh, truth.boxes_xyxy, truth.class_id, result.detections)
            scores[way] = evaluation.accuracy()
    return scores


def _save(console: Console, model: Path, clip: Path, device: str, out: Path) -> tuple[Path, Path]:
    from keepbusy.drawing.write import write_image
    from keepbusy.files.whole import clear_output
    from keepbusy.sinks import Sink, SinkRunner
    from keepbusy.sinks.draw import annotate
    from keepbusy.sinks.jsonl import JsonLines
    from keepbusy.sinks.video import VideoFile

    picture, video, records = out / "street.jpg", out / "street.mp4", out / "street.jsonl"
    for path in (picture, video, records):
        clear_output(path)
    with (
        console.status("drawing"),
        _pipeline(model, device, OVERLAPPED) as pipeline,
        pipeline.run(clip, limit=NUM_FRAMES_SAVED) as run,
    ):
        sinks: list[Sink] = [VideoFile(video, fps=30.0), JsonLines(records)]
        chosen = None
        with SinkRunner(sinks, run.stats) as runner:
            for result in run:
                # Of a shorter clip, its last frame.
                chosen = result if result.frame.index <= PICTURE_INDEX else chosen
                if not runner.put(result):
                    break
    if chosen is not None:
        write_image(picture, annotate(chosen), follows_link=False)
    return picture.resolve(), video.resolve()


def _table(speed: Speed, accuracy: dict[str, Accuracy]) -> FigureTable:
    title = f"{NUM_FRAMES} frames of the embedded clip, from file to boxes"
    table = FigureTable("", title=title, title_justify="left", header_style="")
    table.add_figures("frames/s", "times", "device busy", "mAP50-95")
    for way in WAYS:
        table.add_row(
            way,
            f"{speed.median(way, 'throughput_fps'):.1f}",
            f"{speed.ratio(way, EXPORTED):.2f}",
            f"{speed.median(way, 'device_busy_share'):.0%}",
            f"{accuracy[way].map50_95 or 0:.3f}",
            style="bold" if way == OVERLAPPED else None,
        )
    return table


def _meaning(speed: Speed) -> str:
    waits = {way: f"{1 - speed.median(way, 'device_busy_share'):.0%}" for way in WAYS}
    if speed.graph.endswith(" as exported"):
        rewritten = "Rewritten: on this device nothing is quicker than the graph as exported, so that it runs as it is."
    else:
        rewritten = (
            f"Rewritten: {speed.ratio(REWRITTEN, EXPORTED):.1f} times as fast. keepbusy leaves out the grey bars "
            f"around the picture, and decodes boxes only where there may be one. It has checked the new graph against "
            f"the exported one. It runs at {speed.graph}."
        )
    return (
        f"\n{rewritten}\n"
        f"All at once: {speed.ratio(OVERLAPPED, REWRITTEN):.1f} times as fast again. While the device works on one "
        f"frame, others are read, prepared and finished. It waits {waits[OVERLAPPED]} of the time, before "
        f"{waits[REWRITTEN]}. On a CPU all stages share the cores with the device, so little waiting is left to win; a "
        f"GPU or NPU gains more.\n"
        f"mAP50-95 compares the boxes with the scene's exact truth; 1 is perfect.\n"
    )


def _next(picture: Path, video: Path) -> list[str]:
    """What was written, and what to try with a model of one's own."""
    return [
        f"picture: {picture}",
        f"video:   {video}",
        "",
        "Next, with a model (.xml or .onnx) and a video, folder or camera of yours:",
        "  keepbusy detect VIDEO -m MODEL --save out.mp4",
        "  keepbusy bench VIDEO -m MODEL                  what holds it back, and what to change",
        "  keepbusy optimize MODEL -o fast --data VIDEO   the rewritten model as a file, for other programs as well",
    ]
