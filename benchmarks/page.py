"""The page of `keepbusy serve` in real Chromium, with sixteen tiles of 720p: whether it is true, and what viewers cost.

    python -m benchmarks.page [--streams 16] [--fps 1] [--size 1280x720] [--seconds 20]

All tiles have to move: the number of the frame that the browser has drawn grows on each. What a tile and the enlarged
stream say has to agree with `/metrics` of the same moment. The console has to be free of errors. The server's memory
has to settle, which may take minutes. Then a viewer comes that opens the WebSocket, wants all pictures in full size,
and never reads: the server's memory may grow by less than 10 MiB, and neither the streams' rate nor the page's may
fall by more than noise. Noise is the difference between a time before it and a time after it, and 10 % at least. Then
200 connections are opened, all of which have to be answered. The result is a table; the exit code is 1 where a limit
is broken.

The synthetic cameras are drawn by the server, and the browser draws on the same cores: the rate is what is left.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.browser import chromium, opened, wait, why_no_browser
from tests.served import Server, serving, soon

MAX_COST_MIB = 10.0
NUM_CONNECTIONS = 200
SETTLED_MIB = 1.0
MAX_SETTLING = 15
LEAST_NOISE = 0.1
MOVING_S = 60.0


@dataclass
class Drawn:
    """What a browser has drawn, by what goes over its WebSocket.

    Attributes:
        indices: Numbers of the frames that were acknowledged, by stream.
        num: How many pictures.
        num_back: How many were of an earlier moment than the one of the same stream before.
        num_states: How often the page has been told the state.
    """

    indices: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    num: int = 0
    num_back: int = 0
    num_states: int = 0
    _captured_ms: dict[str, float] = field(default_factory=dict)
    _coming: dict[int, tuple[str, int]] = field(default_factory=dict)

    def hear(self, websocket: Any) -> None:
        """Listen to a WebSocket of Playwright's."""
        websocket.on("framereceived", self._received)
        websocket.on("framesent", self._sent)

    def _received(self, content: str | bytes) -> None:
        if isinstance(content, bytes):
            (size,) = struct.unpack_from("<I", content)
            head = json.loads(content[4 : 4 + size])
            name = head["stream"]
            self._coming[head["n"]] = (name, head["index"])
            self.num_back += head["captured_ms"] < self._captured_ms.get(name, 0.0)
            self._captured_ms[name] = head["captured_ms"]
        else:
            self.num_states += 1

    def _sent(self, content: str | bytes) -> None:
        said = json.loads(content)
        if said["type"] == "ack" and (found := self._coming.pop(said["n"], None)) is not None:
            self.indices[found[0]].append(found[1])
            self.num += 1


class Checks:
    """What was found, as rows of a table."""

    def __init__(self) -> None:
        self.num_broken = 0

    def add(self, what: str, found: str, *, is_good: bool) -> None:
        """One more row."""
        self.num_broken += not is_good
        print(f"{what:52}  {found:44}  {'ok' if is_good else 'BROKEN'}", flush=True)


def metrics_of(server: Server) -> dict[str, dict[str, float]]:
    """Counters by stream: `arrived`, `results`, `dropped`."""
    text = server.ask("/metrics").body.decode()
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for kind, labels, value in re.findall(
        r"^keepbusy_stream_(arrived|results|dropped)_frames_total\{(.*?)\} (\S+)$", text, re.MULTILINE
    ):
        (name,) = re.findall(r'stream="([^"]*)"', labels)
        found[name][kind] += float(value)
    return found


def numbers_of(page: Any) -> dict[str, tuple[float, float, int]]:
    """What the tiles say: results and arriving frames per second, and frames dropped in ten seconds, by stream."""
    said = page.evaluate(
        """() => [...document.querySelectorAll('.tile')].map((tile) => [tile.dataset.stream,
            tile.querySelector('.rate dd').textContent, tile.querySelector('.drops dd').textContent])"""
    )
    found = {}
    for name, rates, drops in said:
        results, arriving = map(float, rates.split(" / "))
        count = re.match(r"\d+", drops)
        found[name] = (results, arriving, int(count[0]) if count else 0)
    return found


def check_moving(page: Any, drawn: Drawn, names: list[str], checks: Checks) -> None:
    """Whether every tile gets newer frames, each within a minute."""
    seen = {name: drawn.indices[name][-1] for name in names}
    begin_s = time.monotonic()
    num_moving = 0
    while num_moving < len(names) and time.monotonic() - begin_s < MOVING_S:
        page.wait_for_timeout(200)
        num_moving = sum(drawn.indices[name][-1] > seen[name] for name in names)
    took_s = time.monotonic() - begin_s
    checks.add("tiles that move", f"{num_moving} of {len(names)} in {took_s:.1f} s", is_good=num_moving == len(names))
    checks.add("pictures of an earlier moment", str(drawn.num_back), is_good=not drawn.num_back)


def check_rates(page: Any, server: Server, checks: Checks) -> None:
    """What the tiles say of the last ten seconds against what the metrics have counted meanwhile."""
    before, begin_s = metrics_of(server), time.monotonic()
    page.wait_for_timeout(10_000)
    said = numbers_of(page)
    after, seconds = metrics_of(server), time.monotonic() - begin_s
    worst = worst_dropped = 0.0
    for name, (results, arriving, dropped) in said.items():
        counted = {kind: after[name][kind] - before[name][kind] for kind in ("results", "arrived", "dropped")}
        worst = max(worst, abs(results - counted["results"] / seconds), abs(arriving - counted["arrived"] / seconds))
        worst_dropped = max(worst_dropped, abs(dropped - counted["dropped"]))
    # The window of the page ends up to a second before, and so does that of the metrics.
    allowed = 0.3 + 0.2 * max(arriving for _, arriving, _ in said.values())
    checks.add(
        "tiles: frames/s against /metrics", f"{worst:.2f} beside, {allowed:.2f} allowed", is_good=worst <= allowed
    )
    allowed = 2 + 2 * max(arriving for _, arriving, _ in said.values())
    checks.add(
        "tiles: dropped in 10 s against /metrics",
        f"{worst_dropped:.0f} beside, {allowed:.0f} allowed",
        is_good=worst_dropped <= allowed,
    )


def check_totals(page: Any, server: Server, drawn: Drawn, names: list[str], checks: Checks) -> None:
    """What the enlarged streams say against the metrics before and after."""
    num_wrong = 0
    for number, name in enumerate(names):
        if number == 0:
            page.locator(".tile").first.click()
        else:
            page.click("#next")
        wait(page, f"document.querySelector('#large-name').textContent === {json.dumps(name)}")
        before = metrics_of(server)[name]
        # The next state may have been on its way before.
        until = drawn.num_states + 2
        while drawn.num_states < until:
            page.wait_for_timeout(50)
        facts = page.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll('#facts dt')]
                .map((label) => [label.textContent, label.nextElementSibling.textContent]))"""
        )
        after = metrics_of(server)[name]
        for label, kind in (("Frames", "arrived"), ("Results", "results")):
            num_wrong += not before[kind] <= float(facts[label]) <= after[kind]
    page.keyboard.press("Escape")
    checks.add(
        "enlarged: frames and results between two /metrics",
        f"{num_wrong} of {2 * len(names)} beside",
        is_good=not num_wrong,
    )


@dataclass(frozen=True, slots=True)
class Window:
    """What some seconds have brought.

    Attributes:
        results_fps: Of all streams.
        drawn_fps: Pictures of the page.
        memory_mib: The server's, the median.
    """

    results_fps: float
    drawn_fps: float
    memory_mib: float


def watch(page: Any, server: Server, drawn: Drawn, seconds: float) -> Window:
    """Look at it for some seconds."""
    process = psutil.Process(server.process.pid)
    before, num_before, begin_s = metrics_of(server), drawn.num, time.monotonic()
    memory = []
    while time.monotonic() - begin_s < seconds:
        page.wait_for_timeout(500)
        memory.append(process.memory_info().rss / (1 << 20))
    after, took_s = metrics_of(server), time.monotonic() - begin_s
    results = sum(after[name]["results"] - before[name]["results"] for name in after)
    return Window(results / took_s, (drawn.num - num_before) / took_s, statistics.median(memory[len(memory) // 2 :]))


@contextmanager
def never_reads(server: Server, names: list[str]) -> Iterator[None]:
    """A viewer that wants all pictures in full size, and reads nothing."""
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(
            f"GET /api/live HTTP/1.1\r\nHost: {server.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        if not client.recv(12).startswith(b"HTTP/1.1 101"):
            raise AssertionError("the WebSocket was refused")
        text = json.dumps({"type": "view", "tiles": dict.fromkeys(names, 1920), "engine": True}).encode()
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(text))
        client.sendall(struct.pack(">BBH", 0x81, 0x80 | 126, len(text)) + mask + masked)
        yield


def settled(page: Any, server: Server, drawn: Drawn, seconds: float, checks: Checks) -> Window:
    """Wait until the server's memory grows no more, as it does at first: what is used is loaded, caches fill."""
    times, growth_mib = [watch(page, server, drawn, seconds)], SETTLED_MIB
    while growth_mib >= SETTLED_MIB and len(times) < MAX_SETTLING:
        times.append(watch(page, server, drawn, seconds))
        growth_mib = times[-1].memory_mib - times[-2].memory_mib
    text = f"{', '.join(f'{one.memory_mib:.1f}' for one in times)} MiB every {seconds:g} s"
    checks.add("the server's memory settles", text, is_good=growth_mib < SETTLED_MIB)
    return times[-1]


def check_viewer(page: Any, server: Server, drawn: Drawn, names: list[str], seconds: float, checks: Checks) -> None:
    """What a viewer that never reads costs."""
    before = settled(page, server, drawn, seconds, checks)
    with never_reads(server, names):
        beside = watch(page, server, drawn, seconds)
    after = watch(page, server, drawn, seconds)
    cost_mib = beside.memory_mib - before.memory_mib
    checks.add(
        "a viewer that never reads: memory",
        f"{before.memory_mib:.1f}, {beside.memory_mib:.1f}, {after.memory_mib:.1f} MiB: {cost_mib:+.1f}",
        is_good=cost_mib < MAX_COST_MIB,
    )
    for what, one, with_it, other in (
        ("results/s", before.results_fps, beside.results_fps, after.results_fps),
        ("pictures/s of the page", before.drawn_fps, beside.drawn_fps, after.drawn_fps),
    ):
        noise = max(LEAST_NOISE, abs(one - other) / max(one, other, 1e-9))
        is_good = with_it >= (1 - noise) * min(one, other)
        checks.add(
            f"a viewer that never reads: {what}", f"{one:.1f}, with it {with_it:.1f}, then {other:.1f}", is_good=is_good
        )


def check_connections(page: Any, server: Server, drawn: Drawn, seconds: float, checks: Checks) -> None:
    """Two hundred connections at once beside the page."""
    num_before = drawn.num
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60))
            for _ in range(NUM_CONNECTIONS)
        ]
        for client in clients:
            client.sendall(f"GET /api/streams HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode())
        num_answered = sum(client.recv(12) == b"HTTP/1.1 200" for client in clients)
        page.wait_for_timeout(1000 * seconds / 2)
    checks.add(f"{NUM_CONNECTIONS} connections: answered", str(num_answered), is_good=num_answered == NUM_CONNECTIONS)
    checks.add("and the page goes on: pictures", str(drawn.num - num_before), is_good=drawn.num > num_before)


def main() -> int:
    """Measure it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--fps", type=float, default=1.0, help="of each camera")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each time that is compared")
    options = parser.parse_args()
    if missing := why_no_browser():
        print(missing, file=sys.stderr)
        return 1
    names = [f"camera {number:02}" for number in range(1, options.streams + 1)]
    street = f"synth:street?size={options.size}&fps={options.fps:g}"
    streams = [{"name": name, "source": f"{street}&seed={seed}"} for seed, name in enumerate(names, 1)]
    config = {"streams": streams, "limits": {"requests_per_s": 1000}, "hint": "throughput"}
    checks, drawn = Checks(), Drawn()
    with tempfile.TemporaryDirectory() as folder, serving(config, Path(folder)) as server, chromium() as browser:
        soon(lambda: server.ask("/readyz").status == 200 and server.num_running() == len(names), "not all streams run")
        page = opened(browser, "about:blank", viewport={"width": 1600, "height": 1200})
        page.errors.clear()
        page.on("websocket", drawn.hear)
        page.goto(server.address)
        wait(page, f"document.querySelectorAll('.tile .screen:not(.stale)').length === {len(names)}")
        page.wait_for_timeout(12_000)
        check_moving(page, drawn, names, checks)
        check_rates(page, server, checks)
        check_totals(page, server, drawn, names, checks)
        check_viewer(page, server, drawn, names, options.seconds, checks)
        check_connections(page, server, drawn, options.seconds, checks)
        errors = [one for one in page.errors if not one.startswith((server.address, f"blob:{server.address}"))]
        checks.add("errors in the console", "; ".join(errors)[:200] or "none", is_good=not errors)
    return 1 if checks.num_broken else 0


if __name__ == "__main__":
    sys.exit(main())
