"""Results as JSON Lines: one record for each frame, as soon as it is there."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from keepbusy.files.whole import write_all, write_error
from keepbusy.records import record
from keepbusy.sinks.base import Sink, StopRun
from keepbusy.sinks.naming import check_file, check_stdout
from keepbusy.values.result import Result
from keepbusy.values.streams import Outcome, StreamInfo


class JsonLines(Sink):
    """Writes one record a frame, each flushed, so that readers may follow and nothing is lost when a run dies.

    Records are UTF-8 whatever the locale is; on a terminal all but ASCII is written out (`\\u009b`), since names may
    have characters in them that control it. A record that does not fit on the disk is cut off again: what is in the
    file are whole records.

    Args:
        path: The file, overwritten; `-` for standard output.

    Raises:
        SinkError: The file cannot be made, or standard output is closed.
    """

    def __init__(self, path: str | Path) -> None:
        self._name = str(path)
        self.name = "standard output" if self._name == "-" else self._name
        self._file: io.FileIO | None = None
        self._end = 0
        self._streams: dict[int, str] = {}
        if self._name == "-":
            check_stdout("-")
            return
        check_file(Path(path))
        try:
            self._file = io.FileIO(path, "w")
        except OSError as error:
            raise write_error(path, error) from error

    def begin(self, stream: StreamInfo) -> None:
        if stream.name != stream.source:
            self._streams[stream.id] = stream.name

    def end(self, stream: StreamInfo, outcome: Outcome) -> None:
        self._streams.pop(stream.id, None)

    def write(self, result: Result) -> None:
        is_shown = self._is_terminal()
        content = record(result, self._streams.get(result.frame.source_id, ""))
        line = json.dumps(content, ensure_ascii=is_shown, separators=(",", ":")) + "\n"
        if is_shown:
            line = line.replace("\x7f", "\\u007f")
        try:
            if self._file is None:
                _print(line)
            else:
                self._append(self._file, line.encode())
        except BrokenPipeError as error:
            raise StopRun from error
        except OSError as error:
            raise write_error(self._name, error) from error

    def _is_terminal(self) -> bool:
        file = sys.stdout if self._file is None else self._file
        try:
            return file.isatty()
        except (AttributeError, ValueError):  # Somebody's own stream, or a closed one.
            return False

    def _append(self, file: io.FileIO, content: bytes) -> None:
        try:
            write_all(file, content)
        except OSError:
            # What is no file (a pipe, a device) cannot be cut.
            with suppress(OSError):
                os.ftruncate(file.fileno(), self._end)
                file.seek(self._end)
            raise
        self._end += len(content)

    def close(self) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:
            raise write_error(self._name, error) from error


def _print(line: str) -> None:
    """Write a line to standard output as UTF-8: its own encoding is the locale's."""
    binary: BinaryIO | None = getattr(sys.stdout, "buffer", None)
    if binary is None:
        # Somebody put a stream of text in its place.
        sys.stdout.write(line)
    else:
        sys.stdout.flush()
        binary.write(line.encode())
    sys.stdout.flush()
