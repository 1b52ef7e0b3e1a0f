"""The algebra that makes a DATrans block cheap; equal to the readable form in `network.py` up to rounding.

The eight reflected neighbours minus the centre, followed by a 1x1 convolution, are one dilated 3x3 convolution of the
reflection-padded input: the tap of neighbour d is the 1x1 weight of that neighbour, the centre tap is minus their sum.
Attention is between channels, so attention times values is again such a convolution, with attention x value weights as
its kernel: values are never made. Both hold for gradients too, so training uses this form.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


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
    n = len(shifts)
    # Keys and values do not see a constant (their kernels sum to zero); without it a flat frame loses no digits.
    centred = x - x.mean((2, 3), keepdim=True)
    padded = [F.pad(centred, (d,) * 4, mode="reflect") for d in shifts]
    q = interleave([F.conv2d(x, w) for w in query_weights], 1).flatten(2).unflatten(1, (n, -1))
    k = interleave(
        [F.conv2d(p, stencil(w, c), dilation=d) for p, w, d in zip(padded, key_weights, shifts, strict=True)], 1
    )
    k = k.flatten(2).unflatten(1, (n, -1))
    # The norms divide the small score matrix instead of the long rows of q and k.
    norms = q.norm(dim=-1).clamp_min(1e-12).unsqueeze(-1) * k.norm(dim=-1).clamp_min(1e-12).unsqueeze(-2)
    attention = attention_from_scores(q @ k.transpose(-2, -1) / norms, area_px)
    return apply_attention(padded, attention, [stencil(w, c) for w in value_weights], shifts), attention


def apply_attention(
    padded: Sequence[Tensor], attention: Tensor, value_kernels: Sequence[Tensor], shifts: Sequence[int]
) -> Tensor:
    """Attention (B, heads, hidden, 8*hidden) times values as one dilated convolution for each shift.

    `padded`: the input, reflection-padded by each shift; `value_kernels`: (8*hidden, C, 3, 3) each.
    """
    b, n, hidden, _ = attention.shape
    c = value_kernels[0].shape[1]
    # Column j of head i is flat value channel i * 8 hidden + j, which is channel (flat // n) of shift (flat % n).
    kernels = interleave([w.flatten(1) for w in value_kernels], 0).unflatten(0, (n, -1))
    total: Tensor | None = None
    for s, (p, d) in enumerate(zip(padded, shifts, strict=True)):
        of_shift = (
            torch.arange(kernels.shape[1], device=p.device)
            + torch.arange(n, device=p.device)[:, None] * kernels.shape[1]
        ) % n == s
        masked = torch.stack([attention[:, i][..., of_shift[i]] @ kernels[i][of_shift[i]] for i in range(n)], 1)
        weight = masked.reshape(b * n * hidden, c, 3, 3)
        y = F.conv2d(p.reshape(1, b * c, *p.shape[-2:]), weight, dilation=d, groups=b).unflatten(1, (b, -1))[0]
        total = y if total is None else total + y
    assert total is not None
    return total
