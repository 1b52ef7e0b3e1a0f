"""Hard examples: the places of the training images where the network is wrong, to be looked at more often."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from irtrack.core import Floats
from irtrack.metrics.segmentation import components, match_nearest
from irtrack.train.data import Sample
from irtrack.train.evaluation import judged, score_of

NEAR_MISS = 0.3
"""Scores from here on count as said to be a target: a place just below the threshold is worth a look too."""

SPOTS_KEPT = 2000


def mistakes(network: Callable[[Tensor], Tensor], sample: Sample, device: str) -> Floats:
    """Centres (N, 2) in (x, y) of false components and of missed targets of one image."""
    predicted = judged(score_of(network, sample, device), sample) > NEAR_MISS
    found, true = components(predicted)[0], components(sample.mask)[0]
    pairs = match_nearest(found, true)
    false = np.delete(found, [p for p, _ in pairs], 0)
    missed = np.delete(true, [t for _, t in pairs], 0)
    return np.concatenate([false, missed])


def mine(
    network: Callable[[Tensor], Tensor],
    sets: Sequence[Sequence[Sample]],
    shares: Sequence[float],
    count: int,
    key: Sequence[int],
    device: str,
) -> Floats:
    """Hard spots (N, 4): set, image, x, y, from `count` images drawn from the sets by their shares; `key` seeds it."""
    rng = np.random.default_rng([*key, 1])
    spots: list[tuple[float, float, float, float]] = []
    quota = np.asarray(shares, float) / np.sum(shares) * count
    for k, samples in enumerate(sets):
        for i in rng.permutation(len(samples))[: round(quota[k])]:
            spots += [(k, int(i), x, y) for x, y in mistakes(network, samples[i], device).tolist()]
    order = rng.permutation(len(spots))[:SPOTS_KEPT]
    return np.array([spots[i] for i in order], np.float64).reshape(-1, 4)
