"""YOLOv8n: backbone and neck of C2f blocks, an anchor-free decoupled head; its assignment and loss.

Sources: the published layout of YOLOv8 (depth 0.33, width 0.25, at most 1024 channels before
scaling); CSPNet (Wang et al., 2020), SPP (He et al., 2015) and PANet (Liu et al., 2018) for body and
neck; FCOS (Tian et al., 2019) for boxes as distances from a cell's centre; Generalized Focal Loss
(Li et al., 2020) for distances as distributions; TOOD (Feng et al., 2021) for the assignment.

The loss has fixed shapes throughout, so a GPU never waits for the host.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, conv2d

from keepbusy.street import CLASS_NAMES
from training.boxes import ciou, ignored_cells
from training.config import STRIDES, AnchorFreeLossConfig
from training.layers import ConvUnit, Detector, PoolPyramid

NUM_BINS = 16


class Residual(nn.Module):
    """Two 3x3 units of one width, with an optional identity path."""

    def __init__(self, width: int, identity: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvUnit(width, width, 3), ConvUnit(width, width, 3))
        self.identity = identity

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, width, H, W] to the same shape."""
        y: Tensor = self.body(x)
        return x + y if self.identity else y


class DenseSplitBlock(nn.Module):
    """The "C2f" block: one half passes, the other goes through a chain whose every link is kept."""

    def __init__(self, cin: int, cout: int, depth: int, identity: bool = True) -> None:
        super().__init__()
        half = cout // 2
        self.split = ConvUnit(cin, 2 * half)
        self.chain = nn.ModuleList(Residual(half, identity) for _ in range(depth))
        self.join = ConvUnit((2 + depth) * half, cout)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, cin, H, W] to [B, cout, H, W]."""
        links = list(self.split(x).chunk(2, 1))
        for link in self.chain:
            links.append(link(links[-1]))
        return self.join(torch.cat(links, 1))  # type: ignore[no-any-return]


def branch(cin: int, width: int, cout: int) -> nn.Sequential:
    """One branch of the decoupled head at one level: two 3x3 units, then the prediction."""
    return nn.Sequential(ConvUnit(cin, width, 3), ConvUnit(width, width, 3), nn.Conv2d(width, cout, 1))


class YoloV8n(Detector):
    """The detector: three raw prediction maps, one for each stride.

    Args:
        num_classes: classes of the head.
    """

    bins: Tensor

    def __init__(self, num_classes: int = len(CLASS_NAMES)) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("bins", torch.arange(NUM_BINS, dtype=torch.float32).view(1, NUM_BINS, 1, 1))
        self.to_p3 = nn.Sequential(
            ConvUnit(3, 16, 3, 2),
            ConvUnit(16, 32, 3, 2),
            DenseSplitBlock(32, 32, 1),
            ConvUnit(32, 64, 3, 2),
            DenseSplitBlock(64, 64, 2),
        )
        self.to_p4 = nn.Sequential(ConvUnit(64, 128, 3, 2), DenseSplitBlock(128, 128, 2))
        self.to_p5 = nn.Sequential(ConvUnit(128, 256, 3, 2), DenseSplitBlock(256, 256, 1), PoolPyramid(256))
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.merge4 = DenseSplitBlock(384, 128, 1, identity=False)
        self.merge3 = DenseSplitBlock(192, 64, 1, identity=False)
        self.down3 = ConvUnit(64, 64, 3, 2)
        self.out4 = DenseSplitBlock(192, 128, 1, identity=False)
        self.down4 = ConvUnit(128, 128, 3, 2)
        self.out5 = DenseSplitBlock(384, 256, 1, identity=False)
        levels = (64, 128, 256)
        box_width = max(16, levels[0] // 4, 4 * NUM_BINS)
        class_width = max(levels[0], min(num_classes, 100))
        self.box_heads = nn.ModuleList(branch(c, box_width, 4 * NUM_BINS) for c in levels)
        self.class_heads = nn.ModuleList(branch(c, class_width, num_classes) for c in levels)
        self._set_priors()

    def _set_priors(self) -> None:
        """Start the classes at their base rates: about five objects an image over a level's cells."""
        for boxes, classes, stride in zip(self.box_heads, self.class_heads, STRIDES, strict=True):
            assert isinstance(boxes, nn.Sequential) and isinstance(classes, nn.Sequential)
            nn.init.constant_(boxes[-1].bias, 1.0)  # type: ignore[arg-type]
            share = 5.0 / self.num_classes / (640 / stride) ** 2
            nn.init.constant_(classes[-1].bias, math.log(share / (1 - share)))  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Predict raw maps.

        Args:
            images: float [B, 3, H, W], RGB in 0..1, sides multiples of 32.

        Returns:
            For each stride s, raw logits float [B, 64 + classes, H / s, W / s]: 16 bins for each of
            left, top, right and bottom, then the classes.
        """
        p3 = self.to_p3(images)
        p4 = self.to_p4(p3)
        p5 = self.to_p5(p4)
        mid = self.merge4(torch.cat((self.up(p5), p4), 1))
        n3 = self.merge3(torch.cat((self.up(mid), p3), 1))
        n4 = self.out4(torch.cat((self.down3(n3), mid), 1))
        n5 = self.out5(torch.cat((self.down4(n4), p5), 1))
        heads = zip(self.box_heads, self.class_heads, (n3, n4, n5), strict=True)
        return [torch.cat((boxes(n), classes(n)), 1) for boxes, classes, n in heads]

    def decode(self, raw: list[Tensor]) -> Tensor:
        """Turn raw maps into the stock export's columns (see ``decode`` of this module)."""
        return decode(raw, self.bins)


def cells_of(raw: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Centres of all levels' cells in cells, float [R, 2] (x, y), and their strides, float [R, 1]."""
    centres, strides = [], []
    for maps, stride in zip(raw, STRIDES, strict=True):
        ny, nx = maps.shape[2:]
        gy, gx = torch.meshgrid(
            torch.arange(ny, device=maps.device, dtype=torch.float32) + 0.5,
            torch.arange(nx, device=maps.device, dtype=torch.float32) + 0.5,
            indexing="ij",
        )
        centres.append(torch.stack((gx, gy), -1).view(-1, 2))
        strides.append(torch.full((ny * nx, 1), float(stride), device=maps.device))
    return torch.cat(centres), torch.cat(strides)


def decode(raw: list[Tensor], bins: Tensor) -> Tensor:
    """Turn raw maps into the stock export's columns.

    A side's distance from the cell's centre is the mean of its distribution over the bins, in
    strides (Generalized Focal Loss); classes are sigmoids.

    Args:
        raw: raw logits [B, 64 + classes, ny, nx] for strides 8, 16 and 32.
        bins: the bins' values 0..15, float [1, 16, 1, 1].

    Returns:
        float [B, 4 + classes, R]: centre x, centre y, width, height in input pixels and class
        probabilities. Columns run level, cell row, cell column.
    """
    batch, channels = raw[0].shape[:2]
    joined = torch.cat([maps.view(batch, channels, -1) for maps in raw], 2)
    sides, classes = torch.split(joined, [4 * NUM_BINS, channels - 4 * NUM_BINS], 1)
    shares = sides.view(batch, 4, NUM_BINS, -1).transpose(1, 2).softmax(1)
    distances = conv2d(shares, bins.to(shares.dtype)).view(batch, 4, -1)
    centres, strides = cells_of(raw)
    places = centres.t()[None]
    before, beyond = distances.chunk(2, 1)
    low, high = places - before, places + beyond
    boxes = torch.cat(((low + high) / 2, high - low), 1) * strides.t()
    return torch.cat((boxes, classes.sigmoid()), 1)


class Assignment(NamedTuple):
    """The cells that predict each box; M boxes of the whole batch, K cells for each.

    Attributes:
        cell: int64 [M, K], position in the batch's cells, image after image.
        taken: bool [M, K], the cell predicts this box.
        goal: float [M, K], the class score that it shall give, 0 where it is not taken.
    """

    cell: Tensor
    taken: Tensor
    goal: Tensor


class Boxes(NamedTuple):
    """Boxes of a whole batch in one table.

    Attributes:
        image: int64 [M], whose they are.
        kind: int64 [M], class.
        corners: float [M, 4], x1, y1, x2, y2 in pixels.
        real: bool [M], False for padding.
    """

    image: Tensor
    kind: Tensor
    corners: Tensor
    real: Tensor


def gather_boxes(targets: Tensor, count: int) -> Boxes:
    """Collect the first ``count`` real rows of a batch's targets, float [B, N, 5] (class -1 pads)."""
    rows = targets.reshape(-1, 5)
    pick = (rows[:, 0] < 0).int().argsort(stable=True)[:count]
    chosen = rows[pick]
    image = torch.div(pick, targets.shape[1], rounding_mode="floor")
    return Boxes(image, chosen[:, 0].long().clamp(min=0), chosen[:, 1:], chosen[:, 0] >= 0)


def overlaps(corners: Tensor, predicted: Tensor) -> Tensor:
    """Compute the IoU of boxes, float [M, 4], with rows of boxes, float [M, R, 4]; xyxy -> [M, R]."""
    own = corners[:, None]
    wide = torch.minimum(own[..., 2], predicted[..., 2]) - torch.maximum(own[..., 0], predicted[..., 0])
    high = torch.minimum(own[..., 3], predicted[..., 3]) - torch.maximum(own[..., 1], predicted[..., 1])
    shared = wide.clamp(min=0) * high.clamp(min=0)
    areas = [(b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (own, predicted)]
    return shared / (areas[0] + areas[1] - shared + 1e-7)


def assign(
    boxes: Boxes, predicted: Tensor, scores: Tensor, centres: Tensor, config: AnchorFreeLossConfig
) -> Assignment:
    """Choose the cells that predict each box: task alignment learning (TOOD).

    A cell whose centre lies in a box aligns with it by t = score^a * IoU^b. Each box asks for its K
    best cells; a cell that several ask for goes to the one it overlaps most. The goal of a cell is
    its t, scaled so that a box's best goal is the box's best IoU.

    Args:
        boxes: the boxes.
        predicted: float [B, R, 4], predicted boxes, xyxy in pixels.
        scores: float [B, R, C], predicted class probabilities.
        centres: float [R, 2], the cells' centres in pixels.
        config: thresholds.

    Returns:
        The assignment.
    """
    cells = centres.shape[0]
    corners = boxes.corners
    spare = (config.min_side - (corners[:, 2:] - corners[:, :2])).clamp(min=0) / 2
    low, high = corners[:, :2] - spare, corners[:, 2:] + spare
    inside = ((centres > low[:, None]) & (centres < high[:, None])).all(-1) & boxes.real[:, None]
    iou = overlaps(corners, predicted[boxes.image])
    score = scores.transpose(1, 2)[boxes.image, boxes.kind]
    metric = score**config.score_power * iou**config.iou_power
    best, place = torch.where(inside, metric, -torch.ones_like(metric)).topk(min(config.num_chosen, cells), 1)
    asked = best >= 0
    cell = boxes.image[:, None] * cells + place

    own = iou.gather(1, place)
    flat, size = cell.reshape(-1), predicted.shape[0] * cells
    claim = torch.where(asked, own, -torch.ones_like(own)).reshape(-1)
    highest = claim.new_full((size,), -1.0).scatter_reduce(0, flat, claim, "amax")
    wins = asked & (own >= highest[flat].view_as(own))
    # Two boxes may overlap a cell's alike: the later one gets it.
    number = torch.where(wins, torch.arange(1, len(cell) + 1, device=cell.device)[:, None], 0)
    owner = number.new_zeros(size).scatter_reduce(0, flat, number.reshape(-1), "amax")
    taken = wins & (owner[flat].view_as(number) == number)

    kept = torch.where(taken, best, torch.zeros_like(best))
    top = torch.where(taken, own, torch.zeros_like(own)).amax(1, keepdim=True)
    return Assignment(cell, taken, kept * top / kept.amax(1, keepdim=True).clamp(min=1e-12))


def bin_loss(logits: Tensor, distance: Tensor) -> Tensor:
    """Distribution focal loss: entropy against the two bins around a distance, by its closeness.

    Args:
        logits: float [..., 16].
        distance: float [...], in strides.

    Returns:
        float [...].
    """
    reach = distance.clamp(0, NUM_BINS - 1 - 0.01)
    lower = reach.floor()
    upper_share = reach - lower
    index = lower.long()[..., None]
    logs = logits.log_softmax(-1)
    lower_log, upper_log = logs.gather(-1, index)[..., 0], logs.gather(-1, index + 1)[..., 0]
    return -(lower_log * (1 - upper_share) + upper_log * upper_share)


class AnchorFreeLoss:
    """CIoU and distribution focal loss for the chosen cells, class entropy against soft goals for all.

    Args:
        config: gains and thresholds.
        model: the network whose maps are judged.
    """

    parts = ("box", "cls", "dfl", "iou")

    def __init__(self, config: AnchorFreeLossConfig, model: YoloV8n) -> None:
        self.config = config
        self.bins = model.bins.view(-1)
        self.num_classes = model.num_classes

    def __call__(self, raw: list[Tensor], targets: Tensor, ignore: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute the loss of one batch.

        Args:
            raw: raw logits [B, 64 + classes, ny, nx] for strides 8, 16 and 32.
            targets: float [B, N, 5], class, x1, y1, x2, y2 in pixels; class -1 pads.
            ignore: float [B, M, 4], regions in pixels where classes are not judged.

        Returns:
            (total, parts): the scalar to minimise, and detached float [4]: box, class,
            distribution (weighted) and the mean IoU of the chosen cells.
        """
        cfg, batch = self.config, targets.shape[0]
        flat = torch.cat([maps.float().flatten(2) for maps in raw], 2).transpose(1, 2)
        sides, logits = torch.split(flat, [4 * NUM_BINS, self.num_classes], 2)
        centres, strides = cells_of(raw)
        count = min(targets.shape[0] * targets.shape[1], cfg.boxes_per_image * batch + targets.shape[1])
        boxes = gather_boxes(targets, count)
        with torch.no_grad():
            reach = self._reach(sides) * strides
            points = centres * strides
            predicted = torch.cat((points - reach[..., :2], points + reach[..., 2:]), -1)
            found = assign(boxes, predicted, logits.sigmoid(), points, cfg)
            total_goal = found.goal.sum().clamp(min=1)
        box, distribution, iou = self._box_parts(sides, boxes, found, (centres, strides))

        goals = logits.new_zeros(logits.numel())
        kind = boxes.kind[:, None].expand_as(found.cell)
        goals = goals.scatter_reduce(
            0, (found.cell * self.num_classes + kind).reshape(-1), found.goal.reshape(-1), "amax"
        )
        entropy = binary_cross_entropy_with_logits(logits, goals.view(logits.shape), reduction="none").sum(-1)
        if ignore is not None:
            grids = zip(raw, STRIDES, strict=True)
            hidden = torch.cat([ignored_cells(ignore, (m.shape[2], m.shape[3]), s).flatten(1) for m, s in grids], 1)
            free = goals.view(logits.shape).amax(-1) == 0
            entropy = entropy * ~(hidden & free)
        gains = (cfg.box * box, cfg.classification * entropy.sum(), cfg.distribution * distribution)
        parts = torch.stack(gains) / total_goal
        return parts.sum(), torch.cat((parts, iou[None])).detach()

    def _reach(self, sides: Tensor) -> Tensor:
        """Turn bins into distances: logits float [..., 64] -> float [..., 4], in strides."""
        shares = sides.view(*sides.shape[:-1], 4, NUM_BINS).softmax(-1)
        return (shares * self.bins).sum(-1)

    def _box_parts(
        self, sides: Tensor, boxes: Boxes, found: Assignment, cells: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sum CIoU and distribution losses, weighted by the goals; give the mean IoU, too."""
        place = found.cell.reshape(-1)
        chosen = sides.reshape(-1, 4 * NUM_BINS).index_select(0, place)
        centres, strides = (table[place % table.shape[0]] for table in cells)
        taken, goal = found.taken.reshape(-1), found.goal.reshape(-1)
        corners = boxes.corners[:, None].expand(*found.cell.shape, 4).reshape(-1, 4) / strides
        wanted = torch.cat((centres - corners[:, :2], corners[:, 2:] - centres), 1)
        wanted = torch.where(taken[:, None], wanted, torch.ones_like(wanted))
        pair = []
        for reach in (self._reach(chosen), wanted):
            low, high = centres - reach[:, :2], centres + reach[:, 2:]
            pair.append(torch.cat(((low + high) / 2, high - low), 1))
        iou, complete = ciou(*pair)
        bins = bin_loss(chosen.view(-1, 4, NUM_BINS), wanted).mean(1)
        mean_iou = (iou.detach() * taken).sum() / taken.sum().clamp(min=1)
        return ((1 - complete) * goal).sum(), (bins * goal).sum(), mean_iou
