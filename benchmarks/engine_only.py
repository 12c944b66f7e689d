"""What the pipeline itself costs: frames in memory, a device that takes no time, no letterbox, nothing to decode.

    python benchmarks/engine_only.py [--frames N] [--rounds N]

Each frame still goes through every thread and hand-over, is stamped in every stage and counted in every statistic.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from keepbusy.config import RunConfig
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import Outputs
from keepbusy.sources import Source, SourceInfo
from keepbusy.testing import ScriptedDevice, scripted_run
from keepbusy.values.detections import Detections
from keepbusy.values.frame import Frame

SIDE_PX = 32
NOTHING = Detections.empty()


class InMemory(Source):
    """A source whose frames are all one picture that is there already."""

    def __init__(self, num_frames: int) -> None:
        self.info = SourceInfo("memory", num_frames=num_frames)
        self._num_frames = num_frames
        self._image = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
        self._next = 0

    def read(self) -> Frame | None:
        index = self._next
        self._next += 1
        return Frame(self._image, index, 0.0, 0, "memory") if index < self._num_frames else None


def no_detections(outputs: Outputs, letterbox: Letterbox) -> Detections:
    """Decoding that does nothing."""
    return NOTHING


def measure(num_frames: int, config: RunConfig) -> float:
    """Frames a second through a whole run."""
    device = ScriptedDevice(0.0, input_hw=(SIDE_PX, SIDE_PX))
    begin = time.perf_counter()
    num_done = sum(1 for _ in scripted_run([InMemory(num_frames)], device, config, to_detections=no_detections))
    assert num_done == num_frames
    return num_frames / (time.perf_counter() - begin)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    configs = {
        "async, 4 slots": RunConfig(nireq=4),
        "async, 4 slots, 2 preprocessors": RunConfig(nireq=4, preprocess_threads=2),
        "sync": RunConfig(mode="sync"),
    }
    rounds: dict[str, list[float]] = {name: [] for name in configs}
    for _ in range(options.rounds):
        for name, config in configs.items():
            rounds[name].append(measure(options.frames, config))
    for name, values in rounds.items():
        median = statistics.median(values)
        print(
            f"{name:28} {median:8.0f} frames/s ({min(values):.0f} to {max(values):.0f}), "
            f"{1e6 / median:.0f} microseconds a frame"
        )


if __name__ == "__main__":
    main()
