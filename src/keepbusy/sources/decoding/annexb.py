"""Packets as FFmpeg's program takes them: with start codes, and with what decoders must know before key frames."""

from __future__ import annotations

from typing import Any

from keepbusy.sources.decoding.bitstream import FILTERS, has_start_codes, parameter_sets

_NEW_HEADER = "new_extradata"


class AnnexB:
    """Converts the packets of one stream.

    Args:
        stream: PyAV's.
    """

    def __init__(self, stream: Any) -> None:
        self.codec: str = stream.codec_context.name
        self._stream = stream
        self._header = bytes(stream.codec_context.extradata or b"")
        self._filter: Any = None

    def content(self, packet: Any) -> bytes:
        """A packet with start codes; before a key frame without parameter sets stand those of the stream."""
        data = bytes(packet)
        if not (has_start_codes(data) and has_start_codes(self._header or data)):
            data = self._filtered(packet, data)
        if packet.is_keyframe and has_start_codes(self._header) and not parameter_sets(data, self.codec):
            data = self._header + data
        return data

    @staticmethod
    def has_new_header(packet: Any) -> bool:
        """Whether a packet brings other parameter sets beside its content, as rare files do."""
        return bool(packet.has_sidedata(_NEW_HEADER))

    def _filtered(self, packet: Any, data: bytes) -> bytes:
        import av
        from av.bitstream import BitStreamFilterContext

        if self._filter is None:
            self._filter = BitStreamFilterContext(FILTERS[self.codec], self._stream)
        copied = av.Packet(data)  # The filter takes what it is given.
        copied.pts, copied.dts, copied.time_base = packet.pts, packet.dts, packet.time_base
        copied.is_keyframe = packet.is_keyframe
        return b"".join(bytes(one) for one in self._filter.filter(copied))
