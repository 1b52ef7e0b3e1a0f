"""Camera motion between frames from the detections alone, beyond what the tracks' own motion predicts.

A shift s of the camera has the prior N(0, v I), v learned from the shifts so far, or, in a jerk, N(0, R^2 I), R the
reach. With predicted places x_i, their innovation covariances S_i and detections z_j of density lambda, what is sought
is the maximum of

    ln p(s) + sum_i ln(1 - Pd + Pd sum_j N(z_j; x_i + s, S_i) / lambda)

from no shift at all, and from the one that most tracks vote for. It is climbed by expectation and maximisation
(Dempster et al. 1977), where the weights of the detections are those of Bar-Shalom's probabilistic data association.
Where many tracks agree on a turn or a zoom instead, that is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.spatial import cKDTree

from irtrack.core import Floats
from irtrack.imaging.motion import STILL, moved
from irtrack.imaging.registration import plausible

FEWEST, REACH_PX, RADIUS_PX = 3, 40.0, 2.0
"""Tracks that it takes, the farthest that the camera moves in a frame, and within which votes agree."""

PD, JERK = 0.8, 0.003
"""Chances that a track is detected, and that a frame has a jerk."""

FIRST_PX2, LEARNING, MOST_PX2 = 0.02, 0.05, 9.0
"""Variance of the shifts before any is known, the share of each frame in it, and the largest."""

STILL_PX2, STILL_PX = 0.04, 0.5
"""Variance up to which the camera counts as still, and the shift from which it does not in spite of that."""

ROUNDS = (1.0, 0.25, 0.0, 0.0)
"""Rounds of the climb: in each the prior's spread is added to that of the detections, less and less of it."""

FIRST_SPREAD_PX2 = 1.0
"""The most of that."""

VOTERS, VOTES = 60, 3000
"""Tracks, and votes of theirs, that count at most: the vote is as sure with these."""

TURNING, TURNING_REACH_PX = 8, 12.0
"""Tracks that it takes to tell a turn or a zoom, and how far from the common shift either may bring one of them."""

GAIN = 1.25
"""A similarity, which fits anything better, must bring so many more tracks onto measurements than the shift does."""


class CommonMotion:
    """The camera's motion from frame to frame, and what is known of its shake."""

    def __init__(self) -> None:
        self._variance = FIRST_PX2

    def __call__(self, places: Floats, P: Floats, found: Floats, density_px2: float) -> Floats:
        """The motion (2, 3) from the predicted places (N, 2) to detections (M, 2); `STILL` where there is none.

        `P` (N, 2, 2): covariances of detections round the places; `density_px2`: detections on a pixel.
        """
        if len(places) < FEWEST or not len(found):
            return STILL
        if self._variance <= STILL_PX2 and stands_still(places, found):
            self._learn(np.zeros(2), 0.0)
            return STILL
        places, P = electorate(places), electorate(P)
        voted, agree = voted_motion(places, found, REACH_PX, RADIUS_PX)
        if np.array_equal(voted[:, :2], np.eye(2)):
            near = climbed(np.zeros(2), self._variance, places, P, found, density_px2)
            far = climbed(voted[:, 2], REACH_PX**2, places, P, found, density_px2)
            shift, variance, _ = near if near[2] + np.log((1 - JERK) / JERK) >= far[2] else far
            motion = np.column_stack([np.eye(2), shift])
        elif agree >= 0.5 * len(places):
            motion, variance = voted, 0.0
        else:
            return STILL
        away = moved(motion, places) - places
        self._learn(away.mean(0), variance)
        still = self._variance <= STILL_PX2 and np.linalg.norm(away, axis=1).max() < STILL_PX
        return STILL if still else motion

    def _learn(self, shift: Floats, variance: float) -> None:
        """Take in a shift (2,) that is known to within this variance."""
        seen = min(float(shift @ shift) / 2 + variance, MOST_PX2)
        self._variance += LEARNING * (seen - self._variance)


def climbed(
    shift: Floats, prior_px2: float, places: Floats, P: Floats, found: Floats, density_px2: float
) -> tuple[Floats, float, float]:
    """The likeliest shift (2,) near another, its variance on each axis, and its log-likelihood with the prior's."""
    precision = np.linalg.inv(P)
    for share in ROUNDS:
        spread = share * min(prior_px2, FIRST_SPREAD_PX2)
        likely = PD * densities(found - (places + shift)[:, None], P + spread * np.eye(2))
        weight = likely / ((1 - PD) * density_px2 + likely.sum(1))[:, None]
        known = np.einsum("nm,nij->ij", weight, precision) + np.eye(2) / prior_px2
        pull = np.einsum("nm,nij,nmj->i", weight, precision, found - places[:, None])
        shift = np.linalg.solve(known, pull)
    likely = PD * densities(found - (places + shift)[:, None], P).sum(1)
    told = float(np.log(1 - PD + likely / density_px2).sum())
    prior = -0.5 * float(shift @ shift) / prior_px2 - np.log(2 * np.pi * prior_px2)
    return shift, float(np.trace(np.linalg.inv(known))) / 2, told + prior


def densities(away: Floats, P: Floats) -> Floats:
    """Densities (N, M) of N(0, P), P (N, 2, 2), at (N, M, 2)."""
    a, b, d = (P[:, i, j, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    size = a * d - b * b
    x, y = away[..., 0], away[..., 1]
    out: Floats = np.exp(-0.5 * (d * x * x - 2 * b * x * y + a * y * y) / size) / (2 * np.pi * np.sqrt(size))
    return out


def electorate(predicted: Floats) -> Floats:
    """Of the tracks (N, ...) those that vote: all of them, or `VOTERS` at most from all over the list."""
    return predicted[:: -(-len(predicted) // VOTERS)] if len(predicted) else predicted


def stands_still(predicted: Floats, measured: Floats, radius_px: float = 1.2, share: float = 0.7) -> bool:
    """Whether most predicted positions have a measurement right there: the quick answer for a still camera."""
    if not len(measured):
        return True
    distance = np.asarray(
        cKDTree(measured, balanced_tree=False, compact_nodes=False).query(predicted, distance_upper_bound=radius_px)[0]
    )
    return bool(np.isfinite(distance).mean() >= share)


def voted_shift(predicted: Floats, measured: Floats, reach_px: float, radius_px: float) -> tuple[Floats, int]:
    """The shift that brings most predicted positions (N, 2) onto measurements (M, 2), and how many agree.

    Each track votes for every displacement to a measurement within reach; the densest place of the votes wins. Own
    motion is in the predictions already, so it does not vote. With nothing to vote, no shift and nobody.
    """
    if not len(predicted) or not len(measured):
        return np.zeros(2), 0
    near: Sequence[list[int]] = cKDTree(measured, balanced_tree=False, compact_nodes=False).query_ball_point(
        predicted, reach_px
    )  # type: ignore[assignment]
    enough = int(np.searchsorted(np.cumsum([len(n) for n in near]), VOTES)) + 1
    near, predicted = near[:enough], predicted[:enough]
    voter = np.repeat(np.arange(len(near)), [len(n) for n in near])
    if not len(voter):
        return np.zeros(2), 0
    votes = measured[np.concatenate([n for n in near if n]).astype(np.intp)] - predicted[voter]
    tree = cKDTree(votes, balanced_tree=False, compact_nodes=False)
    crowd = tree.query_ball_point(votes, radius_px, return_length=True)
    # Among equally dense places the smallest shift: a still camera is the likelier one.
    best = votes[np.lexsort((np.linalg.norm(votes, axis=1), -crowd))[0]]
    members = tree.query_ball_point(best, radius_px)
    members = tree.query_ball_point(votes[members].mean(0), radius_px) or members
    return votes[members].mean(0), len(np.unique(voter[members]))


def voted_motion(predicted: Floats, measured: Floats, reach_px: float, radius_px: float) -> tuple[Floats, int]:
    """The motion (2, 3) of the camera that most tracks agree on, and how many do: a shift, or a similarity.

    Turns and zooms move places far from the centre by other shifts than those near it, so only a part of the tracks
    agree on the best shift; a similarity is fitted to the pairs near it (RANSAC, Fischler and Bolles 1981) and taken
    where clearly more agree on that.
    """
    shift, agree = voted_shift(predicted, measured, reach_px, radius_px)
    motion = np.column_stack([np.eye(2), shift])
    if not agree or len(predicted) < TURNING:
        return motion, agree
    tree = cKDTree(measured, balanced_tree=False, compact_nodes=False)
    found_at = tree.query(predicted + shift, distance_upper_bound=TURNING_REACH_PX)
    distance, nearest = (np.asarray(a) for a in found_at)
    near = np.isfinite(distance)
    if np.count_nonzero(near) < TURNING or agree > 0.9 * np.count_nonzero(near):
        return motion, agree
    found, _ = cv2.estimateAffinePartial2D(predicted[near], measured[nearest[near]], ransacReprojThreshold=radius_px)
    if found is None or not plausible(found):
        return motion, agree
    landed = np.asarray(tree.query(moved(found, predicted), distance_upper_bound=radius_px)[0])
    better = int(np.count_nonzero(np.isfinite(landed)))
    return (np.asarray(found, float), better) if better >= max(TURNING, GAIN * agree) else (motion, agree)
