"""Tracks as arrays and back, for keeping many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Track, Tracks, TrackStatus
from irtrack.imaging.motion import STILL
from irtrack.track.belief import CLUTTER, PARTS

STATUSES = tuple(TrackStatus)


Columns = dict[str, NDArray[Any]]


def columns_of(tracks: Iterable[Track]) -> Columns:
    """Tracks without trails as arrays: `numbers` (N, 3) of identity, status and detection or -1, `x` (N, 4),
    `covariance` (N, 4, 4), and `rest` (N, 8) of age, misses, size, area, score, SNR and
    belief; what that consists of is not in them."""
    kept = list(tracks)
    numbers = [(t.id, STATUSES.index(t.status), -1 if t.detection is None else t.detection) for t in kept]
    rest = [(t.age_s, t.misses, *t.size_px, t.area_px, t.score, t.snr, t.belief) for t in kept]
    return {
        "numbers": np.array(numbers, np.int64).reshape(-1, 3),
        "x": np.array([(*t.xy_px, *t.velocity_px_s) for t in kept]).reshape(-1, 4),
        "covariance": np.array([t.covariance for t in kept]).reshape(-1, 4, 4),
        "rest": np.array(rest).reshape(-1, 8),
    }


def reasons_of(tracks: Iterable[Track]) -> NDArray[np.float32]:
    """Why each is believed (N, K, P), as of `Track.why`, by CLUTTER and PARTS; NaN where nothing is said."""
    said = [[[kind.get(part, np.nan) for part in PARTS] for kind in kinds_of(t)] for t in tracks]
    return np.array(said, np.float32).reshape(-1, len(CLUTTER), len(PARTS))


def kinds_of(track: Track) -> list[Mapping[str, float]]:
    """The parts of a belief against each kind of clutter."""
    why = track.why()
    return [why.get(kind, {}) for kind in CLUTTER]


def why_of(
    said: NDArray[np.float32], kinds: Sequence[str], parts: Sequence[str]
) -> Callable[[], dict[str, dict[str, float]]]:
    """`Track.why` of one track, from (K, P) of `reasons_of` and the names that belong to it."""

    def why() -> dict[str, dict[str, float]]:
        told = zip(kinds, said.tolist(), strict=True)
        known = {kind: {part: v for part, v in zip(parts, row, strict=True) if v == v} for kind, row in told}
        return {kind: row for kind, row in known.items() if row}

    return why


def tracks_of(columns: Mapping[str, NDArray[Any]], scene: Floats | None = None) -> Tracks:
    """Tracks from such arrays, in a scene (2, 3) that stands where it is not known; the trail of each is where it is
    now. `why` (N, K, P), `why_kinds` and `why_parts`, where they are there: as of `reasons_of`."""
    names = [columns[name].tolist() for name in ("why_kinds", "why_parts") if name in columns]
    numbers, x, covariance, rest = (columns[name] for name in ("numbers", "x", "covariance", "rest"))

    def make(i: int) -> Track:
        age_s, misses, w, h, area, score, snr, belief = rest[i].tolist()
        track, code, detection = numbers[i].tolist()
        return Track(
            track, STATUSES[code], x[i, :2], x[i, 2:], covariance[i], age_s, int(misses),
            None if detection < 0 else detection, (w, h), area, score, snr, x[i : i + 1, :2], belief,
            why_of(columns["why"][i], *names) if names else dict,
        )  # fmt: skip

    return Tracks(numbers[:, 0], numbers[:, 1] > 0, x, STILL if scene is None else scene, make)


def packed(tracks: Sequence[Track]) -> Tracks:
    """Tracks without trails, as arrays: the garbage collector stops everything to walk through millions of objects."""
    return tracks_of(columns_of(tracks), tracks.scene if isinstance(tracks, Tracks) else None)
