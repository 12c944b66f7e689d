"""Where frames come from; `open_source` makes any of them from what the user wrote."""

from keepbusy.sources.base import Source, SourceInfo, close_source, frame_sizes
from keepbusy.sources.named import named_files
from keepbusy.sources.open import open_source, open_sources
from keepbusy.sources.selection import Selection

__all__ = [
    "Selection",
    "Source",
    "SourceInfo",
    "close_source",
    "frame_sizes",
    "named_files",
    "open_source",
    "open_sources",
]
