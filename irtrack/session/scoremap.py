"""Score maps that are kept: what acts behind the network needs no network again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Scores

SCORE_FLOOR = 0.01
"""Scores up to this are not kept: the least threshold that can be chosen."""


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """The pixels of a score map above SCORE_FLOOR: their flat indices and scores."""

    shape: tuple[int, ...]
    px: NDArray[np.uint32]
    score: Scores

    @staticmethod
    def of(scores: Scores) -> ScoreMap:
        """Of a map (H, W)."""
        px = np.flatnonzero(scores > SCORE_FLOOR).astype(np.uint32)
        return ScoreMap(scores.shape, px, scores.ravel()[px])

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return self.px.nbytes + self.score.nbytes + 200

    def full(self) -> Scores:
        """The map (H, W) float32 again, with zeros for what was not kept."""
        out = np.zeros(self.shape, np.float32)
        out.ravel()[self.px] = self.score
        return out
