"""Statistics of a DATrans block's keys from the autocorrelation of its input: exact, and keys are never made.

Keys K are a dilated 3x3 convolution of the padded input P, so X K' and |K|^2 over pixels are sums over pairs of taps of
F(l) = sum over u of P(u) P(u + l)', at lags l of 0, 1 and 2 shifts a side: 13 products of C x C, where keys of 8 x
hidden channels would have to be written and read again.

F sums over all of the plane, P being zero outside. The keys that reach beyond the frame, a ring of two shifts round it,
are made and taken off again.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

KEYS_RATE, LAGS_RATE, PAIRS_RATE = 60.0, 37.5, 60.0
"""Multiply-adds a nanosecond of a core: convolution of keys, autocorrelation, products of pairs of taps (measured)."""

LAGS = [(0, 0), (0, 1), (0, 2), *((i, j) for i in (1, 2) for j in range(-2, 3))]
"""Lags computed, in shifts: the others follow by symmetry."""


def autocorrelation(padded: Tensor, shift: int) -> Tensor:
    """F (C, C, 5, 5) of one picture P (1, C, H, W): F[a, b, 2 + i, 2 + j] = sum over u of P_a(u) P_b(u + shift (i, j)).

    Rows lie one after the other with zeros between and behind them, so that a lag is a distance in memory. Each product
    is the gradient of the weights of a 1x1 convolution: the library's routine for that takes half of the time of its
    matrix product where matrices are so long and narrow, or of the gradient of a 3x5 kernel with 16 channels.
    """
    _, c, rows, columns = padded.shape
    reach, step = 2 * shift, columns + 2 * shift
    plane = F.pad(padded, (0, reach, 0, reach + 1)).permute(0, 2, 3, 1).flatten()
    like = padded.new_empty(c, c, 1, 1)

    def moved(row: int, column: int) -> Tensor:
        at = shift * (row * step + column) * c
        return torch.as_strided(plane, (1, c, rows, step), (plane.numel(), 1, step * c, c), at)

    made = padded.new_empty(c, c, 5, 5)
    for i, j in LAGS:
        product = torch.ops.aten.convolution_backward(
            moved(0, 0), moved(i, j), like, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False]
        )[1][..., 0, 0]
        made[..., 2 + i, 2 + j], made[..., 2 - i, 2 - j] = product, product.T
    return made


def autocorrelated_statistics(mean: Tensor, padded: Tensor, kernel: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """X K' (B, C, O) and |K|^2 (B, O) over all pixels of the frame, for the keys of one shift.

    mean (B, C) of the input X; padded (B, C, H + 2 shift, W + 2 shift): X less its mean, padded by reflection; kernel
    (O, C, 3, 3), whose taps sum to zero.
    """
    samples = [statistics_of_one(mean[i], padded[i : i + 1], kernel, shift) for i in range(len(padded))]
    return torch.stack([s[0] for s in samples]), torch.stack([s[1] for s in samples])


def statistics_of_one(mean: Tensor, padded: Tensor, kernel: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """X K' (C, O) and |K|^2 (O,) of one picture: mean (C,), padded (1, C, H + 2 shift, W + 2 shift)."""
    c = padded.shape[1]
    f = autocorrelation(padded, shift)
    taps = kernel.flatten(2)  # (O, C, 9)
    product = f[:, :, 1:4, 1:4].flatten(1) @ taps.flatten(1).T
    product += mean[:, None] * (taps.flatten(1) @ window_sums(padded, shift).flatten())
    row, column = torch.arange(3).repeat_interleave(3), torch.arange(3).repeat(3)
    between = f[:, :, row - row[:, None] + 2, column - column[:, None] + 2]  # (C, C, tap, tap)
    by_tap = taps.transpose(1, 2).flatten(1)  # (O, 9C)
    square = ((by_tap @ between.permute(2, 0, 3, 1).reshape(9 * c, 9 * c)) * by_tap).sum(1)
    for strips in ring(padded, shift):
        keys = F.conv2d(strips, kernel, dilation=shift).permute(0, 2, 3, 1).flatten(0, 2)
        centre = strips[:, :, shift:-shift, shift:-shift].permute(0, 2, 3, 1).flatten(0, 2)
        square -= (keys * keys).sum(0)
        product -= centre.T @ keys
    return product, square


def window_sums(padded: Tensor, shift: int) -> Tensor:
    """Sums (C, 9) of what each tap sees over the frame, less the sum of all: windows of the padded picture.

    Kernels whose taps sum to zero do not see what is the same for all taps, so only the border is looked at.
    """
    reach, rows = 2 * shift, padded[0].permute(1, 2, 0)  # (H, W, C), the layout in memory
    height, width = len(rows) - reach, rows.shape[1] - reach
    made = []
    outside = [torch.cat([rows[:, : k * shift], rows[:, width + k * shift :]], 1).sum((0, 1)) for k in range(3)]
    for k in range(3):
        above_and_below = torch.cat([rows[: k * shift], rows[height + k * shift :]]).sum(0)
        made += [-outside[j] - above_and_below[j * shift : j * shift + width].sum(0) for j in range(3)]
    return torch.stack(made, 1)


def ring(padded: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """What keys outside the frame are made of (2, C, h, w): top and bottom, then left and right between them."""
    reach = 2 * shift
    top, bottom = padded[:, :, :reach], padded[:, :, -reach:]
    left, right = padded[..., :reach], padded[..., -reach:]
    ends = [F.pad(top, (reach, reach, reach, 0)), F.pad(bottom, (reach, reach, 0, reach))]
    return torch.cat(ends), torch.cat([F.pad(left, (reach, 0)), F.pad(right, (0, reach))])


def pays(channels: int, outputs: int, height: int, width: int, shift: int) -> bool:
    """Whether this is expected to be faster than making the keys of a frame, by counting multiply-adds."""
    keys = 10 * channels * outputs / KEYS_RATE
    ring_px = 4 * shift * (height + width + 4 * shift)
    fixed = 81 * channels**2 * outputs / PAIRS_RATE
    return len(LAGS) * channels**2 / LAGS_RATE * height * width + fixed + ring_px * keys < keys * height * width
