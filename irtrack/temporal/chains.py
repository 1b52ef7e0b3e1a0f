"""Points that stand out a little in one frame, strung together over several: track before detect.

Each point is the end of one chain, the best that leads to it (dynamic programming over points above a low threshold
instead of over all pixels: Barniv, IEEE Trans. Aerospace and Electronic Systems 21(1), 1985). A chain's worth is the
log-likelihood ratio of a target to chance (Sittler 1964): of the strength of each point, and of each place against the
one that the points before predict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from irtrack.core import Floats
from irtrack.imaging.motion import STILL, moved
from irtrack.temporal.ways import Ways

LOWEST, RANGE, MOST_NATS = 3.3, 10.0, 4.0
"""Strength from which on there are points, and the range over which those of targets lie evenly, in standard deviations
of the noise; and the most that a point's strength may say: clutter is not quite normal."""

REACH_PX, SPREAD_PX, GATE = 8.0, 0.8, 12.0
"""How far a target of unknown velocity goes in a frame; the standard deviation of a place that is predicted; and the
largest squared distance from one, in variances."""

PD, NEW_PX2, MISS_NATS = 0.85, 1e-7, 1.9
"""Chance that a target has a point; new targets, a pixel and frame; and what a frame without a point costs."""

MOST_MISSES, STEADY, STRAIGHT, MOST_MISSES_STEADY = 2, 20, 0.7, 5
"""How many frames in a row may lack a point; and where so many points have shown a line as straight as this."""

MOST_WORTH = 30.0
"""The most that a chain can be worth: it ends soon once its target is gone."""

EARLY, PLACE_GAIN, SPEED_GAIN, STRENGTH_GAIN, FREE_GAIN = 3, 0.3, 0.4, 0.1, 0.05
"""Points up to which a place is taken as it is; shares of an error of prediction that go into place and velocity, and
least shares of a new point in the mean strength and in the share of free points."""


@dataclass(frozen=True)
class Ends:
    """Of the chains to points (N,): worth in nats, mean strength of their last points, in deviations, and how many of
    these are free, as a share; and the ways that they have gone in the scene and on the sensor."""

    worth: Floats
    strength: Floats
    free: Floats
    scene: Ways
    sensor: Ways


class Chains:
    """All chains that end in the last frames.

    `xy`, `velocity` (N, 2): where they end, smoothed, and px a frame. `misses` (N,): frames since the last point.
    """

    def __init__(self) -> None:
        none = np.zeros((0, 2))
        self.xy, self.velocity, self.misses = none, none, np.zeros(0, np.int64)
        self.ends = Ends(np.zeros(0), np.zeros(0), np.zeros(0), Ways.begun(none), Ways.begun(none))
        self._density_px2 = 1e-3  # of points

    def __call__(self, xy: Floats, strength: Floats, free: NDArray[np.bool_], motion: Floats, area_px2: float) -> Ends:
        """Points (N, 2) of the next frame, their strengths (N,), and whether they are surely not fixed on the sensor
        (N,); `motion` (2, 3) of the scene since the last frame; and the area of the frame.
        """
        self._density_px2 += 0.1 * ((len(xy) + 1) / area_px2 - self._density_px2)
        self._predict(motion)
        # Against the tail of a normal distribution.
        told = np.clip((strength**2 - LOWEST**2) / 2 - np.log(RANGE * LOWEST), -MOST_NATS, MOST_NATS)
        of, worth = self._joined(xy, told, np.log(NEW_PX2 / self._density_px2))
        on = np.flatnonzero(of >= 0)
        k, last = of[on], self.ends
        known = last.scene.count[k]
        ends, speed, mean, share = xy.copy(), np.zeros_like(xy), strength.copy(), free.astype(float)
        off = xy[on] - self.xy[k]
        ends[on] = self.xy[k] + np.where(known < EARLY, 1.0, PLACE_GAIN)[:, None] * off
        gain = np.where(known == 1, 1.0, SPEED_GAIN) / (1 + self.misses[k])
        speed[on] = self.velocity[k] + gain[:, None] * off
        mean[on] = last.strength[k] + np.maximum(1 / (known + 1), STRENGTH_GAIN) * (strength[on] - last.strength[k])
        share[on] = last.free[k] + np.maximum(1 / (known + 1), FREE_GAIN) * (free[on] - last.free[k])
        scene, sensor = (Ways.begun(xy).but(on, way.only(k).on(xy[on])) for way in (last.scene, last.sensor))
        now = Ends(worth, mean, share, scene, sensor)
        self._replace(ends, speed, now, k)
        return now

    def _predict(self, motion: Floats) -> None:
        self.velocity = self.velocity @ motion[:, :2].T
        self.xy = moved(motion, self.xy) + self.velocity
        scene, sensor = self.ends.scene.later(motion), self.ends.sensor.later(STILL)
        self.ends = replace(self.ends, scene=scene, sensor=sensor)

    def _joined(self, xy: Floats, told: Floats, start: float) -> tuple[NDArray[np.intp], Floats]:
        """Of each point, which chain leads to it, or -1, and what the chain to it is worth (N,)."""
        of, best = np.full(len(xy), -1, np.intp), np.full(len(xy), start)
        if len(xy) and len(self.xy):
            count = self.ends.scene.count
            away = cdist(xy, self.xy, "sqeuclidean")
            variance = (SPREAD_PX * (1 + 1 / count)) ** 2 * (1 + self.misses)
            reach = (REACH_PX * (1 + self.misses)) ** 2
            near = np.where(away < GATE * variance, -np.log(2 * np.pi * variance) - away / (2 * variance), -np.inf)
            anywhere = np.where(away < reach, -np.log(np.pi * reach), -np.inf)
            worth = self.ends.worth + np.log(PD / self._density_px2) + np.where(count == 1, anywhere, near)
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

    def _replace(self, xy: Floats, velocity: Floats, now: Ends, taken: NDArray[np.intp]) -> None:
        """Chains end in these points from now on; those that were not taken on wait some frames."""
        last = self.ends
        steady = (last.scene.count >= STEADY) & (last.scene.straight > STRAIGHT)
        wait = (last.worth > 0) & (self.misses < np.where(steady, MOST_MISSES_STEADY, MOST_MISSES))
        wait[taken] = False
        self.xy, self.velocity = np.concatenate([xy, self.xy[wait]]), np.concatenate([velocity, self.velocity[wait]])
        self.misses = np.concatenate([np.zeros(len(xy), np.int64), self.misses[wait] + 1])
        self.ends = Ends(
            np.concatenate([now.worth, last.worth[wait] - MISS_NATS]),
            np.concatenate([now.strength, last.strength[wait]]),
            np.concatenate([now.free, last.free[wait]]),
            now.scene.beside(last.scene.only(wait)),
            now.sensor.beside(last.sensor.only(wait)),
        )
