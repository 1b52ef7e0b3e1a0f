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

from irtrack.core import Floats, IrtrackError

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""Similarity thresholds over which HOTA is averaged."""

MOST_JITTER_PX = 0.3
"""Tracks that are no further off than this lie in the right frame."""

FEW_NEAR, MOST_NEAR = 0.3, 0.6
"""Shares of a truth that have tracks near them: as far as the first, tracks are not where the truth is; from the second
on, they are."""

MOST_PAIRS = 1 << 24
"""Of identities of truth and tracks: tables of more than these take more memory than a figure is worth."""

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Sequence:
    """Truth and tracks of one recording, frame by frame: indices of identities (0 and on) and similarities."""

    truth: list[Ints]
    tracks: list[Ints]
    distance: list[Floats]  # (n truth, n tracks), pixels
    truths: int
    identities: int
    frames: int
    """From the first to the last, also those between in which there is nothing and which are not in the lists."""


def by_frame(rows: Floats, frames: Floats) -> list[Ints]:
    """Which rows belong to each of these frames."""
    order = np.argsort(rows[:, 0], kind="stable")
    starts, ends = (np.searchsorted(rows[order, 0], frames, side) for side in ("left", "right"))
    return [order[i:j] for i, j in zip(starts, ends, strict=True)]


def as_sequence(truth: Floats, tracks: Floats) -> Sequence:
    """Rows (N, 4) of frame, identity, x, y each. Raises IrtrackError for more identities than can be compared."""
    frames = np.unique(np.concatenate([truth[:, 0], tracks[:, 0]]))
    t_names, t_index = np.unique(truth[:, 1], return_inverse=True)
    r_names, r_index = np.unique(tracks[:, 1], return_inverse=True)
    if len(t_names) * len(r_names) > MOST_PAIRS:
        raise IrtrackError(
            f"{len(t_names)} identities against {len(r_names)} are too many to compare: score parts of the recording"
        )
    ours, theirs, distance = [], [], []
    for g, r in zip(by_frame(truth, frames), by_frame(tracks, frames), strict=True):
        ours.append(t_index[g].astype(np.intp))
        theirs.append(r_index[r].astype(np.intp))
        distance.append(np.linalg.norm(truth[g, None, 2:4] - tracks[None, r, 2:4], axis=2))
    length = int(frames[-1] - frames[0]) + 1 if len(frames) else 0
    return Sequence(ours, theirs, distance, len(t_names), len(r_names), length)


def shift_of(truth: Floats, tracks: Floats, limit_px: float) -> int:
    """By how many frames (-1, 0, 1) tracks would have to be moved to lie on the truth much better than they do.

    Files that count from 0 and from 1 differ by one: each position is then that of the frame beside.
    """
    if not len(truth) or not len(tracks):
        return 0
    off = {}
    for shift in (0, -1, 1):
        moved = tracks + np.array([shift, 0.0, 0.0, 0.0])
        frames = np.intersect1d(truth[:, 0], moved[:, 0])
        pairs = zip(by_frame(truth, frames), by_frame(moved, frames), strict=True)
        nearest = [np.linalg.norm(truth[g, None, 2:4] - moved[None, r, 2:4], axis=2).min(1) for g, r in pairs]
        near = np.concatenate([*nearest, np.zeros(0)])
        near = near[near <= 2 * limit_px]
        off[shift] = float(np.median(near)) if len(near) > len(truth) / 2 else np.inf
    best = min(off, key=lambda shift: off[shift])
    return best if off[best] < off[0] / 2 and off[0] > MOST_JITTER_PX else 0


def placed_otherwise(truth: Floats, tracks: Floats, limit_px: float) -> str:
    """How places of tracks would have to be read to lie on the truth, where most of it has none near as they are: with
    x and y swapped, or in another scale, as of a picture of another size or in percent; '' where neither helps."""
    if not len(truth) or not len(tracks) or (np.ptp(truth[:, 2:4], axis=0) < 4 * limit_px).all():
        return ""  # what stays at one place fits any scale
    if share_near(truth, tracks, limit_px) > FEW_NEAR:
        return ""
    if share_near(truth, tracks[:, [0, 1, 3, 2]], limit_px) >= MOST_NEAR:
        return "with x and y swapped"
    spreads = [np.subtract(*np.percentile(rows[:, 2:4], (90, 10), axis=0)) for rows in (truth, tracks)]
    if (spreads[1] <= 0).any():
        return ""
    scale = spreads[0] / spreads[1]
    scaled = tracks * np.array([1.0, 1.0, *scale])
    return (
        f"with x times {scale[0]:.3g} and y times {scale[1]:.3g}"
        if share_near(truth, scaled, limit_px) >= MOST_NEAR
        else ""
    )


def share_near(truth: Floats, tracks: Floats, limit_px: float) -> float:
    """Share of rows of a truth that have a track within the limit."""
    frames = np.intersect1d(truth[:, 0], tracks[:, 0])
    near = 0
    for g, r in zip(by_frame(truth, frames), by_frame(tracks, frames), strict=True):
        near += int((np.linalg.norm(truth[g, None, 2:4] - tracks[None, r, 2:4], axis=2).min(1) <= limit_px).sum())
    return near / len(truth)


def left_out(truth: Floats, counted: NDArray[np.bool_], tracks: Floats, limit_px: float) -> tuple[Floats, Floats, int]:
    """Truth without the rows that do not count, tracks without those on such objects, and how many these were.

    As TrackEval does with distractors: in each frame tracks are matched with all objects, counted or not, one to one
    within the limit, and those whose object does not count are neither right nor false.
    """
    if counted.all():
        return truth, tracks, 0
    frames = np.unique(truth[~counted, 0])
    keep = np.ones(len(tracks), bool)
    for g, r in zip(by_frame(truth, frames), by_frame(tracks, frames), strict=True):
        distance = np.linalg.norm(truth[g, None, 2:4] - tracks[None, r, 2:4], axis=2)
        similar = np.maximum(0.0, 1 - distance / (2 * limit_px))
        worth = np.where(similar >= 0.5 - np.finfo(float).eps, similar, 0.0)
        i, j = linear_sum_assignment(-worth)
        real = (worth[i, j] > 0) & ~counted[g[i]]
        keep[r[j[real]]] = False
    return truth[counted], tracks[keep], int((~keep).sum())


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
    pairs, near = [np.zeros((0, 2), np.intp)], [np.zeros(0)]
    for g, r, s in zip(sequence.truth, sequence.tracks, similar, strict=True):
        if s.size:
            i, j = linear_sum_assignment(-aligned[g[:, None], r[None]] * s)
            pairs.append(np.column_stack([g[i], r[j]]))
            near.append(s[i, j])
    matched, closeness = np.concatenate(pairs), np.concatenate(near)
    tp, association = np.zeros(len(ALPHAS)), np.zeros(len(ALPHAS))
    for k, alpha in enumerate(ALPHAS):
        real = matched[closeness >= alpha - np.finfo(float).eps]
        who, times = np.unique(real[:, 0] * m + real[:, 1], return_counts=True)
        union = np.maximum(t_count[who // max(m, 1)] + r_count[who % max(m, 1)] - times, 1)
        tp[k] = len(real)
        association[k] = (times * times / union).sum() / max(len(real), 1)
    detection = tp / np.maximum(t_count.sum() + r_count.sum() - tp, 1)
    whole = np.sqrt(detection * association)
    return {"HOTA": 100 * whole.mean(), "DetA": 100 * detection.mean(), "AssA": 100 * association.mean()}


def clear_mot(sequence: Sequence, limit_px: float) -> dict[str, float]:
    """MOTA in percent, identity switches, false positives, misses; a match is kept while it lasts."""
    before = np.full(sequence.truths, -1)
    last = before.copy()
    tp = fp = fn = switches = 0
    for g, r, d in zip(sequence.truth, sequence.tracks, sequence.distance, strict=True):
        if not d.size:  # what was matched before stays so, as in TrackEval
            fp, fn = fp + len(r), fn + len(g)
            continue
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
    frames = max(sequence.frames, 1)
    parts = {"GOSPA_localisation": near / frames, "GOSPA_missed": missed / frames, "GOSPA_false": false / frames}
    return {"GOSPA": sum(parts.values()), **parts}


def score_tracks(truth: Floats, tracks: Floats, limit_px: float = 5.0) -> dict[str, float]:
    """Every figure; rows (N, 4) of frame (0-based), identity, x, y."""
    s = as_sequence(truth, tracks)
    return {**hota(s, limit_px), **identity(s, limit_px), **clear_mot(s, limit_px), **gospa(s, limit_px)}
