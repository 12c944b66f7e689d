"""A verification as a table for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from keepbusy.evaluate.verify import ENOUGH, Verification
from keepbusy.terminal.table import FigureTable
from keepbusy.texts import fit
from keepbusy.values.compare import Agreement, Floats, floor_of, percentile
from keepbusy.values.forms import QUANTIZED_WORDS, QuantizedUse

FORMAT, VERSION = "keepbusy-verify", 1


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """One side in words.

    Attributes:
        model: Its file.
        device: OpenVINO's device name.
        precision: The number type that the device says it computes in; empty where it does not say.
        mode: sync or async.
        quantized: How an INT8 model is computed; None where it is none.
    """

    model: str
    device: str
    precision: str
    mode: str
    quantized: QuantizedUse | None = None

    @property
    def title(self) -> str:
        """In a few words."""
        quantized = "" if self.quantized is None else QUANTIZED_WORDS[self.quantized]
        return " ".join(part for part in (self.device, self.precision, quantized, self.mode) if part)


def to_dict(report: Verification, reference: Side, candidate: Side) -> dict[str, Any]:
    """A verification as plain JSON values; a figure of nothing is null."""
    found = report.agreement
    sides = zip((reference, candidate), report.input_hw, strict=True)
    first, second = ({**dataclasses.asdict(side), "input_hw": list(input_hw)} for side, input_hw in sides)
    return {
        "format": FORMAT,
        "version": VERSION,
        "passed": report.is_passed,
        "problems": report.problems,
        "reference": first,
        "candidate": second,
        "limits": dataclasses.asdict(report.limits),
        "conf": report.conf,
        "num_frames": report.num_frames,
        "preparation": dataclasses.asdict(report.preparation),
        **_figures(found),
        "worst": [
            {
                "source": worst.frame.source,
                "index": worst.frame.index,
                "num_missing": len(worst.agreement.missing),
                "num_extra": len(worst.agreement.extra),
                "min_iou": _low(worst.agreement.iou, (0,))["min"],
                "max_drift": _high(np.abs(worst.agreement.drift), (100,))["max"],
            }
            for worst in report.worst
        ],
    }


def _figures(found: Agreement) -> dict[str, Any]:
    return {
        "num_reference": found.num_reference,
        "num_candidate": found.num_candidate,
        "num_missing": len(found.missing),
        "num_extra": len(found.extra),
        "num_class_changes": found.num_class_changes,
        "found_share": found.found_share if found.num_reference else None,
        "backed_share": found.backed_share if found.num_candidate else None,
        "iou": _low(found.iou),
        "mask_iou": _low(found.mask_iou),
        "drift": {**_high(np.abs(found.drift)), "mean": float(found.drift.mean()) if found.drift.size else None},
        "keypoint_error": _high(found.keypoint_error),
        "offset_px": np.median(found.offset_px, axis=0).tolist() if len(found.offset_px) else None,
    }


def _low(values: Floats, shares: tuple[int, ...] = (50, 10, 1, 0)) -> dict[str, Any]:
    """Percentiles of what should be high."""
    names = {50: "p50", 10: "p10", 1: "p1", 0: "min"}
    return {names[share]: percentile(values, share) if values.size else None for share in shares}


def _high(values: Floats, shares: tuple[int, ...] = (50, 90, 99, 100)) -> dict[str, Any]:
    """Percentiles of what should be low."""
    names = {50: "p50", 90: "p90", 99: "p99", 100: "max"}
    return {names[share]: percentile(values, share) if values.size else None for share in shares}


def render(
    report: Verification, reference: Side, candidate: Side, *, say: Callable[[str], str] = str
) -> RenderableType:
    """A verification as a table, with the verdict under it; `say` makes what is shown of a text that names options."""
    found, limits = report.agreement, report.limits
    table = FigureTable("")
    table.add_figures("half", "nine in ten", "99 in 100", "all", "wanted")

    def spread(name: str, values: dict[str, Any], wanted: str, signs: str) -> None:
        if None not in values.values():
            table.add_row(name, *(f"{signs} {value:.3f}" for value in values.values()), wanted)

    spread("box overlap (IoU)", _low(found.iou), f"≥ {limits.min_iou:g}", "≥")
    spread("mask overlap (IoU)", _low(found.mask_iou), f"≥ {limits.min_iou:g}", "≥")
    spread("score difference", _high(np.abs(found.drift)), f"≤ {limits.max_drift:g}", "≤")
    spread("keypoints off ÷ box", _high(found.keypoint_error), f"≤ {1 - limits.min_iou:g}", "≤")
    lines: list[RenderableType] = [*_heads(report, reference, candidate), "", *_matched(report), ""]
    if table.row_count:
        lines += [table, ""]
    lines += _notes(report, say)
    if report.is_passed:
        lines.append(Text("agrees: the candidate may stand for the reference", style="bold green"))
    else:
        lines += [Text(f"differs: {problem}", style="bold red") for problem in report.problems]
    return Group(*lines)


def _heads(report: Verification, reference: Side, candidate: Side) -> list[RenderableType]:
    table = FigureTable("", "", "", "", show_header=False)
    for name, side, (height, width) in zip(
        ("reference", "candidate"), (reference, candidate), report.input_hw, strict=True
    ):
        table.add_row(name, Text(fit(side.model)), f"{width}x{height}", Text(fit(side.title)))
    return [table]


def _matched(report: Verification) -> list[RenderableType]:
    found = report.agreement
    lines = [
        f"{report.num_frames} frames, detections from {report.conf:g} on; their partners from "
        f"{floor_of(report.conf):.2g} on",
        f"the candidate has {found.num_reference - len(found.missing)} of the reference's {found.num_reference}"
        + (f": {found.found_share:.1%}" if found.num_reference else ""),
        f"the reference has {found.num_candidate - len(found.extra)} of the candidate's {found.num_candidate}"
        + (f": {found.backed_share:.1%}" if found.num_candidate else "")
        + f" (wanted: {report.limits.min_matched:.1%} of either)",
    ]
    if found.num_class_changes:
        lines.append(f"{found.num_class_changes} are in the same place, under another class")
    return [Text(line) for line in lines]


def _notes(report: Verification, say: Callable[[str], str]) -> list[RenderableType]:
    lines: list[str] = []
    preparation, found = report.preparation, report.agreement
    if not preparation.num_compared:
        lines.append(say("input: not compared, the two have different sizes (`shape` square compares them)"))
    elif not preparation.num_different:
        lines.append(f"input: equal byte for byte, {preparation.num_compared} frames compared")
    if len(found.offset_px) and np.abs(offset := np.median(found.offset_px, axis=0)).max() >= 0.5:
        lines.append(f"the candidate's boxes lie off by ({offset[0]:+.1f}, {offset[1]:+.1f}) pixels in the median")
    if 0 < found.num_reference < ENOUGH:
        lines.append(f"only {found.num_reference} detections: more frames with objects make this more certain")
    return [Text(line) for line in lines]
