"""Shards on disk: written whole under a name of their own, or not at all.

The order is: both tables under temporary names, fsync of each, rename, fsync of the folders. Only then does the
manifest name them (`manifest.py`): what a crash leaves before that belongs to no one, and is removed by the next run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepbusy.batch.rows import Columns
from keepbusy.batch.schema import SCHEMA_VERSION, TABLES, arrow, schemas
from keepbusy.errors import SinkError, reason_of
from keepbusy.files.whole import write_error
from keepbusy.version import __version__

SUFFIX = ".parquet"
_PART = ".part"
_OWN_NAME = re.compile(r"\d{6,}-\d+\.parquet|\.\d{6,}-\d+\.part")
"""What a batch calls its shards, whole and while they are written."""


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One table of a shard, as it was when it was finished.

    Attributes:
        size_bytes: Its length.
        checksum: BLAKE2b of its content, 16 bytes, in hexadecimal digits.
        mtime_ns: When it was last changed: one that still has this time and length is not read to be checked.
    """

    size_bytes: int
    checksum: str
    mtime_ns: int


def shard_path(folder: Path, table: str, shard: str) -> Path:
    """Where a table of a shard is.

    Args:
        folder: The job's.
        table: `detections` or `frames`.
        shard: The shard's name.
    """
    return folder / table / f"{shard}{SUFFIX}"


class ShardWriter:
    """Writes the two tables of one unit. Used by one thread at a time.

    Args:
        folder: The job's, in which the folders of the tables are.
        shard: What the shard is called.
        unit_id: Whose it is, written into the files.

    Raises:
        SinkError: It cannot be written.
    """

    def __init__(self, folder: Path, shard: str, unit_id: int) -> None:
        self._folder = folder
        self._shard = shard
        self._writers: dict[str, Any] = {}
        self._parts: dict[str, Path] = {}
        pa = arrow()
        about = {"format": "keepbusy-batch", "schema": SCHEMA_VERSION, "unit": unit_id, "keepbusy": __version__}
        self._schemas = {
            table: schema.with_metadata({b"keepbusy": json.dumps(about).encode()})
            for table, schema in schemas().items()
        }
        try:
            for table, schema in self._schemas.items():
                part = shard_path(folder, table, f".{shard}").with_suffix(_PART)
                part.unlink(missing_ok=True)
                self._parts[table] = part
                self._writers[table] = pa.parquet.ParquetWriter(
                    str(part), schema, compression="zstd", write_page_checksum=True
                )
        except (OSError, pa.ArrowException) as error:
            self.discard()
            raise _failed(folder, error) from error

    def write(self, columns: Mapping[str, Columns]) -> None:
        """Write rows of both tables.

        Raises:
            SinkError: They cannot be written.
        """
        pa = arrow()
        try:
            for table, values in columns.items():
                if values["source"]:
                    rows = pa.Table.from_pydict(values, schema=self._schemas[table])
                    self._writers[table].write_table(rows, row_group_size=rows.num_rows)
        except (OSError, pa.ArrowException) as error:
            self.discard()
            raise _failed(self._folder, error) from error

    def finish(self) -> dict[str, ShardFile]:
        """Have both tables on the disk under their names.

        Raises:
            SinkError: They cannot be written.
        """
        pa = arrow()
        try:
            for writer in self._writers.values():
                writer.close()
            found = {table: _sync(part) for table, part in self._parts.items()}
            for table, part in self._parts.items():
                os.replace(part, shard_path(self._folder, table, self._shard))
            for table in self._parts:
                sync_folder(self._folder / table)
            return found
        except (OSError, pa.ArrowException) as error:
            self.discard()
            raise _failed(self._folder, error) from error

    def discard(self) -> None:
        """Throw away what was written."""
        for writer in self._writers.values():
            with suppress(Exception):  # It has failed before, or its disk is full.
                writer.close()
        for part in self._parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)


def is_whole(folder: Path, shard: str, files: Mapping[str, ShardFile], *, reads_all: bool = False) -> bool:
    """Whether a shard is on the disk as it was finished.

    Args:
        folder: The job's.
        shard: The shard's name.
        files: What it was, by table.
        reads_all: Whether files whose length and time have not changed are read, too.
    """
    for table in TABLES:
        path, was = shard_path(folder, table, shard), files[table]
        try:
            status = path.stat()
            if status.st_size != was.size_bytes:
                return False
            is_new = status.st_mtime_ns != was.mtime_ns
            if (reads_all or is_new) and _checksum(path) != was.checksum:
                return False
        except OSError:
            return False
    return True


def remove_strays(folder: Path, shards: set[str]) -> int:
    """Remove what a crash has left, and the shards that nothing names any more; how many files that were.

    Files that no batch has named are left alone.

    Args:
        folder: The job's.
        shards: Those that the manifest names.
    """
    num_removed = 0
    for table in TABLES:
        for path in (folder / table).iterdir():
            if _OWN_NAME.fullmatch(path.name) and path.stem not in shards:
                with suppress(OSError):
                    path.unlink()
                    num_removed += 1
    return num_removed


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk; where folders cannot be opened (Windows), nothing is done.

    Raises:
        OSError: It fails.
    """
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _sync(path: Path) -> ShardFile:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        status = os.fstat(file.fileno())
    return ShardFile(status.st_size, _checksum(path), status.st_mtime_ns)


def _checksum(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _failed(folder: Path, error: Exception) -> SinkError:
    if isinstance(error, OSError) and error.strerror:
        reason = OSError(error.errno, os.strerror(error.errno)) if error.errno else error
        failed = write_error(folder, reason)
        failed.hint = (
            "is the disk full, or the folder read-only? What was done before is kept: the same command goes on"
        )
        return failed
    return SinkError(f"{folder}: a shard cannot be written: {reason_of(error)}")
