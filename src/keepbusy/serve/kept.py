"""Streams that clients have added, kept in a file for the next start."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from keepbusy.errors import KeepbusyError, reason_of
from keepbusy.files.parsing import TextError, parse_json
from keepbusy.files.paths import read_text
from keepbusy.files.whole import write_whole
from keepbusy.serve.load import SettingsError, check_stream
from keepbusy.serve.settings import StreamSettings
from keepbusy.sinks.naming import beside_earlier


class KeptError(KeepbusyError):
    """The file cannot be read or written, or has something else in it."""


class Kept:
    """The file. Not thread-safe.

    Args:
        path: Where it is; None where nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._last = ""

    def read(self) -> list[StreamSettings]:
        """The streams that were there the last time; none where there is no file.

        Raises:
            KeptError: It cannot be read. It is put aside, and stays.
        """
        path = self._path
        if path is None or not os.path.exists(path):
            return []
        try:
            found = parse_json(read_text(path))
            if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
                raise TextError("it has no list of streams in it")
            streams = [check_stream(one) for one in found]
        except (OSError, ValueError, TextError, SettingsError) as error:
            raise KeptError(f"{path}: the streams that were added cannot be read: {self._set_aside(error)}") from error
        return streams

    def write(self, streams: Sequence[StreamSettings]) -> None:
        """Keep these, and no others. Their addresses may have passwords in them: only its owner may read the file.

        Raises:
            SinkError: It cannot be written; what was there before is still there.
        """
        text = json.dumps([one.model_dump(mode="json", exclude_unset=True) for one in streams], indent=1)
        if self._path is not None and text != self._last:
            write_whole(self._path, f"{text}\n", is_secret=True)
            self._last = text

    def _set_aside(self, error: Exception) -> str:
        assert self._path is not None  # nosec B101 # for mypy
        reason = error.lines[0] if isinstance(error, SettingsError) else reason_of(error)
        aside = beside_earlier(self._path)
        try:
            os.rename(self._path, aside)
        except OSError as not_moved:
            return f"{reason}; it cannot be put aside either: {reason_of(not_moved)}"
        return f"{reason}; it is {aside.name} now"
