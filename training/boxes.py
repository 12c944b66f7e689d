"""Geometry that the losses share."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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


def ignored_cells(ignore: Tensor, grid: tuple[int, int], stride: int) -> Tensor:
    """Mark cells whose centre lies in an ignored region: xyxy pixels [B, M, 4] -> bool [B, ny, nx].

    Rows that are no region must have zero area.
    """
    ny, nx = grid
    xs = (torch.arange(nx, device=ignore.device, dtype=ignore.dtype) + 0.5) * stride
    ys = (torch.arange(ny, device=ignore.device, dtype=ignore.dtype) + 0.5) * stride
    in_x = (xs > ignore[..., 0:1]) & (xs < ignore[..., 2:3])
    in_y = (ys > ignore[..., 1:2]) & (ys < ignore[..., 3:4])
    return torch.bmm(in_y.float().transpose(1, 2), in_x.float()) > 0
