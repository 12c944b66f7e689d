"""Files that callers have opened, for a picture: an upload, a member of an archive, an `io.BytesIO`."""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import Callable
from typing import Any

from keepbusy.errors import FrameError
from keepbusy.sources.base import Source
from keepbusy.sources.limits import MAX_PICTURE_BYTES
from keepbusy.sources.picture import max_bytes_of

_CHUNK_BYTES = 1 << 20


def is_open_file(value: object) -> bool:
    """Whether something can be read as a file is: sources and captures of OpenCV give frames."""
    read = getattr(value, "read", None)
    is_other = isinstance(value, (type, Source, os.PathLike)) or type(value).__module__.partition(".")[0] == "cv2"
    return callable(read) and not is_other and not inspect.iscoroutinefunction(read) and _takes_a_size(read)


def _takes_a_size(read: Callable[..., object]) -> bool:
    """Whether it may be told how much to read: what gives frames cannot."""
    try:
        inspect.signature(read).bind(_CHUNK_BYTES)
    except TypeError:
        return False
    except ValueError:  # Some of C's functions do not say what they take.
        return True
    return True


def content_of(file: Any, name: str, index: int, max_pixels: int) -> bytes:
    """What an open file holds from where it stands. It is read to its end, and stays open.

    Args:
        file: What `is_open_file` holds for.
        name: What to call it.
        index: The frame to blame.
        max_pixels: The most that the picture may have; bounds its bytes, too.

    Raises:
        FrameError: It gives no bytes, or too many.
    """
    max_bytes = min(MAX_PICTURE_BYTES, max_bytes_of(max_pixels))
    content = bytearray()
    message = hint = ""
    while not message and (block := _next_of(file)):
        if isinstance(block, str):
            message, hint = "the file is open as text", 'open it for its bytes: open(path, "rb")'
        elif not isinstance(block, (bytes, bytearray, memoryview)):
            message = f"`read` of {type(file).__name__} gives {type(block).__name__}, and no bytes"
            hint = "give a path, or the picture's bytes"
        elif len(content) + len(block) > max_bytes:
            message = f"the file has more than {max_bytes:,} bytes"
            hint = "give its path; a video goes to Pipeline.run"
        else:
            content += block
    if not message and not content:
        message = "the file gives no bytes: it is empty, or was read to its end before"
        hint = "file.seek(0) goes back to its beginning"
    if message:
        raise FrameError(message, stage="read", source=name, frame_index=index, hint=hint)
    return bytes(content)


def _next_of(file: Any) -> Any:
    """The next bytes; none at the end, and a text where the file is one."""
    if isinstance(file, io.TextIOBase):
        return "text"
    try:
        return file.read(_CHUNK_BYTES)
    except UnicodeDecodeError:
        return "text"
