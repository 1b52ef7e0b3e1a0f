"""Gating and optimal assignment of detections to tracks."""

from __future__ import annotations

from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from irtrack.core import Floats

Ints = NDArray[np.intp]

DENSE_CELLS = 40_000
"""Components with more cells than this are solved as sparse graphs."""


def gated_pairs(
    predicted: Floats, P: Floats, measured: Floats, R: Floats, gate: float
) -> tuple[Ints, Ints, Floats, Floats]:
    """Pairs (track row, detection row) inside the gate, their squared Mahalanobis distance, and |S| of each.

    predicted (N, 2) with covariances P (N, 2, 2), measured (M, 2) with variances R (M,) an axis; S = P + R. A KD-tree
    finds what lies inside the circle round each gate ellipse, so the cost follows the number of pairs.
    """
    none = np.zeros(0, np.intp)
    if not len(predicted) or not len(measured):
        return none, none, np.zeros(0), np.zeros(0)
    half_trace = (P[:, 0, 0] + P[:, 1, 1]) / 2
    largest = half_trace + np.sqrt((P[:, 0, 0] - P[:, 1, 1]) ** 2 / 4 + P[:, 0, 1] ** 2) + R.max()
    near = cKDTree(measured, balanced_tree=False, compact_nodes=False).query_ball_point(
        predicted, np.sqrt(gate * largest)
    )
    counts = np.fromiter(map(len, near), np.intp, len(near))
    tracks = np.repeat(np.arange(len(predicted)), counts)
    detections = np.fromiter(chain.from_iterable(near), np.intp, int(counts.sum()))
    a, b, c = P[tracks, 0, 0] + R[detections], P[tracks, 0, 1], P[tracks, 1, 1] + R[detections]
    dx, dy = (measured[detections] - predicted[tracks]).T
    size = a * c - b**2
    distance = (c * dx**2 - 2 * b * dx * dy + a * dy**2) / size
    inside = distance <= gate
    return tracks[inside], detections[inside], distance[inside], size[inside]


def assign(tracks: Ints, detections: Ints, cost: Floats, limit: float) -> tuple[Ints, Ints]:
    """The one-to-one pairs with the least total of cost, where leaving a track alone costs `limit`.

    Solved exactly in each connected component of the pairs. Costs are clipped at the limit, which makes a pair dearer
    than being alone worth nothing instead of wrecking the optimum, as a large constant would. Where the cheapest
    detections of a component's tracks are all different, they are the optimum; only the other components need a solver.
    """
    useful = cost < limit
    tracks, detections, cost = tracks[useful], detections[useful], cost[useful]
    if not len(cost):
        return tracks, detections
    order = np.lexsort((cost, tracks))
    first = order[np.concatenate([[True], np.diff(tracks[order]) > 0])]  # each track's cheapest pair
    wanted = np.bincount(detections[first], minlength=int(detections.max()) + 1)
    if wanted.max() == 1:
        return tracks[first], detections[first]
    n = int(tracks.max()) + 1
    size = n + len(wanted)
    graph = coo_array((np.ones(len(cost)), (tracks, detections + n)), shape=(size, size))
    count, label = connected_components(graph, directed=False)
    contested = np.zeros(count, bool)
    contested[label[tracks[first]][wanted[detections[first]] > 1]] = True
    component = label[tracks]
    plain = first[~contested[component[first]]]
    out_t, out_d = [tracks[plain]], [detections[plain]]
    hard = np.flatnonzero(contested[component])
    hard = hard[np.argsort(component[hard], kind="stable")]
    for of in np.split(hard, np.flatnonzero(np.diff(component[hard])) + 1):
        t, d = solve(tracks[of], detections[of], cost[of], limit)
        out_t.append(t)
        out_d.append(d)
    return np.concatenate(out_t), np.concatenate(out_d)


def solve(tracks: Ints, detections: Ints, cost: Floats, limit: float) -> tuple[Ints, Ints]:
    """The least total of cost in one component, dense where it is small, sparse where it is large."""
    rows, r = np.unique(tracks, return_inverse=True)
    cols, c = np.unique(detections, return_inverse=True)
    if len(rows) * len(cols) <= DENSE_CELLS:
        dense = np.full((len(rows), len(cols)), limit)
        dense[r, c] = cost
        i, j = linear_sum_assignment(dense)
        real = dense[i, j] < limit
        return rows[i[real]], cols[j[real]]
    # A column of its own for each row is being alone; weights must not be 0, which a sparse matrix takes for no pair.
    n, lowest = len(rows), float(cost.min()) - 1.0
    weight = np.concatenate([cost, np.full(n, limit)]) - lowest
    place = np.concatenate([r, np.arange(n)]), np.concatenate([c, len(cols) + np.arange(n)])
    matched = min_weight_full_bipartite_matching(coo_array((weight, place), shape=(n, len(cols) + n)).tocsr())
    own, other = (np.asarray(side, np.intp) for side in matched)
    real = other < len(cols)
    return rows[own[real]], cols[other[real]]
