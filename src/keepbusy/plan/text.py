"""A plan in words and figures."""

from __future__ import annotations

from collections.abc import Iterator

from keepbusy.plan.cores import WORKS, Work
from keepbusy.plan.watching import Seen
from keepbusy.plan.whole import Plan
from keepbusy.terminal.table import FigureTable
from keepbusy.texts import fit

OTHERS = 0.2
"""Other programs that keep fewer cores busy are not worth a word."""

_WORDS: dict[Work, str] = {
    "decoding": "decoding",
    "preprocessing": "preprocessing",
    "device": "inference",
    "postprocessing": "postprocessing",
}


def sentences(plan: Plan) -> Iterator[str]:
    """What a plan says, a sentence or two in each line."""
    yield _how_many(plan)
    yield _limit(plan)
    seen = plan.found.seen
    if plan.num and plan.found.is_tried:
        yield f"Results are then {_ages(seen)}."
    if plan.given.num != plan.num:
        yield _given(plan)
    others = max((one.other_cores for one in plan.tries), default=0.0)
    if others > OTHERS:
        yield (
            f"Other programs kept up to {others:.1f} of the machine's cores busy meanwhile: where they do not, more "
            "cameras fit, and where they do more, fewer."
        )


def table(plan: Plan) -> FigureTable:
    """The kinds of cameras: what they want, and what each gets."""
    shown = FigureTable()
    shown.add_words("camera")
    shown.add_figures("size", "frames/s", "given", "each gets", "fit")
    for place, kind in enumerate(plan.kinds):
        shown.add_row(
            fit(kind.label),
            f"{kind.width}x{kind.height}",
            f"{kind.fps:.3g}",
            str(kind.count),
            f"{plan.given.gets_fps(place, kind.fps):.3g}",
            str(plan.counts[place]),
        )
    return shown


def cores_table(plan: Plan) -> FigureTable:
    """The cores that each work keeps busy: of the given set, and of as many cameras as fit."""
    seen = [plan.given] + [plan.found.seen] * (plan.found.seen is not plan.given)
    shown = FigureTable("cores busy")
    shown.add_figures(*(f"{one.num} camera{'s' if one.num > 1 else ''}" for one in seen))
    for work in WORKS:
        shown.add_row(_WORDS[work], *(f"{one.cores[work]:.2f}" for one in seen))
    shown.add_row("of all", *(f"{one.used_cores:.2f} of {plan.num_cores:g}" for one in seen))
    shown.add_row("device busy", *(f"{one.device_busy:.0%}" for one in seen))
    shown.add_row("compiled for", *(one.hint or "-" for one in seen))
    return shown


def helps(plan: Plan) -> Iterator[str]:
    """What would make room, a line each."""
    for one in plan.helps:
        then = "" if one.num is None else f": {one.num} fit" if one.num > plan.num else f": still {one.num}"
        yield f"{one.option}: {one.text}{then}"


def _how_many(plan: Plan) -> str:
    if not plan.num:
        few = "this camera" if len(plan.kinds) == 1 else "the smallest share of these cameras"
        return f"Not even one fits: {few} gives more frames than {plan.device} can do."
    parts = [f"{count} x {kind.told}" for kind, count in zip(plan.kinds, plan.counts, strict=True) if count]
    how = "" if plan.found.is_tried else ", as computed: time was too short to try it"
    cameras = "camera fits" if plan.num == 1 else "of these cameras fit"
    return f"{plan.num} {cameras}: {' + '.join(parts)}, {plan.fps:.4g} frames/s together{how}."


def _limit(plan: Plan) -> str:
    seen = min((one for one in plan.tries if one.num > plan.num), key=lambda one: one.num, default=plan.tries[-1])
    model = f"{plan.model}, {seen.input_wh[0]}x{seen.input_wh[1]}, on {plan.device}"
    if not plan.is_full:
        busy = seen.preprocess_busy if plan.limit == "preprocessing" else seen.device_busy
        return f"The limit is {_named(plan.limit)}, {busy:.0%} busy ({model}); the cores are not full."
    in_order = sorted((work for work in WORKS if seen.cores[work] > 0), key=lambda work: -seen.cores[work])
    shares = ", ".join(f"{_WORDS[work]} {seen.cores[work] / seen.used_cores:.0%}" for work in in_order)
    return (
        f"The limit is {_named(plan.limit)}: the cores are full, and of the {seen.used_cores:.2f} in use {shares} "
        f"({model})."
    )


def _named(limit: str) -> str:
    return "the device" if limit == "device" else limit


def _given(plan: Plan) -> str:
    given = plan.given
    cameras = "The given camera" if given.num == 1 else f"The {given.num} given cameras"
    if given.fits:
        fits = "fits" if given.num == 1 else "fit"
        return f"{cameras} {fits}, with results {_ages(given)}."
    does = "does" if given.num == 1 else "do"
    return (
        f"{cameras} {does} not fit: {given.wanted_fps:.4g} frames/s are wanted, and {given.fps:.4g} get a result, "
        f"{_ages(given)}."
    )


def _ages(seen: Seen) -> str:
    return f"{seen.age_p50_ms:.0f} ms old in the median and {seen.age_p99_ms:.0f} ms at p99"
