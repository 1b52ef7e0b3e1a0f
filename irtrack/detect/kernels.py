"""The arithmetic of a prepared network's parts, by torch. `native/` has the same in C for single precision on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from irtrack.detect.directional import Sums, score_sums

HEAD_PLACES = [
    *((r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)),
    *((0, c) for c in (-5, -4, -3, -2, 2, 3, 4, 5)),
    *((r, 0) for r in (-5, -4, -3, -2, 2, 3, 4, 5)),
]
"""Places (row, column) of the head's taps, in the order of `native/head.c`."""


class Kernels:
    """How the parts of a prepared network are computed: here by torch, on any device and in any precision."""

    def weights(self, kernel: Tensor) -> Tensor:
        """A kernel (O, C, 3, 3) in the form that `convolve` takes."""
        return kernel

    def bordered(self, x: Tensor, shifts: Sequence[int], mean: Tensor | None = None) -> list[Tensor]:
        """x (B, C, H, W) as `convolve` and `sums` take it for reflected borders of these shifts.

        `mean` (B, C, 1, 1) is taken off: kernels whose taps sum to zero do not see it, but sums lose digits by it.
        """
        x = x if mean is None else x - mean
        return [F.pad(x, (d,) * 4, mode="reflect") for d in shifts]

    def convolve(
        self,
        parts: Sequence[Tensor],
        weights: Tensor,
        bias: Tensor | None = None,
        *,
        shift: int = 1,
        reflect: bool = False,
        slope: float = 1.0,
        onto: Tensor | None = None,
    ) -> Tensor:
        """A 3x3 convolution, dilated by `shift`, of the parts joined by channels (B, C, H, W) -> (B, O, H, W).

        The border is zero, or with `reflect` that of `bordered`. `onto` is added and may be written over; values below
        zero are multiplied by `slope`.
        """
        padding = 0 if reflect else shift
        first = 0
        for x in parts:
            own = weights[:, first : first + x.shape[1]] if len(parts) > 1 else weights
            y = F.conv2d(x, own, bias if first == 0 else None, padding=padding, dilation=shift)
            onto = y if onto is None else onto.add_(y)
            first += x.shape[1]
        assert onto is not None
        return onto if slope == 1.0 else F.leaky_relu_(onto, slope) if slope else F.relu_(onto)

    def mix_weights(self, kernel: Tensor) -> Tensor:
        """A kernel (O, C, 1, 1) in the form that `mix` and `lift` take."""
        return kernel

    def mix(self, x: Tensor, weight: Tensor, bias: Tensor, slope: float = 1.0) -> Tensor:
        """A 1x1 convolution, rectified, in the precision of x: (B, C, H, W) -> (B, O, H, W)."""
        y = F.conv2d(x, weight.to(x.dtype), bias)
        return y if slope == 1.0 else F.leaky_relu_(y, slope) if slope else F.relu_(y)

    def key_weights(self, kernel: Tensor) -> list[Tensor]:
        """The kernel (O, C, 3, 3) of the keys of one shift in the forms that `sums` takes."""
        return [kernel]

    def sums(
        self,
        x: Tensor,
        mean: Tensor,
        bordered: Sequence[Tensor],
        keys: Sequence[Sequence[Tensor]],
        shifts: Sequence[int],
        rows: slice,
    ) -> Sums:
        """What the attention of these rows of x (B, C, H, W) is made of; mean (B, C, 1, 1) is that of x.

        `bordered`: what `bordered` made of x and its mean.
        """
        wide = [slice(rows.start, rows.stop + 2 * d) for d in shifts]
        padded = [p[:, :, w] for p, w in zip(bordered, wide, strict=True)]
        part, total = x[:, :, rows], None
        if part.shape[2] < x.shape[2]:
            total = (part.sum((2, 3), keepdim=True) - part[0, 0].numel() * mean).flatten(1)
        return score_sums(part, mean, padded, [k[0] for k in keys], shifts, total)

    def head(self, x: Tensor, square: Tensor, wide: Tensor, high: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
        """Logits (B, 1, H, W) of x (B, 4c, H, W): a 3x3 stencil (1, 2c, 3, 3), a 1x11 one (1, c) and an 11x1 one.

        taps (25, 4c): the same weights at each of `HEAD_PLACES`.
        """
        if x.dtype == torch.float32 and x.device.type == "cpu" and not torch.compiler.is_exporting():
            return summed_taps(x, taps, bias)
        c = wide.shape[1]
        y = F.conv2d(x[:, : 2 * c], square, bias, padding=1)
        y += F.conv2d(x[:, 2 * c : 3 * c], wide, padding=(0, 5))
        y += F.conv2d(x[:, 3 * c :], high, padding=(5, 0))
        return y.float()

    def begin_weights(self, kernel: Tensor) -> Tensor:
        """The first kernel (O, 1, 3, 3) in the form that `begin` takes."""
        return kernel

    def begin(
        self,
        grey: Tensor,
        weights: tuple[Tensor, Tensor],
        biases: tuple[Tensor, Tensor],
        scales: Tensor,
        slope: float,
    ) -> Tensor:
        """A residual block of one channel (B, 1, H, W) -> (B, O, H, W).

        Two convolutions, the weights of the first made by `begin_weights`, and a shortcut, the channel times scales
        (1, O, 1, 1); biases (O,) of both; negative values are multiplied by `slope` behind each.
        """
        first = weights[0]
        y = F.leaky_relu_(F.conv2d(grey.to(first.dtype), first, biases[0], padding=1), slope)
        y = self.convolve([y], weights[1], biases[1])
        return F.leaky_relu_(y.float().addcmul_(grey, scales), slope).to(y.dtype)

    def residual_weights(self, kernel: Tensor, shortcut: Tensor | None) -> list[Tensor]:
        """The last kernel (O, C, 3, 3) of a residual block and its shortcut's (O, D, 1, 1) as `residual` takes them."""
        return [kernel] if shortcut is None else [kernel, shortcut]

    def residual(self, y: Tensor, x: Tensor, weights: Sequence[Tensor], bias: Tensor, slope: float) -> Tensor:
        """The end of a residual block: y (B, C, H, W) convolved plus the shortcut of x (B, D, H, W), rectified."""
        onto = F.conv2d(x, weights[1]) if len(weights) > 1 else x.clone()
        return self.convolve([y], weights[0], bias, slope=slope, onto=onto)

    def halve(self, x: Tensor) -> Tensor:
        """Maxima of blocks of 2 x 2: (B, C, H, W) -> (B, C, H // 2, W // 2)."""
        if x.device.type != "cpu" or torch.compiler.is_exporting():
            return F.max_pool2d(x, 2)
        height, width = (n // 2 * 2 for n in x.shape[2:])  # large maps take a fifth of the time this way
        rows = torch.maximum(x[:, :, :height:2, :width], x[:, :, 1:height:2, :width])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])

    def lift(self, x: Tensor, encoded: Tensor, weight: Tensor, bias: Tensor, tent: Tensor) -> Tensor:
        """x (B, C, H, W), bilinear at twice the size, times the sigmoid of a 1x1 convolution of encoded.

        encoded (B, C, 2H, 2W); weight, of C channels to C, as of `mix`; tent (C, 1, 4, 4): what a pixel spreads to.
        """
        return doubled(x, tent).mul_(F.conv2d(encoded, weight, bias).sigmoid_())


PIECE_PX = 65536
"""Pixels of which `summed_taps` makes the products at a time."""


def summed_taps(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """x (B, C, H, W) convolved to one channel (B, 1, H, W) by taps (25, C) at `HEAD_PLACES`.

    A plane of products for each tap, which are then moved and added: on a CPU half of the time of convolutions, whose
    routines compute eight or sixteen channels where one is wanted.
    """
    count, _, height, width = x.shape
    reach = 5
    total = x.new_zeros(count, 1, height + 2 * reach, width + 2 * reach)
    rows = max(1, PIECE_PX // width)
    for picture, out in zip(x.permute(0, 2, 3, 1), total[:, 0], strict=True):
        for top in range(0, height, rows):
            piece = picture[top : top + rows]
            products = (taps @ piece.flatten(0, 1).T).unflatten(1, piece.shape[:2])
            for (row, column), product in zip(HEAD_PLACES, products.unbind(), strict=True):
                out[top + reach - row :, reach - column :][: len(piece), :width].add_(product)
    return total[..., reach:-reach, reach:-reach].add(bias)


TENT = torch.outer(torch.tensor([0.25, 0.75, 0.75, 0.25]), torch.tensor([0.25, 0.75, 0.75, 0.25]))
"""What a pixel spreads to in bilinear interpolation to twice the size."""


def doubled(x: Tensor, tent: Tensor) -> Tensor:
    """Bilinear interpolation of x (B, C, H, W) to twice the size, as a transposed convolution by `tent` (C, 1, 4, 4).

    On large maps that takes a third of the time of the library's interpolation. Other engines have a fast one.
    """
    if torch.compiler.is_exporting():
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    wide = F.pad(x.to(tent.dtype), (1, 1, 1, 1), mode="replicate")
    return F.conv_transpose2d(wide, tent, stride=2, padding=3, groups=len(tent)).to(x.dtype)
