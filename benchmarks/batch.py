"""A batch against what it is made of: `keepbusy detect`, the decoder alone, the device alone.

    python -m benchmarks.batch [--video VIDEO] [--pictures FOLDER] [--model MODEL.xml] [--rounds N] [--seconds S]

Three questions, each as a share of the same round; the order turns from round to round, and what is printed is medians
with their ranges:

1. One long video: a batch's frames per second divided by those of `keepbusy detect --json` of the same file.
2. Small pictures (2,000 copies where no folder is given): a batch's pictures per second divided by two bounds. One is
   the lower of what the decoder alone and what the device alone does. Where the device is the CPU both work on the same
   cores, and no program is faster than these cores by the processor time of both together for each picture.
3. Two processes of one core each, in one batch of two such videos, against two runs of `keepbusy detect` bound to one
   core each, at once. Of both, what each does is added up: frames of its video by that video's time.

Beside that: the supervisor's processor time as a share of one core, and its memory behind the batch of pictures.

Times are those of frames: from a run's first frame to its last one, without starts, which take seconds and are the same
in all programs. Needs Linux (`taskset`), the extra `batch`, and a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import av
import cv2
import psutil

import keepbusy as kb
from benchmarks.callers import rounds_of, told
from keepbusy.batch import UnitConfig, run_batch
from keepbusy.batch.manifest import read_manifest
from keepbusy.embedded import embedded_clip, embedded_model

NUM_PICTURES = 2000
POLL_S = 1.0


class Span:
    """What was measured of one run.

    Attributes:
        fps: Frames per second.
        cpu_s: Processor time for each frame; 0 where that was not looked at.
        supervisor_share: The supervisor's processor time as a share of the run's.
        supervisor_mb: Its memory at the end.
    """

    def __init__(
        self, fps: float, supervisor_share: float = 0.0, supervisor_mb: float = 0.0, cpu_s: float = 0.0
    ) -> None:
        self.fps = fps
        self.cpu_s = cpu_s
        self.supervisor_share = supervisor_share
        self.supervisor_mb = supervisor_mb


def long_video(video: Path, folder: Path, seconds: float) -> Path:
    """A video again and again in one file, without encoding it anew: at least so long."""
    path = folder / f"long{video.suffix}"
    with av.open(str(video)) as given:
        stream = given.streams.video[0]
        length_s = float(given.duration or 1_000_000) / 1e6
    num_rounds = max(1, round(seconds / length_s))
    with av.open(str(path), "w") as output:
        copy = None
        offset = 0
        for _ in range(num_rounds):
            with av.open(str(video)) as given:
                stream = given.streams.video[0]
                copy = copy or output.add_stream_from_template(stream)
                end = offset
                for packet in given.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    end = max(end, packet.pts + (packet.duration or 1))
                    packet.stream = copy
                    output.mux(packet)
                offset = end
    return path


def small_pictures(video: Path, folder: Path) -> Path:
    """The frames of a video as small JPEGs, `NUM_PICTURES` of them."""
    path = folder / "pictures"
    path.mkdir()
    frames: list[bytes] = []
    source = kb.open_source(video)
    while len(frames) < 200 and (frame := source.read()) is not None:
        small = cv2.resize(frame.image, (640, 360))  # type: ignore[arg-type]
        frames.append(cv2.imencode(".jpg", small)[1].tobytes())
    source.close()
    for number in range(NUM_PICTURES):
        (path / f"{number:04d}.jpg").write_bytes(frames[number % len(frames)])
    return path


def batch(source: Path | list[Path], model: Path, folder: Path, *, processes: int = 1, ray: str | None = None) -> Span:
    """A batch, as a library, with its frames' time from its own numbers."""
    output = Path(tempfile.mkdtemp(dir=folder))
    units = UnitConfig(frames=None) if processes > 1 else UnitConfig()
    seen: list[tuple[float, int]] = []
    used_s: list[float] = []
    me = psutil.Process()

    def look(progress: kb.batch.Progress) -> None:
        seen.append((time.perf_counter(), progress.num_frames))
        used_s.append(time.process_time())

    done = run_batch(source, output / "out", model, processes=processes, ray=ray, on_progress=look, units=units)
    state = read_manifest(output / "out")
    assert state is not None and done.num_problems == 0
    begin_s = next((at_s for at_s, num_frames in seen if num_frames), seen[0][0])
    counted = next((num_frames for _, num_frames in seen if num_frames), 0)
    span_s = seen[-1][0] - begin_s
    fps = (seen[-1][1] - counted) / span_s if span_s > 0 else 0.0
    if processes > 1:
        works = list(state.work.values())
        assert len(works) == processes
        fps = sum(work.num_frames / work.seconds for work in works)
    share_s = (used_s[-1] - used_s[0]) / (seen[-1][0] - seen[0][0] or 1.0)
    return Span(fps, share_s, me.memory_info().rss / 1e6)


def detect(source: Path, model: Path, folder: Path) -> Span:
    """`keepbusy detect --json`, as its own report has it."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "out.jsonl"
    report = kb.detect_to(model, source, path, on_error="skip")
    return Span(report.numbers.throughput_fps)


def decoder(source: Path) -> Span:
    """Reading alone."""
    opened = kb.open_source(source)
    begin_s, begin_cpu_s, num_frames = time.perf_counter(), time.process_time(), 0
    while opened.read() is not None:
        num_frames += 1
    opened.close()
    cpu_s = (time.process_time() - begin_cpu_s) / num_frames
    return Span(num_frames / (time.perf_counter() - begin_s), cpu_s=cpu_s)


def device(source: Path, model: Path, seconds: float) -> Span:
    """The device alone: all requests in flight, again and again, with what is in them."""
    with kb.Pipeline(model) as pipeline:
        pipeline.plan(source)
        requests = pipeline.warm_requests()
        begin_s, begin_cpu_s, num_done = time.perf_counter(), time.process_time(), 0
        for request in requests:
            request.start()
        while time.perf_counter() - begin_s < seconds:
            request = requests[num_done % len(requests)]
            request.wait(30.0)
            request.start()
            num_done += 1
        for request in requests:
            request.wait(30.0)
        cpu_s = (time.process_time() - begin_cpu_s) / (num_done + len(requests))
        return Span(num_done / (time.perf_counter() - begin_s), cpu_s=cpu_s)


def two_alone(source: Path, model: Path, folder: Path) -> Span:
    """Two runs of `keepbusy detect`, bound to one core each, at once: what both do together."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    started = []
    for core in cores:
        out = Path(tempfile.mkdtemp(dir=folder)) / "out.jsonl"
        code = (
            "import os, sys, json, keepbusy as kb; os.sched_setaffinity(0, {int(sys.argv[1])})\n"
            "numbers = kb.detect_to(sys.argv[2], sys.argv[3], sys.argv[4], on_error='skip').numbers\n"
            "print(json.dumps(numbers.throughput_fps))"
        )
        command = [sys.executable, "-c", code, str(core), str(model), str(source), str(out)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8"))
    return Span(sum(json.loads(one.communicate()[0]) for one in started))


def memory_of_workers(stop: threading.Event, found: list[float]) -> None:
    """The highest memory of this program's workers, megabytes, looked at again and again."""
    while not stop.wait(POLL_S):
        with suppress(psutil.Error):
            found.append(sum(one.memory_info().rss for one in psutil.Process().children()) / 1e6)


def share(rounds: Sequence[dict[str, Span]], name: str, bounds: Sequence[str]) -> str:
    """What share of the lower of some bounds something reaches, round by round."""
    return told([one[name].fps / min(one[bound].fps for bound in bounds) for one in rounds], 3)


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """The options that measurements of batches share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="default: the clip that the package carries")
    parser.add_argument("--model", type=Path, help="default: the model that the package carries")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long the video is made, of its own time")
    return parser


def main() -> None:
    """Run the measurement."""
    parser = parser_of(__doc__)
    parser.add_argument("--pictures", type=Path, help="a folder; default: small frames of the video")
    options = parser.parse_args()
    model = options.model or embedded_model()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = long_video(options.video or embedded_clip(), folder, options.seconds)
        twin = Path(shutil.copy(video, video.with_stem("twin")))
        pictures = options.pictures or small_pictures(options.video or embedded_clip(), folder)
        measures: dict[str, Callable[[], Span]] = {
            "video: batch": partial(batch, video, model, folder),
            "video: detect --json": partial(detect, video, model, folder),
            "pictures: batch": partial(batch, pictures, model, folder),
            "pictures: decoder alone": partial(decoder, pictures),
            "pictures: device alone": partial(device, pictures, model, 5.0),
        }
        if len(os.sched_getaffinity(0)) > 1:
            measures["two cores: batch, 2 processes"] = partial(batch, [video, twin], model, folder, processes=2)
            measures["two cores: two times detect"] = partial(two_alone, video, model, folder)
        measures["video: detect --json"]()  # Measures the head and compiles what both need.
        stop, used_mb = threading.Event(), list[float]()
        watcher = threading.Thread(target=memory_of_workers, args=(stop, used_mb))
        watcher.start()
        rounds = list(rounds_of(measures, options.rounds))
        stop.set()
        watcher.join()
    for name in measures:
        print(f"{name:32} {told([one[name].fps for one in rounds])} frames/s")
    print("one video, share of detect       ", share(rounds, "video: batch", ["video: detect --json"]))
    bounds = ["pictures: decoder alone", "pictures: device alone"]
    print("pictures, share of the bound     ", share(rounds, "pictures: batch", bounds))
    cores = len(os.sched_getaffinity(0))
    together = [one["pictures: batch"].fps * sum(one[bound].cpu_s for bound in bounds) / cores for one in rounds]
    print("pictures, share of shared cores  ", told(together, 3))
    if "two cores: batch, 2 processes" in measures:
        print("two processes, share of two runs ", share(rounds, "two cores: batch, 2 processes", [list(measures)[-1]]))
    print("supervisor, share of one core    ", told([one["pictures: batch"].supervisor_share for one in rounds], 4))
    print("supervisor, MB                   ", told([one["pictures: batch"].supervisor_mb for one in rounds], 0))
    print(f"workers together at most          {max(used_mb, default=0.0):.0f} MB")


if __name__ == "__main__":
    main()
