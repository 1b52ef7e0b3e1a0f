"""The algebra that makes a DATrans block cheap; equal to the readable form in `network.py` up to rounding.

The eight reflected neighbours minus the centre, followed by a 1x1 convolution, are one dilated 3x3 convolution of the
reflection-padded input: the tap of neighbour d is the 1x1 weight of that neighbour, the centre tap is minus their sum.
Attention is between channels, so attention times values is again such a convolution, with attention x value weights as
its kernel: values are never made. Scores need only Q K' and the norms over pixels; queries are a 1x1 convolution, so
Q K' = Wq (X K') and |q|^2 = diag(Wq X X' Wq'): queries are never made either, and no long row is copied or
interleaved, only the small products are. All of it holds for gradients too, so training uses this form; without
gradients the finest levels go further (`autocorrelation.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from irtrack.detect.autocorrelation import autocorrelated_statistics, pays

BAND_BYTES = 2 << 20
"""Size of the keys that are made at a time without gradients: what stays in a CPU's cache."""

GPU_BAND_BYTES = 256 << 20
"""The same on a GPU, which wants few large pieces."""


def stencil(weight: Tensor, channels: int) -> Tensor:
    """1x1 weights over eight concatenated differences (O, 8C, 1, 1) -> the equal 3x3 kernel (O, C, 3, 3)."""
    taps = weight.reshape(-1, 8, channels)
    centre = -taps.sum(1, keepdim=True)
    return torch.cat([taps[:, :4], centre, taps[:, 4:]], 1).transpose(1, 2).reshape(-1, channels, 3, 3)


def interleave(per_shift: Sequence[Tensor], dim: int) -> Tensor:
    """Stack the shifts inside each channel (flat index = channel * shifts + shift), as the authors' view does."""
    return torch.stack(list(per_shift), dim + 1).flatten(dim, dim + 1)


def attention_from_scores(scores: Tensor, area_px: int) -> Tensor:
    """Cosine scores (B, heads, h, 8h) -> attention: scaled, instance-normalised over each head, softmaxed."""
    return F.instance_norm(scores / area_px**0.5, eps=1e-5).softmax(-1)


def pixels_by_channels(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H*W, C); a view where the layout is channels-last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


EXPORTED_BANDS = {16: 8, 8: 8, 32: 4}
"""Bands of keys by the channels of the input, in an exported graph: the levels at which all of them leave the cache.

Their number is fixed there, whatever the frame's size: heights are multiples of 32 at the finest level.
"""


def key_statistics(x: Tensor, padded: Tensor, kernel: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """X K' (B, C, 8*hidden) and |K|^2 (B, 8*hidden) over all pixels, for the keys of one shift.

    padded: x less its mean. Without gradients keys are made in bands of rows that stay in the cache and are forgotten:
    a frame of 4096x4096 would need gigabytes.
    """
    height, width = x.shape[-2:]
    outputs, channels = kernel.shape[:2]
    bands, rows = 1, height
    if torch.compiler.is_exporting():
        bands = EXPORTED_BANDS.get(channels, 1)
        rows = height // bands
    elif not torch.is_grad_enabled():
        band_bytes = BAND_BYTES if x.device.type == "cpu" else GPU_BAND_BYTES
        rows = max(8, band_bytes // (4 * outputs * width * len(x)))
        bands = -(-height // rows)
    made = [
        statistics_of_rows(
            x[:, :, i * rows : (i + 1) * rows], padded[:, :, i * rows : (i + 1) * rows + 2 * shift], kernel, shift
        )
        for i in range(bands)
    ]
    return reduce(torch.add, [m[0] for m in made]), reduce(torch.add, [m[1] for m in made])


def statistics_of_rows(x: Tensor, padded: Tensor, kernel: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """`key_statistics` of a band of rows by its keys."""
    keys = F.conv2d(padded, kernel, dilation=shift)
    if torch.compiler.is_exporting():  # other engines keep channels first, and sum fast along the last axis alone
        keys = keys.flatten(2)
        return x.flatten(2) @ keys.transpose(1, 2), (keys * keys).sum(2)
    keys, rows = pixels_by_channels(keys), pixels_by_channels(x)
    if torch.is_grad_enabled():
        return KeySums.apply(rows, keys)  # type: ignore[no-any-return, no-untyped-call]
    return rows.transpose(1, 2) @ keys, (keys * keys).sum(1, dtype=torch.float32)


class KeySums(torch.autograd.Function):
    """X K' (B, C, O) in the keys' type and |K|^2 (B, O) in float32 of rows (B, N, C) and keys (B, N, O), for training.

    Written as products of matrices of one type, both ways: left to autograd, the squares' gradient alone was a third of
    a step in bfloat16, for types that alternate.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        same = rows.to(keys.dtype)
        ctx.save_for_backward(same, keys)
        ctx.rows_type = rows.dtype
        product = torch.bmm(same.transpose(1, 2), keys)
        if keys.dtype == torch.float32:
            return product, (keys * keys).sum(1)
        # The diagonal of K K', by stretches that are added in float32: a sum over all pixels would lose digits.
        stretches = keys.unflatten(1, (-1, 1024)) if keys.shape[1] % 1024 == 0 else keys.unsqueeze(1)
        parts = torch.matmul(stretches.transpose(2, 3), stretches).diagonal(dim1=2, dim2=3)
        return product, parts.float().sum(1)

    @staticmethod
    def backward(ctx: Any, product: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
        rows, keys = ctx.saved_tensors
        of_keys = torch.bmm(rows, product)
        of_keys.addcmul_(keys, (2 * square).to(keys.dtype).unsqueeze(1))
        return torch.bmm(keys, product.transpose(1, 2)).to(ctx.rows_type), of_keys


@dataclass
class Sums:
    """What scores are made of, summed over pixels; sums of parts of a frame add up to those of the frame."""

    gram: Tensor
    """X X' (B, C, C)."""
    products: list[Tensor]
    """X K' (B, C, 8*hidden) of each shift."""
    squares: list[Tensor]
    """|K|^2 (B, 8*hidden) of each shift."""

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.gram + other.gram,
            [a + b for a, b in zip(self.products, other.products, strict=True)],
            [a + b for a, b in zip(self.squares, other.squares, strict=True)],
        )


def score_sums(
    x: Tensor,
    mean: Tensor,
    padded: Sequence[Tensor],
    key_kernels: Sequence[Tensor],
    shifts: Sequence[int],
    total: Tensor | None = None,
) -> Sums:
    """The sums over x (B, C, H, W); `padded`: x less mean (B, C, 1, 1) with a border of each shift.

    total (B, C): sums of x less mean; none where mean is that of x itself. Without gradients, keys are not made at all
    where that pays.
    """
    gram: Tensor | None = None
    products, squares = [], []
    for p, kernel, shift in zip(padded, key_kernels, shifts, strict=True):
        if without_keys(x, kernel, shift):
            m = mean.flatten(1)
            left = torch.zeros_like(m) if total is None else total
            gram, product, square = autocorrelated_statistics(m, left, p, kernel, shift)
        else:
            product, square = key_statistics(x, p, kernel, shift)
        products.append(product)
        squares.append(square)
    if gram is None:
        rows = x.flatten(2) if torch.compiler.is_exporting() else pixels_by_channels(x).transpose(1, 2)
        gram = rows @ rows.transpose(1, 2)
    return Sums(gram, products, squares)


def without_keys(x: Tensor, kernel: Tensor, shift: int) -> bool:
    """Whether the statistics of these keys are those of the autocorrelation."""
    if torch.compiler.is_exporting() or torch.is_grad_enabled():
        return False
    outputs, channels = kernel.shape[:2]
    on_cpu = x.dtype == torch.float32 and x.device.type == "cpu"
    return on_cpu and pays(channels, outputs, x.shape[2], x.shape[3], shift)


def cosines(sums: Sums, wq: Tensor) -> Tensor:
    """Cosines between queries and keys over all pixels (B, heads, hidden, 8*hidden).

    `wq` (heads*hidden, C) makes the queries of x; its rows interleave the shifts.
    """
    n = len(sums.products)
    # Row of wq and column of k: flat index = channel * shifts + shift; head i has the i-th stretch of both.
    qk = (wq @ interleave(sums.products, 2)).unflatten(1, (n, -1)).unflatten(3, (n, -1))
    qk = torch.stack([qk[:, i, :, i] for i in range(n)], 1)
    q_norm = ((wq @ sums.gram) * wq).sum(-1).clamp_min(1e-24).sqrt().unflatten(1, (n, -1))
    k_norm = interleave(sums.squares, 1).clamp_min(1e-24).sqrt().unflatten(1, (n, -1))
    return qk / (q_norm.unsqueeze(-1) * k_norm.unsqueeze(-2))


class Weights(NamedTuple):
    """Of one block: 1x1 kernels of each shift, (hidden, C) for queries and (8*hidden, 8C) for keys and values.

    `area_px`: pixels of its level at the training size.
    """

    queries: Sequence[Tensor]
    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    shifts: Sequence[int]
    area_px: int


def fused_attention(x: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """Attention times values of one block.

    x (B, C, H, W) -> values (B, heads*hidden, H, W) and attention (B, heads, hidden, 8*hidden).
    """
    c, shifts = x.shape[1], weights.shifts
    # Keys and values do not see a constant (their kernels sum to zero); without it a flat frame loses no digits.
    mean = x.mean((2, 3), keepdim=True)
    padded = [F.pad(x - mean, (d,) * 4, mode="reflect") for d in shifts]
    wq = interleave([w.flatten(1) for w in weights.queries], 0)
    scores = cosines(score_sums(x, mean, padded, [stencil(w, c) for w in weights.keys], shifts), wq)
    attention = attention_from_scores(scores, weights.area_px)
    return apply_attention(padded, attention, [stencil(w, c) for w in weights.values], shifts), attention


def attended_kernels(attention: Tensor, value_kernels: Sequence[Tensor]) -> list[Tensor]:
    """Attention (B, heads, hidden, 8*hidden) times the kernels of the values (8*hidden, C, 3, 3) of each shift.

    One kernel (B, heads*hidden, C, 3, 3) for each shift; the sum of their convolutions is attention times values.
    """
    n = len(value_kernels)
    out = []
    for s, kernel in enumerate(value_kernels):
        # Column j of head i is flat value channel i * 8 hidden + j, which is channel (flat // n) of shift (flat % n).
        by_tap = kernel.permute(0, 2, 3, 1)  # as in memory: nothing is copied, and the result is channels-last
        weight = attention[..., s::n] @ by_tap.reshape(n, -1, kernel[0].numel())
        out.append(weight.reshape(len(attention), -1, *by_tap.shape[1:]).permute(0, 1, 4, 2, 3))
    return out


def apply_attention(
    padded: Sequence[Tensor], attention: Tensor, value_kernels: Sequence[Tensor], shifts: Sequence[int]
) -> Tensor:
    """Attention (B, heads, hidden, 8*hidden) times values (B, heads*hidden, H, W).

    `padded`: the input, reflection-padded by each shift.
    """
    if len(attention) > 1 and attention.device.type != "cpu":
        return attention_by_values(padded, attention, value_kernels, shifts)
    total: Tensor | None = None
    for p, weight, d in zip(padded, attended_kernels(attention, value_kernels), shifts, strict=True):
        # Picture by picture: a grouped convolution loses the channels-last layout (8 % of a frame), and oneDNN's
        # for bfloat16 reads past the last group's channels where they are not a multiple of 16 (3.12: crashes).
        each = [F.conv2d(p[i : i + 1], weight[i], dilation=d) for i in range(len(p))]
        y = each[0] if len(each) == 1 else torch.cat(each)
        total = y if total is None else total + y
    assert total is not None
    return total


def attention_by_values(
    padded: Sequence[Tensor], attention: Tensor, value_kernels: Sequence[Tensor], shifts: Sequence[int]
) -> Tensor:
    """`apply_attention` of several pictures at once, by making the values: a few calls a shift, however many pictures.

    For a GPU, which has memory for values and waits for calls; its library's grouped convolutions (a group a picture)
    would need no values, but their gradients are slow.
    """
    n = len(value_kernels)
    apart = torch.eye(n, dtype=attention.dtype, device=attention.device)[:, None, :, None]
    total: Tensor | None = None
    for s, (p, kernel, d) in enumerate(zip(padded, value_kernels, shifts, strict=True)):
        values = F.conv2d(p, kernel, dilation=d)
        # As in `attended_kernels`: head i attends to the i-th stretch of the channels, and not to the others.
        weight = (attention[..., s::n].unsqueeze(3) * apart).flatten(3).flatten(1, 2)
        y = pixels_by_channels(values) @ weight.transpose(1, 2)
        total = y if total is None else total + y
    assert total is not None
    return total.unflatten(1, (padded[0].shape[2] - 2 * shifts[0], -1)).permute(0, 3, 1, 2)
