"""Pixel masks from boxes: what stands out in a box is the target, the rest of the box is left open.

A box says where a target is, not which pixels it has. A mask made from it is right in its core and doubtful at its
border, so the loss looks at the core and at everything outside the box, and not at what is between. Boxes of things
that are no targets (cars, for a detector of persons), and those in which nothing stands out, are left open whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from irtrack.core import Floats
from irtrack.train.data import Grey, Mask

RING_PX = 6
"""Width of the ring round a box that tells its background."""

OPEN_PX = 2
"""How far beyond a box nothing is said: boxes are drawn tight by some."""

LEAST_SNR = 4.0
SHARE_OF_PEAK = 0.5


def window_of(box: Sequence[float], shape: tuple[int, ...], margin: int) -> tuple[slice, slice]:
    """Rows and columns of a box (x, y, w, h) and a margin round it, inside the picture."""
    x, y, w, h = box
    top, left = max(int(np.floor(y)) - margin, 0), max(int(np.floor(x)) - margin, 0)
    return (
        slice(top, max(min(int(np.ceil(y + h)) + margin, shape[0]), top)),
        slice(left, max(min(int(np.ceil(x + w)) + margin, shape[1]), left)),
    )


def core_of(image: Grey, box: Sequence[float], open_ground: Mask) -> Mask | None:
    """The part of a box (H, W of its window) at half of its peak or more; None where nothing stands out.

    `open_ground` (H, W) is where no box lies. The peak is weighted by its nearness to the middle of the box, so that
    a bar or a roof that reaches into the box does not win; the background is the median of the ring round the box.
    """
    window, around = window_of(box, image.shape, 0), window_of(box, image.shape, RING_PX)
    ring = image[around][open_ground[around]].astype(float)
    inside = image[window].astype(np.float32)
    if len(ring) < 20 or min(inside.shape) < 2:
        return None
    middle = float(np.median(ring))
    spread = max(1.4826 * float(np.median(np.abs(ring - middle))), 1.0)
    above = inside - np.float32(middle)
    smooth = cv2.GaussianBlur(above, (3, 3), 0.7)
    h, w = inside.shape
    yy, xx = np.mgrid[:h, :w]
    central = np.exp(-0.5 * (((xx - (w - 1) / 2) / (0.3 * w)) ** 2 + ((yy - (h - 1) / 2) / (0.3 * h)) ** 2))
    row, column = np.unravel_index(int(np.argmax(np.abs(smooth) * central)), smooth.shape)
    peak = float(smooth[row, column])
    if abs(peak) < LEAST_SNR * spread:
        return None
    strong = (above * np.sign(peak) >= SHARE_OF_PEAK * abs(peak)).astype(np.uint8)
    strong[row, column] = 1
    labels = cv2.connectedComponents(strong, connectivity=8)[1]
    core: Mask = labels == labels[row, column]
    # What fills its box from side to side is a background that the box cuts out, not a thing in it.
    return None if core.mean() > 0.8 else core


def from_boxes(image: Grey, targets: Floats, others: Floats, largest_px: float = 40.0) -> tuple[Mask, Mask]:
    """Mask of the targets and what the loss leaves out, both (H, W).

    `targets` and `others` (N, 4): boxes (x, y, w, h) in pixels; others are things that are neither targets nor
    background. Targets of more than `largest_px` a side are left out too.
    """
    mask, left_out = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    open_ground = np.ones(image.shape, bool)
    for box in (*targets, *others):
        open_ground[window_of(box, image.shape, 1)] = False
        left_out[window_of(box, image.shape, OPEN_PX)] = True
    for box in targets:
        core = core_of(image, box, open_ground) if max(box[2:]) <= largest_px else None
        if core is not None:
            mask[window_of(box, image.shape, 0)] |= core
    return mask, left_out & ~mask
