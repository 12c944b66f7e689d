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
    read, prepare, decode = stats.lane("read"), stats.lane("prepare"), stats.lane("decode")
    now_ns = stats.clock.now_ns
    begin_ns = time.perf_counter_ns()
    for _ in range(num_frames):
        timings = Timings(read_start_ns=read.begin())
        timings.read_end_ns = read.was_busy()
        read.waited_for_output()
        timings.slot_wanted_ns = prepare.begin()
        timings.slot_free_ns = prepare.waited_for_output()
        timings.prepare_start_ns = prepare.waited_for_input()
        timings.prepare_end_ns = timings.infer_start_ns = now_ns()
        prepare.was_busy()
        timings.infer_end_ns = now_ns()
        stats.frame_inferred(timings)
        decode.waited_for_input()
        timings.decode_start_ns = now_ns()
        timings.decode_end_ns = now_ns()
        decode.was_busy()
        stats.frame_done(timings, 1, is_error=False)
        decode.waited_for_output()
    return (time.perf_counter_ns() - begin_ns) / 1e9 / num_frames
