"""What lies round a detection: a plain sky, or the edges of clouds, trees and houses that false targets come from."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Image
from irtrack.imaging.noise import noise
from irtrack.imaging.symbols import without_strokes

BLOCK_PX, LEVELS = 4, 4
"""Pixels are averaged over blocks this wide: edges of things stay, noise and targets of a few pixels fade. For larger
targets over blocks twice as wide, and so on, in so many levels."""

REACH, OWN = 5, 1
"""Blocks to each side that are looked at, and those of them that hold the detection itself."""


def surroundings(image: Image, xy: Floats, side_px: Floats) -> Floats:
    """How uneven the picture (H, W) is round targets at `xy` (N, 2) with a longer side of `side_px` (N,), and how far
    they stand out of that: (N, 2), both as ln.

    First the unevenness over what noise alone would make of it: 0 or so on a plain sky, 2 to 4 among houses and trees.
    Then that at the place itself over that round it: 3 and more for a point in a sky or on a road, 1 for a window among
    windows. Unevenness is the second difference of the means of blocks, so that a sky that grows brighter towards the
    horizon is even; of those round a place the upper quartile.
    """
    out = np.zeros((len(xy), 2))
    if not len(xy):
        return out
    # Whole numbers would round the means of blocks, and hide how even a quiet sky is.
    image = without_strokes(image)
    picture, deviation = image.astype(np.float32), noise(image)
    side = np.nan_to_num(side_px, nan=1.0)
    level = np.clip(np.ceil(np.log2(np.maximum(side, 1) / (2 * BLOCK_PX))), 0, LEVELS - 1).astype(np.intp)
    for k in np.unique(level).tolist():
        these = level == k
        out[these] = at_scale(picture, deviation, xy[these], BLOCK_PX << k)
    return out


def at_scale(picture: NDArray[np.float32], deviation: float, xy: Floats, block: int) -> Floats:
    """`surroundings` (N, 2) of targets that a block or two of `block` px hold; `deviation`: of the noise, in counts."""
    size = (max(picture.shape[1] // block, 1), max(picture.shape[0] // block, 1))
    blocks = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    uneven = np.pad(second_differences(blocks), REACH, "edge")
    column, row = np.clip(np.floor((xy + 0.5) / block).astype(np.intp), 0, np.array(size) - 1).T
    span = np.arange(2 * REACH + 1)
    near = uneven[row[:, None, None] + span[:, None], column[:, None, None] + span].astype(np.float64)
    centre = slice(REACH - OWN, REACH + OWN + 1)
    own = near[:, centre, centre].reshape(len(xy), -1).max(1)
    apart = np.ones(near.shape[1:], bool)
    apart[centre, centre] = False
    ring = near[:, apart]
    rank = 3 * ring.shape[1] // 4
    step = np.partition(ring, rank, axis=1)[:, rank]
    # Of noise alone, the upper quartile of such differences is 1.6 times the standard deviation of a block's mean.
    least = 1.6 * deviation / block
    return np.log(np.column_stack([step / least + 0.2, (own + 0.1 * least) / (step + 0.1 * least)]))


def second_differences(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Half the larger of the second differences along both axes, as absolute values (H, W)."""
    near = np.pad(blocks, 1, "edge")
    middle = 2 * blocks
    along = np.abs(middle - near[1:-1, :-2] - near[1:-1, 2:])
    across = np.abs(middle - near[:-2, 1:-1] - near[2:, 1:-1])
    return np.asarray(np.maximum(along, across) / 2)
