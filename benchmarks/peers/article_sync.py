"""The article's synchronous program: read, prepare, infer, boxes, one after the other.

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
from benchmarks.peers.article_picture import letterbox, to_blob, to_frame
from benchmarks.peers.protocol import Done, Frames, serve
from benchmarks.peers.video import looped

Found = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""Boxes (N, 4) in the frame's pixels, confidences (N,), class ids (N,)."""


def detect(net: ov.CompiledModel, frame: NDArray[np.uint8]) -> Found:
    """The boxes of one frame."""
    input_hw = (net.input(0).shape[2], net.input(0).shape[3])
    picture, fit = letterbox(frame, input_hw)
    output = torch.tensor(net([to_blob(picture)])[net.output(0)])
    boxes, confidence, class_id = boxes_of(output)
    return to_frame(boxes.numpy(), fit, frame.shape[:2]), confidence.numpy(), class_id.numpy()


def load(options: argparse.Namespace) -> Callable[[], Frames]:
    """Compile the model."""
    config = {"PERFORMANCE_HINT": options.hint.upper()} if options.hint else {}
    net = ov.Core().compile_model(str(options.model), options.device, config)

    def begin() -> Frames:
        for frame in looped(options.video):
            read = time.perf_counter()
            boxes, _, _ = detect(net, frame)
            yield Done(time.perf_counter() - read, len(boxes))

    return begin


if __name__ == "__main__":
    serve(load, __doc__)
