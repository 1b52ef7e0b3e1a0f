"""Learns what tells targets from clutter: the functions of `belief.py`, from tracks whose truth is known.

An additive logistic model with piecewise linear functions of each quantity, some of which may only rise or only fall,
by maximum likelihood with a small penalty (convex: one solution). The number of false tracks an hour above a belief is
counted on the same tracks, and its logarithm continued as a straight line beyond the last of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from irtrack.core import Floats, IrtrackError
from irtrack.track.belief import CLUTTER, PARTS, Beliefs

if TYPE_CHECKING:
    from irtrack.track.tracker import KalmanTracker

KNOTS: dict[str, tuple[float, ...]] = {
    "detections": tuple(np.log((1, 2, 3, 4, 6, 10, 20, 60))),
    "place": (-10, 0, 8, 16, 24, 36, 48, 60),
    "steadiness": (0.2, 0.4, 0.55, 0.7, 0.8, 0.9, 0.95, 1),
    "score": (0.7, 1.2, 1.9, 2.7, 3.5, 4.6, 6.2, 9.2),
    "brightness": (0, 0.5, 1, 1.5, 2, 2.5, 3, 4),
    "size": (0, 1, 1.6, 2.2, 2.8, 3.4, 4.2, 5.5),
    "flicker": (0, 0.03, 0.06, 0.1, 0.16, 0.25, 0.4, 0.8),
    "motion": tuple(np.log1p((0, 1, 2, 3, 5, 10, 25, 80))),
    "age": tuple(np.log((0.03, 0.1, 0.2, 0.5, 1, 2, 5, 15))),
    "surroundings": (-1, 0, 0.5, 1, 1.5, 2.2, 3, 4),
    "prominence": (-1, 0, 0.5, 1, 1.6, 2.3, 3, 4),
    "clutter": tuple(np.log1p((0, 1, 2, 4, 8, 16, 40, 100))),
    "path": (0, 0.5, 1, 2, 3, 5, 8, 15),
    "pinned": tuple(np.log((0.05, 0.1, 0.2, 0.4, 0.7, 1.2, 2, 3))),
    "change": tuple(np.log1p((0.5, 1, 2, 3.5, 5, 8, 14, 30))),
}
"""Where the function of each part bends."""

RISING = ("detections", "place", "steadiness", "score", "brightness", "prominence", "motion", "age", "pinned", "change")
FALLING = ("flicker", "surroundings", "clutter", "path")
"""Parts of which more cannot speak against a target, and cannot speak for one."""

PENALTY = 1e-4
"""Weight of the squared rise from knot to knot, per track."""

LASTING, STEADY = 12, 0.6
"""Detections, and the share of frames with one, from which on a track of clutter is a fixture; the others are chance,
such as what hops from one lamp to the next."""

LEAST_TRACKS, TAIL = 20, 40
"""Tracks of each kind that are needed to learn from, and how many of clutter tell how often beliefs are high."""

COUNTS = (2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 28, 36, 48, 64, 90, 128, 180, 256, 360, 512, 1024)
"""Detections after which a track is looked at."""

TRUE, FALSE = 0.7, 0.1
"""Share of a track's detections on targets from which it is one, and up to which it is none."""


@dataclass(frozen=True)
class Samples:
    """Tracks at some of their detections: `known` (N, P) as `belief.quantities`; `track` (N,) and `clip` (N,): which;
    `target` (N,): whether it is one."""

    known: Floats
    track: NDArray[np.int64]
    target: NDArray[np.bool_]
    clip: NDArray[np.int64]
    hours: float

    def tell(self, part: str) -> bool:
        """Whether a part is known of any track."""
        return not np.isnan(self.known[:, PARTS.index(part)]).all()

    def __add__(self, other: Samples) -> Samples:
        track = np.concatenate([self.track, other.track + (self.track.max(initial=-1) + 1)])
        clip = np.concatenate([self.clip, other.clip + (self.clip.max(initial=-1) + 1)])
        known, target = (np.concatenate([getattr(self, k), getattr(other, k)]) for k in ("known", "target"))
        return Samples(known, track, target, clip, self.hours + other.hours)


def kinds_of(samples: Samples) -> NDArray[np.int64]:
    """Of each sample: -1 for a target, else which of `CLUTTER` its track was: one that lasted is a fixture."""
    count, steadiness = (samples.known[:, PARTS.index(part)] for part in ("detections", "steadiness"))
    most, last = np.zeros((2, samples.track.max(initial=-1) + 1))
    np.maximum.at(most, samples.track, count)
    ends = count == most[samples.track]
    last[samples.track[ends]] = steadiness[ends]
    fixture = (most >= np.log(LASTING)) & (last >= STEADY)
    return np.where(samples.target, -1, fixture[samples.track]).astype(np.int64)


def weights_of(samples: Samples) -> Floats:
    """Of each sample: a track counts with the root of its samples, a clip's tracks of a kind with the root of their
    sum, and each kind of track as much as the others."""
    _, which, counts = np.unique(samples.track, return_inverse=True, return_counts=True)
    weight, kinds = 1 / np.sqrt(counts[which]), kinds_of(samples)
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        in_clip = np.bincount(samples.clip[own], weight[own])
        weight[own] /= np.sqrt(in_clip[samples.clip[own]])
        weight[own] /= weight[own].sum()
    return np.asarray(weight / weight.sum())


def ramps(known: Floats) -> Floats:
    """How far each quantity (N, P) has come from each knot to the next (N, P * (K - 1)), 0 to 1; NaN where unknown."""
    out = []
    for values, part in zip(known.T, PARTS, strict=True):
        low, high = np.array(KNOTS[part][:-1]), np.array(KNOTS[part][1:])
        out.append(np.clip((values[:, None] - low) / (high - low), 0, 1))
    return np.concatenate(out, 1)


def learn(samples: Samples, before: Beliefs | None = None, penalty: float = PENALTY) -> Beliefs:
    """The likeliest functions, near those of `before` where the samples say little: the nearer, the larger `penalty`.

    Raises IrtrackError where there is too little to learn from.
    """
    tracks = [len(np.unique(samples.track[kind])) for kind in (samples.target, ~samples.target)]
    if min(tracks) < LEAST_TRACKS:
        raise IrtrackError(
            f"{tracks[0]} tracks of targets and {tracks[1]} of clutter are too few to learn from: "
            f"{LEAST_TRACKS} of each are needed, so give more clips, or longer ones"
        )
    x, w, kinds = ramps(samples.known), weights_of(samples), kinds_of(samples)
    # What is unknown says nothing: each function is zero on average.
    known = ~np.isnan(x)
    mean = np.where(known, x * w[:, None], 0).sum(0) / np.maximum((known * w[:, None]).sum(0), 1e-12)
    x = np.nan_to_num(x - mean)
    steps, each = len(KNOTS[PARTS[0]]) - 1, len(CLUTTER)
    start = np.zeros((each, x.shape[1])) if before is None else np.diff(before.nats, axis=2).reshape(each, -1)
    bounds: list[tuple[float | None, float | None]] = [(None, None)]
    for part in PARTS:
        bounds += steps * [(0.0 if part in RISING else None, 0.0 if part in FALLING else None)]
    is_kind = kinds == np.arange(each)[:, None]

    def loss(flat: Floats) -> tuple[float, Floats]:
        """Of a multinomial logistic model, with the target as the class that others are compared with."""
        p = flat.reshape(each, -1)
        odds = p[:, :1] + p[:, 1:] @ x.T
        total = np.logaddexp(0, np.logaddexp.reduce(-odds, 0))
        slope = w * (is_kind - np.exp(-odds - total))
        change = p[:, 1:] - start
        value = float(w @ (total + (odds * is_kind).sum(0))) + penalty * float((change**2).sum())
        return value, np.concatenate([slope.sum(1)[:, None], slope @ x + 2 * penalty * change], 1).ravel()

    first = np.concatenate([np.zeros((each, 1)), start], 1).ravel()
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=each * bounds, options={"maxiter": 2000})
    p = found.x.reshape(each, -1)
    rises = p[:, 1:].reshape(each, len(PARTS), steps)
    level = (rises * mean.reshape(len(PARTS), steps)).sum(2, keepdims=True)
    nats = np.concatenate([np.zeros((each, len(PARTS), 1)), rises.cumsum(2)], 2) - level
    made = Beliefs(np.array([KNOTS[part] for part in PARTS], float), nats, p[:, 0], (0.0, 1.0))
    return replace(made, rate=false_rate(made, samples))


def highest(beliefs: Beliefs, samples: Samples, kind: NDArray[np.bool_]) -> Floats:
    """The highest belief (T,) that each track of a kind ever had."""
    tracks = np.unique(samples.track[kind])
    most = np.full(len(tracks), -np.inf)
    np.maximum.at(most, np.searchsorted(tracks, samples.track[kind]), beliefs(samples.known[kind]))
    return most


def false_rate(beliefs: Beliefs, samples: Samples) -> tuple[float, float]:
    """(a, b): exp(a - b T) false tracks an hour reach a belief of T, by the highest of those that there were.

    Their tail is taken as exponential, with the mean excess over its lowest (Hill 1975).
    """
    most = np.sort(highest(beliefs, samples, ~samples.target))[::-1]
    top = most[:TAIL]
    b = 1 / max(float((top - top[-1]).mean()), 0.1)
    return float(np.log(len(top) / max(samples.hours, 1e-3)) + b * top[-1]), b


def told(before: Beliefs, after: Beliefs, samples: Samples, caution: float) -> str:
    """What was gained, as a person reads it."""
    lines = [f"at caution {caution:g}, on the tracks that were learned from:"]
    for name, beliefs in (("before", before), ("after", after)):
        limit = beliefs.threshold(caution)
        true, false = (highest(beliefs, samples, kind) for kind in (samples.target, ~samples.target))
        lines.append(
            f"  {name}: {np.count_nonzero(true >= limit)} of {len(true)} tracks of targets believed, "
            f"{np.count_nonzero(false >= limit)} of {len(false)} of clutter"
        )
    return "\n".join(lines)


class Watch:
    """Looks at a tracker after each frame of clips whose truth is known, and keeps what tracks were like."""

    def __init__(self) -> None:
        self._made: list[Samples] = []
        self.last = ""
        """What the last clip held, in words."""
        self._begin()

    def _begin(self) -> None:
        self._rows: dict[int, list[Floats]] = {}
        self._hits: Counter[int] = Counter()
        self._on: Counter[int] = Counter()
        self._span_s: tuple[float, float] | None = None

    def __call__(self, tracker: KalmanTracker, time_s: float, boxes: Floats) -> None:
        """After a frame whose targets lie in boxes (N, 4: left, top, right, bottom)."""
        self._span_s = (time_s if self._span_s is None else self._span_s[0], time_s)
        ids, xy, counts, known = tracker.evidence()
        within = np.logical_and((xy[:, None] >= boxes[:, :2]).all(2), (xy[:, None] <= boxes[:, 2:]).all(2))
        inside: NDArray[np.bool_] = np.logical_or.reduce(within, 1)
        for i, on, count, row in zip(ids.tolist(), inside.tolist(), counts.tolist(), known, strict=True):
            self._hits[i] += 1
            self._on[i] += on
            if count in COUNTS:
                self._rows.setdefault(i, []).append(row)

    def end(self) -> bool:
        """The clip is over; whether a track of it was on a target, or there was none."""
        known, track, target = [], [], []
        for i, rows in self._rows.items():
            share = self._on[i] / self._hits[i]
            if FALSE < share < TRUE:
                continue
            known += rows
            track += [i] * len(rows)
            target += [share >= TRUE] * len(rows)
        hours = 0.0 if self._span_s is None else (self._span_s[1] - self._span_s[0]) / 3600
        made = Samples(
            np.array(known).reshape(-1, len(PARTS)),
            np.array(track, np.int64),
            np.array(target, bool),
            np.zeros(len(known), np.int64),
            hours,
        )
        true, false = (len(np.unique(made.track[kind])) for kind in (made.target, ~made.target))
        self.last = f"{true} tracks of targets and {false} of clutter in {3600 * hours:.0f} s"
        self._made.append(made)
        self._begin()
        return true > 0 or not false

    def samples(self) -> Samples:
        """Of all clips so far. Raises IrtrackError where there was none."""
        if not self._made:
            raise IrtrackError("no clip was looked at")
        return reduce(add, self._made)
