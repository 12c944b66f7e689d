"""What is drawn, and how."""

from __future__ import annotations

from dataclasses import dataclass

from keepbusy.checks import check_range
from keepbusy.errors import ConfigError

MAX_LINE_WIDTH_PX = 100


@dataclass(frozen=True, slots=True)
class Style:
    """What is drawn, and how.

    Attributes:
        has_labels: Whether boxes have a label.
        has_confidence: Whether labels tell the confidence.
        has_throughput: Whether the running throughput is written in the corner.
        line_width_px: How wide lines are; None to go by the picture's size.
    """

    has_labels: bool = True
    has_confidence: bool = True
    has_throughput: bool = True
    line_width_px: int | None = None


PLAIN = Style()
"""Everything is drawn, sized by the picture."""


def style_of(*, labels: bool, conf: bool, line_width: int | None) -> Style:
    """A style from what callers of `plot` and `save` say.

    Raises:
        ConfigError: `line_width` is no whole number from 1 to `MAX_LINE_WIDTH_PX`.
    """
    if line_width is not None:
        if isinstance(line_width, bool) or not isinstance(line_width, int):
            raise ConfigError(f"line_width: {line_width!r} is no whole number", hint="give pixels, such as 2")
        check_range("line_width", line_width, 1, MAX_LINE_WIDTH_PX)
    return Style(has_labels=bool(labels), has_confidence=bool(conf), has_throughput=False, line_width_px=line_width)
