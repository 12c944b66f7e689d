"""What a folder of a batch says of itself, without touching it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepbusy.batch.folder import is_locked
from keepbusy.batch.progress import Progress, progress_of
from keepbusy.batch.results import state_of
from keepbusy.batch.shards import is_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A batch as its folder has it.

    Attributes:
        progress: How far it is.
        settings: What was given, and what results depend on, as the manifest has it.
        is_running: Whether a job works in the folder at this moment.
        num_runs: How often it was begun or continued.
        damaged: The files whose shards are damaged or gone; the same command does them again.
    """

    progress: Progress
    settings: dict[str, Any]
    is_running: bool
    num_runs: int
    damaged: tuple[str, ...]


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
    )
