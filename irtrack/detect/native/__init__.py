"""The network's arithmetic in C, for single precision on a CPU, where the machine has a C compiler.

Convolutions need less than half of the products (`convolution.c`), and sums over pixels of products of keys are made of
sums of products of pixels, without keys (`pairs.c`; as in `autocorrelation.py`). Threads are those of torch, whose
OpenMP library serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_float, c_int, c_long, c_void_p
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from irtrack.detect.autocorrelation import statistics_of_pairs
from irtrack.detect.directional import Sums
from irtrack.detect.kernels import Kernels, summed_taps
from irtrack.detect.native.build import load_library

KEY_COST, PAIR_LAGS = 4.8, 13
"""What a pixel costs: of a channel of keys for each channel of the input, and of a pair of channels of the input."""

NEAR, FAR = 0.5**0.5, 2.0**0.5
LINE = torch.tensor(
    [
        *([1, 0, 0], [-2 / 3, -2 / 3 * NEAR, -1 / 3], [-2 / 3, 2 / 3 * NEAR, -1 / 3]),
        *([1 / 6, FAR / 6, 1 / 3], [1 / 6, -FAR / 6, 1 / 3], [0, 0, 1]),
    ]
)
"""G of F(4x4, 3x3): a line of a kernel to its values at six places, 0, -+ `NEAR`, -+ `FAR` and infinity."""

FILTER = torch.kron(LINE, LINE)
"""The nine taps of a kernel to its 36 places."""


class NativeKernels(Kernels):
    """`Kernels` in C. Tensors are on the CPU, of float32 or, if `half`, of bfloat16.

    Numbers of channels other than 1 are multiples of 4. Sums are float32 in both.
    """

    def __init__(self, cache: Path, half: bool = False) -> None:
        """Compile into the folder `cache` what is not there yet. Raises IrtrackError."""
        self.dtype = torch.bfloat16 if half else torch.float32
        self.single = NativeKernels(cache) if half else self
        library = load_library(cache, half)
        self._convolve, self._pair_sums, self._head = library.convolve, library.pair_sums, library.head
        picture, size, flag = c_void_p, c_long, c_int
        self._convolve.argtypes = [picture, size, picture, *[size] * 5, flag, size, picture, picture, size, picture]
        self._convolve.argtypes += [c_float, picture]
        self._pair_sums.argtypes = [picture, *[size] * 4, picture, picture, picture]
        if not half:
            self._cross_sums = library.cross_sums
            self._cross_sums.argtypes = [picture, picture, *[size] * 3, picture, picture]
        self._head.argtypes = [picture, *[size] * 3, picture, c_float, picture]
        self._pad, self._halve, self._begin, self._lift = library.pad, library.halve, library.begin, library.lift
        self._pad.argtypes = [picture, *[size] * 3, picture, size, picture]
        self._halve.argtypes = [picture, *[size] * 3, picture]
        self._begin.argtypes = [picture, *[size] * 3, picture, picture, picture, c_float, picture, picture]
        self._lift.argtypes = [picture, *[size] * 3, *[picture] * 4]
        self._mix = library.mix
        self._mix.argtypes = [picture, size, size, picture, picture, size, c_float, picture]
        for procedure in (self._head, self._pad, self._halve, self._begin):
            procedure.restype = None

    def weights(self, kernel: Tensor) -> Tensor:
        """(O, C, 3, 3) -> G W G' (36, C, O), as `matrices`."""
        places = FILTER @ kernel.permute(2, 3, 1, 0).flatten(2).flatten(0, 1)
        return self.matrices(places.unflatten(1, kernel.shape[1::-1]))

    def matrices(self, x: Tensor) -> Tensor:
        """Matrices (..., C, O) as the kernels take them: in half precision two successive rows lie side by side."""
        x = x.contiguous()
        if self.dtype == torch.float32:
            return x
        return x.to(self.dtype).unflatten(-2, (-1, 2)).transpose(-1, -2).contiguous().view(x.shape)

    def bordered(self, x: Tensor, shifts: Sequence[int], mean: Tensor | None = None) -> list[Tensor]:
        """x itself: `convolve` reflects where it reads, and `sums` takes the mean off."""
        return [x] * len(shifts)

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
        count, _, height, width = pixels[0].shape
        rows = slice(0, height) if rows is None else rows
        out = self.empty(count, outputs, rows.stop - rows.start, width)
        channels = [p.shape[1] for p in pixels] + [0] * (2 - len(pixels))
        bias_at = None if bias is None else bias.data_ptr()
        nothing = [None] * count
        given = [addresses(p) for p in pixels] + [nothing] * (2 - len(pixels))
        onto = None if onto is None else channels_last(onto)  # held by its name while its address is used
        onto_at = nothing if onto is None else addresses(onto)
        for first, second, added, made in zip(*given, onto_at, addresses(out), strict=True):
            short = self._convolve(
                *(first, channels[0], second, channels[1], height, width, rows.start, rows.stop - rows.start, reflect),
                *(shift, weights.data_ptr(), bias_at, outputs, added, slope, made),
            )
            check_memory(short)
        return out

    def empty(self, *shape: int) -> Tensor:
        """Room for a map (B, C, H, W)."""
        return torch.empty(shape, dtype=self.dtype, memory_format=torch.channels_last)

    def mix_weights(self, kernel: Tensor) -> Tensor:
        """(O, C, 1, 1) -> (C, O), as `matrices`."""
        return self.matrices(kernel.flatten(1).T)

    def mix(self, x: Tensor, weight: Tensor, bias: Tensor, slope: float = 1.0) -> Tensor:
        """As `Kernels.mix`."""
        x = channels_last(x)
        count, c, height, width = x.shape
        out = self.empty(count, len(bias), height, width)
        matrix = (weight.data_ptr(), bias.data_ptr(), len(bias))
        check_memory(self._mix(x.data_ptr(), count * height * width, c, *matrix, slope, out.data_ptr()))
        return out

    def key_weights(self, kernel: Tensor) -> list[Tensor]:
        """By tap (O, 9C), and for `convolve`; float32."""
        return [kernel.permute(0, 2, 3, 1).flatten(1), self.single.weights(kernel)]

    def sums(
        self,
        x: Tensor,
        mean: Tensor,
        bordered: Sequence[Tensor],
        keys: Sequence[Sequence[Tensor]],
        shifts: Sequence[int],
        rows: slice,
    ) -> Sums:
        """As `Kernels.sums`, by pairs of taps or by keys, whichever is expected to be faster."""
        parts = [self.sums_of_one(x[i : i + 1], mean[i : i + 1], keys, shifts, rows) for i in range(len(x))]
        return Sums(
            torch.cat([p.gram for p in parts]),
            [torch.cat([p.products[s] for p in parts]) for s in range(len(shifts))],
            [torch.cat([p.squares[s] for p in parts]) for s in range(len(shifts))],
        )

    def sums_of_one(
        self, x: Tensor, mean: Tensor, keys: Sequence[Sequence[Tensor]], shifts: Sequence[int], rows: slice
    ) -> Sums:
        """`sums` of one picture (1, C, H, W)."""
        part = x[:, :, rows]
        channels, height, width = part.shape[1:]
        near = mean if self.single is self else coarse(mean)
        gram: Tensor | None = None
        centred: Tensor | None = None
        products, squares = [], []
        for (by_tap, weights), shift in zip(keys, shifts, strict=True):
            if pays(channels, len(by_tap), height, width, shift):
                padded = self.padded(x, near, shift)[:, :, rows.start : rows.stop + 2 * shift]
                sums = self.pair_sums(padded, shift)
                gram, product, square = statistics_of_pairs(near.flatten(), by_tap, sums, height * width)
            else:
                centred = self.single.padded(x, mean, 0) if centred is None else centred
                made = self.single.convolve([centred], weights, shift=shift, reflect=True, rows=rows)
                product, square = self.single.cross_sums(part, made)
            products.append(product[None])
            squares.append(square[None])
        return Sums((self.single.cross_sums(part, part)[0] if gram is None else gram)[None], products, squares)

    def padded(self, x: Tensor, mean: Tensor, shift: int) -> Tensor:
        """x (B, C, H, W), float32, less its mean (B, C, 1, 1), with a reflected border, as `pair_sums` reads it."""
        x, means = channels_last(x), mean.flatten(1).contiguous()
        count, c, height, width = x.shape
        out = self.single.empty(count, c, height + 2 * shift, width + 2 * shift)
        for picture, own, made in zip(addresses(x), addresses(means), addresses(out), strict=True):
            self._pad(picture, height, width, c, own, shift, made)
        return out

    def pair_sums(self, padded: Tensor, shift: int) -> tuple[Tensor, Tensor, Tensor]:
        """As `autocorrelation.pair_sums`."""
        padded = channels_last(padded)
        _, c, height, width = padded.shape
        pairs, centre, taps = torch.zeros(9 * c, 9 * c), torch.zeros(9 * c, c), torch.zeros(9 * c)
        made = (pairs.data_ptr(), centre.data_ptr(), taps.data_ptr())
        check_memory(self._pair_sums(padded.data_ptr(), height - 2 * shift, width - 2 * shift, c, shift, *made))
        return pairs, centre, taps

    def cross_sums(self, x: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """X K' (C, O) and |K|^2 (O,) over the pixels of x (1, C, H, W) and keys (1, O, H, W)."""
        a, b = channels_last(x), channels_last(keys)
        c, d, pixels = a.shape[1], b.shape[1], a.shape[2] * a.shape[3]
        product, square = torch.zeros(d, c), torch.zeros(d)
        made = (product.data_ptr(), square.data_ptr())
        check_memory(self._cross_sums(a.data_ptr(), b.data_ptr(), pixels, c, d, *made))
        return product.T, square

    def head(self, x: Tensor, square: Tensor, wide: Tensor, high: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
        """As `Kernels.head`, by the taps."""
        if x.shape[1] * x.element_size() % 16:  # not even the smallest vector; small networks of tests
            return summed_taps(x.float(), taps, bias)
        return self.tapped(x, taps, float(bias))

    def tapped(self, x: Tensor, taps: Tensor, bias: float) -> Tensor:
        """x (B, C, H, W) by taps (25, C) at `HEAD_PLACES`, plus bias: (B, 1, H, W), float32."""
        x = channels_last(x)
        count, c, height, width = x.shape
        out, weights = torch.empty(count, 1, height, width), taps.to(self.dtype)
        for picture, logits in zip(addresses(x), addresses(out), strict=True):
            self._head(picture, height, width, c, weights.data_ptr(), bias, logits)
        return out

    def begin_weights(self, kernel: Tensor) -> Tensor:
        """(O, 1, 3, 3) -> (9, O)."""
        return kernel.flatten(1).T.contiguous()

    def begin(
        self,
        grey: Tensor,
        weights: tuple[Tensor, Tensor],
        biases: tuple[Tensor, Tensor],
        scales: Tensor,
        slope: float,
    ) -> Tensor:
        """As `Kernels.begin`."""
        grey = grey.contiguous()
        count, _, height, width = grey.shape
        c = len(biases[0])
        y, scaled = self.empty(count, c, height, width), self.empty(count, c, height, width)
        given = (weights[0].data_ptr(), biases[0].data_ptr(), scales.data_ptr(), slope)
        for picture, made, times in zip(addresses(grey), addresses(y), addresses(scaled), strict=True):
            self._begin(picture, height, width, c, *given, made, times)
        return self.convolve([y], weights[1], biases[1], slope=slope, onto=scaled)

    def residual_weights(self, kernel: Tensor, shortcut: Tensor | None) -> list[Tensor]:
        """As `Kernels.residual_weights`: the shortcut as the centre tap of a kernel for channels behind the others."""
        if shortcut is None:
            return [self.weights(kernel)]
        return [self.weights(torch.cat([kernel, F.pad(shortcut, (1, 1, 1, 1))], 1))]

    def residual(self, y: Tensor, x: Tensor, weights: Sequence[Tensor], bias: Tensor, slope: float) -> Tensor:
        """As `Kernels.residual`."""
        joined = weights[0].shape[1] > y.shape[1]
        return self.convolve([y, x] if joined else [y], weights[0], bias, slope=slope, onto=None if joined else x)

    def halve(self, x: Tensor) -> Tensor:
        """As `Kernels.halve`."""
        x = channels_last(x)
        count, c, height, width = x.shape
        out = self.empty(count, c, height // 2, width // 2)
        for picture, made in zip(addresses(x), addresses(out), strict=True):
            self._halve(picture, height, width, c, made)
        return out

    def lift(self, x: Tensor, encoded: Tensor, weight: Tensor, bias: Tensor, tent: Tensor) -> Tensor:
        """As `Kernels.lift`."""
        x, encoded = channels_last(x), channels_last(encoded)
        count, c, height, width = x.shape
        out = self.empty(count, c, 2 * height, 2 * width)
        gate = (weight.data_ptr(), bias.data_ptr())
        for picture, own, made in zip(addresses(x), addresses(encoded), addresses(out), strict=True):
            check_memory(self._lift(picture, height, width, c, own, *gate, made))
        return out


def coarse(mean: Tensor) -> Tensor:
    """Means of maps to four bits: what bfloat16 differs from them by is bfloat16 again, but for values much smaller.

    Off the mean itself, all values of one size would be rounded the same way.
    """
    mantissa, exponent = torch.frexp(mean)
    return torch.ldexp((16 * mantissa).round() / 16, exponent)


def check_memory(short: int) -> None:
    """Raises MemoryError where a kernel says that memory was short."""
    if short:
        raise MemoryError("no memory for a frame's maps")


def addresses(x: Tensor) -> list[int]:
    """Those of the pictures of a contiguous batch."""
    start, step = x.data_ptr(), x.element_size() * (x.numel() // len(x))
    return [start + i * step for i in range(len(x))]


def channels_last(x: Tensor) -> Tensor:
    """x (B, C, H, W) as the kernels want it; itself where it is so already."""
    return x.contiguous(memory_format=torch.channels_last)


def pays(channels: int, outputs: int, height: int, width: int, shift: int) -> bool:
    """Whether sums of pairs can be used and are expected to be faster than making keys."""
    if min(height, width) < 2 * shift:
        return False
    pairs = PAIR_LAGS * channels**2 * (height + shift) * (width + shift) + 81 * channels**2 * outputs
    return pairs < KEY_COST * channels * outputs * height * width
