"""What a moving camera usually sees at each place of the scene, and how much that changes.

The scene is kept on a canvas that does not move: each frame is resampled once to be learned, and the canvas once to be
compared, so that nothing grows blurred with time as it would if the canvas itself were carried from frame to frame.
The registration of frames drifts by hundredths of a pixel a frame; each frame is therefore aligned with what is
expected of it, by one step of Gauss and Newton (Lucas, Kanade 1981).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Image
from irtrack.imaging.motion import STILL, after

Picture = NDArray[np.float32]

EVERY, MEMORY, RIPE = 2, 40, 5
"""Every so many frames one is learned, once the first ones are. Learned frames over which the mean at a place is taken:
a target that creeps by its own width in half of that time still shows. And those after which a place is known."""

MARGIN = 0.15
"""Share of the picture that the canvas reaches beyond it, on each side."""

FIRST_VARIANCE, LEAST_VARIANCE = 9.0, 0.09
"""Variance of a difference, in counts^2, before it is known, and the smallest: that of rounding to whole counts."""

CLIP, SMOOTH_PX = 3.0, 9
"""Standard deviations at which a difference is cut before its variance is learned, and side of the neighbourhood over
which variances are averaged: a target must not hide itself."""

SLIP_PX2 = 0.01
"""Variance of what is left of the camera's motion, an axis: along edges it shows as a difference."""

FAR, UNLIKE = 4.0, 0.25
"""A frame of which such a share differs by more standard deviations than these shows another scene."""

WORTHWHILE_PX = 0.03
"""An error of the registration that is worth resampling the canvas for."""

LEAST_STRUCTURE = 400.0
"""A scene is aligned where its squared gradients sum up to so many times the variance of the differences: the error of
the shift is then a twentieth of a pixel."""


class Expected(NamedTuple):
    """Of a frame (H, W): what was expected, in counts, and how far it differs, in standard deviations, 0 where nothing
    is known yet; and the motion (2, 3) of the scene since the last frame, as it is seen here: it does not drift."""

    picture: Picture
    difference: Picture
    motion: Floats


class Background:
    """Call with each frame in order, and the motion of the scene since the last."""

    def __init__(self) -> None:
        self._mean: Picture | None = None
        self._place: Floats = STILL  # from the canvas to the frame

    def __call__(self, image: Image, motion: Floats) -> Expected | None:
        """How a frame differs from what is expected. None where nothing can be said: of the first, and after a cut."""
        frame = image.astype(np.float32)
        if self._mean is None or self._size != frame.shape[::-1]:
            self._begin(frame)
            return None
        self._place = after(motion, self._place)
        if not self._on_canvas():
            self._centre()
        mean, known = self._seen(self._mean), self._known()
        shift = misplaced(frame, mean, known)
        if np.abs(shift).max() > WORTHWHILE_PX:
            correction = np.column_stack([np.zeros((2, 2)), shift])
            self._place, motion = self._place + correction, motion + correction
            mean = self._seen(self._mean)
        variance = cv2.blur(self._seen(self._variance), (SMOOTH_PX, SMOOTH_PX))
        variance = cv2.scaleAdd(gradient_squared(mean), SLIP_PX2, cv2.max(variance, LEAST_VARIANCE))
        difference = cv2.subtract(frame, mean)
        z = cv2.multiply(cv2.divide(difference, cv2.sqrt(variance)), known, dtype=cv2.CV_32F)
        some = z[::4, ::4]
        if np.count_nonzero(np.abs(some) > FAR) > UNLIKE * some.size:
            self._begin(frame)
            return None
        self._frames += 1
        if self._frames < 2 * RIPE or self._frames % EVERY == 0:
            self._learn(frame, difference, variance)
        return Expected(mean, np.asarray(z, np.float32), motion)

    def _begin(self, frame: Picture) -> None:
        """All that is known of the scene is this frame."""
        h, w = frame.shape
        self._size, self._frames = (w, h), 0
        self._edge = np.array([int(w * MARGIN), int(h * MARGIN)])
        shape = (h + 2 * int(self._edge[1]), w + 2 * int(self._edge[0]))
        self._mean, self._variance = np.zeros(shape, np.float32), np.full(shape, FIRST_VARIANCE, np.float32)
        self._count = np.zeros(shape, np.uint8)
        self._place = np.column_stack([np.eye(2), -self._edge.astype(float)])
        self._learn(frame, np.zeros_like(frame), np.ones_like(frame))

    def _corners(self) -> Floats:
        """Where the corners of the frame lie on the canvas (4, 2)."""
        back = cv2.invertAffineTransform(self._place)
        corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * (np.array(self._size) - 1)
        return np.asarray(corners @ back[:, :2].T + back[:, 2], float)

    def _on_canvas(self) -> bool:
        corners = self._corners()
        return bool((corners > 0).all() and (corners < np.array(self._count.shape[::-1]) - 1).all())

    def _centre(self) -> None:
        """Lay the canvas round the frame again; where only its place changed, by whole pixels, which blurs nothing."""
        new = np.column_stack([np.eye(2), -self._edge.astype(float)])
        move = after(np.asarray(cv2.invertAffineTransform(new), float), self._place)  # from the old canvas to the new
        if np.abs(move[:, :2] - np.eye(2)).max() < 1e-3:
            move = np.column_stack([np.eye(2), np.round(move[:, 2])])
            new = after(self._place, np.asarray(cv2.invertAffineTransform(move), float))
        size = self._count.shape[::-1]
        assert self._mean is not None
        self._mean = warped(self._mean, move, size)
        self._variance = warped(self._variance, move, size, FIRST_VARIANCE)
        self._count = cv2.warpAffine(self._count, move, size, flags=cv2.INTER_NEAREST)  # type: ignore[assignment]
        self._place = new

    def _seen(self, canvas: Picture) -> Picture:
        """What of the canvas lies in the frame."""
        return warped(canvas, self._place, self._size)

    def _known(self) -> NDArray[np.uint8]:
        """1 where what is expected of the frame is known."""
        count = cv2.warpAffine(self._count, self._place, self._size, flags=cv2.INTER_NEAREST)
        return np.asarray(cv2.threshold(count, RIPE - 1, 1, cv2.THRESH_BINARY)[1], np.uint8)

    def _learn(self, frame: Picture, difference: Picture, variance: NDArray[np.float32]) -> None:
        """Take a frame in, which differs so from what was expected, and by this variance as a rule (H, W)."""
        corners = self._corners()
        left, top = np.maximum(np.floor(corners.min(0)).astype(int), 0).tolist()
        right, bottom = (np.ceil(corners.max(0)).astype(int) + 1).tolist()
        part = np.s_[top:bottom, left:right]
        count, mean, usual = self._count[part], self._mean[part], self._variance[part]  # type: ignore[index]
        place = self._place + np.column_stack([np.zeros((2, 2)), self._place[:, :2] @ (left, top)])

        def onto(picture: NDArray[Any], how: int) -> NDArray[Any]:
            return np.asarray(cv2.warpAffine(picture, place, count.shape[::-1], flags=how | cv2.WARP_INVERSE_MAP))

        inner = np.zeros(frame.shape, np.uint8)
        inner[1:-1, 1:-1] = 1
        inside = onto(inner, cv2.INTER_NEAREST)
        count += inside * (count < MEMORY)
        rate = RATES[count] * inside
        squared = cv2.min(cv2.multiply(difference, difference), cv2.multiply(variance, CLIP**2))
        mean += rate * (onto(frame, cv2.INTER_LINEAR) - mean)
        usual += rate * (count > RIPE) * (onto(squared, cv2.INTER_LINEAR) - usual)


RATES = (1 / np.clip(np.arange(256), 1, MEMORY)).astype(np.float32)
"""Share of a frame in the mean at a place, by how many were learned there."""


def warped(picture: Picture, motion: Floats, size: tuple[int, ...], outside: float = 0.0) -> Picture:
    """A picture after a motion, `size` (width, height)."""
    return np.asarray(cv2.warpAffine(picture, motion, size, borderValue=outside), np.float32)


def gradient_squared(picture: Picture) -> Picture:
    """Squared gradient (H, W), in counts^2 a px^2."""
    across = cv2.Sobel(picture, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down = cv2.Sobel(picture, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    return np.asarray(across * across + down * down, np.float32)


def misplaced(frame: Picture, expected: Picture, known: NDArray[np.uint8]) -> Floats:
    """By how much (2,) the scene lies further right and down in the frame than expected; 0 where that is not clear."""
    step = max(2, round((frame.size / 40_000) ** 0.5))
    middle = (slice(1, -1, step), slice(1, -1, step))
    across = (expected[1:-1:step, 2::step] - expected[1:-1:step, :-2:step]) / 2
    down = (expected[2::step, 1:-1:step] - expected[:-2:step, 1:-1:step]) / 2
    off = (frame[middle] - expected[middle]).ravel()
    use = known[middle].ravel() > 0
    if np.count_nonzero(use) < 100:
        return np.zeros(2)
    # What differs by much is no part of the scene.
    use &= np.abs(off) < 4 * max(float(np.median(np.abs(off[use]))), 0.3)
    slope = np.stack([across.ravel()[use], down.ravel()[use]]).astype(float)
    off = off[use].astype(float)
    square = slope @ slope.T
    least, most = np.linalg.eigvalsh(square)
    if least <= 1e-9 * most or least < LEAST_STRUCTURE * float(off @ off) / len(off):  # a lens cap; bare stripes
        return np.zeros(2)
    return np.clip(-np.linalg.solve(square, slope @ off), -0.5, 0.5)
