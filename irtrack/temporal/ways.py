"""How far chains of points have gone along straight lines, and how surely: the regression of their places over time."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.imaging.motion import moved

SPREAD_PX = 0.35
"""Standard deviation of a faint point's place, an axis: what lies about its line by more is measured by that."""

MEMORY = 60
"""Points from which on those long ago count for less: what flies in a circle goes straight for a while."""

STOOD_PX = 0.75
"""What comes no further away from a place stands there."""


@dataclass(frozen=True)
class Ways:
    """Of chains (N,): how many points, and frames since the first; mean time (N,) and place (N, 2) of the last ones,
    variance of time (N,), covariance of time and place (N, 2), and variance of the place, both axes together (N,); and
    the place (N, 2) that they stand at, since so many points (N,)."""

    count: NDArray[np.int64]
    age: Floats
    time: Floats
    xy: Floats
    of_time: Floats
    of_both: Floats
    of_xy: Floats
    at: Floats
    stood: NDArray[np.int64]

    @classmethod
    def begun(cls, xy: Floats) -> Self:
        """Chains of one point each (N, 2)."""
        none = np.zeros(len(xy))
        one = np.ones(len(xy), np.int64)
        return cls(one, none, none, xy, none, np.zeros_like(xy), none, xy, one)

    def only(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """Some of them."""
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))

    def but(self, rows: NDArray[np.intp], others: Self) -> Self:
        """These with others in some rows."""
        out = []
        for f in fields(self):
            values = getattr(self, f.name).copy()
            values[rows] = getattr(others, f.name)
            out.append(values)
        return type(self)(*out)

    def beside(self, others: Self) -> Self:
        """These and others."""
        return type(self)(*(np.concatenate([getattr(self, f.name), getattr(others, f.name)]) for f in fields(self)))

    def later(self, motion: Floats) -> Self:
        """The same in the next frame, after a motion (2, 3) of what they are measured against."""
        turned = self.of_both @ motion[:, :2].T
        return replace(self, age=self.age + 1, xy=moved(motion, self.xy), of_both=turned, at=moved(motion, self.at))

    def on(self, xy: Floats) -> Self:
        """With one more point each (N, 2), of this frame."""
        share = 1 / np.minimum(self.count + 1, MEMORY)
        time, off = self.age - self.time, xy - self.xy
        here = np.hypot(*(xy - self.at).T) < STOOD_PX
        return type(self)(
            self.count + 1,
            self.age,
            self.time + share * time,
            self.xy + share[:, None] * off,
            (1 - share) * (self.of_time + share * time**2),
            (1 - share)[:, None] * (self.of_both + (share * time)[:, None] * off),
            (1 - share) * (self.of_xy + share * (off**2).sum(1)),
            np.where(here[:, None], self.at, xy),
            np.where(here, self.stood + 1, 1),
        )

    @property
    def along_px2(self) -> Floats:
        """Variance of the place that the line through the points explains (N,)."""
        return np.asarray((self.of_both**2).sum(1) / np.maximum(self.of_time, 1e-9), float)

    @property
    def length_px(self) -> Floats:
        """Of the line through the points (N,), were they spread evenly over it."""
        return np.sqrt(12 * self.along_px2)

    @property
    def straight(self) -> Floats:
        """Share of the variance that lies along the line (N,)."""
        return self.along_px2 / np.maximum(self.of_xy, 1e-9)

    @property
    def nats(self) -> Floats:
        """Log-likelihood ratio (N,) of going along the line to standing at the mean."""
        count = np.minimum(self.count, MEMORY)
        beside = count / np.maximum(2 * count - 4, 1) * (self.of_xy - self.along_px2)
        return count * self.along_px2 / (2 * np.maximum(beside, SPREAD_PX**2))
