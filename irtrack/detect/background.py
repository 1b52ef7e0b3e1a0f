"""The background that a component stands out of: what lies round it, on its own side of a horizon or an edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Image

REACH_PX = 20
"""The local background is the component's box grown by this much, without target pixels (the field's SCR)."""

NEAR_PX = (1, 4)
"""What lies so far from the component's box tells which background is its own: nearer are its own blurred edges."""

MARGIN_NATS = 0.5
"""A half or a quarter of the surroundings is taken for the whole only where it explains each near pixel this much
better: a plain surface stays measured on all of it."""

Boxes = NDArray[np.intp]
"""Left, top, right and bottom (4, ...), the latter two excluded."""

LEAST_PIXELS, QUANTISATION_STD = 8, 12**-0.5
"""Pixels that a background needs, and its smallest deviation, in counts: that of rounding to whole ones."""


def background(image: Image, mask: NDArray[np.bool_], corner: NDArray[np.intp], size: NDArray[np.int32]) -> Floats:
    """Mean and standard deviation (2, N) of the pixels round each component, in counts, by integral images.

    `corner` and `size` (N, 2) of the components in (x, y). Pixels of any target, grown by one, do not count; where
    nothing else is left, the whole frame's values stand in.

    A target in the sky close over the ground is measured against the sky: of the whole, its halves and its quarters
    that is taken whose normal distribution makes the pixels nearest to the target likeliest (as radar takes the window
    on a target's own side of an edge of clutter: Hansen, Sawyers, IEEE Trans. Aerospace and Electronic Systems 16(1),
    1980).
    """
    free = (cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)) == 0).view(np.uint8)
    # Sums of whole numbers are exact in these tables, so the variance keeps its digits.
    grey = cv2.bitwise_and(image, image, mask=free)
    depth = cv2.CV_32S if image.dtype == np.uint8 and image.size < 1 << 23 else cv2.CV_64F
    tables = cv2.integral(free, sdepth=cv2.CV_32S), *cv2.integral2(grey, sdepth=depth, sqdepth=cv2.CV_64F)

    def around(px: int) -> Boxes:
        """The components' boxes grown by so much, within the picture."""
        return np.concatenate([np.maximum(corner - px, 0).T, np.minimum(corner + size + px, image.shape[::-1]).T])

    inner, outer = (sums(tables, around(px)) for px in NEAR_PX)
    near_mean, near_variance, known = moments(outer - inner)
    mean, variance, enough = moments(sums(tables, parts(around(REACH_PX), (corner + size // 2).T)))
    least = np.maximum(variance, QUANTISATION_STD**2)
    cost = (np.log(least) + (near_variance + (near_mean - mean) ** 2) / least) / 2
    cost[1:] += MARGIN_NATS
    cost[1:][~(enough[1:] & known)] = np.inf
    best = cost.argmin(0), np.arange(len(corner))
    own = np.stack([mean[best], np.sqrt(variance[best])])
    return own if enough[0].all() else np.where(enough[0], own, [[image.mean()], [image.std()]])


def parts(whole: Boxes, middle: NDArray[np.intp]) -> Boxes:
    """Boxes (4, N) parted at points (2, N) inside: (4, 9, N), first the whole, then its halves and quarters."""
    (left, top, right, bottom), (x, y) = whole, middle
    columns, rows = ((left, right), (left, x), (x, right)), ((top, bottom), (top, y), (y, bottom))
    return np.stack([np.stack([a, c, b, d]) for a, b in columns for c, d in rows], 1)


def sums(tables: Sequence[NDArray[Any]], boxes: Boxes) -> Floats:
    """Of integral images over boxes (4, ...): (tables, ...)."""
    left, top, right, bottom = boxes
    return np.stack(
        [
            table[bottom, right].astype(np.float64) - table[top, right] - table[bottom, left] + table[top, left]
            for table in tables
        ]
    )


def moments(sums: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Mean and variance of pixels, from their number, sum and sum of squares (3, ...), and whether they are enough."""
    n, total, squares = sums
    mean = total / np.maximum(n, 1)
    return mean, np.maximum(squares / np.maximum(n, 1) - mean**2, 0.0), n >= LEAST_PIXELS
