"""What a folder, a glob or a list of sources holds."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from keepbusy.errors import SourceError, reason_of
from keepbusy.files import file_id, is_hidden, natural_key, read_text
from keepbusy.sources.images import is_picture

log = logging.getLogger("keepbusy")

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".apng", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
"""Endings that count as videos when a folder is listed; a file named directly may have any."""

LIST_SUFFIXES = frozenset({".txt", ".streams"})

MAX_NAMED = 3
"""So many of the files that are left out are named."""


def list_folder(folder: Path) -> list[Path]:
    """The pictures and videos of a folder, in natural order; hidden files are passed over, others reported.

    Raises:
        SourceError: It cannot be read, or has neither pictures nor videos in it.
    """
    try:
        files = sorted((path for path in folder.iterdir() if path.is_file() and not is_hidden(path)), key=natural_key)
    except OSError as error:
        raise SourceError(f"{folder}: cannot be listed: {error.strerror}") from error
    wanted = [path for path in files if is_picture(path) or path.suffix.lower() in VIDEO_SUFFIXES]
    is_wanted = set(wanted)
    left_out = [path for path in files if path not in is_wanted]
    if not wanted:
        seen = f" ({_some(left_out)} are neither)" if left_out else ""
        raise SourceError(
            f"{folder}: has no pictures or videos in it{seen}",
            hint="sub-folders are not searched; use a glob such as 'folder/**/*.jpg' for that",
        )
    if left_out:
        log.warning(
            "%s: %d files are neither pictures nor videos and are left out: %s", folder, len(left_out), _some(left_out)
        )
    return wanted


def list_glob(pattern: str) -> list[Path]:
    """The files that match a pattern, in natural order, each once however many links lead to it; none that is hidden.

    Raises:
        SourceError: There are none.
    """
    found = sorted((Path(match) for match in glob.iglob(pattern, recursive=True)), key=_by_depth)
    seen: set[tuple[int, int]] = set()
    files: list[Path] = []
    for path in found:
        identity = file_id(path)
        if identity is None or identity in seen or is_hidden(path) or not path.is_file():
            continue
        seen.add(identity)
        files.append(path)
    if not files:
        raise SourceError(f"{pattern}: matches no file", hint="quote the pattern, and check the folder in it")
    return sorted(files, key=natural_key)


def list_entries(path: Path) -> list[str]:
    """The entries of a list of sources: one a line, `#` for comments, quotes around a line taken off.

    Raises:
        SourceError: It cannot be read, or lists nothing.
    """
    try:
        lines = [line.strip() for line in read_text(path).splitlines()]
    except (OSError, ValueError) as error:
        cause = reason_of(error)
        raise SourceError(
            f"{path}: cannot be read as a list of sources: {cause}",
            hint="a list is UTF-8 text, one source per line",
        ) from error
    entries = [_unquoted(line) for line in lines if line and not line.startswith("#")]
    if not entries:
        raise SourceError(f"{path}: lists no sources", hint="write one file, folder or glob a line")
    return entries


def _unquoted(line: str) -> str:
    is_quoted = len(line) > 2 and line[0] == line[-1] and line[0] in "\"'"
    return line[1:-1] if is_quoted else line


def _by_depth(path: Path) -> tuple[int, str]:
    """The shortest way to a file first: links in circles lead to it by longer ones."""
    return (len(path.parts), os.fspath(path))


def _some(paths: Iterable[Path]) -> str:
    names = [path.name for path in paths]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
