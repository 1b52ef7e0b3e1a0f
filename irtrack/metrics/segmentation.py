"""The field's figures for single frames, as the papers define them.

IoU is pooled over the set, nIoU the mean of the images' IoU, F1 pooled over pixels. Pd and Fa match 8-connected
components one to one by centroids closer than 3 px, nearest first: Pd = matched targets / targets, Fa = area of
unmatched predicted components / all pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats

MATCH_DISTANCE_PX = 3.0


def components(mask: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Centroids (N, 2) in (x, y) and areas (N,) of the 8-connected components of a mask."""
    _, _, stats, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return centroids[1:], stats[1:, cv2.CC_STAT_AREA].astype(np.float64)


def match_nearest(a: Floats, b: Floats, limit_px: float = MATCH_DISTANCE_PX) -> list[tuple[int, int]]:
    """Pairs (row of a, row of b) closer than the limit, one to one, nearest first."""
    if not len(a) or not len(b):
        return []
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    i, j = np.nonzero(distance < limit_px)
    pairs: list[tuple[int, int]] = []
    used_a: set[int] = set()
    used_b: set[int] = set()
    for n in np.argsort(distance[i, j], kind="stable"):
        p, q = int(i[n]), int(j[n])
        if p not in used_a and q not in used_b:
            pairs.append((p, q))
            used_a.add(p)
            used_b.add(q)
    return pairs


@dataclass
class SegmentationScore:
    """Adds up images; `figures()` gives the values over all of them."""

    images: int = 0
    pixels: int = 0
    intersection: int = 0
    union: int = 0
    predicted_px: int = 0
    true_px: int = 0
    image_iou: float = 0.0
    targets: int = 0
    matched: int = 0
    false_px: float = 0.0
    false_objects: int = 0

    def add(self, predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, float]:
        """Count one image (two bool masks of equal shape); returns that image's own counts for a table."""
        if predicted.shape != true.shape:
            raise ValueError(f"predicted mask is {predicted.shape}, true mask {true.shape}")
        inter, union = int((predicted & true).sum()), int((predicted | true).sum())
        iou = inter / union if union else 1.0
        p_xy, p_area = components(predicted)
        t_xy, _ = components(true)
        pairs = match_nearest(p_xy, t_xy)
        unmatched = np.ones(len(p_xy), bool)
        unmatched[[p for p, _ in pairs]] = False
        self.images += 1
        self.pixels += true.size
        self.intersection += inter
        self.union += union
        self.predicted_px += int(predicted.sum())
        self.true_px += int(true.sum())
        self.image_iou += iou
        self.targets += len(t_xy)
        self.matched += len(pairs)
        self.false_px += float(p_area[unmatched].sum())
        self.false_objects += int(unmatched.sum())
        return {"iou": iou, "targets": len(t_xy), "matched": len(pairs), "false_objects": int(unmatched.sum())}

    def figures(self) -> dict[str, float]:
        """IoU, nIoU, F1, Pd in percent, Fa in 1e-6 of the pixels, false objects an image."""
        return {
            "images": self.images,
            "targets": self.targets,
            "IoU": 100 * self.intersection / max(self.union, 1),
            "nIoU": 100 * self.image_iou / max(self.images, 1),
            "F1": 200 * self.intersection / max(self.predicted_px + self.true_px, 1),
            "Pd": 100 * self.matched / max(self.targets, 1),
            "Fa_1e-6": 1e6 * self.false_px / max(self.pixels, 1),
            "false_objects_per_image": self.false_objects / max(self.images, 1),
        }
