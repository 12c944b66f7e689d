"""Four cameras of `keepbusy serve` that fail in turn: `python -m tests.live_faults --minutes 5 --seed 1`.

Real RTSP servers behind proxies. One camera after the other has a fault: its server is killed and started again, its
link is cut, refused, silent, stalled, garbled, or too slow for it, or the server sends nothing. Each second the API and
`/metrics` are read, and the newest picture of each stream, which carries its number: how old it really is is known from
when it was sent.

What has to be so: the balance of each stream, each second; the stream of a camera whose fault has ended is live again
within `Fault.bound_s`; the others lose no more than 5 % of their rate meanwhile; the state is the right one; and no
picture that is old is told to be live.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keepbusy.sources.video import STREAM_TIMEOUT_S
from tests.build import build_blob_model
from tests.live.cameras import RtspCamera, number_in, rtsp_camera, why_no_server, write_clip
from tests.live.proxy import Proxy, proxy_to
from tests.served import Server, serving

NUM_CAMERAS = 4
FPS = 15
NUM = 500
"""Pictures in a loop, of half a minute: no fault lasts so long, so that a number is one moment."""

FIRST_WAIT_S, MAX_WAIT_S, STALL_S, STALE_AFTER_S = 0.5, 4.0, 1.0, 2.0
OPENING_S = 3.0
"""Until a camera that is there gives pictures: two answers, and the next key frame, one second later at most."""

LOOKS_S = 2.0
"""What is looked at once a second is seen so much later."""

WINDOW_S = 5.0
"""Rates are those of so many seconds: one picture more or less is 1.3 % of them."""

MIN_SHARE = 0.95
LATE_S = 1.0
"""How much later than it says a picture may be told to be stale."""


class Camera:
    """A server that can be killed and started again, and the link to it."""

    def __init__(self, clip: Path) -> None:
        self._clip = clip
        self._running = ExitStack()
        self.servers: list[RtspCamera] = []
        self.start()
        self._link = ExitStack()
        self.proxy: Proxy = self._link.enter_context(proxy_to(self.servers[-1].port))

    def start(self) -> None:
        """Start its server, at another port, which the link leads to."""
        self.servers.append(self._running.enter_context(rtsp_camera([self._clip])))
        if len(self.servers) > 1:
            self.proxy.target_port = self.servers[-1].port

    def kill(self) -> None:
        """Kill its server."""
        self.servers[-1].kill()

    def close(self) -> None:
        """End both."""
        self._link.close()
        self._running.close()

    def set(self, *, is_cut: bool = False, **what: Any) -> None:
        """Have the link do something from now on, and cut it."""
        for name, value in what.items():
            setattr(self.proxy, name, value)
        if is_cut:
            self.proxy.cut()

    def told(self, command: str) -> None:
        """Tell the server: see `gst_server.py`."""
        self.servers[-1].tell(command)

    def age_s(self, number: int, now_ns: int) -> float:
        """How long ago a picture was sent, at least."""
        sent_ns = max((sent for one in self.servers[-2:] if (sent := one.sent_ns(number))), default=0)
        return (now_ns - sent_ns) / 1e9


@dataclass(frozen=True)
class Fault:
    """What happens to a camera.

    Attributes:
        begin: Begins it.
        end: Ends it.
        states: One of these is seen meanwhile; empty where it may be over too soon to be seen.
        hangs: Whether a connection may be left that hangs, for the longest silence.
        reopens: Whether the stream is opened again at least once.
    """

    begin: Callable[[Camera], None]
    end: Callable[[Camera], None]
    states: frozenset[str] = frozenset()
    hangs: bool = False
    reopens: bool = False

    @property
    def bound_s(self) -> float:
        """How long the stream may take to be live again behind it.

        The longest back-off, which may just have begun; the longest silence where a connection hangs; opening.
        """
        return MAX_WAIT_S + (STREAM_TIMEOUT_S if self.hangs else 0.0) + OPENING_S + LOOKS_S


AWAY = frozenset({"waiting", "opening"})
STALLED = frozenset({"stalled"})

FAULTS = {
    "killed": Fault(Camera.kill, Camera.start, AWAY, reopens=True),
    "cut": Fault(lambda one: one.set(is_cut=True), lambda one: None, reopens=True),
    "refused": Fault(
        lambda one: one.set(is_cut=True, is_absent=True), lambda one: one.set(is_absent=False), AWAY, reopens=True
    ),
    "silent": Fault(
        lambda one: one.set(is_cut=True, is_silent=True), lambda one: one.set(is_silent=False), AWAY, True, True
    ),
    "stalled": Fault(lambda one: one.set(is_stalled=True), lambda one: one.set(is_stalled=False), STALLED, True),
    "held": Fault(lambda one: one.told("hold"), lambda one: one.told("go"), STALLED, True),
    "garbled": Fault(lambda one: one.set(garbled_share=0.05), lambda one: one.set(garbled_share=0.0), hangs=True),
    "slowed": Fault(
        lambda one: one.set(bytes_per_s=0.4 * one.proxy.num_bytes / max(one.proxy.lasted_s, 1.0)),
        lambda one: one.set(bytes_per_s=None),
        hangs=True,
    ),
}


@dataclass
class Look:
    """One stream, at one moment.

    Attributes:
        at_s: When, of the monotonic clock.
        totals: Its numbers.
        state: What it is said to do.
        is_live: Whether the page says so.
        true_age_s: How old its newest picture really is.
    """

    at_s: float
    totals: dict[str, Any]
    state: str
    is_live: bool
    true_age_s: float


@dataclass
class Watch:
    """Looks at all streams once a second, and notes what is wrong."""

    server: Server
    cameras: list[Camera]
    wrong: list[str] = field(default_factory=list)
    num_looks: int = 0
    lowest_share: float = 1.0
    lowest_arrived: float = 1.0
    num_low: int = 0
    clean_since_s: list[float] = field(default_factory=lambda: [time.monotonic() + WINDOW_S] * NUM_CAMERAS)
    history: list[deque[Look]] = field(default_factory=lambda: [deque(maxlen=60) for _ in range(NUM_CAMERAS)])
    _next_s: float = field(default_factory=time.monotonic)

    def look(self) -> list[Look]:
        """Wait for the next second, then look."""
        self._next_s = max(self._next_s + 1.0, time.monotonic())
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        at_s = time.monotonic()
        reports = self.server.ask("/api/streams").json
        self._check_metrics(self.server.ask("/metrics").body.decode())
        self.num_looks += 1
        looks = []
        for number, report in enumerate(reports):
            totals, is_live = report["totals"], report["state"] == "running" and not report["is_stale"]
            self._check_balance(report["name"], totals)
            look = Look(at_s, totals, report["state"], is_live, self._true_age_s(number))
            # The picture may have come behind the report, and is the newer then.
            if is_live and look.true_age_s > STALE_AFTER_S + LATE_S + time.monotonic() - at_s:
                self.note(f"{report['name']}: said to be live, and its picture is {look.true_age_s:.1f} s old")
            self.history[number].append(look)
            looks.append(look)
        self._check_rates(at_s)
        return looks

    def note(self, what: str) -> None:
        """Note what is wrong."""
        print(f"WRONG: {what}", flush=True)
        self.wrong.append(what)

    def _check_balance(self, name: str, totals: dict[str, Any]) -> None:
        gone = totals["results"] + sum(totals["dropped"].values()) + totals["in_flight"]
        if totals["arrived"] != gone or totals["in_flight"] < 0:
            self.note(f"{name}: {totals['arrived']} have arrived, {gone} are accounted for: {totals}")

    def _check_metrics(self, text: str) -> None:
        for number in range(NUM_CAMERAS):
            name = f"cam{number}"
            sums = {
                what: sum(
                    float(value)
                    for value in re.findall(
                        rf'^keepbusy_stream_{what}\{{(?:cause="\w+",)?stream="{name}"(?:,cause="\w+")?\}} (\S+)$',
                        text,
                        re.M,
                    )
                )
                for what in ("arrived_frames_total", "results_frames_total", "dropped_frames_total", "in_flight_frames")
            }
            arrived, *parts = sums.values()
            if arrived != sum(parts) or not arrived:
                self.note(f"{name}: the balance of /metrics is not even: {sums}")

    def _true_age_s(self, number: int) -> float:
        answer = self.server.ask(f"/api/streams/cam{number}/snapshot.jpg?boxes=false")
        now_ns = time.monotonic_ns()
        if answer.status != 200:
            return float("inf")
        image = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        return self.cameras[number].age_s(number_in(np.asarray(image, np.uint8)), now_ns)

    def _check_rates(self, at_s: float) -> None:
        """The streams that have had no fault for a while."""
        for number, looks in enumerate(self.history):
            begin = next((one for one in reversed(looks) if one.at_s <= at_s - WINDOW_S), None)
            if begin is None or begin.at_s < self.clean_since_s[number]:
                continue
            end = looks[-1]
            expected = FPS * (end.at_s - begin.at_s)
            share, arrived = ((end.totals[what] - begin.totals[what]) / expected for what in ("results", "arrived"))
            self.lowest_arrived = min(self.lowest_arrived, arrived)
            self.num_low += share < MIN_SHARE
            if share < min(self.lowest_share, MIN_SHARE):
                self.note(f"cam{number}, without a fault: {share:.1%} of its results, {arrived:.1%} of its frames")
            self.lowest_share = min(self.lowest_share, share)


def try_fault(watch: Watch, number: int, name: str, lasts_s: float) -> None:
    """One camera has a fault for a while; waits until its stream is live again."""
    fault, camera = FAULTS[name], watch.cameras[number]
    watch.clean_since_s[number] = float("inf")
    before = watch.history[number][-1]
    begin_s = time.monotonic()
    fault.begin(camera)
    seen: dict[str, int] = {}
    num_live = 0
    while time.monotonic() < begin_s + lasts_s:
        look = watch.look()[number]
        seen[look.state] = seen.get(look.state, 0) + 1
        num_live += look.is_live
    fault.end(camera)
    ended_s = time.monotonic()
    while True:
        look = watch.look()[number]
        earlier = watch.history[number][-2]
        rate = (look.totals["results"] - earlier.totals["results"]) / (look.at_s - earlier.at_s)
        took_s = look.at_s - ended_s
        if look.is_live and rate >= 0.8 * FPS and look.true_age_s < STALE_AFTER_S:
            break
        seen[look.state] = seen.get(look.state, 0) + 1
        if took_s > fault.bound_s + STREAM_TIMEOUT_S:
            break
    reopened = look.totals["reopened"] - before.totals["reopened"]
    told = f"{name:8} cam{number} for {lasts_s:4.1f} s: live again {took_s:4.1f} s behind it"
    print(f"{told} (bound {fault.bound_s:g}), live in {num_live} looks, states {seen}, reopened {reopened}", flush=True)
    if took_s > fault.bound_s:
        watch.note(f"{name}, cam{number}: live again only {took_s:.1f} s behind its end: {look}")
    if fault.states and not fault.states & set(seen):
        watch.note(f"{name}, cam{number}: was none of {sorted(fault.states)}, but {seen}")
    if fault.reopens and not reopened:
        watch.note(f"{name}, cam{number}: was not opened again")
    watch.clean_since_s[number] = time.monotonic()


@contextmanager
def watched(folder: Path, model: str | None) -> Iterator[Watch]:
    """The cameras, and a server that serves them."""
    clip = write_clip(folder / "clip", fps=FPS, num=NUM, key_every=FPS)
    with ExitStack() as stack:
        cameras: list[Camera] = []
        for _ in range(NUM_CAMERAS):
            cameras.append(Camera(clip))
            stack.callback(cameras[-1].close)
        retry = {"first_wait_s": FIRST_WAIT_S, "max_wait_s": MAX_WAIT_S}
        streams = [
            {"name": f"cam{number}", "source": camera.proxy.url, "retry": retry, "stall_s": STALL_S}
            for number, camera in enumerate(cameras)
        ]
        config = {
            "model": model or str(build_blob_model(folder / "blob.xml")),
            "streams": streams,
            "page": {"stale_after_s": STALE_AFTER_S},
            "limits": {"requests_per_s": 1000},
        }
        server = stack.enter_context(serving(config, folder))
        server.wait_until_ready(NUM_CAMERAS)
        yield Watch(server, cameras)


def main() -> int:
    """Do it as the arguments say; 0 where all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", help="by default a tiny one: what is tried is how streams are read")
    parser.add_argument("--only", action="append", choices=list(FAULTS))
    given = parser.parse_args()
    if missing := why_no_server():
        sys.exit(f"live_faults: {missing}")
    dice = random.Random(given.seed)
    num_faults = 0
    with tempfile.TemporaryDirectory() as name, watched(Path(name), given.model) as watch:
        end_s = time.monotonic() + 60 * given.minutes
        waiting: list[str] = []
        while time.monotonic() < end_s:
            for _ in range(round(WINDOW_S) + 1):  # All are undisturbed for a while.
                watch.look()
            waiting = waiting or dice.sample(list(given.only or FAULTS), k=len(given.only or FAULTS))
            try_fault(watch, dice.randrange(NUM_CAMERAS), waiting.pop(), dice.uniform(4.0, 14.0))
            num_faults += 1
        said = watch.server.text if watch.wrong else ""
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    print(
        f"{num_faults} faults, {watch.num_looks} looks; the others had {watch.lowest_share:.1%} of {FPS} "
        f"results/s at least ({watch.lowest_arrived:.1%} arrived), and too few "
        f"{watch.num_low} times; {len(watch.wrong)} things wrong; load {load}"
    )
    sys.stderr.write(said)
    return 1 if watch.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
