"""The sound of a video file, copied beside its annotated pictures without being encoded again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keepbusy.errors import first_line
from keepbusy.files.paths import file_address

_WITHOUT_PCM = frozenset({"mp4", "ipod"})
_LOG = logging.getLogger("keepbusy")


class Sound:
    """Copies packets of sound as the pictures get ahead, so that a player finds both in one place.

    What cannot be read of it is left out, with a warning: the pictures are what was asked for.

    Args:
        source: The video file.
        output: The open output; gets a stream, before anything is written to it.

    Raises:
        OSError: The source cannot be read.
        ValueError: The sound does not fit into the output.
    """

    def __init__(self, source: Path, output: Any) -> None:
        self._name = source
        self._output = output
        self._stream: Any = None
        self._next: Any = None
        self._last_dts = -1
        self._container: Any = _open(source)
        try:
            sound = self._container.streams.best("audio")
            if sound is None:
                return
            video = self._container.streams.best("video")
            self._start_s = 0.0 if video is None else float((video.start_time or 0) * video.time_base)
            codec = sound.codec_context.name
            if codec.startswith("pcm") and output.format.name in _WITHOUT_PCM:
                # FFmpeg takes it, and fails at the end.
                raise ValueError(f"{codec} does not fit into this kind of file; .mkv and .mov take it")
            self._stream = output.add_stream_from_template(sound)
            self._packets: Iterator[Any] = self._container.demux(sound)
        except BaseException:
            self.close()
            raise

    def copy_until(self, time_s: float) -> None:
        """Write the packets that begin before a time of the output, seconds.

        Raises:
            OSError: The output cannot be written.
        """
        while self._stream is not None:
            packet, self._next = self._next or self._read(), None
            if packet is None:
                self._stream = None
            elif packet.pts * packet.time_base - self._start_s >= time_s:
                self._next = packet
                return
            else:
                self._write(packet)

    def close(self) -> None:
        """Close the source."""
        self._stream = None
        self._container.close()

    def _read(self) -> Any:
        try:
            while True:
                packet = next(self._packets, None)
                if packet is None or (packet.pts is not None and packet.dts is not None):
                    return packet
        except (OSError, ValueError) as error:
            _LOG.warning("%s: its sound ends early: %s", self._name, first_line(error))
            return None

    def _write(self, packet: Any) -> None:
        start = round(self._start_s / packet.time_base)
        packet.pts, packet.dts = packet.pts - start, packet.dts - start
        # Sound from before the first picture, and what a damaged or joined file says again.
        if packet.pts < 0 or packet.dts <= self._last_dts:
            return
        self._last_dts = packet.dts
        packet.stream = self._stream
        self._output.mux(packet)


def _open(source: Path) -> Any:
    import av

    return av.open(file_address(source))
