"""Which detections begin a track, and in what state."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from irtrack.config import TrackerSettings
from irtrack.track.assignment import Ints
from irtrack.track.bank import MODELS, Bank
from irtrack.track.belief import PARTS
from irtrack.track.design import TrackerDesign
from irtrack.track.footage import Footage
from irtrack.track.kalman import first_state
from irtrack.track.look import Look


class Initiation(Protocol):
    """Begins tracks."""

    def __call__(self, free: Ints, look: Look, footage: Footage) -> tuple[Ints, Bank]:
        """Of the detections `free`, which no track has, those that begin one, and their tracks.

        Identities and trails are given by the tracker.
        """
        ...


class EveryDetection:
    """Each detection that no track has may be a target's first one."""

    def __init__(self, settings: TrackerSettings, design: TrackerDesign) -> None:
        self._settings = settings

    def __call__(self, free: Ints, look: Look, footage: Footage) -> tuple[Ints, Bank]:
        n, xy = len(free), look.xy[free]
        x, P = first_state(xy, self._settings.measurement_sigma_px, self._settings.speed_sigma_px_s)
        zero = np.zeros(n)
        return free, Bank(
            n,
            x=x,
            P=P,
            xm=np.repeat(x[:, None], MODELS, 1),
            Pm=np.repeat(P[:, None], MODELS, 1),
            mu=np.full((n, MODELS), 1 / MODELS),
            hits=np.ones(n, np.uint64),
            frames=np.ones(n, np.int64),
            born_s=np.full(n, look.time_s),
            seen_s=np.full(n, look.time_s),
            anchor=xy,
            sensor=xy,
            last=look.last[free],
            sums=np.column_stack([np.ones(n), look.appearance[free], zero, look.around[free], zero]),
            change=look.change[free],
            appearance=look.appearance[free],
            known=np.full((n, len(PARTS)), np.nan),
            belief=np.full(n, np.nan),
        )
