"""Parts of the tracker can be exchanged, and its constants changed, without touching it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from irtrack.config import TrackerSettings
from irtrack.core import ConfigError, Detections, Floats
from irtrack.track.assignment import Ints
from irtrack.track.bank import Bank
from irtrack.track.design import TrackerDesign
from irtrack.track.footage import Footage
from irtrack.track.initiation import EveryDetection
from irtrack.track.judgement import LearnedBelief, Reasons
from irtrack.track.look import Look
from irtrack.track.tracker import KalmanTracker, Parts


class Nearest:
    """Each track takes the nearest detection within 30 px that none before it took."""

    def __init__(self, settings: TrackerSettings, design: TrackerDesign) -> None:
        pass

    def __call__(self, bank: Bank, look: Look, footage: Footage) -> Ints:
        rows = np.full(len(bank), -1, np.intp)
        away = cdist(bank.x[:, :2], look.xy)
        for i in range(len(bank)):
            if away.shape[1] and away[i].min() < 30:
                rows[i] = away[i].argmin()
                away[:, rows[i]] = np.inf
        return rows


class Counted:
    """Believed after five detections."""

    def __init__(self, settings: TrackerSettings, design: TrackerDesign) -> None:
        pass

    def __call__(self, bank: Bank, look: Look, footage: Footage) -> None:
        bank.belief = bank.sums[:, 0] - 5.0
        bank.confirmed = bank.belief >= 0

    def above(self, bank: Bank) -> Floats:
        return bank.belief

    def reasons(self) -> Reasons:
        return lambda known: {"counted": {}}


class OnTheLeft(EveryDetection):
    """Nothing begins on the right."""

    def __call__(self, free: Ints, look: Look, footage: Footage) -> tuple[Ints, Bank]:
        return super().__call__(free[look.xy[free, 0] < 100], look, footage)


class Pans:
    """A camera that is known to pan by 5 px a frame."""

    def __init__(self, settings: TrackerSettings, design: TrackerDesign) -> None:
        pass

    def __call__(self, bank: Bank, look: Look, footage: Footage) -> Floats:
        return np.array([[1.0, 0, -5 if look.dt_s else 0], [0, 1, 0]])


def test_judgement_and_initiation_of_others() -> None:
    tracker = KalmanTracker(parts=Parts(judgement=Counted, initiation=OnTheLeft))
    confirmed = []
    for i in range(9):
        tracks = tracker(Detections.at([(50.0 + i, 50.0), (300.0 + i, 50.0)]), i / 30)
        confirmed.append(int(tracks.confirmed.sum()))
        assert len(tracks) == 1
        assert tracks[0].xy_px == pytest.approx((50 + i, 50), abs=1.0)
    assert confirmed == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert tracks[0].belief == 4
    assert tracks[0].why() == {"counted": {}}


def test_association_of_others() -> None:
    """A jump beyond the gate ends a track by assignment in gates, and not by the nearest detection."""
    tracks = {}
    for name, parts in {"gate": Parts(), "nearest": Parts(association=Nearest)}.items():
        tracker = KalmanTracker(parts=parts)
        for i in range(12):
            found = tracker(Detections.at([(50.0 + 25 * (i >= 10), 50.0)]), i / 30)
        tracks[name] = found.id.tolist()
    assert tracks["nearest"] == [1]
    assert len(tracks["gate"]) == 2


def test_camera_motion_of_others() -> None:
    tracker = KalmanTracker(parts=Parts(camera_motion=Pans))
    for i in range(10):
        tracks = tracker(Detections.at([(200.0 - 5 * i, 50.0)]), i / 30)
    assert tracks.scene[0, 2] == -45
    assert np.abs(tracks.velocity_px_s).max() < 20  # it stands still in the scene


def test_parts_begin_anew_after_a_reset() -> None:
    made = []

    class Noted(LearnedBelief):
        def __init__(self, settings: TrackerSettings, design: TrackerDesign) -> None:
            super().__init__(settings, design)
            made.append(settings.caution)

    tracker = KalmanTracker(TrackerSettings(caution=7.0), parts=Parts(judgement=Noted))
    tracker.reset()
    assert made == [7.0, 7.0]


def test_constants_have_documents_and_ranges() -> None:
    for each in fields(TrackerDesign):
        assert each.metadata["doc"]
        assert each.metadata["low"] is not None
    with pytest.raises(ConfigError, match=r"ripe_hits = 0 is out of range"):
        replace(TrackerDesign(), ripe_hits=0)


def test_a_constant_does_what_it_says() -> None:
    """Of two targets nothing is seen for 0.6 s: the shutter, or where none is so long, targets that are gone."""
    kept = {}
    for outage_s in (1.0, 0.0):
        design = replace(TrackerDesign(), outage_s=outage_s)
        tracker = KalmanTracker(TrackerSettings(caution=1e9, camera_motion="off", coast_s=0.3), design)
        for i in range(50):
            seen = [(50.0 + i, 50.0), (50.0 + i, 120.0)] if not 30 <= i < 48 else []
            tracks = tracker(Detections.at(seen), i / 30)
        kept[outage_s] = tracks.id.tolist()
    assert kept[1.0] == [1, 2]
    assert not {1, 2} & set(kept[0.0])
