"""Statistics of a DATrans block's keys from the autocorrelation of its input: exact, and keys are never made.

Keys K are a dilated 3x3 convolution of the padded input P, so X K' and |K|^2 over the frame are sums over pairs of taps
(s, t) of

    between(s, t) = sum over u of P(u + s) P(u + t)',    u a pixel of the frame, s and t of nine places,

a C x C matrix each, where keys of 8 x hidden channels would have to be written and read again. All pairs of one lag
t - s sum the same products, over windows of P that differ at the border alone:

- `whole_products`: sums over all of P, at lags of 0, 1 and 2 shifts a side, 13 of 25 since the others are transposes;
- `strip_products`: the same over the strips of one shift by which a window is smaller than P, which are taken off;
- `corner_taps`: what was taken off twice and is added again, pixel by pixel.

`PLAIN` and `TURNED` say which products make a pair of taps. `native/pairs.c` makes the same sums.
"""

from __future__ import annotations

import torch
from torch import Tensor

KEYS, CALLS = 0.86, 57e6
"""Multiply-adds of products of pixels that take as long as one of keys, and as the calls of `pair_sums` (measured)."""

FAR_LAGS = [(1, j) for j in range(-2, 3)]
LAGS = [(0, 0), (0, 1), (0, 2), *FAR_LAGS, *((2, j) for j in range(-2, 3))]
"""Rows and columns, in shifts, of the lags of `whole_products`; FAR_LAGS: those of a strip to the next one."""

TAPS = [(row, column) for row in range(3) for column in range(3)]
CENTRE = TAPS.index((1, 1))
PAIRS = [(s, t) for s in range(9) for t in range(s, 9)]
"""Pairs of taps; those in the other order are transposes."""
FIRST, SECOND = torch.tensor(PAIRS).unbind(1)

OUTSIDE = {0: [(1, 0), (1, 1)], 1: [(0, 0), (1, 1)], 2: [(0, 0), (0, 1)]}
"""Strips (side, which of its two) outside the window of a tap, by its row or column.

Side 0 is the upper or left one. Of a side's two strips, 0 is the upper or left one; 1 lies next to it.
"""


def pair_coefficients() -> tuple[Tensor, Tensor]:
    """What a pair of taps is made of (pairs + 9, products), of the products and of their transposes.

    First PAIRS, twice where s != t, as often as they stand in a quadratic form; then each tap with the centre.
    Products are `whole_products` (13), then those of strips (44), of columns at the transposes of the lags of rows: a
    pair whose lag points to the left is seen from its other tap.
    """
    plain, turned = torch.zeros(2, len(PAIRS), len(LAGS) + 24 + 20).unbind()

    def near(lag: int, side: int, which: int) -> int:
        return len(LAGS) + 8 * lag + 2 * side + which

    def far(lag: int, side: int) -> int:
        return len(LAGS) + 24 + 4 * (lag + 2) + side

    for pair, (s, t) in enumerate(PAIRS):
        (row, column), (other_row, other_column) = TAPS[s], TAPS[t]
        i, j = other_row - row, other_column - column
        plain[pair, LAGS.index((i, j))] = 1
        for side, which in OUTSIDE[row]:
            if i == 0:
                plain[pair, near(j, side, which)] -= 1
            elif i == 1 and which == 0:
                plain[pair, far(j, side)] -= 1
        for side, which in OUTSIDE[column if j >= 0 else other_column]:
            if j == 0:
                plain[pair, near(i, 2 + side, which)] -= 1
            elif j == 1 and which == 0:
                plain[pair, far(i, 2 + side)] -= 1
            elif j == -1 and which == 0:
                turned[pair, far(-i, 2 + side)] -= 1
    before = [PAIRS.index((t, CENTRE)) for t in range(CENTRE + 1)]
    behind = [PAIRS.index((CENTRE, t)) for t in range(CENTRE + 1, 9)]
    times = 2.0 - (FIRST == SECOND).float()[:, None]
    return (
        torch.cat([plain * times, plain[before], turned[behind]]),
        torch.cat([turned * times, turned[before], plain[behind]]),
    )


PLAIN, TURNED = pair_coefficients()
TURNED_PAIRS = TURNED.any(1).nonzero().flatten()
TURNED = TURNED[TURNED_PAIRS]
"""Only the rows that are not empty, those of TURNED_PAIRS."""
MISSED = torch.tensor(
    [[strip in OUTSIDE[n] for n in tap for strip in ((0, 0), (0, 1), (1, 0), (1, 1))] for tap in TAPS]
).float()
"""Which strips of rows, then of columns, are outside the window of a tap (9, 8)."""


def whole_products(padded: Tensor, shift: int) -> Tensor:
    """Sums (13, C, C) over u of P(u) P(u + shift lag)' for LAGS, P (1, C, H, W) being zero outside.

    Rows lie one after the other with zeros between and behind them, so that a lag is a distance in memory. Each product
    is the gradient of the weights of a 1x1 convolution: with 16 channels the library's routine for that is faster than
    its matrix product, where matrices are so long and narrow, or than its gradient of a 3x5 kernel.
    """
    _, c, height, width = padded.shape
    step = width + 2 * shift
    plane = padded.new_empty((height + 2 * shift + 1) * step * c)
    rows = plane[: height * step * c].view(height, step, c)
    rows[:, :width], rows[:, width:] = padded[0].permute(1, 2, 0), 0
    plane[rows.numel() :] = 0
    like = padded.new_empty(c, c, 1, 1)

    def moved(row: int, column: int) -> Tensor:
        at = shift * (row * step + column) * c
        return plane.as_strided((1, c, height, step), (plane.numel(), 1, step * c, c), at)

    here = moved(0, 0)
    products = [
        torch.ops.aten.convolution_backward(
            here, moved(*lag), like, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False]
        )[1]
        for lag in LAGS
    ]
    return torch.stack(products)[..., 0, 0]


def strip_products(padded: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """The same products over strips of one shift (44, C, C), and the strips' sums (8, C).

    Two strips a side: of the upper and lower side as they are, of the left and right transposed. First 24, by lag (0,
    0..2), side and strip; then 20, by FAR_LAGS and side, of strips 0 with strips 1.
    """
    _, c, height, width = padded.shape
    deep, step = 2 * shift, max(height, width) + 2 * shift
    down, right = padded.stride()[2:]
    rows = padded.as_strided((2, deep, width, c), ((height - deep) * down, down, right, padded.stride(1)))
    columns = padded.as_strided((2, deep, height, c), ((width - deep) * right, right, down, padded.stride(1)))
    flat = padded.new_zeros((4 * deep * step + deep) * c)
    sides = flat[: -deep * c].view(4, deep, step, c)
    sides[:2, :, :width], sides[2:, :, :height] = rows, columns
    size = shift * step

    def strips(count: int, every: int, start: int) -> Tensor:
        return flat.as_strided((count, size, c), (every * size * c, c, 1), start * c)

    all_strips, first = strips(8, 1, 0), strips(4, 2, 0).transpose(1, 2)
    near = [torch.bmm(all_strips.transpose(1, 2), strips(8, 1, j * shift)) for j in range(3)]
    far = [torch.bmm(first, strips(4, 2, size + j * shift)) for _, j in FAR_LAGS]
    return torch.cat(near + far), all_strips.sum(1)


def corner_taps(padded: Tensor, shift: int) -> Tensor:
    """What the nine taps of places beyond two sides of the frame see (16 shift^2, 9 C), P being zero outside."""
    _, c, height, width = padded.shape
    deep = 2 * shift
    down, right = padded.stride()[2:]
    size = (2, deep, 2, deep, c)
    ends = padded.as_strided(size, ((height - deep) * down, down, (width - deep) * right, right, padded.stride(1)))
    corners = padded.new_zeros(4 * deep, 4 * deep, c)
    corners[deep:-deep, deep:-deep].unflatten(1, (2, deep)).unflatten(0, (2, deep)).copy_(ends)
    line = 4 * deep * c
    steps = (2 * deep * line, line, 2 * deep * c, c, shift * line, shift * c, 1)
    return corners.as_strided((2, deep, 2, deep, 3, 3, c), steps).reshape(-1, 9 * c)


def pair_sums(padded: Tensor, total: Tensor, shift: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over a frame's pixels of products of taps, of one picture P (1, C, H + 2 shift, W + 2 shift).

    total (C,): the sum of P over the frame. pairs (9C, 9C): a quadratic form in it is that of all pairs of taps; centre
    (9C, C): each tap with the pixel; taps (9C,): each tap alone.
    """
    c = padded.shape[1]
    strips, sums = strip_products(padded, shift)
    products = torch.cat([whole_products(padded, shift), strips]).flatten(1)
    made = (PLAIN.to(products.dtype) @ products).unflatten(1, (c, c))
    turned = (TURNED.to(products.dtype) @ products).unflatten(1, (c, c))
    made.index_add_(0, TURNED_PAIRS, turned.transpose(1, 2))
    corners = corner_taps(padded, shift)
    pairs = padded.new_zeros(9, c, 9, c)
    pairs.transpose(1, 2)[FIRST, SECOND] = made[: len(PAIRS)]
    pairs = pairs.view(9 * c, 9 * c).addmm_(corners.T, corners)
    centre = made[len(PAIRS) :].flatten(0, 1).addmm_(corners.T, corners[:, CENTRE * c : (CENTRE + 1) * c])
    taps = corners.sum(0).view(9, c) - MISSED.to(sums.dtype) @ sums  # less the sum of all of P
    return pairs, centre, (taps + total - taps[CENTRE]).flatten()


def statistics_of_pairs(
    mean: Tensor, by_tap: Tensor, sums: tuple[Tensor, Tensor, Tensor], pixels: int
) -> tuple[Tensor, Tensor, Tensor]:
    """X X' (..., C, C), X K' (..., C, O) and |K|^2 (..., O) of pictures X = P + mean.

    mean (..., C); by_tap (..., O, 9C): the kernel of the keys, whose taps sum to zero; sums: `pair_sums` of P.
    """
    pairs, centre, taps = sums
    c = mean.shape[-1]
    own = slice(CENTRE * c, (CENTRE + 1) * c)
    product = (by_tap @ centre).mT + mean.unsqueeze(-1) * (taps.unsqueeze(-2) @ by_tap.mT)
    square = ((by_tap @ pairs) * by_tap).sum(-1)
    # The sum of P P' is that of the centre tap with itself, that of P the centre tap's.
    aside = mean.unsqueeze(-1) * (taps[..., own] + mean * (pixels / 2)).unsqueeze(-2)
    return centre[..., own, :] + aside + aside.mT, product, square


def autocorrelated_statistics(
    mean: Tensor, total: Tensor, padded: Tensor, kernel: Tensor, shift: int
) -> tuple[Tensor, Tensor, Tensor]:
    """X X' (B, C, C), X K' (B, C, O) and |K|^2 (B, O) over all pixels of the frame, for the keys of one shift.

    mean (B, C), taken off the input X; total (B, C): sums over the frame of what is left; padded (B, C, H + 2 shift,
    W + 2 shift): that, with its border; kernel (O, C, 3, 3), whose taps sum to zero.
    """
    by_tap = kernel.permute(0, 2, 3, 1).flatten(1)
    pixels = (padded.shape[2] - 2 * shift) * (padded.shape[3] - 2 * shift)
    samples = [
        statistics_of_pairs(m, by_tap, pair_sums(p, t, shift), pixels)
        for m, p, t in zip(mean, padded.split(1), total, strict=True)
    ]
    gram, product, square = (torch.stack(parts) for parts in zip(*samples, strict=True))
    return gram, product, square


def pays(channels: int, outputs: int, height: int, width: int, shift: int) -> bool:
    """Whether this is expected to be faster than making the keys of a frame, by counting multiply-adds."""
    whole = len(LAGS) * (height + 2 * shift) * (width + 4 * shift)
    strips = 64 * shift * (max(height, width) + 4 * shift)
    pairs = 2 * PLAIN.numel() + 81 * outputs + 16 * shift**2 * 90
    keys = 10 * channels * outputs * height * width
    return channels**2 * (whole + strips + pairs) + CALLS < KEYS * keys
