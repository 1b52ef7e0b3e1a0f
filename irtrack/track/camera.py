"""Camera motion between frames from the detections alone: a shift that they vote for, then a similarity."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.spatial import cKDTree

from irtrack.core import Floats
from irtrack.imaging.motion import moved
from irtrack.imaging.registration import plausible

VOTERS, VOTES = 150, 3000
"""Tracks, and votes of theirs, that count at most: the vote is as sure with these."""

TURNING, TURNING_REACH_PX = 8, 12.0
"""Tracks that it takes to tell a turn or a zoom, and how far from the common shift either may bring one of them."""

GAIN = 1.25
"""A similarity, which fits anything better, must bring so many more tracks onto measurements than the shift does."""


def electorate(predicted: Floats) -> Floats:
    """The positions that vote: all of them, or `VOTERS` at most from all over the list."""
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
