"""Gating and optimal assignment of detections to tracks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from irtrack.core import Floats
from irtrack.track.kalman import mahalanobis_squared

Ints = NDArray[np.intp]


def gated_pairs(predicted: Floats, S: Floats, measured: Floats, gate: float) -> tuple[Ints, Ints, Floats]:
    """Pairs (track row, detection row) inside the gate, with their squared Mahalanobis distance.

    A KD-tree finds what lies inside the circle round each gate ellipse, so the cost follows the number of pairs.
    """
    none = np.zeros(0, np.intp)
    if not len(predicted) or not len(measured):
        return none, none, np.zeros(0)
    half_trace = (S[:, 0, 0] + S[:, 1, 1]) / 2
    largest = half_trace + np.sqrt((S[:, 0, 0] - S[:, 1, 1]) ** 2 / 4 + S[:, 0, 1] ** 2)
    near = cKDTree(measured).query_ball_point(predicted, np.sqrt(gate * largest))
    counts = np.fromiter((len(n) for n in near), np.intp, len(near))
    tracks = np.repeat(np.arange(len(predicted)), counts)
    detections = np.fromiter((d for n in near for d in n), np.intp, int(counts.sum()))
    distance = mahalanobis_squared(measured[detections] - predicted[tracks], S[tracks])
    inside = distance <= gate
    return tracks[inside], detections[inside], distance[inside]


def assign(tracks: Ints, detections: Ints, cost: Floats, limit: float) -> tuple[Ints, Ints]:
    """The one-to-one pairs with the least total of cost, where leaving a track alone costs `limit`.

    Solved exactly in each connected component of the pairs. Costs are clipped at the limit, which makes a pair dearer
    than being alone worth nothing instead of wrecking the optimum, as a large constant would.
    """
    useful = cost < limit
    tracks, detections, cost = tracks[useful], detections[useful], cost[useful]
    if not len(cost):
        return tracks, detections
    n = int(tracks.max()) + 1
    size = n + int(detections.max()) + 1
    graph = coo_array((np.ones(len(cost)), (tracks, detections + n)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][tracks]
    members = np.bincount(component)
    alone = members[component] == 1
    out_t, out_d = [tracks[alone]], [detections[alone]]
    for label in np.flatnonzero(members > 1):
        of = np.flatnonzero(component == label)
        rows, r = np.unique(tracks[of], return_inverse=True)
        cols, c = np.unique(detections[of], return_inverse=True)
        dense = np.full((len(rows), len(cols)), limit)
        dense[r, c] = cost[of]
        i, j = linear_sum_assignment(dense)
        real = dense[i, j] < limit
        out_t.append(rows[i[real]])
        out_d.append(cols[j[real]])
    return np.concatenate(out_t), np.concatenate(out_d)
