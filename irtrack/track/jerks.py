"""Jerks of the camera that no picture can tell, as when it re-centres on its target over a featureless sky."""

from __future__ import annotations

import numpy as np

from irtrack.core import Floats

FARTHEST, LEAST_NATS = 0.5, 1.0
"""Farthest that a jerk carries a target, as a share of the frame's diagonal, and how sure it must be that it did."""

NEAREST_PX = 20.0
"""What is nearer than this is hardly a jerk."""

LATE_FRAMES = 2
"""Frames after a jerk in which it may still be seen: a target at the picture's edge looks like itself only later."""

PRIOR, PRIOR_FRAMES, MEMORY = 0.003, 200.0, 0.998
"""Chance of a jerk in a frame, the frames that this is worth, and how frames before fade."""


class Jerks:
    """How often there are jerks, and which detections show one."""

    def __init__(self) -> None:
        self._jerks = self._frames = 0.0

    def next_frame(self) -> None:
        """Frames before fade."""
        self._jerks *= MEMORY
        self._frames = MEMORY * self._frames + 1

    def pairs(
        self, alike: Floats, places: Floats, found: Floats, clutter_px2: float, extent: Floats
    ) -> list[tuple[int, int]]:
        """Tracks and detections of this frame that a jerk has parted, the surest first.

        `alike` (T, N): log-likelihood ratio of appearance, tracks at `places` (T, 2) to detections at `found` (N, 2),
        against clutter, of which there is `clutter_px2` on each pixel; -inf where they cannot be one. A jerk goes in
        any direction, and as likely far as near, up to R, which follows from the frame's `extent` (2,): a pair at a
        distance r is worth P(jerk) / (2 pi r R) times that ratio, against the density of clutter.
        """
        farthest = FARTHEST * float(np.hypot(*extent))
        chance = (self._jerks + PRIOR_FRAMES * PRIOR) / (self._frames + PRIOR_FRAMES)
        away = np.linalg.norm(found - places[:, None], axis=2)
        worth = alike + np.log(chance / (2 * np.pi * np.maximum(away, NEAREST_PX) * farthest * clutter_px2))
        worth[away > farthest] = -np.inf
        out: list[tuple[int, int]] = []
        while worth.max() > LEAST_NATS:
            i, j = (int(k) for k in np.unravel_index(int(worth.argmax()), worth.shape))
            out.append((i, j))
            worth[i], worth[:, j] = -np.inf, -np.inf
        self._jerks += len(out)
        return out
