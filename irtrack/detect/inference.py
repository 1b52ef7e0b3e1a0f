"""The form of the network that runs: the same outputs, fewer operations.

`prepare` swaps parts of `DATransNet` for equal, faster ones:

- BatchNorm is folded into the convolution before it; layout is channels-last.
- `FastDATrans` keeps its products of weights ready and folds the output convolution into the attention's kernel where
  that is fewer operations.
- `FastGFEM` never writes the matrix of all pairs of pixels.
- `FastDecoder` convolves the two halves of its input without joining them.
- `FastHead` is one small stencil to one channel.

How a 3x3 convolution, sums of keys and the head are computed is left to `Kernels`: torch, or C on a CPU (`native/`).
Convolutions can run in half precision; what attention is made of, sums over all pixels, stays in single precision.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from irtrack.detect.directional import Sums, attended_kernels, attention_from_scores, cosines, interleave, stencil
from irtrack.detect.kernels import HEAD_PLACES, TENT, Kernels
from irtrack.detect.network import (
    GFEM,
    ConvNormRelu,
    DATrans,
    DATransNet,
    Decoder,
    InceptionDepthwise,
    NonLocal,
    ResidualBlock,
    kernels,
)


class FastDATrans(nn.Module):
    """A DATrans block whose attention, a property of the whole frame, can be kept for the next ones.

    With `keep`, the kernels of the last attention are used as long as they are there; `forget` has the next frame make
    them anew. `collect` has the next frames, parts of one, add up what attention is made of; `renew` makes it of that.
    """

    def __init__(self, block: DATrans, arithmetic: Kernels) -> None:
        super().__init__()
        self.kernels = arithmetic
        conv = cast(nn.Conv2d, block.out_conv[0])
        self.shifts, self.area_px = block.shifts, block.area_px
        channels = conv.out_channels
        self.wq = frozen(interleave([w.flatten(1) for w in kernels(block.query_convs)], 0))
        self.key_weights = nn.ModuleList(
            nn.ParameterList(frozen(w) for w in arithmetic.key_weights(stencil(weight, channels)))
            for weight in kernels(block.key_convs)
        )
        self.value_kernels = nn.ParameterList(frozen(stencil(w, channels)) for w in kernels(block.value_convs))
        self.folds = channels <= conv.in_channels
        self.out_weight = frozen(conv.weight if self.folds else arithmetic.mix_weights(conv.weight))
        self.out_bias = frozen(cast(Tensor, conv.bias))
        self.dtype = torch.float32
        self.keep = False
        self.collect: slice | None = None
        """Rows of the input, at this block's resolution, whose sums are added up; None for none."""
        self._kept: list[list[Tensor]] | None = None
        self.collected: Sums | None = None

    def forget(self) -> None:
        """The next frame makes its own attention."""
        self._kept = self.collected = None

    def renew(self) -> None:
        """Attention from the sums collected, if there are any; collecting begins anew."""
        if self.collected is not None:
            self._kept = self.effective_kernels(self.collected)
        self.collected, self.collect = None, None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        kept = self._kept if self.keep else None
        if kept is None or self.collect is not None:
            # Neither keys nor values see a constant, their taps sum to zero; without it their sums lose no digits.
            wide = x.float()
            mean = wide.mean((2, 3), keepdim=True)
            bordered = self.kernels.bordered(wide, self.shifts, mean)
            if self.collect is not None:
                part = self.sums(wide, mean, bordered, self.collect)
                self.collected = part if self.collected is None else self.collected + part
            if kept is None:
                kept = self._kept = self.effective_kernels(self.sums(wide, mean, bordered, slice(0, x.shape[2])))
            bordered = [p.to(x.dtype) for p in bordered]
        else:
            bordered = self.kernels.bordered(x, self.shifts)
        made = [self.apply_to(i, bordered, kept) for i in range(len(x))]
        return made[0] if len(made) == 1 else torch.cat(made)

    def sums(self, x: Tensor, mean: Tensor, bordered: list[Tensor], rows: slice) -> Sums:
        """What the attention of these rows of x (B, C, H, W) is made of."""
        keys = [list(cast(nn.ParameterList, k)) for k in self.key_weights]
        return self.kernels.sums(x, mean, bordered, keys, self.shifts, rows)

    def effective_kernels(self, sums: Sums) -> list[list[Tensor]]:
        """Attention times values (and times the output convolution): kernels of each picture, for each shift."""
        attention = attention_from_scores(cosines(sums, self.wq), self.area_px)
        made = attended_kernels(attention, list(self.value_kernels))
        if self.folds:
            by_tap = [k.permute(0, 1, 3, 4, 2) for k in made]
            made = [(self.out_weight.flatten(1) @ k.flatten(2)).unflatten(2, k.shape[2:]) for k in by_tap]
            made = [k.permute(0, 1, 4, 2, 3) for k in made]
        return [[self.kernels.weights(picture.to(self.dtype)) for picture in k] for k in made]

    def apply_to(self, i: int, bordered: list[Tensor], kept: list[list[Tensor]]) -> Tensor:
        """Picture `i` through its kernels, or through the only ones."""
        y: Tensor | None = None
        bias = self.out_bias.to(self.dtype)
        for p, k, d in zip(bordered, kept, self.shifts, strict=True):
            y = self.kernels.convolve(
                [p[i : i + 1]],
                k[min(i, len(k) - 1)],
                bias if self.folds and y is None else None,
                shift=d,
                reflect=True,
                slope=0.0 if self.folds and d == self.shifts[-1] else 1.0,
                onto=y,
            )
        assert y is not None
        return y if self.folds else self.kernels.mix(y, self.out_weight, bias, slope=0.0)


class Stencil(nn.Module):
    """A 3x3 convolution whose norm is folded in, of parts joined by channels."""

    def __init__(self, conv: nn.Conv2d, arithmetic: Kernels) -> None:
        super().__init__()
        self.kernels = arithmetic
        self.weight = frozen(arithmetic.weights(conv.weight))
        self.bias = None if conv.bias is None else frozen(conv.bias)

    def forward(self, *parts: Tensor, slope: float = 1.0, onto: Tensor | None = None) -> Tensor:
        """Parts (B, C, H, W) -> (B, O, H, W), as `Kernels.convolve`."""
        return self.kernels.convolve(parts, self.weight, self.bias, slope=slope, onto=onto)


class FastGFEM(nn.Module):
    """`GFEM` by an attention routine that works in blocks: for 4096x4096 all pairs of pixels would be 4 GB.

    With `place`, the input is the part of a frame that begins at this row, at this block's resolution: keys,
    values and the channels' gate are those of the whole frame last seen, in which rows `update` (of the part, its whole
    width) are written anew.
    """

    def __init__(self, block: GFEM, arithmetic: Kernels) -> None:
        super().__init__()
        sp, self.kernels = block.sp, arithmetic
        convs = [sp.theta, cast(nn.Conv2d, sp.phi[0]), cast(nn.Conv2d, sp.g[0])]
        self.tokens = frozen(arithmetic.mix_weights(torch.cat([c.weight for c in convs])))
        self.tokens_bias = frozen(torch.cat([cast(Tensor, c.bias) for c in convs]))
        widen = cast(nn.Conv2d, sp.W[0])
        self.widen, self.widen_bias = frozen(arithmetic.mix_weights(widen.weight)), frozen(cast(Tensor, widen.bias))
        self.fc1 = cast(nn.Conv2d, block.ca["fc1"])
        self.transfer = frozen(arithmetic.mix_weights(block.tra_conv_1.weight))
        self.transfer_bias = frozen(cast(Tensor, block.tra_conv_1.bias))
        self.tra_conv_2, self.out_conv = Stencil(block.tra_conv_2, arithmetic), Stencil(block.out_conv, arithmetic)
        self.place: int | None = None
        self.update: slice | None = None
        self._pooled = self._spatial = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        k = self.kernels
        made = k.mix(x, self.tokens, self.tokens_bias)
        inner = made.shape[1] // 3
        if self.place is None:
            self._pooled = k.halve(made[:, inner:])
        elif self.update is not None:
            half = slice(self.update.start // 2, self.update.stop // 2)
            self._write(self._pooled, k.halve(made[:, inner:])[:, :, half], half.start, 2)
        query = tokens(made[:, :inner])
        key, value = (tokens(m).expand(len(x), -1, -1, -1) for m in self._pooled.split(inner, 1))
        y = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        y = y[:, 0].unflatten(1, x.shape[-2:]).permute(0, 3, 1, 2)
        spatial = k.mix(y, self.widen, self.widen_bias)
        if self.place is None:
            self._spatial = spatial
        elif self.update is not None:
            self._write(self._spatial, spatial[:, :, self.update], self.update.start, 1)
        channel = self.fc1(self._spatial.mean((2, 3), keepdim=True).to(self.fc1.weight.dtype))
        channel = torch.sigmoid(channel).to(x.dtype)
        pooled = k.halve(channel * x)
        pooled = F.interpolate(pooled, size=x.shape[-2:], mode="bilinear", align_corners=False)
        transferred = k.mix(spatial, self.transfer, self.transfer_bias)
        return cast(Tensor, self.out_conv(self.tra_conv_2(pooled, onto=transferred)))

    def _write(self, whole: Tensor, part: Tensor, start: int, step: int) -> None:
        assert self.place is not None
        top = self.place // step + start
        whole[:, :, top : top + part.shape[2]] = part


def tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, H*W, C), as attention wants it."""
    return x.flatten(2).transpose(1, 2).unsqueeze(1)


class FastDecoder(nn.Module):
    """`Decoder` without the joined map: a convolution is linear, each half has its own and they add."""

    def __init__(self, block: Decoder, arithmetic: Kernels) -> None:
        super().__init__()
        self.kernels = arithmetic
        gate = cast(nn.Conv2d, block.sattn[0])
        self.gate, self.gate_bias = frozen(arithmetic.mix_weights(gate.weight)), frozen(cast(Tensor, gate.bias))
        self.first, self.second = (Stencil(cast(ConvNormRelu, m).conv, arithmetic) for m in block.nConvs)
        self.tent = frozen(TENT.expand(gate.out_channels, 1, 4, 4))

    def forward(self, x: Tensor, skip: Tensor, encoded: Tensor) -> Tensor:
        """As `Decoder.forward`."""
        x = self.kernels.lift(x, encoded, self.gate, self.gate_bias, self.tent)
        return cast(Tensor, self.second(self.first(skip, x, slope=0.0), slope=0.0))


SLOPE = 0.01
"""Of the leaky rectifiers."""


class FastResidual(nn.Module):
    """`ResidualBlock` with its norms folded, working in place."""

    def __init__(self, block: ResidualBlock, arithmetic: Kernels) -> None:
        super().__init__()
        self.kernels, self.conv1 = arithmetic, Stencil(block.conv1, arithmetic)
        shortcut = block.shortcut if isinstance(block.shortcut, nn.Conv2d) else None
        made = arithmetic.residual_weights(block.conv2.weight, None if shortcut is None else shortcut.weight)
        self.weights = nn.ParameterList(frozen(w) for w in made)
        bias = cast(Tensor, block.conv2.bias)
        self.bias = frozen(bias if shortcut is None else bias + cast(Tensor, shortcut.bias))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H, W)."""
        return self.kernels.residual(self.conv1(x, slope=SLOPE), x, list(self.weights), self.bias, SLOPE)


class FastFirst(nn.Module):
    """`ResidualBlock` of a single channel, whose shortcut is the channel times a number for each output."""

    def __init__(self, block: ResidualBlock, arithmetic: Kernels) -> None:
        super().__init__()
        self.kernels, shortcut = arithmetic, cast(nn.Conv2d, block.shortcut)
        self.weight, self.bias = (
            frozen(arithmetic.begin_weights(block.conv1.weight)),
            frozen(cast(Tensor, block.conv1.bias)),
        )
        self.second = frozen(arithmetic.weights(block.conv2.weight))
        self.second_bias = frozen(cast(Tensor, block.conv2.bias) + cast(Tensor, shortcut.bias))
        self.scales = frozen(shortcut.weight.transpose(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, O, H, W)."""
        weights, biases = (self.weight, self.second), (self.bias, self.second_bias)
        return self.kernels.begin(x, weights, biases, self.scales, SLOPE)


class FastPool(nn.Module):
    """The maxima of blocks of 2 x 2."""

    def __init__(self, arithmetic: Kernels) -> None:
        super().__init__()
        self.kernels = arithmetic

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H // 2, W // 2)."""
        return self.kernels.halve(x)


class FastHead(nn.Module):
    """The depth-wise convolutions and the 1x1 to one channel as a 3x3, a 1x11 and an 11x1 stencil that add."""

    def __init__(self, depthwise: InceptionDepthwise, point: nn.Conv2d, arithmetic: Kernels) -> None:
        super().__init__()
        self.kernels = arithmetic
        self.square, self.wide, self.high, self.bias = map(frozen, head_stencils(depthwise, point))
        self.taps = frozen(head_taps(self.square, self.wide, self.high))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, 1, H, W)."""
        return self.kernels.head(x, self.square, self.wide, self.high, self.taps, self.bias)


def head_stencils(depthwise: InceptionDepthwise, point: nn.Conv2d) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A 3x3 stencil (1, 2c, 3, 3), a 1x11 and an 11x1 one (1, c), and the bias (1,): see `Kernels.head`."""
    c = point.in_channels // 4
    w = point.weight.flatten(1)
    same, square, wide, high = (w[:, i * c : (i + 1) * c, None, None] for i in range(4))
    branches = (depthwise.dwconv_hw, depthwise.dwconv_w, depthwise.dwconv_h)
    square, wide, high = (
        part * conv.weight.transpose(0, 1) for part, conv in zip((square, wide, high), branches, strict=True)
    )
    bias = cast(Tensor, point.bias)
    for i, conv in enumerate(branches):
        bias = bias + w[:, (i + 1) * c : (i + 2) * c] @ cast(Tensor, conv.bias)
    return torch.cat([F.pad(same, (1, 1, 1, 1)), square], 1), wide, high, bias


def head_taps(square: Tensor, wide: Tensor, high: Tensor) -> Tensor:
    """The same stencils at each of `HEAD_PLACES` (25, 4c)."""
    whole = torch.cat([F.pad(square[0], (4, 4, 4, 4)), F.pad(wide[0], (0, 0, 5, 5)), F.pad(high[0], (5, 5, 0, 0))])
    return torch.stack([whole[:, 5 + row, 5 + column] for row, column in HEAD_PLACES])


def frozen(tensor: Tensor) -> nn.Parameter:
    """A tensor as a weight that moves with its module and is not trained."""
    return nn.Parameter(tensor.detach().clone(), requires_grad=False)


def fold_batch_norm(network: DATransNet) -> DATransNet:
    """A copy for inference with every BatchNorm folded into the convolution before it."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.conv1, module.bn1 = fuse_conv_bn_eval(module.conv1, module.bn1), nn.Identity()  # type: ignore[assignment]
            module.conv2, module.bn2 = fuse_conv_bn_eval(module.conv2, module.bn2), nn.Identity()  # type: ignore[assignment]
            if isinstance(module.shortcut, nn.Sequential):
                module.shortcut = folded(*module.shortcut)
        elif isinstance(module, ConvNormRelu):
            module.conv, module.norm = fuse_conv_bn_eval(module.conv, module.norm), nn.Identity()  # type: ignore[assignment]
        elif isinstance(module, DATrans):
            conv, norm, relu = module.out_conv
            module.out_conv = nn.Sequential(folded(conv, norm), nn.Identity(), relu)
        elif isinstance(module, NonLocal):
            module.W = nn.Sequential(folded(*module.W), nn.Identity())
    return network


def folded(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """One convolution for a convolution and the BatchNorm behind it."""
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv, norm)


def swapped(module: nn.Module, arithmetic: Kernels) -> nn.Module | None:
    """The faster form of a part (its norms folded), where there is one."""
    if isinstance(module, DATrans):
        return FastDATrans(module, arithmetic)
    if isinstance(module, GFEM):
        return FastGFEM(module, arithmetic)
    if isinstance(module, Decoder):
        return FastDecoder(module, arithmetic)
    if isinstance(module, ResidualBlock):
        return (FastResidual if module.conv1.in_channels > 1 else FastFirst)(module, arithmetic)
    if isinstance(module, nn.MaxPool2d):
        return FastPool(arithmetic)
    return None


SINGLE = ("tent", "scales")
"""Weights that stay in single precision, where the library is faster in it."""


def lower(network: nn.Module, dtype: torch.dtype) -> None:
    """Have a prepared network convolve in `dtype`; attention is still made in single precision."""
    blocks = [m for m in network.modules() if isinstance(m, FastDATrans)]
    kept = {part for block in blocks for part in block.modules()}
    for block in blocks:
        block.dtype = dtype
    for module in network.modules():
        if module not in kept:
            for name, parameter in module.named_parameters(recurse=False):
                if name not in SINGLE:
                    parameter.data = parameter.data.to(dtype)


def prepare(
    network: DATransNet,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    arithmetic: Kernels | None = None,
) -> DATransNet:
    """The network ready to run on a device, in a precision: folded, swapped, channels-last; logits are single.

    `arithmetic`: other kernels than those of torch.
    """
    arithmetic = arithmetic or Kernels()
    ready = fold_batch_norm(network)
    for parent in list(ready.modules()):
        for name, child in parent.named_children():
            fast = swapped(child, arithmetic)
            if fast is not None:
                setattr(parent, name, fast)
    depthwise, point = cast(InceptionDepthwise, ready.outc[0]), cast(nn.Conv2d, ready.outc[1])
    ready.outc = nn.Sequential(FastHead(depthwise, point, arithmetic))
    ready.requires_grad_(False)
    if dtype != torch.float32:
        lower(ready, dtype)
    return ready.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
