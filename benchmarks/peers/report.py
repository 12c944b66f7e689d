"""The figures as a markdown table and as a bar chart (SVG)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.peers.figures import REFERENCE, Row, Spread

_HEAD = (
    "| contender | model | frames/s: median (range) | latency, ms | core time a frame, ms | boxes a frame "
    "| to keepbusy async [95 %] | share of the model alone [95 %] |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
)

_LABEL_PX, _BAR_PX, _TEXT_PX, _ROW_PX = 270, 430, 240, 34
_INK, _MUTED, _PAPER, _BAR, _OURS, _LINE = "#24323f", "#5b6b7b", "#f7f9fb", "#9fb0c0", "#4a90c8", "#4f9d57"
FONT = "system-ui, sans-serif"


def to_markdown(rows: Sequence[Row], not_measured: Mapping[str, str], notes: Sequence[str] = ()) -> str:
    """The table, what was not measured and why, and notes.

    Args:
        rows: The figures.
        not_measured: Contender → reason, one line.
        notes: Paragraphs below the table.
    """
    lines = [_HEAD]
    for row in rows:
        cells = [
            f"**{row.contender.name}**" if row.contender.name == REFERENCE else row.contender.name,
            row.contender.model,
            f"{row.fps.median:.1f} ({row.fps.low:.1f} to {row.fps.high:.1f})",
            _number(row.latency_ms),
            _number(row.cpu_ms_per_frame),
            _number(row.boxes_per_frame),
            "1" if row.contender.name == REFERENCE else _share(row.ratio, row.ratio_interval),
            _share(row.efficiency, row.efficiency_interval),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for name, reason in not_measured.items():
        lines.append(f"| {name} | not measured here: {_cell(reason)} | – | – | – | – | – | – |")
    return "\n".join(lines) + "".join(f"\n\n{note}" for note in notes) + "\n"


def to_svg(rows: Sequence[Row], caption: str) -> str:
    """A bar for each end-to-end contender: its share of what the device does with the same model alone.

    The chart has a ground of its own, so that it reads on light and dark pages.

    Args:
        rows: The figures; those without an efficiency are left out.
        caption: One line below the bars.
    """
    bars = [(row, row.efficiency, row.efficiency_interval) for row in rows]
    top = max([1.0, *(interval[1] for _, _, interval in bars if interval), *(e.median for _, e, _ in bars if e)])
    scale_px = _BAR_PX / top
    parts: list[str] = []
    has_other = False
    y = 64
    for row, efficiency, interval in bars:
        if efficiency is None or interval is None:
            continue
        colour = _OURS if row.contender.name.startswith("keepbusy") else _BAR
        middle = y + 11
        parts.append(_text(_LABEL_PX - 12, middle + 5, row.contender.name, anchor="end"))
        parts.append(
            f'<rect x="{_LABEL_PX}" y="{y}" width="{efficiency.median * scale_px:.1f}" height="22" rx="3" '
            f'fill="{colour}"/>'
        )
        left, right = (_LABEL_PX + value * scale_px for value in interval)
        parts.append(
            f'<path d="M{left:.1f} {middle}H{right:.1f}M{left:.1f} {middle - 5}v10M{right:.1f} {middle - 5}v10" '
            f'stroke="{_INK}" stroke-width="1.5" fill="none"/>'
        )
        is_other = row.contender.model != rows[0].contender.model
        has_other = has_other or is_other
        words = f"{efficiency.median:.2f}   {row.fps.median:.1f} frames/s{' *' if is_other else ''}"
        parts.append(_text(_LABEL_PX + _BAR_PX + 14, middle + 5, words))
        y += _ROW_PX
    captions = [caption, "* Another model with random weights, and so few boxes or none."] if has_other else [caption]
    width, height = _LABEL_PX + _BAR_PX + _TEXT_PX, y + 26 + 18 * len(captions)
    one = _LABEL_PX + scale_px
    title = "End to end, as a share of the same model alone (benchmark_app async)"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" font-family="{FONT}" font-size="14">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" rx="12" fill="{_PAPER}"/>',
            _text(24, 34, title, size=17),
            *parts,
            f'<path d="M{_LABEL_PX} 56V{y}" stroke="{_MUTED}" fill="none"/>',
            f'<path d="M{one:.1f} 56V{y}" stroke="{_LINE}" stroke-width="2" stroke-dasharray="5 4" fill="none"/>',
            _text(one, y + 14, "1.00: the model alone", size=12, anchor="middle", colour=_LINE),
            *(_text(24, y + 32 + 18 * i, words, size=12, colour=_MUTED) for i, words in enumerate(captions)),
            "</svg>\n",
        ]
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _share(spread: Spread | None, interval: tuple[float, float] | None) -> str:
    if spread is None or interval is None:
        return "–"
    return f"{spread.median:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _text(x: float, y: float, words: str, *, size: int = 14, anchor: str = "start", colour: str = _INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" '
        f'xml:space="preserve">{escape(words)}</text>'
    )
