"""What pictures of scenes are made of: noise of a colour, points of light, streaks of a camera that moves."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from irtrack.core import Floats


def coloured_noise(side: int, slope: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Periodic noise (side, side) whose amplitude falls as frequency^-slope; mean 0, standard deviation 1."""
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    radius = np.hypot(fy, fx)
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) * radius**-slope
    noise = np.fft.irfft2(spectrum, (side, side))
    return (noise - noise.mean()) / noise.std()


def add_target(grey: NDArray[np.float32], x: float, y: float, peak: float, sigma: float) -> None:
    """Add a Gaussian point-spread function at (x, y), integrated over each pixel; `peak` is its centre value."""
    reach = int(np.ceil(4 * sigma)) + 1
    x0, y0 = round(x), round(y)
    cols = np.arange(max(x0 - reach, 0), min(x0 + reach + 1, grey.shape[1]))
    rows = np.arange(max(y0 - reach, 0), min(y0 + reach + 1, grey.shape[0]))
    if not len(cols) or not len(rows):
        return

    def profile(pixels: NDArray[np.int64], centre: float) -> Floats:
        edges = np.concatenate([pixels - 0.5, pixels[-1:] + 0.5]) - centre
        integral: Floats = np.diff(erf(edges / (sigma * 2**0.5))) / 2 * sigma * (2 * np.pi) ** 0.5
        return integral

    grey[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1] += peak * np.outer(profile(rows, y), profile(cols, x))


def margin(streak: Floats) -> int:
    """Pixels round a picture that a streak (2,), in px, brings into it."""
    return int(np.ceil(np.abs(streak).max() / 2)) + 1 if streak.any() else 0


def streaked(grey: NDArray[np.float32], streak: Floats) -> NDArray[np.float32]:
    """The picture blurred evenly along `streak` (2,), in px, about where it was; without its `margin`."""
    m = margin(streak)
    if not m:
        return grey
    # Points along the streak, each shared among four pixels: the kernel's centroid is exactly its middle.
    count = 4 * m
    at = np.outer((np.arange(count) + 0.5) / count - 0.5, streak) + m
    corner = np.floor(at).astype(int)
    part = at - corner
    kernel = np.zeros((2 * m + 1, 2 * m + 1))
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        share = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
        np.add.at(kernel, (corner[:, 1] + dy, corner[:, 0] + dx), share / count)
    # cv2 correlates; the streak is the same from both ends, so that is a convolution too.
    return np.ascontiguousarray(cv2.filter2D(grey, -1, kernel)[m:-m, m:-m])
