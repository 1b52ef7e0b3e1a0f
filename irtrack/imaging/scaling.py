"""From raw counts to the network's input: grey in [0, 1], as in training (8-bit / 255)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Image
from irtrack.imaging.symbols import without_strokes

LOW, HIGH = 0.1, 0.8
"""Where the robust span of a 16-bit frame lands; the rest is head-room for hot and cold targets."""

SMALLEST_SPAN_COUNTS = 64.0
"""A flatter frame than this is not stretched further: sensor noise must not look like a scene."""

FOLLOW = 0.2
"""Share of the way to a new frame's levels that the levels go: percentiles of noise must not flicker."""

JUMP = 0.25
"""Of the span: levels that moved by more are those of another scene, and taken at once."""

Levels = tuple[float, float]


def robust_levels(image: Image) -> Levels:
    """1st and 99th percentile in counts."""
    step = max(1, int((image.size / 65536) ** 0.5))  # of a sub-sample: the same to a count, far cheaper
    low, high = np.percentile(image[::step, ::step], (1.0, 99.0))
    return float(low), float(high)


def network_input(image: Image, levels: Levels | None = None) -> NDArray[np.float32]:
    """(H, W) uint8 or uint16 -> (H, W) float32 in [0, 1].

    8-bit frames are divided by 255, as the network was trained, less burnt-in sights. 16-bit frames have `levels`, or
    else their own 1st and 99th percentile, laid on LOW and HIGH.
    """
    if image.dtype == np.uint8:
        return np.multiply(without_strokes(image), np.float32(1 / 255), dtype=np.float32)
    low, high = levels or robust_levels(image)
    centre, span = (low + high) / 2, max(high - low, SMALLEST_SPAN_COUNTS)
    gain = (HIGH - LOW) / span
    scaled = (image.astype(np.float32) - np.float32(centre)) * np.float32(gain) + np.float32((LOW + HIGH) / 2)
    return np.clip(scaled, 0.0, 1.0, out=scaled)


class Scaling:
    """`network_input` of consecutive frames: levels follow the frames smoothly, or are fixed."""

    def __init__(self, fixed: Levels | None = None) -> None:
        self._fixed, self._levels = fixed, fixed

    def __call__(self, image: Image) -> NDArray[np.float32]:
        return network_input(image, self.follow(image))

    def follow(self, image: Image) -> Levels | None:
        """The levels for a frame, which is taken in; None for 8 bits, which need none."""
        if image.dtype == np.uint8:
            return None
        if self._fixed is None:
            self._levels = followed(self._levels, robust_levels(image))
        return self._levels


def followed(levels: Levels | None, new: Levels) -> Levels:
    """Levels after a frame with these of its own."""
    if levels is None:
        return new
    span = max(levels[1] - levels[0], new[1] - new[0], SMALLEST_SPAN_COUNTS)
    if max(abs(a - b) for a, b in zip(levels, new, strict=True)) > JUMP * span:
        return new
    low, high = (a + FOLLOW * (b - a) for a, b in zip(levels, new, strict=True))
    return low, high
