"""What a folder, a glob or a list of sources holds."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from keepbusy.errors import SourceError, reason_of
from keepbusy.files import FileId, file_id, files_below, natural_key, read_text
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

    def refuse(error: OSError) -> None:
        raise SourceError(f"{folder}: cannot be listed: {error.strerror}") from error

    found = files_below(folder, is_deep=False, on_error=refuse)
    files = sorted((path for path in found if path.is_file()), key=natural_key)
    wanted = [path for path in files if _is_media(path)]
    _tell_left_out(
        str(folder),
        [path for path in files if not _is_media(path)],
        none="" if wanted else "has no pictures or videos in it",
        hint="sub-folders are not searched; use a glob such as 'folder/**/*.jpg' for that",
    )
    return wanted


def list_glob(pattern: str) -> list[Path]:
    """The files that match a pattern, in natural order, each once however many links lead to it.

    Hidden files and folders are matched only by a part of the pattern that begins with a dot itself. Files that are
    neither pictures nor videos by their ending are taken where the pattern names the ending; otherwise they are
    reported and left out.

    Raises:
        SourceError: There are none.
    """
    is_taken = (lambda _path: True) if _names_ending(pattern) else _is_media
    found = (Path(match) for match in glob.iglob(pattern, recursive=True))
    seen: set[FileId] = set()
    files: list[Path] = []
    # Of several names of a file, one that is taken comes first.
    for path in sorted(found, key=lambda path: (not is_taken(path), _by_depth(path))):
        identity = file_id(path)
        if identity is None or identity in seen or not path.is_file():
            continue
        seen.add(identity)
        files.append(path)
    if not files:
        raise SourceError(f"{pattern}: matches no file", hint="quote the pattern, and check the folder in it")
    files.sort(key=natural_key)
    wanted = [path for path in files if is_taken(path)]
    _tell_left_out(
        pattern,
        [path for path in files if not is_taken(path)],
        none="" if wanted else "matches no pictures or videos",
        hint="files with other endings are tried where the pattern names the ending, as in '*.dav'",
    )
    return wanted


def _is_media(path: Path) -> bool:
    return is_picture(path) or path.suffix.lower() in VIDEO_SUFFIXES


def _names_ending(pattern: str) -> bool:
    """Whether all files that match have the same ending, or the same name: `*.dav` and `clip`, not `*` or `clip.*`."""
    return "*" not in os.path.basename(pattern).rpartition(".")[2]


def _tell_left_out(name: str, left_out: Sequence[Path], *, none: str, hint: str) -> None:
    """Report the files that are neither pictures nor videos; as an error where there are no others.

    Args:
        name: The folder or pattern.
        left_out: The files.
        none: What to say where there are no other files; empty where there are.
        hint: What to do in that case.
    """
    if none:
        seen = f" ({_some(left_out)} are neither)" if left_out else ""
        raise SourceError(f"{name}: {none}{seen}", hint=hint)
    if left_out:
        log.warning(
            "%s: %d files are neither pictures nor videos and are left out: %s", name, len(left_out), _some(left_out)
        )


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
