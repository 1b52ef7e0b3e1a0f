"""From grey input to a score map of the same size, whatever that size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from irtrack.core import IrtrackError, Scores
from irtrack.detect.network import MULTIPLE_PX

SMALL_PX, CLOSER = 384 * 288, 1.5
"""Frames of up to so many pixels are looked at closer, which is so many times enlarged: larger ones take too long."""

SHOWS, NEAR_PX = 0.5, 8
"""Score of what the first look shows; within so many pixels of it the closer look adds nothing."""

CLOSER_ODDS = 2
"""An enlarged picture shows more of what is none, too: its odds count so many times less than those of the first look,
so that 2/3 there is 0.5."""


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


def closer_map(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`score_map` of small frames, and what an enlarged picture shows besides, where the first look shows nothing.

    Dim points of a pixel or two near brighter ground have no score at all in their own size, and a full one half as
    large again; what is large scores less there. So each look has its own, and targets keep the outline of the first.
    """
    scores = score_map(network, x)
    h, w = x.shape[-2:]
    if h * w > SMALL_PX:
        return scores
    size = round(h * CLOSER), round(w * CLOSER)
    enlarged = F.interpolate(x, size, mode="bicubic", align_corners=False).clamp(0, 1)
    closer = F.interpolate(score_map(network, enlarged), (h, w), mode="area")
    closer = closer / (closer + CLOSER_ODDS * (1 - closer))
    near = F.max_pool2d(scores, 2 * NEAR_PX + 1, 1, NEAR_PX) > SHOWS
    return torch.where(near, scores, torch.maximum(scores, closer))


def check_scores(scores: Scores) -> None:
    """Raises IrtrackError where scores (of any shape) are no numbers: no target would be found among them."""
    if np.isnan(scores.max()):
        raise IrtrackError(
            "the network's scores are no numbers: its weights are of no use (did the training diverge?), or half "
            "precision is too narrow for them: try --precision float32"
        )
