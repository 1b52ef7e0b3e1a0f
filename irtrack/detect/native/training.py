"""`Operations` in C for training on a CPU, for maps of float32 and, where the processor multiplies it, bfloat16."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_float, c_long, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from irtrack.detect.native import channels_last, check_memory
from irtrack.detect.native.attention import NativeAttention
from irtrack.detect.native.build import load_library, multiplies_bfloat16
from irtrack.detect.operations import Operations


class NativeOperations(Operations):
    """What the kernels do not take is done by torch: other types, other devices, running statistics."""

    def __init__(self, cache: Path) -> None:
        """Compile into the folder `cache` what is not there yet. Raises IrtrackError."""
        halves = {torch.float32: False} | ({torch.bfloat16: True} if multiplies_bfloat16() else {})
        self.attention = {dtype: NativeAttention(cache, half) for dtype, half in halves.items()}
        self.norms = {dtype: Norms(cache, half) for dtype, half in halves.items()}

    def __deepcopy__(self, memo: dict[int, Any]) -> NativeOperations:
        return self  # nothing in it belongs to a network

    def attend(
        self,
        x: Tensor,
        query_weights: Sequence[Tensor],
        key_weights: Sequence[Tensor],
        value_weights: Sequence[Tensor],
        shifts: Sequence[int],
        area_px: int,
    ) -> tuple[Tensor, Tensor]:
        """As `Operations.attend`."""
        native = self.attention.get(x.dtype) if x.device.type == "cpu" else None
        if native is None or not native.pays(x, key_weights, shifts):
            return super().attend(x, query_weights, key_weights, value_weights, shifts, area_px)
        return native(x, query_weights, key_weights, value_weights, shifts, area_px)

    def normalise(self, norm: nn.BatchNorm2d, x: Tensor, slope: float = 1.0, onto: Tensor | None = None) -> Tensor:
        """As `Operations.normalise`."""
        native = self.norms.get(x.dtype) if x.device.type == "cpu" and norm.training else None
        if native is None or not (onto is None or onto.dtype == x.dtype):
            return super().normalise(norm, x, slope, onto)
        y, mean, variance = Normalise.apply(x, norm.weight, norm.bias, onto, slope, norm.eps, native)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            count = x.numel() // x.shape[1]
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)
            norm.num_batches_tracked.add_(1)
        return y


class Norms:
    """The procedures of `norm.c` for maps of one type."""

    def __init__(self, cache: Path, half: bool) -> None:
        library = load_library(cache, half)
        at, size = c_void_p, c_long
        self.moments, self.scale = library.moments, library.scale
        self.unscale_moments, self.unscale = library.unscale_moments, library.unscale
        self.moments.argtypes = [at, size, size, at, at]
        self.scale.argtypes = [at, size, size, at, at, at, c_float, at]
        self.unscale_moments.argtypes = [at, at, at, size, size, at, c_float, at]
        self.unscale.argtypes = [at, at, at, size, size, at, c_float, at, at]
        self.scale.restype = self.unscale.restype = None


class Normalise(torch.autograd.Function):
    """x (B, C, H, W) normalised over the batch, times weight, plus bias and `onto`, rectified; its mean and variance."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        onto: Tensor | None,
        slope: float,
        eps: float,
        native: Norms,
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = channels_last(x)
        c, pixels = x.shape[1], x.numel() // x.shape[1]
        about = x[0, :, 0, 0].float()  # sums of what is near zero lose no digits
        sums = torch.empty(2, c, dtype=torch.float64)
        check_memory(native.moments(x.data_ptr(), pixels, c, about.data_ptr(), sums.data_ptr()))
        first, second = sums / pixels
        mean, variance = first + about, (second - first.square()).clamp_min(0)
        inverse = (variance + eps).rsqrt()
        scale = inverse * weight
        offset = (bias - mean * scale).float()
        y, scale = torch.empty_like(x), scale.float()
        onto = None if onto is None else channels_last(onto)
        given = (x.data_ptr(), pixels, c, scale.data_ptr(), offset.data_ptr(), None if onto is None else onto.data_ptr())
        native.scale(*given, slope, y.data_ptr())
        ctx.save_for_backward(x, y, weight, mean, inverse)
        ctx.slope, ctx.native, ctx.onto = slope, native, onto is not None
        made = mean.float(), variance.float()
        ctx.mark_non_differentiable(*made)
        return y, *made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, y, weight, mean, inverse = ctx.saved_tensors
        gradient = channels_last(gradient)
        c, pixels, slope = x.shape[1], x.numel() // x.shape[1], ctx.slope
        sums = torch.empty(2, c, dtype=torch.float64)
        given = (gradient.data_ptr(), y.data_ptr(), x.data_ptr(), pixels, c)
        about = mean.float()
        check_memory(ctx.native.unscale_moments(*given, about.data_ptr(), slope, sums.data_ptr()))
        of_bias, of_weight = sums[0], sums[1] * inverse
        own = weight * inverse
        times = -own * inverse * of_weight / pixels
        factors = torch.stack([own, times, -own * of_bias / pixels - times * mean]).float()
        out, aside = torch.empty_like(x), torch.empty_like(x) if ctx.onto else None
        aside_at = None if aside is None else aside.data_ptr()
        ctx.native.unscale(*given, factors.data_ptr(), slope, aside_at, out.data_ptr())
        return out, of_weight.to(weight.dtype), of_bias.to(weight.dtype), aside, None, None, None
