"""How a track looks: a little picture of it, for lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Image

LOOK_PX = 17
"""Side of the little picture of a track."""


@dataclass(frozen=True, slots=True)
class Look:
    """A little picture of a track: (LOOK_PX, LOOK_PX) uint8, from its darkest to its brightest count."""

    snr: float
    grey: NDArray[np.uint8]


def look_of(image: Image, x: float, y: float, side: int = LOOK_PX) -> NDArray[np.uint8]:
    """(side, side) grey levels round a place; at the borders the nearest pixels stand in."""
    around = np.arange(side) - side // 2
    rows, columns = (np.clip(round(v) + around, 0, n - 1) for v, n in ((y, image.shape[0]), (x, image.shape[1])))
    part = image[np.ix_(rows, columns)].astype(np.float32)
    low, high = float(part.min()), float(part.max())
    return ((part - low) * (255.0 / max(high - low, 1.0))).astype(np.uint8)
