"""Ultralytics' `predict` over the video, with a model that it exported to OpenVINO itself.

Its latency is what it says of itself: the sum of its pre-processing, inference and post-processing times.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ultralytics import YOLO  # type: ignore[import-not-found]

from benchmarks.peers.protocol import CONF, IOU, MAX_BOXES, Done, Frames, serve


def load(options: argparse.Namespace) -> Callable[[], Frames]:
    """Load the exported model's folder."""
    model = YOLO(str(options.model.parent), task="detect")
    settings = {"device": f"intel:{options.device.lower()}", "conf": CONF, "iou": IOU, "max_det": MAX_BOXES}

    def begin() -> Frames:
        while True:
            for result in model.predict(source=str(options.video), stream=True, verbose=False, **settings):
                yield Done(sum(result.speed.values()) / 1e3, len(result.boxes))

    return begin


if __name__ == "__main__":
    serve(load, __doc__)
