"""Small drawings of rectangles, lines and text, written as SVG or rendered as a picture.

One drawing, two writers: SVG for pages and documents, and a picture rendered by OpenCV, so that no plotting library
is needed. Colours are named by role and looked up when written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import ConfigError
from keepbusy.files.whole import write_whole

Anchor = Literal["start", "middle", "end"]

NUM_FRAME_COLOURS = 6
LIGHT = {
    "paper": "#ffffff",
    "ink": "#1b2230",
    "muted": "#687385",
    "grid": "#e3e7ee",
    "lane": "#f4f6f9",
    "busy": "#34507c",
    "idle": "#ffc4ba",
    "alarm": "#c5341f",
    "on": "#ffffff",
    "frame0": "#2f6fde",
    "frame1": "#e07b16",
    "frame2": "#23946a",
    "frame3": "#8459d3",
    "frame4": "#d23f78",
    "frame5": "#1892a8",
}
"""Role → colour, for light paper. Pages define the same roles as CSS variables (`--ink`), also for dark ones."""

FONT = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_SCALE = 2
"""Pixels of a picture per unit of its drawing."""


@dataclass(frozen=True, slots=True)
class Rect:
    """A filled rectangle; `title` is shown where it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    radius: float = 0.0
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; (x, y) is its baseline's start, middle or end."""

    x: float
    y: float
    text: str
    colour: str = "ink"
    size: float = 12.0
    anchor: Anchor = "start"
    is_bold: bool = False


@dataclass(slots=True)
class Drawing:
    """Shapes on a canvas, painted in their order.

    Attributes:
        label: What it shows, for those who cannot see it.
    """

    width: float
    height: float
    label: str
    shapes: list[Rect | Line | Text] = field(default_factory=list)


def to_svg(drawing: Drawing, *, with_css_colours: bool = False) -> str:
    """The drawing as an SVG element.

    Args:
        drawing: What to write.
        with_css_colours: Take the colours from the page's CSS variables, and leave the paper to the page; else they
            are fixed and the paper is painted.
    """

    def colour(role: str) -> str:
        return f"var(--{role})" if with_css_colours else LIGHT[role]

    size = f'viewBox="0 0 {drawing.width:g} {drawing.height:g}"'
    if not with_css_colours:
        size += f' width="{drawing.width:g}" height="{drawing.height:g}"'
    label = escape(drawing.label)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}" font-family="{FONT}">',
        f"<title>{label}</title>",
    ]
    if not with_css_colours:
        parts.append(f'<rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>')
    for shape in drawing.shapes:
        if isinstance(shape, Rect):
            title = f"<title>{escape(shape.title)}</title>" if shape.title else ""
            parts.append(
                f'<rect x="{shape.x:.2f}" y="{shape.y:.2f}" width="{shape.width:.2f}" height="{shape.height:.2f}" '
                f'rx="{shape.radius:g}" style="fill:{colour(shape.colour)}">{title}</rect>'
            )
        elif isinstance(shape, Line):
            parts.append(
                f'<line x1="{shape.x1:.2f}" y1="{shape.y1:.2f}" x2="{shape.x2:.2f}" y2="{shape.y2:.2f}" '
                f'style="stroke:{colour(shape.colour)};stroke-width:{shape.width:g}"/>'
            )
        else:
            weight = ' font-weight="600"' if shape.is_bold else ""
            parts.append(
                f'<text x="{shape.x:.2f}" y="{shape.y:.2f}" font-size="{shape.size:g}" '
                f'text-anchor="{shape.anchor}"{weight} style="fill:{colour(shape.colour)}">{escape(shape.text)}</text>'
            )
    parts.append("</svg>")
    return "\n".join(parts)


def to_picture(drawing: Drawing) -> NDArray[np.uint8]:
    """The drawing as a picture at twice its size; uint8 (H, W, 3), BGR."""
    import cv2

    size_wh = (round(drawing.width * _SCALE), round(drawing.height * _SCALE))
    picture = np.full((size_wh[1], size_wh[0], 3), _bgr("paper"), np.uint8)
    for shape in drawing.shapes:
        if isinstance(shape, Rect):
            _paint_rect(picture, shape)
        elif isinstance(shape, Line):
            ends = [(round(x * _SCALE), round(y * _SCALE)) for x, y in ((shape.x1, shape.y1), (shape.x2, shape.y2))]
            cv2.line(picture, ends[0], ends[1], _bgr(shape.colour), max(1, round(shape.width * _SCALE)), cv2.LINE_AA)
        else:
            _paint_text(picture, shape)
    return picture


def write_drawing(drawing: Drawing, path: Path) -> None:
    """Write a drawing as SVG or PNG, by the path's ending.

    Raises:
        SinkError: The file cannot be written.
    """
    check_suffix(path)
    if path.suffix.lower() == ".svg":
        content = to_svg(drawing).encode()
    else:
        import cv2

        content = cv2.imencode(".png", to_picture(drawing))[1].tobytes()
    write_whole(path, content)


def check_suffix(path: Path) -> None:
    """See that a drawing can be written under this name.

    Raises:
        ConfigError: It is neither SVG nor PNG.
    """
    if path.suffix.lower() not in (".svg", ".png"):
        raise ConfigError(f"--plot: {path}: unknown kind of picture", hint="give a name that ends in .svg or .png")


def _bgr(role: str) -> tuple[int, int, int]:
    code = LIGHT[role].lstrip("#")
    red, green, blue = (int(code[i : i + 2], 16) for i in (0, 2, 4))
    return blue, green, red


def _paint_rect(picture: NDArray[np.uint8], rect: Rect) -> None:
    import cv2

    # Sixteenths of a pixel, so that neighbouring spans neither overlap nor drift apart.
    left, top, right, bottom = (
        round(value * _SCALE * 16) for value in (rect.x, rect.y, rect.x + max(rect.width, 0.5), rect.y + rect.height)
    )
    radius = round(min(rect.radius, rect.width / 2, rect.height / 2) * _SCALE * 16)
    if radius < 16:
        points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    else:
        angles = np.linspace(0, np.pi / 2, 6)
        centres = (
            (right - radius, bottom - radius),
            (left + radius, bottom - radius),
            (left + radius, top + radius),
            (right - radius, top + radius),
        )
        points = np.concatenate(
            [
                np.stack((x + radius * np.cos(angles + i * np.pi / 2), y + radius * np.sin(angles + i * np.pi / 2)), 1)
                for i, (x, y) in enumerate(centres)
            ]
        )
    cv2.fillPoly(picture, [np.rint(points - 8).astype(np.int32)], _bgr(rect.colour), cv2.LINE_AA, shift=4)


def _paint_text(picture: NDArray[np.uint8], text: Text) -> None:
    import cv2

    library: Any = cv2
    x, y = text.x * _SCALE, text.y * _SCALE
    share = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.anchor]
    if hasattr(library, "FontFace"):  # OpenCV 5 has a real font.
        face, size = library.FontFace("sans"), round(text.size * _SCALE)
        weight = 600 if text.is_bold else 400
        box = library.getTextSize((0, 0), text.text, (0, 0), face, size, weight)
        library.putText(
            picture, text.text, (round(x - share * box[2]), round(y)), _bgr(text.colour), face, size, weight
        )
        return
    plain = text.text.replace("÷", "/").replace("×", "x").replace("–", "-").replace("·", "-").replace("→", "->")
    scale, thickness = text.size * _SCALE / 30, 2 if text.is_bold else 1
    (width, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    place = (round(x - share * width), round(y))
    cv2.putText(picture, plain, place, cv2.FONT_HERSHEY_SIMPLEX, scale, _bgr(text.colour), thickness, cv2.LINE_AA)
