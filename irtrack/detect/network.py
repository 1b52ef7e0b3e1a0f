"""DATransNet, readable from top to bottom.

Hu et al., "DATransNet: Dynamic Attention Transformer Network for Infrared Small Target Detection", IEEE Geoscience and
Remote Sensing Letters, 2025, doi 10.1109/LGRS.2025.3557021.

Parameter names are those of the authors' published checkpoints, so that their files load unchanged; `encoder5` and
`decoder5` exist in those files, are never run by the authors' code either, and are left out here.

Shapes are written (B, C, H, W) = (batch, channels, rows, columns). H and W must be multiples of 32; `detector.py` pads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irtrack.detect.directional import Weights
from irtrack.detect.operations import TORCH, Operations

UNUSED_PREFIXES = ("encoder5.", "decoder5.")
"""Modules that the authors' checkpoints carry and their network never runs."""

MULTIPLE_PX = 32
"""Height and width of the network's input must be multiples of this."""

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""(row, column) steps of the eight neighbours in the order in which the authors concatenate them."""


class Operating(nn.Module):
    """A module that does what takes long by `operations`."""

    operations: Operations = TORCH


class ResidualBlock(Operating):
    """Two 3x3 convolutions with a shortcut (1x1 where the channel count changes)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.shortcut: nn.Module | None = None
        if c_in != c_out:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        if isinstance(self.shortcut, nn.Sequential):
            conv, norm = self.shortcut
            identity = self.operations.normalise(norm, conv(x))
        elif self.shortcut is not None:  # its norm is folded into it
            identity = self.shortcut(x)
        x = self.operations.normalise(self.bn1, self.operations.convolve(self.conv1, x), 0.01)
        return self.operations.normalise(self.bn2, self.operations.convolve(self.conv2, x), 0.01, identity)


class DATrans(Operating):
    """Dynamic attention between directional-difference channels (paper, section II-B).

    For each shift d the eight reflected neighbours at distance d, minus the centre, give keys and values; the centre
    gives queries. Attention is between channels: (hidden x 8 hidden) for each head, whatever the frame's size.
    """

    def __init__(self, channels: int, hidden: int, shifts: tuple[int, ...], area_px: int) -> None:
        """`area_px`: pixels of this level at the training size; a constant of the weights, not of the frame."""
        super().__init__()
        self.shifts, self.area_px, self.hidden = shifts, area_px, hidden
        self.fused = True
        self.query_convs = nn.ModuleList(nn.Conv2d(channels, hidden, 1, bias=False) for _ in shifts)
        self.key_convs = nn.ModuleList(nn.Conv2d(8 * channels, 8 * hidden, 1, bias=False) for _ in shifts)
        self.value_convs = nn.ModuleList(nn.Conv2d(8 * channels, 8 * hidden, 1, bias=False) for _ in shifts)
        self.out_conv = nn.Sequential(
            nn.Conv2d(hidden * len(shifts), channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); `fused` chooses the algebraically equal form of `directional.py`."""
        conv, norm, _ = self.out_conv
        return self.operations.normalise(norm, conv(self.attended(x)[0]), 0.0)

    def attended(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Attention times values (B, heads*hidden, H, W), and the attention (B, heads, hidden, 8*hidden)."""
        if self.fused:
            queries, keys, values = (kernels(m) for m in (self.query_convs, self.key_convs, self.value_convs))
            return self.operations.attend(x, Weights(queries, keys, values, self.shifts, self.area_px))
        b, _, h, w = x.shape
        differences = [directional_differences(x, d) for d in self.shifts]
        n = len(self.shifts)
        # Stacked on dim 2 and viewed with the heads first: shifts and channels interleave, and the weights rely on it.
        q = torch.stack([f(x) for f in self.query_convs], 2).view(b, n, -1, h * w)
        k = torch.stack([f(y) for f, y in zip(self.key_convs, differences, strict=True)], 2).view(b, n, -1, h * w)
        v = torch.stack([f(y) for f, y in zip(self.value_convs, differences, strict=True)], 2).view(b, n, -1, h * w)
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) / self.area_px**0.5
        attention = F.instance_norm(scores, eps=1e-5).softmax(-1)
        return (attention @ v).view(b, -1, h, w), attention


def kernels(convs: nn.ModuleList) -> list[Tensor]:
    """The weight of each convolution."""
    return [c.weight for c in convs if isinstance(c, nn.Conv2d)]


def directional_differences(x: Tensor, shift: int) -> Tensor:
    """The eight reflected neighbours at distance `shift` minus the centre: (B, C, H, W) -> (B, 8C, H, W)."""
    h, w = x.shape[-2:]
    p = F.pad(x, (shift,) * 4, mode="reflect")
    return torch.cat(
        [
            p[..., (1 + r) * shift : (1 + r) * shift + h, (1 + c) * shift : (1 + c) * shift + w] - x
            for r, c in NEIGHBOURS
        ],
        1,
    )


class NonLocal(nn.Module):
    """Non-local block with pooled keys and values (Wang et al., CVPR 2018)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.g = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.MaxPool2d(2))
        self.W = nn.Sequential(nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels))
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.MaxPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        g = self.g(x).flatten(2).transpose(1, 2)
        theta = self.theta(x).flatten(2).transpose(1, 2)
        phi = self.phi(x).flatten(2)
        y = (theta @ phi).softmax(-1) @ g
        return self.W(y.transpose(1, 2).reshape(b, -1, h, w))


class GFEM(nn.Module):
    """Global feature extraction module (paper, section II-C): a non-local branch beside a gated, pooled one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sp = NonLocal(channels, max(channels // 8, 1))
        self.ca = nn.ModuleDict({"fc1": nn.Conv2d(channels, channels, 1, bias=False)})
        self.tra_conv_1 = nn.Conv2d(channels, channels, 1)
        self.tra_conv_2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.out_conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        spatial = self.sp(x)
        channel = torch.sigmoid(self.ca["fc1"](spatial.mean((2, 3), keepdim=True)))
        pooled = F.max_pool2d(channel * x, 2, ceil_mode=min(x.shape[-2:]) < 2)
        pooled = F.interpolate(pooled, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return self.out_conv(self.tra_conv_1(spatial) + self.tra_conv_2(pooled))


class ConvNormRelu(Operating):
    """3x3 convolution, BatchNorm, ReLU."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.operations.normalise(self.norm, self.operations.convolve(self.conv, x), 0.0)


class Decoder(Operating):
    """Doubles the resolution, gates by a sigmoid of the encoder's features, joins the DATrans skip."""

    def __init__(self, c_skip: int, c_out: int) -> None:
        super().__init__()
        self.sattn = nn.Sequential(nn.Conv2d(c_skip, c_skip, 1), nn.Sigmoid())
        self.nConvs = nn.Sequential(ConvNormRelu(2 * c_skip, c_out), ConvNormRelu(c_out, c_out))

    def forward(self, x: Tensor, skip: Tensor, encoded: Tensor) -> Tensor:
        """x (B, C, H/2, W/2), skip and encoded (B, C, H, W) -> (B, c_out, H, W)."""
        return self.nConvs(self.operations.join(skip, x, self.sattn[0](encoded)))


class InceptionDepthwise(nn.Module):
    """Identity, 3x3, 1x11 and 11x1 depth-wise convolutions on a quarter of the channels each (InceptionNeXt, 2023)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels // 4
        self.dwconv_hw = nn.Conv2d(c, c, 3, padding=1, groups=c)
        self.dwconv_w = nn.Conv2d(c, c, (1, 11), padding=(0, 5), groups=c)
        self.dwconv_h = nn.Conv2d(c, c, (11, 1), padding=(5, 0), groups=c)

    def forward(self, x: Tensor) -> Tensor:
        same, hw, w, h = x.chunk(4, 1)
        return torch.cat([same, self.dwconv_hw(hw), self.dwconv_w(w), self.dwconv_h(h)], 1)


class DATransNet(Operating):
    """Five-level U-shaped network with a DATrans block on each skip and a GFEM at the bottom."""

    def __init__(self, base: int = 16, img_size: int = 256) -> None:
        """`base`: channels of the first level, 16 in the paper. `img_size`: the training size in pixels, which scales
        the attention scores (FIELD: it is a constant of the weights and is not in the authors' checkpoints)."""
        super().__init__()
        c1, c2, c3, c4 = base, 2 * base, 4 * base, 8 * base
        self.base, self.img_size = base, img_size
        self.inc = nn.Sequential(ResidualBlock(1, c1))
        self.encoder1 = nn.Sequential(ResidualBlock(c1, c2))
        self.encoder2 = nn.Sequential(ResidualBlock(c2, c3))
        self.encoder3 = nn.Sequential(ResidualBlock(c3, c4))
        self.encoder4 = nn.Sequential(ResidualBlock(c4, c4))
        area = [(img_size // s) ** 2 for s in (1, 2, 4, 8)]
        self.contras1 = DATrans(c1, c1 // 2, (1, 3), area[0])
        self.contras2 = DATrans(c2, c2 // 2, (1, 3), area[1])
        self.contras3 = DATrans(c3, c3 // 4, (1, 3), area[2])
        self.contras4 = DATrans(c4, c4 // 4, (1,), area[3])
        self.GFEM = GFEM(c4)
        self.decoder4 = Decoder(c4, c3)
        self.decoder3 = Decoder(c3, c2)
        self.decoder2 = Decoder(c2, c1)
        self.decoder1 = Decoder(c1, c1)
        self.outc = nn.Sequential(InceptionDepthwise(c1), nn.Conv2d(c1, 1, 1))
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Grey input in [0, 1] (B, 1, H, W) -> logits (B, 1, H, W); the score is their sigmoid."""
        x1 = self.inc(x)
        x2 = self.encoder1(self.pool(x1))
        x3 = self.encoder2(self.pool(x2))
        x4 = self.encoder3(self.pool(x3))
        d = self.GFEM(self.encoder4(self.pool(x4)))
        d = self.decoder4(d, self.contras4(x4), x4)
        d = self.decoder3(d, self.contras3(x3), x3)
        d = self.decoder2(d, self.contras2(x2), x2)
        d = self.decoder1(d, self.contras1(x1), x1)
        return self.operations.head(self.outc, d)

    def set_fused(self, fused: bool) -> DATransNet:
        """Choose the readable (False) or the algebraically equal, faster form of every DATrans block."""
        for module in self.modules():
            if isinstance(module, DATrans):
                module.fused = fused
        return self

    def set_operations(self, operations: Operations) -> DATransNet:
        """Choose how training computes; `operations.TORCH` at first."""
        for module in self.modules():
            if isinstance(module, Operating):
                module.operations = operations
        return self
