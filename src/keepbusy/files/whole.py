"""How files are written: there in full or not at all, so that an earlier one stays until the new one is whole."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from keepbusy.errors import SinkError


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet. One that comes meanwhile stays, and is an error.

    Raises:
        FileExistsError: There is one.
        SinkError: It cannot be written.
    """
    try:
        _put(path, lambda file: file.write(content), replaces=False)
    except FileExistsError:
        raise
    except OSError as error:
        raise write_error(path, error) from error


def write_whole(path: Path, content: bytes | str, *, follows_link: bool = True, is_secret: bool = False) -> None:
    """Write a file beside its place, then rename it into it.

    What is no ordinary file, such as a device, is written as it is.

    Args:
        path: The file.
        content: Its bytes, or its text, which is written as UTF-8.
        follows_link: Whether a link stays and what it leads to is written, as where the user named it; otherwise the
            file takes the link's place.
        is_secret: Whether only its owner may read it.

    Raises:
        SinkError: It cannot be written.
    """
    content = content.encode() if isinstance(content, str) else content
    try:
        if follows_link and is_no_file(path):
            path.write_bytes(content)
        else:
            place = Path(os.path.realpath(path)) if follows_link else path
            _put(place, lambda file: file.write(content), is_secret=is_secret)
    except OSError as error:
        raise write_error(path, error) from error


def write_by(target: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """As `write_whole`, for contents that are made bit by bit; `-` is standard output.

    Args:
        target: The file.
        write: Writes its contents; what it raises leaves an earlier file as it was.

    Raises:
        BrokenPipeError: Nobody reads any more what is written to a pipe.
        SinkError: It cannot be written.
    """
    path = Path(target)
    try:
        if str(target) == "-":
            _print_by(write)
        elif is_no_file(path):
            with path.open("wb") as file:
                write(file)
        else:
            _put(Path(os.path.realpath(path)), write)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise write_error("standard output" if str(target) == "-" else path, error) from error


def is_no_file(path: Path) -> bool:
    """Whether something stands there that is no ordinary file: a pipe or a device, which cannot be replaced.

    Asked of the name itself: what `/dev/stdout` leads to often has no name of its own.
    """
    return os.path.exists(path) and not os.path.isfile(path)


def _print_by(write: Callable[[BinaryIO], object]) -> None:
    """Write bytes to standard output."""
    binary: BinaryIO | None = getattr(sys.stdout, "buffer", None)
    if binary is None:  # Somebody put a stream of text in its place.
        content = io.BytesIO()
        write(content)
        sys.stdout.write(content.getvalue().decode())
    else:
        sys.stdout.flush()
        write(binary)
    sys.stdout.flush()


def copy_whole(source: Path, place: Path) -> None:
    """Copy a file beside its place, then rename it into it. A link there is replaced, and what it leads to stays.

    Raises:
        SinkError: It cannot be read or written.
    """
    try:
        with source.open("rb") as content:
            _put(place, lambda file: shutil.copyfileobj(content, file))
    except OSError as error:
        raise write_error(place, error) from error


def _put(place: Path, write: Callable[[BinaryIO], object], *, replaces: bool = True, is_secret: bool = False) -> None:
    """Fill a file under another name, then give it its own.

    Args:
        place: The file.
        write: Fills it.
        replaces: Whether a file that is there is replaced.
        is_secret: Whether only its owner may read it.

    Raises:
        FileExistsError: One is there that is not to be replaced.
        OSError: It cannot be written.
    """
    part = place.with_name(f".keepbusy-{os.getpid()}-{threading.get_ident()}.part")
    try:
        # Made anew: in a folder that others can write to, a link may stand there under this name.
        part.unlink(missing_ok=True)
        with open(part, "xb", opener=_open_secret if is_secret else None) as file:
            write(file)
        if replaces:
            part.replace(place)
        else:
            _rename_new(part, place)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _open_secret(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _rename_new(part: Path, place: Path) -> None:
    """Give a file a name that nobody has.

    Raises:
        OSError: Somebody has it, or it cannot be given.
    """
    try:
        os.link(part, place)
    except FileExistsError:
        raise
    except OSError:  # A file system without hard links: look, then rename.
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place)) from None
        part.replace(place)
        return
    part.unlink()


def write_all(file: io.RawIOBase, content: bytes) -> None:
    """Write all of some bytes to an unbuffered file, which may take a part at a time.

    Raises:
        OSError: Not all of them can be written; some may have been.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def clear_place(path: Path) -> None:
    """Make room for a file where a link, a pipe or a device stands; what a link leads to stays, and so does a folder.

    Raises:
        OSError: It cannot be removed.
    """
    with suppress(FileNotFoundError):
        mode = os.lstat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            os.unlink(path)


def clear_output(path: Path) -> None:
    """As `clear_place`, for a file in a folder of outputs that is going to be written bit by bit.

    A link there leads to a place that the user did not name; a pipe would be waited for.

    Raises:
        SinkError: What stands there cannot be removed.
    """
    try:
        clear_place(path)
    except OSError as error:
        raise write_error(path, error) from error


def write_report(text: str, target: str | Path, *, follows_link: bool = True) -> None:
    """Write a text to a file, whole, or to standard output for `-`.

    Args:
        text: What is written.
        target: The file.
        follows_link: As for `write_whole`.

    Raises:
        SinkError: It cannot be written.
    """
    if str(target) == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_whole(Path(target), text, follows_link=follows_link)


def write_error(path: Path | str, error: OSError) -> SinkError:
    """A failed write, with the reason and what to do."""
    return SinkError(
        f"{path}: cannot be written: {error.strerror or error}",
        hint="is the disk full, or the folder read-only? What was written before is kept",
    )
