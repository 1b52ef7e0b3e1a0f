"""Tracks as arrays and back, for keeping many of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Track, Tracks, TrackStatus

STATUSES = tuple(TrackStatus)


Columns = dict[str, NDArray[Any]]


def columns_of(tracks: Iterable[Track]) -> Columns:
    """Tracks without trails as arrays: `numbers` (N, 3) of identity, status and detection or -1, `x` (N, 4),
    `covariance` (N, 4, 4), and `rest` (N, 8) of age, misses, size, area, score, SNR and
    belief; what the belief consists of is not kept."""
    kept = list(tracks)
    numbers = [(t.id, STATUSES.index(t.status), -1 if t.detection is None else t.detection) for t in kept]
    rest = [(t.age_s, t.misses, *t.size_px, t.area_px, t.score, t.snr, t.belief) for t in kept]
    return {
        "numbers": np.array(numbers, np.int64).reshape(-1, 3),
        "x": np.array([(*t.xy_px, *t.velocity_px_s) for t in kept]).reshape(-1, 4),
        "covariance": np.array([t.covariance for t in kept]).reshape(-1, 4, 4),
        "rest": np.array(rest).reshape(-1, 8),
    }


def tracks_of(columns: Mapping[str, NDArray[Any]]) -> Tracks:
    """Tracks from such arrays; the trail of each is where it is now."""
    numbers, x, covariance, rest = (columns[name] for name in ("numbers", "x", "covariance", "rest"))

    def make(i: int) -> Track:
        age_s, misses, w, h, area, score, snr, belief = rest[i].tolist()
        track, code, detection = numbers[i].tolist()
        return Track(
            track, STATUSES[code], x[i, :2], x[i, 2:], covariance[i], age_s, int(misses),
            None if detection < 0 else detection, (w, h), area, score, snr, x[i : i + 1, :2], belief,
        )  # fmt: skip

    return Tracks(numbers[:, 0], numbers[:, 1] > 0, x, np.eye(2, 3), make)


def packed(tracks: Sequence[Track]) -> Tracks:
    """Tracks without trails, as arrays: the garbage collector stops everything to walk through millions of objects."""
    return tracks_of(columns_of(tracks))
