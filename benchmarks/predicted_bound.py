"""How well the bounds predict a real run: real threads, real clock, scripted stages that sleep.

For each of some stage profiles, the pipeline runs over parts that sleep as long as the profile says. From the stage
times that the run itself measured, the bounds of `keepbusy.bench.verdict` are computed and compared with the
throughput. (A sleep overshoots by a tenth of a millisecond or more: that is part of the measured stage time, and so
of the prediction.) Stages sleep, so cores do not matter; on a busy machine wake-ups come late, and the throughput
falls below the bound.

    python benchmarks/predicted_bound.py [--seconds 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import time

from keepbusy.bench.verdict import Profile, StageCost, judge
from keepbusy.bench.windows import Window, measure_end_to_end
from keepbusy.config import RunConfig
from keepbusy.errors import Stage
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import Outputs
from keepbusy.testing import ScriptedDevice, ScriptedSource, index_detected, scripted_run
from keepbusy.values.detections import Detections

# read, prepare, infer, decode (ms), sources, servers of the device, slots, and what should hold it back.
PROFILES = [
    (0.5, 0.5, 8.0, 0.5, 1, 1, 4, "infer"),
    (0.5, 0.5, 8.0, 0.5, 1, 2, 4, "infer"),
    (0.5, 0.5, 8.0, 0.5, 1, 3, 4, "infer"),
    (2.0, 2.0, 4.0, 2.0, 1, 1, 4, "infer"),
    (1.0, 3.0, 6.0, 2.0, 1, 1, 3, "infer"),
    (8.0, 0.5, 2.0, 0.5, 1, 1, 2, "read"),
    (5.0, 1.0, 4.0, 1.0, 1, 1, 3, "read"),
    (7.0, 1.0, 6.0, 1.0, 1, 2, 4, "read"),
    (8.0, 1.0, 3.0, 1.0, 2, 1, 4, "read"),
    (8.0, 0.5, 1.0, 0.5, 3, 1, 3, "read"),
    (0.5, 6.0, 3.0, 1.0, 1, 1, 4, "preprocess"),
    (1.0, 5.0, 4.0, 0.5, 1, 1, 3, "preprocess"),
    (2.0, 7.0, 8.0, 2.0, 1, 2, 4, "preprocess"),
    (8.0, 4.0, 8.0, 0.5, 3, 3, 4, "preprocess"),
    (0.5, 1.0, 3.0, 7.0, 1, 1, 4, "postprocess"),
    (1.0, 2.0, 6.0, 5.0, 1, 3, 4, "postprocess"),
    (4.0, 0.5, 0.5, 5.0, 2, 1, 2, "postprocess"),
    (0.5, 2.0, 4.0, 2.0, 1, 1, 1, "slots"),
    (1.0, 4.0, 4.0, 4.0, 1, 2, 2, "slots"),
    (0.5, 1.0, 8.0, 1.0, 1, 3, 2, "slots"),
    (2.0, 2.0, 8.0, 2.0, 1, 3, 3, "slots"),
    (0.5, 3.0, 3.0, 3.0, 2, 2, 2, "slots"),
    (1.0, 0.5, 7.0, 3.0, 1, 2, 1, "slots"),
    (3.0, 2.0, 8.0, 6.0, 3, 3, 2, "slots"),
]


def measure(row: tuple[float, float, float, float, int, int, int, str], seconds: float) -> Window:
    """One run of a profile."""
    read_ms, preprocess_ms, infer_ms, postprocess_ms, num_sources, num_servers, num_slots, _ = row

    def decode(outputs: Outputs, letterbox: Letterbox) -> Detections:
        time.sleep(postprocess_ms / 1e3)
        return index_detected(outputs, letterbox)

    run = scripted_run(
        [ScriptedSource(None, read_s=read_ms / 1e3, name=f"scripted {i}") for i in range(num_sources)],
        ScriptedDevice(infer_ms / 1e3, num_servers=num_servers),
        RunConfig(nireq=num_slots),
        preprocess_s=preprocess_ms / 1e3,
        to_detections=decode,
    )
    return measure_end_to_end(run, seconds)


def profile_of(window: Window, infer_ms: float, num_servers: int, num_slots: int) -> Profile:
    """The profile that a run measured; the device's time is scripted, and so known."""
    stages: dict[Stage, StageCost] = {
        part.stage: StageCost(part.busy_s / part.num_frames, part.num_threads)
        for part in window.stages
        if part.num_frames and part.stage != "infer"
    }
    stages["infer"] = StageCost(infer_ms / 1e3, num_servers)
    return Profile(stages, num_slots)


def main() -> None:
    """Compare, and say how far off the prediction is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    errors: list[float] = []
    num_right = 0
    print("read prep infer decode ms, sources x servers x slots   predicted  measured   off by   bottleneck")
    for row in PROFILES:
        windows = [measure(row, options.seconds) for _ in range(options.rounds)]
        verdicts = [judge(profile_of(window, row[2], row[5], row[6]), window.fps) for window in windows]
        off = [window.fps / verdict.predicted_fps - 1 for window, verdict in zip(windows, verdicts, strict=True)]
        middle = off.index(sorted(off)[len(off) // 2])
        errors.append(off[middle])
        is_right = verdicts[middle].bottleneck == row[-1]
        num_right += is_right
        times = " ".join(f"{value:4.1f}" for value in row[:4])
        predicted_fps, named = verdicts[middle].predicted_fps, verdicts[middle].bottleneck
        print(
            f"{times}   {row[4]} x {row[5]} x {row[6]} {predicted_fps:27.1f} {windows[middle].fps:9.1f} "
            f"{off[middle]:+8.1%}   {named}{'' if is_right else f' (should be {row[-1]})'}",
            flush=True,
        )
    sizes = [abs(value) for value in errors]
    print(
        f"{len(sizes)} profiles: off by {statistics.median(sizes):.1%} in the median, {max(sizes):.1%} at most, "
        f"{sum(size <= 0.03 for size in sizes)} within 3 %; bottleneck named rightly in {num_right}"
    )


if __name__ == "__main__":
    main()
