"""The shape of a video's pixels: old formats have pixels that are wider or higher than they are long."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

from keepbusy.files.kinds import is_picture
from keepbusy.files.paths import file_address
from keepbusy.values.frame import Frame

SQUARE = Fraction(1)


def pixel_aspect(frame: Frame) -> Fraction:
    """Width of a frame's pixels over their height, as the video file that it is from says; else 1.

    A video that is shown turned by a quarter has its pixels turned, too.
    """
    import av

    if is_picture(frame.source) or "://" in frame.source:
        return SQUARE
    try:
        if not os.path.isfile(frame.source):
            return SQUARE
        with av.open(file_address(frame.source)) as container:
            streams = [container.streams.best("video"), *container.streams.video]
            return next((aspect for one in streams if (aspect := _aspect_of(one, frame)) is not None), SQUARE)
    except (OSError, ValueError, AttributeError):
        # It could be read as a source; where it says nothing more, its pixels are square.
        return SQUARE


def _aspect_of(stream: Any, frame: Frame) -> Fraction | None:
    if stream is None or stream.codec_context is None:
        return None
    size_wh = (stream.width, stream.height)
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if aspect <= 0:
        aspect = SQUARE
    if size_wh == (frame.width, frame.height):
        return aspect
    return 1 / aspect if size_wh == (frame.height, frame.width) else None
