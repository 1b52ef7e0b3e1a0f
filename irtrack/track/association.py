"""Which detection belongs to which track."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from irtrack.config import TrackerSettings
from irtrack.track.assignment import Ints, assign, gated_pairs
from irtrack.track.bank import Bank
from irtrack.track.design import TrackerDesign
from irtrack.track.footage import Footage
from irtrack.track.jerks import LATE_FRAMES, Jerks
from irtrack.track.kalman import gate_of
from irtrack.track.look import Look


class Association(Protocol):
    """Finds the detection of each track."""

    def __call__(self, bank: Bank, look: Look, footage: Footage) -> Ints:
        """Row of the detection of each predicted track (N,), or -1; tracks that turn out to be another's are let go."""
        ...


class GatedAssignment:
    """Hungarian assignment within a Mahalanobis gate; established tracks and fixed places choose first."""

    def __init__(self, settings: TrackerSettings, design: TrackerDesign) -> None:
        self._gate = gate_of(settings.gate_probability)
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
        return self._refind(bank, look, footage, rows, free)

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

    def _refind(self, bank: Bank, look: Look, footage: Footage, rows: Ints, free: NDArray[np.bool_]) -> Ints:
        """After a jerk of the camera that no picture could tell: what looks like a confirmed track is that track.

        Its state is carried to the detection, as the camera's motion would have. A track that began since it was lost
        may be that one, too: then that track's motion is its own from then on. Returns the rows of the tracks left.
        """
        b = bank
        self._jerks.next_frame()
        tracks = np.flatnonzero((rows < 0) & b.confirmed)
        late = np.flatnonzero((rows >= 0) & ~b.confirmed & ~b.fixed & (b.frames <= LATE_FRAMES))
        unclaimed = np.flatnonzero(free)
        found = np.concatenate([unclaimed, rows[late]])
        if not len(tracks) or not len(found):
            return rows
        alike = footage.appearance.against_clutter(b.appearance[tracks], look.appearance[found])
        there = np.concatenate([np.zeros(len(unclaimed), np.int64), b.frames[late]])
        alike[b.misses[tracks][:, None] < there] = -np.inf  # they were seen side by side
        left = np.ones(len(b), bool)
        for i, j in self._jerks.pairs(alike, b.x[tracks, :2], look.xy[found], footage.clutter_px2, footage.extent):
            track = tracks[i]
            rows[track] = found[j]
            before = b.x[track, :2].copy()
            if j < len(unclaimed):
                b.x[track, :2] = look.xy[found[j]]
                b.xm[track, :, :2] += b.x[track, :2] - before
            else:
                other = late[j - len(unclaimed)]
                left[other] = False
                for state in (b.x, b.P, b.xm, b.Pm, b.mu):
                    state[track] = state[other]
            b.anchor[track] += b.x[track, :2] - before
        if not left.all():
            bank.keep(left)
        return rows[left]
