"""YOLOv5n (release 6 layout): CSP-Darknet backbone, SPPF, PAN neck and three anchor heads.

Sources: CSPNet (Wang et al., 2020) for the split blocks, SPP (He et al., 2015) for the pooling
pyramid, PANet (Liu et al., 2018) for the neck, and the published table of layer widths.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from keepbusy.street import CLASS_NAMES
from training.config import ANCHORS, STRIDES, Anchors


class ConvUnit(nn.Module):
    """Convolution without bias, batch normalisation, SiLU; "same" padding for stride 1."""

    def __init__(self, cin: int, cout: int, k: int = 1, stride: int = 1, pad: int = -1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, k, stride, k // 2 if pad < 0 else pad, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(cout, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, cin, H, W] to [B, cout, H/stride, W/stride]."""
        return self.act(self.norm(self.conv(x)))  # type: ignore[no-any-return]


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


class PoolPyramid(nn.Module):
    """SPPF: three chained 5x5 max pools equal the 5, 9 and 13 pools of spatial pyramid pooling."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = ConvUnit(width, width // 2)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.expand = ConvUnit(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, width, H, W] to the same shape."""
        levels = [self.reduce(x)]
        for _ in range(3):
            levels.append(self.pool(levels[-1]))
        return self.expand(torch.cat(levels, 1))  # type: ignore[no-any-return]


class YoloV5n(nn.Module):
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


class Decoded(nn.Module):
    """The detector with its decoding, as exported and evaluated."""

    def __init__(self, model: YoloV5n) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Map float [B, 3, H, W] RGB 0..1 to float [B, rows, 5 + classes] (see ``decode``)."""
        return decode(self.model(images), self.model.anchors, self.model.outputs)


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Merge every batch normalisation into its convolution, in place, for inference.

    w' = w * gamma / sqrt(var + eps); b' = beta - mean * gamma / sqrt(var + eps)
    (the affine map of Ioffe & Szegedy, 2015, at fixed statistics).
    """
    for unit in model.modules():
        if not isinstance(unit, ConvUnit) or not isinstance(unit.norm, nn.BatchNorm2d):
            continue
        norm, conv = unit.norm, unit.conv
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = norm.weight.data / torch.sqrt(norm.running_var + norm.eps)
        conv.weight.data *= gain.view(-1, 1, 1, 1)
        conv.bias = nn.Parameter(norm.bias.data - norm.running_mean * gain)
        unit.norm = nn.Identity()
    return model
