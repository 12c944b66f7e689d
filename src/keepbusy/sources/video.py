"""Video files and network streams, decoded with PyAV.

PyAV rather than OpenCV's VideoCapture: the container's own timestamps, errors that can be told from the end of
the file, and the decoder's own planes, which are converted only where somebody looks at them (`pictures/planes.py`).
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from keepbusy.config import MAX_PIXELS
from keepbusy.errors import FrameError, SourceError, reason_of
from keepbusy.files.paths import file_address
from keepbusy.pictures.planes import Converter, Planes
from keepbusy.sources.base import Source, SourceInfo
from keepbusy.sources.boxes import is_index_last
from keepbusy.sources.clock import SourceClock
from keepbusy.sources.completeness import is_cut_short
from keepbusy.sources.limits import MAX_VIDEO_PIXELS, decoder_options, formats_of_files, too_large
from keepbusy.sources.orientation import Orientation, orientation_of
from keepbusy.sources.packets import PacketError, Packets
from keepbusy.sources.pipe import Pipe
from keepbusy.sources.png import file_unpacks_too_far
from keepbusy.texts import without_secrets
from keepbusy.threads.cores import usable_cores
from keepbusy.values.frame import Frame, Image

if TYPE_CHECKING:
    from av import VideoFrame

PIXELS_A_THREAD = 1920 * 1080
"""One thread decodes some hundred 1080p pictures a second. FFmpeg's own choice, one for each core and one more, costs a
third more CPU time a picture at 768x432, which a device that is the CPU then lacks."""

CORES_A_THREAD = 4
"""On many cores one thread for so many of them: a model that does 900 frames a second wants more than one decodes. As
many again for each 1080p of a picture: on 16 cores 4K ran 1.8 times as fast with 16 threads as with 4."""

MAX_THREADS = 16
"""FFmpeg itself advises against more."""

_CLOCK_MAY_LEAP = 0x200
"""FFmpeg's AVFMT_TS_DISCONT."""

_HEAD_BYTES = 1 << 12

STREAM_TIMEOUT_S = 10.0
"""A network stream that is silent for so long has failed. Also the longest that closing a silent one takes."""


class Video(Source):
    """A video file, or a stream behind a URL.

    A URL whose server tells a duration is a file that happens to be far away: finite. Other URLs are live.

    Args:
        location: Path, URL, or a pipe.
        name: What the user called it; passwords in it are not kept.
        source_id: The source's number in the run.
        read_ahead: Decode the next frames in the background while one is being used; otherwise only while `read`
            waits.
        read_threads: Threads of the decoder; None for as many as its pictures' size and the number of cores call for.
        timeout_s: For URLs: the longest silence.
        max_pixels: A picture that has more by its header fails without being decoded.

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
    ) -> None:
        self._location = location
        self._is_url = isinstance(location, str) and "://" in location
        self._timeout_s = timeout_s
        self._max_pixels = min(max_pixels, MAX_VIDEO_PIXELS)
        self._thread_type = "AUTO" if read_ahead else "SLICE"
        self._read_threads = read_threads
        self._source_id = source_id
        self._name = without_secrets(name)
        self._container: Any = self._open()

    def _open(self) -> Any:
        import av

        location = self._location
        self._failures = (av.FFmpegError, OSError, ValueError)
        # FFmpeg decodes pictures when it opens, too.
        options: dict[str, Any] = {"options": decoder_options(self._max_pixels)}
        if self._is_url:
            options["timeout"] = self._timeout_s
        if isinstance(location, Pipe):
            _check_pipe(location)
        elif location.lower().startswith(("rtsp://", "rtsps://")):
            # Over TCP: a lost UDP packet is a smeared picture, and firewalls let TCP through.
            options["options"]["rtsp_transport"] = "tcp"
        path = location if isinstance(location, str) and not self._is_url else None
        if not self._is_url:
            options["options"]["format_whitelist"] = formats_of_files()
        if path is not None and _unpacks_too_far(path):
            raise SourceError(
                f"{self._name}: cannot be opened as a video: its texts or its colour profile are too long",
                hint="remove them, or convert it to a GIF or a video",
            )
        try:
            container = av.open(location if path is None else file_address(path), **options)
        except self._failures as error:
            if path is not None and _lacks_index(path):
                raise SourceError(
                    f"{self._name}: cannot be opened as a video: its index, which stands at the end, is missing",
                    hint="the file is cut short, or its recording was interrupted",
                ) from error
            if path is not None and _names_others(path):
                raise SourceError(
                    f"{self._name}: is no video, but a list of other files or addresses, which is not followed",
                    hint="give the files themselves (in a .txt file, one per line), or the address: "
                    "https://host/list.m3u8",
                ) from error
            raise SourceError(
                f"{self._name}: cannot be opened as a video: {self._reason(error)}", hint=_open_hint(location)
            ) from error
        try:
            self._stream = self._choose_stream(container)
        except BaseException:
            container.close()
            raise
        self._stream.thread_type = self._thread_type
        if self._thread_type == "AUTO":
            self._stream.thread_count = self._read_threads or num_threads(
                self._stream.width or 0, self._stream.height or 0
            )
        self._converter = Converter()
        self._packets = Packets(
            container,
            self._stream,
            can_reopen=path is not None and os.path.isfile(path),
            max_pixels=self._max_pixels,
        )
        self._orientation: Orientation | None = None
        self._rotation = 0
        rate = self._stream.average_rate or self._stream.guessed_rate
        is_live = self._is_url and container.duration is None
        self.info = SourceInfo(
            self._name,
            is_live=is_live,
            num_frames=None if is_live else (self._stream.frames or None),
            fps=float(rate) if rate else None,
        )
        may_leap = bool(container.format.flags & _CLOCK_MAY_LEAP)
        self._clock = SourceClock(self.info.fps, may_leap=may_leap, is_live=is_live)
        self._index = 0
        self._first: VideoFrame | None = None
        self._failure = self._promise_too_large()
        self._is_over = self._failure is not None
        return container

    def _promise_too_large(self) -> FrameError | None:
        """The one error of a video whose pictures all have more pixels than are allowed, by its header."""
        shape_hw = (self._stream.height or 0, self._stream.width or 0)
        if math.prod(shape_hw) <= self._max_pixels:
            return None
        return self._too_large(shape_hw, "the video", 0, 0.0)

    def _too_large(
        self, shape_hw: tuple[int, int] | None, what: str, frame_index: int, timestamp_s: float
    ) -> FrameError:
        return too_large(
            shape_hw,
            self._max_pixels,
            source=self._name,
            frame_index=frame_index,
            what=what,
            timestamp_s=timestamp_s,
            highest=MAX_VIDEO_PIXELS,
        )

    def _choose_stream(self, container: Any) -> Any:
        """FFmpeg's best video stream; never a cover picture or a preview."""
        import av

        passed_over = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
        wanted = [one for one in container.streams.video if not one.disposition & passed_over]
        if not wanted:
            what = "only a cover picture, no video" if container.streams.video else "no video"
            raise SourceError(f"{self._name}: has {what} in it", hint="give a file or stream with pictures")
        best = container.streams.best("video")
        # An icon's streams are its sizes.
        if best is None or container.format.name == "ico" or all(best.index != one.index for one in wanted):
            best = max(wanted, key=_num_pixels)
        if best.codec_context is None:
            raise SourceError(
                f"{self._name}: its codec is not known", hint="convert it to H.264, H.265, VP9 or AV1 with ffmpeg"
            )
        return best

    def read(self) -> Frame | None:
        decoded = self._decode()
        if decoded is None:
            return None
        index = self._index
        timestamp_s = self._timestamp(decoded)
        self._index += 1
        try:
            picture = self._to_picture(decoded)
        except Exception as error:
            raise self._error(index, f"cannot be converted: {reason_of(error)}", timestamp_s) from error
        return Frame(picture, index, timestamp_s, self._source_id, self._name)

    def skip(self) -> bool:
        decoded = self._decode()
        if decoded is None:
            return False
        self._timestamp(decoded)
        self._index += 1
        return True

    def rewind(self) -> None:
        if isinstance(self._location, Pipe):
            raise SourceError(f"{self._location.shown}: a pipe can be read only once", hint="give the path of a file")
        self.close()
        self._container = self._open()

    def close(self) -> None:
        self._is_over = True
        self._first = None
        if self._container is not None:
            self._container.close()
            self._container = None
        if isinstance(self._location, Pipe):
            self._location.close()

    def interrupt(self) -> None:
        # What FFmpeg waits for cannot be broken off: it has a limit, `timeout_s`.
        self._is_over = True
        if isinstance(self._location, Pipe):
            self._location.interrupt()

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        """The size of its pictures as they will be shown, from the first one, which is kept for `read`.

        That of a stream behind a URL is what its header says: nothing is waited for.
        """
        if self._is_url:
            shape_hw = (self._stream.height or 0, self._stream.width or 0)
            return {shape_hw: self.info.num_frames or 1} if all(shape_hw) else {}
        if self._first is None and self._failure is None and self._index == 0:
            try:
                self._first = self._decode()
            except FrameError as error:
                self._failure = error
        first = self._first
        if first is None:
            return {}
        return {self._orientation_of(first).size_hw(first.height, first.width): self.info.num_frames or 1}

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
                raise self._error(self._index, self._ended(), self._clock.next_s) from error
            index = self._index
            self._index += 1
            if error.is_too_large:
                raise self._too_large(
                    error.shape_hw, "a picture of the video", index, self._clock.pass_over()
                ) from error
            raise self._error(index, f"a damaged part of the video: {error}", self._clock.pass_over()) from error
        except self._failures as error:
            self._is_over = True
            raise self._error(self._index, f"{self._ended()}: {self._reason(error)}", self._clock.next_s) from error
        if decoded is None:
            self._is_over = True
            if self.info.is_live or self._is_cut_short():
                raise self._error(self._index, self._ended(), self._clock.next_s)
        elif decoded.width * decoded.height > self._max_pixels:
            index, timestamp_s = self._index, self._timestamp(decoded)
            self._index += 1
            raise self._too_large((decoded.height, decoded.width), "a picture of the video", index, timestamp_s)
        return decoded

    def _reason(self, error: Exception) -> str:
        """Why FFmpeg failed: our own limit where that was reached, else its words, in which the address may stand."""
        import av

        if self._is_url and any(isinstance(one, av.error.ExitError) for one in (error, error.__cause__)):
            return f"nothing has come for {self._timeout_s:g} s"
        reason = reason_of(error)
        return reason.replace(self._location, self._name) if isinstance(self._location, str) else reason

    def _is_cut_short(self) -> bool:
        if self._is_url:
            return False
        packets = self._packets
        return is_cut_short(self._container, self._stream, packets.num_packets, packets.end_s, self._location)

    def _ended(self) -> str:
        if self.info.is_live:
            return f"the stream ended after {self._index} frames"
        promised = f" of {self.info.num_frames}" if self.info.num_frames else ""
        return f"the video is damaged or cut short: ends after {self._index}{promised} frames"

    def _error(self, index: int, message: str, timestamp_s: float) -> FrameError:
        hint = (
            "check the network and the camera"
            if self._is_url
            else "the frames before it have been delivered; ffmpeg -i FILE -c copy NEW may repair the container"
        )
        orientation = self._orientation or Orientation()
        return FrameError(
            message,
            stage="read",
            source=self._name,
            frame_index=index,
            hint=hint,
            timestamp_s=timestamp_s,
            shape_hw=orientation.size_hw(self._stream.height or 0, self._stream.width or 0),
            is_last=self._is_over,
        )

    def _timestamp(self, decoded: VideoFrame) -> float:
        seconds: float | None = decoded.time
        if self._index > 0 and not self._clock.has_started:
            # Where the first pictures failed, the stream has started before this one.
            stream = self._stream
            if seconds is not None and stream.start_time is not None and stream.time_base:
                self._clock.start_at(min(seconds, float(stream.start_time * stream.time_base)))
        return self._clock.place(seconds, self._index)

    def _orientation_of(self, decoded: VideoFrame) -> Orientation:
        """Read from the first picture, and again where the angle changes."""
        rotation = decoded.rotation
        if self._orientation is None or rotation != self._rotation:
            self._orientation = orientation_of(decoded, self._stream.codec_context.name)
            self._rotation = rotation
        return self._orientation

    def _to_picture(self, decoded: VideoFrame) -> Image | Planes:
        orientation = self._orientation_of(decoded)
        if orientation.is_upright and Planes.fits(decoded):
            return Planes(decoded, self._converter)
        image = self._converter.convert(decoded)
        return image if orientation.is_upright else orientation.apply(image)


def num_threads(width: int, height: int) -> int:
    """How many threads decode a video with pictures of a size, pixels, where nothing else is asked for."""
    by_pixels = round(width * height / PIXELS_A_THREAD)
    by_cores = int(usable_cores()) // CORES_A_THREAD
    return max(1, min(max(by_pixels, by_cores * (1 + by_pixels)), MAX_THREADS))


def _num_pixels(stream: Any) -> int:
    return 0 if stream.codec_context is None else (stream.width or 0) * (stream.height or 0)


def _head_of(path: str) -> bytes:
    """The first bytes of a file; none where it cannot be read, which opening it says."""
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def _lacks_index(path: str) -> bool:
    """Whether an MP4 file whose index should follow its pictures ends before it."""
    return is_index_last(_head_of(path))


def _names_others(path: str) -> bool:
    """Whether a file is a playlist, a manifest or a description of a session."""
    head = _head_of(path).lstrip()
    return head.startswith((b"#EXTM3U", b"ffconcat", b"v=0", b"\xef\xbb\xbf#EXTM3U")) or b"<MPD" in head


def _unpacks_too_far(path: str) -> bool:
    """Whether a file is an animated PNG with more compressed texts than memory is to be given for."""
    if not os.path.isfile(path):
        return False  # A FIFO can be opened only once.
    try:
        with open(path, "rb") as file:
            return file_unpacks_too_far(file)
    except OSError:
        return False  # Opening it says why.


def _check_pipe(pipe: Pipe) -> None:
    if is_index_last(pipe.head):
        raise SourceError(
            f"{pipe.shown}: an MP4 whose index stands behind its pictures cannot be read from a pipe",
            hint="give the path of the file, or write it anew: ffmpeg -i FILE -c copy -movflags +faststart NEW.mp4",
        )


def _open_hint(location: str | Pipe) -> str:
    if isinstance(location, Pipe):
        return "from a pipe, videos and pictures are told by their first bytes: give other files by their paths"
    if "://" in location:
        scheme = location.partition("://")[0].lower()
        return f"check the address, the network and the login ({scheme}://user:password@host/path)"
    return "the file may be damaged, cut short or of a kind that FFmpeg does not know"
