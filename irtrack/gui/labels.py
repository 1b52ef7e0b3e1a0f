"""Where the numbers of tracks go so that they do not cover each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from irtrack.core import Floats


def placed(corners: Sequence[Floats], sizes: Sequence[tuple[float, float]]) -> list[tuple[float, float] | None]:
    """Lower left corner of each label, or None where there is no room; the first come first.

    corners: for each track the places (K, 2), best first, at which the label's lower left corner may lie (y downwards);
    sizes: width and height of each label, in the same unit.
    """
    taken: list[tuple[float, float, float, float]] = []
    out: list[tuple[float, float] | None] = []
    for options, (w, h) in zip(corners, sizes, strict=True):
        spot = None
        for x, y in options.tolist():
            box = (x, y - h, x + w, y)
            if not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken):
                taken.append(box)
                spot = (x, y)
                break
        out.append(spot)
    return out


def corners_of(centre: Floats, half: Floats, width: float, height: float) -> Floats:
    """Lower left corners (4, 2) of a label right above, right below, left above and left below a box."""
    x, y = centre
    return np.array(
        [
            (x + half[0], y - half[1]),
            (x + half[0], y + half[1] + height),
            (x - half[0] - width, y - half[1]),
            (x - half[0] - width, y + half[1] + height),
        ]
    )
