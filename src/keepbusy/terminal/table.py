"""A table whose figures are whole at any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_INDENT = "  "
_AS_WIDE_AS_IT_IS = 100_000


class FigureTable(Table):
    """A table that becomes a paragraph for each row where it is wider than the terminal.

    Rich makes columns narrower until they fit, and cuts figures on the way. Here a row is then its first cell in a line
    of its own, and below it the other cells, each behind its column's name: `frames/s 83.8, device busy 99%`. Lines
    break between cells.
    """

    def __init__(self, *headers: str, **options: Any) -> None:
        options.setdefault("box", None)
        options.setdefault("pad_edge", False)
        super().__init__(*headers, **options)
        for column in self.columns:
            column.no_wrap = True
        self._least: dict[int, int] = {}

    def add_words(self, header: str, *, least: int = 16) -> None:
        """Add a column of words, which is wrapped where there is no room, down to so many characters."""
        self._least[len(self.columns)] = least
        self.add_column(header, overflow="fold")

    def add_figures(self, *headers: str) -> None:
        """Add columns of figures, to the right, which are never wrapped."""
        for header in headers:
            self.add_column(header, justify="right", no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as it is, or as there is room: below that it shows itself as paragraphs."""
        widest = super().__rich_measure__(console, options.update(max_width=_AS_WIDE_AS_IT_IS)).maximum
        return Measurement(min(widest, options.max_width), min(widest, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._least_width(console, options) <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        for line in self._paragraphs(console, options):
            yield from console.render(line, options.update(no_wrap=False, overflow="fold"))

    def _least_width(self, console: Console, options: ConsoleOptions) -> int:
        """The width that it needs for all figures, with its words wrapped."""
        widest = super().__rich_measure__(console, options.update(max_width=_AS_WIDE_AS_IT_IS)).maximum
        for index, least in self._least.items():
            column = self.columns[index]
            texts = [str(column.header), *(_plain(console, cell) for cell in column.cells)]
            widest -= max(0, max(cell_len(line) for text in texts for line in text.split("\n")) - least)
        return widest

    def _paragraphs(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if self.title:
            yield Text(str(self.title), style="italic")
        first, *others = self.columns
        if self.show_header and str(first.header):
            yield Text(str(first.header), style=self.header_style or "bold")
        cells = [[_plain(console, cell) for cell in column.cells] for column in self.columns]
        headers = [str(column.header) if self.show_header else "" for column in others]
        for index, row in enumerate(self.rows):
            name, *values = (column[index] for column in cells)
            if name:
                yield Text(name, style=row.style or "")
            told = [f"{header} {value}".strip() for header, value in zip(headers, values, strict=True) if value.strip()]
            for line in _lines(told, options.max_width - len(_INDENT)):
                yield Text(_INDENT + line, style=row.style or "")


def _plain(console: Console, cell: RenderableType) -> str:
    """A cell as text."""
    if isinstance(cell, Text):
        return cell.plain
    if isinstance(cell, str):
        return console.render_str(cell).plain
    options = console.options.update(width=_AS_WIDE_AS_IT_IS)
    return "".join(segment.text for segment in Segment.filter_control(console.render(cell, options))).strip()


def _lines(told: Sequence[str], width: int) -> Iterator[str]:
    """Parts of a paragraph, as many as fit into each line; one that is too long for a line is broken between words."""
    line = ""
    for part in _that_fit(told, width):
        if line and cell_len(line) + 1 + cell_len(part) > width:
            yield line
            line = part
        else:
            line = f"{line} {part}" if line else part
    if line:
        yield line


def _that_fit(told: Sequence[str], width: int) -> Iterator[str]:
    for index, part in enumerate(told):
        whole = part if index == len(told) - 1 else f"{part},"
        yield from [whole] if cell_len(whole) <= width else whole.split()
