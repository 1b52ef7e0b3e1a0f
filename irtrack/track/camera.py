"""Camera motion between frames from the detections alone: a shift that they vote for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from irtrack.core import Floats

VOTERS, VOTES = 150, 3000
"""Tracks, and votes of theirs, that count at most: the vote is as sure with these."""


def stands_still(predicted: Floats, measured: Floats, radius_px: float = 1.2, share: float = 0.7) -> bool:
    """Whether most predicted positions have a measurement right there: the quick answer for a still camera."""
    if not len(measured):
        return True
    distance = np.asarray(cKDTree(measured).query(predicted[:VOTERS], distance_upper_bound=radius_px)[0])
    return bool(np.isfinite(distance).mean() >= share)


def voted_shift(predicted: Floats, measured: Floats, reach_px: float, radius_px: float) -> tuple[Floats, int]:
    """The shift that brings most predicted positions (N, 2) onto measurements (M, 2), and how many agree.

    Each track votes for every displacement to a measurement within reach; the densest place of the votes wins. Own
    motion is in the predictions already, so it does not vote. With nothing to vote, no shift and nobody.
    """
    if len(predicted) > VOTERS:
        predicted = predicted[:: len(predicted) // VOTERS + 1]
    if not len(predicted) or not len(measured):
        return np.zeros(2), 0
    near: Sequence[list[int]] = cKDTree(measured).query_ball_point(predicted, reach_px)  # type: ignore[assignment]
    enough = int(np.searchsorted(np.cumsum([len(n) for n in near]), VOTES)) + 1
    near, predicted = near[:enough], predicted[:enough]
    voter = np.repeat(np.arange(len(near)), [len(n) for n in near])
    if not len(voter):
        return np.zeros(2), 0
    votes = measured[np.concatenate([n for n in near if n]).astype(np.intp)] - predicted[voter]
    tree = cKDTree(votes)
    crowd = tree.query_ball_point(votes, radius_px, return_length=True)
    # Among equally dense places the smallest shift: a still camera is the likelier one.
    best = votes[np.lexsort((np.linalg.norm(votes, axis=1), -crowd))[0]]
    members = tree.query_ball_point(best, radius_px)
    members = tree.query_ball_point(votes[members].mean(0), radius_px) or members
    return votes[members].mean(0), len(np.unique(voter[members]))
