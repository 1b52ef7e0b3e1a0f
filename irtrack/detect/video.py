"""Video mode: consecutive frames look alike, so most of the attention of the frame before is used again.

Attention depends on sums over the whole frame, which change slowly. One DATrans block after the other makes its own
anew, one every `every` frames; the first frame, and one that differs too much from the one before, makes all of them.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from irtrack.detect.inference import FastDATrans
from irtrack.detect.network import DATransNet

THUMBNAIL_PX = 16
"""Side of the thumbnails by which scenes are compared."""

CHANGED = 0.25
"""Mean difference of thumbnails of successive frames, over their deviation, from which on it is another scene."""

LEAST = 0.005
"""Deviation of a thumbnail below which it counts as flat: a grey level and a bit, of 1."""


class VideoNetwork:
    """A prepared network on consecutive frames (B, 1, H, W) in [0, 1]; gives logits as the network does."""

    def __init__(self, network: DATransNet, every: int = 1) -> None:
        self.network, self.every = network, every
        self._blocks = [m for m in network.modules() if isinstance(m, FastDATrans)]
        for block in self._blocks:
            block.keep = True
        self._thumbnail: Tensor | None = None
        self._frames = 0

    def __call__(self, x: Tensor) -> Tensor:
        thumbnail = F.adaptive_avg_pool2d(x, THUMBNAIL_PX)
        if self._thumbnail is None or is_another_scene(self._thumbnail, thumbnail):
            for block in self._blocks:
                block.forget()
            self._frames = 0
        elif self._frames % self.every == 0:
            self._blocks[self._frames // self.every % len(self._blocks)].forget()
        self._thumbnail = thumbnail
        self._frames += 1
        return self.network(x)


def is_another_scene(before: Tensor, now: Tensor) -> bool:
    """Whether thumbnails (B, 1, h, w) are of another size or batch or differ by a jump, in any picture."""
    if before.shape != now.shape:
        return True
    spread = now.flatten(1).std(1).clamp_min(LEAST)
    return bool(((now - before).abs().flatten(1).mean(1) > CHANGED * spread).any())
