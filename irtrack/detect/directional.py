"""The algebra that makes a DATrans block cheap; equal to the readable form in `network.py` up to rounding.

The eight reflected neighbours minus the centre, followed by a 1x1 convolution, are one dilated 3x3 convolution of the
reflection-padded input: the tap of neighbour d is the 1x1 weight of that neighbour, the centre tap is minus their sum.
Attention is between channels, so attention times values is again such a convolution, with attention x value weights as
its kernel: values are never made. Scores need only Q K' and the norms over pixels; queries are a 1x1 convolution, so
Q K' = Wq (X K') and |q|^2 = diag(Wq X X' Wq'): queries are never made either, and no long row is copied or
interleaved, only the small products are. All of it holds for gradients too, so training uses this form.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

BAND_BYTES = 2 << 20
"""Size of the keys that are made at a time without gradients."""


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


def key_statistics(x: Tensor, padded: Tensor, kernel: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """X K' (B, C, 8*hidden) and |K|^2 (B, 8*hidden) over all pixels, for the keys of one shift.

    Without gradients, keys are made in bands of rows that stay in the cache and are forgotten: a frame of 4096x4096
    would otherwise need gigabytes for them.
    """
    height, width = x.shape[-2:]
    band = height
    if not torch.is_grad_enabled():
        band = max(8, BAND_BYTES // (4 * kernel.shape[0] * width * x.shape[0]))
    product: Tensor | None = None
    square: Tensor | None = None
    for top in range(0, height, band):
        rows = min(band, height - top)
        keys = pixels_by_channels(F.conv2d(padded[:, :, top : top + rows + 2 * shift], kernel, dilation=shift))
        part = pixels_by_channels(x[:, :, top : top + rows]).transpose(1, 2) @ keys
        length = (keys * keys).sum(1, dtype=torch.float32)
        product = part if product is None else product + part
        square = length if square is None else square + length
    assert product is not None
    assert square is not None
    return product, square


def cosine_scores(
    x: Tensor,
    padded: Sequence[Tensor],
    query_weights: Sequence[Tensor],
    key_kernels: Sequence[Tensor],
    shifts: Sequence[int],
) -> Tensor:
    """Cosines between queries and keys over all pixels (B, heads, hidden, 8*hidden).

    x (B, C, H, W) gives the queries, `padded` (reflection-padded by each shift) the keys.
    """
    n = len(shifts)
    rows = pixels_by_channels(x).transpose(1, 2)
    wq = interleave([w.flatten(1) for w in query_weights], 0)
    products, squares = [], []
    for p, kernel, d in zip(padded, key_kernels, shifts, strict=True):
        product, square = key_statistics(x, p, kernel, d)
        products.append(product)
        squares.append(square)
    # Row of wq and column of k: flat index = channel * shifts + shift; head i has the i-th stretch of both.
    qk = (wq @ interleave(products, 2)).unflatten(1, (n, -1)).unflatten(3, (n, -1))
    qk = torch.stack([qk[:, i, :, i] for i in range(n)], 1)
    q_norm = ((wq @ (rows @ rows.transpose(1, 2))) * wq).sum(-1).clamp_min(1e-24).sqrt().unflatten(1, (n, -1))
    k_norm = interleave(squares, 1).clamp_min(1e-24).sqrt().unflatten(1, (n, -1))
    return qk / (q_norm.unsqueeze(-1) * k_norm.unsqueeze(-2))


def fused_attention(
    x: Tensor,
    query_weights: Sequence[Tensor],
    key_weights: Sequence[Tensor],
    value_weights: Sequence[Tensor],
    shifts: Sequence[int],
    area_px: int,
) -> tuple[Tensor, Tensor]:
    """Attention times values of one block.

    x (B, C, H, W) -> values (B, heads*hidden, H, W) and attention (B, heads, hidden, 8*hidden).
    """
    c = x.shape[1]
    # Keys and values do not see a constant (their kernels sum to zero); without it a flat frame loses no digits.
    centred = x - x.mean((2, 3), keepdim=True)
    padded = [F.pad(centred, (d,) * 4, mode="reflect") for d in shifts]
    scores = cosine_scores(x, padded, query_weights, [stencil(w, c) for w in key_weights], shifts)
    attention = attention_from_scores(scores, area_px)
    return apply_attention(padded, attention, [stencil(w, c) for w in value_weights], shifts), attention


def apply_attention(
    padded: Sequence[Tensor], attention: Tensor, value_kernels: Sequence[Tensor], shifts: Sequence[int]
) -> Tensor:
    """Attention (B, heads, hidden, 8*hidden) times values as one dilated convolution for each shift.

    `padded`: the input, reflection-padded by each shift; `value_kernels`: (8*hidden, C, 3, 3) each.
    """
    b, n, hidden, wide = attention.shape
    c = value_kernels[0].shape[1]
    # Column j of head i is flat value channel i * 8 hidden + j, which is channel (flat // n) of shift (flat % n).
    kernels = interleave([w.flatten(1) for w in value_kernels], 0).unflatten(0, (n, wide))
    flat = torch.arange(n * wide, device=attention.device).view(n, wide)
    total: Tensor | None = None
    for s, (p, d) in enumerate(zip(padded, shifts, strict=True)):
        of_shift = (flat % n == s).to(attention.dtype)
        weight = (attention * of_shift[:, None]) @ kernels
        weight = weight.reshape(b * n * hidden, c, 3, 3)
        if b == 1:  # the same without reshaping, which would lose the channels-last layout (about 8 % of a frame)
            y = F.conv2d(p, weight, dilation=d)
        else:
            y = F.conv2d(p.reshape(1, b * c, *p.shape[-2:]), weight, dilation=d, groups=b).unflatten(1, (b, -1))[0]
        total = y if total is None else total + y
    assert total is not None
    return total
