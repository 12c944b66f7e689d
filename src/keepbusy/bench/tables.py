"""Reports as rich tables and lines, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from keepbusy.bench.report import NAMES, RATIOS, Report, StageRow
from keepbusy.bench.samples import Ratio
from keepbusy.terminal.table import FigureTable
from keepbusy.values.forms import QUANTIZED_WORDS, QuantizedUse

DECODING = {"fast_decode": "fast decode", "reduce_jpegs": "JPEGs reduced", "vaapi": "VA-API", "qsv": "Quick Sync"}
"""What makes decoding cheaper, in words."""

SAME = "the same"
"""In place of the numbers of a measurement that is another one, too."""


def render(report: Report) -> RenderableType:
    """All of a report."""
    parts: list[RenderableType] = [heading(report.environment), throughput_table(report), ""]
    parts += [latency_table(report), "", ratio_lines(report), ""]
    parts += [stage_table(report.stages), "", verdict_panel(report)]
    parts += [Text(f"warning: {line}", style="yellow") for line in report.warnings]
    parts.append(Text(footnote(report), style="dim"))
    return Group(*parts)


def heading(environment: Mapping[str, Any]) -> Text:
    """What was measured, on what."""
    first = f"{environment['model']} on {environment['device']}, run at {graphs(environment)}"
    details = (
        f"{environment['device_name'] or environment['cpu_model']}, {environment['usable_cores']:g} cores, "
        f"OpenVINO {short_version(environment['openvino'])}, {environment['precision'] or 'precision not known'}, "
        f"{quantized(environment, ', ')}"
        f"{environment['streams'] or '?'} streams, {environment['requests']} requests; {sources(environment)}"
    )
    return Text.assemble((first, "bold"), "\n", (details, "dim"))


def graphs(environment: Mapping[str, Any]) -> str:
    """Which graph is run, and which was exported: shapes (width x height) and head.

    Args:
        environment: `head`, `input_hw` and `exported_hw` are looked at.
    """
    run, exported = (f"{width}x{height}" for height, width in (environment["input_hw"], environment["exported_hw"]))
    if environment["head"] == "stock" and run == exported:
        return f"{run} as exported"
    return f"{run} with head {environment['head']} (exported: {exported})"


def quantized(environment: Mapping[str, Any], end: str = "") -> str:
    """How an INT8 model is computed; "" where the model is none."""
    use: QuantizedUse | None = environment["quantized"]
    return "" if use is None else QUANTIZED_WORDS[use] + end


def sources(environment: Mapping[str, Any]) -> str:
    """What is read, and what makes decoding it cheaper than it is by default."""
    named = ", ".join(environment["sources"])
    decoding = [DECODING[name] for name in environment["decoding"]]
    return f"{named} ({', '.join(decoding)})" if decoding else named


def short_version(version: str) -> str:
    """OpenVINO's version without its build and branch."""
    return version.partition("-")[0]


def throughput_table(report: Report) -> FigureTable:
    """How fast each of the measurements was."""
    table = _table("throughput", ("frames/s", "range", "device busy", "CPU ms/frame"))
    for name in report.names:
        if report.is_the_same(name):
            table.add_row(name, SAME)
            continue
        one = report.measurements[name]
        table.add_row(
            name,
            f"{one.fps:.1f}",
            f"{min(one.rounds_fps):.1f} to {max(one.rounds_fps):.1f}",
            f"{one.device_busy_share:.0%}",
            _ms(one.cpu_ms_per_frame),
            style="bold" if name == "end-to-end async" else None,
        )
    return table


def latency_table(report: Report) -> FigureTable:
    """How long a frame took in each of the measurements."""
    table = _table("latency, ms", ("min", "p50", "p90", "p99", "max"))
    for name in report.names:
        if report.is_the_same(name):
            table.add_row(name, SAME)
            continue
        latency = report.measurements[name].latency
        values = (latency.min_ms, latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms)
        style = "bold" if name == "end-to-end async" else None
        table.add_row(name, *(_ms(value) for value in values), style=style)
    return table


def _table(first: str, columns: Sequence[str]) -> FigureTable:
    table = FigureTable(header_style="dim")
    table.add_column(first, no_wrap=True)
    table.add_figures(*columns)
    return table


def ratio_lines(report: Report) -> Text:
    """End to end against sync, the model as exported and the model as run; the last is the efficiency."""
    lines: list[Text] = []
    for key, name in RATIOS.items():
        one = getattr(report, key)
        if one is not None:
            form = ".1%" if key.startswith("efficiency") else ".2f"
            line = Text.assemble((f"{name:38}", "dim"), (f"{one.median:{form}}", "bold" if "async" in name else ""))
            lines.append(line.append(interval(one, form)))
    return Text("\n").join([*lines, *(Text(line, style="dim") for line in same_lines(report))])


def same_lines(report: Report) -> list[str]:
    """That two rows are one measurement, where they are."""
    if not report.one_measurement:
        return []
    modes = " and ".join(report.one_measurement)
    return [
        f"{modes}: the graph runs as exported, in its own shape, behind keepbusy's preprocessing: the model as run is "
        "the model as exported, measured once"
    ]


def stage_table(rows: Sequence[StageRow]) -> FigureTable:
    """Where the time of the end-to-end runs goes."""
    table = _table("stage", ("sync ms/frame", "async ms/frame", "CPU ms/frame", "busy"))
    table.add_words("waiting (async)")
    for row in rows:
        table.add_row(
            row.stage,
            _ms(row.sync_ms) if row.sync_ms is not None else "–",
            _ms(row.async_ms),
            _ms(row.cpu_ms) if row.cpu_ms is not None else "–",
            f"{row.busy_share:.0%}",
            waiting(row),
        )
    return table


def waiting(row: StageRow) -> str:
    """Share of the time that a stage waits, and for whom."""
    parts = [
        f"{share:.0%} for {whom}"
        for share, whom in (
            (row.wait_input_share, row.waits_on_input),
            (row.wait_output_share, row.waits_on_output),
        )
        if whom and share >= 0.005
    ]
    return ", ".join(parts) or "–"


def verdict_panel(report: Report) -> Panel:
    """The verdict in words."""
    verdict = report.verdict
    text = Text.assemble(
        verdict.sentence, "\n", ("Try next: ", "bold"), f"{verdict.advice}: ", (verdict.flag, "bold cyan")
    )
    return Panel(text, title=f"bottleneck: {verdict.bottleneck} ({verdict.confidence})", title_align="left")


def footnote(report: Report) -> str:
    """How it was measured."""
    return (
        f"{report.num_rounds} interleaved rounds, {report.seconds:g} s for each measurement end to end and "
        f"{report.model_seconds:g} s for each of the model alone; medians; intervals: 95 %, bootstrap over rounds. As "
        "exported: the model's file as OpenVINO's benchmark_app runs it; as run: with the head and the shape in use. "
        "Latency: of the model from start to completion, end-to-end from frame read to result. infer's "
        f"CPU time is that of all threads outside the other stages. Measuring costs {report.measuring_us:.1f} us a "
        f"frame, {report.measuring_share:.2%} of the throughput."
    )


def compare_table(first: Mapping[str, Any], second: Mapping[str, Any], names: tuple[str, str]) -> FigureTable:
    """Two reports, read from JSON, side by side."""
    table = _table("frames/s", (*names, "ratio", "p50 ms", "p99 ms"))
    for name in NAMES:
        found = [content["measurements"].get(name) for content in (first, second)]
        if None in found:
            fps = (f"{one['fps']:.1f}" if one else "–" for one in found)
            if any(found):
                table.add_row(name, *fps, "–", "–", "–")
            continue
        a, b = found
        table.add_row(
            name,
            f"{a['fps']:.1f}",
            f"{b['fps']:.1f}",
            f"{b['fps'] / a['fps']:.3f}",
            *(f"{_ms(a['latency'][key])} → {_ms(b['latency'][key])}" for key in ("p50_ms", "p99_ms")),
            style="bold" if name == "end-to-end async" else None,
        )
    for key, ratio in RATIOS.items():
        medians = [content[key]["median"] if content.get(key) else None for content in (first, second)]
        if any(medians):
            table.add_row(ratio, *(f"{one:.3f}" if one else "–" for one in medians), style="dim")
    return table


def interval(ratio: Ratio, form: str) -> str:
    """A ratio's interval, or that it has none, as text behind it."""
    if ratio.low is None or ratio.high is None:
        return " (no interval)"
    return f" ({ratio.low:{form}} to {ratio.high:{form}})"


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"
