"""What names a source before it is opened."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from keepbusy.config import MAX_PIXELS, Decoder
from keepbusy.sources.base import Source
from keepbusy.sources.open import open_source
from keepbusy.texts import without_secrets


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source that is not open yet. Small, immutable, picklable; its `repr` has no password in it.

    Attributes:
        location: What `open_source` takes.
        read_ahead, read_threads, max_pixels, fast_decode, decoder: As for `open_source`.
    """

    location: str | int | Path = field(repr=False)
    read_ahead: bool = True
    read_threads: int | None = None
    max_pixels: int = MAX_PIXELS
    fast_decode: bool = False
    decoder: Decoder = "auto"
    name: str = field(init=False)
    """What to call it, without passwords."""

    def __post_init__(self) -> None:
        text = os.fspath(self.location) if isinstance(self.location, Path) else str(self.location)
        object.__setattr__(self, "name", without_secrets(text))

    def open(self) -> Source:
        """Open it.

        Raises:
            SourceError: It does not exist, cannot be opened or has nothing in it.
        """
        return open_source(
            self.location,
            read_ahead=self.read_ahead,
            read_threads=self.read_threads,
            max_pixels=self.max_pixels,
            fast_decode=self.fast_decode,
            decoder=self.decoder,
        )
