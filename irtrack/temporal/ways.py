"""How far chains of points have gone along straight lines, and how surely: the regression of their places over time."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.imaging.motion import moved

SPREAD_PX = 0.35
"""Standard deviation of a faint point's place, an axis: what lies about its line by more is measured by that."""


@dataclass(frozen=True)
class Ways:
    """Of chains (N,): how many points, how long ago the first one was, in frames; the mean time (N,) and place (N, 2)
    of all, and their sums of squares and products about these: of time (N,), time and place (N, 2), place (N,)."""

    count: NDArray[np.int64]
    age: Floats
    time: Floats
    xy: Floats
    time_squared: Floats
    time_xy: Floats
    xy_squared: Floats

    @classmethod
    def begun(cls, xy: Floats) -> Self:
        """Chains of one point each (N, 2)."""
        none = np.zeros(len(xy))
        return cls(np.ones(len(xy), np.int64), none, none, xy, none, np.zeros_like(xy), none)

    def only(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """Some of them."""
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))

    def beside(self, others: Self) -> Self:
        """These and others."""
        return type(self)(*(np.concatenate([getattr(self, f.name), getattr(others, f.name)]) for f in fields(self)))

    def later(self, motion: Floats) -> Self:
        """The same in the next frame, after a motion (2, 3) of what they are measured against."""
        return type(self)(
            self.count, self.age + 1, self.time, moved(motion, self.xy),
            self.time_squared, self.time_xy @ motion[:, :2].T, self.xy_squared,
        )  # fmt: skip

    def on(self, xy: Floats) -> Self:
        """With one more point each (N, 2), of this frame."""
        count = self.count + 1
        time, off, share = self.age - self.time, xy - self.xy, 1 - 1 / count
        return type(self)(
            count, self.age, self.time + time / count, self.xy + off / count[:, None],
            self.time_squared + share * time**2, self.time_xy + (share * time)[:, None] * off,
            self.xy_squared + share * (off**2).sum(1),
        )  # fmt: skip

    @property
    def length_px(self) -> Floats:
        """Of the line through the points (N,), from the time of the first one to that of the last."""
        speed = np.linalg.norm(self.time_xy, axis=1) / np.maximum(self.time_squared, 1e-9)
        return np.asarray(speed * self.age, float)

    @property
    def explained_px2(self) -> Floats:
        """Sum of the squared distances from their mean that the line explains (N,)."""
        return np.asarray((self.time_xy**2).sum(1) / np.maximum(self.time_squared, 1e-9), float)

    @property
    def straight(self) -> Floats:
        """Share of them (N,)."""
        return self.explained_px2 / np.maximum(self.xy_squared, 1e-9)

    @property
    def nats(self) -> Floats:
        """Log-likelihood ratio (N,) of going along the line to standing at the mean."""
        left = np.maximum(self.xy_squared - self.explained_px2, 0) / np.maximum(2 * self.count - 4, 1)
        return self.explained_px2 / (2 * np.maximum(left, SPREAD_PX**2))
