"""The arithmetic of a prepared network's parts, by torch. `native/` has the same in C for single precision on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

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
    """How 3x3 convolutions, sums of keys and the last stencils are computed."""

    def weights(self, kernel: Tensor) -> Tensor:
        """A kernel (O, C, 3, 3) in the form that `convolve` takes."""
        return kernel

    def bordered(self, x: Tensor, shift: int) -> Tensor:
        """x (B, C, H, W) as `convolve` takes it for a reflected border of `shift`."""
        return F.pad(x, (shift,) * 4, mode="reflect")

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

    def sums(
        self,
        x: Tensor,
        mean: Tensor,
        bordered: Sequence[Tensor],
        key_kernels: Sequence[Tensor],
        shifts: Sequence[int],
        rows: slice,
    ) -> Sums:
        """What the attention of these rows of x (B, C, H, W) is made of.

        mean (B, C, 1, 1) of x; bordered: x less its mean, for each shift.
        """
        wide = [slice(rows.start, rows.stop + 2 * d) for d in shifts]
        padded = [p[:, :, w] for p, w in zip(bordered, wide, strict=True)]
        return score_sums(x[:, :, rows], mean, padded, key_kernels, shifts)

    def head(self, x: Tensor, square: Tensor, wide: Tensor, high: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
        """Logits (B, 1, H, W) of x (B, 4c, H, W): a 3x3 stencil (1, 2c, 3, 3), a 1x11 one (1, c) and an 11x1 one.

        taps (25, 4c): the same weights at each of `HEAD_PLACES`.
        """
        c = wide.shape[1]
        y = F.conv2d(x[:, : 2 * c], square, bias, padding=1)
        y += F.conv2d(x[:, 2 * c : 3 * c], wide, padding=(0, 5))
        y += F.conv2d(x[:, 3 * c :], high, padding=(5, 0))
        return y.float()
