"""Targets larger than a point: an aircraft near by is one target that moves as one, and not a point at each wingtip."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Image
from irtrack.imaging.noise import usual_deviation
from irtrack.temporal.background import Picture

REACH_PX = (40, 80, 160)
"""A body lies within so many pixels of each of its points, else within more of them; what goes on beyond the last is a
part of the scene."""

FEWEST_PX = 30
"""What is no larger than this is a point."""

MOVING, CHANGED = 0.3, 2.0
"""Share of a body's pixels that must differ from what is expected by so many standard deviations: the others may lie
where it has been itself."""

RING_PX = 9, 3
"""Sides of the neighbourhoods that the ring round a body is in, and is not in."""

STANDS_OUT, LEAST_COUNTS = 2.0, 8.0
"""A body's grey levels are so many standard deviations, and so many counts, from those of the ring round it: those of
a compression's blocks are not."""


class Body(NamedTuple):
    """A part of the frame, the pixels (H, W) of it that are the body's, and whether that is all of it."""

    part: tuple[slice, slice]
    mask: NDArray[np.bool_]
    whole: bool


def body_at(image: Image, found: Picture, row: int, column: int) -> Body | None:
    """What moves as one with the point at a pixel of a frame (H, W) and is larger than a point; None where nothing is.

    `found` (H, W): the filtered differences.
    """
    body = None
    for reach in REACH_PX:
        body = within(image, found, row, column, reach)
        if body is None or body.whole:
            return body
    return body


def within(image: Image, found: Picture, row: int, column: int, reach: int) -> Body | None:
    """The same within so many pixels of the point: what is joined to it by grey levels nearer to its own than to those
    of the surroundings."""
    h, w = image.shape
    top, bottom, left, right = max(row - reach, 0), row + reach + 1, max(column - reach, 0), column + reach + 1
    part = np.s_[top:bottom, left:right]
    grey = image[part].astype(np.float32)
    near: Any = np.s_[row - top - 1 : row - top + 2, column - left - 1 : column - left + 2]
    around, bright = float(np.median(grey)), found[row, column] > 0
    level = float(grey[near].max() if bright else grey[near].min())
    if (level > around) != bright:
        return None
    like = grey > (level + around) / 2 if bright else grey < (level + around) / 2
    labels = cv2.connectedComponents(like.view(np.uint8), connectivity=8)[1]
    label = int(labels[near].max())
    mask = labels == label
    if not label or mask.sum() <= FEWEST_PX or (np.abs(found[part][mask]) > CHANGED).mean() <= MOVING:
        return None
    if not stands_out(grey, mask):
        return None
    inner = ((top > 0, 0, 0), (bottom < h, 0, -1), (left > 0, 1, 0), (right < w, 1, -1))  # the frame goes on there
    return Body(part, mask, not any(goes_on and mask.take(end, axis).any() for goes_on, axis, end in inner))


def stands_out(grey: Picture, mask: NDArray[np.bool_]) -> bool:
    """Whether the pixels of a mask (H, W) differ from those of the ring round them."""
    wide, beside = (cv2.dilate(mask.view(np.uint8), np.ones((side, side), np.uint8)) for side in RING_PX)
    ring = grey[wide > beside]
    if not len(ring):
        return False
    away = float(abs(np.median(grey[mask]) - np.median(ring)))
    return away >= max(STANDS_OUT * usual_deviation(ring), LEAST_COUNTS)
