"""What a source is."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keepbusy.errors import FrameError, SourceError, first_line
from keepbusy.values.frame import Frame
from keepbusy.values.streams import DropCause

log = logging.getLogger("keepbusy")


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known about a source once it is open.

    Attributes:
        name: What the user called it, without passwords: for people, records and the names of outputs.
        is_live: True for cameras and network streams: the freshest frame matters, older ones may be dropped. False for
            files: every frame matters.
        num_frames: How many frames it has, where that is known without reading them.
        fps: Frames per second of its own clock, where it has one. Cameras over HTTP and raw streams have none.
    """

    name: str
    is_live: bool = False
    num_frames: int | None = None
    fps: float | None = None


SOFTWARE = "software"
"""What PyAV's decoders are called."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """What decodes a source's pictures.

    Attributes:
        decoder: `software`, `vaapi` or `qsv`.
        reason: Why it is software, where hardware was asked for; else empty.
    """

    decoder: str
    reason: str = ""


class Source(ABC):
    """Where frames come from: the base class of all sources, also of your own.

    `info` and `read` are what a source has to have; the other methods have defaults.

    ```python
    class Microscope(Source):
        def __init__(self) -> None:
            self.info = SourceInfo("microscope", is_live=True)
            self._index = 0

        def read(self) -> Frame | None:
            self._index += 1
            return Frame(grab(), self._index - 1, time.monotonic(), 0, self.info.name)
    ```

    Used by one thread at a time, except for `interrupt`. `close` may come from another thread than `read`, after it.

    Attributes:
        info: What is known about it. Set when the source has been opened.
    """

    info: SourceInfo

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame; None at the end. Its `source_id` is set by the run.

        Raises:
            FrameError: This frame cannot be read. The next call goes on behind it, or ends.
        """

    def skip(self) -> bool:
        """Pass over the next frame as cheaply as can be; False at the end. Here: the frame is read and forgotten."""
        try:
            return self.read() is not None
        except FrameError:
            return True

    def rewind(self) -> None:
        """Go back to the first frame; called for finite sources only.

        Raises:
            SourceError: It cannot be done, which is what happens here.
        """
        raise SourceError(f"{self.info.name}: cannot be wound back", hint="read it without loop")

    def interrupt(self) -> None:  # noqa: B027 - a hook
        """Have a `read` that waits return or raise soon, and all later ones end. Called by any thread, at any time.

        A source whose `read` can wait for a long time should have this: closing a run waits for the read that is going
        on. Here: nothing is done.
        """

    def frame_sizes(self) -> dict[tuple[int, int], int]:
        """Look for the sizes of the frames to come: (height, width), pixels → how many frames have it.

        Called before the first `read`, so that the model is compiled for them. May open files; never waits for a
        network. Here: none is known, and the model is compiled when the first frame comes.
        """
        return {}

    def allow_reduced(self, min_long_side_px: int | None) -> None:  # noqa: B027 - a hook
        """Hear that pictures may be delivered at a part of their size, since only the model looks at them.

        Args:
            min_long_side_px: How long the longer side must be at least; None for whole pictures.
        """

    def take_dropped(self) -> Mapping[DropCause, int]:
        """How many frames it has given up itself since the last call, by cause: their indices are passed over.

        Here: none.
        """
        return {}

    def spare(self, *, is_enough: bool) -> None:  # noqa: B027 - a hook
        """Hear whether more frames come than are needed: those whose leaving out is cheap may be left out.

        Args:
            is_enough: Whether that is so from now on.
        """

    @property
    def decoding(self) -> Decoding | None:
        """What decodes its pictures now. Thread-safe. Here, and where nothing is decoded: None."""
        return None

    def want(self, fps: float | None) -> None:  # noqa: B027 - a hook
        """Hear how many frames per second are looked at: others may be left out. Called by the thread that reads.

        Args:
            fps: Frames per second that are enough; None for all.
        """

    def close(self) -> None:  # noqa: B027 - a hook
        """Release what it holds; further calls do nothing. Here: there is nothing to release."""


def frame_sizes(sources: Iterable[Source]) -> dict[tuple[int, int], int]:
    """The sizes of the frames to come, as far as the sources know them: (height, width), pixels → how many."""
    found: dict[tuple[int, int], int] = {}
    for source in sources:
        for size_hw, count in source.frame_sizes().items():
            found[size_hw] = found.get(size_hw, 0) + count
    return found


def close_source(source: Source) -> None:
    """Close a source. Where that fails it is reported, and concerns nobody else: its frames have been read."""
    try:
        source.close()
    except Exception as error:
        log.warning("%s: cannot be closed: %s", source.info.name, first_line(error))
