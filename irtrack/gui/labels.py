"""Where the numbers of tracks go, so that they keep apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from irtrack.core import Floats


def placed(corners: Sequence[Floats], sizes: Sequence[tuple[float, float]]) -> list[tuple[float, float] | None]:
    """Lower left corner of each label, or None where there is no room; the first come first.

    corners: for each track the places (K, 2), best first, at which the label's lower left corner may lie (y downwards);
    sizes: width and height of each label, in the same unit.
    """
    taken, count = np.empty((len(corners), 4)), 0  # left, top, right, bottom
    out: list[tuple[float, float] | None] = []
    for options, (w, h) in zip(corners, sizes, strict=True):
        left, bottom = options[:, :1], options[:, 1:]
        t = taken[:count]
        clash = (left < t[:, 2]) & (t[:, 0] < left + w) & (bottom - h < t[:, 3]) & (t[:, 1] < bottom)
        free = np.flatnonzero(~clash.any(1))
        if not len(free):
            out.append(None)
            continue
        x, y = options[free[0]].tolist()
        taken[count] = (x, y - h, x + w, y)
        count += 1
        out.append((x, y))
    return out


def corners_of(centre: Floats, half: Floats, width: float, height: float) -> Floats:
    """Lower left corners (4, 2) of a label right above, right below, left above and left below a box."""
    (x, y), (a, b) = centre.tolist(), half.tolist()
    return np.array([(x + a, y - b), (x + a, y + b + height), (x - a - width, y - b), (x - a - width, y + b + height)])
