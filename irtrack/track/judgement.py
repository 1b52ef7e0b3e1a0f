"""Which tracks are believed to be targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from irtrack.config import TrackerSettings
from irtrack.core import Floats
from irtrack.track.bank import Bank
from irtrack.track.belief import TABLES, beliefs, quantities
from irtrack.track.design import TrackerDesign
from irtrack.track.footage import Footage
from irtrack.track.look import Look

Reasons = Callable[[Floats], Mapping[str, Mapping[str, float]]]


class Judgement(Protocol):
    """Weighs the evidence for each track."""

    def __call__(self, bank: Bank, look: Look, footage: Footage) -> None:
        """Write `known`, `belief` and `confirmed` of each track, after its detections of this frame were taken in."""
        ...

    def above(self, bank: Bank) -> Floats:
        """The belief in each track above what is asked, in nats (N,); NaN where nobody weighed it."""
        ...

    def reasons(self) -> Reasons:
        """What tells, of the `known` of a track of this frame, what its belief consists of, as in `core.Track.why`."""
        ...


class LearnedBelief:
    """By learned tables (`belief.py`), the one for what detections come with."""

    def __init__(self, settings: TrackerSettings, design: TrackerDesign) -> None:
        self._tables = [beliefs(settings.beliefs, name) for name in TABLES]
        self._limits = [table.threshold(settings.caution) for table in self._tables]
        self._retreat_nats = design.retreat_nats
        self._which = 0

    def __call__(self, bank: Bank, look: Look, footage: Footage) -> None:
        told = look.detections.change is not None
        self._which = TABLES.index("bare" if look.image is None else "temporal" if told else "picture")
        bank.known = quantities(bank, look.time_s, footage.clutter.failures(bank.x[:, :2]))
        bank.belief = self._tables[self._which](bank.known)
        limit = self._limits[self._which]
        bank.confirmed = bank.belief >= np.where(bank.confirmed, limit - self._retreat_nats, limit)

    def above(self, bank: Bank) -> Floats:
        return bank.belief - self._limits[self._which]

    def reasons(self) -> Reasons:
        return self._tables[self._which].reasons
