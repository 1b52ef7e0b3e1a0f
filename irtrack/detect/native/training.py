"""`Operations` in C for training on a CPU, for maps of float32 and, where the processor multiplies it, bfloat16."""

from __future__ import annotations

from ctypes import c_float, c_long, c_void_p
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irtrack.detect.directional import Weights
from irtrack.detect.inference import head_stencils, head_taps
from irtrack.detect.native import NativeKernels, channels_last, check_memory
from irtrack.detect.native.attention import NativeAttention
from irtrack.detect.native.build import load_library, multiplies_bfloat16
from irtrack.detect.network import InceptionDepthwise
from irtrack.detect.operations import Operations

REACH = 5
"""Of the head's stencils, in pixels."""


class NativeOperations(Operations):
    """What the kernels do not take, other types, numbers of channels and devices, is done by torch."""

    def __init__(self, cache: Path) -> None:
        """Compile into the folder `cache` what is not there yet. Raises IrtrackError."""
        halves = {torch.float32: False} | ({torch.bfloat16: True} if multiplies_bfloat16() else {})
        self._attention = {dtype: NativeAttention(cache, half) for dtype, half in halves.items()}
        self._elements = {dtype: Elements(cache, half) for dtype, half in halves.items()}

    def __deepcopy__(self, memo: dict[int, Any]) -> NativeOperations:
        return self  # nothing in it belongs to a network

    def attend(self, x: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        """As `Operations.attend`, without keys where that pays."""
        native = self._attention.get(x.dtype)
        if native is None or not taken(x) or not native.pays(x, weights):
            return super().attend(x, weights)
        return native(x, weights)

    def convolve(self, conv: nn.Module, x: Tensor) -> Tensor:
        """As `Operations.convolve`; in bfloat16 torch's are as fast, and round less than minimal filtering."""
        halved = torch.is_autocast_enabled("cpu") or x.dtype != torch.float32
        if halved or not taken(x) or len(cast(Tensor, conv.weight)) % 4:
            return super().convolve(conv, x)
        kernels = self._elements[torch.float32].kernels
        return Convolve.apply(x, conv.weight, conv.bias, kernels)  # type: ignore[no-untyped-call]

    def normalise(self, norm: nn.Module, x: Tensor, slope: float = 1.0, onto: Tensor | None = None) -> Tensor:
        """As `Operations.normalise`."""
        native, same = self._elements.get(x.dtype), onto is None or onto.dtype == x.dtype
        if native is None or not norm.training or not taken(x) or not same:
            return super().normalise(norm, x, slope, onto)
        batch_norm = cast(nn.BatchNorm2d, norm)
        y, moments = Normalise.apply(x, norm.weight, norm.bias, onto, slope, batch_norm.eps, native)  # type: ignore[no-untyped-call]
        count, rate = x.numel() // x.shape[1], cast(float, batch_norm.momentum)
        mean, variance = moments.float()
        with torch.no_grad():
            cast(Tensor, norm.running_mean).lerp_(mean, rate)
            cast(Tensor, norm.running_var).lerp_(variance * (count / (count - 1)), rate)
            cast(Tensor, norm.num_batches_tracked).add_(1)
        return y

    def join(self, skip: Tensor, x: Tensor, gate: Tensor) -> Tensor:
        """As `Operations.join`."""
        native = self._elements.get(x.dtype)
        if native is None or not taken(x) or not skip.dtype == gate.dtype == x.dtype:
            return super().join(skip, x, gate)
        return Join.apply(skip, x, gate, native)  # type: ignore[no-untyped-call]

    def head(self, stencils: nn.Sequential, x: Tensor) -> Tensor:
        """As `Operations.head`, its stencils made one; the logits are float32."""
        native = self._elements.get(x.dtype)
        if native is None or not taken(x) or x.shape[1] * x.element_size() % 16:  # the smallest vectors
            return super().head(stencils, x)
        with torch.autocast("cpu", enabled=False):
            depthwise, point = stencils
            square, wide, high, bias = head_stencils(cast(InceptionDepthwise, depthwise), cast(nn.Conv2d, point))
            return Head.apply(x, head_taps(square, wide, high), native) + bias  # type: ignore[no-untyped-call]


def taken(x: Tensor) -> bool:
    """Whether the kernels take maps (B, C, H, W) of these sizes and where they are."""
    return x.device.type == "cpu" and x.shape[1] % 4 == 0


class Convolve(torch.autograd.Function):
    """A 3x3 convolution of x (B, C, H, W) and its gradient by minimal filtering; that of the kernel is torch's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor, kernels: NativeKernels) -> Tensor:
        x = channels_last(x)
        ctx.save_for_backward(x, kernel)
        ctx.kernels = kernels
        return kernels.convolve([x], kernels.weights(kernel), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (x, kernel), gradient = ctx.saved_tensors, channels_last(gradient)
        sizes = ([len(kernel)], [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
        _, of_kernel, of_bias = torch.ops.aten.convolution_backward(gradient, x, kernel, *sizes, [False, True, True])
        turned = ctx.kernels.weights(kernel.flip(2, 3).transpose(0, 1))
        return ctx.kernels.convolve([gradient], turned), of_kernel, of_bias, None


class Elements:
    """Procedures of `norm.c`, `elements.c` and `head.c` for maps of one type."""

    def __init__(self, cache: Path, half: bool) -> None:
        self.kernels = NativeKernels(cache, half)
        library = load_library(cache, half)
        at, size = c_void_p, c_long
        self.normalise, self.normalise_back = library.normalise, library.normalise_back
        self.normalise.argtypes = [at, size, size, at, at, c_float, at, c_float, at, at]
        self.normalise_back.argtypes = [at, at, at, size, size, at, c_float, c_float, at, at, at, at]
        self.head_back = library.head_back
        self.head_back.argtypes = [at, at, *[size] * 4, at, at, at]
        self.join, self.join_back = library.join, library.join_back
        self.join.argtypes = [at, at, at, *[size] * 4, at]
        self.join_back.argtypes = [at, at, at, *[size] * 4, at, at, at]


class Normalise(torch.autograd.Function):
    """x (B, C, H, W) normalised over the batch, times weight, plus bias and `onto`, rectified.

    Beside it its mean and variance (2, C), float64.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        onto: Tensor | None,
        slope: float,
        eps: float,
        native: Elements,
    ) -> tuple[Tensor, Tensor]:
        x, onto = channels_last(x), None if onto is None else channels_last(onto)
        c = x.shape[1]
        y, moments = torch.empty_like(x), torch.empty(2, c, dtype=torch.float64)
        given = (x.data_ptr(), x.numel() // c, c, weight.data_ptr(), bias.data_ptr(), eps)
        onto_at = None if onto is None else onto.data_ptr()
        check_memory(native.normalise(*given, onto_at, slope, moments.data_ptr(), y.data_ptr()))
        ctx.save_for_backward(x, y, weight, moments)
        ctx.given = eps, slope, native, onto is not None
        ctx.mark_non_differentiable(moments)
        return y, moments

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (x, y, weight, moments), (eps, slope, native, joined) = ctx.saved_tensors, ctx.given
        gradient, c = channels_last(gradient), x.shape[1]
        out, aside, sums = torch.empty_like(x), torch.empty_like(x) if joined else None, torch.empty_like(moments)
        maps = (gradient.data_ptr(), y.data_ptr(), x.data_ptr(), x.numel() // c, c)
        made = (sums.data_ptr(), None if aside is None else aside.data_ptr(), out.data_ptr())
        check_memory(native.normalise_back(*maps, weight.data_ptr(), eps, slope, moments.data_ptr(), *made))
        of_bias, of_weight = sums.to(weight.dtype)
        return out, of_weight, of_bias, aside, None, None, None


class Join(torch.autograd.Function):
    """`Operations.join` and its gradients."""

    @staticmethod
    def forward(ctx: Any, skip: Tensor, x: Tensor, gate: Tensor, native: Elements) -> Tensor:
        skip, x, gate = (channels_last(v) for v in (skip, x, gate))
        count, c, height, width = x.shape
        out = torch.empty(count, 2 * c, 2 * height, 2 * width, dtype=x.dtype, memory_format=torch.channels_last)
        maps = (skip.data_ptr(), x.data_ptr(), gate.data_ptr())
        check_memory(native.join(*maps, count, height, width, c, out.data_ptr()))
        ctx.save_for_backward(x, gate)
        ctx.native = native
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (x, gate), gradient = ctx.saved_tensors, channels_last(gradient)
        count, c, height, width = x.shape
        of_skip, of_x, of_gate = torch.empty_like(gate), torch.empty_like(x), torch.empty_like(gate)
        maps, made = (x, gate, gradient), (of_skip, of_x, of_gate)
        given, taken_to = ([v.data_ptr() for v in part] for part in (maps, made))
        check_memory(ctx.native.join_back(*given, count, height, width, c, *taken_to))
        return of_skip, of_x, of_gate, None


class Head(torch.autograd.Function):
    """`NativeKernels.tapped` without a bias, and its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, native: Elements) -> Tensor:
        x = channels_last(x)
        ctx.save_for_backward(x, taps)
        ctx.native = native
        return native.kernels.tapped(x, taps, 0.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, taps = ctx.saved_tensors
        count, c, height, width = x.shape
        wide = F.pad(gradient.contiguous(), (REACH,) * 4)
        out, sums = torch.empty_like(x), torch.empty(taps.shape, dtype=torch.float64)
        given = (x.data_ptr(), wide.data_ptr(), count, height, width, c, taps.data_ptr())
        check_memory(ctx.native.head_back(*given, sums.data_ptr(), out.data_ptr()))
        return out, sums.float(), None
