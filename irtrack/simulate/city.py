"""What stands still and is no target: buildings with windows, lamps; and specks that are gone at once."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.simulate.settings import SceneSettings

STREET_PX = 42
"""From one row of buildings to the next."""

MOST_LAMPS = 100_000
"""In a whole scene, of which a picture may show little."""

SPECK_FRAMES = 3
"""No speck lasts longer."""


def skyline(s: SceneSettings) -> int:
    """Row of a still camera's picture above which no building rises."""
    return min(round(s.height * (1 - s.city)), s.height - 1)


def ground(s: SceneSettings, side: int) -> int:
    """Row where the city ends: as far below a still camera's picture as the periodic sky's end lies above it."""
    return (s.height + side) // 2


def buildings(s: SceneSettings, side: int) -> NDArray[np.float32]:
    """Levels (side, side), fractions of full scale, to add to a periodic backdrop: rows of buildings, soft.

    Periodic from left to right; from the skyline down to the ground.
    """
    rng = np.random.default_rng([s.seed, 8])
    level = np.zeros((side, side), np.float32)
    for street in range(skyline(s), ground(s, side), STREET_PX):
        left = 0
        while left < side:
            right = min(left + int(rng.integers(18, 75)), side)
            roof = street + int(rng.integers(0, STREET_PX))
            level[roof:, left:right] = building(side, right - left, rng)[: max(side - roof, 0)]
            left = right + int(rng.integers(0, 14)) * int(rng.random() < 0.3)
    level[ground(s, side) :] = 0
    pad = 4 * int(np.ceil(s.psf_sigma_px)) + 1
    soft = cv2.GaussianBlur(np.pad(level, ((pad, pad), (pad, pad)), "wrap"), (0, 0), s.psf_sigma_px)
    return soft[pad : pad + side, pad : pad + side]


def building(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A front with a roof's edge and, mostly, a grid of windows, some of them warm."""
    wall = np.full((height, width), rng.uniform(0.02, 0.10), np.float32)
    wall[: int(rng.integers(1, 3))] += float(rng.uniform(0.0, 0.05))
    wall[:, -max(1, width // 5) :] -= 0.012  # the side that turns away
    if rng.random() < 0.75:
        w, h = int(rng.integers(2, 4)), int(rng.integers(2, 5))
        across, down = w + int(rng.integers(3, 6)), h + int(rng.integers(3, 7))
        cell = np.zeros((down, across), np.float32)
        cell[:h, :w] = 1.0
        count = ((height - 6) // down, (width - 6) // across)
        if min(count) > 0:
            warmth = np.where(rng.random(count) < rng.uniform(0.1, 0.5), rng.uniform(0.03, 0.12, count), -0.012)
            grid = np.kron(warmth.astype(np.float32), cell)
            wall[5 : 5 + grid.shape[0], 4 : 4 + grid.shape[1]] += grid
    return wall


class Lamps:
    """Warm points that are fixed in a periodic scene: `xy_px` (N, 2) there, `sigma_px` (N,)."""

    def __init__(self, settings: SceneSettings, side: int) -> None:
        s = settings
        rng = np.random.default_rng([s.seed, 9])
        # None floats high above the roofs.
        top, bottom = (min(skyline(s) + STREET_PX // 2, s.height - 1), ground(s, side)) if s.city else (0, side)
        # As many in a picture, however large the scene is.
        n = min(round(s.lamps * side * (bottom - top) / (s.width * (s.height - top))), MOST_LAMPS)
        self._side = side
        self.xy_px = rng.uniform((0, top), (side, bottom), (n, 2))
        self.sigma_px = s.psf_sigma_px * np.where(rng.random(n) < 0.7, 1.0, rng.uniform(1.0, 1.8, n))
        self._peak = s.scr * s.clutter * rng.uniform(0.7, 2.2, n)
        kind = rng.random(n)
        self._mains, self._blinking = kind < s.flicker * 0.6, (kind >= s.flicker * 0.6) & (kind < s.flicker)
        # Twice the mains' frequency, which no camera is in step with.
        self._hz = np.where(rng.random() < 0.5, 100.0, 120.0) * (1 + 2e-3 * rng.standard_normal(n))
        self._depth, self._phase = rng.uniform(0.1, 0.5, n), rng.uniform(0, 2 * np.pi, n)
        self._period_s, self._on = rng.uniform(1.0, 4.0, n), rng.uniform(0.3, 0.7, n)

    def nearest(self, place: Floats) -> Floats:
        """Places (N, 2): of all copies of each lamp in the periodic scene the one nearest a place (2,)."""
        half = self._side / 2
        out: Floats = (self.xy_px - place + half) % self._side - half + place
        return out

    def peaks(self, time_s: float) -> Floats:
        """How bright each (N,) is at a time."""
        mains = 1 - self._depth * (1 + np.sin(2 * np.pi * self._hz * time_s + self._phase)) / 2
        turn = (time_s / self._period_s + self._phase / (2 * np.pi)) % 1
        lit = np.where(turn < self._on, 1.0, 0.15)
        out: Floats = self._peak * np.where(self._mains, mains, np.where(self._blinking, lit, 1.0))
        return out


def specks(s: SceneSettings, index: int) -> tuple[Floats, Floats]:
    """Places (N, 2) on the sensor and peaks (N,) of the specks of frame `index`; each lasts one frame to three."""
    xy, peak = [np.zeros((0, 2))], [np.zeros(0)]
    for born in range(max(index - SPECK_FRAMES + 1, 0), index + 1):
        rng = np.random.default_rng([s.seed, 10, born])
        n = int(rng.poisson(s.specks))
        place, bright = rng.uniform((0, 0), (s.width, s.height), (n, 2)), rng.uniform(0.5, 2.0, n)
        lasts = rng.integers(1, SPECK_FRAMES + 1, n) > index - born
        xy.append(place[lasts])
        peak.append(s.scr * s.clutter * bright[lasts])
    return np.concatenate(xy), np.concatenate(peak)
