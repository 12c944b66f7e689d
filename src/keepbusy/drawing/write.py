"""Pictures as files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keepbusy.drawing.picture import Pixels
from keepbusy.errors import ConfigError, SinkError, first_line, reason_of
from keepbusy.files.paths import names_folder
from keepbusy.files.whole import write_new, write_whole
from keepbusy.texts import shortened

_HINT = "use .jpg, .png or .webp"
_GREY_ONLY = frozenset({".pgm", ".pbm"})
"""Formats without colours: what is drawn has them."""

_MAX_SIDE_PX = (
    dict.fromkeys((".jpg", ".jpeg", ".jpe"), 65_500)
    | dict.fromkeys((".png", ".apng"), 1_000_000)
    | {".webp": 16_383, ".gif": 65_535, ".avif": 65_536}
)
"""Of a picture's width and height, by the libraries that encode it: beyond, OpenCV writes to standard error."""

_MIN_SIDE_PX = {".jp2": 32}
"""Five times halved, as OpenJPEG does it, a side still has a pixel."""

_NO_ENDING = "its ending says no format"
_RECORDS = {".json": "to_json", ".jsonl": "to_json", ".csv": "to_csv", ".txt": "to_csv"}


def can_write(suffix: str) -> bool:
    """Whether a picture with colours can be written as what a file's ending names."""
    ending = suffix.lower()
    return bool(ending) and ending not in _GREY_ONLY and cv2.haveImageWriter(f"x{ending}")


def fits(suffix: str, size_hw: tuple[int, int]) -> bool:
    """Whether a picture of this height and width, pixels, fits into what a file's ending names."""
    ending = suffix.lower()
    return min(size_hw) >= _MIN_SIDE_PX.get(ending, 1) and max(size_hw) <= _MAX_SIDE_PX.get(ending, max(size_hw))


def encode_picture(suffix: str, picture: Pixels, quality: int | None = None) -> bytes:
    """A picture in the format that a file's ending names.

    Args:
        suffix: The ending, such as `.png`.
        picture: uint8 (H, W, 3), BGR.
        quality: Of a JPEG, 1 to 100; None for OpenCV's.

    Raises:
        SinkError: That is no format that can be written, or the picture does not fit into it.
    """
    if not can_write(suffix):
        raise _no_format(suffix.lower())
    if not fits(suffix, size_hw := (int(picture.shape[0]), int(picture.shape[1]))):
        raise _does_not_fit(suffix.lower(), size_hw)
    options = [] if quality is None else [int(cv2.IMWRITE_JPEG_QUALITY), quality]
    try:
        is_encoded, content = cv2.imencode(suffix.lower(), picture, options)
    except cv2.error as error:
        raise SinkError(f"cannot be encoded: {first_line(error)}", hint=_HINT) from error
    if not is_encoded:
        raise SinkError("cannot be encoded", hint=_HINT)
    return content.tobytes()


def _no_format(ending: str) -> SinkError:
    if ending in _GREY_ONLY:
        return SinkError(f"{ending} pictures are grey, and what is drawn has colours", hint="use .ppm, .png or .jpg")
    return SinkError(f"{ending} is no format that can be written" if ending else _NO_ENDING, hint=_HINT)


def _does_not_fit(ending: str, size_hw: tuple[int, int]) -> SinkError:
    height, width = size_hw
    least = _MIN_SIDE_PX.get(ending, 1)
    limit = f"at least {least}" if min(size_hw) < least else f"at most {_MAX_SIDE_PX[ending]:,}"
    return SinkError(
        f"a picture of {width}x{height} cannot be a {ending}: each side must have {limit} pixels",
        hint=f"use {'.png' if fits('.png', size_hw) else '.tif'}",
    )


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


def write_image(
    path: Path, picture: Pixels, *, follows_link: bool = True, replaces: bool = True, makes_folder: bool = False
) -> None:
    """Encode a picture and write it: whole, or not at all.

    Args:
        path: The file; its ending chooses the format.
        picture: uint8 (H, W, 3), BGR.
        follows_link: As for `write_whole`.
        replaces: Whether a file that is there is replaced; otherwise it is an error, also where it has just come.
        makes_folder: Whether its folder is made if missing, once the picture is encoded.

    Raises:
        SinkError: The ending is not a format that can be written, the picture does not fit into it, or the file cannot
            be written, or is there.
    """
    try:
        content = encode_picture(path.suffix, picture)
    except SinkError as error:
        raise SinkError(f"{path}: {error.message}", hint=error.hint) from error.__cause__
    if makes_folder:
        _make_folder(path.parent)
    if replaces:
        write_whole(path, content, follows_link=follows_link)
        return
    try:
        write_new(path, content)
    except FileExistsError as error:
        raise _exists(path) from error


def _exists(place: Path) -> SinkError:
    return SinkError(f"{place}: exists already", hint="give another name, or `exist_ok=True` to replace it")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"{folder}: cannot be made: {reason_of(error)}", hint="give a folder that you may write to"
        ) from error


def new_place(path: Any, *, exist_ok: bool) -> Path:
    """Where a picture may be written. Nothing is made yet.

    Args:
        path: What the caller gave.
        exist_ok: Whether a file that is there may be replaced.

    Raises:
        ConfigError: It is no path.
        SinkError: There is such a file, it is a folder or is named as one, its home folder is not known, or its ending
            names no picture.
    """
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes) or not os.fspath(path):
        raise ConfigError(f"save: {_shown(path)} is no path", hint=_PATH_HINT)
    text = os.fspath(path)
    if "\0" in text:
        raise ConfigError("save: a path cannot have a zero byte in it", hint=_PATH_HINT)
    place = _from_home(text)
    suffix = place.suffix.lower()
    if suffix in _RECORDS:
        raise SinkError(
            f"{place}: save writes pictures, and {suffix} is none", hint=f"`{_RECORDS[suffix]}()` gives the text"
        )
    if os.path.isdir(place) or names_folder(text):
        is_there = os.path.isdir(place)
        raise SinkError(
            f"{place}: is a folder, not a file" if is_there else f"{text}: names a folder, and one file is written",
            hint=f"leave out the end: {place}"
            if can_write(suffix) and not is_there
            else f"add a file name to it: {place / 'out.jpg'}",
        )
    if not can_write(suffix):
        error = _no_format(suffix)
        raise SinkError(f"{place}: {error.message}", hint=error.hint)
    if not exist_ok and os.path.lexists(place):
        raise _exists(place)
    return place


_PATH_HINT = "give the file to write: save('out.jpg')"


def _shown(value: Any) -> str:
    """What was given for a path, in a few words."""
    return "an array" if isinstance(value, np.ndarray) else shortened(" ".join(repr(value).split()), 80)


def _from_home(text: str) -> Path:
    """A path with its home folder, `~`, written out.

    Raises:
        SinkError: Nobody knows that home folder. A folder of that name that is there is meant itself.
    """
    place = Path(os.path.expanduser(text))
    first = place.parts[0] if place.parts else ""
    if text.startswith("~") and first.startswith("~") and len(place.parts) > 1 and not os.path.isdir(first):
        raise SinkError(
            f"{text}: there is no home folder {first}", hint=f"for a folder of this name, write ./{place.as_posix()}"
        )
    return place
