"""A report as one web page that needs nothing else: no script, no network, light and dark."""

from __future__ import annotations

from html import escape
from importlib import resources
from pathlib import Path

from keepbusy.bench.drawing import to_svg
from keepbusy.bench.histogram import draw_histogram
from keepbusy.bench.report import NAMES, RATIOS, Report
from keepbusy.bench.samples import Ratio
from keepbusy.bench.tables import SAME, footnote, graphs, quantized, same_lines, short_version, sources, waiting
from keepbusy.bench.timeline import draw_timeline
from keepbusy.files.whole import write_whole

_ENVIRONMENT = {
    "cpu_model": "CPU",
    "usable_cores": "usable cores",
    "cgroup_quota_cores": "cgroup quota (cores)",
    "device_name": "device",
    "precision": "precision",
    "hint": "hint",
    "streams": "streams",
    "requests": "requests",
    "model": "model",
    "sources": "sources",
    "openvino": "OpenVINO",
    "keepbusy": "keepbusy",
    "python": "Python",
    "system": "system",
    "load_average": "load average at the begin",
    "time": "time",
}


def write_page(report: Report, path: Path) -> None:
    """Write a report as a page.

    Raises:
        SinkError: The file cannot be written.
    """
    write_whole(path, page(report))


def page(report: Report) -> str:
    """The page's HTML."""
    environment = report.environment
    css = resources.files("keepbusy.bench").joinpath("page.css").read_text(encoding="utf-8")
    title = f"{environment['model']} on {environment['device']}"
    warnings = "".join(f"<p>{escape(line)}</p>" for line in report.warnings)
    main = report.measurements["end-to-end async"]
    cards = (
        (f"{main.fps:.1f}", "frames/s end to end, async"),
        *_to_exported(report),
        (f"{report.efficiency_async.median:.1%}", f"of the model as run{_interval(report.efficiency_async, '.1%')}"),
        (f"{report.speed_up.median:.2f}×", f"async against sync{_interval(report.speed_up, '.2f')}"),
        (f"{main.latency.p99_ms:.1f} ms", f"latency p99; p50 {main.latency.p50_ms:.1f} ms"),
        (f"{main.device_busy_share:.0%}", "device busy"),
    )
    verdict = report.verdict
    same = "".join(f'<p class="muted">{escape(line)}</p>' for line in same_lines(report))
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)} · keepbusy bench</title>",
        f"<style>{css}</style></head><body><main>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="muted">run at {escape(graphs(environment))}, '
        f"{escape(str(environment['precision'] or 'precision not known'))}, {environment['usable_cores']:g} cores, "
        f"{escape(', '.join(filter(None, (quantized(environment), sources(environment)))))}</p>",
        '<div class="cards">',
        *(f'<div class="card"><b>{value}</b><small>{text}</small></div>' for value, text in cards),
        "</div>",
        f'<section class="verdict"><h2>The bottleneck: {verdict.bottleneck} ({verdict.confidence})</h2>',
        f"<p>{escape(verdict.sentence)}</p>",
        f"<p>Try next: {escape(verdict.advice)}: <code>{escape(verdict.flag)}</code></p></section>",
        f'<section class="warning"><h2>Before believing it</h2>{warnings}</section>' if warnings else "",
        f'<section><h2>Throughput and latency</h2><div class="scroll">{_measurements(report)}</div>',
        f'<div class="scroll">{_ratios(report)}</div>{same}</section>',
        f'<section><h2>Timeline</h2><div class="scroll wide">{_timeline(report)}</div></section>',
        f'<section><h2>Where the time goes</h2><div class="scroll">{_stages(report)}</div></section>',
        f'<section><h2>The bounds</h2><div class="scroll">{_bounds(report)}</div></section>',
        f'<section><h2>Latency</h2><div class="plots">{_histograms(report)}</div></section>',
        f"<section><h2>Environment</h2><dl>{_environment(report)}</dl></section>",
        f"<footer>{escape(footnote(report))}</footer>",
        "</main></body></html>",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _to_exported(report: Report) -> list[tuple[str, str]]:
    """The card of the ratio to the model as exported, where that was measured apart."""
    found = report.to_exported_async
    if found is None or "async" in report.one_measurement:
        return []
    return [(f"{found.median:.2f}×", f"the model as exported alone{_interval(found, '.2f')}")]


def _ratios(report: Report) -> str:
    rows = []
    for key, name in RATIOS.items():
        one = getattr(report, key)
        if one is not None:
            interval = "–" if one.low is None else f"{one.low:.3f} to {one.high:.3f}"
            rows.append(f"<tr><td>{name}</td><td>{one.median:.3f}</td><td>{interval}</td></tr>")
    return _table(("ratio, round by round", "median", "95 %"), rows)


def _measurements(report: Report) -> str:
    heads = ("", "frames/s", "range of rounds", *(f"{name} ms" for name in ("p50", "p90", "p99", "min", "max")))
    heads += ("device busy", "CPU ms/frame")
    rows = []
    for name in report.names:
        if report.is_the_same(name):
            rows.append(f'<tr><td>{name}</td><td colspan="{len(heads) - 1}">{SAME}</td></tr>')
            continue
        one = report.measurements[name]
        latency = one.latency
        values = (latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.min_ms, latency.max_ms)
        cells = [f"{one.fps:.1f}", f"{min(one.rounds_fps):.1f} to {max(one.rounds_fps):.1f}"]
        cells += [f"{value:.2f}" for value in values]
        cells += [f"{one.device_busy_share:.0%}", f"{one.cpu_ms_per_frame:.2f}"]
        strong = ' class="strong"' if name == "end-to-end async" else ""
        rows.append(f"<tr><td{strong}>{name}</td>" + "".join(f"<td{strong}>{cell}</td>" for cell in cells) + "</tr>")
    return _table(heads, rows)


def _stages(report: Report) -> str:
    rows = []
    for row in report.stages:
        shares = (
            ("busy", row.busy_share),
            ("idle", row.wait_input_share + row.wait_output_share),
        )
        bar = "".join(f'<i style="width:{share:.1%};background:var(--{role})"></i>' for role, share in shares)
        sync_ms = f"{row.sync_ms:.2f}" if row.sync_ms is not None else "–"
        cpu_ms = f"{row.cpu_ms:.2f}" if row.cpu_ms is not None else "–"
        rows.append(
            f"<tr><td>{row.stage}</td><td>{sync_ms}</td><td>{row.async_ms:.2f}</td><td>{cpu_ms}</td>"
            f'<td>{row.busy_share:.0%}</td><td><span class="bar">{bar}</span></td>'
            f'<td class="text">{escape(waiting(row))}</td></tr>'
        )
    heads = ("stage", "sync ms/frame", "async ms/frame", "CPU ms/frame", "busy", "at work and waiting", "waits")
    return _table(heads, rows, text_from=5)


def _bounds(report: Report) -> str:
    rows = [
        f'<tr><td>{bound.limit}</td><td>{bound.fps:.1f}</td><td class="text">{escape(bound.formula)}</td></tr>'
        for bound in report.verdict.bounds
    ]
    measured = report.measurements["end-to-end async"].fps
    rows.append(f'<tr><td class="strong">measured</td><td class="strong">{measured:.1f}</td><td></td></tr>')
    return _table(("limit", "frames/s at most", "how it comes about"), rows, text_from=2)


def _timeline(report: Report) -> str:
    """Sync above async."""
    return to_svg(draw_timeline(report.timings, ""), with_css_colours=True)


def _histograms(report: Report) -> str:
    found = [one.latency for one in report.measurements.values() if one.latency.num_frames]
    low_ms = min(one.min_ms for one in found) * 0.9
    high_ms = max(one.max_ms for one in found) * 1.1
    names = [name for name in report.names if not report.is_the_same(name)]
    colours = {name: f"frame{NAMES.index(name)}" for name in names}
    return "".join(
        "<div>"
        + to_svg(
            draw_histogram(report.measurements[name].latency, name, low_ms, high_ms, colours[name]),
            with_css_colours=True,
        )
        + "</div>"
        for name in names
    )


def _environment(report: Report) -> str:
    rows = []
    for key, name in _ENVIRONMENT.items():
        value = report.environment.get(key)
        if value in (None, "", []):
            continue
        if key == "openvino":
            value = short_version(value)
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        rows.append(f"<dt>{name}</dt><dd>{escape(text)}</dd>")
    return "".join(rows)


def _table(heads: tuple[str, ...], rows: list[str], *, text_from: int = 99) -> str:
    """A table; the columns from `text_from` on hold text, those before it numbers."""
    cells = [f'<th class="text">{head}</th>' if i >= text_from else f"<th>{head}</th>" for i, head in enumerate(heads)]
    return f"<table><tr>{''.join(cells)}</tr>{''.join(rows)}</table>"


def _interval(ratio: Ratio, form: str) -> str:
    if ratio.low is None or ratio.high is None:
        return ""
    return f" ({ratio.low:{form}} to {ratio.high:{form}})"
