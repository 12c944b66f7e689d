"""Pictures as files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keepbusy.drawing.picture import Pixels
from keepbusy.errors import ConfigError, SinkError, first_line, reason_of
from keepbusy.files.whole import write_new, write_whole

_HINT = "use .jpg, .png or .webp"
_RECORDS = {".json": "to_json", ".jsonl": "to_json", ".csv": "to_csv", ".txt": "to_csv"}


def encode_picture(suffix: str, picture: Pixels, quality: int | None = None) -> bytes:
    """A picture in the format that a file's ending names.

    Args:
        suffix: The ending, such as `.png`.
        picture: uint8 (H, W, 3), BGR.
        quality: Of a JPEG, 1 to 100; None for OpenCV's.

    Raises:
        SinkError: That is no format that can be written, or the picture does not fit into it.
    """
    options = [] if quality is None else [int(cv2.IMWRITE_JPEG_QUALITY), quality]
    try:
        is_encoded, content = cv2.imencode(suffix.lower(), picture, options)
    except cv2.error as error:
        raise SinkError(f"cannot be encoded: {first_line(error)}", hint=_HINT) from error
    if not is_encoded:
        raise SinkError("cannot be encoded", hint=_HINT)
    return content.tobytes()


def encode_preview(picture: Pixels, max_side_px: int = 1600, quality: int = 90) -> bytes:
    """A picture as a JPEG to look at, as notebooks show it: made smaller where a side is too long.

    Args:
        picture: uint8 (H, W, 3), BGR.
        max_side_px: The longest side that it may have, pixels.
        quality: 1 to 100.
    """
    height, width = picture.shape[:2]
    if (longest := max(height, width)) > max_side_px:
        size_wh = [max(1, round(side * max_side_px / longest)) for side in (width, height)]
        picture = np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    return encode_picture(".jpg", picture, quality)


def write_image(path: Path, picture: Pixels, *, follows_link: bool = True, replaces: bool = True) -> None:
    """Encode a picture and write it: whole, or not at all.

    Args:
        path: The file; its ending chooses the format.
        picture: uint8 (H, W, 3), BGR.
        follows_link: As for `write_whole`.
        replaces: Whether a file that is there is replaced; otherwise it is an error, also where it has just come.

    Raises:
        SinkError: The ending is not a format that can be written, or the file cannot be, or is there.
    """
    try:
        content = encode_picture(path.suffix, picture)
    except SinkError as error:
        raise SinkError(f"{path}: {error.message}", hint=error.hint) from error.__cause__
    if replaces:
        write_whole(path, content, follows_link=follows_link)
        return
    try:
        write_new(path, content)
    except FileExistsError as error:
        raise _exists(path) from error


def _exists(place: Path) -> SinkError:
    return SinkError(f"{place}: exists already", hint="give another name, or `exist_ok=True` to replace it")


def new_place(path: Any, *, exist_ok: bool) -> Path:
    """Where a picture may be written: its folder is made if missing.

    Args:
        path: What the caller gave.
        exist_ok: Whether a file that is there may be replaced.

    Raises:
        ConfigError: It is no path.
        SinkError: There is such a file, it is a folder, its ending names no picture, or its folder cannot be made.
    """
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes) or not os.fspath(path):
        raise ConfigError(f"save: {path!r} is no path", hint="give the file to write: save('out.jpg')")
    if "\0" in os.fspath(path):
        raise ConfigError("save: a path cannot have a zero byte in it", hint="give the file to write: save('out.jpg')")
    place = Path(os.path.expanduser(path))
    suffix = place.suffix.lower()
    if suffix in _RECORDS:
        raise SinkError(
            f"{place}: save writes pictures, and {suffix} is none", hint=f"`{_RECORDS[suffix]}()` gives the text"
        )
    if os.path.isdir(place):
        raise SinkError(f"{place}: is a folder, not a file", hint=f"add a file name to it: {place / 'out.jpg'}")
    if not suffix or not cv2.haveImageWriter(f"x{suffix}"):
        named = f"{suffix} is no format that can be written" if suffix else "its ending says no format"
        raise SinkError(f"{place}: {named}", hint=_HINT)
    if not exist_ok and os.path.lexists(place):
        raise _exists(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"{place.parent}: cannot be made: {reason_of(error)}", hint="give a folder that you may write to"
        ) from error
    return place
