"""The article's way from the model's output to boxes: torch tensors, and suppression within each class.

Written with torch's own operations; each class's boxes are moved to a place of their own, so that one suppression
serves all classes.
"""

from __future__ import annotations

import torch

from benchmarks.peers.protocol import CONF, IOU, MAX_BOXES

MAX_CANDIDATES = 2000
"""At most this many of the most confident candidates are compared with each other."""


def boxes_of(output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes of YOLOv5's decoded output, most confident first.

    Args:
        output: float32 (1, N, 5 + classes): cx, cy, w, h (input pixels), objectness, class probabilities.

    Returns:
        Boxes (M, 4) as left, top, right, bottom in input pixels, confidences (M,), class ids (M,).
    """
    rows = output[0]
    rows = rows[rows[:, 4] > CONF]
    confidence, class_id = (rows[:, 5:] * rows[:, 4:5]).max(dim=1)
    is_kept = confidence > CONF
    rows, confidence, class_id = rows[is_kept], confidence[is_kept], class_id[is_kept]
    order = confidence.argsort(descending=True, stable=True)[:MAX_CANDIDATES]
    rows, confidence, class_id = rows[order], confidence[order], class_id[order]
    centre, half = rows[:, 0:2], rows[:, 2:4] / 2
    boxes = torch.cat((centre - half, centre + half), dim=1)
    kept = suppress(boxes, class_id)[:MAX_BOXES]
    return boxes[kept], confidence[kept], class_id[kept]


def suppress(boxes: torch.Tensor, class_id: torch.Tensor) -> torch.Tensor:
    """Indices of the boxes that no better box of their class overlaps by more than the threshold.

    Args:
        boxes: (N, 4) left, top, right, bottom; the best first.
        class_id: (N,).
    """
    num_boxes = len(boxes)
    if num_boxes == 0:
        return torch.zeros(0, dtype=torch.int64)
    extent = boxes.max() - boxes.min() + 1
    apart = boxes + (class_id * extent)[:, None]
    areas = (apart[:, 2:] - apart[:, :2]).prod(dim=1)
    corner_1 = torch.maximum(apart[:, None, :2], apart[None, :, :2])
    corner_2 = torch.minimum(apart[:, None, 2:], apart[None, :, 2:])
    shared = (corner_2 - corner_1).clamp(min=0).prod(dim=2)
    does_suppress = shared > IOU * (areas[:, None] + areas[None, :] - shared)
    is_alive = torch.ones(num_boxes, dtype=torch.bool)
    kept = []
    for index in range(num_boxes):
        if is_alive[index]:
            kept.append(index)
            is_alive &= ~does_suppress[index]
    return torch.tensor(kept, dtype=torch.int64)
