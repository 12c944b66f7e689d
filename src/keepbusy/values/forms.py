"""What a model takes and what it gives: the facts of a graph that preparing and decoding need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal[
    "yolov5",
    "yolov5-raw",
    "yolov8",
    "yolov8-raw",
    "yolov10",
    "yolox",
    "yolox-raw",
    "yolov7-nms",
    "detr",
    "rt-detr",
    "ssd",
]
"""How a model's outputs are to be read. Members share the form, not always the name: see `FAMILIES`."""

FAMILIES: dict[Family, str] = {
    "yolov5": "YOLOv5, YOLOv7: decoded anchors [1, anchors, 5+classes], box as centre and size, objectness",
    "yolov5-raw": "YOLOv5, YOLOv7: three (or four) heads before decoding, [1, 3, h, w, 5+classes]",
    "yolov8": "YOLOv5u, v8, v9, 11, 12: [1, 4+classes, cells], box as centre and size, no objectness",
    "yolov8-raw": "YOLOv8 and relatives: heads before decoding, box distributions and class logits",
    "yolov10": "YOLOv10, YOLO26, and others with their NMS inside: [1, 300, 6], corners, confidence, class",
    "yolox": "YOLOX: [1, cells, 5+classes], decoded",
    "yolox-raw": "YOLOX: [1, cells, 5+classes], offsets and log sizes in cells",
    "yolov7-nms": "YOLOv7 with its NMS inside: [N, 7], batch, corners, class, confidence",
    "detr": "DETR, RT-DETR: [1, N, 4+classes], or boxes [1, N, 4] and class scores [1, N, classes], normalized",
    "rt-detr": "RT-DETR, D-FINE with their post-processing inside: labels, boxes, scores, or rows [1, N, 6]",
    "ssd": "OpenVINO's DetectionOutput: [1, 1, N, 7], image, class, confidence, normalized corners",
}
"""One line for each family, for people."""

Task = Literal["detect", "segment", "pose", "obb", "classify"]
"""What a model says of a picture: boxes, boxes with masks, with keypoints, rotated boxes, or classes of the whole."""

HeadStrategy = Literal["stock", "tail", "host"]
"""Where the detection head is computed: in the graph as exported, in the graph for the best few hundred cells only, or
on the host from the raw numbers of the last convolutions."""

QuantizedUse = Literal["keep", "drop"]
"""How an INT8 model is computed: as it was quantized, or with the same weights in floating point."""

QUANTIZED_WORDS: dict[QuantizedUse, str] = {"keep": "INT8", "drop": "INT8 in floating point"}
"""The same for people."""

Layout = Literal["NCHW", "NHWC"]

Fit = Literal["letterbox", "corner", "stretch", "crop"]
"""How a frame is laid into the input: scaled to fit and centred on grey (YOLO), the same in the top left corner
(YOLOX), stretched to the input's sides (DETR, SSD), or scaled to cover and cut (classifiers)."""

Sizes = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class InputForm:
    """The model's image input.

    Attributes:
        layout: Order of its axes.
        size_hw: Its (height, width) in pixels; None on an axis that is dynamic.
        fit: How frames are laid into it.
        is_bgr: The network wants blue, green, red; else red, green, blue.
        mean: Subtracted from the pixels, 0 to 255, one value or one a channel in the network's order.
        scale: What the pixels are then divided by, in the same way.
        pad_value: The grey of the bars, 0 to 255.
    """

    layout: Layout
    size_hw: tuple[int | None, int | None]
    fit: Fit = "letterbox"
    is_bgr: bool = False
    mean: Sizes = (0.0,)
    scale: Sizes = (255.0,)
    pad_value: int = 114

    @property
    def is_fixed(self) -> bool:
        """Whether there is one size only."""
        return None not in self.size_hw

    def shape(self, input_hw: tuple[int, int]) -> list[int]:
        """The full static shape for one picture of a size."""
        height, width = input_hw
        return [1, 3, height, width] if self.layout == "NCHW" else [1, height, width, 3]


@dataclass(frozen=True, slots=True)
class OutputForm:
    """The model's outputs.

    Attributes:
        family: How they are to be read.
        task: What they say.
        outputs: Which of the graph's outputs they are, in the order in which the family's decoding takes them.
        num_classes: How many classes there are.
        num_coefficients: For masks: coefficients a detection, and prototypes. Where only boxes are wanted of a model
            that says more: how many numbers behind the classes are passed over.
        keypoints: For poses: how many, and how many numbers each (2: x, y; 3: with visibility).
        anchors_px: For raw anchor heads: widths and heights by head, pixels of the input.
        strides_px: For raw heads: pixels of the input a cell, by head.
        point_scale: For raw heads of poses: cells that a keypoint's number counts, 2 from the cell's corner (YOLOv8,
            11) or 1 from its centre (YOLO26).
        num_bins: For raw heads of YOLOv8 and relatives: bins of a box side's distribution; 1 for none.
        bins: For heads that keepbusy decodes: the distances that the bins stand for, in cells, where the graph's
            quantization has moved them; empty for 0, 1, 2, ...
        share_steps: For the same: how the graph rounds the bins' shares: to so many (levels) numbers, spread evenly
            from the lowest to the highest. As (lowest, highest, levels), with 0 levels for no rounding.
        is_channels_last: For raw heads: (1, h, w, channels), as the device computes them.
        is_rewritten: The head has been replaced in the graph.
        is_tail: It has, and the outputs are rows of candidates, decoded in the graph.
        is_normalized: Boxes are shares of the input's sides, not pixels.
        has_background: Class 0 is the background (or, for DETR, the last one is "no object").
        is_logits: Scores are before their sigmoid (or softmax).
        is_imagenet: The network was trained on pixels normalized with ImageNet's mean and deviation.
        names_decide: Nothing in the outputs tells how many classes there are: there are as many as names.
        why: The reason for the choice, for people.
        doubt: What else it could be, and how to say so; empty where nothing else fits.
    """

    family: Family
    task: Task
    outputs: tuple[int, ...]
    num_classes: int
    num_coefficients: int = 0
    keypoints: tuple[int, int] = (0, 0)
    anchors_px: tuple[tuple[tuple[float, float], ...], ...] = ()
    strides_px: tuple[int, ...] = ()
    point_scale: int = 2
    num_bins: int = 1
    bins: tuple[float, ...] = ()
    share_steps: tuple[float, float, int] = (0.0, 0.0, 0)
    is_channels_last: bool = False
    is_rewritten: bool = False
    is_tail: bool = False
    is_normalized: bool = False
    has_background: bool = False
    is_logits: bool = False
    is_imagenet: bool = False
    names_decide: bool = False
    why: str = ""
    doubt: str = ""

    @property
    def num_extra(self) -> int:
        """Numbers that the task adds to a detection: mask coefficients, or keypoints."""
        return self.num_coefficients or self.keypoints[0] * self.keypoints[1]
