"""What the tracker learns of the footage: how its camera moved, what clutter there is, what targets look like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.imaging.motion import STILL
from irtrack.track.appearance import Appearance
from irtrack.track.assignment import Ints
from irtrack.track.bank import Bank
from irtrack.track.clutter import ClutterMap
from irtrack.track.design import TrackerDesign
from irtrack.track.look import Look


class Footage:
    """What is known of the footage by now.

    `scene` (2, 3): from the scene, as it lay in the first frame, to this frame. `clutter_px2`: detections that belong
    to no track, for each pixel of a frame. `extent` (2,): the farthest that detections were seen.
    """

    def __init__(self, design: TrackerDesign) -> None:
        self.scene = STILL
        self.clutter_px2 = 1e-5
        self.extent = np.array([64.0, 64.0])
        self.clutter = ClutterMap(design.visitors)
        self.appearance = Appearance(design.temper)

    @property
    def area_px2(self) -> float:
        """Of the frame, by what was seen of it."""
        return float(self.extent.prod())

    def carry(self, motion: Floats) -> None:
        """The scene moved on by `motion` (2, 3)."""
        turn = motion[:, :2]
        self.scene = np.column_stack([turn @ self.scene[:, :2], turn @ self.scene[:, 2] + motion[:, 2]])

    def learn_density(self, bank: Bank, rows: Ints, look: Look) -> None:
        """Density of detections outside established tracks, smoothed over seconds; the frame is what was seen of it."""
        if not len(look.xy):
            return
        self.extent = np.maximum(self.extent, look.xy.max(0))
        owned = np.count_nonzero((rows >= 0) & (bank.confirmed | bank.fixed))
        density = (len(look.xy) - owned + 0.1) / self.area_px2
        self.clutter_px2 += 0.05 * (density - self.clutter_px2)

    def learn_appearance(self, bank: Bank, hit: Ints, d: Ints, look: Look) -> None:
        """What targets look like, from the detections `d` of the tracks `hit`."""
        sure = bank.confirmed[hit]
        self.appearance.learn(look.appearance, bank.appearance[hit[sure]], look.appearance[d[sure]])

    def learn_failures(self, bank: Bank, failed: NDArray[np.bool_]) -> None:
        """Tracks that end without having been believed (N,)."""
        self.appearance.learn_clutter(bank.appearance[failed])
        self.clutter.failed(bank.x[failed, :2])
