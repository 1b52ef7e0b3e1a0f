"""Score maps that are kept: what acts behind the network needs no network again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Scores
from irtrack.detect.extraction import SCORE_FLOOR


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """The pixels of a score map above SCORE_FLOOR, the least threshold: their flat indices and scores. `lifted_px`,
    `lifted_from`: pixels that the temporal stage raised, and what the network said of them: what is raised depends on
    the threshold, so another pass begins with the network's own scores."""

    shape: tuple[int, ...]
    px: NDArray[np.uint32]
    score: Scores
    lifted_px: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    lifted_from: Scores = field(default_factory=lambda: np.zeros(0, np.float32))

    @staticmethod
    def of(scores: Scores, network: Scores | None = None) -> ScoreMap:
        """Of a map (H, W); `network`: the same before the temporal stage."""
        px = np.flatnonzero(scores > SCORE_FLOOR).astype(np.uint32)
        made = ScoreMap(scores.shape, px, scores.ravel()[px])
        if network is None or network is scores:
            return made
        lifted = np.flatnonzero(scores != network).astype(np.uint32)
        return replace(made, lifted_px=lifted, lifted_from=network.ravel()[lifted])

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return sum(a.nbytes for a in (self.px, self.score, self.lifted_px, self.lifted_from)) + 200

    def full(self) -> Scores:
        """The map (H, W) float32 again, with zeros for what was not kept."""
        out = np.zeros(self.shape, np.float32)
        out.ravel()[self.px] = self.score
        return out

    def network(self) -> Scores:
        """What the network alone said: the map (H, W) before the temporal stage."""
        out = self.full()
        out.ravel()[self.lifted_px] = self.lifted_from
        return out
