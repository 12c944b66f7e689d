"""What measuring costs: the counters that every run keeps, timed by themselves."""

from __future__ import annotations

import time

from keepbusy.flow.stats import RunStats
from keepbusy.values.result import Timings


def measuring_cost_s(num_frames: int = 2000) -> float:
    """Seconds a frame that a run spends on its own counters.

    It does for each frame what the pipeline does: two marks in each of three lanes, the stamps between them, the
    device's time, and one value into the latency histogram.
    """
    stats = RunStats()
    read, preprocess, postprocess = stats.lane("read"), stats.lane("preprocess"), stats.lane("postprocess")
    now_ns = stats.clock.now_ns
    begin_ns = time.perf_counter_ns()
    for _ in range(num_frames):
        timings = Timings(read_start_ns=read.begin())
        timings.read_end_ns = read.was_busy()
        read.waited_for_output()
        timings.slot_wanted_ns = preprocess.begin()
        timings.slot_free_ns = preprocess.waited_for_output()
        timings.preprocess_start_ns = preprocess.waited_for_input()
        timings.preprocess_end_ns = timings.infer_start_ns = now_ns()
        preprocess.was_busy()
        timings.infer_end_ns = now_ns()
        stats.frame_inferred(timings)
        postprocess.waited_for_input()
        timings.postprocess_start_ns = now_ns()
        timings.postprocess_end_ns = now_ns()
        postprocess.was_busy()
        stats.frame_done(timings, 1, is_error=False)
        postprocess.waited_for_output()
    return (time.perf_counter_ns() - begin_ns) / 1e9 / num_frames
