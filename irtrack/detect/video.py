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
        self.blocks = [m for m in network.modules() if isinstance(m, FastDATrans)]
        for block in self.blocks:
            block.keep = True
        self._size: tuple[int, ...] = ()
        self._thumbnail: Tensor | None = None
        self._frames = 0

    def __call__(self, x: Tensor) -> Tensor:
        if not self.begins_scene(x):
            self.renew_next()
        return self.network(x)

    def forget(self) -> None:
        """The next frame has nothing to do with the last one."""
        self._thumbnail, self._size = None, ()

    def begins_scene(self, x: Tensor) -> bool:
        """Whether the frame is the first of a scene or of a size; if so, every block makes its attention anew."""
        before, size = self._thumbnail, self._size
        self._thumbnail, self._size = F.adaptive_avg_pool2d(x, THUMBNAIL_PX), tuple(x.shape)
        if before is not None and size == self._size and not is_another_scene(before, self._thumbnail):
            return False
        for block in self.blocks:
            block.forget()
        self._frames = 0
        return True

    def renew_next(self) -> None:
        """Have the next block in turn make its attention anew of the whole frame that follows, if it is time."""
        self._frames += 1
        if self._frames % self.every == 0:
            self.blocks[self._frames // self.every % len(self.blocks)].forget()


def is_another_scene(before: Tensor, now: Tensor) -> bool:
    """Whether thumbnails (B, 1, h, w) of two frames differ by a jump, in any picture."""
    spread = now.flatten(1).std(1).clamp_min(LEAST)
    return bool(((now - before).abs().flatten(1).mean(1) > CHANGED * spread).any())
