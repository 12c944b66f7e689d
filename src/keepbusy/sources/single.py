"""What callers give as one picture → its pixels."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from keepbusy.config import MAX_PIXELS, Channels
from keepbusy.errors import ConfigError, FrameError, SourceError
from keepbusy.files.endings import is_picture
from keepbusy.sources.address import is_web
from keepbusy.sources.limits import MAX_PICTURE_BYTES
from keepbusy.sources.listing import LIST_SUFFIXES, VIDEO_SUFFIXES
from keepbusy.sources.picture import blaming, decode_picture, read_image
from keepbusy.sources.pipe import STDIN
from keepbusy.sources.pixels import is_pixels, to_image
from keepbusy.sources.refusals import no_picture
from keepbusy.texts import told_by, without_secrets
from keepbusy.values.frame import Image

_NUMBERED = re.compile(r"%0?\d*d")
_NOT_SINGLE = (
    "give one picture here; Pipeline.run takes videos, folders, cameras, streams, lists and patterns (*.jpg), and in a "
    "terminal `keepbusy detect` does"
)


def read_single(
    value: Any, index: int = 0, *, channels: Channels = "bgr", max_pixels: int = MAX_PIXELS, name: str = "image"
) -> tuple[str, Image]:
    """One picture as people have it → what to call it, and its pixels: uint8 (H, W, 3), BGR, C-contiguous.

    Args:
        value: A path, an http(s) address, or what `to_image` takes.
        index: The frame to blame.
        channels: The order of the colours of arrays.
        max_pixels: A picture that has more by its header is not decoded.
        name: What to call it where it has no path.

    Raises:
        ConfigError: It is something else; the message names what was given and what is taken.
        FrameError: It cannot be read or decoded.
    """
    if is_pixels(value):
        return name, to_image(value, channels, name=name, index=index, max_pixels=max_pixels)
    if isinstance(value, int) and not isinstance(value, bool):
        raise ConfigError(f"a picture cannot be made of the number {value}", hint=_NOT_SINGLE)
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise no_picture(value)
    if not path.strip():
        raise ConfigError("the picture's path is empty", hint='give the path of a picture: "bus.jpg"')
    if is_web(path):
        return without_secrets(path), _fetched(path, index, max_pixels)
    if "://" in path:
        raise ConfigError(f"{path}: is no picture's address", hint=f"http and https are fetched; {_NOT_SINGLE}")
    if path.startswith("~") and not os.path.lexists(path):
        path = os.path.expanduser(path)
    if several := _what_else(path):
        raise FrameError(several, stage="read", source=path, frame_index=index, hint=_NOT_SINGLE)
    try:
        return path, read_image(Path(path), index, max_pixels=max_pixels)
    except FrameError as error:
        if _is_named_otherwise(path):
            error.hint = _NOT_SINGLE
        raise


def _fetched(url: str, index: int, max_pixels: int) -> Image:
    from keepbusy.sources.web import fetch_picture  # Loads TLS and more, which few programs need.

    name = without_secrets(url)
    try:
        answer = fetch_picture(url)
    except SourceError as error:
        reason = error.message.removeprefix(f"{name}: ")
        raise FrameError(reason, stage="read", source=name, frame_index=index, hint=error.hint) from error
    if not answer.content:
        what = f"the server sends {told_by(answer.content_type)}, which is not one picture"
        raise FrameError(what, stage="read", source=name, frame_index=index, hint=_NOT_SINGLE)
    with blaming(name, index):
        picture = decode_picture(answer.content, name, index, max_pixels=max_pixels)
    return picture if isinstance(picture, np.ndarray) else picture.image


def _what_else(path: str) -> str:
    """What a text names that is no single picture, in words; empty where it may be one."""
    if os.path.isdir(path):
        return "is a folder, not a picture"
    if os.path.lexists(path):
        is_large = _is_named_otherwise(path) and os.path.isfile(path) and os.path.getsize(path) > MAX_PICTURE_BYTES
        return "is a video or a list by its name, not a picture" if is_large else ""
    if path == STDIN:
        return "is standard input, not a picture's path"
    if path.isascii() and path.isdecimal():
        return "is a camera's number, not a picture's path"
    if path.startswith("synth:"):
        return "is a synthetic scene, not a picture"
    return "is a pattern, not a picture's path" if glob.has_magic(path) or _NUMBERED.search(path) else ""


def _is_named_otherwise(path: str) -> bool:
    """Whether a path has the ending of a video or a list."""
    suffix = Path(path).suffix.lower()
    return (suffix in VIDEO_SUFFIXES or suffix in LIST_SUFFIXES) and not is_picture(path)
