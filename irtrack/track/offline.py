"""Tracks of a whole recording, seen from its end: gaps between fragments closed, positions smoothed both ways.

Fragments of one target are joined where the end of one, predicted on, and the start of another meet (a gate on both
predictions, then the least total cost). Each joined track is then filtered and smoothed by Rauch, Tung and Striebel
(AIAA Journal 3(8), 1965; Bar-Shalom, Li, Kirubarajan 2001, section 8.6) in the scene, where the camera does not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from irtrack.config import TrackerSettings
from irtrack.core import Floats, FrameResult, Track, Tracks, TrackStatus, frozen
from irtrack.imaging.motion import STILL, carried, moved_back
from irtrack.track.assignment import assign
from irtrack.track.kalman import (
    first_state,
    gate_of,
    innovation_covariance,
    mahalanobis_squared,
    predict,
    transition,
    update,
)

LONGEST_GAP_S = 2.0
"""Fragments further apart in time are not joined."""

ACCELERATION_PX_S2 = 120.0
"""Process noise of the smoother: between quiet flight and a manoeuvre."""


@dataclass
class Fragment:
    """Measurements of one track: `frame` (T,) index into the results, `xy` (T, 2) in the scene."""

    id: int
    frame: list[int]
    xy: list[Floats]


def scene_of(result: FrameResult) -> Floats:
    """The motion from the scene to this frame; none where the tracks do not say."""
    return result.tracks.scene if isinstance(result.tracks, Tracks) else STILL


@dataclass(frozen=True)
class Smoothed:
    """States (T, 4) and covariances (T, 4, 4) in the scene, for every frame from `first` on."""

    first: int
    x: Floats
    P: Floats
    measured: frozenset[int]


def smooth(frames: Sequence[int], xy: Sequence[Floats], time_s: Floats, settings: TrackerSettings) -> Smoothed:
    """Filter forwards, then the smoother backwards, at every frame between the first and the last measurement."""
    first, last = frames[0], frames[-1]
    at = dict(zip(frames, xy, strict=True))
    R = np.eye(2)[None] * settings.measurement_sigma_px**2
    x, P = first_state(at[first][None], settings.measurement_sigma_px, settings.speed_sigma_px_s)
    states, covariances, before, spread = [x[0]], [P[0]], [x[0]], [P[0]]
    for k in range(first + 1, last + 1):
        x, P = predict(x, P, round(float(time_s[k] - time_s[k - 1]), 6), ACCELERATION_PX_S2)
        before.append(x[0])
        spread.append(P[0])
        if k in at:
            x, P = update(x, P, at[k][None], R)
        states.append(x[0])
        covariances.append(P[0])
    for k in range(last - first - 1, -1, -1):
        F, _ = transition(round(float(time_s[first + k + 1] - time_s[first + k]), 6), ACCELERATION_PX_S2)
        C = np.linalg.solve(spread[k + 1], F @ covariances[k]).T
        states[k] = states[k] + C @ (states[k + 1] - before[k + 1])
        covariances[k] = covariances[k] + C @ (covariances[k + 1] - spread[k + 1]) @ C.T
    return Smoothed(first, np.array(states), np.array(covariances), frozenset(frames))


def join(fragments: list[Fragment], time_s: Floats, settings: TrackerSettings) -> dict[int, int]:
    """Identity of the target that each fragment belongs to: that of its first fragment."""
    whole = {f.id: smooth(f.frame, f.xy, time_s, settings) for f in fragments}
    gate, limit = gate_of(0.99), 25.0
    ends, starts, cost = [], [], []
    for i, a in enumerate(fragments):
        for j, b in enumerate(fragments):
            gap_s = float(time_s[b.frame[0]] - time_s[a.frame[-1]])
            if not 0 < gap_s <= LONGEST_GAP_S:
                continue
            # On from the end of one and back from the start of the other: both must meet the other's measurement.
            sa, sb = whole[a.id], whole[b.id]
            on = predict(sa.x[-1:], sa.P[-1:], gap_s, ACCELERATION_PX_S2)
            turn = sb.x[:1] * (1, 1, -1, -1), sb.P[:1] * np.outer((1, 1, -1, -1), (1, 1, -1, -1))
            back = predict(*turn, gap_s, ACCELERATION_PX_S2)
            d_on = mahalanobis_squared(b.xy[0][None] - on[0][:, :2], innovation_covariance(on[1], sb.P[:1, :2, :2]))
            S_back = innovation_covariance(back[1], sa.P[-1:, :2, :2])
            d_back = mahalanobis_squared(a.xy[-1][None] - back[0][:, :2], S_back)
            if max(d_on[0], d_back[0]) < gate:
                ends.append(i)
                starts.append(j)
                cost.append(float(d_on[0] + d_back[0]) + gap_s)
    a_rows, b_rows = assign(np.array(ends, np.intp), np.array(starts, np.intp), np.array(cost, float), limit)
    before = {fragments[j].id: fragments[i].id for i, j in zip(a_rows.tolist(), b_rows.tolist(), strict=True)}
    owner = {}
    for f in fragments:
        name = f.id
        while name in before:
            name = before[name]
        owner[f.id] = name
    return owner


def fragments_of(results: Sequence[FrameResult], names: set[int]) -> list[Fragment]:
    """The sure measurements of these tracks."""
    found: dict[int, Fragment] = {}
    for k, result in enumerate(results):
        for t in result.tracks:
            if t.id in names and t.detection is not None and t.status is not TrackStatus.COASTING:
                fragment = found.setdefault(t.id, Fragment(t.id, [], []))
                fragment.frame.append(k)
                fragment.xy.append(moved_back(scene_of(result), result.detections.xy_px[t.detection][None])[0])
    return list(found.values())


def rewritten(results: Sequence[FrameResult], settings: TrackerSettings) -> list[FrameResult]:
    """The same frames with the tracks as they are known at the end."""
    time_s = np.array([r.frame.time_s for r in results])
    names = {t.id for r in results for t in r.tracks if t.confirmed}
    fragments = fragments_of(results, names)
    owner = join(fragments, time_s, settings)
    merged: dict[int, Fragment] = {}
    for f in sorted(fragments, key=lambda f: f.frame[0]):
        whole = merged.setdefault(owner[f.id], Fragment(owner[f.id], [], []))
        whole.frame += f.frame
        whole.xy += f.xy
    last: dict[int, Track] = {}
    snapshots = [{owner[t.id]: t for t in r.tracks if t.id in owner and t.detection is not None} for r in results]
    tracks: list[list[Track]] = [[] for _ in results]
    for name, whole in sorted(merged.items()):
        s = smooth(whole.frame, whole.xy, time_s, settings)
        for i, (x, P) in enumerate(zip(s.x, s.P, strict=True)):
            k = s.first + i
            seen = snapshots[k].get(name) if k in s.measured else None
            like = last[name] = seen or last[name]
            tracks[k].append(as_track(name, like, seen, x, P, scene_of(results[k])))
    return [replace(r, tracks=tuple(t)) for r, t in zip(results, tracks, strict=True)]


def as_track(name: int, like: Track, seen: Track | None, x: Floats, P: Floats, scene: Floats) -> Track:
    """A smoothed state of the scene as a snapshot in a frame."""
    state, covariance = carried(scene, x, P)
    return replace(
        like,
        id=name,
        status=TrackStatus.CONFIRMED if seen else TrackStatus.COASTING,
        xy_px=frozen(state[:2].copy()),
        velocity_px_s=frozen(state[2:].copy()),
        covariance=frozen(covariance),
        detection=seen.detection if seen else None,
        score=seen.score if seen else float("nan"),
        misses=0 if seen else like.misses,
    )
