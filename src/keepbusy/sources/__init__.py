"""Where frames come from; `open_source` makes any of them from what the user wrote."""

from keepbusy.sources.base import Selection, Source, allow_reduced, close_source, frame_sizes
from keepbusy.sources.named import named_files
from keepbusy.sources.open import open_source, open_sources

__all__ = [
    "Selection",
    "Source",
    "allow_reduced",
    "close_source",
    "frame_sizes",
    "named_files",
    "open_source",
    "open_sources",
]
