"""What an option says → what decodes a stream."""

from __future__ import annotations

import logging
from typing import Any

from keepbusy.config import Decoder
from keepbusy.sources.container import Location
from keepbusy.sources.decoding.auto import Auto
from keepbusy.sources.decoding.bitstream import FILTERS
from keepbusy.sources.decoding.choice import Choice, Fixed
from keepbusy.sources.decoding.decoders import Decoders
from keepbusy.sources.decoding.hardware import Route, find_route, usable_routes
from keepbusy.sources.decoding.repeated import RepeatedPackets
from keepbusy.sources.packets import Packets
from keepbusy.sources.receiver import Receiver

log = logging.getLogger("keepbusy")


def open_packets(
    container: Any,
    stream: Any,
    receiver: Receiver | None,
    location: Location,
    decoder: Decoder | Route,
    *,
    fast_decode: bool,
) -> Packets | Decoders:
    """The pictures of one stream of an open container.

    Args:
        container, stream, fast_decode: As for `Packets`.
        receiver: What receives it, where it is live.
        location: Where it lies.
        decoder: What was asked for; or a route, as it is.
    """
    how: dict[str, Any] = {
        "can_reopen": location.can_reopen,
        "max_pixels": location.max_pixels,
        "fast_decode": fast_decode,
        "packets": None if receiver is None else receiver.packets(),
    }
    choice, reason = choose(decoder, stream.codec_context.name, location.name)
    if choice is None:
        return Packets(container, stream, reason=reason, **how)
    return Decoders(RepeatedPackets(container, stream, **how), stream, receiver, choice, location)


def choose(decoder: Decoder | Route, codec: str, name: str) -> tuple[Choice | None, str]:
    """How a stream is decoded.

    Args:
        decoder: What was asked for; or a route, as it is.
        codec: The stream's codec, FFmpeg's name.
        name: What to call the stream.

    Returns:
        Who decides; None where only PyAV decodes, and then why, where something else was asked for.
    """
    if isinstance(decoder, Route):
        return Fixed(decoder), ""
    if decoder == "software":
        return None, ""
    if decoder == "auto":
        routes = usable_routes() if codec in FILTERS else []
        return (Auto(routes) if routes else None), ""
    if codec not in FILTERS:
        reason = f"{decoder} is used for H.264 and H.265, and this is {codec}"
    else:
        route = find_route(decoder)
        if isinstance(route, Route):
            return Fixed(route), ""
        reason = f"{decoder}: {route}"
    log.warning("%s: decoded by software: %s", name, reason)
    return None, reason
