"""What the engine does, in numbers: stages over the last seconds, the newest frames' timeline, a history, a verdict."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from keepbusy.errors import STAGES
from keepbusy.flow.run import Run
from keepbusy.flow.stats import Snapshot
from keepbusy.serve.supervise.histogram import AGE_BUCKETS_S, Seconds
from keepbusy.serve.supervise.verdict import Seen, Verdict, judge
from keepbusy.values.result import Result, Timings

WINDOW_S = 5.0
"""How far back the stages look."""

HISTORY_S = 120
"""How far back the history looks: one point per second."""

TIMELINE_FRAMES = 240
TIMELINE_S = 2.0
"""How far back the timeline looks, and how many frames it has at most."""


@dataclass(frozen=True, slots=True)
class StageSeconds:
    """What a stage has done in all runs.

    Attributes:
        frames: Frames that it has finished.
        busy_s: Seconds at work.
        wait_input_s: Seconds with nothing to work on.
        wait_output_s: Seconds with finished work that nobody took.
    """

    frames: int = 0
    busy_s: float = 0.0
    wait_input_s: float = 0.0
    wait_output_s: float = 0.0


class EngineView:
    """Thread-safe.

    Attributes:
        infer_s: Seconds that inferences took on the device.
    """

    def __init__(self) -> None:
        self.infer_s = Seconds(AGE_BUCKETS_S)
        self._run: Run | None = None
        self._base: dict[str, StageSeconds] = {stage: StageSeconds() for stage in STAGES}
        self._snapshots: deque[tuple[float, Snapshot]] = deque()
        self._frames: deque[tuple[int, Timings]] = deque(maxlen=TIMELINE_FRAMES)
        self._history: deque[dict[str, float]] = deque(maxlen=HISTORY_S)
        self._window: Snapshot | None = None
        self._lock = threading.Lock()

    def begin(self, run: Run) -> None:
        """A run begins."""
        with self._lock:
            self._run = run
            self._snapshots.clear()
            self._window = None

    def end(self) -> None:
        """The run is over: what its stages did is kept."""
        with self._lock:
            if self._run is not None:
                self._base = self._with(self._run.stats.snapshot())
            self._run = self._window = None
            self._snapshots.clear()

    def take(self, result: Result) -> None:
        """A result; by the engine's thread."""
        timings = result.timings
        if result.error is None:
            self.infer_s.add((timings.infer_end_ns - timings.infer_start_ns) / 1e9)
        self._frames.append((result.frame.source_id, timings))

    def look(self, now_s: float) -> None:
        """Look at the numbers; to be called once a second."""
        with self._lock:
            run = self._run
            if run is None:
                self._history.append({"fps": 0.0, "busy": 0.0, "dropped": 0.0})
                return
            now = run.stats.snapshot()
            before = self._snapshots[-1][1] if self._snapshots else now
            self._snapshots.append((now_s, now))
            while len(self._snapshots) > 2 and self._snapshots[1][0] <= now_s - WINDOW_S:
                self._snapshots.popleft()
            self._window = now.since(self._snapshots[0][1])
            last = now.since(before)
            point = {"fps": last.throughput_fps, "busy": last.device_busy_share, "dropped": float(last.num_dropped)}
            self._history.append({name: round(value, 3) for name, value in point.items()})

    def stage_seconds(self) -> dict[str, StageSeconds]:
        """What each stage has done in all runs."""
        with self._lock:
            return dict(self._base) if self._run is None else self._with(self._run.stats.snapshot())

    def _with(self, snapshot: Snapshot) -> dict[str, StageSeconds]:
        found = dict(self._base)
        for one in snapshot.stages:
            base = found[one.stage]
            found[one.stage] = StageSeconds(
                base.frames + one.num_frames,
                base.busy_s + one.busy_s,
                base.wait_input_s + one.wait_input_s,
                base.wait_output_s + one.wait_output_s,
            )
        return found

    @property
    def window(self) -> Snapshot | None:
        """The last seconds; None where nothing runs."""
        return self._window

    def verdict(
        self, *, sink_busy_share: float = 0.0, num_streams: int = 0, own: Collection[str] = frozenset()
    ) -> Verdict:
        """What holds it back at the moment, in words.

        Args:
            sink_busy_share: Share of the time that the sinks have worked.
            num_streams: Streams of the configuration.
            own: Causes of drops that were chosen: these frames are left out of the figures.
        """
        window = self._window
        if window is None:
            return judge(None)
        dropped: Counter[str] = Counter()
        for one in window.streams:
            dropped.update({str(cause): count for cause, count in one.dropped.items()})
        num_left_out = sum(dropped.pop(cause, 0) for cause in own)
        return judge(
            Seen(
                num_streams=num_streams,
                wall_s=window.wall_s,
                fps=window.throughput_fps,
                device_busy=window.device_busy_share,
                arrived=sum(one.num_arrived for one in window.streams) - num_left_out,
                dropped=dropped,
                busy={**{one.stage: one.busy_share for one in window.stages}, "sink": sink_busy_share},
            )
        )

    def numbers(self) -> dict[str, Any]:
        """The stages, the throughput and the history, as the page shows them."""
        window = self._window
        stages = []
        for one in () if window is None else window.stages:
            waits_s = max(one.lasted_s, 1e-9)
            stages.append(
                {
                    "stage": one.stage,
                    "busy": round(min(one.busy_share, 1.0), 4),
                    "wait_input": round(min(one.wait_input_s / waits_s, 1.0), 4),
                    "wait_output": round(min(one.wait_output_s / waits_s, 1.0), 4),
                    "ms": round(one.busy_per_frame_ms, 3),
                    "frames": one.num_frames,
                }
            )
        return {
            "fps": 0.0 if window is None else round(window.throughput_fps, 2),
            "device_busy": 0.0 if window is None else round(window.device_busy_share, 4),
            "latency_p50_ms": 0.0 if window is None else round(window.latency_p50_ms, 2),
            "latency_p99_ms": 0.0 if window is None else round(window.latency_p99_ms, 2),
            "stages": stages,
            "history": list(self._history),
        }

    def timeline(self, names: dict[int, str]) -> list[dict[str, Any]]:
        """The spans of the newest frames, in milliseconds before now.

        Args:
            names: What the streams are called, by their numbers in the run.
        """
        now_ns = time.perf_counter_ns()
        found = []
        for stream_id, one in list(self._frames):
            if now_ns - one.read_start_ns > TIMELINE_S * 1e9:
                continue
            spans = {
                "read": (max(one.read_start_ns, one.read_end_ns - 200_000_000), one.read_end_ns),
                "preprocess": (one.preprocess_start_ns, one.preprocess_end_ns),
                "infer": (one.infer_start_ns, one.infer_end_ns),
                "postprocess": (one.postprocess_start_ns, one.postprocess_end_ns),
            }
            shown = {
                stage: [round((begin_ns - now_ns) / 1e6, 2), round((end_ns - now_ns) / 1e6, 2)]
                for stage, (begin_ns, end_ns) in spans.items()
                if 0 < begin_ns <= end_ns
            }
            found.append({"stream": names.get(stream_id, ""), "spans": shown})
        return found
