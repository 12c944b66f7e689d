"""A video's container: opened from where it lies, and the stream in it chosen that is to be read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from keepbusy.errors import SourceError, reason_of
from keepbusy.files.paths import file_address
from keepbusy.sources.boxes import is_index_last
from keepbusy.sources.limits import decoder_options, formats_of_files
from keepbusy.sources.pipe import Pipe
from keepbusy.sources.png import file_unpacks_too_far
from keepbusy.threads.cores import usable_cores

PIXELS_A_THREAD = 1920 * 1080
"""One thread decodes some hundred 1080p pictures a second. FFmpeg's own choice, one for each core and one more, costs a
third more CPU time a picture at 768x432, which a device that is the CPU then lacks."""

CORES_A_THREAD = 4
"""On many cores one thread for so many of them: a model that does 900 frames a second wants more than one decodes. As
many again for each 1080p of a picture: on 16 cores 4K ran 1.8 times as fast with 16 threads as with 4."""

MAX_THREADS = 16
"""FFmpeg itself advises against more."""

_RTSP = {"rtsp_transport": "tcp", "allowed_media_types": "video", "fpsprobesize": "0", "probesize": "32"}
"""Over TCP: a lost UDP packet is a smeared picture, and firewalls let TCP through. Pictures only. And not a second of
them read ahead, to learn what the camera has told before, or the decoder learns from the first picture."""

_HEAD_BYTES = 1 << 12

_HAS_NO_TIMES = 0x80
"""FFmpeg's AVFMT_NOTIMESTAMPS: raw H.264, HEVC and Motion JPEG, and HTTP cameras (`mpjpeg`)."""

_IMAGE_PIPE = "_pipe"
"""How FFmpeg's names for pictures that follow each other end: `jpeg_pipe`, `png_pipe`, ..."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a video lies, and how it is to be opened.

    Attributes:
        place: Path, URL, or a pipe.
        name: What it is called in messages; without passwords.
        timeout_s: For URLs: the longest silence.
        max_pixels: FFmpeg takes no memory for a picture of many more pixels.
    """

    place: str | Pipe
    name: str
    timeout_s: float
    max_pixels: int

    @property
    def is_url(self) -> bool:
        """It lies behind an address."""
        return isinstance(self.place, str) and "://" in self.place

    @property
    def path(self) -> str | None:
        """The file's path; None for URLs and pipes."""
        return self.place if isinstance(self.place, str) and not self.is_url else None

    @property
    def can_reopen(self) -> bool:
        """Opening it again gives the same from its beginning, as a file does."""
        return self.path is not None and os.path.isfile(self.path)

    def reason(self, error: Exception) -> str:
        """Why FFmpeg failed: our own limit where that was reached, else its words, in which the address may stand."""
        import av

        silent = (av.error.ExitError, TimeoutError)
        if self.is_url and any(isinstance(one, silent) for one in (error, error.__cause__)):
            return f"nothing has come for {self.timeout_s:g} s"
        reason = reason_of(error)
        return reason.replace(self.place, self.name) if isinstance(self.place, str) else reason


def failures() -> tuple[type[Exception], ...]:
    """What PyAV raises where a container cannot be opened or read."""
    import av

    return av.FFmpegError, OSError, ValueError


def open_container(location: Location) -> Any:
    """Open a video's container: PyAV's.

    Raises:
        SourceError: It cannot be opened.
    """
    import av

    place, path = location.place, location.path
    # FFmpeg decodes pictures when it opens, too.
    options: dict[str, Any] = {"options": decoder_options(location.max_pixels)}
    if location.is_url:
        # PyAV's limit for opening only: it takes the interpreter's lock for each packet of the network.
        options["timeout"] = (location.timeout_s, None)
        options["options"]["rw_timeout"] = str(round(location.timeout_s * 1e6))
    if isinstance(place, Pipe):
        _check_pipe(place)
    elif place.lower().startswith(("rtsp://", "rtsps://")):
        options["options"] |= {**_RTSP, "timeout": str(round(location.timeout_s * 1e6))}
    if not location.is_url:
        options["options"]["format_whitelist"] = formats_of_files()
    if path is not None and _unpacks_too_far(path):
        raise SourceError(
            f"{location.name}: cannot be opened as a video: its texts or its colour profile are too long",
            hint="remove them, or convert it to a GIF or a video",
        )
    try:
        return av.open(place if path is None else file_address(path), **options)
    except failures() as error:
        raise _why_not_opened(location, error) from error


def has_clock(container: Any) -> bool:
    """Whether a container says when its pictures are shown. Where it does not, FFmpeg invents 25 a second.

    Args:
        container: PyAV's, open.
    """
    name: str = container.format.name
    return not (container.format.flags & _HAS_NO_TIMES or name.endswith(_IMAGE_PIPE) or name == "image2pipe")


def is_endless(location: Location, container: Any) -> bool:
    """Whether what lies behind an address is live: nothing tells its end.

    A duration tells it. So does a length in bytes, of a stream without a container; that of a playlist is not the
    stream's, and cameras that send one picture after the other as parts of a message (`mpjpeg`) make it up.

    Args:
        location: Where it lies.
        container: PyAV's, open.
    """
    # Flash video that is live has a duration of 0.
    if not location.is_url or (container.duration or 0) > 0:
        return False
    return has_clock(container) or container.format.name == "mpjpeg" or container.size <= 0


def rate_of(stream: Any) -> Any:
    """Frames per second of a stream, by its pictures, by what its codec says, or as FFmpeg guesses; None where unknown.

    Of streams that nothing is read ahead of, FFmpeg guesses the rate of fields.
    """
    return stream.average_rate or stream.codec_context.framerate or stream.guessed_rate


def choose_stream(container: Any, name: str) -> Any:
    """FFmpeg's best video stream; never a cover picture or a preview.

    Args:
        container: PyAV's, open.
        name: What it is called in messages.

    Raises:
        SourceError: There is none, or its codec is not known.
    """
    import av

    passed_over = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    wanted = [one for one in container.streams.video if not one.disposition & passed_over]
    if not wanted:
        what = "only a cover picture, no video" if container.streams.video else "no video"
        raise SourceError(f"{name}: has {what} in it", hint="give a file or stream with pictures")
    best = container.streams.best("video")
    # An icon's streams are its sizes.
    if best is None or container.format.name == "ico" or all(best.index != one.index for one in wanted):
        best = max(wanted, key=_num_pixels)
    if best.codec_context is None:
        raise SourceError(f"{name}: its codec is not known", hint="convert it to H.264, H.265, VP9 or AV1 with ffmpeg")
    return best


def num_threads(width: int, height: int) -> int:
    """How many threads decode a video with pictures of a size, pixels, where nothing else is asked for."""
    by_pixels = round(width * height / PIXELS_A_THREAD)
    by_cores = int(usable_cores()) // CORES_A_THREAD
    return max(1, min(max(by_pixels, by_cores * (1 + by_pixels)), MAX_THREADS))


def _num_pixels(stream: Any) -> int:
    return 0 if stream.codec_context is None else (stream.width or 0) * (stream.height or 0)


def _why_not_opened(location: Location, error: Exception) -> SourceError:
    name, path = location.name, location.path
    if path is not None and _lacks_index(path):
        return SourceError(
            f"{name}: cannot be opened as a video: its index, which stands at the end, is missing",
            hint="the file is cut short, or its recording was interrupted",
        )
    if path is not None and _names_others(path):
        return SourceError(
            f"{name}: is no video, but a list of other files or addresses, which is not followed",
            hint="give the files themselves (in a .txt file, one per line), or the address: https://host/list.m3u8",
        )
    return SourceError(
        f"{name}: cannot be opened as a video: {location.reason(error)}", hint=_open_hint(location.place)
    )


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


def _open_hint(place: str | Pipe) -> str:
    if isinstance(place, Pipe):
        return "from a pipe, videos and pictures are told by their first bytes: give other files by their paths"
    if "://" in place:
        scheme = place.partition("://")[0].lower()
        return f"check the address, the network and the login ({scheme}://user:password@host/path)"
    return "the file may be damaged, cut short or of a kind that FFmpeg does not know"
