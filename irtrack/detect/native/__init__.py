"""The network's arithmetic in C, for single precision on a CPU, where the machine has a C compiler.

Convolutions need less than half of the products (`convolution.c`), and sums over pixels of products of keys are made of
sums of products of pixels, without keys (`pairs.c`; the idea of `autocorrelation.py`, with a border that costs next to
nothing). Threads are those of torch, whose OpenMP library serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_float, c_int, c_long, c_void_p
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from irtrack.detect.autocorrelation import window_sums
from irtrack.detect.directional import Sums, pixels_by_channels
from irtrack.detect.kernels import Kernels
from irtrack.detect.native.build import load_library

KEY_COST, PAIR_LAGS = 6.3, 13
"""What a pixel costs: of a channel of keys for each channel of the input, and of a pair of channels of the input."""

FILTER = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
"""G of F(2x2, 3x3): a line of a kernel to four places."""


class NativeKernels(Kernels):
    """`Kernels` in C. Tensors are float32, on the CPU; numbers of channels other than 1 are multiples of 4."""

    def __init__(self, cache: Path) -> None:
        """Compile into the folder `cache` what is not there yet. Raises IrtrackError."""
        library = load_library(cache)
        self._convolve, self._pair_sums, self._head = library.convolve, library.pair_sums, library.head
        picture, size, flag = c_void_p, c_long, c_int
        self._convolve.argtypes = [picture, size, picture, *[size] * 5, flag, size, picture, picture, size, flag]
        self._convolve.argtypes += [c_float, picture]
        self._pair_sums.argtypes = [picture, *[size] * 4, picture, picture]
        self._head.argtypes = [picture, *[size] * 3, picture, c_float, picture]
        self._head.restype = None

    def weights(self, kernel: Tensor) -> Tensor:
        """(O, C, 3, 3) -> G W G' (16, C, O)."""
        both = torch.kron(FILTER, FILTER)
        return (both @ kernel.permute(2, 3, 1, 0).flatten(2).flatten(0, 1)).unflatten(1, kernel.shape[1::-1])

    def bordered(self, x: Tensor, shift: int) -> Tensor:
        """x itself: `convolve` reflects where it reads."""
        return x

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
        rows: slice | None = None,
    ) -> Tensor:
        """As `Kernels.convolve`; `rows`: only these of the result."""
        outputs = weights.shape[2]
        pixels = [channels_last(x) for x in parts]
        count, height, width, _ = pixels[0].shape
        rows = slice(0, height) if rows is None else rows
        bias = torch.zeros(outputs) if bias is None else bias
        out = torch.empty(count, rows.stop - rows.start, width, outputs) if onto is None else channels_last(onto)
        first, second = pixels[0], pixels[1] if len(pixels) > 1 else None
        for i in range(count):
            short = self._convolve(
                first[i].data_ptr(),
                first.shape[3],
                None if second is None else second[i].data_ptr(),
                0 if second is None else second.shape[3],
                height,
                width,
                rows.start,
                rows.stop - rows.start,
                reflect,
                shift,
                weights.data_ptr(),
                bias.data_ptr(),
                outputs,
                onto is not None,
                slope,
                out[i].data_ptr(),
            )
            if short:
                raise MemoryError("no memory to convolve a frame")
        return out.permute(0, 3, 1, 2)

    def sums(
        self,
        x: Tensor,
        mean: Tensor,
        bordered: Sequence[Tensor],
        key_kernels: Sequence[Tensor],
        shifts: Sequence[int],
        rows: slice,
    ) -> Sums:
        """As `Kernels.sums`, by pairs of taps or by keys, whichever is expected to be faster."""
        part = x[:, :, rows]
        pixels = pixels_by_channels(part)
        made = []
        for centred, kernel, shift in zip(bordered, key_kernels, shifts, strict=True):
            if pays(kernel.shape[1], kernel.shape[0], part.shape[2], part.shape[3], shift):
                padded = F.pad(centred, (shift,) * 4, mode="reflect")[:, :, rows.start : rows.stop + 2 * shift]
                made.append(self.statistics(mean.flatten(1), padded, kernel, shift))
            else:
                keys = self.convolve([centred], self.weights(kernel), shift=shift, reflect=True, rows=rows)
                keys = pixels_by_channels(keys)
                made.append((pixels.transpose(1, 2) @ keys, (keys * keys).sum(1)))
        return Sums(pixels.transpose(1, 2) @ pixels, [m[0] for m in made], [m[1] for m in made])

    def statistics(self, mean: Tensor, padded: Tensor, kernel: Tensor, shift: int) -> tuple[Tensor, Tensor]:
        """X K' (B, C, O) and |K|^2 (B, O) over all pixels of the frame, as `autocorrelated_statistics`.

        mean (B, C) of the input X; padded (B, C, H + 2 shift, W + 2 shift): X less its mean; kernel (O, C, 3, 3).
        """
        by_tap = kernel.permute(0, 2, 3, 1).flatten(1)  # (O, 9C)
        products, squares = [], []
        for own_mean, picture in zip(mean, padded, strict=True):
            pairs, centre = self.pair_sums(picture[None], shift)
            seen = by_tap @ window_sums(picture[None], shift).T.flatten()
            products.append((by_tap @ centre).T + own_mean[:, None] * seen)
            squares.append(((by_tap @ pairs) * by_tap).sum(1))
        return torch.stack(products), torch.stack(squares)

    def pair_sums(self, padded: Tensor, shift: int) -> tuple[Tensor, Tensor]:
        """Sums over a frame's pixels of products of taps, of one picture (1, C, H + 2 shift, W + 2 shift).

        pairs (9C, 9C): a quadratic form in it is that of all pairs of taps; centre (9C, C): each tap with the pixel.
        """
        pixels = channels_last(padded)[0]
        height, width, c = pixels.shape
        pairs, centre = torch.zeros(9 * c, 9 * c), torch.zeros(9 * c, c)
        short = self._pair_sums(
            pixels.data_ptr(), height - 2 * shift, width - 2 * shift, c, shift, pairs.data_ptr(), centre.data_ptr()
        )
        if short:
            raise MemoryError("no memory for the sums of a frame")
        return pairs, centre

    def head(self, x: Tensor, square: Tensor, wide: Tensor, high: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
        """As `Kernels.head`, by the taps."""
        pixels = channels_last(x)
        count, height, width, c = pixels.shape
        out = torch.empty(count, 1, height, width)
        for picture, logits in zip(pixels, out, strict=True):
            self._head(picture.data_ptr(), height, width, c, taps.data_ptr(), float(bias), logits.data_ptr())
        return out


def channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), contiguous; a view where the layout is channels-last."""
    return x.permute(0, 2, 3, 1).contiguous()


def pays(channels: int, outputs: int, height: int, width: int, shift: int) -> bool:
    """Whether sums of pairs can be used and are expected to be faster than making keys."""
    if min(height, width) < 2 * shift:
        return False
    pairs = PAIR_LAGS * channels**2 * (height + shift) * (width + shift) + 81 * channels**2 * outputs
    return pairs < KEY_COST * channels * outputs * height * width
