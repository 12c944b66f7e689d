"""The folder of a job: what is in it, and that one job at a time is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from keepbusy.batch.inputs import FETCHED, FETCHED_PREFIX
from keepbusy.batch.manifest import NAME, PART_NAME
from keepbusy.batch.schema import TABLES
from keepbusy.errors import ConfigError, KeepbusyError
from keepbusy.files.locks import lock_file
from keepbusy.files.whole import write_error

_LOCK = ".lock"


@contextmanager
def job_folder(folder: Path) -> Iterator[Path]:
    """A folder for one job, which nobody else works in meanwhile; its full path.

    Raises:
        ConfigError: It is a file, or has other things in it.
        KeepbusyError: Another job works in it.
        SinkError: It cannot be made or written to.
    """
    place = Path(os.path.abspath(folder))
    try:
        if os.path.lexists(place) and not os.path.isdir(place):
            raise ConfigError(f"{folder}: is no folder", hint="give a folder for the results with `output`")
        if os.path.isdir(place) and not os.path.lexists(place / NAME) and not _is_as_good_as_empty(place):
            raise ConfigError(
                f"{folder}: has other files in it, and no batch",
                hint="give a new folder, or an empty one, with `output`",
            )
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    with _only_one(place / _LOCK, folder):
        try:
            for name in (*TABLES, FETCHED):
                (place / name).mkdir(exist_ok=True)
        except OSError as error:
            raise write_error(folder, error) from error
        _clear(place / FETCHED)
        try:
            yield place
        finally:
            if not os.path.lexists(place / NAME):
                _leave(place)


@contextmanager
def _only_one(place: Path, folder: Path) -> Iterator[None]:
    in_use = KeepbusyError(
        f"{folder}: another batch is working in this folder",
        hint="wait for it, or give another folder; `keepbusy batch status` shows how far it is",
    )
    try:
        lock = lock_file(place, in_use)
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a job works in a folder at this moment."""
    place = folder / _LOCK
    if not os.path.isfile(place):
        return False
    lock = FileLock(place)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False  # A folder that may only be read.
    lock.release()
    return False


def existing_folder(folder: str | Path) -> Path:
    """The folder of a job that was begun.

    Raises:
        ConfigError: There is none.
    """
    place = Path(folder)
    if not os.path.isfile(place / NAME):
        what = "has no batch in it" if os.path.isdir(place) else "no such folder"
        raise ConfigError(f"{folder}: {what}", hint="give the folder that `keepbusy batch` was told to write to")
    return place


def _is_as_good_as_empty(folder: Path) -> bool:
    """Whether a folder has nothing in it but what a batch leaves that could not begin."""
    with os.scandir(folder) as found:
        for one in found:
            if one.name in TABLES and os.path.isdir(one) and not os.path.islink(one):
                if os.listdir(one):
                    return False
            elif one.name == FETCHED and os.path.isdir(one):
                if not all(name.startswith(FETCHED_PREFIX) for name in os.listdir(one)):
                    return False
            elif one.name not in (_LOCK, PART_NAME):
                return False
    return True


def _clear(folder: Path) -> None:
    """Remove what was fetched by a run that was killed; what else lies there is left alone."""
    with suppress(OSError):
        for one in folder.iterdir():
            if one.name.startswith(FETCHED_PREFIX):
                shutil.rmtree(one, ignore_errors=True)


def _leave(folder: Path) -> None:
    """Remove the empty folders of a job that could not begin. The lock stays: somebody may be waiting for it."""
    for name in (*TABLES, FETCHED):
        with suppress(OSError):
            (folder / name).rmdir()
