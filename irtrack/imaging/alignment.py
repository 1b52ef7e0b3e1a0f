"""Whether a motion of the scene is what the picture shows, and the shift that the picture shows as a whole.

Corners are few where a picture has edges only (a roof, a horizon, a mast) or clouds without shape, and those of noise
and of compression agree by chance now and then. All places with a gradient together tell: what a motion explains, they
show less difference after it than before it, in most parts of the picture where there is anything to see.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.imaging.motion import STILL, resized

PARTS = (8, 6)
"""Columns and rows of the parts of the picture that are asked one by one."""

BLUR_PX, NEIGHBOURS = 1.5, 5.0
"""Both pictures are smoothed by this before they are compared, so that a shift by parts of a pixel smooths one of them
little; so many of the points that are looked at then tell as much as one."""

CAP, STEEP = 4.0, 3.0
"""Differences count up to so many standard deviations of noise, or changes by themselves; places count whose gradient
is so many deviations a pixel."""

SURELY, CLEARLY = 4.0, 0.05
"""A part speaks for or against a motion by a difference of so many standard errors, and of this share at least."""

FEWEST_POINTS, FEWEST_PARTS = 12, 3
"""Points in a part that can speak, and parts that make a scene. They must lie half a picture apart: a few beside each
other may be a cloud, or a bird."""

MOST_PX, SHARE = 2.0, 0.25
"""A place speaks by how far it must have moved for its difference, up to this; and the share of the parts that speak
which makes a motion the scene's."""

MOST_BURNT_IN = 12
"""Parts in which text and reticles stand still at most; more do not speak for nothing."""

LEAST_SIDE_PX, LEVELS = 24, 3
"""Least side of the smallest picture of the pyramid, and how many it has."""

STEPS, LONGEST_PX, SETTLED_PX = 8, 4.0, 0.02
"""Steps on each level at most, their longest, and the step after which a shift is settled."""

ALONG_EDGES = 1e-3
"""Share of the whole gradient that holds a shift along an edge, which tells nothing of the way along it."""


@dataclass(frozen=True, slots=True)
class Steep:
    """The steep places of a picture of one size (width, height): points x, y (N,), their grey and its gradient (N,)."""

    size: tuple[int, int]
    x: NDArray[np.intp]
    y: NDArray[np.intp]
    grey: NDArray[np.float32]
    dx: NDArray[np.float32]
    dy: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Places:
    """Where a key frame shows something: its steep places from full to coarse size, the part of the picture that each
    at full size is in, and the most that a difference counts, in levels."""

    levels: tuple[Steep, ...]
    part: NDArray[np.intp]
    most: float


@dataclass(frozen=True, slots=True)
class Votes:
    """Parts of the picture that show a motion, parts that show none, and whether the first lie far apart."""

    favour: int
    against: int
    wide: bool

    @property
    def carried(self) -> bool:
        return self.wide and self.favour >= FEWEST_PARTS and self.favour > self.against

    @property
    def refused(self) -> bool:
        """So few show it that it is not the scene's, even if text and the lens's shading stand still."""
        return self.against >= MOST_BURNT_IN and self.favour < SHARE * (self.favour + self.against)


def smoothed(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The picture (H, W) as it is compared."""
    return cv2.GaussianBlur(grey, (0, 0), BLUR_PX).astype(np.float32)


def gradient(picture: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Levels a pixel along x and along y."""
    return cv2.Scharr(picture, cv2.CV_32F, 1, 0, scale=1 / 32), cv2.Scharr(picture, cv2.CV_32F, 0, 1, scale=1 / 32)


def places_of(grey: NDArray[np.uint8], noise: float, change: float) -> Places:
    """Where a key frame (H, W) shows something. `noise`: its standard deviation in levels.

    `change`: what else changes by itself from frame to frame, in levels.
    """
    picture = smoothed(grey)
    noise = max(noise / (2 * np.sqrt(np.pi) * BLUR_PX), 0.3)  # what smoothing leaves of it
    levels = []
    for level in range(LEVELS):
        size = (grey.shape[1] >> level, grey.shape[0] >> level)
        if level and min(size) < LEAST_SIDE_PX:
            break
        here = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        dx, dy = gradient(here)
        every = 1 if level else 2
        there = dx * dx + dy * dy > (STEEP * noise) ** 2
        y, x = (every * where for where in np.nonzero(there[::every, ::every]))
        levels.append(Steep(size, x, y, here[y, x], dx[y, x], dy[y, x]))
    full = levels[0]
    part = (full.y * PARTS[1] // full.size[1]) * PARTS[0] + full.x * PARTS[0] // full.size[0]
    return Places(tuple(levels), part, CAP * max(noise, change))


def taken_back(now: NDArray[np.float32], motion: Floats, steep: Steep) -> NDArray[np.float32]:
    """What `now` (H, W) shows where a motion takes the steep places, NaN where that is outside of it."""
    back = cv2.warpAffine(now, motion, steep.size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=np.nan)
    return back[steep.y, steep.x]


def votes(key: Places, now: NDArray[np.float32], motion: Floats) -> Votes:
    """How many parts of the picture `now` (H, W), smoothed, show a motion from the key frame, and how many none."""
    steep = key.levels[0]
    after = taken_back(now, motion, steep)
    inside, slope = np.isfinite(after), np.hypot(steep.dx, steep.dy)
    by_motion, by_none = (
        np.minimum((np.abs(each - steep.grey) / slope)[inside], MOST_PX) for each in (after, now[steep.y, steep.x])
    )
    part, gain = key.part[inside], (by_none - by_motion).astype(float)
    count = np.bincount(part, minlength=PARTS[0] * PARTS[1])
    enough = count >= FEWEST_POINTS
    n = count[enough]
    total, squares, level = (
        np.bincount(part, each, len(count))[enough] for each in (gain, gain**2, (by_none + by_motion) / 2)
    )
    mean = total / n
    spread = np.sqrt(np.maximum(squares / n - mean**2, 0))
    least = np.maximum(SURELY * spread / np.sqrt(n / NEIGHBOURS), CLEARLY * level / n)
    row, column = np.divmod(np.flatnonzero(enough)[mean > least], PARTS[0])
    wide = bool(len(row)) and (np.ptp(column) >= PARTS[0] // 2 or np.ptp(row) >= PARTS[1] // 2)
    return Votes(len(row), int((mean < -least).sum()), bool(wide))


def shift_of(key: Places, now: NDArray[np.float32]) -> Floats:
    """The shift (2, 3) from the key frame that explains the picture `now` (H, W), smoothed, as a whole.

    From coarse to fine by Gauss-Newton on differences of grey (Lucas, Kanade 1981), with weights that leave out what
    differs for other reasons (Tukey's biweight).
    """
    motion = STILL
    for steep in reversed(key.levels):
        ratio = steep.size[0] / now.shape[1]
        small = cv2.resize(now, steep.size, interpolation=cv2.INTER_AREA)
        motion = resized(motion, ratio)
        for _ in range(STEPS):
            r = taken_back(small, motion, steep) - steep.grey
            inside = np.isfinite(r)
            if np.count_nonzero(inside) < FEWEST_POINTS:
                break
            r, dx, dy = r[inside], steep.dx[inside], steep.dy[inside]
            reach = max(6 * 1.4826 * float(np.median(np.abs(r))), key.most)
            w = np.maximum(1 - (r / reach) ** 2, 0) ** 2
            xx, xy, yy = float(w @ (dx * dx)), float(w @ (dx * dy)), float(w @ (dy * dy))
            held = ALONG_EDGES * (xx + yy) + 1e-9
            wr = w * r
            step = np.linalg.solve([[xx + held, xy], [xy, yy + held]], [-float(wr @ dx), -float(wr @ dy)])
            step *= min(1.0, LONGEST_PX / max(float(np.linalg.norm(step)), 1e-9))
            motion = np.column_stack([motion[:, :2], motion[:, 2] + step])
            if np.abs(step).max() < SETTLED_PX:
                break
        motion = resized(motion, 1 / ratio)
    return motion
