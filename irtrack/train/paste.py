"""Real targets of other images, pasted, and an image's own, erased. numpy and cv2 only.

Pasting shows each labelled target on many backgrounds; erasing shows backgrounds without any, which sets whose every
image has a target do not have: a network trained on those alone says "here" to whatever is most like a target.

Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method", CVPR 2021, here for targets without a sharp
edge: what is carried over is a target less its background, added to the other image's grey levels.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from irtrack.core import Floats
from irtrack.train.data import Grey, Mask, Rng, Sample

MARGIN_PX = 6
"""Ring around a target that tells its background and holds its halo."""

WEAKEST = 8.0
"""Peak of a pasted target in grey levels of 255: what is fainter in its own image is left there."""


def lift_target(sample: Sample, rng: Rng) -> tuple[Floats, Mask] | None:
    """One of the image's targets as (grey levels above its background, mask); None where none stands out.

    The background under it is inpainted from around (Telea 2004); the difference fades to zero at the window's edge.
    """
    ys, xs = np.nonzero(sample.mask)
    if not len(ys):
        return None
    k = int(rng.integers(len(ys)))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(sample.mask.astype(np.uint8))
    own = labels[ys[k], xs[k]]
    x, y, w, h = (int(v) for v in stats[own][:4])
    window = np.s_[max(y - MARGIN_PX, 0) : y + h + MARGIN_PX, max(x - MARGIN_PX, 0) : x + w + MARGIN_PX]
    mask = labels[window] == own
    halo = cv2.dilate(sample.mask[window].astype(np.uint8), np.ones((5, 5), np.uint8))
    grey = np.ascontiguousarray(sample.image[window])
    above = grey.astype(np.float64) - cv2.inpaint(grey, halo, 3, cv2.INPAINT_TELEA)
    nearby = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float32)
    above *= cv2.GaussianBlur(nearby, (5, 5), 1.0)
    if np.abs(above[mask]).max() < WEAKEST:
        return None
    return above, mask


def paste_target(image: Grey, mask: Mask, donor: Sample, rng: Rng) -> tuple[Grey, Mask]:
    """Add one target of `donor`, turned, at 0.5 to 1.3 times its contrast, where no other target is.

    Nothing is added where the donor has none, or where the background leaves no room to show it.
    """
    lifted = lift_target(donor, rng)
    if lifted is None:
        return image, mask
    turn = int(rng.integers(8))
    above, own = np.rot90(lifted[0], turn % 4), np.rot90(lifted[1], turn % 4)
    if turn >= 4:
        above, own = above[::-1], own[::-1]
    above = above * rng.uniform(0.5, 1.3)
    h, w = own.shape
    if h >= image.shape[0] or w >= image.shape[1]:
        return image, mask
    top, left = int(rng.integers(image.shape[0] - h)), int(rng.integers(image.shape[1] - w))
    window = np.s_[top : top + h, left : left + w]
    added = np.clip(image[window] + above, 0, 255)
    if mask[window].any() or np.abs(added - image[window])[own].max() < WEAKEST:
        return image, mask
    image, mask = image.copy(), mask.copy()
    image[window] = added
    mask[window] |= own
    return image, mask


def erased(sample: Sample) -> Sample:
    """The image without its targets and their halos, inpainted from around (Telea 2004)."""
    halo = cv2.dilate(sample.mask.astype(np.uint8), np.ones((7, 7), np.uint8))
    image = cv2.inpaint(sample.image, halo, 3, cv2.INPAINT_TELEA)
    return replace(sample, image=image.astype(np.uint8), mask=np.zeros_like(sample.mask))
