"""What comes through a pipe (standard input, a FIFO): one picture, or a video. It can be read only once.

Pictures are told by their first bytes. One that another follows is the beginning of a video (Motion JPEG).
"""

from __future__ import annotations

import io
import os
import select
from pathlib import Path

from keepbusy.config import MAX_PIXELS
from keepbusy.errors import SourceError, reason_of
from keepbusy.sources import heif
from keepbusy.sources.base import Source, SourceInfo
from keepbusy.sources.limits import MAX_PICTURE_BYTES
from keepbusy.sources.picture import blaming, decode_picture
from keepbusy.values.frame import Frame

STDIN = "-"

_CHUNK_BYTES = 1 << 16
_HEAD_BYTES = 1 << 12

_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\xff\xd8\xff", ".jpg", "mjpeg"),
    (b"\x89PNG\r\n\x1a\n", ".png", "png"),
    (b"RIFF", ".webp", "webp"),
    (b"BM", ".bmp", "bmp"),
    (b"\0\0\0\x0cjP  ", ".jp2", "jpeg2000"),
    *((b"P%d\n" % kind, ".pnm", "ppm") for kind in range(1, 7)),
    (b"II*\0", ".tif", ""),
    (b"MM\0*", ".tif", ""),
)
"""How pictures begin, their ending, and FFmpeg's name for what finds their end; empty where the pipe's end is it."""


class Pipe:
    """Bytes that can be read only once, with a look at the first ones. Not seekable, so that nobody tries.

    Args:
        name: `-` for standard input, or a FIFO's path.

    Attributes:
        name: As given.
        head: The first bytes, up to some thousand, fewer only where there are no more.
        num_read: How many bytes have been handed out.

    Raises:
        SourceError: It cannot be read, or is empty.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.num_read = 0
        self._ahead: list[bytes] = []
        self._is_interrupted = False
        self._alarm = _Alarm()
        try:
            self._file = self._opened()
            try:
                self._begin()
            except BaseException:
                self._file.close()
                raise
        except BaseException:
            self._alarm.close()
            raise

    def _opened(self) -> io.FileIO:
        try:
            return io.FileIO(0, closefd=False) if self.name == STDIN else io.FileIO(self.name)
        except OSError as error:
            raise SourceError(f"{self.shown}: cannot be read: {reason_of(error)}", hint=_HINT) from error

    def _begin(self) -> None:
        try:
            if self._file.isatty():
                raise SourceError(f"{self.shown} is a terminal", hint=_HINT)
            self.head = self._look_at(_HEAD_BYTES)
        except OSError as error:
            raise SourceError(f"{self.shown}: cannot be read: {reason_of(error)}", hint=_HINT) from error
        if not self.head:
            raise SourceError(f"{self.shown} is empty", hint=_HINT)

    @property
    def shown(self) -> str:
        """What to call it in a sentence."""
        return "standard input" if self.name == STDIN else self.name

    def read(self, num_bytes: int) -> bytes:
        """The next bytes, as many as are there, at most so many; none at the end."""
        if self._ahead:
            chunk = self._ahead.pop(0)
            if len(chunk) > num_bytes:
                self._ahead.insert(0, chunk[num_bytes:])
                chunk = chunk[:num_bytes]
        else:
            chunk = self._next(num_bytes)
        self.num_read += len(chunk)
        return chunk

    def look_on(self) -> bytes:
        """Bytes that nobody has seen yet; they stay to be read. None at the end."""
        chunk = self._next(_CHUNK_BYTES)
        if chunk:
            self._ahead.append(chunk)
        return chunk

    def seen(self) -> bytes:
        """All bytes that were looked at and not read."""
        return b"".join(self._ahead)

    def interrupt(self) -> None:
        """End a `read` that waits, and all later ones: nothing comes any more. Thread-safe."""
        self._is_interrupted = True
        self._alarm.ring()

    def close(self) -> None:
        """Release it."""
        self.interrupt()
        self._alarm.close()
        self._file.close()

    def _next(self, num_bytes: int) -> bytes:
        # A read that waits could not be woken: it is begun when there is something.
        while self._alarm.wait_for(self._file) and not self._is_interrupted:
            if (chunk := self._file.read(num_bytes)) is not None:  # None: another program has taken it.
                return chunk
        return b""

    def _look_at(self, num_bytes: int) -> bytes:
        while sum(map(len, self._ahead)) < num_bytes and self.look_on():
            pass
        return self.seen()


class _Alarm:
    """Wakes a thread that waits for a file. Where the system cannot wait for several things, nothing is waited for."""

    def __init__(self) -> None:
        self._hears, self._rings = (io.FileIO(end, mode) for end, mode in zip(os.pipe(), "rw", strict=True))

    def ring(self) -> None:
        """Wake whoever waits, and all who will."""
        self._rings.close()

    def close(self) -> None:
        """Release it, when nobody waits any more."""
        self._rings.close()
        self._hears.close()

    def wait_for(self, file: io.FileIO) -> bool:
        """Wait until a file has something to read, or has ended; False if the alarm has been rung."""
        if not hasattr(select, "poll"):
            return not self._rings.closed
        if self._rings.closed:
            return False
        waiting = select.poll()
        for one in (file, self._hears):
            waiting.register(one, select.POLLIN)
        return all(number != self._hears.fileno() for number, _ in waiting.poll())


_HINT = "see that the program before it writes a video or a picture, as in: cat clip.mkv | keepbusy detect -"


def is_pipe(path: Path) -> bool:
    """Whether what is at a path can be read only once."""
    return path.is_fifo() or path.is_socket()


def picture_in(pipe: Pipe) -> tuple[str, bytes] | None:
    """The usual ending and the bytes of the one picture that a pipe holds; None where it holds something else."""
    head = pipe.head
    if heif.is_still(head):
        return _rest(pipe, f".{heif.name_of(head).lower()}")
    for signature, ending, codec in _SIGNATURES:
        if head.startswith(signature) and (ending != ".webp" or head[8:12] == b"WEBP"):
            return _only_one(pipe, ending, codec) if codec else _rest(pipe, ending)
    return None


def _rest(pipe: Pipe, ending: str) -> tuple[str, bytes] | None:
    num_bytes = len(pipe.head)
    while chunk := pipe.look_on():
        num_bytes += len(chunk)
        if num_bytes > MAX_PICTURE_BYTES:
            return None
    return ending, pipe.seen()


def _only_one(pipe: Pipe, ending: str, codec: str) -> tuple[str, bytes] | None:
    """A picture, where nothing follows it."""
    import av

    context = av.CodecContext.create(codec, "r")
    num_bytes, chunk = 0, pipe.seen()
    sizes: list[int] = []
    while chunk:
        num_bytes += len(chunk)
        sizes += [packet.size for packet in context.parse(chunk)]
        is_followed = len(sizes) > 1 or 0 < sum(sizes) < num_bytes
        if is_followed or num_bytes > MAX_PICTURE_BYTES:
            return None
        chunk = pipe.look_on()
    return ending, pipe.seen()


class PipedPicture(Source):
    """One picture that came through a pipe. Finite; it can be read again.

    Args:
        content: The picture, encoded.
        name: What to call it.
        source_id: The source's number in the run.
        max_pixels: It fails without being decoded where it has more by its header.
    """

    def __init__(self, content: bytes, name: str, source_id: int = 0, *, max_pixels: int = MAX_PIXELS) -> None:
        self.info = SourceInfo(name, num_frames=1)
        self._content = content
        self._source_id = source_id
        self._max_pixels = max_pixels
        self._is_read = False
        self._was_read = False

    def read(self) -> Frame | None:
        if not self.skip():
            return None
        is_first, self._was_read = not self._was_read, True
        with blaming(self.info.name, 0):
            picture = decode_picture(self._content, self.info.name, is_first=is_first, max_pixels=self._max_pixels)
        return Frame(picture, 0, 0.0, self._source_id, self.info.name)

    def skip(self) -> bool:
        was_read, self._is_read = self._is_read, True
        return not was_read

    def rewind(self) -> None:
        self._is_read = False

    def close(self) -> None:
        self._is_read = True
