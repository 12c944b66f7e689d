"""`keepbusy serve` killed at random moments, again and again: `python -m tests.serve_kills --kills 20 --seed 1`.

A small supervisor starts it again, as systemd does with `deploy/keepbusy.service`. Streams of its configuration write
JSON Lines, a video, crops and labels; one more stream was added by the API and is kept in `server.state_file`. Each
round waits for a random while, sometimes from the start on, and sends SIGKILL.

What has to be so: it serves all its streams again each time; each file that a killed server has left can be read, with
all the results that it had told to be written; and no later start changes a byte of it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from tests.build import build_blob_model, count_playable, write_video

RESTARTS_AFTER_S = 0.5
BACK_WITHIN_S = 60.0
"""How long it may take to serve all its streams again: most of it is the start of Python and its packages, on a machine
that may be busy."""

FPS = 10
KEY_EVERY_S = 2.0
"""Of a video that is written; see `sinks/video.py`."""

HELD_FRAMES = 32
"""Pictures that an encoder may hold."""

ADDED = "added by a client"


class Supervisor:
    """Starts the server again whenever it has ended, as `Restart=on-failure` does.

    Attributes:
        process: The one that runs.
        ends: The exit codes of those that have ended by themselves.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_over = threading.Event()
        self.ends: list[int] = []
        self.num_starts = 0
        self.log = (folder / "log.txt").open("ab")
        self.process = self._start()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.num_starts += 1
        command = [sys.executable, "-m", "keepbusy", "serve", "wall.yaml"]
        return subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=self.log)

    def _work(self) -> None:
        while not self._is_over.is_set():
            code = self.process.wait()
            if self._is_over.is_set():
                return
            if code != -signal.SIGKILL:
                self.ends.append(code)
            self._is_over.wait(RESTARTS_AFTER_S)
            if not self._is_over.is_set():
                self.process = self._start()

    def close(self) -> int:
        """End the server with SIGTERM; its exit code."""
        self._is_over.set()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self._thread.join()
        self.log.close()
        return code


@dataclass
class Kills:
    """The server's folder, and what is wrong with it.

    Attributes:
        folder: Where it works.
        port: Its port, each time the same.
        wrong: A line each.
        known: The bytes of all files that killed servers have left, as checksums.
    """

    folder: Path
    port: int
    wrong: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    longest_s: float = 0.0
    largest_gap: int = 0

    def ask(self, path: str, body: Any = None) -> Any:
        """An answer of the API; None where there is none."""
        content = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", content, timeout=10) as answer:
                return json.loads(answer.read())
        except (OSError, ValueError):
            return None

    def note(self, what: str) -> None:
        """Note what is wrong."""
        print(f"WRONG: {what}", flush=True)
        self.wrong.append(what)

    def wait_until_back(self, names: set[str]) -> bool:
        """Wait until all streams have results; notes it where that takes too long."""
        begin_s = time.monotonic()
        found: Any = None
        while time.monotonic() < begin_s + BACK_WITHIN_S:
            found = self.ask("/api/streams")
            if found is not None and {one["name"] for one in found if one["totals"]["results"]} == names:
                self.longest_s = max(self.longest_s, time.monotonic() - begin_s)
                return True
            time.sleep(0.1)
        states = found and {one["name"]: (one["state"], one["error"]) for one in found}
        self.note(f"not all streams are back after {BACK_WITHIN_S:g} s: {states}")
        return False

    def written(self) -> dict[str, int]:
        """How many results each sink says it has written."""
        found = self.ask("/api/streams") or []
        return {sink["sink"]: sink["written"] for one in found for sink in one["sinks"]}

    def files(self) -> list[Path]:
        """All that the server has written."""
        return [path for path in sorted((self.folder / "found").rglob("*")) if path.is_file()]

    def look(self, written: dict[str, int]) -> None:
        """See to the files of a server that has just been killed, and to those of the ones before it.

        Args:
            written: What its sinks had told.
        """
        sums = {str(path.relative_to(self.folder)): _sum(path) for path in self.files()}
        for name, known in self.known.items():
            if name not in sums:
                self.note(f"{name} is gone")
            elif sums[name] != known:
                self.note(f"{name}, of an earlier start, has been changed")
        mine = [name for name in sums if name not in self.known]
        num_lines = self._look_at(mine, written)
        if written and num_lines < written["found/door.jsonl"]:
            self.note(f"{written['found/door.jsonl']} records were written, {num_lines} are there")
        self.known |= sums

    def _look_at(self, names: list[str], written: dict[str, int]) -> int:
        """Read all files; returns how many records there are."""
        num_lines = num_pictures = 0
        for name in names:
            path = self.folder / name
            try:
                if path.suffix == ".jsonl":
                    num_lines += _num_records(path)
                elif path.suffix == ".mp4":
                    num_pictures += count_playable(path) if path.stat().st_size else 0
                elif path.suffix == ".jpg" and cv2.imread(str(path)) is None:
                    self.note(f"{name} is no picture")
                elif path.suffix == ".txt" and any(len(line.split()) != 5 for line in path.read_text().splitlines()):
                    self.note(f"{name} has something else in it than labels")
                elif path.suffix == ".part" and path.name.startswith(".keepbusy"):
                    continue  # It was being written.
            except Exception as error:
                if path.suffix == ".mp4" and written.get("found/door.mp4", 0) <= self._may_miss:
                    continue  # No part of it was finished yet.
                self.note(f"{name} ({path.stat().st_size} bytes) cannot be read: {error!r}")
        told = written.get("found/door.mp4", 0)
        self.largest_gap = max(self.largest_gap, told - num_pictures)
        if told - num_pictures > self._may_miss:
            self.note(f"{told} pictures were written, {num_pictures} can be played")
        return num_lines

    @property
    def _may_miss(self) -> int:
        """Pictures: the last part of the file, and what the encoder held."""
        return round(KEY_EVERY_S * FPS) + HELD_FRAMES


def _num_records(path: Path) -> int:
    """How many whole lines there are: only the last one may be cut."""
    *lines, _ = path.read_bytes().split(b"\n")
    for line in lines:
        json.loads(line)
    return len(lines)


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def kill_again_and_again(folder: Path, num_kills: int, seed: int) -> Kills:
    """Kill a server so often, and let it end; what is wrong then."""
    clip = write_video(folder / "clip.mp4", num_frames=60, fps=FPS)
    street = "synth:street?size=96x64&fps=5"
    config = {
        "model": str(build_blob_model(folder / "blob.xml")),
        "server": {"port": free_port(), "state_file": "added.json", "allow_sources": ["synth:"]},
        "limits": {"requests_per_s": 1000},
        "streams": [
            {"name": "door", "source": str(clip), "sinks": ["found/door.jsonl", "found/door.mp4"]},
            {
                "name": "yard",
                "source": str(clip),
                "max_fps": 3,
                "max_det": 2,
                "sinks": ["crops:found/crops", "labels:found/labels"],
            },
            {"name": "gate", "source": street},
        ],
    }
    (folder / "wall.yaml").write_text(json.dumps(config), encoding="utf-8")
    kills = Kills(folder, config["server"]["port"])  # type: ignore[index]
    names = {"door", "yard", "gate"}
    dice = random.Random(seed)
    supervisor = Supervisor(folder)
    try:
        if kills.wait_until_back(names):
            kills.ask("/api/streams", {"name": ADDED, "source": f"{street}&seed=4"})
            names.add(ADDED)
            kills.wait_until_back(names)
        for number in range(num_kills):
            is_early = number % 4 == 3  # While it starts.
            time.sleep(dice.uniform(0.0, 3.0) if is_early else dice.uniform(0.0, 8.0))
            written = {} if is_early else kills.written()
            num_starts, process = supervisor.num_starts, supervisor.process
            process.kill()
            process.wait()
            kills.look(written)
            while supervisor.num_starts == num_starts:
                time.sleep(0.02)
            if number % 4 != 2:  # Behind each third one it is killed while it starts.
                is_back = kills.wait_until_back(names)
                print(f"kill {number}: {len(kills.known)} files, back: {is_back}", flush=True)
    finally:
        code = supervisor.close()
    if code != 0:
        kills.note(f"SIGTERM: exit code {code}")
    if supervisor.ends:
        kills.note(f"it has ended by itself with {supervisor.ends}")
    kills.look({})
    if kills.wrong:
        sys.stderr.write((folder / "log.txt").read_text(encoding="utf-8"))
    return kills


def main() -> int:
    """Do it as the arguments say; 0 where all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        kills = kill_again_and_again(Path(name), given.kills, given.seed)
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    print(
        f"{given.kills} kills, {len(kills.known)} files; all streams back within {kills.longest_s:.1f} s; at most "
        f"{kills.largest_gap} pictures of a video missing; {len(kills.wrong)} things wrong; load {load}"
    )
    return 1 if kills.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
