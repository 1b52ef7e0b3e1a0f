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
from irtrack.imaging.noise import usual_deviation
from irtrack.train.data import Grey, Mask
from irtrack.train.spots import as_one

RING_PX = 6
"""Width of the ring round a box that tells its background."""

OPEN_PX = 2
"""How far beyond a box nothing is said: boxes are drawn tight by some."""

MEDIAN_PX = 31
"""Largest window of the median that tells a thing's own surroundings."""

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

    `open_ground` (H, W) is where no box lies. What does not stand out from the ring round the box may still stand out
    from its own surroundings: a point in the sky over a roof that the ring holds, too.
    """
    window, around = window_of(box, image.shape, 0), window_of(box, image.shape, RING_PX)
    ground = open_ground[around]
    if ground.sum() < 20 or min(image[window].shape) < 2:
        return None
    inner = tuple(slice(w.start - a.start, w.stop - a.start) for w, a in zip(window, around, strict=True))
    level = np.float32(np.median(image[around][ground]))
    core = standing_out(image[around].astype(np.float32) - level, inner, ground)
    # What fills its box from side to side is a background that the box cuts out, not a thing in it.
    if core is not None and core.mean() <= 0.8:
        return core
    side = min(max(core_side(box), 5), MEDIAN_PX)
    wide = window_of(box, image.shape, RING_PX + side)
    local = image[wide].astype(np.float32) - cv2.medianBlur(image[wide], side).astype(np.float32)
    top, left = around[0].start - wide[0].start, around[1].start - wide[1].start
    h, w = ground.shape
    core = standing_out(local[top : top + h, left : left + w], inner, ground)
    # Only small things are what a median takes away.
    return core if core is not None and core.sum() <= side * side / 2 and not on_border(core) else None


def core_side(box: Sequence[float]) -> int:
    """Side of a median's window that takes away what is in a box: an odd number of pixels."""
    return round(0.8 * max(box[2:])) | 1


def on_border(core: Mask) -> bool:
    """Whether it goes on beyond its box."""
    return bool(core[0].any() or core[-1].any() or core[:, 0].any() or core[:, -1].any())


def standing_out(above: Grey, inner: tuple[slice, ...], ground: Mask) -> Mask | None:
    """What stands out in the `inner` part of a window, given its levels above the background (float32).

    `ground` is where the background's spread is measured. The peak is weighted by its nearness to the middle of the
    box, so that a bar or a roof that reaches into the box does not win.
    """
    rest = above[ground]
    spread = max(usual_deviation(rest), 1.0)
    smooth, inside = cv2.GaussianBlur(above, (3, 3), 0.7)[inner], above[inner]
    h, w = inside.shape
    yy, xx = np.mgrid[:h, :w]
    central = np.exp(-0.5 * (((xx - (w - 1) / 2) / (0.3 * w)) ** 2 + ((yy - (h - 1) / 2) / (0.3 * h)) ** 2))
    row, column = np.unravel_index(int(np.argmax(np.abs(smooth) * central)), smooth.shape)
    peak = float(smooth[row, column])
    if abs(peak) < LEAST_SNR * spread:
        return None
    strong = (above * np.sign(peak) >= SHARE_OF_PEAK * abs(peak)).astype(np.uint8)
    strong[inner][row, column] = 1
    labels = cv2.connectedComponents(strong[inner], connectivity=8)[1]
    core: Mask = labels == labels[row, column]
    # A drone's motors are spots of their own; what reaches out of the box is not its own.
    everywhere = cv2.connectedComponents(strong, connectivity=8)[1]
    outside = everywhere.copy()
    outside[inner] = 0
    spots = strong[inner].astype(bool) & ~np.isin(everywhere[inner], outside)
    return as_one(core | spots)


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
