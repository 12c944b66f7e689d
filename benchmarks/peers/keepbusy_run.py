"""keepbusy through its public `Pipeline`, sync or async."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import keepbusy as kb
from benchmarks.peers.protocol import CONF, IOU, MAX_BOXES, Done, Frames, serve


def load(options: argparse.Namespace) -> Callable[[], Frames]:
    """Compile the model."""
    pipeline = kb.Pipeline(options.model, options.device, mode=options.mode, conf=CONF, iou=IOU, max_det=MAX_BOXES)

    pipeline.plan(options.video)

    def begin() -> Frames:
        with pipeline.run(options.video, loop=True) as run:
            for result in run:
                yield Done(result.timings.latency_ns / 1e9, len(result.detections))

    return begin


if __name__ == "__main__":
    serve(load, __doc__)
