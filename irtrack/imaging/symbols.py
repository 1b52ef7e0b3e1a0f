"""Sights that recorders burn into the picture, reticles, gates and frames, and what lies under them.

To a network, a point inside a reticle is part of the reticle: on simulated scenes `datransnet-s` found every target
without the cross and none in its middle, where operators hold them. So the strokes are taken out of the picture
before it is looked at.

A stroke is what a pen along rows or columns makes: thin, long, straight, of one level, with others of that level near,
along and across. A wire, a mast or an aircraft alone is none; where a fence is taken for one, nothing is lost.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Image

LONG_PX, WIDE_PX = 7, 3
"""Least length of a stroke, all of it even, and how far to both sides of each of its pixels something else begins."""

SHORT_PX = 16
"""A shorter stroke than this has others in both directions near it: an aircraft has none."""

CONTRAST, UNEVEN = 40, 40
"""In levels of 255: least contrast of a stroke to both sides, and the most that it changes from end to end."""

STRAIGHT = 0.8
"""Least share of the rectangle about a stroke that it fills."""

NEAR_PX, ALIKE = 48, 20
"""How near others lie across it, and how much their levels differ from its own at most."""

LEAST_STROKES, MOST_LINES = 3, 500
"""Of a sight, and of lines along rows, or columns, in a picture."""

FILLED_PX = (11, 33, 99)
"""Sides of the squares whose mean takes the place of a stroke, the first with anything else in it."""

Grey = NDArray[np.uint8]


class _Last(threading.local):
    """Each thread asks for its picture several times in a row: for the network, for what is found, for the tracker."""

    image: Image | None = None
    without: Image | None = None


_last = _Last()


def without_strokes(image: Image) -> Image:
    """The picture (H, W) with the mean of what is round each stroke in its place; itself where there are none."""
    if _last.image is not image or _last.without is None:
        found = strokes(image)
        _last.image, _last.without = image, image if found is None else filled(image, found)
    return _last.without


def filled(image: Image, found: Grey) -> Image:
    """The picture (H, W) with the mean of what is round them in the place of the pixels found (H, W)."""
    picture, margin = image.copy(), FILLED_PX[-1] // 2
    x, y, w, h = cv2.boundingRect(found)
    part = np.s_[max(y - margin, 0) : y + h + margin, max(x - margin, 0) : x + w + margin]
    rest = (found[part] == 0).astype(np.float32)
    seen, (row, column) = image[part] * rest, np.nonzero(found[part])
    for side in FILLED_PX:
        weight = cv2.blur(rest, (side, side))[row, column]
        known = weight > 1e-3
        mean = cv2.blur(seen, (side, side))[row[known], column[known]] / weight[known]
        picture[part][row[known], column[known]] = np.rint(mean)
        row, column = row[~known], column[~known]
        if not len(row):
            break
    return picture


def strokes(image: Image) -> Grey | None:
    """Pixels (H, W) of a picture of 8 bits (H, W) that are strokes, or beside one, not 0; None where there are none."""
    if image.dtype != np.uint8 or min(image.shape) <= WIDE_PX:
        return None
    found = np.zeros(image.shape, np.uint8)
    for grey in (image, cv2.bitwise_not(image)):  # bright ones and dark ones
        rows = Lines.along_rows(grey)
        columns = Lines.along_rows(np.ascontiguousarray(grey.T)) if rows else None
        if rows and columns:
            columns = columns.turned()
            for at in (rows.held_by(columns), columns.held_by(rows)):
                found[at[:, 1], at[:, 0]] = 1
    return cv2.dilate(found, np.ones((5, 5), np.uint8)) if found.any() else None


@dataclass(frozen=True)
class Lines:
    """Lines of one direction. `at` (P, 2): x and y of their pixels, `which` (P,): of which line each is; `low`, `high`
    (N, 2): corners of each line, `level` (N,)."""

    at: NDArray[np.int64]
    which: NDArray[np.int64]
    low: Floats
    high: Floats
    level: Floats

    @classmethod
    def along_rows(cls, grey: Grey) -> Lines | None:
        """The bright lines along the rows of a picture (H, W); None where there are none."""
        above = cv2.copyMakeBorder(grey[:-WIDE_PX], WIDE_PX, 0, 0, 0, cv2.BORDER_REPLICATE)
        below = cv2.copyMakeBorder(grey[WIDE_PX:], 0, WIDE_PX, 0, 0, cv2.BORDER_REPLICATE)
        thin = cv2.threshold(cv2.subtract(grey, cv2.max(above, below)), CONTRAST - 1, 1, cv2.THRESH_BINARY)[1]
        run = np.ones((1, LONG_PX), np.uint8)
        middles = cv2.erode(thin, run)
        if not cv2.countNonZero(middles):
            return None
        x, y, w, h = cv2.boundingRect(middles)  # most of the picture has none
        part = np.s_[y : y + h, max(x - LONG_PX, 0) : x + w + LONG_PX]
        grey, thin, middles = grey[part], thin[part], middles[part]
        change = cv2.subtract(cv2.dilate(grey, run), cv2.erode(grey, run))
        even = cv2.threshold(change, UNEVEN, 1, cv2.THRESH_BINARY_INV)[1]
        # A place is even where all of the run about it is: the run about each such place belongs to the line.
        line = cv2.bitwise_and(cv2.dilate(cv2.bitwise_and(middles, even), run), thin)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(line, connectivity=8)
        if not 1 < count <= MOST_LINES:  # a picture that is full of lines has no sight in it
            return None
        at = cv2.findNonZero(line).reshape(-1, 2).astype(np.int64)
        which = labels[at[:, 1], at[:, 0]].astype(np.int64) - 1
        low, size, area = stats[1:, :2].astype(float), stats[1:, 2:4], stats[1:, 4]
        level = np.bincount(which, grey[at[:, 1], at[:, 0]]) / area
        level[(size[:, 1] > 2 * WIDE_PX) | (area < STRAIGHT * size.prod(1))] = np.nan  # and no line is like it
        corner = np.array([part[1].start, part[0].start])
        return cls(at + corner, which, low + corner, low + corner + size, level)

    def turned(self) -> Lines:
        """The same in the picture with rows and columns exchanged."""
        return Lines(self.at[:, ::-1], self.which, self.low[:, ::-1], self.high[:, ::-1], self.level)

    def near(self, others: Lines) -> NDArray[np.int64]:
        """How many of the others are near each and of its level (N,); itself too, if it is among them."""
        gap = np.maximum(self.low[:, None] - others.high, others.low - self.high[:, None]).max(2)
        alike = np.abs(self.level[:, None] - others.level) <= ALIKE
        return np.asarray(((gap <= NEAR_PX) & alike).sum(1))

    def held_by(self, others: Lines) -> NDArray[np.int64]:
        """Pixels (P, 2), x and y, of those that are part of a sight, with lines across them."""
        along, across = self.near(self), self.near(others)
        held = (across > 0) & (along + across >= LEAST_STROKES)
        short = (self.high - self.low).max(1) < SHORT_PX
        return self.at[(held & (~short | ((along > 1) & (across > 1))))[self.which]]
