"""Which files a job has: folders, globs and lists opened up, addresses of object stores included."""

from __future__ import annotations

import functools
import glob
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from keepbusy.batch.logins import Logins
from keepbusy.batch.remote import is_remote, list_remote
from keepbusy.batch.units import Entry
from keepbusy.errors import SourceError, reason_of
from keepbusy.files.paths import FileId
from keepbusy.sources.listing import LIST_SUFFIXES, beside_list, list_entries, list_folder, list_glob
from keepbusy.texts import line_name, shortened, valid_text, without_secrets

log = logging.getLogger("keepbusy")

_HINT = (
    "give videos, pictures, folders, quoted globs, lists (.txt), or addresses of an object store (s3://bucket/clips/)"
)


_LOCAL_SCHEMES = frozenset({"file", "local"})
"""What fsspec calls this machine's own files."""


def list_files(sources: Iterable[str | Path], logins: Logins, outside: Path) -> list[Entry]:
    """The files that some sources name, in their order, each once.

    Args:
        sources: The sources.
        logins: Where the logins of addresses are kept.
        outside: A folder whose files are left out: the job's own.

    Raises:
        SourceError: One names nothing, or no files.
    """
    found: dict[FileId | str, Entry] = {}
    num_twice, example = 0, ""
    own_folder = f"{os.path.realpath(outside)}{os.sep}"
    real_folder = functools.cache(os.path.realpath)
    for source in sources:
        for identity, entry in _entries_of(str(source), logins):
            if f"{real_folder(os.path.dirname(entry.location))}{os.sep}".startswith(own_folder):
                log.info("%s: is in the folder of the results, and left out", line_name(entry.name))
                continue
            if identity in found:
                num_twice, example = num_twice + 1, entry.name
            found.setdefault(identity, entry)
    if num_twice:
        log.warning(
            "%d file%s named twice, and done once: %s",
            num_twice,
            " is" if num_twice == 1 else "s are",
            shortened(example),
        )
    return list(found.values())


def local_entry(path: Path, name: str) -> tuple[FileId, Entry]:
    """A file of this machine, and which it is.

    Raises:
        SourceError: It cannot be looked at.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {reason_of(error)}") from error
    stamp = str(status.st_mtime_ns)
    return (status.st_dev, status.st_ino), Entry(valid_text(name), os.path.abspath(path), status.st_size, stamp)


def is_gone(entry: Entry) -> bool:
    """Whether a file of this machine is gone: not merely a disk that does not answer, or a folder without rights."""
    if is_remote(entry.location):
        return False
    try:
        os.stat(entry.location)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _entries_of(text: str, logins: Logins) -> Iterator[tuple[FileId | str, Entry]]:
    scheme, sign, rest = text.partition("://")
    if sign and scheme.lower() in _LOCAL_SCHEMES:
        text = rest
    if is_remote(text):
        if scheme.lower() == "memory":
            raise SourceError(f"{text}: is in this process's memory, and other processes read it", hint=_HINT)
        yield from ((entry.location, entry) for entry in list_remote(text, logins))
        return
    for path in _paths_of(text):
        yield local_entry(path, str(path))


def _paths_of(text: str) -> Iterator[Path]:
    if "://" in text or text == "-" or text.startswith("synth:"):
        raise SourceError(f"{without_secrets(text)}: is no file, and a batch goes through files", hint=_HINT)
    path = Path(text if os.path.lexists(text) else os.path.expanduser(text))
    if os.path.isdir(path):
        yield from list_folder(path)
    elif path.suffix.lower() in LIST_SUFFIXES and os.path.isfile(path):
        for entry in list_entries(path):
            inner = beside_list(path.parent, entry)
            if Path(inner).suffix.lower() in LIST_SUFFIXES:
                raise SourceError(f"{path}: line {entry.number}: {inner}: a list cannot hold another list")
            yield from _paths_of(inner)
    elif os.path.isfile(path):
        yield path
    elif glob.has_magic(text) and not os.path.lexists(path):
        for match in list_glob(os.path.expanduser(text)):
            yield from _paths_of(str(match)) if match.suffix.lower() in LIST_SUFFIXES else [match]
    else:
        what = "is no file" if os.path.lexists(path) else "no such file or folder"
        raise SourceError(f"{shortened(text)}: {what}", hint=_HINT)
