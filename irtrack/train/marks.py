"""What sights draw round a target: reticles, gates and brackets. Operators hold their target inside them, so a network
that has only seen them beside targets is blind where it matters most."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.metrics.segmentation import components
from irtrack.train.data import Grey, Mask, Rng
from irtrack.train.synthetic import burnt_in, inject_targets

HELD = 0.75
"""Share of marks with a target in or beside them: the others teach that they are none."""

OFF_PX = 6.0
"""How far a target hangs from the middle of its mark, standard deviation an axis."""


def add_mark(image: Grey, mask: Mask, rng: Rng) -> tuple[Grey, Mask, Mask]:
    """Draw a mark (H, W), mostly round a target: one of the picture's, else one that is added.

    Returns the picture, the targets' mask less what the mark hides, and the pixels in the mark's middle.
    """
    size = image.shape[0]
    middle = rng.integers(0, size, 2).astype(float)
    if rng.random() < HELD:
        if not mask.any():
            spot = np.zeros(mask.shape, bool)
            spot[int(middle[0]), int(middle[1])] = True
            image, mask = inject_targets(image, mask, rng, near=spot)
        places, _ = components(mask)
        middle = places[rng.integers(len(places)), ::-1]
    y, x = np.round(middle + rng.normal(0, OFF_PX, 2)).astype(int).tolist()
    drawn = np.zeros(image.shape, np.uint8)
    draw_mark(drawn, x, y, rng)
    outlined = rng.random() < 0.25
    outline = cv2.dilate(drawn, np.ones((3, 3), np.uint8)) if outlined else np.zeros_like(drawn)
    inside = np.zeros(mask.shape, bool)
    inside[max(y - 8, 0) : max(y + 9, 0), max(x - 8, 0) : max(x + 9, 0)] = True
    image, mask = burnt_in(image, mask, drawn, outline, rng)
    return image, mask, inside


def draw_mark(drawn: NDArray[np.uint8], x: int, y: int, rng: Rng) -> None:
    """Draw one about (x, y): cross hairs with an open middle, with marks along them, a gate, brackets, a circle."""
    width, kind = int(rng.integers(1, 3)), int(rng.integers(6))
    if kind <= 2:
        gap, arm = int(rng.integers(2, 24)), int(rng.integers(6, 70))
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            cv2.line(drawn, (x + dx * gap, y + dy * gap), (x + dx * (gap + arm), y + dy * (gap + arm)), 255, width)
            if kind == 2:
                step = int(rng.integers(5, 16))
                for at in range(gap + step, gap + arm, step):
                    a, b = x + dx * at, y + dy * at
                    cv2.line(drawn, (a - 3 * dy, b - 3 * dx), (a + 3 * dy, b + 3 * dx), 255, width)
        if rng.random() < 0.2:
            cv2.circle(drawn, (x, y), 1, 255, -1)
    elif kind == 3:
        cv2.circle(drawn, (x, y), int(rng.integers(6, 40)), 255, width)
    else:
        w, h = (int(v) for v in rng.integers(5, 40, 2))
        if rng.random() < 0.5:
            h = w
        corner = max(2, int(min(w, h) * rng.uniform(0.2, 0.6))) if kind == 4 else max(w, h)
        for dx in (-1, 1):
            for dy in (-1, 1):
                a, b = x + dx * w, y + dy * h
                cv2.line(drawn, (a, b), (a - dx * min(corner, 2 * w), b), 255, width)
                cv2.line(drawn, (a, b), (a, b - dy * min(corner, 2 * h)), 255, width)
