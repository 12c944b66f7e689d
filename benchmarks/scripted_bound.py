"""How close the engine comes to a device's own bound when every stage takes time.

A scripted device takes 4 ms and serves one request at a time: 250 frames/s at best. Reading, preparing and decoding
sleep 2 ms each. Overlapped, they cost nothing; one after the other, a frame takes 10 ms.

    python benchmarks/scripted_bound.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time

from keepbusy.config import RunConfig
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import Outputs
from keepbusy.testing import ScriptedDevice, ScriptedSource, index_detected, scripted_run
from keepbusy.values.detections import Detections

DEVICE_S = 0.004
STAGE_S = 0.002


def slow_decode(outputs: Outputs, letterbox: Letterbox) -> Detections:
    """Decode after 2 ms."""
    time.sleep(STAGE_S)
    return index_detected(outputs, letterbox)


def throughput(config: RunConfig, num_frames: int) -> float:
    """Frames a second of one run, the filling and emptying of the pipeline included."""
    source = ScriptedSource(num_frames, read_s=STAGE_S)
    run = scripted_run([source], ScriptedDevice(DEVICE_S), config, preprocess_s=STAGE_S, to_detections=slow_decode)
    for _ in run:
        pass
    return run.stats.snapshot().throughput_fps


def main() -> None:
    """Compare, in interleaved rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    contenders = {"async, 4 requests": (RunConfig(nireq=4), 1000), "sync": (RunConfig(mode="sync"), 300)}
    shares: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (config, num_frames) in contenders.items():
            shares[name].append(throughput(config, num_frames) * DEVICE_S)
    for name, values in shares.items():
        median = statistics.median(values)
        print(
            f"{name:18} {median:.3f} of the device's bound ({min(values):.3f} to {max(values):.3f}), "
            f"{median / DEVICE_S:.1f} frames/s"
        )


if __name__ == "__main__":
    main()
