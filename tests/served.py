"""A real server in a process of its own, for tests."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def soon(is_so: Callable[[], bool], what: str = "") -> None:
    """Look ten times a second, which leaves the cores to the server.

    Raises:
        AssertionError: It is not so within two minutes; says `what`.
    """
    until_s = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < until_s, what
        time.sleep(0.1)


class Answer:
    """What a server has answered."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A server that listens.

    Attributes:
        address: Without the slash at its end.
        said: What it has written to standard error.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        self.address = ""
        assert process.stderr is not None
        for line in process.stderr:
            self.said.append(line)
            if match := re.match(r"keepbusy serves at (\S+)/( and all other .*)?\n", line):
                # The machine's name, which need not lead anywhere in a test.
                self.address = re.sub(r"//[^/]+:", "//127.0.0.1:", match[1]) if match[2] else match[1]
                break
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)

    @property
    def text(self) -> str:
        return "".join(self.said)

    @property
    def host(self) -> str:
        return self.address.partition("://")[2]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        """Send a request; `_` in a header's name is a hyphen, and what is no bytes becomes JSON."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.address + path, content, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def wait_until_ready(self, num_streams: int = 0) -> None:
        soon(lambda: self.ask("/readyz").status == 200, "the server is not ready")
        soon(lambda: self.num_running() >= num_streams, "the streams do not run")

    def num_running(self) -> int:
        answer = self.ask("/api/streams")
        return sum(one["totals"]["results"] > 0 for one in answer.json) if answer.status == 200 else 0

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        self._listener.join()
        return code


def begin(
    *words: str,
    folder: Path,
    environment: dict[str, str] | None = None,
    program: Sequence[str] = ("-m", "keepbusy"),
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *program, "serve", *words],
        cwd=folder,
        env=os.environ | (environment or {}),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        encoding="utf-8",
    )


@contextmanager
def serving(
    config: dict[str, Any] | str,
    folder: Path,
    words: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    program: Sequence[str] = ("-m", "keepbusy"),
) -> Iterator[Server]:
    """A server with a configuration, at a free port; `program` is what Python runs."""
    path = folder / "wall.yaml"
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    with begin(str(path), "--port", "0", *words, folder=folder, environment=environment, program=program) as process:
        server = Server(process)
        try:
            assert server.address, server.text
            yield server
        finally:
            server.end()
