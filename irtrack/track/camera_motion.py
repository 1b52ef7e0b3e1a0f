"""How the scene moved since the last frame: by the picture, or by what is tracked."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from irtrack.config import TrackerSettings
from irtrack.core import Floats
from irtrack.imaging.motion import STILL
from irtrack.imaging.registration import Registration
from irtrack.track.bank import Bank
from irtrack.track.design import TrackerDesign
from irtrack.track.footage import Footage
from irtrack.track.look import Look
from irtrack.track.places import stuck
from irtrack.track.voting import CommonMotion


class CameraMotion(Protocol):
    """Tells how the scene moved."""

    def __call__(self, bank: Bank, look: Look, footage: Footage) -> Floats:
        """From where points of the scene lay in the last frame to where they lie now, (2, 3)."""
        ...


class PictureOrVotes:
    """By registration of the picture where there is one, else by the votes of the tracks.

    A detector that has registered the picture already is taken at its word.
    """

    def __init__(self, settings: TrackerSettings, design: TrackerDesign) -> None:
        self._settings, self._design = settings, design
        self._register, self._common = Registration(), CommonMotion()

    def __call__(self, bank: Bank, look: Look, footage: Footage) -> Floats:
        kind = self._settings.camera_motion
        if kind == "image" and look.image is not None:
            known = look.detections.motion
            return self._register(look.image) if known is None else known
        return STILL if kind == "off" else self._voted(bank, look, footage)

    def _voted(self, bank: Bank, look: Look, footage: Footage) -> Floats:
        """The common motion of what was tracked so far; what lies on the sensor has no part in it."""
        k = np.flatnonzero((bank.ripe | bank.fixed) & ~stuck(bank, self._design) & (bank.misses < 3))
        P = bank.P[k, :2, :2] + self._settings.measurement_sigma_px**2 * np.eye(2)
        return self._common(bank.x[k, :2], P, look.xy, max(len(look.xy), 1) / footage.area_px2)
