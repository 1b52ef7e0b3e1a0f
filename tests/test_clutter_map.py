"""Places that detections come back to."""

from __future__ import annotations

import numpy as np
import pytest

from irtrack.config import TrackerSettings
from irtrack.core import Detections, Floats
from irtrack.track.clutter import CELL_PX, FAILURE_MEMORY_S, MEMORY_S, SIDE, Failures, Visits
from irtrack.track.design import TrackerDesign
from irtrack.track.tracker import KalmanTracker

FRAME_CELLS = 640 * 512 / CELL_PX**2


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_others_count_oneself_does_not() -> None:
    visits, place = Visits(TrackerDesign().visitors), np.array([[100.0, 50.0]])
    for _ in range(30):  # one track that stays
        visits.note(place, ids(1))
    assert visits.others(place, ids(1)) == 0
    assert visits.others(place, ids(2)) == 1
    for visitor in (2, 3, 4):
        visits.note(place + 3, ids(visitor))  # in the next cell, as likely as not
    assert visits.suspect(place, ids(9), FRAME_CELLS)
    assert not visits.suspect(place + 20, ids(9), FRAME_CELLS)


def test_visits_fade() -> None:
    visits, place = Visits(TrackerDesign().visitors), np.array([[10.0, 10.0]])
    for visitor in range(8):
        visits.note(place, ids(visitor))
    visits.fade(MEMORY_S)
    assert visits.others(place, ids(99))[0] == pytest.approx(8 / np.e)
    visits.fade(20 * MEMORY_S)  # past the change of units too
    assert visits.others(place, ids(99))[0] == pytest.approx(8 * np.exp(-21), rel=1e-6)


def test_even_clutter_makes_no_place_suspect() -> None:
    rng, visits = np.random.default_rng(0), Visits(TrackerDesign().visitors)
    places = rng.uniform(0, [640, 512], (40_000, 2))
    visits.note(places, np.arange(40_000))
    asked = rng.uniform(20, 480, (500, 2))
    assert visits.others(asked, np.full(500, -5)).mean() > 8
    assert visits.suspect(asked, np.full(500, -5), FRAME_CELLS).mean() < 0.01


def test_places_beyond_the_grid_are_kept() -> None:
    visits, far = Visits(TrackerDesign().visitors), np.array([[-700.0, 3 * SIDE * CELL_PX + 8]])
    visits.note(far, ids(1))
    assert visits.others(far, ids(2)) == 1


def test_failures_are_counted_by_region_and_fade() -> None:
    failures, place = Failures(), np.array([[100.0, 50.0], [300.0, 200.0]])
    failures.note(np.repeat(place[:1], 5, 0))
    assert failures.near(place).tolist() == [5.0, 0.0]
    assert failures.near(place + 16).tolist() == [5.0, 0.0]
    failures.fade(FAILURE_MEMORY_S)
    assert failures.near(place)[0] == pytest.approx(5 / np.e)


def detections(xy: Floats) -> Detections:
    n = len(xy)
    return Detections(xy, np.ones(n), np.full(n, 4.0), np.column_stack([xy - 1, np.full((n, 2), 2.0)]), np.full(n, 9.0))


def test_hopping_between_specks_is_no_track_and_a_target_among_them_is() -> None:
    """Forty specks fixed on the sensor, each there in one frame of five, and one target that crosses them."""
    rng = np.random.default_rng(5)
    specks = rng.uniform([100, 100], [220, 220], (40, 2))
    tracker = KalmanTracker(TrackerSettings(camera_motion="off"))
    false, found = set(), 0
    for i in range(600):
        there = specks[rng.random(40) < 0.2] + rng.normal(0, 0.3, (1, 2))
        target = np.array([[20 + 1.2 * i, 160.0]]) if 300 <= i < 480 else np.zeros((0, 2))
        tracks = tracker(detections(np.concatenate([there, target])), i / 30)
        for t in tracks:
            if t.confirmed and i >= 60:
                if len(target) and np.linalg.norm(t.xy_px - target[0]) < 4:
                    found += 1
                else:
                    false.add(t.id)
    assert found > 150
    assert len(false) <= 4
