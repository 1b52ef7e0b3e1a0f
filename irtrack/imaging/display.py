"""For the eye only: 8-bit pictures from raw counts. Never used before the detector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Image


def display_levels(image: Image, low_percent: float = 0.5, high_percent: float = 99.8) -> tuple[float, float]:
    """Black and white level in counts; percentiles of a 4x sub-sample, never equal."""
    low, high = np.percentile(image[::4, ::4], (low_percent, high_percent))
    return float(low), float(max(high, low + 8))


def to_8bit(image: Image) -> NDArray[np.uint8]:
    """8-bit frames as they are; 16-bit frames stretched between their display levels."""
    if image.dtype == np.uint8:
        return image.view(np.uint8)
    low, high = display_levels(image)
    scaled = (image.astype(np.float32) - low) * (255 / (high - low))
    return np.clip(scaled, 0, 255).astype(np.uint8)
