"""What the host does for each frame: CPU time of each stage, at several sizes, now and at another commit.

The video is taken as it is, and scaled up to 1080p and 4K. For each size a process of its own runs the pipeline in sync
mode, one stage after the other, so that a stage's cost is the CPU time that passes in it: of the whole process while
reading (FFmpeg has threads of its own), of the calling thread while preparing and decoding, with OpenCV told to use no
others; the median over the frames. The device's work is not counted. The video's decoder, which is the same in every
checkout, stands by itself.

Scaled-up videos are cheaper to decode than real ones of that size: they have no finer detail.

    python benchmarks/host_cost.py VIDEO MODEL [--against CHECKOUT] [--rounds 5] [--frames 150] [--head tail]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import cv2

import keepbusy as kb
from keepbusy.flow import stages
from keepbusy.flow.reader import Reader
from keepbusy.sources.video import Video

REPOSITORY = Path(__file__).resolve().parent.parent
SIZES_WH = {"1080p": (1920, 1080), "4K": (3840, 2160)}
PARTS = ("decoder", "read", "preprocess", "postprocess")
TITLES = (
    "the video's decoder",
    "rest of read",
    "preprocess",
    "postprocess",
    "read + preprocess + postprocess",
    "without the decoder",
)
WARM_UP_FRAMES = 10
CLIP_FRAMES = 48


def scale_up(video: Path, size_wh: tuple[int, int], target: Path) -> Path:
    """Encode the first frames of a video at another size."""
    with av.open(str(video)) as source, av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height = size_wh
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number == CLIP_FRAMES:
                break
            scaled = frame.reformat(*size_wh, "yuv420p", interpolation="BICUBIC")
            scaled.pts = None
            container.mux(stream.encode(scaled))
        container.mux(stream.encode())
    return target


def measure(video: str, model: str, num_frames: int, head: str | None) -> dict[str, Any]:
    """Milliseconds of CPU time of the median frame, by part, with the keepbusy that Python finds."""
    cv2.setNumThreads(1)
    spent_ns: dict[str, list[int]] = {}

    def watch(owner: Any, name: str, part: str) -> None:
        watched = getattr(owner, name)

        def call(*args: Any) -> Any:
            thread_ns, process_ns = time.thread_time_ns(), time.process_time_ns()
            try:
                return watched(*args)
            finally:
                spent_ns.setdefault(f"{part}, all threads", []).append(time.process_time_ns() - process_ns)
                spent_ns.setdefault(part, []).append(time.thread_time_ns() - thread_ns)

        setattr(owner, name, call)

    watch(Video, "_decode", "decoder")
    watch(Reader, "_read", "read")
    watch(stages, "start", "preprocess")
    watch(stages, "postprocess", "postprocess")
    options: dict[str, Any] = {"mode": "sync"}
    try:
        pipeline = kb.Pipeline(model, **{**options, "head": head}) if head else kb.Pipeline(model, **options)
    except (TypeError, kb.ConfigError):  # a commit that has no such option
        pipeline = kb.Pipeline(model, **options)
    with pipeline:
        for _ in pipeline.run(video, loop=True, limit=WARM_UP_FRAMES):
            pass
        spent_ns.clear()
        for _ in pipeline.run(video, loop=True, limit=num_frames):
            pass
    found = {part: statistics.median(values) / 1e6 for part, values in spent_ns.items()}
    # What reading adds to the decoder, it does in its own thread.
    found["read"] = max(0.0, found["read"] - found["decoder"])
    found["decoder"] = found["decoder, all threads"]
    return {part: found[part] for part in PARTS}


def measure_checkout(checkout: Path, clip: Path, options: argparse.Namespace) -> dict[str, float]:
    """The same in a process of its own, with the keepbusy of a checkout."""
    command = [sys.executable, str(Path(__file__).resolve()), str(clip), str(options.model), "--worker"]
    command += ["--frames", str(options.frames), *(["--head", options.head] if options.head else [])]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        sys.exit(f"{checkout}: {done.stderr.strip().splitlines()[-1] if done.stderr else 'failed'}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def with_sums(parts: dict[str, float]) -> list[float]:
    """The parts, their sum, and their sum without the decoder."""
    values = [parts[part] for part in PARTS]
    return [*values, sum(values), sum(values[1:])]


def to_markdown(rounds: dict[tuple[str, str], list[list[float]]], labels: list[str]) -> str:
    """A table of medians over the rounds; of two checkouts before → after, and the median of the rounds' ratios."""
    sizes = list(dict.fromkeys(size for size, _ in rounds))
    lines = ["| CPU time per frame, ms | " + " | ".join(sizes) + " |", "| --- |" + " --- |" * len(sizes)]
    for row, title in enumerate(TITLES):
        cells: list[str] = []
        for size in sizes:
            columns = [[values[row] for values in rounds[size, label]] for label in labels]
            cell = " → ".join(f"{statistics.median(column):.2f}" for column in columns)
            if len(columns) == 2 and min(columns[0]) > 0.01:
                cell += f" ({statistics.median(b / a for a, b in zip(*columns, strict=True)):.0%})"
            cells.append(cell)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure in interleaved rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--against", type=Path, help="another checkout, for instance a git worktree")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--head", help="how the head is computed; by default as keepbusy chooses")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(str(options.video), str(options.model), options.frames, options.head)))
        return
    checkouts = {"now": REPOSITORY}
    if options.against:
        checkouts = {"before": options.against.resolve(), **checkouts}
    rounds: dict[tuple[str, str], list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        clips = {"as it is": options.video}
        for name, size_wh in SIZES_WH.items():
            clips[name] = scale_up(options.video, size_wh, Path(folder) / f"{name}.mp4")
        for number in range(options.rounds):
            for size, clip in clips.items():
                for label in list(checkouts) if number % 2 else reversed(checkouts):
                    found = measure_checkout(checkouts[label], clip, options)
                    rounds.setdefault((size, label), []).append(with_sums(found))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    print(to_markdown(rounds, list(checkouts)))


if __name__ == "__main__":
    main()
