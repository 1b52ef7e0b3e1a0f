"""From raw counts to the network's input: grey in [0, 1], as in training (8-bit / 255)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Image

LOW, HIGH = 0.1, 0.8
"""Where the robust span of a 16-bit frame lands; the rest is head-room for hot and cold targets."""

SMALLEST_SPAN_COUNTS = 64.0
"""A flatter frame than this is not stretched further: sensor noise must not look like a scene."""


def network_input(image: Image) -> NDArray[np.float32]:
    """(H, W) uint8 or uint16 -> (H, W) float32 in [0, 1].

    8-bit frames are divided by 255, nothing else, as the network was trained. 16-bit frames have their 1st to 99th
    percentile laid on LOW to HIGH, for each frame by itself.
    """
    if image.dtype == np.uint8:
        return np.multiply(image, np.float32(1 / 255), dtype=np.float32)
    step = max(1, int((image.size / 65536) ** 0.5))  # percentiles of a sub-sample: the same to a count, far cheaper
    low, high = np.percentile(image[::step, ::step], (1.0, 99.0))
    centre, span = (low + high) / 2, max(high - low, SMALLEST_SPAN_COUNTS)
    gain = (HIGH - LOW) / span
    scaled = (image.astype(np.float32) - np.float32(centre)) * np.float32(gain) + np.float32((LOW + HIGH) / 2)
    return np.clip(scaled, 0.0, 1.0, out=scaled)
