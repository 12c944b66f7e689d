"""Which addresses the program itself fetches; all others are FFmpeg's to open."""

from __future__ import annotations


def is_web(text: str) -> bool:
    """Whether a text is an address of http or https."""
    return text.lower().startswith(("http://", "https://"))
