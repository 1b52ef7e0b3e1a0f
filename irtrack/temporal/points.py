"""Points that differ from what is expected, and which of them may be targets."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Image
from irtrack.temporal.background import Expected, Picture
from irtrack.temporal.chains import LOWEST

BLUR_PX = 1.0
"""Standard deviation of the shape that points are sought by: that of the optics of most cameras, about."""

APART_PX, EDGE_PX = 5, 5
"""Side of the neighbourhood in which a point is the strongest, and how far inside the frame points lie."""

MOST = 800
"""So many points of a frame are looked at, the strongest ones."""

TAIL_PX2, TAIL, LEAST_RANK = 1e-4, 3.8, 12
"""Of noise alone, one pixel in ten thousand has a point of at least this strength. Where the points of that rank, or of
this one in a small frame, are stronger, the scene itself is not as expected (leaves in the wind, parallax, blocks of a
compression), and all strengths are measured by them."""

LEAST_SHARE = 0.25
"""What has less than this share of the strength of something next to it belongs to that."""

MEMORY = 80
"""Frames over which the picture is averaged where it lies on the sensor."""

PANNED_PX, MARK_TIMES, MARK_COUNTS, MARK_PX, MARK_EVERY = 16.0, 10.0, 8.0, 3, 8
"""Way of the camera, within that memory, after which only what is burnt in is still sharp in the mean; how many times
as sharp as the rest, in counts beyond that, it must be; how far round it nothing is sought, since lines seem to move
where the scene changes beside them; and frames between looks.
"""

THERE, FIXED = 0.25, 0.3
"""A point that stands out of its frame by less than this share of its change has left, or others have; one that differs
by less than this share of it from the sensor's mean may be fixed on the sensor."""


class Points(NamedTuple):
    """Places (N, 2), strengths (N,) in standard deviations, negative for dark ones, and pixels (N, 2: row, column)."""

    xy: Floats
    strength: Floats
    pixel: NDArray[np.intp]

    def only(self, rows: NDArray[np.bool_]) -> Points:
        """Some of them."""
        return Points(self.xy[rows], self.strength[rows], self.pixel[rows])


def filtered(difference: Picture) -> Picture:
    """Differences (H, W) in standard deviations, as seen by the shape of a point: of noise alone, it is 1 again."""
    kernel = cv2.getGaussianKernel(7, BLUR_PX)
    return np.asarray(cv2.sepFilter2D(difference, cv2.CV_32F, kernel / float((kernel**2).sum()), kernel), np.float32)


def points_of(found: Picture) -> Points:
    """The strongest places of a filtered map (H, W), each to a part of a pixel."""
    high = np.abs(found)
    inner = np.s_[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]
    peak = (high >= cv2.dilate(high, np.ones((APART_PX, APART_PX), np.uint8)))[inner] & (high[inner] > LOWEST)
    row, column = (where + EDGE_PX for where in np.nonzero(peak))
    span = np.arange(-EDGE_PX, EDGE_PX + 1)
    near = high[row[:, None, None] + span[:, None], column[:, None, None] + span].max((1, 2))
    own = high[row, column] > LEAST_SHARE * near
    row, column = row[own], column[own]
    if len(row) > MOST:
        strongest = np.argpartition(-high[row, column], MOST)[:MOST]
        row, column = row[strongest], column[strongest]

    def vertex(before: Picture, after: Picture) -> Floats:
        """Of the parabola through three values."""
        bend = np.minimum(before + after - 2 * high[row, column], -1e-6)
        return np.clip((before - after) / (2 * bend), -0.5, 0.5).astype(float)

    x = column + vertex(high[row, column - 1], high[row, column + 1])
    y = row + vertex(high[row - 1, column], high[row + 1, column])
    return Points(np.column_stack([x, y]), found[row, column].astype(float), np.column_stack([row, column]))


def unrest(points: Points, size_px2: float) -> float:
    """How many times as strong as noise would make them the points of a frame of so many pixels are, 1 or more."""
    rank = max(round(TAIL_PX2 * size_px2), LEAST_RANK)
    if len(points.strength) <= rank:
        return 1.0
    return max(1.0, float(-np.partition(-np.abs(points.strength), rank)[rank]) / TAIL)


class Sensor:
    """What lies fixed on the sensor: text, reticles, bad pixels."""

    def __init__(self) -> None:
        self._mean: Picture | None = None
        self._frames, self._way_px = 0, 0.0
        self.marked: NDArray[np.bool_] | None = None
        """Pixels (H, W) near the edges of what is burnt into the picture; None where that is not known."""

    def __call__(self, image: Image, motion: Floats) -> Picture:
        """The mean of the frames before; takes in this one. `motion` (2, 3): of the scene since the last frame."""
        if self._mean is None or self._mean.shape != image.shape:
            self._mean, self._frames, self._way_px = image.astype(np.float32), 1, 0.0
        before = self._mean.copy()
        self._frames += 1
        share = 1 / min(self._frames, MEMORY)
        self._way_px = (1 - share) * self._way_px + float(np.hypot(*motion[:, 2]))
        cv2.accumulateWeighted(image, self._mean, share)
        if self._way_px < PANNED_PX:
            self.marked = None
        elif self.marked is None or self._frames % MARK_EVERY == 0:
            self.marked = marks(self._mean)
        return before


def marks(mean: Picture) -> NDArray[np.bool_]:
    """Pixels (H, W) near sharp edges of the sensor's mean, in which a scene that went past is blurred."""
    sharp = cv2.absdiff(mean, cv2.blur(mean, (5, 5)))
    edges = sharp > MARK_TIMES * float(np.median(sharp[::4, ::4])) + MARK_COUNTS
    return cv2.dilate(edges.astype(np.uint8), np.ones((2 * MARK_PX + 1, 2 * MARK_PX + 1), np.uint8)) > 0


def real(
    points: Points, image: Image, expected: Expected, sensor: Picture, marked: NDArray[np.bool_] | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which points (N,) are something in this frame, neither where something has left nor beside what is burnt in; and
    which are surely not fixed on the sensor."""
    now, before, fixed = (contrast(p, points.pixel) for p in (image, expected.picture, sensor))
    sign, change = np.sign(points.strength), np.abs(now - before)
    there = (np.abs(now) > np.abs(before)) & (now * sign > THERE * change)
    if marked is not None:
        there &= ~marked[points.pixel[:, 0], points.pixel[:, 1]]
    return np.asarray(there), np.asarray((now - fixed) * sign > FIXED * change)


def contrast(picture: Image | Picture, pixel: NDArray[np.intp]) -> Floats:
    """Mean of 3x3 pixels (N, 2: row, column), at least 4 px inside, less that of the ring 4 px round them (N,)."""
    span = np.arange(-4, 5)
    patch = picture[pixel[:, :1, None] + span[:, None], pixel[:, 1:, None] + span].astype(float)
    ring = patch.sum((1, 2)) - patch[:, 1:-1, 1:-1].sum((1, 2))
    return np.asarray(patch[:, 3:6, 3:6].mean((1, 2)) - ring / 32)
