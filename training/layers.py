"""What the networks share: units of convolution, the pooling pyramid, decoding at the end, folding."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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


class Detector(nn.Module):
    """A network of the recipe: maps of logits for strides 8, 16 and 32, and how they become boxes.

    Attributes:
        num_classes: classes of the head.
    """

    num_classes: int

    def decode(self, raw: list[Tensor]) -> Tensor:
        """Turn what ``forward`` gives into the form of the stock export."""
        raise NotImplementedError


class Decoded(nn.Module):
    """The detector with its decoding, as exported and evaluated."""

    def __init__(self, model: Detector) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Map float [B, 3, H, W] RGB 0..1 to what the network's ``decode`` gives."""
        return self.model.decode(self.model(images))


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
