"""Frames' timings → lanes, and lanes → a trace for Perfetto (https://ui.perfetto.dev) and chrome://tracing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepbusy.errors import STAGES, Stage
from keepbusy.files.whole import write_whole
from keepbusy.values.result import Timings


@dataclass(frozen=True, slots=True)
class Span:
    """One frame in one stage, nanoseconds of the run's clock.

    Attributes:
        frame_index: Position of the frame among the given ones.
    """

    stage: Stage
    frame_index: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class SpanLane:
    """Spans that do not overlap: a thread of a stage, or a slot on the device."""

    name: str
    stage: Stage
    spans: tuple[Span, ...]


def spans_of(timings: Sequence[Timings]) -> list[Span]:
    """Every stage that every frame went through; a stage that was not reached gives no span."""
    spans: list[Span] = []
    for index, one in enumerate(timings):
        for stage in STAGES:
            start_ns: int = getattr(one, f"{stage}_start_ns")
            end_ns: int = getattr(one, f"{stage}_end_ns")
            if end_ns > start_ns > 0:
                spans.append(Span(stage, index, start_ns, end_ns))
    return spans


def lanes_of(spans: Sequence[Span]) -> list[SpanLane]:
    """Sort spans into as few lanes for each stage as there can be, in the order of the data flow.

    The spans of a stage are taken by their starts, each into the lane that has been free for longest (greedy
    interval colouring, which needs no more lanes than spans overlap). For `infer` the lanes are the slots.
    """
    lanes: list[SpanLane] = []
    for stage in STAGES:
        rows: list[list[Span]] = []
        for span in sorted((s for s in spans if s.stage == stage), key=lambda s: s.start_ns):
            free = [row for row in rows if row[-1].end_ns <= span.start_ns]
            if free:
                min(free, key=lambda row: row[-1].end_ns).append(span)
            else:
                rows.append([span])
        for number, row in enumerate(rows, 1):
            word = "slot" if stage == "infer" else stage
            name = f"{word} {number}" if len(rows) > 1 or stage == "infer" else word
            lanes.append(SpanLane(name, stage, tuple(row)))
    return lanes


def busy_and_idle(spans: Sequence[Span], begin_ns: int, end_ns: int) -> tuple[list[tuple[int, int]], ...]:
    """When the device had at least one frame within a window, and when it had none.

    Returns:
        Busy and idle intervals (start_ns, end_ns); together they are the window.
    """
    busy: list[tuple[int, int]] = []
    for span in sorted((s for s in spans if s.stage == "infer"), key=lambda s: s.start_ns):
        start_ns, stop_ns = max(span.start_ns, begin_ns), min(span.end_ns, end_ns)
        if start_ns >= stop_ns:
            continue
        if busy and start_ns <= busy[-1][1]:
            busy[-1] = (busy[-1][0], max(busy[-1][1], stop_ns))
        else:
            busy.append((start_ns, stop_ns))
    edges = [begin_ns, *(edge for interval in busy for edge in interval), end_ns]
    idle = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]
    return busy, idle


def trace_events(runs: Mapping[str, Sequence[Timings]]) -> list[dict[str, Any]]:
    """Runs → trace events: a process for each run, a thread for each lane, microseconds from each run's begin.

    Args:
        runs: Name of the run, such as its mode → its frames' times, in order.
    """
    events: list[dict[str, Any]] = []
    for process_id, (name, timings) in enumerate(runs.items(), 1):
        spans = spans_of(timings)
        begin_ns = min((span.start_ns for span in spans), default=0)
        events.append(_metadata("process_name", process_id, 0, {"name": f"keepbusy {name}"}))
        events.append(_metadata("process_sort_index", process_id, 0, {"sort_index": process_id}))
        for thread_id, lane in enumerate(lanes_of(spans), 1):
            events.append(_metadata("thread_name", process_id, thread_id, {"name": lane.name}))
            events.append(_metadata("thread_sort_index", process_id, thread_id, {"sort_index": thread_id}))
            events.extend(
                {
                    "ph": "X",
                    "name": f"{span.stage} {span.frame_index}",
                    "cat": span.stage,
                    "pid": process_id,
                    "tid": thread_id,
                    "ts": (span.start_ns - begin_ns) / 1e3,
                    "dur": (span.end_ns - span.start_ns) / 1e3,
                    "args": {"frame": span.frame_index},
                }
                for span in lane.spans
            )
    return events


def write_trace(path: Path, runs: Mapping[str, Sequence[Timings]]) -> None:
    """Write runs as trace JSON.

    Args:
        path: The file.
        runs: Name of the run, such as its mode → its frames' times, in order.

    Raises:
        SinkError: The file cannot be written.
    """
    content = {"traceEvents": trace_events(runs), "displayTimeUnit": "ms"}
    write_whole(path, json.dumps(content, separators=(",", ":")) + "\n")


def _metadata(kind: str, process_id: int, thread_id: int, args: dict[str, Any]) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process_id, "tid": thread_id, "args": args}
