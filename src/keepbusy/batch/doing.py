"""One unit on its way: its rows are gathered, written, and become a shard when its last frame is done."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keepbusy.batch.files import is_gone
from keepbusy.batch.inputs import ChangedError, Opened, check_unchanged
from keepbusy.batch.rows import Rows
from keepbusy.batch.shards import ShardWriter
from keepbusy.errors import KeepbusyError, SourceError
from keepbusy.values.result import Result

_FRAMES_AT_ONCE = 2000
_DETECTIONS_AT_ONCE = 20_000
"""Rows that are written together: some megabytes, which is what a unit takes of memory."""


class Doing:
    """A unit that is being done. Its rows are written by another thread than the one that hands over results.

    Args:
        opened: The unit.
        folder: The job's.
        run_number: Which run of the job this is.
        writing: The thread that writes.

    Raises:
        SinkError: Its shard cannot be begun.
    """

    def __init__(self, opened: Opened, folder: Path, run_number: int, writing: ThreadPoolExecutor) -> None:
        self.unit = opened.unit
        self.shard = f"{self.unit.id:06d}-{run_number}"
        self.num_frames = self.num_detections = self.num_errors = 0
        self._opened = opened
        self._has_odd_size = False
        self._last_error = ""
        self._missing: list[int] = []
        self._begin_s = time.monotonic()
        self._rows = Rows()
        self._writer = ShardWriter(folder, self.shard, self.unit.id)
        self._writing = writing
        self._written: Future[None] | None = None

    def add(self, result: Result) -> None:
        """Take the next result.

        Raises:
            SinkError: Earlier rows could not be written.
        """
        frame, unit = result.frame, self.unit
        is_picture = unit.kind == "pictures"
        name = unit.files[frame.index if is_picture else 0].name
        self._rows.add(result, name, 0 if is_picture else frame.index)
        self.num_frames += 1
        self.num_detections += len(result.detections)
        if result.error is not None:
            self.num_errors += 1
            self._last_error = result.error.reason
            if is_picture and is_gone(unit.files[frame.index]):
                self._missing.append(frame.index)
        elif frame.shape_hw not in self._opened.sizes:
            self._has_odd_size = True
        if self._rows.num_frames >= _FRAMES_AT_ONCE or self._rows.num_detections >= _DETECTIONS_AT_ONCE:
            self._write()

    def _write(self) -> None:
        columns = self._rows.take()
        if self._written is not None:
            self._written.result()  # One lot waits, no more.
        self._written = self._writing.submit(self._writer.write, columns)

    def finish(self) -> tuple[Any, ...]:
        """The last frame is done: make the shard, and say what has become of the unit; in the thread that writes."""
        unit = self.unit
        try:
            if self._written is not None:
                self._written.result()
            if unit.kind == "video" and self.num_errors and self.num_errors == self.num_frames:
                return self._given_up("failed", self._last_error)
            if self._has_odd_size and not unit.is_alone:
                # The input's shape for a size that was not expected depends on what the pipeline has met before.
                return self._given_up("alone")
            try:
                check_unchanged(unit)
            except ChangedError as error:
                return self._given_up("changed", error.entries)
            except SourceError as error:
                return self._given_up("failed", error.message)
            self._writer.write(self._rows.take())
            files = self._writer.finish()
            return ("done", unit.id, self.shard, files, self._facts())
        except BaseException:
            self._writer.discard()
            raise
        finally:
            self._opened.remove()

    def discard(self) -> None:
        """The unit was broken off."""
        if self._written is not None:
            self._written.cancel()
        self._writer.discard()
        self._opened.remove()

    def _given_up(self, what: str, *more: Any) -> tuple[Any, ...]:
        self._writer.discard()
        return (what, self.unit.id, *more)

    def _facts(self) -> dict[str, Any]:
        ends = self._opened.ends
        return {
            "frames": self.num_frames,
            "detections": self.num_detections,
            "errors": self.num_errors,
            "seconds": round(time.monotonic() - self._begin_s, 3),
            **({"proof": asdict(ends)} if ends is not None else {}),
            **({"missing": self._missing} if self._missing else {}),
        }


def reason_of_unit(error: Exception) -> str:
    """Why a unit could not be opened, for the manifest."""
    return error.message if isinstance(error, KeepbusyError) else f"{type(error).__name__}: {error}"
