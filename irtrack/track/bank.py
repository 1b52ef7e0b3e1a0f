"""All tracks at once: arrays with a row for each, no object for each target."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.track.appearance import TRAITS

MODELS = 2
"""Models of motion of each track: quiet and manoeuvring."""

SUMS = ("count", "score", "snr", "area", "flicker", "rough", "prominence", "distance")
"""What is summed over a track's detections: one, score, ln SNR, ln area, change of ln SNR, unevenness of what
surrounds it, how far it stands out of that, squared Mahalanobis distance. NaN once anything was unknown.
"""

SHAPES: dict[str, tuple[tuple[int, ...], type]] = {
    "x": ((4,), np.float64),
    "P": ((4, 4), np.float64),
    "xm": ((MODELS, 4), np.float64),
    "Pm": ((MODELS, 4, 4), np.float64),
    "mu": ((MODELS,), np.float64),
    "doubt": ((), np.float64),
    "id": ((), np.int64),
    "confirmed": ((), np.bool_),
    "ripe": ((), np.bool_),
    "fixed": ((), np.bool_),
    "hits": ((), np.uint64),
    "frames": ((), np.int64),
    "misses": ((), np.int64),
    "born_s": ((), np.float64),
    "seen_s": ((), np.float64),
    "anchor": ((2,), np.float64),
    "sensor": ((2,), np.float64),
    "last": ((5,), np.float64),
    "sums": ((8,), np.float64),
    "change": ((2,), np.float64),
    "place_nats": ((), np.float64),
    "recent": ((3,), np.float64),
    "moved": ((), np.float64),
    "known": ((15,), np.float64),
    "belief": ((), np.float64),
    "appearance": ((TRAITS,), np.float64),
    "stray": ((2,), np.float64),
    "trail": ((), np.intp),
}


class Bank:
    """The state of N tracks.

    `x` (N, 4), `P` (N, 4, 4): mean and covariance over the models, whose own are `xm` (N, M, 4) and `Pm` (N, M, 4, 4)
    with probabilities `mu` (N, M). `doubt`: evidence against its being there, in nats; 0 is sure.
    `hits`: bit i set where detected i frames ago. `seen_s`: last time it was surely seen; moved on where time does not
    count as missing (shutter outages). `last` (N, 5): width, height, area, score, snr of the last detection. `sums`
    (N, 8): over all detections so far, see `SUMS`. `change` (N, 2): sum of ln (1 + change) over those of which it is
    known, and how many these are. `place_nats`: their track score, by places alone. `recent` (N, 3):
    how far the last three lay from where it began; `moved`: the largest so far that all three exceeded. `known` (N, P):
    quantities that `belief` follows from, see `belief.py`. `appearance` (N, 3): means of what `appearance.py` compares.
    `anchor` and `sensor` (N, 2): where the track began, carried along with the scene, and left where it was on the
    sensor; means of the first detections. `stray` (N, 2): mean squared distance of late detections from each.
    `ripe`: often and clear enough to be a target. `fixed`: has been seen for long and has not left its place.
    `trail`: row in the array of trails.
    """

    x: Floats
    P: Floats
    xm: Floats
    Pm: Floats
    mu: Floats
    doubt: Floats
    id: NDArray[np.int64]
    confirmed: NDArray[np.bool_]
    ripe: NDArray[np.bool_]
    fixed: NDArray[np.bool_]
    hits: NDArray[np.uint64]
    frames: NDArray[np.int64]
    misses: NDArray[np.int64]
    born_s: Floats
    seen_s: Floats
    anchor: Floats
    sensor: Floats
    last: Floats
    sums: Floats
    change: Floats
    place_nats: Floats
    recent: Floats
    moved: Floats
    known: Floats
    belief: Floats
    appearance: Floats
    stray: Floats
    trail: NDArray[np.intp]

    def __init__(self, count: int = 0, **rows: NDArray[Any]) -> None:
        """`count` tracks with these arrays; the others are zero."""
        for name, (shape, dtype) in SHAPES.items():
            setattr(self, name, rows[name] if name in rows else np.zeros((count, *shape), dtype))

    def __len__(self) -> int:
        return len(self.id)

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Let go of the others."""
        for name in SHAPES:
            setattr(self, name, getattr(self, name)[rows])

    def extend(self, other: Bank) -> None:
        """Add the tracks of another bank behind these."""
        for name in SHAPES:
            setattr(self, name, np.concatenate([getattr(self, name), getattr(other, name)]))
