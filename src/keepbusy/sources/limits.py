"""How many pixels a picture may have: what decoders are told, and what is said of a picture that has more."""

from __future__ import annotations

import math

from keepbusy.errors import FrameError

ShapeHW = tuple[int, int]

MAX_VIDEO_PIXELS = 1 << 28
"""FFmpeg's own limit: its decoders take no larger pictures, whatever they are told."""

MAX_PICTURE_BYTES = 1 << 28
"""What is not known to be a picture, and has more, is not held in memory as one."""

_PADDING_PIXELS = 1 << 16


def decoder_options(max_pixels: int, *, fast: bool = False, is_live: bool = False) -> dict[str, str]:
    """FFmpeg's options with which a decoder takes no memory for a picture of many more pixels.

    FFmpeg counts the padding at the ends of rows, too, which is more than the pixels of a small picture: it is given
    twice as much, and who takes the picture counts its pixels.

    Args:
        max_pixels: The most that a picture may have.
        fast: Whether the edges of blocks are left as they are: see `RunConfig.fast_decode`.
        is_live: Whether pictures are to come out of the decoder as soon as they can.
    """
    options = {"max_pixels": str(min(2 * int(max_pixels) + _PADDING_PIXELS, MAX_VIDEO_PIXELS))}
    return options | ({"skip_loop_filter": "all"} if fast else {}) | ({"flags": "+low_delay"} if is_live else {})


LISTS = frozenset({"concat", "dash", "hls", "image2", "imf", "lavfi", "sdp", "vapoursynth", "webm_dash_manifest"})
"""FFmpeg's formats that are not a video but name other files and addresses, some of which may be lists, too."""


def formats_of_files() -> str:
    """FFmpeg's formats that a local file may have, as its option `format_whitelist` takes them.

    A list is refused: it may name files that are being written, addresses, or itself, without an end.
    """
    import av

    return ",".join(sorted(av.formats_available - LISTS))


def too_large(
    shape_hw: ShapeHW | None,
    max_pixels: int,
    *,
    source: str,
    frame_index: int,
    what: str = "the file",
    timestamp_s: float | None = None,
    highest: int | None = None,
) -> FrameError:
    """The error of a picture with more pixels than are allowed.

    Args:
        shape_hw: Its height and width, pixels; None where they are not known.
        max_pixels: What is allowed.
        source: As for `FrameError`.
        frame_index: As for `FrameError`.
        what: What to call it.
        timestamp_s: As for `FrameError`.
        highest: What its decoder is able to take; None where that is not known.
    """
    allowed = max_pixels if highest is None else min(max_pixels, highest)
    num_pixels = allowed + 1 if shape_hw is None else math.prod(shape_hw)
    size = "" if shape_hw is None else f"{shape_hw[1]}x{shape_hw[0]} pixels, {num_pixels:,} in all: "
    message = f"{what} has {size}more {'' if size else 'pixels '}than the {allowed:,} that are allowed"
    if highest is not None and num_pixels > highest:
        hint = "FFmpeg decodes no more: make it smaller"
    else:
        needed = "N" if shape_hw is None else num_pixels
        hint = f"where there is memory for it, `max_pixels` {needed} allows it"
    return FrameError(message, stage="read", source=source, frame_index=frame_index, hint=hint, timestamp_s=timestamp_s)
