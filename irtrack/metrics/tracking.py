"""Figures of tracks against truth: HOTA, CLEAR MOT, identity, GOSPA; by distance, since small targets have no overlap.

Similarity of two points is 1 - d / (2 D), at least 0, so that D is a similarity of one half; CLEAR and identity match
within D. Luiten et al., "HOTA", IJCV 2021; Bernardin, Stiefelhagen, "CLEAR MOT", 2008; Ristani et al., ECCV-W 2016
(IDF1); Rahmathullah et al., "GOSPA", FUSION 2017. The first three equal TrackEval's, which the tests compare with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from irtrack.core import Floats

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""Similarity thresholds over which HOTA is averaged."""

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Sequence:
    """Truth and tracks of one recording, frame by frame: indices of identities (0 and on) and similarities."""

    truth: list[Ints]
    tracks: list[Ints]
    distance: list[Floats]  # (n truth, n tracks), pixels
    truths: int
    identities: int


def by_frame(rows: Floats, last: int) -> list[Ints]:
    """Which rows belong to each frame from 0 to `last`."""
    order = np.argsort(rows[:, 0], kind="stable")
    starts, ends = (np.searchsorted(rows[order, 0], np.arange(last + 1), side) for side in ("left", "right"))
    return [order[i:j] for i, j in zip(starts, ends, strict=True)]


def as_sequence(truth: Floats, tracks: Floats) -> Sequence:
    """Rows (N, 4) of frame, identity, x, y each."""
    last = int(max((r[:, 0].max() for r in (truth, tracks) if len(r)), default=-1))
    t_names, t_index = np.unique(truth[:, 1], return_inverse=True)
    r_names, r_index = np.unique(tracks[:, 1], return_inverse=True)
    ours, theirs, distance = [], [], []
    for g, r in zip(by_frame(truth, last), by_frame(tracks, last), strict=True):
        ours.append(t_index[g].astype(np.intp))
        theirs.append(r_index[r].astype(np.intp))
        distance.append(np.linalg.norm(truth[g, None, 2:4] - tracks[None, r, 2:4], axis=2))
    return Sequence(ours, theirs, distance, len(t_names), len(r_names))


def hota(sequence: Sequence, limit_px: float) -> dict[str, float]:
    """HOTA, DetA and AssA in percent, means over the thresholds."""
    n, m = sequence.truths, sequence.identities
    similar = [np.maximum(0.0, 1 - d / (2 * limit_px)) for d in sequence.distance]
    common, t_count, r_count = np.zeros((n, m)), np.zeros(n), np.zeros(m)
    for g, r, s in zip(sequence.truth, sequence.tracks, similar, strict=True):
        together = s.sum(0)[None] + s.sum(1)[:, None] - s
        common[g[:, None], r[None]] += np.divide(s, together, out=np.zeros_like(s), where=together > 1e-12)
        t_count[g] += 1
        r_count[r] += 1
    aligned = common / np.maximum(t_count[:, None] + r_count[None] - common, 1e-12)
    matched, tp = np.zeros((len(ALPHAS), n, m)), np.zeros(len(ALPHAS))
    for g, r, s in zip(sequence.truth, sequence.tracks, similar, strict=True):
        if not s.size:
            continue
        i, j = linear_sum_assignment(-aligned[g[:, None], r[None]] * s)
        for k, alpha in enumerate(ALPHAS):
            real = s[i, j] >= alpha - np.finfo(float).eps
            matched[k, g[i[real]], r[j[real]]] += 1
            tp[k] += np.count_nonzero(real)
    union = np.maximum(t_count[None, :, None] + r_count[None, None] - matched, 1)
    association = (matched * matched / union).sum((1, 2)) / np.maximum(tp, 1)
    detection = tp / np.maximum(t_count.sum() + r_count.sum() - tp, 1)
    whole = np.sqrt(detection * association)
    return {"HOTA": 100 * whole.mean(), "DetA": 100 * detection.mean(), "AssA": 100 * association.mean()}


def clear_mot(sequence: Sequence, limit_px: float) -> dict[str, float]:
    """MOTA in percent, identity switches, false positives, misses; a match is kept while it lasts."""
    before = np.full(sequence.truths, -1)
    last = before.copy()
    tp = fp = fn = switches = 0
    for g, r, d in zip(sequence.truth, sequence.tracks, sequence.distance, strict=True):
        similar = np.maximum(0.0, 1 - d / (2 * limit_px))
        worth = np.where(similar >= 0.5 - np.finfo(float).eps, similar + 1000.0 * (before[g][:, None] == r[None]), 0.0)
        i, j = linear_sum_assignment(-worth)
        real = worth[i, j] > 0
        i, j = i[real], j[real]
        known = last[g[i]] >= 0
        switches += int(np.count_nonzero(known & (last[g[i]] != r[j])))
        last[g[i]] = r[j]
        before[:] = -1
        before[g[i]] = r[j]
        tp, fp, fn = tp + len(i), fp + len(r) - len(i), fn + len(g) - len(i)
    return {
        "MOTA": 100 * (tp - fp - switches) / max(tp + fn, 1),
        "switches": switches,
        "false_positives": fp,
        "misses": fn,
    }


def identity(sequence: Sequence, limit_px: float) -> dict[str, float]:
    """IDF1 in percent: the best one-to-one pairing of truths and identities over the whole recording."""
    n, m = sequence.truths, sequence.identities
    common, t_count, r_count = np.zeros((n, m)), np.zeros(n), np.zeros(m)
    for g, r, d in zip(sequence.truth, sequence.tracks, sequence.distance, strict=True):
        common[g[:, None], r[None]] += 1 - d / (2 * limit_px) >= 0.5
        t_count[g] += 1
        r_count[r] += 1
    i, j = linear_sum_assignment(-common)
    return {"IDF1": 200 * float(common[i, j].sum()) / max(float(t_count.sum() + r_count.sum()), 1.0)}


def gospa(sequence: Sequence, limit_px: float) -> dict[str, float]:
    """Mean GOSPA (p = 1, alpha = 2, c = 2 D) of the frames in pixels, and its parts."""
    near = missed = false = 0.0
    for d in sequence.distance:
        i, j = linear_sum_assignment(np.minimum(d, 2 * limit_px))
        real = d[i, j] < 2 * limit_px
        near += float(d[i, j][real].sum())
        missed += limit_px * (d.shape[0] - np.count_nonzero(real))
        false += limit_px * (d.shape[1] - np.count_nonzero(real))
    frames = max(len(sequence.distance), 1)
    parts = {"GOSPA_localisation": near / frames, "GOSPA_missed": missed / frames, "GOSPA_false": false / frames}
    return {"GOSPA": sum(parts.values()), **parts}


def score_tracks(truth: Floats, tracks: Floats, limit_px: float = 5.0) -> dict[str, float]:
    """Every figure; rows (N, 4) of frame (0-based), identity, x, y."""
    s = as_sequence(truth, tracks)
    return {**hota(s, limit_px), **identity(s, limit_px), **clear_mot(s, limit_px), **gospa(s, limit_px)}
