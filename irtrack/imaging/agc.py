"""Gain control for the eye only: 8-bit pictures from raw counts. Never used before the detector."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.config import DisplaySettings
from irtrack.core import Image

LEAST_SPAN_COUNTS = 8.0
"""A flatter picture than this is not stretched further: it would be noise."""


def display_levels(image: Image, low_percent: float = 0.5, high_percent: float = 99.8) -> tuple[float, float]:
    """Black and white level in counts; percentiles of a 4x sub-sample, never equal."""
    step = 4 if min(image.shape) >= 64 else 1
    low, high = np.percentile(image[::step, ::step], (low_percent, high_percent))
    return float(low), float(max(high, low + LEAST_SPAN_COUNTS))


class Agc:
    """Call with each picture (H, W) uint8 or uint16; gives grey levels (H, W) uint8, low counts dark.

    `lock` keeps the levels of the last picture. `levels`: counts shown black and white, for a legend.
    """

    def __init__(self, settings: DisplaySettings | None = None) -> None:
        self.settings = settings or DisplaySettings()
        self.lock = False
        self.levels = (0.0, 255.0)
        self._table: NDArray[np.uint8] | None = None

    def __call__(self, image: Image) -> NDArray[np.uint8]:
        mode = self.settings.agc
        if mode == "auto" and image.dtype == np.uint8:
            self.levels, self._table = (0.0, 255.0), None
            return image.view(np.uint8)
        size = 256 if image.dtype == np.uint8 else 65536
        if not self.lock or self._table is None or len(self._table) != size:
            self._table = self._levels_of(self._part(image), size)
        grey = self._table[image]
        if mode == "clahe":
            return np.asarray(cv2.createCLAHE(self.settings.clip, (8, 8)).apply(grey), np.uint8)
        return grey

    def _part(self, image: Image) -> Image:
        """What the gain follows; the whole picture where the region lies outside."""
        region = self.settings.region_px()
        if region is None:
            return image
        x, y, w, h = region
        part = image[y : y + h, x : x + w]
        return part if part.size else image

    def _levels_of(self, part: Image, size: int) -> NDArray[np.uint8]:
        """The grey level of each count."""
        s = self.settings
        if s.agc == "plateau" and np.ptp(part) > LEAST_SPAN_COUNTS:
            return self._equalised(part, size)
        if s.agc == "linear":
            low, high = s.level - s.span / 2, s.level + s.span / 2
        else:
            low, high = display_levels(part, s.low_percent, s.high_percent)
        self.levels = (low, high)
        counts = np.arange(size, dtype=np.float32)
        return np.clip((counts - np.float32(low)) * np.float32(255 / (high - low)) + 0.5, 0, 255).astype(np.uint8)

    def _equalised(self, part: Image, size: int) -> NDArray[np.uint8]:
        """Plateau equalisation: no level counts for much more than others, so that wide sky leaves room for the rest.

        Vickers, "Plateau equalization algorithm for real-time display of high-quality infrared imagery", Optical
        Engineering 35(7), 1996.
        """
        histogram = np.bincount(part.ravel(), minlength=size).astype(np.float64)
        low, high = display_levels(part, 0.0, 100.0)
        self.levels = (low, high)
        most = self.settings.plateau * part.size / (high - low)
        below = np.cumsum(np.minimum(histogram, max(most, 1.0)))
        first = below[int(low)]
        return np.clip(255 * (below - first) / max(below[-1] - first, 1.0), 0, 255).astype(np.uint8)
