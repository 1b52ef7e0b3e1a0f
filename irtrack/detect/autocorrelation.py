"""Statistics of a DATrans block's keys from the autocorrelation of its input: exact, and keys are never made.

Keys K are a dilated 3x3 convolution of the padded input P, so X K' and |K|^2 over pixels are sums over pairs of taps of
F(l) = sum over u of P(u) P(u + l)', at lags l of 0, 1 and 2 shifts a side. F is what the gradient of a convolution's
weights is made of, and that is how it is computed: the library's routine reads P once, where keys of 8 x hidden
channels would have to be written and read again (five times faster at 16 channels on a CPU).

F sums over all of the plane, P being zero outside. The keys that reach beyond the frame, a ring of two shifts round it,
are made and taken off again.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

KEYS_RATE, LAGS_RATE, PAIRS_RATE = 40.0, 85.0, 60.0
"""Multiply-adds a nanosecond of a core: convolution of keys, autocorrelation, products of pairs of taps (measured)."""

BAND_ROWS = 64
"""Rows summed at a time."""

LAGS = 15
"""Lags computed: three rows of five; the other two rows follow by symmetry."""


def lower_lags(centre: Tensor, moved: Tensor, shift: int) -> Tensor:
    """Sums over u of A_a(u) B_b(u + shift (i, j)) for i in 0, 1, 2 and j in -2 .. 2: (C, C, 3, 5).

    centre: A (1, C, h, W); moved: B (1, C, h + 2 shift, W), taken as zero to its left and right.
    """
    c = centre.shape[1]
    like = torch.empty((c, c, 3, 5), device=centre.device, dtype=centre.dtype).to(memory_format=torch.channels_last)
    gradient: Tensor = torch.ops.aten.convolution_backward(
        centre, moved, like, None, [1, 1], [0, 2 * shift], [shift, shift], False, [0, 0], 1, [False, True, False]
    )[1]
    return gradient


def autocorrelation(padded: Tensor, shift: int) -> Tensor:
    """F (C, C, 5, 5) of one picture P (1, C, H, W): F[a, b, 2 + i, 2 + j] = sum over u of P_a(u) P_b(u + shift (i, j)).

    In bands of rows: long sums in single precision lose digits.
    """
    reach, height = 2 * shift, padded.shape[2]
    last = padded[:, :, -reach:]
    lower = lower_lags(last, F.pad(last, (0, 0, 0, reach)), shift)
    for top in range(0, height - reach, BAND_ROWS):
        stop = min(top + BAND_ROWS, height - reach)
        lower = lower + lower_lags(padded[:, :, top:stop], padded[:, :, top : stop + reach], shift)
    return torch.cat([lower[:, :, 1:].transpose(0, 1).flip(2, 3), lower], 2)


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
    """Sums (C, 9) of what each tap sees over the frame: windows one shift apart, within the padded picture."""
    reach, rows = 2 * shift, padded[0].permute(1, 2, 0)  # (H, W, C), the layout in memory
    whole, first, last = rows.sum(0), rows[:reach], rows[-reach:]
    windows = [whole - last.sum(0), whole - first[:shift].sum(0) - last[shift:].sum(0), whole - first.sum(0)]
    width = len(whole) - reach
    return torch.stack([w[j * shift : j * shift + width].sum(0) for w in windows for j in range(3)], 1)


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
    ring_px = 8 * shift * (height + width + 4 * shift)
    fixed = 81 * channels**2 * outputs / PAIRS_RATE
    return LAGS * channels**2 / LAGS_RATE * height * width + fixed + ring_px * keys < keys * height * width
