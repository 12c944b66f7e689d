"""What a folder of a batch says of itself, without touching it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from keepbusy.batch.folder import is_locked
from keepbusy.batch.manifest import Work
from keepbusy.batch.progress import Progress, progress_of
from keepbusy.batch.results import state_of
from keepbusy.batch.schema import arrow
from keepbusy.batch.shards import is_whole, shard_path

_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A batch as its folder has it.

    Attributes:
        progress: How far it is.
        settings: What was given, and what results depend on, as the manifest has it.
        is_running: Whether a job works in the folder at this moment.
        num_runs: How often it was begun or continued.
        failed_frames: The first hundred frames that failed.
        damaged: The files whose shards are damaged or gone; the same command does them again.
    """

    progress: Progress
    settings: dict[str, Any]
    is_running: bool
    num_runs: int
    damaged: tuple[str, ...]
    failed_frames: tuple[FailedFrame, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedFrame:
    """A frame that has no detections because something failed.

    Attributes:
        name: Its file.
        index: Its place in a video; None for pictures.
        reason: Why.
    """

    name: str
    index: int | None
    reason: str


def read_status(folder: str | Path, *, reads_all: bool = False) -> Status:
    """What has become of a batch so far. May be asked for while it goes on.

    Args:
        folder: The batch's.
        reads_all: Whether every shard is read and compared with its checksum; otherwise only those that have changed
            since they were written.

    Raises:
        ConfigError: There is no batch in the folder.
        KeepbusyError: Its manifest is damaged, or from a newer version.
    """
    place, state = state_of(folder)
    done = [work for work in state.work.values() if work.state == "done"]
    return Status(
        progress=progress_of(state),
        settings=state.settings,
        is_running=is_locked(place),
        num_runs=state.num_runs,
        damaged=tuple(
            work.unit.name for work in done if not is_whole(place, work.shard, work.files, reads_all=reads_all)
        ),
        failed_frames=tuple(islice(_failed_frames(place, done), _SHOWN)),
    )


def _failed_frames(folder: Path, done: Iterable[Work]) -> Iterator[FailedFrame]:
    """The frames that failed, from the shards that have some; a shard that cannot be read is told as damaged."""
    arrow()
    import pyarrow
    import pyarrow.parquet

    for work in done:
        if not work.num_errors:
            continue
        try:
            table = pyarrow.parquet.read_table(
                shard_path(folder, "frames", work.shard), columns=["source", "index", "error"]
            )
        except (OSError, pyarrow.ArrowException):
            continue
        for row in table.filter(table["error"].is_valid()).to_pylist():
            index = row["index"] if work.unit.kind == "video" else None
            yield FailedFrame(name=row["source"], index=index, reason=row["error"]["message"])
