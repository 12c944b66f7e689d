"""Video files and network streams, decoded with PyAV.

PyAV rather than OpenCV's VideoCapture: the container's own timestamps, errors that can be told from the end of
the file, and the decoder's own planes, which are converted only where somebody looks at them (`pictures/planes.py`).
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from keepbusy.config import MAX_PIXELS, Decoder
from keepbusy.errors import FrameError, SourceError, reason_of
from keepbusy.pictures.planes import Converter, Planes
from keepbusy.sources.base import Decoding, Source, SourceInfo
from keepbusy.sources.clock import SourceClock
from keepbusy.sources.completeness import is_cut_short
from keepbusy.sources.container import (
    Location,
    choose_stream,
    failures,
    has_clock,
    is_endless,
    num_threads,
    open_container,
    rate_of,
)
from keepbusy.sources.decoding.choose import open_packets
from keepbusy.sources.decoding.hardware import Route
from keepbusy.sources.limits import MAX_VIDEO_PIXELS
from keepbusy.sources.orientation import Orientation, orientation_of
from keepbusy.sources.packets import PacketError
from keepbusy.sources.pipe import Pipe
from keepbusy.sources.receiver import Receiver
from keepbusy.sources.video_errors import VideoErrors
from keepbusy.texts import without_secrets
from keepbusy.values.frame import Frame, Image
from keepbusy.values.streams import DropCause

if TYPE_CHECKING:
    from av import VideoFrame

_CLOCK_MAY_LEAP = 0x200
"""FFmpeg's AVFMT_TS_DISCONT."""

STREAM_TIMEOUT_S = 10.0
"""A network stream that is silent for so long has failed. So has one of which no picture could be made meanwhile."""


class Video(Source):
    """A video file, or a stream behind a URL.

    A URL whose server tells where it ends is a file that happens to be far away: finite. Other URLs are live. Where a
    live container has no clock of its own (Motion JPEG over HTTP, raw H.264), its frames have the times at which they
    arrived, from the first one on, and no frame rate is known.

    Args:
        location: Path, URL, or a pipe.
        name: What the user called it; passwords in it are not kept.
        source_id: The source's number in the run.
        read_ahead: Decode the next frames in the background while one is being used; otherwise only while `read`
            waits.
        read_threads: Threads of the decoder; None for as many as its pictures' size and the number of cores call for.
        timeout_s: For URLs: the longest silence.
        max_pixels: A picture that has more by its header fails without being decoded.
        fast_decode, decoder: See `RunConfig.fast_decode` and `RunConfig.decoder`. A `Route` is taken as it is.

    Raises:
        SourceError: It cannot be opened, or has no video in it.
    """

    def __init__(
        self,
        location: str | Pipe,
        name: str,
        source_id: int = 0,
        *,
        read_ahead: bool = True,
        read_threads: int | None = None,
        timeout_s: float = STREAM_TIMEOUT_S,
        max_pixels: int = MAX_PIXELS,
        fast_decode: bool = False,
        decoder: Decoder | Route = "auto",
    ) -> None:
        self._location = Location(location, without_secrets(name), timeout_s, min(max_pixels, MAX_VIDEO_PIXELS))
        self._thread_type = "AUTO" if read_ahead else "SLICE"
        self._read_threads, self._failures = read_threads, failures()
        self._fast_decode, self._decoder = fast_decode, decoder
        self._source_id, self._name = source_id, self._location.name
        self._receiver: Receiver | None = None
        self._container: Any = self._open()

    def _open(self) -> Any:
        asked_ns = time.perf_counter_ns()
        container = open_container(self._location)
        try:
            self._stream = choose_stream(container, self._name)
        except BaseException:
            container.close()
            raise
        is_live = is_endless(self._location, container)
        # Threads of frames give a picture out when the next ones have come.
        self._stream.thread_type = "SLICE" if is_live else self._thread_type
        if self._thread_type == "AUTO":
            self._stream.thread_count = self._read_threads or num_threads(
                self._stream.width or 0, self._stream.height or 0
            )
        self._converter = Converter()
        self._receiver = Receiver(container, self._stream, self._location, asked_ns) if is_live else None
        self._packets = open_packets(
            container, self._stream, self._receiver, self._location, self._decoder, fast_decode=self._fast_decode
        )
        self._orientation: Orientation | None = None
        self._rotation = 0
        self._is_timed_by_arrival = is_live and not has_clock(container)
        rate = None if self._is_timed_by_arrival else rate_of(self._stream)
        self.info = SourceInfo(
            self._name,
            is_live=is_live,
            num_frames=None if is_live else (self._stream.frames or None),
            fps=float(rate) if rate else None,
        )
        self._errors = VideoErrors(self._location, self.info, self._stream)
        may_leap = bool(container.format.flags & _CLOCK_MAY_LEAP)
        self._clock = SourceClock(self.info.fps, may_leap=may_leap, is_live=is_live)
        self._index = self._begin_index = self._arrival_ns = 0
        self._first: VideoFrame | None = None
        self._failure = self._errors.promised_too_large()
        self._is_over = self._failure is not None
        return container

    def read(self) -> Frame | None:
        decoded = self._decode_fresh()
        if decoded is None:
            return None
        index = self._index
        timestamp_s = self._timestamp(decoded)
        self._index += 1
        try:
            picture = self._to_picture(decoded)
        except Exception as error:
            raise self._error(index, f"cannot be converted: {reason_of(error)}", timestamp_s) from error
        return Frame(picture, index, timestamp_s, self._source_id, self._name, arrival_ns=self._arrival_ns)

    def skip(self) -> bool:
        decoded = self._decode_fresh()
        if decoded is None:
            return False
        self._timestamp(decoded)
        self._index += 1
        return True

    def rewind(self) -> None:
        if isinstance(self._location.place, Pipe):
            raise SourceError(
                f"{self._location.place.shown}: a pipe can be read only once", hint="give the path of a file"
            )
        self.close()
        self._container = self._open()

    def close(self) -> None:
        self._is_over = True
        self._first = None
        self._packets.close()
        if self._receiver is not None:
            self._receiver.close()
        elif self._container is not None:
            self._container.close()
        self._container = None
        if isinstance(self._location.place, Pipe):
            self._location.place.close()

    def interrupt(self) -> None:
        self._is_over = True
        self._packets.interrupt()
        if self._receiver is not None:
            self._receiver.interrupt()
        if isinstance(self._location.place, Pipe):
            self._location.place.interrupt()

    def take_dropped(self) -> Counter[DropCause]:
        return Counter() if self._receiver is None else self._receiver.take_dropped()

    def spare(self, *, is_enough: bool) -> None:
        if self._receiver is not None:
            self._receiver.spare(is_enough=is_enough)

    @property
    def decoding(self) -> Decoding:
        return self._packets.decoding

    def want(self, fps: float | None) -> None:
        if self._receiver is not None:
            self._receiver.want(fps)

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        """The size of its pictures as they will be shown, from the first one, which is kept for `read`.

        That of a stream behind a URL is what its header says: nothing is waited for.
        """
        if self._location.is_url:
            shape_hw = self._errors.coded_hw
            return {shape_hw: self.info.num_frames or 1} if all(shape_hw) else {}
        if self._first is None and self._failure is None and self._index == self._begin_index:
            try:
                self._first = self._decode()
            except FrameError as error:
                self._failure = error
        first = self._first
        if first is None:
            return {}
        return {self._orientation_of(first).size_hw(first.height, first.width): self.info.num_frames or 1}

    def _decode_fresh(self) -> VideoFrame | None:
        """The next picture; of a live stream, one that is not late while newer ones are there."""
        receiver = self._receiver
        while (decoded := self._decode()) is not None and receiver is not None:
            is_fresh, self._arrival_ns = receiver.is_fresh(decoded), receiver.arrival_ns
            self._index += receiver.num_passed_over()
            if is_fresh:
                break
            self._timestamp(decoded)
            self._index += 1
        return decoded

    def _decode(self) -> VideoFrame | None:
        first, self._first = self._first, None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if first is not None:
            return first
        if self._is_over:
            return None
        try:
            decoded = self._packets.next()
        except PacketError as error:
            if error.is_last and self._is_cut_short():
                self._is_over = True
                raise self._error(self._index, self._errors.ended(self._index), self._clock.next_s) from error
            index = self._index
            self._index += 1
            if error.is_too_large:
                raise self._errors.too_large(
                    error.shape_hw, "a picture of the video", index, self._clock.pass_over()
                ) from error
            if self._receiver is not None and self._receiver.is_only_damage():
                self._is_over = True
                message = f"no picture could be made of what has come for {self._location.timeout_s:g} s: {error}"
                raise self._error(index, message, self._clock.pass_over()) from error
            raise self._error(index, f"a damaged part of the video: {error}", self._clock.pass_over()) from error
        except self._failures as error:
            self._is_over = True
            raise self._error(
                self._index, f"{self._errors.ended(self._index)}: {self._location.reason(error)}", self._clock.next_s
            ) from error
        if decoded is None:
            self._is_over = True
            if self.info.is_live or self._is_cut_short():
                raise self._error(self._index, self._errors.ended(self._index), self._clock.next_s)
        elif decoded.width * decoded.height > self._location.max_pixels:
            index, timestamp_s = self._index, self._timestamp(decoded)
            self._index += 1
            raise self._errors.too_large((decoded.height, decoded.width), "a picture of the video", index, timestamp_s)
        return decoded

    def _is_cut_short(self) -> bool:
        if self._location.is_url:
            return False
        packets = self._packets
        return is_cut_short(self._container, self._stream, packets.num_packets, packets.end_s, self._location.place)

    def _error(self, index: int, message: str, timestamp_s: float) -> FrameError:
        return self._errors.failed(message, index, timestamp_s, self._orientation, is_last=self._is_over)

    def _timestamp(self, decoded: VideoFrame) -> float:
        if self._is_timed_by_arrival:
            return self._clock.place(self._arrival_ns / 1e9, self._index)
        seconds: float | None = decoded.time
        if self._index > 0 and not self._clock.has_started:
            # Where the first pictures failed, the stream has started before this one.
            stream = self._stream
            if seconds is not None and stream.start_time is not None and stream.time_base:
                self._clock.start_at(min(seconds, float(stream.start_time * stream.time_base)))
        return self._clock.place(seconds, self._index)

    def _orientation_of(self, decoded: VideoFrame) -> Orientation:
        """Read from the first picture, and again where the angle changes."""
        rotation = (decoded := self._packets.like(decoded)).rotation
        if self._orientation is None or rotation != self._rotation:
            self._orientation, self._rotation = orientation_of(decoded, self._stream.codec_context.name), rotation
        return self._orientation

    def _to_picture(self, decoded: VideoFrame) -> Image | Planes:
        orientation = self._orientation_of(decoded)
        if orientation.is_upright and Planes.fits(decoded):
            return Planes(decoded, self._converter)
        image = self._converter.convert(decoded)
        return image if orientation.is_upright else orientation.apply(image)
