"""Annotated video, at the source's size and times."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from keepbusy.errors import SinkError, first_line
from keepbusy.files.paths import file_address
from keepbusy.files.whole import write_error
from keepbusy.sinks.base import Sink
from keepbusy.sinks.clock import DEFAULT_FPS, OutputClock
from keepbusy.sinks.draw import PLAIN, Style, ThroughputMeter, annotate
from keepbusy.sinks.encoders import TIME_BASE, EncoderName, choose_encoder
from keepbusy.sinks.naming import beside_earlier, check_file
from keepbusy.sinks.pixel_aspect import pixel_aspect
from keepbusy.sinks.playable import PlayablePart
from keepbusy.sinks.sound import Sound
from keepbusy.threads.cores import ordinary_threads
from keepbusy.values.frame import Frame, Image
from keepbusy.values.result import Result
from keepbusy.values.streams import StreamInfo

_LOG = logging.getLogger("keepbusy")

HD_HEIGHT_PX = 720
"""From this height on players take a video for BT.709, below it for BT.601; what is written is tagged all the same."""

_BT709, _BT470BG, _SMPTE170M = 1, 5, 6
_LIMITED_RANGE, _FULL_RANGE = 1, 2
"""FFmpeg's AVCOL_* and AVCOL_RANGE_*."""


AGAIN_S = 10.0
"""So long after a write has failed another file is begun: a full disk may have room again."""


class VideoFile(Sink):
    """Writes annotated frames to one file.

    The file can be played at any moment, also when the program dies: it is written in fragments, and made a
    plain MP4 when it is closed. Colours at half the size need even sides: an odd one is repeated once. Frames of
    another size than the first are scaled to it. Several clips follow one another. Pixels keep their shape.

    A file of which a write has failed is over, and kept as far as it can be played. Where results go on to come,
    another one is begun after `AGAIN_S`, with the time in its name.

    Args:
        path: The file, overwritten.
        fps: The source's frame rate; None for that of the first stream, where it has one.
        style: What is drawn, and how.
        sound_of: The one video file that the frames are from, whose sound is copied; None for no sound.
        encoder: How it is encoded: see `choose_encoder`.

    Attributes:
        encoder: The encoder that was chosen.

    Raises:
        ConfigError: There is no such encoder, or it does not fit into the file.
        SinkError: The file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        fps: float | None = None,
        style: Style = PLAIN,
        *,
        sound_of: Path | None = None,
        encoder: EncoderName = "auto",
    ) -> None:
        self.encoder = choose_encoder(encoder, path)
        check_file(path)
        self._path = path
        self.name = str(path)
        self._fps = fps
        self._style = style
        self._sound_of = sound_of
        self._sound: Sound | None = None
        self._end_s = 0.0
        self._clock = OutputClock(fps)
        self._meter = ThroughputMeter()
        self._container: Any = None
        self._stream: Any = None
        self._size_wh = (0, 0)
        self._last_pts = -1
        self._last_duration_s = 0.0
        self._held: Any = None
        self._playable: PlayablePart | None = None
        self._again_s: float | None = None

    def begin(self, stream: StreamInfo) -> None:
        if self._fps is None and self._container is None:
            self._fps = stream.fps
            self._clock = OutputClock(stream.fps)

    def write(self, result: Result) -> None:
        if result.frame.image is None:
            return
        if self._again_s is not None:
            self._begin_another()
        throughput_fps = self._meter.add(result.timings.postprocess_end_ns) if result.error is None else None
        picture = _even(annotate(result, throughput_fps, self._style))
        try:
            if self._container is None:
                with ordinary_threads():
                    self._open(picture, result.frame)
                self._playable = PlayablePart(self._path)
            start_s, duration_s = self._clock.place(result.frame)
            self._encode(picture, start_s, duration_s)
        except OSError as error:
            self._give_up()
            raise write_error(self._path, error) from error
        except ValueError as error:
            raise SinkError(f"{self._path}: cannot be encoded: {first_line(error)}") from error

    def _give_up(self) -> None:
        """Have done with a file that could not be written: FFmpeg may die of being given more for it."""
        container, self._container, self._held = self._container, None, None
        if container is not None:
            with suppress(OSError, ValueError):
                container.close()
        if self._playable is not None:
            with suppress(OSError):
                self._playable.close(is_whole=False)
        if self._sound is not None:
            self._sound.close()
        self._playable = self._sound = self._sound_of = None
        self._again_s = time.monotonic() + AGAIN_S

    def _begin_another(self) -> None:
        """Go on with another file, if it is time for that.

        Raises:
            SinkError: It is not.
        """
        if self._again_s is not None and time.monotonic() < self._again_s:
            raise SinkError(f"{self._path}: a write has failed: another file is begun in a while")
        self._path = beside_earlier(self._path)
        self._again_s, self._last_pts, self._clock = None, -1, OutputClock(self._fps)

    def close(self) -> None:
        container, self._container = self._container, None
        if container is None:
            return
        is_whole = False
        try:
            try:
                self._mux(container, self._stream.encode())
                self._mux_last(container)
                if self._sound is not None:
                    self._sound.copy_until(self._end_s)
            finally:
                container.close()
            is_whole = True
        except OSError as error:
            raise write_error(self._path, error) from error
        except ValueError as error:
            raise SinkError(f"{self._path}: cannot be finished: {first_line(error)}") from error
        finally:
            if self._playable is not None:
                with suppress(OSError):
                    self._playable.close(is_whole=is_whole)
            if self._sound is not None:
                self._sound.close()

    def _open(self, picture: Image, frame: Frame) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        is_mp4 = self._path.suffix.lower() != ".mkv"
        # Flushed, so that each finished fragment is on the disk in full.
        options = {"flush_packets": "1"}
        if is_mp4:
            options["movflags"] = "hybrid_fragmented+frag_keyframe"
        self._container = av.open(file_address(self._path), "w", options=options)
        rate = Fraction(self._fps or DEFAULT_FPS).limit_denominator(1001)
        encoder = self.encoder
        for name, value in encoder.environment.items():
            os.environ.setdefault(name, value)
        stream = self._container.add_stream(encoder.codec, rate=rate)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        # A key frame every two seconds bounds what is lost when the program dies.
        stream.options = {**encoder.options, "g": str(max(1, round(2 * rate)))}
        stream.time_base = stream.codec_context.time_base = encoder.time_base
        codec = stream.codec_context
        codec.sample_aspect_ratio = pixel_aspect(frame)
        codec.colorspace = codec.color_primaries = codec.color_trc = _colours(stream.height)
        codec.color_range = _LIMITED_RANGE
        if encoder.is_jpeg:
            codec.colorspace, codec.color_range = _BT470BG, _FULL_RANGE
        self._reformatter = VideoReformatter()
        self._stream = stream
        self._size_wh = (picture.shape[1], picture.shape[0])
        if self._sound_of is not None:
            self._add_sound(self._sound_of, picture, frame)
        self._container.start_encoding()

    def _add_sound(self, source: Path, picture: Image, frame: Frame) -> None:
        """Add the sound; where it does not fit into the file, begin again without it."""
        self._sound_of = None
        try:
            self._sound = Sound(source, self._container)
            self._container.start_encoding()
        except (OSError, ValueError, AttributeError) as error:
            _LOG.warning("%s: its sound cannot be copied: %s", source, first_line(error))
            if self._sound is not None:
                self._sound.close()
            self._sound = None
            with suppress(OSError, ValueError):
                self._container.close()
            self._open(picture, frame)

    def _encode(self, picture: Image, start_s: float, duration_s: float) -> None:
        import av
        from av.video.reformatter import ColorRange, Colorspace

        if (picture.shape[1], picture.shape[0]) != self._size_wh:
            picture = np.asarray(cv2.resize(picture, self._size_wh), np.uint8)
        is_jpeg = self.encoder.is_jpeg
        is_bt709 = _colours(self._size_wh[1]) == _BT709 and not is_jpeg
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(picture, format="bgr24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709 if is_bt709 else Colorspace.ITU601,
            dst_color_range=ColorRange.JPEG if is_jpeg else ColorRange.MPEG,
            threads=1,
        )
        self._last_pts = max(round(start_s / TIME_BASE), self._last_pts + 1)
        frame.pts, frame.time_base = self._last_pts, TIME_BASE
        self._last_duration_s = duration_s
        self._end_s = start_s + duration_s
        if self._sound is not None:
            self._sound.copy_until(start_s)
        self._mux(self._container, self._stream.encode(frame))

    def _mux(self, container: Any, packets: Sequence[Any]) -> None:
        """Write packets, which come in the order of their frames, each when the next one tells how long it is shown."""
        for packet in packets:
            if self._held is not None:
                self._held.duration = packet.pts - self._held.pts
                container.mux(self._held)
                if self._playable is not None:
                    self._playable.extend()
            self._held = packet

    def _mux_last(self, container: Any) -> None:
        if self._held is not None:
            self._held.duration = max(1, round(self._last_duration_s / self._held.time_base))
            container.mux(self._held)
        self._held = None


def _colours(height_px: int) -> int:
    """The matrix, primaries and transfer that a video of a height is written in; FFmpeg has one number for all."""
    return _BT709 if height_px >= HD_HEIGHT_PX else _SMPTE170M


def _even(picture: Image) -> Image:
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
