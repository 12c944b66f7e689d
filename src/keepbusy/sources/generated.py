"""Pictures that a generator makes one after the other, as a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keepbusy.config import MAX_PIXELS, Channels
from keepbusy.errors import ConfigError, FrameError, SourceError, first_line
from keepbusy.sources.base import Source, SourceInfo
from keepbusy.sources.single import read_single
from keepbusy.values.frame import Frame


class Generated(Source):
    """The pictures of a generator, or of any iterator. Each is asked for when its turn comes, in the reader's thread.

    Nobody knows how many there are, nor how large. They cannot be wound back. A generator that waits is not
    interrupted: closing a run waits for it, and then leaves it behind.

    Args:
        pictures: What `read_single` takes, one by one.
        channels: The order of the colours of arrays.
        max_pixels: A picture that has more by its header fails without being decoded.
    """

    def __init__(self, pictures: Iterator[Any], *, channels: Channels = "bgr", max_pixels: int = MAX_PIXELS) -> None:
        self.info = SourceInfo(getattr(pictures, "__name__", type(pictures).__name__))
        self._pictures = pictures
        self._channels: Channels = channels
        self._max_pixels = max_pixels
        self._next = 0

    def read(self) -> Frame | None:
        try:
            given = next(self._pictures)
        except StopIteration:
            return None
        except Exception as error:
            raise SourceError(f"{self.info.name}: the generator failed: {first_line(error)}") from error
        index = self._next
        self._next += 1
        try:
            name, image = read_single(
                given, index, channels=self._channels, max_pixels=self._max_pixels, name=self.info.name
            )
        except ConfigError as error:
            raise FrameError(
                error.message, stage="read", source=self.info.name, frame_index=index, hint=error.hint
            ) from error
        return Frame(image, index, float(index), 0, name)

    def skip(self) -> bool:
        try:
            next(self._pictures)
        except StopIteration:
            return False
        except Exception as error:
            raise SourceError(f"{self.info.name}: the generator failed: {first_line(error)}") from error
        self._next += 1
        return True

    def rewind(self) -> None:
        raise SourceError(
            f"{self.info.name}: a generator cannot be wound back", hint="give a list, or run it without `loop`"
        )

    def close(self) -> None:
        if hasattr(self._pictures, "close"):
            self._pictures.close()
