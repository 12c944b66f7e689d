"""Several finite sources, one after the other, as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keepbusy.errors import FrameError, KeepbusyError, first_line
from keepbusy.sources.base import Decoding, Source, SourceInfo, close_source
from keepbusy.texts import without_secrets
from keepbusy.values.frame import Frame


class Chain(Source):
    """Finite sources played one after the other; each is opened when its turn comes. Finite.

    Frames keep the name, index and timestamp of their own part. A part that cannot be opened is one failed frame.

    Args:
        parts: Names of the parts and functions that open them.
        name: What the user called the whole.
    """

    def __init__(self, parts: Sequence[tuple[str, Callable[[], Source]]], name: str) -> None:
        self.info = SourceInfo(name)
        self._parts = list(parts)
        self._next = 0
        self._current: Source | None = None
        self._min_long_side_px: int | None = None
        self._is_interrupted = False

    def read(self) -> Frame | None:
        while self._open_current():
            assert self._current is not None  # nosec B101 # for mypy: just opened
            try:
                frame = self._current.read()
            except FrameError:
                raise
            except Exception as error:
                name = self._current.info.name
                self._close_current()
                raise _failed(name, error) from error
            if frame is not None:
                return frame
            self._close_current()
        return None

    def skip(self) -> bool:
        while self._open_current():
            assert self._current is not None  # nosec B101 # for mypy: just opened
            if self._current.skip():
                return True
            self._close_current()
        return False

    def rewind(self) -> None:
        self._close_current()
        self._next = 0

    def interrupt(self) -> None:
        self._is_interrupted = True
        self._pass_on()

    def close(self) -> None:
        self._close_current()
        self._next = len(self._parts)

    @property
    def decoding(self) -> Decoding | None:
        current = self._current
        return None if current is None else current.decoding

    def allow_reduced(self, min_long_side_px: int | None) -> None:
        self._min_long_side_px = min_long_side_px

    def _open_current(self) -> bool:
        if self._current is not None:
            return True
        if self._is_interrupted or self._next >= len(self._parts):
            return False
        name, open_part = self._parts[self._next]
        self._next += 1
        try:
            current = open_part()
        except Exception as error:
            raise _failed(name, error) from error
        if current.info.is_live:
            close_source(current)
            raise FrameError(
                "is live, and never ends: it cannot be one of a list",
                stage="read",
                source=name,
                frame_index=0,
                hint="give cameras and streams as sources of their own on the command line",
            )
        current.allow_reduced(self._min_long_side_px)
        self._current = current
        self._pass_on()
        return True

    def _pass_on(self) -> None:
        current = self._current
        if self._is_interrupted and current is not None:
            current.interrupt()

    def _close_current(self) -> None:
        if self._current is not None:
            close_source(self._current)
            self._current = None


def _failed(name: str, error: Exception) -> FrameError:
    """A part's end, whatever it failed with: the other parts are not concerned."""
    message, hint = (error.message, error.hint) if isinstance(error, KeepbusyError) else (first_line(error), None)
    # What a part says of itself begins with its name, as the frame's error does.
    message = message.removeprefix(f"{without_secrets(name)}: ")
    return FrameError(message, stage="read", source=name, frame_index=0, hint=hint)
