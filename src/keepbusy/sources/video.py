"""Video files and network streams, decoded with PyAV.

PyAV rather than OpenCV's VideoCapture: the container's own timestamps, errors that can be told from the end of
the file, and the decoder's own planes, which are converted only where somebody looks at them (`keepbusy.pictures`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keepbusy.cores import usable_cores
from keepbusy.errors import FrameError, SourceError, first_line
from keepbusy.pictures import Converter, Planes
from keepbusy.types import Frame, Image

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

STREAM_TIMEOUT_S = 10.0
"""A network stream that is silent for so long has failed. Also the longest that closing a silent one takes."""


class Video:
    """A video file, or a stream behind a URL.

    A URL whose server tells a duration is a file that happens to be far away: finite. Other URLs are live.

    Args:
        location: Path or URL.
        name: What the user called it.
        source_id: The source's number in the run.
        read_ahead: Decode the next frames in the background while one is being used; otherwise only while `read`
            waits.
        read_threads: Threads of the decoder; None for as many as its pictures' size and the number of cores call for.
        timeout_s: For URLs: the longest silence.

    Raises:
        SourceError: It cannot be opened, or has no video in it.
    """

    def __init__(
        self,
        location: str,
        name: str,
        source_id: int = 0,
        *,
        read_ahead: bool = True,
        read_threads: int | None = None,
        timeout_s: float = STREAM_TIMEOUT_S,
    ) -> None:
        self._location = location
        self._is_url = "://" in location
        self._timeout_s = timeout_s
        self._thread_type = "AUTO" if read_ahead else "SLICE"
        self._read_threads = read_threads
        self._source_id = source_id
        self.name = name
        self._container: Any = self._open()
        stream = self._stream
        self.is_live = self._is_url and self._container.duration is None
        rate = stream.average_rate or stream.guessed_rate
        self.fps: float | None = float(rate) if rate else None
        self.num_frames: int | None = None if self.is_live else (stream.frames or None)

    def _open(self) -> Any:
        import av

        options: dict[str, Any] = {"timeout": self._timeout_s} if self._is_url else {}
        if self._location.lower().startswith(("rtsp://", "rtsps://")):
            # Over TCP: a lost UDP packet is a smeared picture, and firewalls let TCP through.
            options["options"] = {"rtsp_transport": "tcp"}
        container = None
        try:
            container = av.open(self._location, **options)
            if not container.streams.video:
                raise SourceError(f"{self.name}: has no video in it", hint="give a file or stream with pictures")
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(
                f"{self.name}: cannot be opened as a video: {_reason(error)}", hint=_open_hint(self._is_url)
            ) from error
        finally:
            if container is not None and not container.streams.video:
                container.close()
        self._stream = container.streams.video[0]
        self._stream.thread_type = self._thread_type
        if self._thread_type == "AUTO":
            self._stream.thread_count = self._read_threads or num_threads(
                self._stream.width or 0, self._stream.height or 0
            )
        self._converter = Converter()
        self._frames: Iterator[VideoFrame] = container.decode(self._stream)
        self._start_s: float | None = None
        self._index = 0
        self._first: VideoFrame | None = None
        self._failure: FrameError | None = None
        self._is_over = False
        return container

    def read(self) -> Frame | None:
        decoded = self._decode()
        if decoded is None:
            return None
        index = self._index
        self._index += 1
        timestamp_s = self._timestamp(decoded, index)
        try:
            picture = self._to_picture(decoded)
        except Exception as error:
            raise self._error(index, f"cannot be converted: {_reason(error)}") from error
        return Frame(picture, index, timestamp_s, self._source_id, self.name)

    def skip(self) -> bool:
        decoded = self._decode()
        if decoded is None:
            return False
        self._timestamp(decoded, self._index)
        self._index += 1
        return True

    def rewind(self) -> None:
        self.close()
        self._container = self._open()

    def close(self) -> None:
        self._is_over = True
        self._first = None
        if self._container is not None:
            self._frames = iter(())
            self._container.close()
            self._container = None

    @property
    def sizes_hw(self) -> dict[tuple[int, int], int]:
        """The size of its pictures as they will be shown, from the first one, which is kept for `read`."""
        if self._first is None and self._failure is None and self._index == 0:
            try:
                self._first = self._decode()
            except FrameError as error:
                self._failure = error
        first = self._first
        if first is None:
            return {}
        is_upright = round(first.rotation / 90) % 2 == 1
        size_hw = (first.width, first.height) if is_upright else (first.height, first.width)
        return {size_hw: self.num_frames or 1}

    def _decode(self) -> VideoFrame | None:
        first, self._first = self._first, None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if first is not None:
            return first
        if self._is_over:
            return None
        import av

        try:
            decoded = next(self._frames, None)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._is_over = True
            raise self._error(self._index, f"{self._ended()}: {_reason(error)}") from error
        if decoded is None:
            self._is_over = True
            if self._is_cut_short():
                raise self._error(self._index, self._ended())
        return decoded

    def _is_cut_short(self) -> bool:
        """Whether a file ended with over a second (and a tenth) of the promised pictures missing.

        A little less than promised is common in sound files: edit lists and rounded durations.
        """
        promised = self.num_frames
        if promised is None or self._is_url:
            return False
        missing = promised - self._index
        return missing > max(self.fps or 1.0, promised / 10)

    def _ended(self) -> str:
        if self.is_live:
            return "the stream ended"
        promised = f" of {self.num_frames}" if self.num_frames else ""
        return f"the video is damaged or cut short: ends after {self._index}{promised} frames"

    def _error(self, index: int, message: str) -> FrameError:
        hint = "check the network and the camera" if self._is_url else "the frames before it have been delivered"
        return FrameError(message, stage="read", source=self.name, frame_index=index, hint=hint)

    def _timestamp(self, decoded: VideoFrame, index: int) -> float:
        seconds: float | None = decoded.time
        if seconds is None:
            return index / self.fps if self.fps else float(index)
        if self._start_s is None:
            self._start_s = seconds
        return seconds - self._start_s

    def _to_picture(self, decoded: VideoFrame) -> Image | Planes:
        quarter_turns = round(decoded.rotation / 90) % 4
        if not quarter_turns and Planes.fits(decoded):
            return Planes(decoded, self._converter)
        image = self._converter.convert(decoded)
        return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image


def num_threads(width: int, height: int) -> int:
    """How many threads decode a video with pictures of a size, pixels, where nothing else is asked for."""
    by_pixels = round(width * height / PIXELS_A_THREAD)
    by_cores = int(usable_cores()) // CORES_A_THREAD
    return max(1, min(max(by_pixels, by_cores * (1 + by_pixels)), MAX_THREADS))


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or first_line(error)


def _open_hint(is_url: bool) -> str:
    if is_url:
        return "check the address, the network and the login (rtsp://user:password@host/path)"
    return "the file may be damaged, cut short or of a kind that FFmpeg does not know"
