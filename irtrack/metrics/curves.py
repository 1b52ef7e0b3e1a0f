"""Figures as functions of the threshold: a sweep of all of them, and the pixels' ROC."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.metrics.segmentation import SegmentationScore

SWEEP = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)

LOGIT_RANGE = 24.0
"""Scores nearer to 0 or 1 than float32 can tell are taken together."""


@dataclass
class ThresholdSweep:
    """Every figure of `SegmentationScore` at each of several thresholds."""

    thresholds: tuple[float, ...] = SWEEP
    scores: list[SegmentationScore] = field(init=False)

    def __post_init__(self) -> None:
        self.scores = [SegmentationScore() for _ in self.thresholds]

    def add(self, score: NDArray[np.floating], true: NDArray[np.bool_]) -> None:
        """Count one image: scores (H, W) in [0, 1], true mask (H, W)."""
        for threshold, total in zip(self.thresholds, self.scores, strict=True):
            total.add(score > threshold, true)

    def table(self) -> list[dict[str, float]]:
        """A row for each threshold."""
        return [{"threshold": t, **s.figures()} for t, s in zip(self.thresholds, self.scores, strict=True)]


@dataclass
class RocCurve:
    """Pixels' receiver operating characteristic, from histograms of the logit: exact up to ties within a bin.

    Thousands of bins over the logit resolve both ends, where nearly all pixels of a good network lie.
    """

    bins: int = 1 << 14
    positive: NDArray[np.int64] = field(init=False)
    negative: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.positive, self.negative = np.zeros(self.bins, np.int64), np.zeros(self.bins, np.int64)

    def add(self, score: NDArray[np.floating], true: NDArray[np.bool_]) -> None:
        """Count one image: scores (H, W) in [0, 1], true mask (H, W)."""
        p = score.astype(np.float64)
        with np.errstate(divide="ignore"):
            logit = np.log(p) - np.log1p(-p)
        place = np.clip((logit + LOGIT_RANGE) / (2 * LOGIT_RANGE), 0, 1) * (self.bins - 1)
        index = place.astype(np.int64)
        self.positive += np.bincount(index[true], minlength=self.bins)
        self.negative += np.bincount(index[~true], minlength=self.bins)

    def curve(self) -> tuple[Floats, Floats]:
        """False and true positive rates (bins + 1,), from the strictest threshold to the loosest."""
        false = np.concatenate([[0], np.cumsum(self.negative[::-1])]) / max(int(self.negative.sum()), 1)
        true = np.concatenate([[0], np.cumsum(self.positive[::-1])]) / max(int(self.positive.sum()), 1)
        return false, true

    def auc(self) -> float:
        """Area under the curve; 0.5 where one class is absent."""
        if not self.positive.any() or not self.negative.any():
            return 0.5
        false, true = self.curve()
        return float(np.trapezoid(true, false))
