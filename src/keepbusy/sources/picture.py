"""One encoded picture → pixels, by its content."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from keepbusy.config import MAX_PIXELS
from keepbusy.errors import FrameError, reason_of
from keepbusy.files.paths import read_bytes
from keepbusy.pictures.planes import Converter, Reduced
from keepbusy.sources import heif
from keepbusy.sources.jpeg import (
    END_OF_IMAGE,
    MAX_SCANS,
    JpegHeader,
    count_scans,
    decode_reduced,
    divisor_for,
    is_whole_without_end,
    read_header,
)
from keepbusy.sources.limits import decoder_options, too_large
from keepbusy.sources.pages import more_pages
from keepbusy.sources.png import PNG, lacks_data
from keepbusy.sources.size import promised_size
from keepbusy.values.frame import Image

log = logging.getLogger("keepbusy")

_MAX_OPENCV_PIXELS = int(os.environ.get("OPENCV_IO_MAX_IMAGE_PIXELS") or 1 << 30)
"""OpenCV's limit, for what OpenCV does not look at itself: JPEGs that are decoded at a part of their size."""

_TOO_MANY_PIXELS = "has more pixels than OpenCV may read (OPENCV_IO_MAX_IMAGE_PIXELS)"

BYTES_PER_PIXEL = 8
"""Four channels of 16 bits: no file has more for each pixel of its picture."""

MIN_FILE_BYTES = 1 << 26
"""Files may have so many bytes in any case: of profiles, previews and texts beside the picture."""


def max_bytes_of(max_pixels: int) -> int:
    """The most bytes that the file of a picture of so many pixels can have."""
    return max(MIN_FILE_BYTES, BYTES_PER_PIXEL * max_pixels)


_HINT = "replace it, remove it, or convert it to JPEG or PNG"


@contextlib.contextmanager
def blaming(name: str, index: int) -> Iterator[None]:
    """Have whatever fails inside be one picture's failure: libraries raise errors that nobody has told of.

    Args:
        name: The picture's file.
        index: The frame to blame.

    Raises:
        FrameError: Something inside failed.
    """
    try:
        yield
    except FrameError:
        raise
    except Exception as error:
        hint = "see that there is memory, or refuse it by `max_pixels`" if isinstance(error, MemoryError) else _HINT
        raise FrameError(
            f"cannot be read: {reason_of(error)}", stage="read", source=name, frame_index=index, hint=hint
        ) from error


def read_image(path: Path, index: int = 0, *, is_first: bool = True, max_pixels: int = MAX_PIXELS) -> Image:
    """Read one picture as uint8 (H, W, 3), BGR.

    Grey pictures become three equal channels, transparency is dropped, 16 bits a channel become 8, and the orientation
    that a JPEG's tag or a HEIF file's boxes ask for is followed. Of several pages the first is read.

    Args:
        path: The file.
        index: The frame to blame.
        is_first: Whether what is odd about the file is still to be reported.
        max_pixels: A picture that has more by its header is not decoded.

    Raises:
        FrameError: The file cannot be read, is no picture, or has too many pixels.
    """
    with blaming(str(path), index):
        picture = read_picture(path, index, is_first=is_first, max_pixels=max_pixels)
    return picture if isinstance(picture, np.ndarray) else picture.image


def read_picture(
    path: Path,
    index: int = 0,
    min_long_side_px: int | None = None,
    *,
    is_first: bool = True,
    max_pixels: int = MAX_PIXELS,
) -> Image | Reduced:
    """Read one picture, a big JPEG at a part of its size where that is allowed.

    Args:
        path: The file.
        index: The frame to blame.
        min_long_side_px: What the longer side must keep where a JPEG is decoded at a part of its size; None decodes it
            whole.
        is_first: As for `read_image`.
        max_pixels: As for `read_image`.

    Raises:
        FrameError: As for `read_image`.
    """
    try:
        content = read_bytes(path, max_bytes_of(max_pixels))
    except (OSError, ValueError) as error:
        raise FrameError(
            f"cannot read the file: {reason_of(error)}",
            stage="read",
            source=str(path),
            frame_index=index,
        ) from error
    return decode_picture(
        content,
        str(path),
        index,
        min_long_side_px,
        is_first=is_first,
        max_pixels=max_pixels,
        read_whole=partial(read_image, path, index, is_first=False, max_pixels=max_pixels),
    )


def decode_picture(
    content: bytes,
    name: str,
    index: int = 0,
    min_long_side_px: int | None = None,
    *,
    is_first: bool = True,
    max_pixels: int = MAX_PIXELS,
    read_whole: Callable[[], Image] | None = None,
) -> Image | Reduced:
    """Decode one picture, a big JPEG at a part of its size where that is allowed.

    Args:
        content: The file's bytes.
        name: What the user calls it; its ending counts for a TGA, which cannot be told by its bytes.
        index: The frame to blame.
        min_long_side_px: As for `read_picture`.
        is_first: As for `read_image`.
        max_pixels: As for `read_image`.
        read_whole: Reads it again at full size; None decodes it whole now.

    Raises:
        FrameError: As for `read_image`.
    """
    header = read_header(content)
    shape_hw = promised_size(content, name) if header is None else header.shape_hw
    if shape_hw is not None and math.prod(shape_hw) > max_pixels:
        raise too_large(shape_hw, max_pixels, source=name, frame_index=index)
    if header is not None:
        _check_jpeg(content, header, name, index)
    encoded = np.frombuffer(content, np.uint8)
    image: Image | None = None
    cause: Exception | None = None
    is_cut = lacks_data(content) if content.startswith(PNG) else header is not None and header.is_cut(content)
    if is_cut and header is not None and is_whole_without_end(content):
        if is_first:
            log.warning("%s: the JPEG's end marker is missing; its pixels are all there", name)
        encoded, is_cut = np.frombuffer(content + END_OF_IMAGE, np.uint8), False
    if content and not is_cut:
        try:
            if header is not None and header.shape_hw and min_long_side_px is not None and read_whole:
                divisor = divisor_for(header.shape_hw, min_long_side_px)
                found = decode_reduced(encoded, header.shape_hw, divisor) if divisor is not None else None
                if found is not None:
                    return Reduced(found[1], found[0], read_whole)
            image = _decode(encoded, content, name, max_pixels)
        except (cv2.error, OSError, ValueError) as error:
            cause = error
    if image is None:
        raise FrameError(
            f"the file {_what_is_wrong(content, is_cut=is_cut, cause=cause)}",
            stage="read",
            source=name,
            frame_index=index,
            hint=_HINT,
        ) from cause
    if math.prod(image.shape[:2]) > max_pixels:
        raise too_large(image.shape[:2], max_pixels, source=name, frame_index=index)
    if header is None:
        more = more_pages(content) if is_first else None
        if more is not None:
            log.warning("%s: %s, and the first is read", name, more)
        return heif.upright(content, image)
    return image


def _check_jpeg(content: bytes, header: JpegHeader, name: str, index: int) -> None:
    """See that a JPEG asks for no more than decoders are made for."""
    if header.shape_hw is not None and math.prod(header.shape_hw) > _MAX_OPENCV_PIXELS:
        message, hint = f"the file {_TOO_MANY_PIXELS}", "make it smaller"
    elif (num_scans := count_scans(content, header)) > MAX_SCANS:
        message, hint = f"the file is a JPEG of {num_scans} scans: more than {MAX_SCANS} are not read", "save it anew"
    else:
        return
    raise FrameError(message, stage="read", source=name, frame_index=index, hint=hint)


def _decode(encoded: Image, content: bytes, name: str, max_pixels: int) -> Image | None:
    """A whole picture: what OpenCV reads, and with FFmpeg what it does not; None where neither knows it.

    FFmpeg is asked about what is known to be a picture only: it would draw a text.
    """
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if image is not None:
        return np.asarray(image, np.uint8)
    if heif.is_heif(content):
        return heif.decode(content, max_pixels)
    if Path(name).suffix.lower() == ".tga":
        return _decode_targa(content, max_pixels)
    return None


def _decode_targa(content: bytes, max_pixels: int) -> Image | None:
    import av

    context = av.VideoCodecContext.create("targa", "r")
    context.options = decoder_options(max_pixels)
    frames = context.decode(av.Packet(content))
    return Converter().convert(frames[0]) if frames else None


def _what_is_wrong(content: bytes, *, is_cut: bool, cause: Exception | None) -> str:
    if not content:
        return "is empty"
    if is_cut:
        return f"is a {'PNG' if content.startswith(PNG) else 'JPEG'} that is cut short"
    if cause is not None and "MAX_IMAGE" in str(cause):
        return _TOO_MANY_PIXELS
    if heif.is_heif(content):
        tiles = " made of tiles" if heif.has_grid(content) else ""
        reason = "" if cause is None else f": {reason_of(cause)}"
        return f"is a {heif.name_of(content)} picture{tiles}, whatever its ending, and cannot be read{reason}"
    if content[:4] in (b"II*\0", b"MM\0*"):
        return "is a TIFF of a kind that is not read (8 and 16 bits per channel are)"
    return "is not a picture, or is damaged"
