"""YOLOv5n (release 6 layout): CSP-Darknet backbone, SPPF, PAN neck and three anchor heads; its loss.

The loss has fixed shapes throughout, so a GPU never waits for the host.

Sources: CSPNet (Wang et al., 2020) for the split blocks, SPP (He et al., 2015) for the pooling
pyramid, PANet (Liu et al., 2018) for the neck, and the published table of layer widths.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from keepbusy.street import CLASS_NAMES
from training.boxes import ciou, ignored_cells
from training.config import ANCHORS, STRIDES, AnchorLossConfig, Anchors
from training.layers import ConvUnit, Detector, PoolPyramid


class Residual(nn.Module):
    """1x1 then 3x3 unit of one width, with an optional identity path."""

    def __init__(self, width: int, identity: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvUnit(width, width), ConvUnit(width, width, 3))
        self.identity = identity

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, width, H, W] to the same shape."""
        y: Tensor = self.body(x)
        return x + y if self.identity else y


class SplitBlock(nn.Module):
    """The "C3" block: a deep half and a shallow half, joined by a 1x1 unit (CSPNet)."""

    def __init__(self, cin: int, cout: int, depth: int, identity: bool = True) -> None:
        super().__init__()
        half = cout // 2
        self.deep = nn.Sequential(ConvUnit(cin, half), *(Residual(half, identity) for _ in range(depth)))
        self.shallow = ConvUnit(cin, half)
        self.join = ConvUnit(2 * half, cout)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, cin, H, W] to [B, cout, H, W]."""
        return self.join(torch.cat((self.deep(x), self.shallow(x)), 1))  # type: ignore[no-any-return]


class YoloV5n(Detector):
    """The detector: three raw prediction maps, one for each stride.

    Args:
        num_classes: classes of the head.
        anchors: three (width, height) pairs in input pixels for each of the three strides.
    """

    anchors: Tensor

    def __init__(self, num_classes: int = len(CLASS_NAMES), anchors: Anchors = ANCHORS) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.outputs = 5 + num_classes
        self.register_buffer("anchors", torch.tensor(anchors, dtype=torch.float32))
        self.to_p3 = nn.Sequential(
            ConvUnit(3, 16, 6, 2, 2),
            ConvUnit(16, 32, 3, 2),
            SplitBlock(32, 32, 1),
            ConvUnit(32, 64, 3, 2),
            SplitBlock(64, 64, 2),
        )
        self.to_p4 = nn.Sequential(ConvUnit(64, 128, 3, 2), SplitBlock(128, 128, 3))
        self.to_p5 = nn.Sequential(ConvUnit(128, 256, 3, 2), SplitBlock(256, 256, 1), PoolPyramid(256))
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.lateral5 = ConvUnit(256, 128)
        self.merge4 = SplitBlock(256, 128, 1, identity=False)
        self.lateral4 = ConvUnit(128, 64)
        self.merge3 = SplitBlock(128, 64, 1, identity=False)
        self.down3 = ConvUnit(64, 64, 3, 2)
        self.out4 = SplitBlock(128, 128, 1, identity=False)
        self.down4 = ConvUnit(128, 128, 3, 2)
        self.out5 = SplitBlock(256, 256, 1, identity=False)
        self.heads = nn.ModuleList(nn.Conv2d(c, 3 * self.outputs, 1) for c in (64, 128, 256))
        self._set_priors()

    def _set_priors(self) -> None:
        """Start the head at the base rates (prior initialisation of RetinaNet, Lin et al. 2017).

        About eight objects an image over the cells of a level, and equally likely classes.
        """
        for head, stride in zip(self.heads, STRIDES, strict=True):
            assert isinstance(head, nn.Conv2d)
            assert head.bias is not None
            bias = head.bias.data.view(3, self.outputs)
            share = 8.0 / (640 / stride) ** 2
            bias[:, 4] = math.log(share / (1 - share))
            bias[:, 5:] = -math.log(max(self.num_classes - 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Predict raw maps.

        Args:
            images: float [B, 3, H, W], RGB in 0..1, sides multiples of 32.

        Returns:
            For each stride s, raw logits float [B, 3 * (5 + classes), H / s, W / s].
        """
        p3 = self.to_p3(images)
        p4 = self.to_p4(p3)
        top = self.lateral5(self.to_p5(p4))
        mid = self.lateral4(self.merge4(torch.cat((self.up(top), p4), 1)))
        n3 = self.merge3(torch.cat((self.up(mid), p3), 1))
        n4 = self.out4(torch.cat((self.down3(n3), mid), 1))
        n5 = self.out5(torch.cat((self.down4(n4), top), 1))
        return [head(n) for head, n in zip(self.heads, (n3, n4, n5), strict=True)]

    def decode(self, raw: list[Tensor]) -> Tensor:
        """Turn raw maps into the stock export's rows (see ``decode`` of this module)."""
        return decode(raw, self.anchors, self.outputs)


def decode(raw: list[Tensor], anchors: Tensor, outputs: int) -> Tensor:
    """Turn raw maps into the stock export's rows.

    YOLOv5's box form: centre = (2 sigmoid - 0.5 + cell) * stride, side = (2 sigmoid)^2 * anchor.

    Args:
        raw: raw logits [B, 3 * outputs, ny, nx] for strides 8, 16 and 32.
        anchors: float [3, 3, 2], pixels.
        outputs: 5 + classes.

    Returns:
        float [B, rows, outputs]: centre x, centre y, width, height in input pixels, objectness
        and class probabilities. Rows run level, anchor, cell row, cell column.
    """
    rows = []
    for level, (maps, stride) in enumerate(zip(raw, STRIDES, strict=True)):
        batch, _, ny, nx = maps.shape
        prob = maps.view(batch, 3, outputs, ny, nx).permute(0, 1, 3, 4, 2).sigmoid()
        gy, gx = torch.meshgrid(
            torch.arange(ny, device=maps.device, dtype=maps.dtype),
            torch.arange(nx, device=maps.device, dtype=maps.dtype),
            indexing="ij",
        )
        cells = torch.stack((gx, gy), -1).view(1, 1, ny, nx, 2)
        centre = (prob[..., :2] * 2 + (cells - 0.5)) * stride
        side = (prob[..., 2:4] * 2) ** 2 * anchors[level].view(1, 3, 1, 1, 2)
        joined = torch.cat((centre, side, prob[..., 4:]), -1)
        rows.append(joined.reshape(batch, 3 * ny * nx, outputs))
    return torch.cat(rows, 1)


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


class AnchorLoss:
    """CIoU box loss, IoU-valued objectness and class cross-entropy over three levels.

    Args:
        config: gains and thresholds.
        model: the network whose maps are judged; its anchors and classes count.
    """

    parts = ("box", "obj", "cls", "iou")

    def __init__(self, config: AnchorLossConfig, model: YoloV5n) -> None:
        self.config = config
        self.anchors = model.anchors
        self.num_classes = model.num_classes

    def __call__(self, raw: list[Tensor], targets: Tensor, ignore: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute the loss of one batch.

        Args:
            raw: raw logits [B, 3 * (5 + classes), ny, nx] for strides 8, 16 and 32.
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
            sized = self.anchors[level] / stride
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
                hidden = ignored_cells(ignore, (ny, nx), stride).float().reshape(-1, 1)
                judged = 1 - hidden.expand(-1, 3).reshape(-1) * (1 - taken)
            entropy = binary_cross_entropy_with_logits(rows[:, 4], goal, reduction="none")
            obj_sum = obj_sum + (entropy * judged).mean() * cfg.balance[level]
            iou_sum = iou_sum + score.sum()
            count_sum = count_sum + count
        parts = torch.stack((box_sum * cfg.box, obj_sum * cfg.objectness, cls_sum * cfg.classification))
        shown = torch.cat((parts, (iou_sum / count_sum.clamp(min=1))[None])).detach()
        return parts.sum(), shown
