"""How the scene moved between two frames, from the picture itself.

Corners are followed by pyramidal Lucas-Kanade (Bouguet 2000) and a similarity is fitted to them by RANSAC. What is
burnt into the picture (text, reticles) and what is fixed on the sensor stands still while the scene moves, so where a
good part of the corners agrees on a motion, that motion is the camera's, however many stand still. What they agree on
is then tried on the picture (`alignment`): where it shows nothing of the kind, the shift of the picture as a whole
takes its place, and where it shows that neither, nothing moved.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Image
from irtrack.imaging.alignment import Places, places_of, shift_of, smoothed, votes
from irtrack.imaging.motion import STILL, between, is_still, moved, resized
from irtrack.imaging.noise import noise

LONG_SIDE_PX = 320
"""Frames are scaled down to about this: a tenth of a pixel there is enough, and time follows the area."""

CORNERS, LEAST = 160, 10
"""Corners that are followed, and the fewest that tell a motion."""

GRID, APART_PX, WEAKEST = (5, 4), 7, 0.02
"""Cells of the picture whose corners are chosen apart, columns and rows; how far apart corners are; and their least
strength, against that of the best corner of a middling cell."""

BLOCK_PX, LEVELS_PER_STRENGTH = 5, 127.5
"""Side of the neighbourhood in which a corner is sought, and levels a pixel of its gradient, for the root of OpenCV's
measure of its strength."""

CHANGE_RATE, NOISE_SHARE, BURNT_IN = 0.1, 0.25, 0.3
"""Share of a new frame in the mean change of each place, and share of the picture that changes by noise alone. What
changes by less than the last share of what others do while the scene moves is burnt in."""

OF_NOISE, CLEAR_OF_NOISE = 0.7, 3.0
"""Least gradient of a corner, of the mean change by noise: the corners of noise itself reach half of that. And the
gradient from which on the change at a corner tells how it moves."""

OF_CHANGE = 0.5
"""Share of the lower quartile of change that counts as noise when differences are looked at: what a coder makes of
noise changes much and does not look like noise."""

CHANGE_BY_NOISE = 1.13
"""Mean change from one frame to the next by noise of standard deviation 1: 2 / sqrt(pi)."""

KEY_FRAMES, KEY_REACH = 8, 0.08
"""A key frame is replaced after so many frames, or once the picture has moved by this share of its side."""

SHARE = 0.25
"""Of the corners that must agree on a motion for it to be the camera's."""

APART = 0.3
"""And how far apart they must lie, of the picture's width or height: those on one large bird move with it."""

MOST, SWING_PX = 0.5, 2.0
"""Where so many of them agree on a motion of more than this, it is believed whatever the picture shows: in a swing the
scene is blurred, and the lens's shading and text stand still."""

STEP_PX = 0.15
"""Motion between two frames below this is taken for none, unless frames before moved: noise must not add up."""

SURE = 8.0
"""And below so many standard errors of its shift: corners of the picture go some three times as far as that."""


class Registration:
    """Call with each frame in order: gives the (2, 3) motion of the scene since the last, or STILL.

    Each frame is compared with a key frame of a moment ago, not with the last one: a slow drift shows that way, and
    errors do not add up from frame to frame.
    """

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None
        self._change: NDArray[np.float32] | None = None
        self._begin(None)
        self._moving = 0.0

    def _begin(self, key: NDArray[np.uint8] | None) -> None:
        """Compare with this frame from now on."""
        self._key, self._age = key, 0
        self._since = STILL  # from the key frame to the last one
        self._corners = np.zeros((0, 2), np.float32)
        self._places: Places | None = None

    def __call__(self, image: Image) -> Floats:
        scale = min(1.0, LONG_SIDE_PX / max(image.shape))
        grey = stretched(image, scale)
        last, self._last = self._last, grey
        if last is None or last.shape != grey.shape:
            self._change = None
            self._begin(grey)
            return STILL
        change = cv2.blur(cv2.absdiff(last, grey).astype(np.float32), (APART_PX, APART_PX))
        self._change = change if self._change is None else self._change + CHANGE_RATE * (change - self._change)
        step = self._step(grey, last)
        if is_still(step):
            return STILL
        return resized(step, 1 / scale)

    def _step(self, grey: NDArray[np.uint8], last: NDArray[np.uint8]) -> Floats:
        """The motion from the last frame to this one, both scaled down."""
        now = self._from_key(grey)
        if now is None and self._age:  # the key frame may be too long ago
            self._begin(last)
            now = self._from_key(grey)
        if now is None:
            self._begin(grey)
            return STILL
        before, self._since = self._since, now
        self._age += 1
        step = STILL if before is now else between(before, now)
        if self._age >= KEY_FRAMES or reach(now, grey.shape) > KEY_REACH * max(grey.shape):
            self._begin(grey)
        return step

    def _from_key(self, grey: NDArray[np.uint8]) -> Floats | None:
        """The motion from the key frame to this one, None where nothing tells it."""
        assert self._key is not None
        assert self._change is not None
        if not self._age:
            self._corners, self._places = corners_of(self._key, self._change), None
        found = similarity(self._key, grey, self._corners, self._since)
        motion, error, agree = found or (None, 0.0, 0.0)
        surely = motion is not None and reach(motion, grey.shape) > max(STEP_PX, SURE * error)
        if motion is None or surely or self._moving >= 0.1:
            shown = self._shown(motion, agree, grey)
            if shown is not motion:
                motion, surely = shown, shown is not None and reach(shown, grey.shape) > STEP_PX
        if motion is None:
            return None
        self._moving = 0.9 * self._moving + 0.1 * surely
        return motion if self._moving >= 0.1 else STILL

    def _shown(self, motion: Floats | None, agree: float, grey: NDArray[np.uint8]) -> Floats | None:
        """What the picture shows: this motion, on which a share of the corners agrees, a shift as a whole, STILL, or
        nothing at all (None)."""
        assert self._key is not None
        assert self._change is not None
        if self._places is None:
            self._places = places_shown(self._key, self._change)
        now = smoothed(grey)
        if motion is not None:
            swing = agree >= MOST and reach(motion, grey.shape) > SWING_PX
            if swing or not votes(self._places, now, motion).refused:
                return motion
        shift = shift_of(self._places, now)
        if votes(self._places, now, shift).carried:
            return shift
        return None if motion is None else STILL


def reach(motion: Floats, shape: tuple[int, ...]) -> float:
    """How far the corner of a picture (H, W) goes that goes furthest, in px."""
    corners = np.array([[0, 0], [shape[1], 0], [0, shape[0]], [shape[1], shape[0]]], float)
    return float(np.linalg.norm(moved(motion, corners) - corners, axis=1).max())


def stretched(image: Image, scale: float) -> NDArray[np.uint8]:
    """The picture scaled down, its middle 98 % of levels over 8 bits, so that corners are found in flat scenes too."""
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    low, high = np.percentile(small[::4, ::4], (1, 99))
    gain = 255.0 / max(float(high - low), 8.0)
    return np.clip((small.astype(np.float32) - float(low)) * np.float32(gain), 0, 255).astype(np.uint8)


def similarity(
    key: NDArray[np.uint8], now: NDArray[np.uint8], corners: NDArray[np.float32], guess: Floats
) -> tuple[Floats, float, float] | None:
    """Rotation, zoom and shift (2, 3) from `key` to `now` by corners (N, 2), the standard error of the shift in px, and
    the share of the corners that agree on it.

    None where too few corners agree. `guess`: the motion to the frame before.
    """
    if len(corners) < LEAST:
        return None
    start = moved(guess, corners.astype(float)).astype(np.float32)
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        key, now, corners, start, winSize=(15, 15), maxLevel=3, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    ok = status.ravel() == 1
    a, b = corners[ok], found[ok]
    if len(a) < LEAST:
        return None
    going = np.linalg.norm(b - a, axis=1) > 0.3
    for some in (going, np.ones(len(a), bool)):
        if np.count_nonzero(some) < max(LEAST, SHARE * len(a)):
            continue
        motion, inlier = cv2.estimateAffinePartial2D(a[some], b[some], ransacReprojThreshold=0.7, maxIters=300)
        count = np.count_nonzero(inlier)
        if motion is not None and count >= max(LEAST, SHARE * len(a)) and plausible(motion):
            on = some.copy()
            on[some] = inlier.ravel() > 0
            apart = np.diff(np.quantile(a[on], (0.1, 0.9), axis=0), axis=0)[0] / key.shape[::-1]
            if apart.max() < APART:
                continue
            off = moved(motion, a[on].astype(float)) - b[on]
            return np.asarray(motion, float), float(np.sqrt((off**2).sum(1).mean() / count)), count / len(corners)
    return None


def corners_of(grey: NDArray[np.uint8], change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Corners (N, 2) by their smaller eigenvalue (Shi, Tomasi 1994), the best of each cell of a grid.

    Burnt-in text and reticles have the strongest corners of all: were they chosen by strength alone, few would be left
    for the scene. What stands still there while the scene moves changes less than its own edges would: by that it is
    known and left out.
    """
    strength = cv2.cornerMinEigenVal(grey, BLOCK_PX)
    peaks = (strength >= cv2.dilate(strength, np.ones((APART_PX, APART_PX)))) & (strength > 0)
    y, x = (where + 2 for where in np.nonzero(peaks[2:-2, 2:-2]))
    if not len(x):
        return np.zeros((0, 2), np.float32)
    value = strength[y, x]
    cell = (y * GRID[1] // grey.shape[0]) * GRID[0] + x * GRID[0] // grey.shape[1]
    by_noise = change_by_noise(grey, change)
    strong = value > max(
        WEAKEST * float(np.median(highest(value, cell))), (OF_NOISE * by_noise / LEVELS_PER_STRENGTH) ** 2
    )
    y, x, value, cell = y[strong], x[strong], value[strong], cell[strong]
    if not len(x):
        return np.zeros((0, 2), np.float32)
    # Change over gradient is motion in px a frame, as far as it goes; the noise changes flat places as much.
    gradient = LEVELS_PER_STRENGTH * np.sqrt(value)
    shift = np.sqrt(np.maximum(change[y, x] ** 2 - by_noise**2, 0)) / gradient
    clear = gradient > CLEAR_OF_NOISE * by_noise
    moving = float(np.quantile(highest(shift[clear], cell[clear]), 0.75)) if clear.any() else 0.0
    if moving > STEP_PX:
        free = shift > BURNT_IN * moving
        y, x, value, cell = y[free], x[free], value[free], cell[free]
    order = np.lexsort((-value, cell))
    cell = cell[order]
    rank = np.arange(len(cell)) - np.searchsorted(cell, cell)
    best = order[rank < CORNERS // (GRID[0] * GRID[1])]
    return np.column_stack([x[best], y[best]]).astype(np.float32)


def change_by_noise(grey: NDArray[np.uint8], change: NDArray[np.float32]) -> float:
    """Mean change by noise alone, in levels.

    Where all moves nothing changes by noise alone, and a picture full of texture looks noisy: the lower one counts.
    """
    return min(float(np.quantile(change[::4, ::4], NOISE_SHARE)), CHANGE_BY_NOISE * noise(grey))


def places_shown(grey: NDArray[np.uint8], change: NDArray[np.float32]) -> Places:
    """Where a picture (H, W) shows something, by the mean change of each place (H, W)."""
    coded = OF_CHANGE * float(np.quantile(change[::4, ::4], NOISE_SHARE))
    return places_of(grey, change_by_noise(grey, change) / CHANGE_BY_NOISE, coded)


def highest(values: NDArray[np.float32], cell: NDArray[np.intp]) -> NDArray[np.float32]:
    """The highest value in each cell that has one."""
    found = np.full(int(cell.max(initial=0)) + 1, -1, np.float32)
    np.maximum.at(found, cell, values)
    return found[found >= 0]


def plausible(motion: NDArray[np.floating]) -> bool:
    """Whether a similarity could be a camera between two frames: little zoom and little turn."""
    scale, turn = float(np.hypot(motion[0, 0], motion[1, 0])), float(np.arctan2(motion[1, 0], motion[0, 0]))
    return 0.9 < scale < 1.1 and abs(turn) < 0.15
