"""Files and folders that one process at a time works with."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from keepbusy.errors import KeepbusyError

LOOK_S = 1.0
"""Whoever only looks whether there is a lock, or is just ending, has it for a moment."""


def lock_file(path: Path, in_use: KeepbusyError) -> FileLock:
    """Lock a file, which is made where it is not there; the lock is the caller's to release.

    Args:
        path: The file that is locked.
        in_use: Raised where another process has it.

    Raises:
        KeepbusyError: `in_use`.
        OSError: It cannot be locked.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=LOOK_S)
    except Timeout as error:
        raise in_use from error
    return lock
