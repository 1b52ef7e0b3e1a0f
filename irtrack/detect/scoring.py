"""From grey input to a score map of the same size, whatever that size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from irtrack.core import IrtrackError, Scores
from irtrack.detect.network import MULTIPLE_PX


def pad_to_multiple(x: Tensor, multiple: int = MULTIPLE_PX) -> Tensor:
    """Reflect-pad at the bottom and right (in steps, where the picture is smaller than the padding)."""
    while True:
        h, w = x.shape[-2:]
        bottom, right = min(-h % multiple, h - 1), min(-w % multiple, w - 1)
        if h < 2 or w < 2:
            return F.pad(x, (0, -w % multiple, 0, -h % multiple), mode="replicate")
        if bottom == 0 and right == 0:
            return x
        x = F.pad(x, (0, right, 0, bottom), mode="reflect")


def score_map(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1] -> scores (B, 1, H, W) in [0, 1]."""
    h, w = x.shape[-2:]
    return network(pad_to_multiple(x))[..., :h, :w].sigmoid()


def check_scores(scores: Scores) -> None:
    """Raises IrtrackError where scores (H, W) are no numbers: no target would be found among them, without a word."""
    if np.isnan(scores.max()):
        raise IrtrackError(
            "the network's scores are no numbers: its weights are of no use (did the training diverge?), or half "
            "precision is too narrow for them: try --precision float32"
        )
