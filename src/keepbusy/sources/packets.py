"""A container's packets, each decoded by itself, so that a damaged one costs no more than its own pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from keepbusy.errors import reason_of
from keepbusy.sources.base import SOFTWARE, Decoding
from keepbusy.sources.jpeg import read_header
from keepbusy.sources.limits import decoder_options
from keepbusy.sources.png import unpacks_too_far
from keepbusy.sources.size import promised_size

if TYPE_CHECKING:
    from av import VideoFrame

_SIZED_BY_CONTAINER = frozenset({"ffv1", "huffyuv", "ffvhuff", "lagarith", "magicyuv", "qtrle", "rawvideo", "utvideo"})
"""Decoders, by FFmpeg's names, whose packets do not say how large their pictures are."""

_PNG_HEADER_BYTES = 33

MAX_DEMUX_FAILURES = 8
"""So many failures in a row without a packet between them, and there is nothing more to be had from a container."""


class PacketError(Exception):
    """One packet cannot be decoded; the next ones may be.

    Args:
        reason: The decoder's words.
        is_partial: The container itself says that a part of the packet is missing.
        is_too_large: Its picture has more pixels than the decoder may take.
        shape_hw: Height and width of such a picture, pixels, where they are known.

    Attributes:
        is_last: No packet came behind it.
    """

    def __init__(
        self,
        reason: str,
        *,
        is_partial: bool = False,
        is_too_large: bool = False,
        shape_hw: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(reason)
        self.is_partial = is_partial
        self.is_too_large = is_too_large
        self.shape_hw = shape_hw
        self.is_last = False


def demuxed(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of a stream, also behind damage of the container; the last one is empty.

    Raises:
        OSError: The container cannot be read any further.
        ValueError: It is damaged so much that nothing more can be had from it.
    """
    import av

    num_failures = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except ValueError:  # FFmpeg's InvalidDataError is one.
            # A generator that has raised is over: the container itself can go on behind the damage.
            num_failures += 1
            if num_failures >= MAX_DEMUX_FAILURES:
                raise
            packets = container.demux(stream)
            continue
        except av.FFmpegError as error:
            # Some of FFmpeg's are no OSError, such as what it has not implemented.
            if isinstance(error, OSError):
                raise
            raise OSError(getattr(error, "errno", None), reason_of(error)) from error
        if packet is None:
            return
        num_failures = 0
        yield packet


class Packets:
    """The pictures of one stream of an open container, in the order in which they are shown.

    Args:
        container: An open PyAV input container.
        stream: One of its video streams.
        can_reopen: Whether the container's name opens the same again: a file's does, a pipe's or a stream's does not.
        max_pixels: The decoder takes no memory for a picture that has more.
        fast_decode: See `RunConfig.fast_decode`.
        packets: The stream's packets, where they do not come from the container; they are live.
        reason: Why software decodes them, where hardware was asked for.

    Attributes:
        decoding: What decodes them.
        num_packets: How many packets with content have been read.
        is_drained: Whether nothing more is read.
    """

    def __init__(
        self,
        container: Any,
        stream: Any,
        *,
        can_reopen: bool,
        max_pixels: int,
        fast_decode: bool = False,
        packets: Iterator[Any] | None = None,
        reason: str = "",
    ) -> None:
        import av

        self.decoding = Decoding(SOFTWARE, reason)
        self._max_pixels = max_pixels
        self._had_size = bool(stream.width and stream.height)
        self._is_png = stream.codec_context.name in ("png", "apng")
        self._options = decoder_options(max_pixels, fast=fast_decode, is_live=packets is not None)
        stream.codec_context.options = self._options

        self._container = container
        self._stream = stream
        # Named here: to import them for each packet takes as long as to hand it on.
        self._failures: tuple[type[Exception], ...] = (av.FFmpegError, ValueError)
        self._end_of_file = av.error.EOFError
        self._argument_error = av.error.ArgumentError
        self._can_reopen = can_reopen
        self._demuxed = demuxed(container, stream) if packets is None else packets
        self._decoded: deque[VideoFrame | PacketError] = deque()
        self._num_given = 0
        self._num_failed = 0
        self._num_failed_since = 0
        self.is_drained = False
        self._partial: PacketError | None = None
        self._last_pts: int | None = None
        self.num_packets = 0
        self._end_pts = 0

    @property
    def end_s(self) -> float:
        """Where the last packet ends, seconds on the container's clock."""
        return self._seconds(self._end_pts) or 0.0

    def _seconds(self, ticks: int) -> float | None:
        time_base = self._stream.time_base
        return None if not time_base else float(ticks * time_base)

    def next(self) -> VideoFrame | None:
        """The next picture; None at the end.

        Raises:
            PacketError: A packet cannot be decoded; the next call goes on behind it.
            OSError: The container cannot be read any further.
        """
        while not self._decoded:
            if self.is_drained:
                self._tell_last()
                return None
            self.push(self.pull())
        return self.pop()

    def pull(self) -> Any:
        """The next packet; at the end none, or an empty one."""
        packet = next(self._demuxed, None)
        if packet is not None and packet.size:
            self.count(packet)
        return packet

    def push(self, packet: Any) -> None:
        """Decode what `pull` gave.

        Raises:
            PacketError: It cannot be decoded.
        """
        if packet is None or not packet.size:
            self.is_drained = True
            self._drain(packet)
        else:
            self._take(packet)

    def pop(self) -> VideoFrame:
        """The next picture of those that are decoded.

        Raises:
            PacketError: One could not be.
        """
        self._num_given += 1
        decoded = self._decoded.popleft()
        if isinstance(decoded, PacketError):
            raise decoded
        self._last_pts = decoded.pts
        self._num_failed_since = 0
        return decoded

    def like(self, decoded: VideoFrame) -> VideoFrame:
        """The picture that says how one is to be shown: itself."""
        return decoded

    def interrupt(self) -> None:
        """Have `next` end soon; it never waits for a decoder. Thread-safe."""

    def close(self) -> None:
        """Release what decodes; the container is who opened it's to close."""

    @property
    def has_ready(self) -> bool:
        """Whether `pop` has something to give."""
        return bool(self._decoded)

    def _take(self, packet: Any) -> None:
        """Decode a packet. The error of a partial one waits until it is known whether another packet follows."""
        earlier, self._partial = self._partial, None
        try:
            self._decoded.extend(self._decode(packet))
        except PacketError as error:
            self._num_failed += 1
            self._num_failed_since += 1
            if not error.is_partial and earlier is None:
                raise
            self._partial = error
        if earlier is not None:
            raise earlier

    def _tell_last(self) -> None:
        last, self._partial = self._partial, None
        if last is not None:
            last.is_last = True
            raise last

    def count(self, packet: Any) -> None:
        """Hear of a packet that is read for the first time."""
        self.num_packets += 1
        pts = packet.pts
        if pts is not None:
            # In ticks: fractions of seconds cost as much as the rest of this loop.
            self._end_pts = max(self._end_pts, pts + (packet.duration or 0))

    def _decode(self, packet: Any, stream: Any = None) -> list[VideoFrame]:
        """A packet's pictures.

        Args:
            packet: The packet.
            stream: The stream that it is of, where that is another than the one that is read.

        Raises:
            PacketError: It cannot be decoded.
        """
        is_bomb = self._is_png and unpacks_too_far(bytes(packet))
        try:
            # The decoder itself is to fail, in this packet's place: its threads still have the pictures before it.
            frames: list[VideoFrame] = (_beginning_of(packet) if is_bomb else packet).decode()
        except self._failures as error:
            if isinstance(error, self._end_of_file):
                return []
            is_too_large, shape_hw = self._refused(packet, error, (stream or self._stream).codec_context)
            raise PacketError(
                "its texts or its colour profile are too long" if is_bomb else reason_of(error),
                is_partial=bool(packet.is_corrupt) and not is_too_large,
                is_too_large=is_too_large,
                shape_hw=shape_hw,
            ) from error
        return frames

    def _refused(self, packet: Any, error: Exception, context: Any) -> tuple[bool, tuple[int, int] | None]:
        """Whether a decoder has refused a picture for its size, and its (height, width), pixels, where it is known.

        Some decoders keep the size that they refused, others have none from then on. Of a size in a container's header
        that FFmpeg never decodes nothing is left.
        """
        for shape_hw in (_promised_size(bytes(packet)), (context.height, context.width)):
            if shape_hw is not None and shape_hw[0] * shape_hw[1] > self._max_pixels:
                return True, shape_hw
        is_lost = self._had_size or isinstance(error, self._argument_error) or context.name in _SIZED_BY_CONTAINER
        return is_lost and not (context.height and context.width), None

    def _drain(self, packet: Any) -> None:
        """What the decoder still holds.

        With threads of frames one failure there hides the pictures behind it, and FFmpeg does not report it: where
        pictures are missing, the tail is decoded again without threads.
        """
        is_whole = True
        if packet is not None:
            try:
                self._decoded.extend(packet.decode())
            except self._end_of_file:
                pass
            except self._failures:
                is_whole = False
        num_seen = self._num_given + self._num_failed + len(self._decoded)
        has_frame_threads = self._stream.codec_context.thread_count > 1
        if self._can_reopen and (not is_whole or (has_frame_threads and num_seen < self.num_packets)):
            # Failures behind the last picture have been raised, and are met again.
            num_known = 0 if self._decoded else self._num_failed_since
            found = self._read_tail_again(self._tail_start_s())
            failed = [one for one in found if isinstance(one, PacketError)][:num_known]
            self._decoded.extend(one for one in found if one not in failed)

    def _tail_start_s(self) -> float | None:
        times = [one.time for one in self._decoded if not isinstance(one, PacketError) and one.time is not None]
        last_s = None if self._last_pts is None else self._seconds(self._last_pts)
        return max(times, default=last_s)

    def _read_tail_again(self, last_s: float | None) -> list[VideoFrame | PacketError]:
        """The pictures and failures behind a time, decoded without threads; none where that cannot be done."""
        import av

        if last_s is None or not self._stream.time_base:
            return []
        found: list[VideoFrame | PacketError] = []
        try:
            with av.open(self._container.name, options=decoder_options(self._max_pixels)) as again:
                stream = again.streams[self._stream.index]
                stream.codec_context.options = self._options
                stream.thread_type = "NONE"
                again.seek(int(last_s / stream.time_base), stream=stream, backward=True)
                for packet in again.demux(stream):
                    found += self._behind(packet, stream, last_s)
        except (av.FFmpegError, ValueError):
            return found
        return found

    def _behind(self, packet: Any, stream: Any, last_s: float) -> list[VideoFrame | PacketError]:
        """A packet's pictures, or its failure, where they are shown behind a time, seconds."""
        try:
            return [one for one in self._decode(packet, stream) if one.time is not None and one.time > last_s]
        except PacketError as error:
            time_s = _time_of(packet)
            return [error] if time_s is not None and time_s > last_s else []


def _promised_size(content: bytes) -> tuple[int, int] | None:
    """Of a picture that is a packet by itself; None where it tells nothing."""
    header = read_header(content)
    return promised_size(content, "") if header is None else header.shape_hw


def _beginning_of(packet: Any) -> Any:
    """A packet with the first chunk of a PNG only, which no decoder takes for a picture."""
    import av

    beginning = av.Packet(bytes(packet)[:_PNG_HEADER_BYTES])
    beginning.pts, beginning.dts, beginning.time_base = packet.pts, packet.dts, packet.time_base
    beginning.stream = packet.stream
    return beginning


def _time_of(packet: Any) -> float | None:
    ticks = packet.pts if packet.pts is not None else packet.dts
    return None if ticks is None or not packet.time_base else float(ticks * packet.time_base)
