"""What a folder, a glob or a list of sources holds."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from keepbusy.errors import SourceError, reason_of
from keepbusy.files.endings import is_picture
from keepbusy.files.paths import FileId, file_id, files_below, natural_key, read_text

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

    found = sorted(files_below(folder, is_deep=False, on_error=refuse), key=natural_key)
    files = [path for path in found if os.path.isfile(path)]
    wanted = [path for path in files if is_media(path)]
    _tell_no_files(str(folder), [path for path in found if not os.path.isfile(path)])
    _tell_left_out(
        str(folder),
        [path for path in files if not is_media(path)],
        none="" if wanted else "has no pictures or videos in it",
        hint="give files with other endings by their names; a glob such as 'folder/**/*.jpg' searches sub-folders",
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
    is_taken = (lambda _path: True) if _names_ending(pattern) else is_media
    found = [Path(match) for match in glob.iglob(pattern, recursive=True)]
    no_files = {path for path in found if not os.path.isfile(path) and not os.path.isdir(path)}
    _tell_no_files(pattern, sorted(no_files, key=natural_key))
    seen: set[FileId] = set()
    files: list[Path] = []
    # Of several names of a file, one that is taken comes first.
    for path in sorted(found, key=lambda path: (not is_taken(path), _by_depth(path))):
        identity = file_id(path)
        if identity is None or identity in seen or not os.path.isfile(path):
            continue
        seen.add(identity)
        files.append(path)
    if not files:
        raise SourceError(
            f"{pattern}: matches no file",
            hint="check its folder and the case of its letters; '**' stands for sub-folders",
        )
    files.sort(key=natural_key)
    wanted = [path for path in files if is_taken(path)]
    _tell_left_out(
        pattern,
        [path for path in files if not is_taken(path)],
        none="" if wanted else "matches no pictures or videos",
        hint="files with other endings are tried where the pattern names the ending, as in '*.dav'",
    )
    return wanted


def is_media(path: Path) -> bool:
    """Whether a listing takes a file for a picture or a video, by the ending of its name."""
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
        seen = f" (by their endings these are neither: {_some(left_out)})" if left_out else ""
        raise SourceError(f"{name}: {none}{seen}", hint=hint)
    if left_out:
        log.warning(
            "%s: left out are %d files that by their endings are neither pictures nor videos: %s",
            name,
            len(left_out),
            _some(left_out),
        )


def _tell_no_files(name: str, paths: Sequence[Path]) -> None:
    """Report what cannot be read: links that lead nowhere, and what is no file (FIFOs, sockets)."""
    broken = [path for path in paths if not os.path.exists(path)]
    for what, some in (
        ("links that lead nowhere", broken),
        ("that are no files", [one for one in paths if one not in broken]),
    ):
        if some:
            log.warning("%s: left out are %d %s: %s", name, len(some), what, _some(some))


class Entry(NamedTuple):
    """A line of a list of sources.

    Attributes:
        text: The source.
        number: Its line, from 1.
    """

    text: str
    number: int

    @property
    def is_empty(self) -> bool:
        """Whether the line names nothing."""
        return not self.text or self.text.startswith("#")

    @property
    def without_comment(self) -> str:
        """The source, as far as the first `#` behind a space."""
        return _unquoted(re.split(r"\s+#", self.text, maxsplit=1)[0])

    def spellings(self) -> list[str]:
        """What the line may mean, the likeliest first.

        A `#` behind a space begins a comment, unless there is a file with that name. Lists written on Windows have
        backslashes for slashes.
        """
        texts = (_unquoted(self.text), self.without_comment)
        return list(dict.fromkeys(spelling for text in texts for spelling in (text, text.replace("\\", "/"))))


def list_entries(path: Path) -> list[Entry]:
    """The entries of a list of sources: one a line, `#` for comments, quotes around a line taken off.

    Raises:
        SourceError: It cannot be read, or lists nothing.
    """
    try:
        lines = [Entry(line.strip(), number) for number, line in enumerate(read_text(path).splitlines(), 1)]
    except (OSError, ValueError) as error:
        cause = reason_of(error)
        raise SourceError(
            f"{path}: cannot be read as a list of sources: {cause}",
            hint="a list is UTF-8 text, one source per line",
        ) from error
    entries = [line for line in lines if not line.is_empty]
    if not entries:
        raise SourceError(f"{path}: lists no sources", hint="write one file, folder or glob a line")
    return entries


def beside_list(folder: Path, entry: Entry) -> str:
    """An entry of a list as a source: relative paths are looked for beside the list first, then where the program runs.

    Args:
        folder: The list's.
        entry: The entry. Where nothing is found, it is what stands before a comment.
    """
    if entry.text.startswith("synth:") or "://" in entry.text:
        return entry.without_comment
    for spelling in entry.spellings():
        beside = folder / spelling
        if os.path.exists(beside) or (glob.has_magic(spelling) and not os.path.exists(spelling)):
            return str(beside)
        if os.path.exists(spelling):
            return spelling
    return entry.without_comment


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
