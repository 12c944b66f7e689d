"""The article's asynchronous program: two requests, one infers while the other's frame is read and prepared.

Written anew from the article's description with the libraries that it names; the pictures come from a video here.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray

from benchmarks.peers.article_boxes import boxes_of
from benchmarks.peers.article_picture import Fit, letterbox, to_blob, to_frame
from benchmarks.peers.article_sync import Found
from benchmarks.peers.protocol import Done, Frames, serve
from benchmarks.peers.video import looped


class Lane:
    """One request, and the frame that it is busy with."""

    def __init__(self, net: ov.CompiledModel) -> None:
        self._request = net.create_infer_request()
        self._input_hw = (net.input(0).shape[2], net.input(0).shape[3])
        self._fit = Fit(1.0, 0, 0)
        self._frame_hw = self._input_hw
        self.read_s = 0.0

    def start(self, frame: NDArray[np.uint8]) -> None:
        """Prepare a frame and start its inference, without waiting for it."""
        self.read_s = time.perf_counter()
        picture, self._fit = letterbox(frame, self._input_hw)
        self._frame_hw = frame.shape[:2]
        self._request.set_input_tensor(ov.Tensor(to_blob(picture)))
        self._request.start_async()

    def wait(self) -> None:
        """Wait for the inference."""
        self._request.wait()

    def boxes(self) -> Found:
        """The boxes of the frame whose inference was waited for."""
        boxes, confidence, class_id = boxes_of(torch.tensor(self._request.get_output_tensor().data))
        return to_frame(boxes.numpy(), self._fit, self._frame_hw), confidence.numpy(), class_id.numpy()


def load(options: argparse.Namespace) -> Callable[[], Frames]:
    """Compile the model, make the two requests."""
    config = {"PERFORMANCE_HINT": options.hint.upper()} if options.hint else {}
    net = ov.Core().compile_model(str(options.model), options.device, config)
    lanes = (Lane(net), Lane(net))

    def begin() -> Frames:
        current, upcoming = lanes
        frames = looped(options.video)
        current.start(next(frames))
        try:
            for frame in frames:
                upcoming.start(frame)
                current.wait()
                boxes, _, _ = current.boxes()
                yield Done(time.perf_counter() - current.read_s, len(boxes))
                current, upcoming = upcoming, current
        finally:
            for lane in lanes:
                lane.wait()

    return begin


if __name__ == "__main__":
    serve(load, __doc__)
