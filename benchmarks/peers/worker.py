"""The comparison's side of a contender's process: start it, let it work, end it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOAD_LIMIT_S = 300.0
"""Loading and warming up may take this long."""
GRACE_S = 60.0
"""A run may take this much longer than it was told to."""


class ContenderError(RuntimeError):
    """A contender that cannot be measured; the message is one line."""


class Worker:
    """A contender's process, loaded and waiting.

    Args:
        python: The interpreter of its environment.
        module: Its file in `benchmarks/peers`, without the ending.
        arguments: Its options.
        extra_env: Variables for it.

    Attributes:
        versions: Versions of the packages in its environment, by their names.

    Raises:
        ContenderError: It cannot be imported or loaded.
    """

    def __init__(
        self, python: Path, module: str, arguments: Sequence[str], extra_env: Mapping[str, str] | None = None
    ) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 – closed in close()
        try:
            # A session of its own: Ctrl-C is for the comparison, which then ends its contenders.
            self._process = subprocess.Popen(
                [str(python), "-m", f"benchmarks.peers.{module}", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(extra_env or {})},
                encoding="utf-8",
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise ContenderError(f"{python}: {error.strerror}") from error
        try:
            self.versions: dict[str, str] = self._answer(LOAD_LIMIT_S)["versions"]
        except BaseException:
            self.close()
            raise

    def run(self, seconds: float) -> dict[str, float]:
        """Let it work; returns what `protocol.measure` does.

        Raises:
            ContenderError: It failed, or does not answer.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"run {seconds}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ContenderError(self._last_words()) from error
        return self._answer(seconds + GRACE_S)

    def close(self) -> None:
        """End it; further calls do nothing."""
        process = self._process
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._errors.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, limit_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        killer = threading.Timer(limit_s, self._process.kill)
        killer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            is_late = not killer.is_alive()
            killer.cancel()
            killer.join()
        if not line:
            raise ContenderError(f"does not answer within {limit_s:g} s" if is_late else self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContenderError(str(answer["error"]))
        return answer

    def _last_words(self) -> str:
        self._process.wait(GRACE_S)
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1] if lines else f"ended with exit status {self._process.returncode}"
