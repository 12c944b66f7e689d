"""Does a long run hold its memory? Resident size after a first part against the end.

python benchmarks/memory.py VIDEO MODEL [--frames 20000] [--settled 2000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import psutil

import keepbusy as kb

MIB = 1024 * 1024


def main() -> None:
    """Run it, printing the resident size a few times on the way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--settled", type=int, default=2_000)
    options = parser.parse_args()
    process = psutil.Process()
    settled = 0.0
    with kb.Pipeline(options.model) as pipeline, pipeline.run(options.video, loop=True, limit=options.frames) as run:
        for number, _ in enumerate(run, start=1):
            if number % options.settled == 0:
                size = process.memory_info().rss / MIB
                settled = settled or size
                print(
                    f"frame {number:6}: {size:7.1f} MiB resident, {size - settled:+.1f} since frame {options.settled}"
                )
        print(f"{run.stats.snapshot().throughput_fps:.1f} frames/s over {number} frames")


if __name__ == "__main__":
    main()
