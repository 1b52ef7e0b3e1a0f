"""The noise of a camera, from a single picture, and deviations that outliers do not change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Image

LEAST_NOISE = 0.3
"""Smallest noise that counts, in counts: that of rounding to whole ones."""


def noise(image: Image) -> float:
    """Standard deviation of the camera's noise, in counts, by the median of second differences along rows.

    They are whole numbers, so the median is sought within the step of its histogram in which it lies.
    """
    some: NDArray[np.int32] = image[::3].astype(np.int32)
    second = np.abs(some[:, 2:] - 2 * some[:, 1:-1] + some[:, :-2])
    if not second.size:
        return LEAST_NOISE
    count = np.bincount(second.ravel())
    count[0] *= 2  # zero is a step of half the width
    total = count.cumsum() - count[0] / 2
    step = int(np.searchsorted(total, total[-1] / 2))
    median = step + 0.5 - (total[step] - total[-1] / 2) / max(count[step], 1)
    return max(float(median) / (0.6745 * 6**0.5), LEAST_NOISE)


def usual_deviation(values: Floats | NDArray[np.float32]) -> float:
    """Standard deviation of values (N,) of which few are outliers, by the median distance from their median."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
