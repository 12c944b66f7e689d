"""Whether and how a program takes over at a key frame."""

from __future__ import annotations

from typing import Any, NamedTuple

from keepbusy.sources.decoding.annexb import AnnexB
from keepbusy.sources.decoding.bitstream import begins_anew
from keepbusy.sources.decoding.choice import Choice
from keepbusy.sources.decoding.hardware import Route
from keepbusy.sources.decoding.likeness import Likeness
from keepbusy.sources.decoding.repeated import RepeatedPackets


class UnfitError(Exception):
    """Such pictures are decoded by software only; one line."""


class Plan(NamedTuple):
    """How a program takes over.

    Attributes:
        route: How it decodes.
        likeness: The key frame's picture as software decodes it.
        content: The key frame, with start codes.
    """

    route: Route
    likeness: Likeness
    content: bytes


def plan_for(packet: Any, packets: RepeatedPackets, annexb: AnnexB, choice: Choice, *, goes_on: bool) -> Plan | None:
    """What is to be done at a key frame; None where software goes on, with this packet.

    Args:
        packet: The key frame.
        packets: Software's decoder. It gives out what it holds, and begins anew.
        annexb: What converts packets.
        choice: Who says how.
        goes_on: Whether software has decoded what is before: pictures behind the key frame may refer to that then, and
            only one where that is not so will do.

    Raises:
        UnfitError: No program decodes such pictures.
    """
    content = annexb.content(packet)
    if not content or (goes_on and not begins_anew(content, annexb.codec)):
        return None
    if goes_on:
        packets.give_tail()
    first = packets.first_picture(packet)
    if first is None:
        return None
    likeness = Likeness(first)
    if reason := likeness.unfit():
        raise UnfitError(reason)
    route = choice.route(annexb.codec, likeness.shape_hw)
    return None if route is None else Plan(route, likeness, content)
