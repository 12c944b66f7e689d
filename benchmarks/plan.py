"""How well `keepbusy plan` predicts: a plan, and right behind it the server's engine with just so many cameras.

    python -m benchmarks.plan [--video CLIP.mp4] [--model MODEL.xml ...] [--plan-seconds 60] [--run-seconds 20]
                              [--only NAME ...] [--json FILE]

Each mix is a configuration of `keepbusy serve`. It is planned; then as many cameras are run as the plan says fit, and
their frames per second and ages are printed beside those that were predicted. Then a quarter more are run, which should
lose frames: the plan's costs predict how many results there are then. Of a mix that does not fit as it is, the given
set is run, too, and each kind's rate is compared with the plan's. `run ÷ plan` is 1 where a plan is right; a plan that
says too few is found by the run of a quarter more, where all frames still have a result ("fits, too").

The cameras are `--video`, encoded anew at 640x360, 1280x720 and 1920x1080, 30 frames/s, with caps on their rate, and
synthetic streets. Each `--model` makes a mix of its own beside those of the model that the package carries. On a
machine that does other things as well, the two differ by what the other things do.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from keepbusy.embedded import embedded_clip
from keepbusy.plan.cameras import Kind, counts_of, wanted_fps
from keepbusy.plan.whole import Plan, plan_cameras, predicted_rates
from keepbusy.serve.configuration.load import check_settings
from keepbusy.serve.configuration.settings import ServeSettings, StreamSettings
from keepbusy.serve.supervise.wall import Wall

SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
CLIP_FPS = 30
CLIP_FRAMES = 240

MORE = 1.25
"""So many times as many cameras as fit should lose frames."""

SETTLE_S = 3.0
OVERLOAD = {"steps": ["throughput"], "after_s": 5}
"""Of the server's steps against overload the one that a plan knows of, soon: the others lower rates and inputs."""

SWITCH_S = 15.0
"""Where the server was compiled for latency and loses frames, it has been compiled for throughput by then."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What some cameras really did.

    Attributes:
        num: How many.
        predicted_fps: Results per second that the plan predicts.
        fps: Those there were.
        dropped: Share of the frames that were dropped.
        age_p50_ms: Median of a camera's median age.
        age_p99_ms: The highest of the cameras' 99th percentiles.
        kinds_fps: Results per second of one camera of each kind.
    """

    num: int
    predicted_fps: float
    fps: float
    dropped: float
    age_p50_ms: float
    age_p99_ms: float
    kinds_fps: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Run ÷ plan."""
        return self.fps / self.predicted_fps if self.predicted_fps else 0.0


def mixes(clips: dict[str, str], models: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """The configurations, by names."""

    def camera(size: str, fps: float, **more: Any) -> dict[str, Any]:
        return {"source": f"{clips[size]}?realtime", "max_fps": fps, **more}

    found: dict[str, list[dict[str, Any]]] = {
        "360p at 10": [camera("360p", 10)],
        "360p at 30": [camera("360p", 30)],
        "720p at 10": [camera("720p", 10)],
        "720p at 25": [camera("720p", 25)],
        "1080p at 5": [camera("1080p", 5)],
        "360p at 30 and 1080p at 5": [camera("360p", 30), camera("1080p", 5)],
        "synth 720p at 6": [{"source": "synth:street?seed=1&size=1280x720&fps=6"}],
        "weights, too many": [camera("720p", 15, weight=3)] * 8 + [camera("360p", 15)] * 16,
    }
    streams: dict[str, dict[str, Any]] = {name: {"streams": cameras} for name, cameras in found.items()}
    for model in models:
        for size, fps in (("720p", 5), ("360p", 10)):
            streams[f"{model.stem}, {size} at {fps}"] = {"model": str(model), "streams": [camera(size, fps)]}
    return streams


def write_clip(source: Path, path: Path, size_wh: tuple[int, int]) -> None:
    """The beginning of a video in another size, H.264, as a camera would send it: no B-frames."""
    width, height = size_wh
    with av.open(str(source)) as given, av.open(str(path), "w") as written:
        track = written.add_stream("libx264", rate=CLIP_FPS)
        track.width, track.height, track.pix_fmt = width, height, "yuv420p"
        track.options = {"preset": "veryfast", "tune": "zerolatency", "g": str(CLIP_FPS)}
        for number, frame in enumerate(given.decode(video=0)):
            if number == CLIP_FRAMES:
                break
            picture = frame.reformat(width, height, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, CLIP_FPS)
            written.mux(track.encode(picture))
        written.mux(track.encode(None))


def streams_of(kinds: Sequence[Kind], counts: Sequence[int], settings: ServeSettings) -> list[StreamSettings]:
    """So many cameras of each kind, from their own sources."""
    by_name = {stream.name: stream for stream in settings.streams}
    streams = []
    for kind, count in zip(kinds, counts, strict=True):
        like = by_name[kind.names[0]]
        streams += [like.model_copy(update={"name": f"{kind.names[0]}-{turn}"}) for turn in range(count)]
    return streams


def run(settings: ServeSettings, plan: Plan, num: int, predicted: Sequence[float], seconds: float) -> Ran:
    """Run so many cameras, and count for some seconds."""
    counts = counts_of(plan.kinds, num)
    streams = streams_of(plan.kinds, counts, settings)
    wall = Wall(settings.model_copy(update={"streams": streams}))
    wall.start()
    try:
        while not all(served.totals.results for served in wall.streams):
            time.sleep(0.1)
        look(wall, SETTLE_S)
        facts = wall.engine.facts
        lost = wall.view.verdict(num_streams=num).code in ("device-bound", "losing")
        if lost and facts is not None and facts.hint == "latency" and not facts.is_hint_given:
            look(wall, SWITCH_S)
        now = wall.engine.run
        assert now is not None
        before = now.stats.snapshot()
        look(wall, seconds)
        window = now.stats.snapshot().since(before)
        numbered = wall.roster.numbered
        place_of = [place for place, count in enumerate(counts) for _ in range(count)]
        mine = [one for one in window.streams if one.stream_id in numbered]
        of_kinds: list[list[float]] = [[] for _ in counts]
        for one in mine:
            of_kinds[place_of[numbered[one.stream_id].number]].append(one.num_results / window.wall_s)
        ages = sorted(one.age_p50_ms for one in mine)
        return Ran(
            num=num,
            predicted_fps=sum(fps * count for fps, count in zip(predicted, counts, strict=True)),
            fps=sum(one.num_results for one in mine) / window.wall_s,
            dropped=sum(one.num_dropped for one in mine) / max(1, sum(one.num_arrived for one in mine)),
            age_p50_ms=ages[len(ages) // 2],
            age_p99_ms=max(one.age_p99_ms for one in mine),
            kinds_fps=tuple(sum(each) / len(each) if each else 0.0 for each in of_kinds),
        )
    finally:
        wall.close(20)


def look(wall: Wall, seconds: float) -> None:
    """Look at the numbers once a second, as the server does."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        wall.look()
        time.sleep(min(1.0, max(0.0, until_s - time.monotonic())))


def compare(name: str, content: dict[str, Any], plan_seconds: float, run_seconds: float) -> dict[str, Any]:
    """Plan a mix and run it."""
    settings = check_settings({**content, "overload": OVERLOAD})
    plan = plan_cameras(settings, seconds=plan_seconds)
    told = " + ".join(f"{count} x {kind.told}" for kind, count in zip(plan.kinds, plan.counts, strict=True) if count)
    limit = f"{plan.limit}, {'cores full' if plan.is_full else 'cores not full'}"
    print(f"{name}: {plan.num} fit: {told}; limit {limit}; planned in {plan.seconds:.0f} s", flush=True)
    runs: dict[str, Ran] = {}
    kinds, given = plan.kinds, plan.given.num
    if plan.num:
        rates = [kind.fps for kind in kinds]
        runs["fits"] = ran = run(settings, plan, plan.num, rates, run_seconds)
        seen = plan.found.seen
        show(f"  {plan.num} as planned", ran)
        print(f"    age planned p50 {seen.age_p50_ms:.0f} p99 {seen.age_p99_ms:.0f} ms", flush=True)
    more = max(plan.num + 1, round(plan.num * MORE))
    runs["more"] = ran = run(settings, plan, more, predicted_rates(plan, more), run_seconds)
    show(f"  {more}, more than fit", ran)
    if wanted_fps(kinds, counts_of(kinds, more)) * 0.98 <= ran.fps:
        print("    fits, too: the plan said too few", flush=True)
    if not plan.given.fits and given != more:
        runs["given"] = ran = run(settings, plan, given, plan.given.kinds_fps, run_seconds)
        show(f"  {given}, as given", ran)
        for kind, planned, real in zip(kinds, plan.given.kinds_fps, ran.kinds_fps, strict=True):
            print(
                f"    {kind.told}, weight {kind.settings.weight:g}: planned {planned:.2f}, run {real:.2f}", flush=True
            )
    return {"plan": plan.to_dict(), "runs": {key: {**asdict(one), "ratio": one.ratio} for key, one in runs.items()}}


def show(what: str, ran: Ran) -> None:
    """One run, in a line."""
    print(
        f"{what}: planned {ran.predicted_fps:.1f} frames/s, run {ran.fps:.1f}, run ÷ plan {ran.ratio:.3f}; "
        f"{ran.dropped:.1%} dropped; age p50 {ran.age_p50_ms:.0f} p99 {ran.age_p99_ms:.0f} ms",
        flush=True,
    )


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, default=embedded_clip())
    parser.add_argument("--model", type=Path, action="append", default=[], help="one more; may be repeated")
    parser.add_argument("--plan-seconds", type=float, default=60.0)
    parser.add_argument("--run-seconds", type=float, default=20.0)
    parser.add_argument("--only", action="append", help="mixes whose name has this in it; may be repeated")
    parser.add_argument("--json", type=Path, help="all numbers")
    given = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        clips = {name: str(Path(folder) / f"{name}.mp4") for name in SIZES}
        for name, size_wh in SIZES.items():
            write_clip(given.video, Path(clips[name]), size_wh)
        for name, content in mixes(clips, given.model).items():
            if not given.only or any(part in name for part in given.only):
                found[name] = compare(name, content, given.plan_seconds, given.run_seconds)
    for key, what in (("fits", "as many as fit"), ("more", "a quarter more"), ("given", "as given")):
        ratios = [one["runs"][key]["ratio"] for one in found.values() if key in one["runs"]]
        if ratios:
            close = sum(abs(ratio - 1) <= 0.1 for ratio in ratios)
            print(f"{what}: run ÷ plan {min(ratios):.3f} to {max(ratios):.3f}, {close} of {len(ratios)} within 10 %")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
