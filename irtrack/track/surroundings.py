"""What lies round a detection: a plain sky, or the edges of clouds, trees and houses that false targets come from."""

from __future__ import annotations

import cv2
import numpy as np

from irtrack.core import Floats, Image
from irtrack.imaging.noise import noise

BLOCK_PX = 4
"""Pixels are averaged over blocks this wide: edges of things stay, noise and targets of a few pixels fade."""

REACH = 5
"""Blocks to each side that are looked at."""


def roughness(image: Image, xy: Floats) -> Floats:
    """How uneven the picture (H, W) is round places (N, 2): ln of its steps over what noise alone would make of them.

    The steps are those between the means of neighbouring blocks; the upper quartile of those round a place, so that the
    target itself, a block or two, has no say. 0 or so on a plain sky, 2 to 4 among houses and trees.
    """
    if not len(xy):
        return np.zeros(0)
    size = (max(image.shape[1] // BLOCK_PX, 1), max(image.shape[0] // BLOCK_PX, 1))
    blocks = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    padded = np.pad(blocks, ((REACH, REACH + 1), (REACH, REACH + 1)), "edge")
    steps = np.hypot(np.diff(padded, axis=0)[:, :-1], np.diff(padded, axis=1)[:-1])
    column, row = np.clip(np.floor((xy + 0.5) / BLOCK_PX).astype(np.intp), 0, np.array(size) - 1).T
    span = np.arange(2 * REACH + 1)
    near = steps[row[:, None, None] + span[:, None], column[:, None, None] + span].reshape(len(xy), -1)
    rank = 3 * near.shape[1] // 4
    step = np.partition(near, rank, axis=1)[:, rank].astype(np.float64)
    # Of noise alone, the upper quartile of the steps between means of 16 pixels is 0.6 of its standard deviation.
    return np.asarray(np.log(step / (0.6 * noise(image)) + 0.2))
