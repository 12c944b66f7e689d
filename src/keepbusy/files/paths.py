"""Files of other people: which of them count, in which order, what their text is, and whether two are one."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from keepbusy.errors import ConfigError

FileId = tuple[int, int]
"""Device and inode: the same for all names and links of one file."""


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """A folder that files are going to be written to.

    Attributes:
        path: The folder; it may not exist yet.
        writes: Whether a file of this name could be one that is written there.
        is_deep: Whether files are written to folders below it, too.
    """

    path: Path
    writes: Callable[[Path], bool]
    is_deep: bool = False

    def holds(self, path: Path) -> bool:
        """Whether a file, which may not exist yet, could be one that is written to the folder."""
        folder, place = (Path(os.path.normcase(os.path.realpath(one))) for one in (self.path, path))
        is_in = place.parent == folder or (self.is_deep and place.is_relative_to(folder))
        return is_in and place != folder and self.writes(place)


MAX_TEXT_BYTES = 1 << 26
"""Of lists, labels, names and reports. A list of a million pictures has about this size."""

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF16_ZEROS = 0.25
"""The share of ASCII letters from which on a text without a mark counts as UTF-16."""


def is_hidden(path: Path) -> bool:
    """Whether a listing passes over a file: its name begins with a dot (`._photo.jpg`, `.DS_Store`)."""
    return path.name.startswith(".")


def names_folder(place: str) -> bool:
    """Whether a name is a folder's, whatever is there: `out.mp4/`, and `out.mp4/.` as well."""
    head, last = os.path.split(place)
    return last in ("", ".", "..") and bool(head)


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sorts names as people count: `2.png` before `10.png`. Compared folder by folder."""
    parts: list[tuple[int, int, str]] = []
    for part in path.parts:
        for piece in re.split(r"([0-9]+)", part):
            parts.append((0, int(piece), piece) if piece.isascii() and piece.isdecimal() else (1, 0, piece))
        parts.append((-1, 0, ""))
    return tuple(parts)


def files_below(
    folder: Path,
    *,
    is_deep: bool = True,
    with_hidden: bool = False,
    on_error: Callable[[OSError], object] | None = None,
) -> Iterator[Path]:
    """The files in a folder, and whatever else is no folder, in no order.

    Links to folders are followed. A folder is entered once, by its own name rather than through a link.

    Args:
        folder: Where to begin; the paths begin with it.
        is_deep: Whether to enter the folders in it, too.
        with_hidden: Whether hidden files and folders count.
        on_error: Called where a folder cannot be read; by default it is passed over.
    """
    seen: set[FileId | None] = set()
    linked = [folder]
    while linked:
        for place, names, files in os.walk(linked.pop(0), onerror=on_error):
            here = Path(place)
            if (identity := file_id(here)) in seen:
                names.clear()
                continue
            seen.add(identity)
            yield from (path for path in map(here.joinpath, files) if with_hidden or not is_hidden(path))
            if not is_deep:
                return
            inner = [path for path in map(here.joinpath, names) if with_hidden or not is_hidden(path)]
            inner.sort(key=natural_key)
            linked += [path for path in inner if path.is_symlink()]
            names[:] = [path.name for path in inner if not path.is_symlink()]


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file that is not larger than it can be.

    Raises:
        OSError: It cannot be read.
        ValueError: It has more bytes, or no end; they are not read into memory.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= max_bytes else b""
        if len(content) > size:  # A device promises no bytes and has no end.
            content += file.read(max_bytes + 1 - len(content))
    if max(size, len(content)) > max_bytes:
        raise ValueError(f"the file has more than {max_bytes / (1 << 20):.4g} MiB")
    return content


def read_text(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The text of a UTF-8 file, with or without a byte order mark, whatever the locale is.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not UTF-8, or has more bytes; the message names UTF-16 where it is that, with or without a
            mark.
    """
    content = read_bytes(path, max_bytes)
    if _is_utf16(content):
        raise ValueError("the file is UTF-16, and UTF-8 is expected: save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is not UTF-8 (byte {error.start}): save it as UTF-8") from error


def _is_utf16(content: bytes) -> bool:
    """Whether a text is UTF-16: by its mark, or because many of its letters have a zero byte on the same side."""
    if content.startswith(_UTF16_MARKS):
        return True
    num_first, num_second = content[::2].count(0), content[1::2].count(0)
    return min(num_first, num_second) == 0 and max(num_first, num_second) > _UTF16_ZEROS * (len(content) // 2)


def beside(path: Path, name: str) -> Path:
    """A file of some name in the folder of another; where there is none, one that differs in its letters' case only.

    `Model.xml` with `model.BIN` comes from file systems on which they are the same name.
    """
    wanted = path.parent / name
    if os.path.exists(wanted):
        return wanted
    try:
        alike = sorted(one for one in path.parent.iterdir() if one.name.lower() == name.lower())
    except OSError:
        alike = []
    return alike[0] if alike else wanted


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        OSError: It cannot be read.
    """
    import hashlib  # Loads OpenSSL, which most commands never need.

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_address(path: Path | str) -> str:
    """A file's name as FFmpeg takes it for one: `12:30 clip.mp4` would be a protocol called 12."""
    return f"file:{path}"


def file_id(path: Path | str) -> FileId | None:
    """Which file a path leads to, links followed; None where there is none, or it cannot be told."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino)


def check_outputs(
    files: Mapping[str, Path | str | None],
    inputs: Iterable[Path],
    *,
    folders: Mapping[str, OutputFolder | None] | None = None,
) -> None:
    """See that nothing that is going to be written is something that is going to be read, or written twice.

    Files are compared by what they are, not by name: links, relative paths and letter case make no difference. To be
    called before any output is opened.

    Args:
        files: The files to be written, by the option that names each; None and `-` are passed over.
        inputs: All files that are going to be read.
        folders: The folders to be written to, by their options.

    Raises:
        ConfigError: An output is an input, or two outputs are one file.
    """
    wanted = {option: Path(path) for option, path in files.items() if path is not None and str(path) != "-"}
    folders_wanted = {option: folder for option, folder in (folders or {}).items() if folder is not None}
    _check_apart(wanted, folders_wanted)
    existing = [path for path in wanted.values() if file_id(path) is not None]
    if not existing and not any(os.path.isdir(folder.path) for folder in folders_wanted.values()):
        return
    by_id: dict[FileId, Path] = {}
    for path in inputs:
        found = file_id(path)
        if found is not None:
            by_id.setdefault(found, path)
    for option, path in wanted.items():
        _check_one(option, path, by_id)
    for option, folder in folders_wanted.items():
        for path in files_below(folder.path, is_deep=folder.is_deep, with_hidden=True):
            if folder.writes(path):
                _check_one(option, path, by_id)


def _check_apart(files: Mapping[str, Path], folders: Mapping[str, OutputFolder]) -> None:
    taken: dict[str, str] = {}
    for option, path in files.items():
        place = os.path.normcase(os.path.realpath(path))
        if place in taken:
            raise ConfigError(f"{taken[place]} and {option} name the same file: {path}", hint="give two names")
        taken[place] = option
        for other, folder in folders.items():
            if folder.holds(path):
                raise ConfigError(
                    f"{option}: {path} is in the folder of {other}, where a file of this name may be written",
                    hint="give another name, or another folder",
                )


def _check_one(option: str, path: Path, inputs: Mapping[FileId, Path]) -> None:
    found = file_id(path)
    if found is not None and found in inputs:
        what = "is an input" if path == inputs[found] else f"is the same file as the input {inputs[found]}"
        raise ConfigError(f"{option}: {path} {what}, and would be overwritten", hint="write to another place")
