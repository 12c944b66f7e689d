"""Who says how a stream is decoded."""

from __future__ import annotations

from typing import Protocol

from keepbusy.sources.decoding.hardware import Route


class Choice(Protocol):
    """Who says how a stream is decoded."""

    def is_open(self) -> bool:
        """Whether there may be an answer, or a sample is wanted."""
        ...

    def route(self, codec: str, shape_hw: tuple[int, int]) -> Route | None:
        """How to decode; None for PyAV, as far as is known now."""
        ...

    def sample(self, content: bytes, *, is_key: bool) -> None:
        """A packet of the stream, with start codes, to be measured with; called while `wants_sample`."""
        ...

    @property
    def wants_sample(self) -> bool:
        """Whether packets are to be measured with."""
        ...

    @property
    def is_asked(self) -> bool:
        """Whether somebody has asked for hardware."""
        ...

    def close(self) -> None:
        """Measure no more."""
        ...


class Fixed:
    """A way that was asked for."""

    wants_sample = False
    is_asked = True

    def __init__(self, route: Route) -> None:
        self._route = route

    def is_open(self) -> bool:
        return True

    def route(self, codec: str, shape_hw: tuple[int, int]) -> Route | None:
        return self._route

    def sample(self, content: bytes, *, is_key: bool) -> None:
        pass

    def close(self) -> None:
        pass
