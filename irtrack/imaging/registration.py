"""How the scene moved between two frames, from the picture itself.

Corners are followed by pyramidal Lucas-Kanade (Bouguet 2000) and a similarity is fitted to them by RANSAC. What is
burnt into the picture (text, reticles) and what is fixed on the sensor stands still while the scene moves, so where a
good part of the corners agrees on a motion, that motion is the camera's, however many stand still.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Image
from irtrack.imaging.motion import STILL, moved

LONG_SIDE_PX = 320
"""Frames are scaled down to about this: a tenth of a pixel there is enough, and time follows the area."""

CORNERS, LEAST = 160, 10
"""Corners that are followed, and the fewest that tell a motion."""

SHARE = 0.25
"""Of the corners that must agree on a motion for it to be the camera's."""

STEP_PX = 0.15
"""Motion between two frames below this is taken for none, unless frames before moved: noise must not add up."""


class Registration:
    """Call with each frame in order: gives the (2, 3) motion of the scene since the last, or STILL."""

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None
        self._moving = 0.0

    def __call__(self, image: Image) -> Floats:
        scale = min(1.0, LONG_SIDE_PX / max(image.shape))
        grey = stretched(image, scale)
        last, self._last = self._last, grey
        if last is None or last.shape != grey.shape:
            return STILL
        motion = similarity(last, grey)
        if motion is None:
            return STILL
        corners = np.array([[0, 0], [grey.shape[1], 0], [0, grey.shape[0]], list(grey.shape[::-1])], float)
        size = float(np.linalg.norm(moved(motion, corners) - corners, axis=1).max())
        self._moving = 0.9 * self._moving + 0.1 * (size > STEP_PX)
        if size <= STEP_PX and self._moving < 0.1:
            return STILL
        # The centre of the top-left pixel is (0, 0) at each scale: points go to (x + 0.5) * scale - 0.5.
        offset = 0.5 * (1 / scale - 1)
        shift = motion[:, 2] / scale + offset - motion[:, :2] @ np.full(2, offset)
        return np.column_stack([motion[:, :2], shift])


def stretched(image: Image, scale: float) -> NDArray[np.uint8]:
    """The picture scaled down, its middle 98 % of levels over 8 bits, so that corners are found in flat scenes too."""
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    low, high = np.percentile(small[::4, ::4], (1, 99))
    gain = 255.0 / max(float(high - low), 8.0)
    return np.clip((small.astype(np.float32) - float(low)) * np.float32(gain), 0, 255).astype(np.uint8)


def similarity(last: NDArray[np.uint8], now: NDArray[np.uint8]) -> Floats | None:
    """Rotation, zoom and shift (2, 3) from `last` to `now`, or None where too few corners agree."""
    corners = cv2.goodFeaturesToTrack(last, CORNERS, 0.01, 7, blockSize=5)
    if corners is None or len(corners) < LEAST:
        return None
    found, status, _ = cv2.calcOpticalFlowPyrLK(last, now, corners, np.empty(0), winSize=(15, 15), maxLevel=3)
    ok = status.ravel() == 1
    a, b = corners.reshape(-1, 2)[ok], found.reshape(-1, 2)[ok]
    if len(a) < LEAST:
        return None
    going = np.linalg.norm(b - a, axis=1) > 0.3
    for some in (going, np.ones(len(a), bool)):
        if np.count_nonzero(some) < max(LEAST, SHARE * len(a)):
            continue
        motion, inlier = cv2.estimateAffinePartial2D(a[some], b[some], ransacReprojThreshold=0.7, maxIters=300)
        if motion is not None and np.count_nonzero(inlier) >= max(LEAST, SHARE * len(a)) and plausible(motion):
            return np.asarray(motion, float)
    return None


def plausible(motion: NDArray[np.floating]) -> bool:
    """Whether a similarity could be a camera between two frames: little zoom and little turn."""
    scale, turn = float(np.hypot(motion[0, 0], motion[1, 0])), float(np.arctan2(motion[1, 0], motion[0, 0]))
    return 0.9 < scale < 1.1 and abs(turn) < 0.15
