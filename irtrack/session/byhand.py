"""A target that was missed, added by hand: two clicks say where it was and how it flew; from there on it is followed on
what the detector saw weakly, and in between it is where it must have flown. The camera's motion is taken out."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from irtrack.config import TrackerSettings
from irtrack.core import Detections, Floats, FrameResult, IrtrackError, Track, TrackStatus
from irtrack.imaging.motion import STILL, between, carried, is_still, moved, moved_back
from irtrack.session.scoremap import ScoreMap
from irtrack.session.series import SERIES, Sums
from irtrack.session.store import ResultStore
from irtrack.track.kalman import gate_of, innovation_covariance, mahalanobis_squared, predict, update
from irtrack.track.offline import smooth

WEAK = 0.05
"""Scores from this on are followed."""

FLOWN_PX_S = 20.0
"""Standard deviation of the velocity that two clicks tell."""

FARTHEST_SIGMAS = 4.0
"""Nothing further off is looked at."""

OTHERS_PX = 3.0
"""What lies so near to a confirmed track is that track's."""

TRAIL = 600
"""Frames of its trail."""

SIZE_PX = 3.0
"""Side of the box of a target of which nothing but its place is known."""


@dataclass(frozen=True, slots=True)
class Click:
    """Where the operator saw a target."""

    frame: int
    x_px: float
    y_px: float


@dataclass(frozen=True, slots=True)
class Row:
    """A target in one frame. `score`: of what was followed there, 0 where it was clicked; None where it was unseen.
    `x_scene_px`, `y_scene_px`: its place in the scene, which trails need; None of files of an earlier version."""

    frame: int
    time_s: float
    x_px: float
    y_px: float
    vx_px_s: float
    vy_px_s: float
    sigma_px: float
    score: float | None
    x_scene_px: float | None = None
    y_scene_px: float | None = None


def peak(scores: ScoreMap, at: Floats, sigma_px: float, others: Floats) -> tuple[Floats, float] | None:
    """Place and score of the pixel that is strong and near to where it should be, give or take `sigma_px`, and away
    from others (N, 2); None where there is none."""
    places = np.stack([scores.px % scores.shape[1], scores.px // scores.shape[1]], 1).astype(float)
    distance = np.hypot(*(places - at).T)
    near = (distance <= FARTHEST_SIGMAS * sigma_px) & (scores.score >= WEAK)
    if len(others) and near.any():
        rows = np.flatnonzero(near)
        apart = np.hypot(*(places[rows, None] - others).transpose(2, 0, 1)).min(1)
        near[rows[apart <= OTHERS_PX]] = False
    if not near.any():
        return None
    best = int(np.argmax(np.where(near, scores.score * np.exp(-0.5 * (distance / sigma_px) ** 2), -1.0)))
    part = near & (np.abs(places - places[best]) <= 1).all(1)
    return np.average(places[part], 0, scores.score[part]), float(scores.score[best])


def follow(store: ResultStore, one: Click, other: Click, settings: TrackerSettings) -> tuple[Row, ...]:
    """The target of two clicks, from the earlier one on. Raises IrtrackError where they tell no flight."""
    first, second = sorted((one, other), key=lambda click: click.frame)
    if first.frame == second.frame:
        raise IrtrackError("both clicks are in one frame: go to another frame for the second one")
    numbers = store.numbers(first.frame, 1 << 62)
    if not {first.frame, second.frame} <= set(numbers):
        raise IrtrackError("these frames are not analysed yet: wait until they are, and click again")
    time_s = np.array([store.time_of(number) for number in numbers])
    scenes = known_scenes(store, numbers)
    hits = hits_of(store, numbers, time_s, scenes, first, second, settings)
    places = [moved_back(scenes[k], hits[k][0][None])[0] for k in sorted(hits)]
    whole = smooth(sorted(hits), places, time_s, settings)
    rows = []
    for k, (there, spread) in enumerate(zip(whole.x, whole.P, strict=True)):
        state, P = carried(scenes[k], there, spread)
        x, y, vx, vy = state.tolist()
        sigma, score = math.sqrt(max(float(P[0, 0]), 0.0)), hits[k][1] if k in hits else None
        rows.append(Row(numbers[k], float(time_s[k]), x, y, vx, vy, sigma, score, *there[:2].tolist()))
    return tuple(rows)


def known_scenes(store: ResultStore, numbers: Sequence[int]) -> list[Floats]:
    """Of these frames; where one is not known, none moves."""
    scenes = store.scenes_of(numbers)
    known = [scene for scene in scenes if scene is not None]
    return known if len(known) == len(scenes) else [STILL] * len(scenes)


def hits_of(
    store: ResultStore,
    numbers: Sequence[int],
    time_s: Floats,
    scenes: Sequence[Floats],
    first: Click,
    second: Click,
    settings: TrackerSettings,
) -> dict[int, tuple[Floats, float]]:
    """Place in the picture and score where the target was seen, by rows of frames `numbers`: the clicks, and what was
    followed. `scenes`: of these frames."""
    start, end = np.array([first.x_px, first.y_px]), np.array([second.x_px, second.y_px])
    last = numbers.index(second.frame)
    R = np.eye(2)[None] * settings.measurement_sigma_px**2
    gate = gate_of(settings.gate_probability)
    flown = moved(between(scenes[last], scenes[0]), end[None])[0] - start
    x = np.concatenate([start, flown / max(time_s[last] - time_s[0], 1e-6)])[None]
    P = np.diag([*(2 * [settings.measurement_sigma_px**2]), *(2 * [FLOWN_PX_S**2])])[None]
    hits: dict[int, tuple[Floats, float]] = {0: (start, 0.0)}
    seen_s = time_s[0]
    for k in range(1, len(numbers)):
        x, P = predict(x, P, float(time_s[k] - time_s[k - 1]), settings.quiet_px_s2)
        x, P = carried(between(scenes[k - 1], scenes[k]), x, P)
        found = (end, 0.0) if k == last else weakly(store, numbers[k], x[0], P, R, gate)
        if found is not None:
            x, P = update(x, P, found[0][None], R)
            hits[k], seen_s = found, time_s[k]
        elif k > last and time_s[k] - seen_s > settings.coast_s:
            break
    return hits


def weakly(
    store: ResultStore, number: int, x: Floats, P: Floats, R: Floats, gate: float
) -> tuple[Floats, float] | None:
    """What was seen of the target in a frame in which it should be at x, by the scores that are kept."""
    scores, there = store.scores_of(number), store.part(number, number)
    if scores is None or not there:
        return None
    S = innovation_covariance(P, R)
    others = np.array([t.xy_px for t in there[0].result.tracks if t.confirmed]).reshape(-1, 2)
    found = peak(scores, x[:2], math.sqrt(float(S[0].diagonal().max())), others)
    if found is None or mahalanobis_squared(found[0][None] - x[:2], S)[0] > gate:
        return None
    return found


def as_tracks(track: int, rows: Sequence[Row], result: FrameResult) -> FrameResult:
    """A result with the target of these rows, if it is there in that frame; its detection stands with the others."""
    at = bisect_left(rows, result.frame.index, key=lambda row: row.frame)
    if at == len(rows) or rows[at].frame != result.frame.index:
        return result
    row, d = rows[at], result.detections
    seen = row.score is not None
    xy = np.array([row.x_px, row.y_px])
    made = Track(
        track, TrackStatus.CONFIRMED if seen else TrackStatus.COASTING, xy, np.array([row.vx_px_s, row.vy_px_s]),
        np.eye(4) * row.sigma_px**2, row.time_s - rows[0].time_s, 0, len(d) if seen else None, (SIZE_PX, SIZE_PX),
        SIZE_PX**2, row.score if row.score is not None else math.nan, math.nan,
        trail_of(rows[max(0, at - TRAIL) : at + 1], result.scene),
    )  # fmt: skip
    if seen:
        box = np.array([[*(xy - SIZE_PX / 2), SIZE_PX, SIZE_PX]])
        d = Detections(
            np.concatenate([d.xy_px, xy[None]]), np.append(d.score, row.score or 0.0), np.append(d.area_px, SIZE_PX**2),
            np.concatenate([d.box_px, box]), np.append(d.snr, math.nan), d.mask, d.scores, d.looked, d.scan_s,
        )  # fmt: skip
    return replace(result, detections=d, tracks=(*result.tracks, made))


def trail_of(rows: Sequence[Row], scene: Floats | None) -> Floats:
    """(T, 2): places as they lie in the last of these frames. `scene`: of that frame."""
    if scene is None or is_still(scene) or rows[0].x_scene_px is None:
        return np.array([(r.x_px, r.y_px) for r in rows])
    return moved(scene, np.array([(r.x_scene_px, r.y_scene_px) for r in rows], float))


def series_of(rows: Sequence[Row], first: int, last: int) -> Floats:
    """(T, len(SERIES)) of frames `first` to `last`; brightness, degrees and SNR are not known."""
    some = [r for r in rows if first <= r.frame <= last]
    return np.array(
        [(r.time_s, math.nan, math.nan, math.hypot(r.vx_px_s, r.vy_px_s), r.x_px, r.y_px,
          math.nan if r.score is None else r.score, math.nan, float(r.score is not None)) for r in some]
    ).reshape(-1, len(SERIES))  # fmt: skip


def sums_of(rows: Sequence[Row], first: int, last: int) -> Sums | None:
    """Figures over frames `first` to `last`; None where it has none there."""
    out: Sums | None = None
    for row in series_of(rows, first, last).tolist():
        out = Sums.of(tuple(row)).joined(out)
    return out
