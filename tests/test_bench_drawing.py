"""Timeline, trace, page and tables: what is drawn is what was measured."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest
from rich.console import Console

from keepbusy.bench import drawing, page, tables, timeline, trace
from keepbusy.bench.report import read_json, write_json
from keepbusy.config import RunConfig
from keepbusy.errors import ConfigError, SinkError
from keepbusy.flow.stats import RunStats
from keepbusy.testing import ManualClock, ScriptedDevice, ScriptedSource, scripted_run
from keepbusy.values.result import Timings
from tests.test_bench import make_report

MS = 1_000_000


def timings_of(num_frames: int, *, period_ms: float, infer_ms: float, begin_ms: float = 5.0) -> list[Timings]:
    """Frames that begin every so often: 1 ms to read, 1 to preprocess, some on the device, 1 to postprocess."""
    found = []
    for number in range(num_frames):
        edges_ms = [0, 1, 1, 1, 1, 2, 2, 2 + infer_ms, 2 + infer_ms, 3 + infer_ms]
        found.append(Timings(*(round((begin_ms + number * period_ms + edge) * MS) for edge in edges_ms)))
    return found


RUNS = {
    "sync": timings_of(40, period_ms=11, infer_ms=8),
    "async": timings_of(40, period_ms=4, infer_ms=8, begin_ms=1000),
}


def test_slots_are_as_many_as_overlap_and_no_lane_overlaps_itself() -> None:
    lanes = trace.lanes_of(trace.spans_of(RUNS["async"]))
    assert [lane.name for lane in lanes] == ["read", "preprocess", "slot 1", "slot 2", "postprocess"]
    for lane in lanes:
        assert all(a.end_ns <= b.start_ns for a, b in zip(lane.spans, lane.spans[1:], strict=False))
    assert sum(len(lane.spans) for lane in lanes) == 4 * 40


def test_stages_not_reached_have_no_span() -> None:
    failed = Timings(read_start_ns=1 * MS, read_end_ns=2 * MS, preprocess_start_ns=3 * MS)
    assert [span.stage for span in trace.spans_of([failed])] == ["read"]
    assert trace.lanes_of([]) == []


def test_idle_gaps_of_the_device() -> None:
    spans = trace.spans_of(timings_of(3, period_ms=11, infer_ms=8, begin_ms=0))
    # On the device from 2 to 10, 13 to 21, 24 to 32 ms.
    busy, idle = trace.busy_and_idle(spans, 0, 30 * MS)
    assert busy == [(2 * MS, 10 * MS), (13 * MS, 21 * MS), (24 * MS, 30 * MS)]
    assert idle == [(0, 2 * MS), (10 * MS, 13 * MS), (21 * MS, 24 * MS)]
    assert trace.busy_and_idle([], 0, 5) == ([], [(0, 5)])


def test_the_trace_is_what_perfetto_reads(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    trace.write_trace(path, RUNS)
    events = json.loads(path.read_text())["traceEvents"]
    names = {(e["pid"], e["args"]["name"]) for e in events if e["name"] == "process_name"}
    assert names == {(1, "keepbusy sync"), (2, "keepbusy async")}
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    spans = [e for e in events if e["ph"] == "X"]
    assert len(spans) == 2 * 4 * 40 and all((e["pid"], e["tid"]) in threads for e in spans)
    infer = [e for e in spans if e["pid"] == 2 and e["cat"] == "infer"]
    assert {threads[2, e["tid"]] for e in infer} == {"slot 1", "slot 2"}
    assert infer[0]["ts"] == 2000.0 and infer[0]["dur"] == 8000.0 and infer[0]["args"]["frame"] == 0
    with pytest.raises(SinkError, match="cannot be written"):
        trace.write_trace(tmp_path / "missing" / "trace.json", RUNS)


def test_the_window_shows_twelve_frames_of_the_faster_mode() -> None:
    assert timeline.window_ns(RUNS) == 12 * 4 * MS
    assert timeline.window_ns({"sync": [], "async": RUNS["async"][:2]}) == 0


def test_the_timeline_shows_the_lanes_and_the_idle_gaps(tmp_path: Path) -> None:
    found = timeline.draw_timeline(RUNS, "a title & more", "a line")
    texts = [shape.text for shape in found.shapes if isinstance(shape, drawing.Text)]
    for text in ("a title & more", "sync", "async", "slot 2", "device", "0 ms", "90.9 frames/s, device busy 72%"):
        assert any(text in one for one in texts), text
    rects = [shape for shape in found.shapes if isinstance(shape, drawing.Rect)]
    assert all(shape.x >= 0 and shape.x + shape.width <= found.width for shape in rects)
    assert all(shape.y + shape.height <= found.height for shape in rects)
    scale = next(r.width for r in rects if r.colour == "lane") / timeline.window_ns(RUNS)
    gaps = [r for r in rects if r.title.startswith("idle for 3.00")]
    assert gaps and gaps[0].width == pytest.approx(3 * MS * scale)
    svg = tmp_path / "timeline.svg"
    png = tmp_path / "timeline.png"
    drawing.write_drawing(found, svg)
    drawing.write_drawing(found, png)
    assert ET.parse(svg).getroot().tag.endswith("svg") and "var(" not in svg.read_text()
    picture = cv2.imread(str(png))
    assert picture is not None and picture.shape[:2] == (round(found.height * 2), round(found.width * 2))
    # The middle of the first idle gap has the colour of idleness.
    gap = gaps[0]
    pixel = picture[round((gap.y + 3) * 2), round((gap.x + gap.width / 2) * 2)]
    assert tuple(pixel) == drawing._bgr("idle")


def test_more_slots_and_sources_have_lanes_of_their_own() -> None:
    busy = timings_of(40, period_ms=2, infer_ms=12)
    for one in busy:
        one.read_start_ns -= 2 * MS
    names = [lane.name for lane in trace.lanes_of(trace.spans_of(busy))]
    assert names == ["read 1", "read 2", "preprocess", *(f"slot {n}" for n in range(1, 7)), "postprocess"]
    found = timeline.draw_timeline({"async": busy}, "")
    assert any(isinstance(shape, drawing.Text) and shape.text == "slot 6" for shape in found.shapes)


def test_a_timeline_without_frames_says_so() -> None:
    found = timeline.draw_timeline({"sync": []}, "")
    assert any(isinstance(shape, drawing.Text) and "too few frames" in shape.text for shape in found.shapes)


def test_a_real_run_can_be_drawn() -> None:
    clock = ManualClock()
    run = scripted_run(
        [ScriptedSource(30)], ScriptedDevice(0.004, clock=clock), RunConfig(mode="sync"), stats=RunStats(clock)
    )
    timings = [result.timings for result in run]
    found = timeline.draw_timeline({"sync": timings}, "scripted")
    assert any(isinstance(shape, drawing.Text) and "device busy 100%" in shape.text for shape in found.shapes)


@pytest.mark.parametrize("name", ["timeline.jpg", "timeline"])
def test_other_kinds_of_picture_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--plot.*unknown kind") as caught:
        drawing.check_suffix(tmp_path / name)
    assert caught.value.hint == "give a name that ends in .svg or .png"


class Checker(HTMLParser):
    """Sees that tags are closed in order, and collects addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "rect", "line"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line"):
            assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    found = make_report((100, 90, 80))
    page.write_page(found, path)
    checker = Checker()
    checker.feed(path.read_text(encoding="utf-8"))
    assert checker.stack == [] and checker.addresses == []
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text and "@import" not in text and "url(" not in text
    for part in (found.verdict.sentence, found.warnings[0], "end-to-end async", "model.xml on CPU", "2026.0.0"):
        assert part in checker.text
    assert checker.text.count("latency of ") == 6
    with pytest.raises(SinkError, match="cannot be written"):
        page.write_page(found, tmp_path / "missing" / "report.html")


def test_names_are_escaped_on_the_page() -> None:
    found = make_report()
    found.environment["model"] = "<b>&.xml"
    try:
        text = page.page(found)
    finally:
        found.environment["model"] = "model.xml"
    assert "<b>&" not in text and "&lt;b&gt;&amp;.xml" in text


def rendered(*parts: object) -> str:
    console = Console(width=160, file=io.StringIO(), highlight=False)
    console.print(*parts)
    return re.sub(" +", " ", console.file.getvalue())  # type: ignore[attr-defined]


def test_the_tables_have_the_numbers(tmp_path: Path) -> None:
    found = make_report()
    text = rendered(tables.render(found))
    for part in (
        "end-to-end async 100.0",
        "model.xml on CPU, run at 640x384 with head tail (exported: 640x640)",
        "model as exported async 62.0",
        "model as run async 125.0",
        "end-to-end async ÷ sync 2.00 (2.00 to 2.00)",
        "end-to-end async ÷ model as exported 1.61 (1.61 to 1.61)",
        "end-to-end sync ÷ model as exported 1.25 (1.25 to 1.25)",
        "end-to-end async ÷ model as run 80.0% (80.0% to 80.0%)",
        "end-to-end sync ÷ model as run 62.5% (62.5% to 62.5%)",
        "1 s for each measurement end to end and 0.5 s for each of the model alone",
        "30% for preprocess, 10% for postprocess",
        "bottleneck: infer",
        "Try next",
        "Measuring costs",
    ):
        assert part in text, part
    paths = tmp_path / "a.json", tmp_path / "b.json"
    write_json(found, paths[0])
    write_json(make_report((110, 110, 110)), paths[1])
    text = rendered(tables.compare_table(read_json(paths[0]), read_json(paths[1]), ("a.json", "b.json")))
    assert "1.100" in text and "a.json" in text
    assert "(no interval)" in rendered(tables.render(make_report((100, 100))))


def test_one_measurement_is_shown_once_and_told() -> None:
    found = make_report(one_measurement=("sync", "async"))
    text = rendered(tables.render(found))
    assert text.count("model as run sync the same") == 2  # Throughput and latency.
    assert "sync and async: the graph runs as exported, in its own shape" in text
    checker = Checker()
    checker.feed(page.page(found))
    assert checker.text.count("latency of ") == 4 and "the graph runs as exported" in checker.text
    assert "the model as exported alone" not in checker.text
    assert "the model as exported alone" in page.page(make_report())


@pytest.mark.parametrize(
    ("head", "input_hw", "text"),
    [
        ("tail", [384, 640], "640x384 with head tail (exported: 640x640)"),
        ("stock", [384, 640], "640x384 with head stock (exported: 640x640)"),
        ("stock", [640, 640], "640x640 as exported"),
    ],
)
def test_the_heading_says_which_graph_runs(head: str, input_hw: list[int], text: str) -> None:
    assert tables.graphs({"head": head, "input_hw": input_hw, "exported_hw": [640, 640]}) == text
