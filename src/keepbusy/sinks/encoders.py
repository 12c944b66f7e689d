"""The video encoders to choose from: FFmpeg's, where the installed PyAV is built with them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

from keepbusy.errors import ConfigError

EncoderName = Literal["auto", "h264", "openh264", "vp9", "av1", "mpeg4", "mjpeg"]

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv"})

TIME_BASE = Fraction(1, 90_000)
"""The clock of MPEG; every common frame rate falls on its ticks to within 6 microseconds."""

_MPEG4_TIME_BASE = Fraction(1, 60_000)
"""MPEG-4 part 2 counts at most 65,535 ticks a second; of these 24, 25, 30 and 60/1.001 frames are whole numbers."""

_LOG = logging.getLogger("keepbusy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """How videos are encoded. None stores pictures in another order than they are shown in.

    Attributes:
        name: What the user writes.
        codec: FFmpeg's name of the encoder.
        suffixes: The files that it fits into, in lower case.
        options: For FFmpeg: quality, and a speed that leaves the processor to the model.
        is_jpeg: Colours are JPEG's: full range, and BT.601's matrix whatever the size.
        time_base: Seconds in a tick of its clock.
        environment: Variables that it reads, set where the user has not set them.
    """

    name: EncoderName
    codec: str
    suffixes: frozenset[str]
    options: Mapping[str, str]
    is_jpeg: bool = False
    time_base: Fraction = TIME_BASE
    environment: Mapping[str, str] = field(default_factory=dict)


# Qualities are such that a street scene of 720 lines comes out as with x264's crf 23: about 37 dB.
ENCODERS = (
    Encoder(
        name="h264",
        codec="libx264",
        suffixes=VIDEO_SUFFIXES,
        # `veryfast` costs a third of the default's time for a tenth more bytes. Without B-frames pictures are stored
        # in the order they are shown, and keep their times in a fragmented file, which has no edit list.
        options={"preset": "veryfast", "crf": "23", "bf": "0"},
    ),
    Encoder(
        name="openh264",
        codec="libopenh264",
        suffixes=VIDEO_SUFFIXES,
        # One quantizer for all pictures: it knows no other constant quality.
        options={"qmin": "26", "qmax": "26"},
    ),
    Encoder(
        name="vp9",
        codec="libvpx-vp9",
        suffixes=frozenset({".mp4", ".mkv"}),
        options={"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "lag-in-frames": "0", "crf": "34", "b": "0"},
    ),
    Encoder(
        name="av1",
        codec="libsvtav1",
        suffixes=frozenset({".mp4", ".mkv"}),
        # Its low-delay structure, which holds no pictures back.
        options={"preset": "11", "crf": "34", "svtav1-params": "pred-struct=1:rtc=1"},
        # It would write its settings to standard error.
        environment={"SVT_LOG": "1"},
    ),
    Encoder(
        name="mpeg4",
        codec="mpeg4",
        # Not .m4v: there nothing says which colours are meant.
        suffixes=frozenset({".mp4", ".mov", ".mkv"}),
        options={"qmin": "3", "qmax": "3"},
        time_base=_MPEG4_TIME_BASE,
    ),
    Encoder(
        name="mjpeg",
        codec="mjpeg",
        suffixes=frozenset({".mp4", ".mov", ".mkv"}),
        options={"qmin": "4", "qmax": "4"},
        is_jpeg=True,
    ),
)
"""In the order in which `auto` tries them."""


def is_built(codec: str) -> bool:
    """Whether the installed PyAV has an encoder, by FFmpeg's name."""
    import av  # noqa: F401 – whole, before parts of it: see pictures/planes.py
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    try:
        Codec(codec, "w")
    except UnknownCodecError:
        return False
    return True


def check_name(name: str) -> None:
    """See that an encoder is one of `EncoderName`.

    Raises:
        ConfigError: It is not.
    """
    names = get_args(EncoderName)
    if name not in names:
        raise ConfigError(f"encoder {name}: there is none of this name", hint=f"use {', '.join(names)}")


def choose_encoder(name: str, path: Path, *, is_there: Callable[[str], bool] = is_built) -> Encoder:
    """The encoder for a file.

    Args:
        name: One of `EncoderName`. `auto` is the first of `ENCODERS` that is there and fits; where that is not
            `h264`, it is reported.
        path: The file; its ending chooses the container.
        is_there: Whether FFmpeg's encoder of a name is there.

    Raises:
        ConfigError: It does not exist, is not there, or does not fit into the file, whose name may have no ending.
    """
    check_name(name)
    suffix = path.suffix.lower()
    if not suffix:
        raise ConfigError(
            f"{path}: has no ending that tells the kind of file", hint=f"use {', '.join(sorted(VIDEO_SUFFIXES))}"
        )
    at_hand = [one for one in ENCODERS if is_there(one.codec)]
    fitting = [one for one in at_hand if suffix in one.suffixes]
    if name == "auto":
        if not fitting:
            names = ", ".join(one.name for one in at_hand)
            raise ConfigError(
                f"{path}: the installed PyAV has no encoder for {suffix} files",
                hint=f"save to .mkv, which takes {names}",
            )
        if fitting[0] is not ENCODERS[0]:
            _LOG.info(
                "%s: encoded by %s: the installed PyAV is built without %s", path, fitting[0].name, ENCODERS[0].codec
            )
        return fitting[0]
    wanted = next(one for one in ENCODERS if one.name == name)
    hint = f"at hand for {suffix}: {', '.join(one.name for one in fitting)}"
    if suffix not in wanted.suffixes:
        raise ConfigError(f"encoder {name}: does not fit into {suffix} files", hint=f"{hint}; .mkv takes all")
    if wanted not in fitting:
        raise ConfigError(f"encoder {name}: the installed PyAV is built without {wanted.codec}", hint=hint)
    return wanted
