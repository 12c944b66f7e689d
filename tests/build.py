"""Real parts made on the spot: a small model, a video, pictures."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from keepbusy.values.frame import Frame, Image

BLOB_NAMES = ("red", "green", "blue")
BLOB_INPUT_HW = (64, 96)


def blob_graph(*, input_hw: tuple[int, int] = BLOB_INPUT_HW, layout: str = "NCHW") -> ov.Model:
    """A detector in YOLOv5's output form whose classes are the colours.

    At each cell of strides 8, 16 and 32 it averages the colours: a class's probability is its channel's mean, the
    objectness the largest of them, and the three anchors are boxes of 0.5, 1 and 2 strides around the cell.
    """
    height, width = input_hw
    shape = [1, 3, height, width] if layout == "NCHW" else [1, height, width, 3]
    image = ops.parameter(shape, np.float32, name="images")
    image.output(0).get_tensor().set_names({"images"})
    nchw = image if layout == "NCHW" else ops.transpose(image, np.array([0, 3, 1, 2]))
    heads = []
    for stride in (8, 16, 32):
        rows, columns = height // stride, width // stride
        means = ops.avg_pool(nchw, [stride, stride], [0, 0], [0, 0], [stride, stride], exclude_pad=True)
        classes = ops.reshape(
            ops.transpose(means, np.array([0, 2, 3, 1])), np.array([1, rows * columns, 3]), special_zero=False
        )
        objectness = ops.reduce_max(classes, np.array([2]), keep_dims=True)
        centres = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(1, -1, 2)
        centres_px = (centres + 0.5) * stride
        for scale in (0.5, 1.0, 2.0):
            sizes_px = np.full_like(centres_px, stride * scale)
            boxes = ops.constant(np.concatenate((centres_px, sizes_px), axis=2).astype(np.float32))
            heads.append(ops.concat([boxes, objectness, classes], axis=2))
    output = ops.concat(heads, axis=1)
    output.output(0).get_tensor().set_names({"output"})
    model = ov.Model([output], [image], "blob")
    model.set_rt_info("red green blue", ["model_info", "labels"])
    return model


def build_blob_model(path: Path, **options: object) -> Path:
    """Save the blob detector as IR."""
    ov.save_model(blob_graph(**options), path, compress_to_fp16=False)  # type: ignore[arg-type]
    return path


def square_picture(left: int = 16, top: int = 16, *, size_wh: tuple[int, int] = (96, 64)) -> NDArray[np.uint8]:
    """A red 32x32 square on black; uint8 (H, W, 3), BGR."""
    picture = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    picture[top : top + 32, left : left + 32] = (0, 0, 255)
    return picture


def write_video(
    path: Path, *, num_frames: int, size_wh: tuple[int, int] = (96, 64), fps: int = 10, codec: str = "libx264"
) -> Path:
    """Encode a video of a red square that moves to the right, one pixel a frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size_wh
        stream.pix_fmt = "yuv420p"
        for index in range(num_frames):
            picture = square_picture(index % 64, size_wh=size_wh)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path


def write_picture(path: Path, picture: NDArray[np.uint8] | NDArray[np.uint16]) -> Path:
    """Encode a picture by its path's ending."""
    is_encoded, content = cv2.imencode(path.suffix, picture)
    assert is_encoded
    path.write_bytes(content.tobytes())
    return path


def count_playable(path: Path) -> int:
    """How many frames of a video that was cut off can be shown, as a player would: up to the first damaged one."""
    num_frames = 0
    with av.open(str(path)) as container, contextlib.suppress(av.error.InvalidDataError):
        for _ in container.decode(video=0):
            num_frames += 1
    return num_frames


def image_of(frame: Frame | None) -> Image:
    """The pixels of a frame that has some; uint8 (H, W, 3), BGR."""
    assert frame is not None and frame.image is not None
    return frame.image


def read_video(path: Path) -> list[NDArray[np.uint8]]:
    """Decode a whole video; uint8 (H, W, 3), BGR."""
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]
