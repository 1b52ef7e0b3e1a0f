"""Points that stand out a little in one frame, strung together over several: track before detect.

Each point is the end of one chain, the best that leads to it (dynamic programming over points above a low threshold
instead of over all pixels: Barniv, IEEE Trans. Aerospace and Electronic Systems 21(1), 1985). A chain's worth is the
log-likelihood ratio of a target to chance (Sittler 1964): of the strength of each point, and of each place against the
one that the points before predict.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from irtrack.core import Floats
from irtrack.imaging.motion import moved

LOWEST, RANGE, MOST_NATS = 3.3, 10.0, 4.0
"""Strength from which on there are points, and the range over which those of targets lie evenly, in standard deviations
of the noise; and the most that a point's strength may say: clutter is not quite normal."""

REACH_PX, SPREAD_PX, GATE = 8.0, 0.8, 12.0
"""How far a target of unknown velocity goes in a frame; the standard deviation of a place that is predicted; and the
largest squared distance from one, in variances."""

PD, NEW_PX2, MISS_NATS, MOST_MISSES = 0.85, 1e-7, 1.9, 2
"""Chance that a target has a point; new targets, a pixel and frame; what a frame without a point costs, and how many
frames in a row may lack one."""

MOST_WORTH = 30.0
"""The most that a chain can be worth: it ends soon once its target is gone."""

FIRST, PLACE_GAIN, SPEED_GAIN, STRENGTH_GAIN = 3, 0.3, 0.4, 0.1
"""Points whose mean is where a chain began, shares of an error of prediction that go into place and velocity, and least
share of a new point in the mean strength."""


@dataclass(frozen=True)
class Ends:
    """Of the chains to points (N,): worth in nats, how many points they have, how far they have surely gone, in the
    scene and on the sensor, in px, and the mean strength of their last points, in deviations."""

    worth: Floats
    count: NDArray[np.int64]
    gone: Floats
    strength: Floats


class Chains:
    """All chains that end in the last frames.

    `xy`, `velocity` (N, 2): where they end, smoothed, and px a frame. `began`, `sensor` (N, 2): where they began,
    carried along with the scene, and left where it was on the sensor. `misses` (N,): frames since the last point.
    `strength` (N,): mean of the last points.
    """

    def __init__(self) -> None:
        none = np.zeros((0, 2))
        self.xy, self.velocity, self.began, self.sensor = none, none, none, none
        self.worth, self.strength = np.zeros(0), np.zeros(0)
        self.count, self.misses = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._density_px2 = 1e-3  # of points

    def __call__(self, xy: Floats, strength: Floats, motion: Floats, area_px2: float) -> Ends:
        """Points (N, 2) of the next frame and their strengths (N,); `motion` (2, 3) of the scene since the last frame;
        and the area of the frame.
        """
        self._density_px2 += 0.1 * ((len(xy) + 1) / area_px2 - self._density_px2)
        self._predict(motion)
        # Against the tail of a normal distribution.
        told = np.clip((strength**2 - LOWEST**2) / 2 - np.log(RANGE * LOWEST), -MOST_NATS, MOST_NATS)
        start = np.log(NEW_PX2 / self._density_px2)
        of, worth = self._joined(xy, told, start)
        on = np.flatnonzero(of >= 0)
        k = of[on]
        ends, speed, began, sensor = xy.copy(), np.zeros_like(xy), xy.copy(), xy.copy()
        off, early = xy[on] - self.xy[k], self.count[k, None] < FIRST
        ends[on] = self.xy[k] + np.where(early, 1.0, PLACE_GAIN) * off
        speed[on] = self.velocity[k] + np.where(self.count[k, None] == 1, 1.0, SPEED_GAIN) * off / (
            1 + self.misses[k, None]
        )
        share = early / (self.count[k, None] + 1)
        began[on] = self.began[k] + share * (xy[on] - self.began[k])
        sensor[on] = self.sensor[k] + share * (xy[on] - self.sensor[k])
        count = np.ones(len(xy), np.int64)
        count[on] += self.count[k]
        mean = strength.copy()
        mean[on] = self.strength[k] + np.maximum(1 / count[on], STRENGTH_GAIN) * (strength[on] - self.strength[k])
        self._replace(ends, speed, began, sensor, worth, mean, count, k)
        gone = np.minimum(np.linalg.norm(ends - began, axis=1), np.linalg.norm(ends - sensor, axis=1))
        return Ends(worth, count, gone, mean)

    def _predict(self, motion: Floats) -> None:
        self.velocity = self.velocity @ motion[:, :2].T
        self.xy, self.began = moved(motion, self.xy) + self.velocity, moved(motion, self.began)

    def _joined(self, xy: Floats, told: Floats, start: float) -> tuple[NDArray[np.intp], Floats]:
        """Of each point, which chain leads to it, or -1, and what the chain to it is worth (N,)."""
        of, best = np.full(len(xy), -1, np.intp), np.full(len(xy), start)
        if len(xy) and len(self.xy):
            away = cdist(xy, self.xy, "sqeuclidean")
            variance = (SPREAD_PX * (1 + 1 / self.count)) ** 2 * (1 + self.misses)
            reach = (REACH_PX * (1 + self.misses)) ** 2
            near = np.where(away < GATE * variance, -np.log(2 * np.pi * variance) - away / (2 * variance), -np.inf)
            anywhere = np.where(away < reach, -np.log(np.pi * reach), -np.inf)
            worth = self.worth + np.log(PD / self._density_px2) + np.where(self.count == 1, anywhere, near)
            # Each chain goes on to the one point that is worth most by it.
            chain = np.arange(len(self.xy))
            point = (worth + told[:, None]).argmax(0)
            alone = np.full_like(worth, -np.inf)
            alone[point, chain] = worth[point, chain]
            chosen = alone.argmax(1)
            value = alone[np.arange(len(xy)), chosen]
            better = value > start
            of[better], best[better] = chosen[better], value[better]
        return of, np.minimum(best + told, MOST_WORTH)

    def _replace(
        self,
        xy: Floats,
        velocity: Floats,
        began: Floats,
        sensor: Floats,
        worth: Floats,
        strength: Floats,
        count: NDArray[np.int64],
        taken: NDArray[np.intp],
    ) -> None:
        """Chains end in these points from now on; those that were not taken on wait a frame or two."""
        wait = (self.misses < MOST_MISSES) & (self.worth > 0)
        wait[taken] = False
        self.xy, self.velocity = np.concatenate([xy, self.xy[wait]]), np.concatenate([velocity, self.velocity[wait]])
        self.began, self.sensor = np.concatenate([began, self.began[wait]]), np.concatenate([sensor, self.sensor[wait]])
        self.worth = np.concatenate([worth, self.worth[wait] - MISS_NATS])
        self.strength = np.concatenate([strength, self.strength[wait]])
        self.count = np.concatenate([count, self.count[wait]])
        self.misses = np.concatenate([np.zeros(len(xy), np.int64), self.misses[wait] + 1])
