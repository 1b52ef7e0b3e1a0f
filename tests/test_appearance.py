"""Score, brightness and size as evidence, and positions that are as sure as their detections are bright."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from irtrack.core import Detections, Floats
from irtrack.track.appearance import MOST_NATS, Appearance, appearance_of, followed
from irtrack.track.design import TrackerDesign
from irtrack.track.look import blur
from irtrack.track.tracker import KalmanTracker


def detections(xy: Floats, snr: Floats, area: Floats | None = None) -> Detections:
    n = len(xy)
    box = np.column_stack([xy - 1.5, np.full((n, 2), 3.0)])
    return Detections(xy, np.ones(n), np.full(n, 9.0) if area is None else area, box, snr)


def exchanged(seed: int, temper: float = 0.5) -> bool:
    """Whether two targets of SNR 5 and 15 that meet, fly side by side and part again end with exchanged identities."""
    rng, tracker = np.random.default_rng(seed), KalmanTracker(design=replace(TrackerDesign(), temper=temper))
    first: dict[int, int] = {}
    for i in range(120):
        t = i / 30
        away = 40 * np.clip(abs(t - 2) - 0.4, 0, None)
        xy = np.array([[60 + 60 * t, 100 - away], [60 + 60 * t, 100 + away]]) + rng.normal(0, 0.8, (2, 2))
        order = rng.permutation(2)
        snr = np.array([5.0, 15.0]) * np.exp(rng.normal(0, 0.15, 2))
        tracks = tracker(detections(xy[order], snr[order]), t)
        owner = {int(order[k.detection]): k.id for k in tracks if k.detection is not None and k.confirmed}
        if i == 30:
            first = owner
    return any(owner.get(k, first[k]) != first[k] for k in first)


def test_brightness_tells_targets_apart() -> None:
    with_looks = sum(exchanged(s) for s in range(24))
    without = sum(exchanged(s, temper=0.0) for s in range(24))
    assert without >= 6
    assert with_looks <= without / 2


def test_what_is_unknown_or_tells_nothing_counts_for_nothing() -> None:
    rng, looks = np.random.default_rng(1), Appearance(TrackerDesign().temper)
    n = 40
    for _ in range(10):
        unknown = appearance_of(detections(np.zeros((n, 2)), np.full(n, np.nan), np.exp(rng.normal(2, 0.5, n))))
        looks.learn(unknown, unknown, unknown[rng.permutation(n)])  # areas at random: the same target's differ as much
    told = looks.evidence(unknown[:20], unknown[20:])
    assert np.isfinite(told).all()
    assert np.abs(told).max() < 0.7


def test_evidence_is_a_bounded_likelihood_ratio() -> None:
    rng, looks = np.random.default_rng(2), Appearance(TrackerDesign().temper)
    means = rng.normal(2, 0.8, 30)
    assert not looks.evidence(np.zeros((4, 3)), np.ones((4, 3))).any()
    for _ in range(20):
        found = appearance_of(detections(np.zeros((30, 2)), np.exp(means + rng.normal(0, 0.1, 30))))
        own = found.copy()
        own[:, 1] = means
        looks.learn(found, own, found)
    same, other = looks.evidence(own, found), looks.evidence(own, np.roll(found, 15, 0))
    assert same.mean() > 0.5
    assert other.mean() < -0.5
    assert max(np.abs(same).max(), np.abs(other).max()) <= MOST_NATS


def test_a_look_follows_and_survives_gaps() -> None:
    own = followed(np.array([[1.0, np.nan, 2.0]]), np.array([[3.0, 1.5, np.nan]]), np.array([2.0]))
    assert own.tolist() == [[2.0, 1.5, 2.0]]


def test_bright_detections_are_surer() -> None:
    known = blur(np.array([8.0, np.nan, 16.0, 4.0, 0.0, 1e9]), TrackerDesign())
    assert known == pytest.approx([1, 1, 0.36, 4, 4, 0.36])
    error: dict[str, float] = {}
    alike = replace(TrackerDesign(), blur_low=1.0, blur_high=1.0)
    for name, design in {"by brightness": TrackerDesign(), "all alike": alike}.items():
        rng, squared = np.random.default_rng(3), []
        tracker = KalmanTracker(design=design)
        for i in range(300):
            snr = np.array([4.0 if i % 2 else 16.0])
            true = np.array([[20 + 1.0 * i, 50 + 0.5 * i]])
            tracks = tracker(detections(true + rng.normal(0, 5.6 / snr, (1, 2)), snr), i / 30)
            track = min(tracks, key=lambda t: t.id)
            squared.append(((track.xy_px - true) ** 2).sum())
        error[name] = float(np.mean(squared[30:]))
    assert error["by brightness"] < 0.8 * error["all alike"]


def jump(x: float, y: float, snr: float, tracker: KalmanTracker, start: int) -> set[int]:
    """Identities of a target that flies at 30 px/s from (x, y) for forty frames, from frame `start` on."""
    rng, ids = np.random.default_rng(start), set()
    for i in range(start, start + 40):
        xy = np.array([[x + i - start, y]]) + rng.normal(0, 0.2, (1, 2))
        found = detections(xy, snr * np.exp(rng.normal(0, 0.05, 1)))
        ids |= {t.id for t in tracker(found, i / 30) if t.confirmed and t.detection is not None}
    return ids


def over_a_wide_sky() -> KalmanTracker:
    """A tracker that has had detections all over a picture."""
    tracker, rng = KalmanTracker(), np.random.default_rng(0)
    for i in range(60):
        tracker(detections(rng.uniform(0, (640, 512), (1, 2)), np.array([3.0])), i / 30)
    return tracker


def test_what_looks_the_same_after_a_jerk_is_the_same() -> None:
    """A camera that re-centres over a featureless sky, again and again: no picture can tell how far."""
    tracker = over_a_wide_sky()
    ids: set[int] = set()
    for k, (x, y) in enumerate(((40.0, 60.0), (150.0, 160.0), (60.0, 40.0), (200.0, 120.0))):
        ids |= jump(x, y, 20.0, tracker, 60 + 40 * k)
    assert len(ids) == 1


def test_what_looks_otherwise_after_a_jerk_is_another() -> None:
    """A bright target has left, and something faint appears elsewhere in the same moment."""
    tracker = over_a_wide_sky()
    before = jump(40.0, 60.0, 25.0, tracker, 60)
    after = jump(150.0, 160.0, 2.6, tracker, 100)
    assert len(before) == 1
    assert not before & after


def test_a_jerk_may_go_half_across_the_picture() -> None:
    tracker = over_a_wide_sky()
    ids: set[int] = set()
    for k, x in enumerate((40.0, 80.0, 420.0)):  # the sky is clear for a while
        ids |= jump(x, 60.0, 20.0, tracker, 60 + 40 * k)
    assert len(ids) == 1


def test_a_target_that_comes_back_at_the_edge_is_known_a_frame_later() -> None:
    """At first a part of it is in the picture, which looks like nothing known; its motion is the new one's then."""
    tracker = over_a_wide_sky()
    before = jump(400.0, 60.0, 20.0, tracker, 60) | jump(440.0, 60.0, 20.0, tracker, 100)
    edge = tracker(detections(np.array([[636.0, 100.0]]), np.array([2.6])), 140 / 30)
    assert not {t.id for t in edge if t.detection is not None} & before
    rng, ids, off = np.random.default_rng(3), set(), []
    for i in range(141, 180):
        xy = np.array([[636.0 - 2 * (i - 140), 100.0]])
        tracks = tracker(detections(xy + rng.normal(0, 0.2, (1, 2)), np.array([20.0])), i / 30)
        found = [t for t in tracks if t.confirmed and t.detection is not None]
        ids |= {t.id for t in found}
        off += [np.linalg.norm(t.xy_px - xy[0]) for t in found]
    assert ids == before
    assert len(off) >= 37
    assert max(off) < 1.5


def test_what_was_seen_beside_a_target_is_another() -> None:
    """A second target appears, alike and near, a frame before the first is lost."""
    tracker = over_a_wide_sky()
    before = jump(40.0, 60.0, 20.0, tracker, 60)
    both = np.array([[80.0, 60.0], [200.0, 120.0]])
    tracker(detections(both, np.array([20.0, 20.0])), 100 / 30)
    assert not before & jump(201.0, 120.0, 20.0, tracker, 101)


def test_what_is_too_far_after_a_jerk_is_another() -> None:
    tracker = over_a_wide_sky()
    before = jump(40.0, 60.0, 20.0, tracker, 60)
    after = jump(600.0, 60.0, 20.0, tracker, 100)
    assert not before & after
