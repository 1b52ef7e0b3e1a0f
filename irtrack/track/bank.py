"""All tracks at once: arrays with a row for each, no object for each target."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats

MODELS = 2
"""Models of motion of each track: quiet and manoeuvring."""


def rows_of(*shape: int, dtype: type = float) -> NDArray[np.generic]:
    """A field that starts without rows."""
    return field(default_factory=lambda: np.zeros((0, *shape), dtype))  # type: ignore[return-value]


@dataclass
class Bank:
    """The state of N tracks.

    `x` (N, 4), `P` (N, 4, 4): mean and covariance over the models, whose own are `xm` (N, M, 4), `Pm` (N, M, 4, 4) with
    probabilities `mu` (N, M). `doubt`: evidence against its being there, in nats; 0 is sure. `hits`: bit i set where detected i frames ago. `seen_s` is moved on where time
    does not count as missing (shutter outages). `anchor` and `sensor` (N, 2): where the track began, carried along with
    the scene, and left where it was on the sensor; means of the first detections. `last` (N, 5): width, height, area,
    score, snr of the last detection. `evidence` (N, 3): detections so far, sums of their score and SNR. `away`: bit i
    set where the last detection but i lay away from both places. `stray` (N, 2): mean squared distance of late
    detections from `anchor` and from `sensor`. `ripe`: often and clear enough to be a target. `fixed`: has been seen
    for long and has not left its place.
    """

    x: Floats = rows_of(4)  # type: ignore[assignment]
    P: Floats = rows_of(4, 4)  # type: ignore[assignment]
    xm: Floats = rows_of(MODELS, 4)  # type: ignore[assignment]
    Pm: Floats = rows_of(MODELS, 4, 4)  # type: ignore[assignment]
    mu: Floats = rows_of(MODELS)  # type: ignore[assignment]
    doubt: Floats = rows_of()  # type: ignore[assignment]
    id: NDArray[np.int64] = rows_of(dtype=np.int64)  # type: ignore[assignment]
    confirmed: NDArray[np.bool_] = rows_of(dtype=bool)  # type: ignore[assignment]
    ripe: NDArray[np.bool_] = rows_of(dtype=bool)  # type: ignore[assignment]
    fixed: NDArray[np.bool_] = rows_of(dtype=bool)  # type: ignore[assignment]
    hits: NDArray[np.uint64] = rows_of(dtype=np.uint64)  # type: ignore[assignment]
    frames: NDArray[np.int64] = rows_of(dtype=np.int64)  # type: ignore[assignment]
    misses: NDArray[np.int64] = rows_of(dtype=np.int64)  # type: ignore[assignment]
    born_s: Floats = rows_of()  # type: ignore[assignment]
    seen_s: Floats = rows_of()  # type: ignore[assignment]
    anchor: Floats = rows_of(2)  # type: ignore[assignment]
    sensor: Floats = rows_of(2)  # type: ignore[assignment]
    last: Floats = rows_of(5)  # type: ignore[assignment]
    evidence: Floats = rows_of(3)  # type: ignore[assignment]
    away: NDArray[np.uint64] = rows_of(dtype=np.uint64)  # type: ignore[assignment]
    stray: Floats = rows_of(2)  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.id)

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Let go of the others."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name)[rows])

    def extend(self, other: Bank) -> None:
        """Add the tracks of another bank behind these."""
        for f in fields(self):
            setattr(self, f.name, np.concatenate([getattr(self, f.name), getattr(other, f.name)]))
