"""The figures as the authors' evaluation computes them, faults included, to be set beside published tables.

Differences from `segmentation.py`, found from their numbers on known cases:

- objects (Pd, Fa, precision, recall, F) are thresholded at half of each image's own highest score, so a picture without
  any confident pixel still yields objects;
- a target takes the first predicted object in raster order that is near enough, not the nearest;
- a false object whose area equals that of some matched object is forgotten;
- the ROC counts a target as found if any one of its pixels reaches the threshold, false alarms by pixel, both at
  200 steps of the image's highest score.

IoU, pixel accuracy and nIoU use the plain threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.metrics.segmentation import MATCH_DISTANCE_PX, components

BINS = 200


def first_near(found: Floats, true: Floats) -> list[int]:
    """For each target in order the first found object closer than the limit that is still free; (N, 2) each."""
    free = list(range(len(found)))
    taken = []
    for t in true:
        near = next((k for k in free if np.linalg.norm(found[k] - t) < MATCH_DISTANCE_PX), None)
        if near is not None:
            free.remove(near)
            taken.append(near)
    return taken


@dataclass
class LegacyScore:
    """Adds up images; `figures()` gives the values over all of them, in the reference's units (fractions)."""

    correct: int = 0
    labelled: int = 0
    intersection: int = 0
    union: int = 0
    false_px: float = 0.0
    pixels: int = 0
    matched: int = 0
    targets: int = 0
    tp: int = 0
    fp: int = 0
    fn: int = 0
    image_iou: float = 0.0
    images: int = 0
    roc_found: Floats = field(default_factory=lambda: np.zeros(BINS + 1))
    roc_false: Floats = field(default_factory=lambda: np.zeros(BINS + 1))
    background_px: int = 0

    def add(self, score: NDArray[np.floating], true: NDArray[np.bool_]) -> None:
        """Count one image: scores (H, W) in [0, 1], true mask (H, W)."""
        above = score > 0.5
        inter, union = int((above & true).sum()), int((above | true).sum())
        self.correct += inter
        self.labelled += int(true.sum())
        self.intersection += inter
        self.union += union
        self.image_iou += inter / union if union else 0.0
        self.images += 1
        self.pixels += true.size
        top = float(score.max())
        relative = score / np.asarray(top, score.dtype) if top > 0 else np.zeros_like(score)
        self.add_objects(relative > 0.5, true)
        self.add_roc(relative, true)

    def add_objects(self, predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> None:
        """Pd and Fa with the reference's matching; tp, fp, fn by pixel."""
        (found, area), (t_xy, _) = components(predicted), components(true)
        taken = first_near(found, t_xy)
        forgotten = {float(area[k]) for k in taken}
        self.false_px += sum(a for a in area.tolist() if a not in forgotten)
        self.matched += len(taken)
        self.targets += len(t_xy)
        self.tp += int((predicted & true).sum())
        self.fp += int((predicted & ~true).sum())
        self.fn += int((~predicted & true).sum())

    def add_roc(self, relative: NDArray[np.floating], true: NDArray[np.bool_]) -> None:
        """Targets with a pixel at or above each of the thresholds, and background pixels there."""
        thresholds = np.arange(BINS + 1) / BINS
        count, labels = cv2.connectedComponents(true.astype(np.uint8), connectivity=8)
        peaks = np.sort([float(relative[labels == k].max()) for k in range(1, count)])
        background = np.sort(relative[~true].astype(np.float64))
        self.roc_found += len(peaks) - np.searchsorted(peaks, thresholds)
        self.roc_false += len(background) - np.searchsorted(background, thresholds)
        self.background_px += len(background)

    def figures(self) -> dict[str, float]:
        """pixAcc, mIoU, nIoU, Pd, Fa, precision, recall, fscore, tpfnfp_miou and the ROC's AUC; fractions."""
        precision = self.tp / max(self.tp + self.fp, 1)
        recall = self.tp / max(self.tp + self.fn, 1)
        hits, alarms = self.roc_found / max(self.targets, 1), self.roc_false / max(self.background_px, 1)
        return {
            "pixAcc": self.correct / max(self.labelled, 1),
            "mIoU": self.intersection / max(self.union, 1),
            "nIoU": self.image_iou / max(self.images, 1),
            "Pd": self.matched / max(self.targets, 1),
            "Fa": self.false_px / max(self.pixels, 1),
            "precision": precision,
            "recall": recall,
            "fscore": 2 * precision * recall / max(precision + recall, 1e-12),
            "tpfnfp_miou": self.tp / max(self.tp + self.fp + self.fn, 1),
            "auc": float(-np.trapezoid(hits, alarms)),
        }
