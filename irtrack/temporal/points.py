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

APART_PX, EDGE_PX, MOST = 5, 5, 400
"""Side of the neighbourhood in which a point is the strongest; how far inside the frame points lie; and how many of a
frame are looked at, the strongest ones."""

LEAST_SHARE = 0.25
"""What has less than this share of the strength of something next to it belongs to that."""

MEMORY = 80
"""Frames over which the picture is averaged where it lies on the sensor."""

THERE, FIXED = 0.25, 0.3
"""A point that stands out of its frame by less than this share of its change has left, or others have; one that differs
by less than this share of it from the sensor's mean is fixed on the sensor."""


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
        best = np.argpartition(-high[row, column], MOST)[:MOST]
        row, column = row[best], column[best]

    def vertex(before: Picture, after: Picture) -> Floats:
        """Of the parabola through three values."""
        bend = np.minimum(before + after - 2 * high[row, column], -1e-6)
        return np.clip((before - after) / (2 * bend), -0.5, 0.5).astype(float)

    x = column + vertex(high[row, column - 1], high[row, column + 1])
    y = row + vertex(high[row - 1, column], high[row + 1, column])
    return Points(np.column_stack([x, y]), found[row, column].astype(float), np.column_stack([row, column]))


class Sensor:
    """What lies fixed on the sensor: text, reticles, bad pixels."""

    def __init__(self) -> None:
        self._mean: Picture | None = None
        self._frames = 0

    def __call__(self, image: Image) -> Picture:
        """The mean of the frames before; takes in this one."""
        if self._mean is None or self._mean.shape != image.shape:
            self._mean, self._frames = image.astype(np.float32), 1
        before = self._mean.copy()
        self._frames += 1
        cv2.accumulateWeighted(image, self._mean, 1 / min(self._frames, MEMORY))
        return before


def real(points: Points, image: Image, expected: Expected, sensor: Picture) -> NDArray[np.bool_]:
    """Which points (N,) are something in this frame: neither where something has left, nor fixed on the sensor."""
    now, before, fixed = (contrast(p, points.pixel) for p in (image, expected.picture, sensor))
    sign, change = np.sign(points.strength), np.abs(now - before)
    there = (np.abs(now) > np.abs(before)) & (now * sign > THERE * change)
    return np.asarray(there & ((now - fixed) * sign > FIXED * change))


def contrast(picture: Image | Picture, pixel: NDArray[np.intp]) -> Floats:
    """Mean of 3x3 pixels (N, 2: row, column), at least 4 px inside, less that of the ring 4 px round them (N,)."""
    span = np.arange(-4, 5)
    patch = picture[pixel[:, :1, None] + span[:, None], pixel[:, 1:, None] + span].astype(float)
    ring = patch.sum((1, 2)) - patch[:, 1:-1, 1:-1].sum((1, 2))
    return np.asarray(patch[:, 3:6, 3:6].mean((1, 2)) - ring / 32)
