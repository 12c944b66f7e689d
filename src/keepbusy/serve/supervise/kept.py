"""Streams that clients have added, kept in a file for the next start."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from keepbusy.errors import ConfigError, KeepbusyError, reason_of
from keepbusy.files.locks import lock_file
from keepbusy.files.parsing import TextError, parse_json
from keepbusy.files.paths import read_text
from keepbusy.files.whole import write_whole
from keepbusy.serve.configuration.load import SettingsError, check_stream
from keepbusy.serve.configuration.settings import StreamSettings
from keepbusy.sinks.naming import beside_earlier

MARK = "keepbusy_streams"
"""The file's only key: what else is in a file is somebody else's."""

_HEAD = re.compile(rb'\A(\xef\xbb\xbf)?\s*\{\s*"' + MARK.encode() + rb'"|\A\0+\Z')
"""What a file of ours begins with, damaged or not; after a loss of power there may be nothing but zeros."""

_HEAD_BYTES = 4096


class KeptError(KeepbusyError):
    """The file cannot be read or written, or has something else in it."""


class NotOursError(ConfigError):
    """The file is somebody else's, or another server keeps its streams in it."""


def check_ours(path: Path) -> None:
    """See that a file for streams is one of ours, or empty, or not there. Nothing is moved or written.

    Raises:
        NotOursError: It is not.
    """
    if not os.path.lexists(path):
        return
    if os.path.exists(path) and not os.path.isfile(path):
        raise NotOursError(f"{path}: is no file", hint="name a file that is not there yet")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:  # A link that leads nowhere yet.
        return
    except (OSError, ValueError) as error:
        raise NotOursError(f"{path}: cannot be read: {reason_of(error)}", hint="name another file") from error
    if head and not _HEAD.match(head):
        raise NotOursError(f"{path}: is there, and no file of added streams", hint="name a file that is not there yet")


class Kept:
    """The file. Not thread-safe.

    Args:
        path: Where it is; None where nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._last = ""
        self._lock: FileLock | None = None

    def open(self) -> None:
        """Have the file for oneself until it is closed.

        Raises:
            NotOursError: It is somebody else's, or another server has it.
            KeptError: It cannot be locked.
        """
        if self._path is None:
            return
        check_ours(self._path)
        place = Path(os.path.realpath(self._path))
        in_use = NotOursError(
            f"server.state_file: {self._path}: another server keeps its streams in it",
            hint="give each server a file of its own",
        )
        try:
            self._lock = lock_file(place.with_name(f".{place.name}.lock"), in_use)
        except OSError as error:
            raise KeptError(f"{self._path}: cannot be locked: {reason_of(error)}") from error

    def close(self) -> None:
        """Leave it to others; further calls do nothing."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            with suppress(OSError):
                lock.release()

    def read(self) -> list[StreamSettings]:
        """The streams that were there the last time; none where there is no file, or an empty one.

        Raises:
            NotOursError: It is somebody else's, and stays as it is.
            KeptError: It cannot be read. It is put aside, and stays.
        """
        path = self._path
        if path is None or not os.path.exists(path):
            return []
        check_ours(path)
        try:
            text = read_text(path)
            found = parse_json(text) if text else {MARK: []}
            kept = found.get(MARK) if isinstance(found, dict) else None
            if not isinstance(kept, list) or not all(isinstance(one, dict) for one in kept):
                raise TextError("it has no list of streams in it")
            streams = [check_stream(one) for one in kept]
        except (OSError, ValueError, TextError, SettingsError) as error:
            raise KeptError(f"{path}: the streams that were added cannot be read: {self._set_aside(error)}") from error
        return streams

    def write(self, streams: Sequence[StreamSettings]) -> None:
        """Keep these, and no others. Their addresses may have passwords in them: only its owner may read the file.

        Raises:
            NotOursError: Somebody else's file has come to its place, and stays.
            SinkError: It cannot be written; what was there before is still there.
        """
        kept = [one.model_dump(mode="json", exclude_unset=True) for one in streams]
        text = json.dumps({MARK: kept}, indent=1)
        if self._path is not None and text != self._last:
            check_ours(self._path)
            write_whole(self._path, f"{text}\n", is_secret=True)
            self._last = text

    def _set_aside(self, error: Exception) -> str:
        assert self._path is not None  # nosec B101 # for mypy
        reason = error.lines[0] if isinstance(error, SettingsError) else reason_of(error)
        place = Path(os.path.realpath(self._path))
        aside = beside_earlier(place)
        try:
            os.rename(place, aside)
        except OSError as not_moved:
            return f"{reason}; it cannot be put aside either: {reason_of(not_moved)}"
        return f"{reason}; it is {aside} now"
