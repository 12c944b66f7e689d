"""Scores as pictures, drawn by matplotlib."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keepbusy.errors import MissingExtraError
from keepbusy.evaluate.confusion import CONFUSION_CONF, CONFUSION_IOU, Confusion
from keepbusy.evaluate.curves import Curves, mean_over_classes
from keepbusy.files.whole import write_whole
from keepbusy.sinks.naming import make_folder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED = 10
"""So many classes get a colour and a name of their own; with more, the picture is a thicket."""

MAX_NUMBERED = 30
"""With so many classes, the cells of a confusion matrix have room for their number."""

_DPI = 150
_INK, _GREY, _ACCENT, _MARK = "#1f2933", "#9aa5b1", "#0b5cad", "#d64545"


def check_plots() -> None:
    """See, before any work is done, that pictures can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("drawing the curves", extra="eval") from error


def write_plots(folder: Path, names: Sequence[str], curves: Curves | None, confusion: Confusion) -> list[Path]:
    """Write `confusion_matrix.png` and, where anything was found, `precision_recall.png` and `confidence.png`.

    Args:
        folder: Where to; made if it is not there.
        names: The class names.
        curves: Precision and recall; None where nothing was found.
        confusion: Which classes are taken for which.

    Returns:
        The files.

    Raises:
        SinkError: One cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    check_plots()
    make_folder(folder)
    figures = {"confusion_matrix.png": draw_confusion(confusion)}
    if curves is not None:
        figures["precision_recall.png"] = draw_precision_recall(curves, names)
        figures["confidence.png"] = draw_confidence(curves, names)
    for name, figure in figures.items():
        content = io.BytesIO()
        with warnings.catch_warnings():
            # A class name in letters that the font lacks shows as boxes; that is no reason to complain.
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            figure.savefig(content, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.15)
        write_whole(folder / name, content.getvalue(), follows_link=False)
    return [folder / name for name in figures]


def draw_precision_recall(curves: Curves, names: Sequence[str]) -> Figure:
    """Precision at each recall at an overlap of 0.50: classes thin, their mean thick; the area below is mAP50."""
    figure = _figure(7.2, 5.4)
    axes = figure.add_subplot()
    rows = curves.precision_at_recall
    mean = rows.mean(axis=0)
    labels = [f"{names[number]}  {row.mean():.3f}" for number, row in zip(curves.class_id.tolist(), rows, strict=True)]
    _draw_lines(axes, curves.recalls, rows, labels, mean, f"mean of {len(rows)} classes  {mean.mean():.3f}")
    _style(axes, "recall", "precision", "Precision and recall at an overlap of 0.50")
    _legend(axes, title="class and AP50")
    return figure


def draw_confidence(curves: Curves, names: Sequence[str]) -> Figure:
    """F1, precision and recall of detections of at least each confidence, with the best F1 marked."""
    figure = _figure(13.5, 4.6)
    best, place = curves.best_confidence, curves.best_index
    labels = [names[number] for number in curves.class_id.tolist()]
    panels = (("F1", curves.f1), ("precision", curves.precision), ("recall", curves.recall))
    for number, (title, rows) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, 3, number)
        mean = mean_over_classes(rows)
        _draw_lines(axes, curves.confidences, rows, labels, mean, f"mean of {len(rows)} classes")
        axes.axvline(best, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.plot([best], [mean[place]], "o", color=_MARK, markersize=6, zorder=5)
        _style(axes, "confidence of at least", title, f"{title} {mean[place]:.3f} at {best:.3f}")
    _legend(axes)
    return figure


def draw_confusion(confusion: Confusion) -> Figure:
    """The matrix, rows as shares of the true class; classes that occur neither here nor there are left out."""
    counts = confusion.counts
    used = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    used[-1] = True
    shown = counts[np.ix_(used, used)]
    labels = [name for name, is_used in zip(confusion.names, used[:-1].tolist(), strict=True) if is_used]
    size = max(4.5, 0.42 * len(shown) if len(shown) <= MAX_NUMBERED else 0.2 * len(shown))
    figure = _figure(size + 2.2, size + 1.4)
    axes = figure.add_subplot()
    totals = shown.sum(axis=1, keepdims=True)
    shares = shown / np.maximum(totals, 1)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    font, turn = (9, 45) if len(shown) <= MAX_NUMBERED else (6, 90)
    turned: dict[str, Any] = {"rotation": turn, "rotation_mode": "anchor", "ha": "right", "va": "center"}
    axes.set_xticks(range(len(shown)), [*labels, "(missed)"], **turned)
    axes.set_yticks(range(len(shown)), [*labels, "(nothing there)"])
    axes.tick_params(labelsize=font, length=0, colors=_INK)
    axes.set_xlabel("detected as", color=_INK)
    axes.set_ylabel("is", color=_INK)
    axes.set_title(
        f"Confusion: confidence from {CONFUSION_CONF:g}, overlap above {CONFUSION_IOU:g}", color=_INK, fontsize=11
    )
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xticks(np.arange(len(shown) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(shown) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.0 if len(shown) <= MAX_NUMBERED else 0.4)
    axes.tick_params(which="minor", length=0)
    if len(shown) <= MAX_NUMBERED:
        for row, column in zip(*np.nonzero(shown), strict=True):
            ink = "white" if shares[row, column] > 0.55 else _INK
            axes.text(column, row, str(shown[row, column]), ha="center", va="center", fontsize=8, color=ink)
    bar = figure.colorbar(picture, ax=axes, fraction=0.03, aspect=25, shrink=0.5, pad=0.02)
    bar.set_label("share of the row", color=_INK, fontsize=9)
    bar.ax.tick_params(labelsize=8, colors=_INK)
    bar.outline.set_visible(False)
    return figure


def _figure(width: float, height: float) -> Figure:
    # Not pyplot: it keeps figures alive in a global list, and may open a window system.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _draw_lines(
    axes: Axes,
    x: NDArray[np.float64],
    rows: NDArray[np.float64],
    labels: Sequence[str],
    mean: NDArray[np.float64],
    mean_label: str,
) -> None:
    is_named = len(rows) <= MAX_NAMED
    for number, row in enumerate(rows):
        style: dict[str, Any] = {"color": f"C{number}", "label": labels[number]} if is_named else {"color": _GREY}
        axes.plot(x, row, linewidth=1.2 if is_named else 0.7, alpha=0.9 if is_named else 0.5, **style)
    axes.plot(x, mean, color=_ACCENT if not is_named else _INK, linewidth=2.8, label=mean_label, zorder=4)
    if not is_named:
        axes.plot([], [], color=_GREY, linewidth=0.9, label="each class")


def _style(axes: Axes, x_label: str, y_label: str, title: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(x_label, color=_INK)
    axes.set_ylabel(y_label, color=_INK)
    axes.set_title(title, color=_INK, fontsize=11)
    axes.grid(color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=9)
    for name, side in axes.spines.items():
        side.set_visible(name in ("left", "bottom"))
        side.set_color(_GREY)


def _legend(axes: Axes, title: str | None = None) -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9, title=title, title_fontsize=9)
