"""Where people read: rich's console, without blanks at the ends of lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.segment import Segment


def open_console(**options: Any) -> Console:
    """A console that fills no line up with blanks, so that its output can be compared, searched and mailed.

    Args:
        **options: Those of `rich.console.Console`.
    """
    console = Console(**options)
    console.push_render_hook(_WithoutBlanks())
    return console


class _WithoutBlanks(RenderHook):
    def process_renderables(self, renderables: Sequence[RenderableType]) -> list[ConsoleRenderable]:
        return [_Trimmed(one) for one in renderables]


class _Trimmed:
    """Something whose lines end with their last visible character.

    Args:
        inner: What is shown.
    """

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _trimmed(console.render(self._inner, options))


def _trimmed(segments: Iterable[Segment]) -> Iterator[Segment]:
    blanks: list[Segment] = []
    for segment in segments:
        if segment.control:
            yield segment
            continue
        for line in segment.text.splitlines(keepends=True):
            text = line.rstrip("\n")
            shown = text.rstrip(" ")
            if shown:
                yield from blanks
                blanks.clear()
                yield Segment(shown, segment.style)
            if len(text) < len(line):
                blanks.clear()
                yield Segment("\n", segment.style)
            elif len(shown) < len(text):
                blanks.append(Segment(text[len(shown) :], segment.style))
    yield from blanks
