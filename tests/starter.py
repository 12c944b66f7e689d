"""The program, started many times: one process imports what it needs once, and forks for each start.

A start of its own imports NumPy, OpenCV, PyAV and OpenVINO each time, which takes longer than most commands. A forked
start is a process nevertheless: with its own arguments, environment, folder, standard streams, signals and exit code,
and it ends as Python ends. How the program itself begins is for tests that start it by `sys.executable`.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LIMIT_BYTES = 1 << 17
"""Of the message that tells of a start: arguments and environment."""

_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "OPENBLAS", "OMP_", "OPENCV", "MALLOC")
"""Variables that are looked at when an interpreter or a library is loaded: another value needs a process of its own."""


class Starter:
    """The process that forks, seen from the tests. Not thread-safe."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.starter", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).resolve().parent.parent,
                start_new_session=True,
            )
        atexit.register(self.close)

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.wait()

    def run(self, words: list[str], env: Mapping[str, str], cwd: str, timeout_s: float) -> tuple[int, bytes, bytes]:
        """Start the program; its exit code, and what it wrote to both outputs.

        Raises:
            subprocess.TimeoutExpired: It takes longer.
        """
        message = json.dumps({"words": words, "env": dict(env), "cwd": cwd}).encode()
        assert len(message) < _LIMIT_BYTES
        outputs: list[bytes] = [b"", b""]
        pipes = [os.pipe(), os.pipe()]
        with open(os.devnull, "rb") as nothing:
            socket.send_fds(self._socket, [message], [nothing.fileno(), *(tells for _, tells in pipes)])
        readers = []
        for number, (hears, tells) in enumerate(pipes):
            os.close(tells)
            reader = threading.Thread(target=_read, args=(hears, outputs, number))
            reader.start()
            readers.append(reader)
        self._socket.settimeout(timeout_s)
        try:
            code = int(self._socket.recv(16))
        except TimeoutError as error:
            # With the process that forks, all that it has started ends, and so the readers.
            os.killpg(self._process.pid, 9)
            raise subprocess.TimeoutExpired(words, timeout_s) from error
        finally:
            for reader in readers:
                reader.join()
        return code, outputs[0], outputs[1]


def _read(hears: int, outputs: list[bytes], number: int) -> None:
    with open(hears, "rb") as pipe:
        outputs[number] = pipe.read()


_starter: list[Starter] = []


def run_program(
    *arguments: object,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    timeout_s: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run `keepbusy` with some arguments, without an input: as `subprocess.run` would, with its outputs as text."""
    words = [str(argument) for argument in arguments]
    environment = dict(os.environ if env is None else env)
    if not sys.platform.startswith("linux") or _early(environment) != _early(os.environ):
        command = [sys.executable, "-m", "keepbusy", *words]
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=timeout_s, check=False, env=environment, cwd=cwd
        )
    if not _starter:
        _starter.append(Starter())
    try:
        code, out, err = _starter[0].run(words, environment, str(cwd or Path.cwd()), timeout_s)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        # What is left of it cannot be used again.
        _starter.clear()
        raise
    texts = [output.decode().replace("\r\n", "\n") for output in (out, err)]
    return subprocess.CompletedProcess(["keepbusy", *words], code, *texts)


def _early(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_AT_START)}


def _serve(number: int) -> None:
    """Fork for each start that is asked for. Returns in the forked processes, and never in this one."""
    _import_all()
    asked = socket.socket(fileno=number)
    while True:
        message, given, _, _ = socket.recv_fds(asked, _LIMIT_BYTES, 3)
        if not message:
            os._exit(0)
        child = os.fork()
        if child == 0:
            asked.close()
            _become(json.loads(message), given)
            return
        for one in given:
            os.close(one)
        _, status = os.waitpid(child, 0)
        asked.send(str(os.waitstatus_to_exitcode(status)).encode())


def _import_all() -> None:
    from keepbusy.cli.commands import COMMANDS, load_command
    from keepbusy.telemetry import import_openvino

    import_openvino()
    for name in ("numpy", "cv2", "av", "keepbusy.api", "keepbusy.jobs.detect", "keepbusy.__main__"):
        importlib.import_module(name)
    for command in COMMANDS:
        load_command(command)


def _become(asked: dict[str, Any], given: list[int]) -> None:
    """Make this process what it would be had it been started so."""
    for number, one in enumerate(given):
        os.dup2(one, number)
        os.close(one)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = ["keepbusy", *asked["words"]]
    # For the whole life of the program.
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    lines = {"encoding": "utf-8", "errors": "backslashreplace", "buffering": 1}
    sys.stderr = sys.__stderr__ = open(2, "w", closefd=False, **lines)  # type: ignore  # noqa: SIM115


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _serve(int(sys.argv[1]))
    from keepbusy.__main__ import main

    main()
