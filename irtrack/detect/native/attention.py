"""DATrans blocks in training, on a CPU: their sums, attention times values and the gradients of both in C.

Without keys, as in `autocorrelation.py`: what scores need is a linear function of products of pixels, summed over a
frame. So its gradient is a 5x5 convolution of the block's input by a kernel that follows from the gradients of those
sums, the gradient of the weights is a product of small matrices, and no map of 8 x hidden channels is made either way.
`attention.c` has the loops; all that is small stays in torch, in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_long, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from irtrack.detect.autocorrelation import CENTRE, statistics_of_pairs
from irtrack.detect.directional import (
    Sums,
    Weights,
    attended_kernels,
    attention_from_scores,
    cosines,
    interleave,
    stencil,
)
from irtrack.detect.native import NativeKernels, channels_last, check_memory, coarse
from irtrack.detect.native.build import load_library

SEEN = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 1, 1], [0, 0, 1]]).float()
"""Which taps of a side see a place of the padded picture, by its zone: the border, the line within, the middle, ..."""

LAG = torch.tensor([[[t - s == lag for t in range(3)] for s in range(3)] for lag in range(-2, 3)]).float()
ALONG = torch.einsum("zs,lst->zlst", SEEN, LAG).reshape(25, 9)
"""By zone and lag, in shifts, and by taps s and t of a side: whether s sees a place there while t is so far from it."""

LEAST_PX = 64
"""Pixels of a frame for each channel of its keys, below which products of small matrices take longer than keys."""

TIMES = 2.0 * torch.ones(9, 9).tril() - torch.eye(9)
"""How often pairs of taps stand in a quadratic form of `pair_sums`: once, twice if they differ, in one order alone."""


class NativeAttention:
    """`fused_attention` with gradients by kernels in C, for maps of float32 or, if `half`, of bfloat16."""

    def __init__(self, cache: Path, half: bool = False) -> None:
        """Compile into the folder `cache` what is not there yet. Raises IrtrackError."""
        self.kernels = NativeKernels(cache, half)
        library = load_library(cache, half)
        self.centre, self.sums, self.attend = library.centre, library.pair_sums_of, library.attend
        self.attend_kernels, self.spread_back = library.attend_kernels, library.spread_back
        at, size = c_void_p, c_long
        self.centre.argtypes = [at, *[size] * 4, at, size, at]
        self.sums.argtypes = [at, *[size] * 5, at, at, at]
        self.attend.argtypes = [size, at, at, at, *[size] * 5, at]
        self.attend_kernels.argtypes = [at, at, *[size] * 6, at]
        self.spread_back.argtypes = [*[at] * 5, *[size] * 6, at]
        for procedure in (self.centre, self.attend_kernels):
            procedure.restype = None
        self.pair: Any = None
        if half:
            self.pair = library.paired
            self.pair.argtypes, self.pair.restype = [at, size, size, size, at], None

    def __call__(self, x: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        """As `fused_attention`, for x that `pays`."""
        c, shifts = x.shape[1], weights.shifts
        with torch.autocast("cpu", enabled=False):
            # Keys and values do not see a constant, and so neither does the gradient.
            mean = x.detach().mean((2, 3), dtype=torch.float32)
            frames = Frames(self, channels_last(x.detach()), coarse(mean) if self.pair else mean, shifts)
            sums = PairSums.apply(x, frames)  # type: ignore[no-untyped-call]
            wq = interleave([w.flatten(1) for w in weights.queries], 0)
            scores = cosines(score_sums(frames, sums, weights.keys), wq)
            attention = attention_from_scores(scores, weights.area_px)
            values = stencil(torch.cat(list(weights.values)), c).chunk(len(shifts))
            return Attend.apply(x, frames, *attended_kernels(attention, values)), attention  # type: ignore[no-untyped-call]

    def pays(self, x: Tensor, weights: Weights) -> bool:
        """Whether x (B, C, H, W) can be taken, and this is expected to be faster than making keys."""
        height, width = x.shape[2:]
        return min(height, width) >= 2 * max(weights.shifts) and height * width >= LEAST_PX * len(weights.keys[0])

    def paired(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) as sums over pixels take them: (B, H, W, C) words of a pixel and the one behind it."""
        pixels = x.permute(0, 2, 3, 1)
        if self.pair is None:
            return pixels
        words = torch.empty(pixels.shape)
        count, height, width, c = pixels.shape
        self.pair(pixels.data_ptr(), count * height, width, c, words.data_ptr())
        return words


class Frames:
    """The pictures of a batch less their means, padded for each shift."""

    def __init__(self, native: NativeAttention, x: Tensor, mean: Tensor, shifts: Sequence[int]) -> None:
        """x (B, C, H, W), channels last; mean (B, C), float32."""
        self.native, self.mean, self.shifts = native, mean.contiguous(), shifts
        count, c, height, width = x.shape
        self.size = (count, height, width, c)
        self.padded = [native.kernels.empty(count, c, height + 2 * d, width + 2 * d) for d in shifts]
        for p, d in zip(self.padded, shifts, strict=True):
            native.centre(x.data_ptr(), *self.size, self.mean.data_ptr(), d, p.data_ptr())
        self.words = [native.paired(p) for p in self.padded]

    def pair_sums(self) -> tuple[Tensor, Tensor, Tensor]:
        """As `autocorrelation.pair_sums`, by shift and picture; of pairs in one order alone."""
        count, c, n = self.size[0], self.size[3], len(self.shifts)
        made = torch.zeros(n, count, 9 * c, 9 * c), torch.zeros(n, count, 9 * c, c), torch.zeros(n, count, 9 * c)
        for shift, words, *of_shift in zip(self.shifts, self.words, *made, strict=True):
            outputs = (m.data_ptr() for m in of_shift)
            check_memory(self.native.sums(words.data_ptr(), *self.size, shift, *outputs))
        return made

    def attend(self, kernels: Sequence[Tensor]) -> Tensor:
        """Convolutions by kernels (B, O, C, 3, 3) of each shift, added up: (B, O, H, W)."""
        weights = [self.native.kernels.matrices(k.permute(0, 3, 4, 2, 1).flatten(1, 2)) for k in kernels]
        count, height, width, _ = self.size
        outputs, shifts = kernels[0].shape[1], (c_long * len(weights))(*self.shifts)
        out = self.native.kernels.empty(count, outputs, height, width)
        given = (len(weights), pointers(self.padded), shifts, pointers(weights))
        check_memory(self.native.attend(*given, *self.size, outputs, out.data_ptr()))
        return out

    def attend_kernels(self, gradient: Tensor) -> list[Tensor]:
        """Gradients of the kernels, from that of what `attend` gave."""
        words, (count, _, _, c), outputs = self.native.paired(gradient), self.size, gradient.shape[1]
        made = []
        for shift, padded in zip(self.shifts, self.words, strict=True):
            out = torch.zeros(count, 3, 3, outputs, c)
            self.native.attend_kernels(padded.data_ptr(), words.data_ptr(), *self.size, outputs, shift, out.data_ptr())
            made.append(out.permute(0, 3, 4, 1, 2))
        return made

    def sums_back(self, pairs: Tensor, centre: Tensor, taps: Tensor) -> Tensor:
        """Gradient of the pictures from those of `pair_sums`."""
        out, dtype = self.zeros(), self.native.kernels.dtype
        lags, lone = by_zone(pairs, centre, taps, 4 // dtype.itemsize)
        for shift, padded, lag, own in zip(self.shifts, self.padded, lags.to(dtype), lone, strict=True):
            given = (padded.data_ptr(), lag.data_ptr(), own.data_ptr(), None, None)
            check_memory(self.native.spread_back(*given, *self.size, 0, shift, out.data_ptr()))
        return out.to(dtype)

    def attend_back(self, gradient: Tensor, kernels: Sequence[Tensor]) -> Tensor:
        """Gradient of the pictures from that of what `attend` gave."""
        out = self.zeros()
        for shift, kernel in zip(self.shifts, kernels, strict=True):
            turned = self.native.kernels.matrices(kernel.permute(0, 3, 4, 1, 2).flatten(1, 2))
            given = (None, None, None, gradient.data_ptr(), turned.data_ptr())
            check_memory(self.native.spread_back(*given, *self.size, gradient.shape[1], shift, out.data_ptr()))
        return out.to(gradient.dtype)

    def zeros(self) -> Tensor:
        """Room for the pictures' gradient (B, C, H, W), float32."""
        count, height, width, c = self.size
        return torch.zeros(count, height, width, c).permute(0, 3, 1, 2)


class PairSums(torch.autograd.Function):
    """`Frames.pair_sums` with the gradient of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frames: Frames) -> tuple[Tensor, ...]:
        ctx.frames = frames
        return frames.pair_sums()

    @staticmethod
    def backward(ctx: Any, pairs: Tensor, centre: Tensor, taps: Tensor) -> tuple[Tensor, None]:
        return ctx.frames.sums_back(pairs, centre, taps), None


class Attend(torch.autograd.Function):
    """`Frames.attend` with the gradients of x and of the kernels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frames: Frames, *kernels: Tensor) -> Tensor:
        ctx.frames = frames
        ctx.save_for_backward(*kernels)
        return frames.attend(kernels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradient = channels_last(gradient)
        return ctx.frames.attend_back(gradient, ctx.saved_tensors), None, *ctx.frames.attend_kernels(gradient)


def score_sums(frames: Frames, sums: tuple[Tensor, Tensor, Tensor], key_weights: Sequence[Tensor]) -> Sums:
    """As `directional.score_sums`, from `PairSums`."""
    _, height, width, c = frames.size
    by_tap = stencil(torch.cat(list(key_weights)), c).permute(0, 2, 3, 1).flatten(1)
    by_tap = by_tap.unflatten(0, (len(key_weights), 1, -1))  # the same for all pictures
    grams, products, squares = statistics_of_pairs(frames.mean, by_tap, sums, height * width)
    return Sums(grams[0], list(products), list(squares))


def by_zone(pairs: Tensor, centre: Tensor, taps: Tensor, in_word: int) -> tuple[Tensor, Tensor]:
    """The gradients of `pair_sums` as kernels of the pictures' gradient: (n, B, 25, 25, C * C) and (n, B, 5, 5, C).

    By the zone of rows and the rows between a place and what it is multiplied by, then by columns likewise; last the
    channels of what it is multiplied by, `in_word` of them together as in `NativeKernels.matrices`, and of the place.
    """
    c, shape = centre.shape[3], centre.shape[:2]
    once = pairs.flatten(0, 1).unflatten(2, (9, c)).unflatten(1, (9, c)) * TIMES[:, None, :, None]
    once[:, :, :, CENTRE] += centre.flatten(0, 1).unflatten(1, (9, c))
    both = once + once.permute(0, 3, 4, 1, 2)  # a product has two factors
    apart = both.unflatten(4, (-1, in_word)).unflatten(3, (3, 3)).unflatten(1, (3, 3))
    by_row = ALONG @ apart.permute(0, 1, 4, 2, 5, 6, 3, 7).reshape(len(both), 9, -1)  # rows, columns, channels
    lags = ALONG @ by_row.unflatten(2, (9, -1))
    lone = torch.einsum("zs,wt,nbstc->nbzwc", SEEN, SEEN, taps.unflatten(2, (3, 3, c)))
    return lags.unflatten(0, shape), lone.contiguous()


def pointers(tensors: Sequence[Tensor]) -> Any:
    """Their addresses as an array."""
    return (c_void_p * len(tensors))(*(t.data_ptr() for t in tensors))
