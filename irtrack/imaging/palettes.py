"""Colours of grey levels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

IRON = (
    (0, 0, 0),
    (32, 0, 140),
    (120, 0, 160),
    (204, 32, 110),
    (240, 100, 20),
    (255, 180, 0),
    (255, 240, 130),
    (255,) * 3,
)
ARCTIC = ((4, 10, 60), (20, 70, 190), (60, 170, 230), (150, 160, 160), (230, 150, 60), (255, 210, 90), (255, 250, 220))


def ramp(stops: tuple[tuple[int, ...], ...]) -> NDArray[np.uint8]:
    """A table (256, 3) RGB through these colours at even distances."""
    at = np.linspace(0, 255, len(stops))
    channels = [np.interp(np.arange(256), at, [s[c] for s in stops]) for c in range(3)]
    return np.round(np.stack(channels, 1)).astype(np.uint8)


def of_opencv(code: int) -> NDArray[np.uint8]:
    """A table (256, 3) RGB of a colour map of OpenCV."""
    levels = np.arange(256, dtype=np.uint8)[:, None]
    return np.ascontiguousarray(cv2.applyColorMap(levels, code)[:, 0, ::-1]).astype(np.uint8)


TABLES: dict[str, NDArray[np.uint8]] = {
    "White hot": ramp(((0, 0, 0), (255, 255, 255))),
    "Black hot": ramp(((255, 255, 255), (0, 0, 0))),
    "Iron": ramp(IRON),
    "Arctic": ramp(ARCTIC),
    "Inferno": of_opencv(cv2.COLORMAP_INFERNO),
    "Viridis": of_opencv(cv2.COLORMAP_VIRIDIS),
    "Cividis": of_opencv(cv2.COLORMAP_CIVIDIS),
    "Rainbow": of_opencv(cv2.COLORMAP_TURBO),
}
"""Tables (256, 3) RGB by name. Cividis reads the same to colour-blind eyes (Nunez et al., PLoS ONE 13(7), 2018)."""
