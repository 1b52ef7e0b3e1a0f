"""Targets of several spots: a drone's motors or an aircraft's engines are one thing, however dark what is between."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.train.data import Mask

ARM_PX = 2
"""Width of what joins two spots in a mask."""

BESIDE_PX = 2
"""What is found this near to a target's mask is a piece of it."""


def as_one(mask: Mask) -> Mask:
    """A target's spots (H, W) as one: from the largest on, each is joined to the nearest that has its place."""
    count, _, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    whole = mask.astype(np.uint8)
    left = list(range(1, count))
    done = [max(left, key=lambda spot: int(stats[spot, cv2.CC_STAT_AREA]))]
    left.remove(done[0])
    while left:
        distance = np.linalg.norm(centres[left][:, None] - centres[done][None], axis=2)
        spot, to = np.unravel_index(int(distance.argmin()), distance.shape)
        ends = [tuple(int(v) for v in np.round(centres[k])) for k in (left[spot], done[to])]
        cv2.line(whole, ends[0], ends[1], 1, ARM_PX)
        done.append(left.pop(spot))
    return whole > 0


def found_and_broken(pieces: NDArray[np.int32], targets: Mask, unknown: Mask | None) -> tuple[int, int]:
    """How many targets were found at all, and how many of them in pieces: labels and masks (H, W).

    A target's place is its mask, what is beside it, and the pixels left open round it; places of several targets do
    not count.
    """
    if not pieces.any() or not targets.any():
        return 0, 0
    side = 2 * BESIDE_PX + 1
    near = cv2.dilate(targets.astype(np.uint8), np.ones((side, side), np.uint8))
    places = cv2.connectedComponents(near if unknown is None else near | unknown.astype(np.uint8), connectivity=8)[1]
    own = cv2.connectedComponents(targets.astype(np.uint8), connectivity=8)[1]

    def at_places(labels: NDArray[np.int32]) -> NDArray[np.intp]:
        """How many different ones lie at each place."""
        there = (labels > 0) & (places > 0)
        pairs = np.unique(np.stack([places[there], labels[there]]), axis=1)
        return np.bincount(pairs[0], minlength=int(places.max()) + 1)

    parts = at_places(pieces)[at_places(own) == 1]
    return int((parts >= 1).sum()), int((parts >= 2).sum())
