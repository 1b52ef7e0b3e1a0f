"""Which detection belongs to which track."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from irtrack.config import TrackerSettings
from irtrack.track.assignment import Ints, assign, gated_pairs
from irtrack.track.bank import Bank
from irtrack.track.design import TrackerDesign
from irtrack.track.footage import Footage
from irtrack.track.jerks import Jerks
from irtrack.track.look import Look


class Association(Protocol):
    """Finds the detection of each track."""

    def __call__(self, bank: Bank, look: Look, footage: Footage) -> Ints:
        """Row of the detection of each predicted track (N,), or -1."""
        ...


class GatedAssignment:
    """Hungarian assignment within a Mahalanobis gate; established tracks and fixed places choose first."""

    def __init__(self, settings: TrackerSettings, design: TrackerDesign) -> None:
        self._gate = float(chi2.ppf(settings.gate_probability, 2))
        # Negative log-likelihoods start from that of the sharpest gate.
        self._lowest = float(np.log(settings.measurement_sigma_px**4))
        self._jerks = Jerks()

    def __call__(self, bank: Bank, look: Look, footage: Footage) -> Ints:
        rows = np.full(len(bank), -1, np.intp)
        free = np.ones(len(look.xy), bool)
        first = bank.confirmed | bank.fixed
        for stage in (first, ~first):
            tracks, found = self._assign(bank, look, footage, np.flatnonzero(stage), np.flatnonzero(free))
            rows[tracks] = found
            free[found] = False
        self._refind(bank, look, footage, rows, free)
        return rows

    def _assign(self, bank: Bank, look: Look, footage: Footage, tracks: Ints, found: Ints) -> tuple[Ints, Ints]:
        if not len(tracks) or not len(found):
            return tracks[:0], found[:0]
        x, P = bank.x[tracks, :2], bank.P[tracks, :2, :2]
        t, d, distance, size = gated_pairs(x, P, look.xy[found], look.variance[found], self._gate)
        # Negative log-likelihood up to a constant: a wide gate pays for its width, so it cannot steal from a sharp one.
        width = np.log(size)
        told = footage.appearance.evidence(bank.appearance[tracks[t]], look.appearance[found[d]])
        t, d = assign(t, d, distance + width - self._lowest - 2 * told, self._gate + 20.0)
        return tracks[t], found[d]

    def _refind(self, bank: Bank, look: Look, footage: Footage, rows: Ints, free: NDArray[np.bool_]) -> None:
        """After a jerk of the camera that no picture could tell: what looks like a confirmed track is that track.

        The whole state is carried to the detection, as the camera's motion would have.
        """
        b = bank
        tracks, found = np.flatnonzero((rows < 0) & b.confirmed), np.flatnonzero(free)
        self._jerks.next_frame()
        if not len(tracks) or not len(found):
            return
        alike = footage.appearance.against_clutter(b.appearance[tracks], look.appearance[found])
        for i, j in self._jerks.pairs(alike, b.x[tracks, :2], look.xy[found], footage.clutter_px2):
            track, detection = tracks[i], found[j]
            shift = look.xy[detection] - b.x[track, :2]
            for places in (b.x, b.xm):
                places[track, ..., :2] += shift
            b.anchor[track] += shift
            rows[track] = detection
