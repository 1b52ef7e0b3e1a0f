"""Where the numbers of tracks go, so that they keep apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from irtrack.core import Floats

Spot = tuple[float, float]
Box = tuple[float, float, float, float]


def placed(corners: Floats, sizes: Sequence[tuple[float, float]]) -> list[Spot | None]:
    """Lower left corner of each label, or None where there is no room; the first come first.

    corners (N, K, 2): for each track the places, best first, at which the label's lower left corner may lie (y
    downwards); sizes: width and height of each label, in the same unit.
    """
    step = max((h for _, h in sizes), default=1.0)
    rows: dict[int, list[Box]] = {}  # labels that are placed, by the strips of the picture that they lie in
    out: list[Spot | None] = []
    for options, (w, h) in zip(corners.tolist(), sizes, strict=True):
        spot = None
        for x, y in options:
            strips = range(math.floor((y - h) / step), math.floor(y / step) + 1)
            box = (x, y - h, x + w, y)
            if not any(clash(box, t) for strip in strips for t in rows.get(strip, ())):
                for strip in strips:
                    rows.setdefault(strip, []).append(box)
                spot = (x, y)
                break
        out.append(spot)
    return out


def clash(a: Box, b: Box) -> bool:
    """Whether two boxes (left, top, right, bottom) overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def corners_of(centres: Floats, halves: Floats, sizes: Floats) -> Floats:
    """Lower left corners (N, 4, 2) of labels right above, right below, left above and left below boxes.

    centres, halves and sizes of the labels are (N, 2).
    """
    (x, y), (a, b), (w, h) = centres.T, halves.T, sizes.T
    return np.stack([(x + a, y - b), (x + a, y + b + h), (x - a - w, y - b), (x - a - w, y + b + h)]).transpose(2, 0, 1)
