"""What keeps changing where it lies on the sensor: the figures of a burnt-in clock, a light that flickers there."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Image
from irtrack.temporal.background import Picture

TIMES, COUNTS = 10.0, 16.0
"""A pixel jumps where nothing next to it was like that in the frame before, by so many times of what the picture as a
rule differs from what is expected, and so many counts beyond that. What moves by a pixel, or sways, makes no jumps."""

MOST, KEPT = 2.5, 1 - 1 / 80
"""So many jumps are more than those of what goes past; and the share of their number that is left after a frame."""

REACH, REACH_PX, CELL_PX = 16, 8, 8
"""This part of the picture's height, or so many pixels, round a place nothing is sought: the next figure of a clock
changes less often. Places are noted in cells of so many pixels a side."""

NEXT = np.ones((3, 3), np.uint8)


class Jumps:
    """Call with each frame in order."""

    def __init__(self) -> None:
        self._last: Image | None = None
        self._frames = 0

    def __call__(self, image: Image, expected: Picture, pixel: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which pixels (N, 2: row, column) of a frame (H, W), of which `expected` (H, W) is expected, are near places
        that keep jumping; takes in the frame."""
        if self._last is None or self._last.shape != image.shape:
            self._last, self._often = image, np.zeros(0, np.intp)
            self._count, self._when = np.zeros(image.size, np.float32), np.zeros(image.size, np.int32)
        self._frames += 1
        now = self._jumping(image, expected)
        self._count[now] = self._left(now) + 1
        self._when[now] = self._frames
        self._often = np.union1d(self._often, now)
        self._often = self._often[self._left(self._often) > MOST]
        self._last = image
        if not len(self._often):
            return np.zeros(len(pixel), bool)
        h, w = image.shape
        cells = np.zeros((h // CELL_PX + 1, w // CELL_PX + 1), np.uint8)
        cells[self._often // w // CELL_PX, self._often % w // CELL_PX] = 1
        side = 2 * -(-max(h // REACH, REACH_PX) // CELL_PX) + 1
        near = cv2.dilate(cells, np.ones((side, side), np.uint8))
        return np.asarray(near[pixel[:, 0] // CELL_PX, pixel[:, 1] // CELL_PX] > 0)

    def _left(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """How many jumps are left of those at some places (N,)."""
        return np.asarray(self._count[places] * KEPT ** (self._frames - self._when[places]), np.float32)

    def _jumping(self, image: Image, expected: Picture) -> NDArray[np.intp]:
        """Places (N,), counted along rows, that jump in this frame."""
        assert self._last is not None
        some = np.s_[::8, ::8]
        least = TIMES * float(np.median(np.abs(image[some] - expected[some]))) + COUNTS
        above = cv2.subtract(image, cv2.dilate(self._last, NEXT))
        below = cv2.subtract(cv2.erode(self._last, NEXT), image)
        found = cv2.findNonZero(cv2.compare(cv2.max(above, below), least, cv2.CMP_GT))
        if found is None:
            return np.zeros(0, np.intp)
        column, row = found.reshape(-1, 2).T
        off = np.abs(image[row, column] - expected[row, column])
        return np.asarray((row.astype(np.intp) * image.shape[1] + column)[off > least])
