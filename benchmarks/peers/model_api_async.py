"""OpenVINO Model API's `AsyncPipeline` over frames from OpenCV, with the throughput hint and as many requests as the
device calls optimal; results are taken in order."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from model_api.adapters import OpenvinoAdapter, create_core  # type: ignore[import-not-found]
from model_api.models import Model  # type: ignore[import-not-found]
from model_api.pipelines import AsyncPipeline  # type: ignore[import-not-found]

from benchmarks.peers.protocol import CONF, IOU, Done, Frames, serve
from benchmarks.peers.video import looped


def load(options: argparse.Namespace) -> Callable[[], Frames]:
    """Load the model and make the pipeline."""
    adapter = OpenvinoAdapter(
        create_core(),
        str(options.model),
        device=options.device,
        plugin_config={"PERFORMANCE_HINT": (options.hint or "throughput").upper()},
    )
    thresholds = {"confidence_threshold": CONF, "iou_threshold": IOU}
    pipeline = AsyncPipeline(Model.create_model(adapter, model_type="YOLOv5", configuration=thresholds, preload=False))

    def begin() -> Frames:
        frames = looped(options.video)
        num_submitted = num_taken = 0
        try:
            while True:
                answer = pipeline.get_result(num_taken)
                if answer is not None:
                    found, meta = answer
                    num_taken += 1
                    yield Done(time.perf_counter() - meta["read_s"], len(found.bboxes))
                elif pipeline.is_ready():
                    frame = next(frames)
                    pipeline.submit_data(frame, num_submitted, {"read_s": time.perf_counter()})
                    num_submitted += 1
                else:
                    pipeline.await_any()
        finally:
            pipeline.await_all()
            for number in range(num_taken, num_submitted):
                pipeline.get_raw_result(number)

    return begin


if __name__ == "__main__":
    serve(load, __doc__)
