"""What targets look like, as evidence of which detection belongs to which track.

Score, brightness (SNR) and size of one target vary less from frame to frame than those of all detections differ. How
much so is learned from the stream itself: where a quantity tells nothing, or is absent, it counts for nothing.
"""

from __future__ import annotations

import numpy as np

from irtrack.core import Detections, Floats

TRAITS = 3
"""Quantities: score, logarithm of SNR, logarithm of area."""

MOST_NATS = 3.0
"""The most that appearance may say for or against a pair."""

LEARNT_AFTER = 60.0
"""Pairs after which the spreads are believed; before that in proportion."""

MEMORY = 2000.0
"""Detections over which the spreads are averaged."""

OWN_MEMORY = 10.0
"""Detections over which a track's own look is averaged."""

BLURRED = np.array([0.02, 0.15, 0.15])
"""Variance that the blur of a jerk adds to each quantity."""

USUAL_OWN = np.array([0.01, 0.05, 0.1])
"""Variance of one target's quantities until it is known."""


def appearance_of(detections: Detections) -> Floats:
    """The quantities of each detection (N, 3); NaN where unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.column_stack([detections.score, np.log(detections.snr), np.log(detections.area_px)])
    seen[~np.isfinite(seen)] = np.nan
    return seen


class Spread:
    """Mean and variance (3,) of quantities, averaged over `MEMORY` of them; `count`: how many the start is worth."""

    def __init__(self, mean: Floats, variance: Floats, count: float) -> None:
        self.mean, self.variance = mean, variance
        self._count = np.full(TRAITS, count)

    def add(self, seen: Floats) -> None:
        """Take in some (N, 3); NaN counts for nothing."""
        known = np.isfinite(seen)
        n = known.sum(0)
        self._count = np.minimum(self._count + n, MEMORY)
        rate = n / np.maximum(self._count, 1.0)
        mean = np.where(known, seen, 0.0).sum(0) / np.maximum(n, 1)
        self.mean = self.mean + rate * (mean - self.mean)
        square = np.where(known, (seen - self.mean) ** 2, 0.0).sum(0) / np.maximum(n, 1)
        self.variance = np.maximum(self.variance + rate * (square - self.variance), 1e-6)


def log_ratio(found: Floats, own: Floats, spread: Floats, other: Floats, wide: Floats) -> Floats:
    """ln N(found; own, spread) - ln N(found; other, wide) of each quantity, 0 where it is unknown."""
    same = (found - own) ** 2 / spread + np.log(spread)
    apart = (found - other) ** 2 / wide + np.log(wide)
    return np.asarray(np.nan_to_num(0.5 * (apart - same)))


class Appearance:
    """Spreads of the quantities: of all detections, and of one target's round its own mean.

    `temper`: share of the evidence that counts.
    """

    def __init__(self, temper: float) -> None:
        self._temper = temper
        self._all = Spread(np.zeros(TRAITS), np.ones(TRAITS), 0.0)
        # Of what belongs to no track: weak, small and of all kinds until it is known.
        self._clutter = Spread(np.array([0.7, 1.5, 1.0]), np.array([0.04, 0.5, 1.0]), 20.0)
        self._own, self._pairs = np.ones(TRAITS), np.zeros(TRAITS)

    def evidence(self, own: Floats, found: Floats) -> Floats:
        """Log-likelihood ratio (N,) of found (N, 3) being of the targets that appear so and not any detection."""
        belief = np.minimum(self._pairs / LEARNT_AFTER, 1.0) * (self._own < self._all.variance)
        if not belief.any():
            return np.zeros(len(own))
        told = log_ratio(found, own, self._own, self._all.mean, self._all.variance) @ (self._temper * belief)
        return np.clip(told, -MOST_NATS, MOST_NATS)

    def against_clutter(self, own: Floats, found: Floats) -> Floats:
        """The same (T, N), of T targets (T, 3) and N found (N, 3), against what belongs to no track.

        Without bounds, and for pictures that a jerk has blurred.
        """
        sure = np.minimum(self._pairs / LEARNT_AFTER, 1.0)
        spread = sure * self._own + (1 - sure) * USUAL_OWN + BLURRED
        clutter = self._clutter
        return np.asarray(log_ratio(found, own[:, None], spread, clutter.mean, clutter.variance + BLURRED).sum(-1))

    def learn_clutter(self, seen: Floats) -> None:
        """Appearance (N, 3) of tracks that ended without ever being believed."""
        self._clutter.add(seen[np.isfinite(seen).all(1)])

    def learn(self, seen: Floats, own: Floats, found: Floats) -> None:
        """All detections of a frame (N, 3), and those of established tracks (M, 3) beside how the tracks appeared."""
        self._all.add(seen)
        both = np.isfinite(own) & np.isfinite(found)
        n = both.sum(0)
        self._pairs = np.minimum(self._pairs + n, MEMORY)
        rate = n / np.maximum(self._pairs, 1.0)
        square = np.where(both, (found - own) ** 2, 0.0).sum(0) / np.maximum(n, 1)
        self._own = np.maximum(self._own + rate * (square - self._own), 1e-6)


def followed(own: Floats, found: Floats, count: Floats) -> Floats:
    """A track's look after another detection of it, its `count`-th; what was unknown begins with it."""
    rate = np.maximum(1 / np.maximum(count, 1.0), 1 / OWN_MEMORY)[:, None]
    out = np.where(np.isnan(own), found, own + rate * (found - own))
    return np.where(np.isnan(found), own, out)
