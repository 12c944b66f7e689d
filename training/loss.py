"""Anchor assignment and the loss, fixed shapes throughout so a GPU never waits for the host."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from training.config import STRIDES, LossConfig


class Assignment(NamedTuple):
    """Candidates of one level, all of shape [B, N, 3 anchors, 5 cells].

    Attributes:
        valid: bool, the candidate predicts its box.
        column: int64, cell column.
        row: int64, cell row.
    """

    valid: Tensor
    column: Tensor
    row: Tensor


def qualifies(sides: Tensor, anchors: Tensor, max_ratio: float) -> Tensor:
    """Tell which anchors fit which boxes.

    Args:
        sides: float [B, N, 2], widths and heights.
        anchors: float [3, 2], the same unit.
        max_ratio: limit of the larger of ratio and inverse ratio over both sides.

    Returns:
        bool [B, N, 3].
    """
    ratio = sides.clamp(min=1e-6)[:, :, None] / anchors
    return torch.maximum(ratio, 1 / ratio).amax(-1) < max_ratio


def assign(boxes: Tensor, real: Tensor, anchors: Tensor, max_ratio: float, grid: tuple[int, int]) -> Assignment:
    """Choose the cells and anchors of one level that predict each box.

    YOLOv5's rule: an anchor qualifies when no side differs from the box's by the ratio limit, and
    besides the cell that holds the centre, the nearer horizontal and the nearer vertical neighbour
    predict the box as well.

    Args:
        boxes: float [B, N, 4], centre x, centre y, width, height in cells.
        real: bool [B, N], False for padding rows.
        anchors: float [3, 2], in cells.
        max_ratio: limit of the side ratios.
        grid: (ny, nx).

    Returns:
        The candidates.
    """
    ny, nx = grid
    x, y = boxes[..., 0], boxes[..., 1]
    in_x, in_y = x - x.floor(), y - y.floor()
    left, right = (in_x < 0.5) & (x >= 1), (in_x > 0.5) & (x < nx - 1)
    upper, lower = (in_y < 0.5) & (y >= 1), (in_y > 0.5) & (y < ny - 1)
    own_x, own_y = x.long().clamp(0, nx - 1), y.long().clamp(0, ny - 1)
    # The own cell, then the left, upper, right and lower neighbour.
    near = torch.stack((torch.ones_like(left), left, upper, right, lower), -1)
    column = torch.stack((own_x, own_x - 1, own_x, own_x + 1, own_x), -1).clamp(0, nx - 1)
    row = torch.stack((own_y, own_y, own_y - 1, own_y, own_y + 1), -1).clamp(0, ny - 1)
    fit = qualifies(boxes[..., 2:], anchors, max_ratio) & real[..., None]
    shape = (*boxes.shape[:2], anchors.shape[0], 5)
    return Assignment(
        fit[..., None] & near[:, :, None, :],
        column[:, :, None].expand(shape),
        row[:, :, None].expand(shape),
    )


def ciou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Compute IoU and complete IoU (Zheng et al., "Distance-IoU Loss", 2020).

    CIoU = IoU - d^2 / c^2 - alpha v, v = 4/pi^2 (atan(w_b/h_b) - atan(w_a/h_a))^2.

    Args:
        a: float [..., 4], centre x, centre y, width, height.
        b: float [..., 4], the same.

    Returns:
        (IoU, CIoU), float [...].
    """
    eps = 1e-7
    a_low, a_high = a[..., :2] - a[..., 2:] / 2, a[..., :2] + a[..., 2:] / 2
    b_low, b_high = b[..., :2] - b[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2
    shared = (torch.minimum(a_high, b_high) - torch.maximum(a_low, b_low)).clamp(min=0).prod(-1)
    union = a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - shared + eps
    iou = shared / union
    hull = torch.maximum(a_high, b_high) - torch.minimum(a_low, b_low)
    diagonal = hull.square().sum(-1) + eps
    distance = (a[..., :2] - b[..., :2]).square().sum(-1)
    angle_a = torch.atan(a[..., 2] / (a[..., 3] + eps))
    angle_b = torch.atan(b[..., 2] / (b[..., 3] + eps))
    v = 4 / math.pi**2 * (angle_b - angle_a).square()
    with torch.no_grad():
        alpha = v / (1 - iou + v + eps)
    return iou, iou - distance / diagonal - alpha * v


def _ignored_cells(ignore: Tensor, grid: tuple[int, int], stride: int) -> Tensor:
    """Mark cells whose centre lies in an ignored region: xyxy pixels [B, M, 4] -> bool [B, ny, nx].

    Rows that are no region must have zero area.
    """
    ny, nx = grid
    xs = (torch.arange(nx, device=ignore.device, dtype=ignore.dtype) + 0.5) * stride
    ys = (torch.arange(ny, device=ignore.device, dtype=ignore.dtype) + 0.5) * stride
    in_x = (xs > ignore[..., 0:1]) & (xs < ignore[..., 2:3])
    in_y = (ys > ignore[..., 1:2]) & (ys < ignore[..., 3:4])
    return torch.bmm(in_y.float().transpose(1, 2), in_x.float()) > 0


class DetectionLoss:
    """CIoU box loss, IoU-valued objectness and class cross-entropy over three levels.

    Args:
        config: gains and thresholds.
        num_classes: classes of the head.
    """

    def __init__(self, config: LossConfig, num_classes: int) -> None:
        self.config = config
        self.num_classes = num_classes

    def __call__(
        self, raw: list[Tensor], anchors: Tensor, targets: Tensor, ignore: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the loss of one batch.

        Args:
            raw: raw logits [B, 3 * (5 + classes), ny, nx] for strides 8, 16 and 32.
            anchors: float [3, 3, 2], pixels.
            targets: float [B, N, 5], class, x1, y1, x2, y2 in pixels; class -1 pads.
            ignore: float [B, M, 4], regions in pixels where objectness is not judged.

        Returns:
            (total, parts): the scalar to minimise, and detached float [4]: box, objectness,
            class (weighted) and the mean IoU of the assigned predictions.
        """
        cfg = self.config
        box_sum = raw[0].new_zeros((), dtype=torch.float32)
        obj_sum, cls_sum, iou_sum = box_sum.clone(), box_sum.clone(), box_sum.clone()
        count_sum = box_sum.clone()
        real = targets[..., 0] >= 0
        kinds = torch.arange(self.num_classes, device=targets.device)
        hot = targets[..., 0:1].long() == kinds
        centre = (targets[..., 1:3] + targets[..., 3:5]) / 2
        sides = targets[..., 3:5] - targets[..., 1:3]
        off, on = cfg.label_smoothing / 2, 1 - cfg.label_smoothing / 2
        for level, (maps, stride) in enumerate(zip(raw, STRIDES, strict=True)):
            batch, _, ny, nx = maps.shape
            rows = maps.float().permute(0, 2, 3, 1).reshape(-1, 5 + self.num_classes)
            sized = anchors[level] / stride
            boxes = torch.cat((centre, sides), -1) / stride
            found = assign(boxes, real, sized, cfg.max_ratio, (ny, nx))
            shape = found.valid.shape
            b = torch.arange(batch, device=maps.device).view(-1, 1, 1, 1).expand(shape)
            a = torch.arange(3, device=maps.device).view(1, 1, 3, 1).expand(shape)
            flat = (((b * ny + found.row) * nx + found.column) * 3 + a).reshape(-1)
            valid = found.valid.reshape(-1)
            weight = valid.float()
            count = weight.sum()

            chosen = rows.index_select(0, flat)
            prob = chosen[:, :4].sigmoid()
            cell = torch.stack((found.column, found.row), -1).reshape(-1, 2).to(prob.dtype)
            anchor = sized.view(1, 1, 3, 1, 2).expand(*shape, 2).reshape(-1, 2)
            predicted = torch.cat((prob[:, :2] * 2 - 0.5 + cell, (prob[:, 2:4] * 2) ** 2 * anchor), 1)
            wanted = boxes[:, :, None, None].expand(*shape, 4).reshape(-1, 4)
            wanted = torch.where(valid[:, None], wanted, torch.ones_like(wanted))
            iou, complete = ciou(predicted, wanted)
            box_sum = box_sum + ((1 - complete) * weight).sum() / count.clamp(min=1)

            labels = torch.where(hot, on, off).to(prob.dtype)
            labels = labels[:, :, None, None].expand(*shape, self.num_classes)
            entropy = binary_cross_entropy_with_logits(
                chosen[:, 5:], labels.reshape(-1, self.num_classes), reduction="none"
            ).mean(1)
            cls_sum = cls_sum + (entropy * weight).sum() / count.clamp(min=1)

            score = iou.detach().clamp(min=0) * weight
            goal = rows.new_zeros(rows.shape[0]).scatter_reduce(0, flat, score, "amax")
            judged = torch.ones_like(goal)
            if ignore is not None:
                taken = rows.new_zeros(rows.shape[0]).scatter_reduce(0, flat, weight, "amax")
                hidden = _ignored_cells(ignore, (ny, nx), stride).float().reshape(-1, 1)
                judged = 1 - hidden.expand(-1, 3).reshape(-1) * (1 - taken)
            entropy = binary_cross_entropy_with_logits(rows[:, 4], goal, reduction="none")
            obj_sum = obj_sum + (entropy * judged).mean() * cfg.balance[level]
            iou_sum = iou_sum + score.sum()
            count_sum = count_sum + count
        parts = torch.stack((box_sum * cfg.box, obj_sum * cfg.objectness, cls_sum * cfg.classification))
        shown = torch.cat((parts, (iou_sum / count_sum.clamp(min=1))[None])).detach()
        return parts.sum(), shown
