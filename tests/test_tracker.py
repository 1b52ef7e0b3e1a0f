"""The filter against filterpy, the assignment against brute force, the life cycle against its rules."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from filterpy.kalman import IMMEstimator, KalmanFilter
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2

from irtrack.config import TrackerSettings
from irtrack.core import Detections, TrackStatus
from irtrack.simulate import Scene, scene_from_text
from irtrack.track.assignment import assign, gated_pairs
from irtrack.track.imm import combined, predict_models, switching, update_models
from irtrack.track.kalman import gate_of, mahalanobis_squared, predict, transition, update
from irtrack.track.tracker import KalmanTracker
from irtrack.track.trail import Trails


def at(*points: tuple[float, float]) -> Detections:
    n = len(points)
    box = np.array([(x - 1, y - 1, 2, 2) for x, y in points], float).reshape(n, 4)
    return Detections(np.array(points, float).reshape(n, 2), np.ones(n), np.full(n, 4.0), box, np.full(n, 9.0))


def test_filter_equals_filterpy(rng: np.random.Generator) -> None:
    x, P = rng.normal(0, 10, (5, 4)), np.stack([np.diag(rng.uniform(0.5, 9, 4)) for _ in range(5)])
    R = np.broadcast_to(np.eye(2) * 0.5, (5, 2, 2))
    oracles = []
    for i in range(5):
        k = KalmanFilter(dim_x=4, dim_z=2)
        k.x, k.P, k.R = x[i][:, None].copy(), P[i].copy(), R[i].copy()
        k.H = np.eye(2, 4)
        oracles.append(k)
    for _ in range(40):
        dt = float(rng.uniform(0.01, 0.2))
        z = rng.normal(0, 10, (5, 2))
        F, Q = transition(dt, 30.0)
        x, P = predict(x, P, dt, 30.0)
        x, P = update(x, P, z, R)
        for i, k in enumerate(oracles):
            k.predict(F=F, Q=Q)
            k.update(z[i][:, None])
            assert np.allclose(x[i], k.x[:, 0], atol=1e-9, rtol=1e-9)
            assert np.allclose(P[i], k.P, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("dt", [1e-3, 1 / 30, 2.5])
def test_process_noise_is_that_of_a_piecewise_constant_acceleration(dt: float) -> None:
    """Place and velocity after a step at a constant acceleration: their products, for its variance."""
    Q = transition(dt, 7.0)[1]
    gain = np.array([dt**2 / 2, dt])
    one_axis = np.outer(gain, gain) * 7.0**2
    np.testing.assert_allclose(Q[::2, ::2], one_axis, rtol=1e-12)
    np.testing.assert_allclose(Q[1::2, 1::2], one_axis, rtol=1e-12)
    assert not Q[::2, 1::2].any()
    assert not Q[1::2, ::2].any()


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.999, 0.999999])  # from the least to the most of the setting
def test_the_gate_is_the_quantile_of_chi_square(probability: float) -> None:
    assert gate_of(probability) == pytest.approx(chi2.ppf(probability, 2), rel=1e-12)


def test_mahalanobis(rng: np.random.Generator) -> None:
    A = rng.normal(size=(6, 2, 2))
    S = A @ A.transpose(0, 2, 1) + np.eye(2)
    d = rng.normal(size=(6, 2))
    expected = [v @ np.linalg.inv(s) @ v for v, s in zip(d, S, strict=True)]
    assert np.allclose(mahalanobis_squared(d, S), expected)


def test_gate_finds_every_pair_inside_and_none_outside(rng: np.random.Generator) -> None:
    A = rng.normal(size=(30, 2, 2)) * 2
    P, R = A @ A.transpose(0, 2, 1), rng.uniform(0.1, 3.0, 50)
    tracks, found = rng.uniform(0, 40, (30, 2)), rng.uniform(0, 40, (50, 2))
    t, d, distance, size = gated_pairs(tracks, P, found, R, 9.0)
    S = P[:, None] + np.eye(2) * R[:, None, None]
    every = {(i, j): far for i in range(30) for j in range(50)
             if (far := (found[j] - tracks[i]) @ np.linalg.inv(S[i, j]) @ (found[j] - tracks[i])) <= 9.0}  # fmt: skip
    pairs = list(zip(t.tolist(), d.tolist(), strict=True))
    assert set(pairs) == set(every)
    assert distance == pytest.approx([every[p] for p in pairs])
    assert size == pytest.approx(np.linalg.det(S[t, d]))


def test_assignment_is_optimal(rng: np.random.Generator) -> None:
    """Against every permutation, on problems small enough; being alone costs the limit."""
    for _ in range(60):
        n, m, limit = int(rng.integers(1, 5)), int(rng.integers(1, 5)), 5.0
        cost = rng.uniform(0, 8, (n, m))
        t, d = np.nonzero(cost < 7)
        rows, cols = assign(t, d, cost[t, d], limit)
        total = cost[rows, cols].sum() + limit * (n - len(rows))
        padded = np.concatenate([np.where(cost < 7, np.minimum(cost, limit), limit), np.full((n, n), limit)], 1)
        best = min(sum(padded[i, p[i]] for i in range(n)) for p in permutations(range(m + n), n))
        assert total == pytest.approx(best)
        assert len(set(rows.tolist())) == len(rows) == len(set(cols.tolist()))


def test_confirmed_on_evidence_and_deleted_after_coasting() -> None:
    tracker = KalmanTracker(TrackerSettings(coast_s=0.3))
    states = [tracker(at((10 + 2 * i, 20)), i / 30)[0].status for i in range(20)]
    assert states[:3] == [TrackStatus.TENTATIVE] * 3
    assert states[-5:] == [TrackStatus.CONFIRMED] * 5
    assert states == sorted(states, key=[TrackStatus.TENTATIVE, TrackStatus.CONFIRMED].index)
    coasting = [tracker(at(), (20 + i) / 30) for i in range(12)]
    lived = [len(t) for t in coasting]
    assert lived == [1] * 8 + [0] * 4 or lived == [1] * 9 + [0] * 3  # 0.3 s is nine frames, by a rounding error or not
    assert coasting[0][0].status is TrackStatus.COASTING
    assert coasting[0][0].detection is None
    assert coasting[3][0].xy_px[0] == pytest.approx(56, abs=0.5)  # coasts along its velocity
    assert coasting[3][0].covariance[0, 0] > coasting[0][0].covariance[0, 0]
    again = tracker(at((50, 50)), 2.0)
    assert again[0].id == 2


def test_clutter_is_not_confirmed() -> None:
    tracker = KalmanTracker(TrackerSettings())
    for i in range(30):
        tracks = tracker(at((100.0 * (i % 5), 80.0)) if i % 2 else at(), i / 30)
        assert not any(t.confirmed for t in tracks)


def test_true_time_steps_are_used() -> None:
    """Irregular times and steady motion: the velocity comes out right and the identity stays."""
    tracker, rng = KalmanTracker(), np.random.default_rng(1)
    t, ids = 0.0, set()
    for _ in range(60):
        t += float(rng.uniform(0.005, 0.08))
        tracks = tracker(at((40 * t, 10 + 15 * t)), t)
        ids |= {k.id for k in tracks}
    assert ids == {1}
    assert tracks[0].velocity_px_s == pytest.approx([40, 15], abs=1.5)


def test_crossing_targets_keep_identities() -> None:
    scene = Scene(scene_from_text("crossing,seed=3,frames=150"))
    tracker, owner, switches = KalmanTracker(), {}, 0
    rng = np.random.default_rng(0)
    for i in range(150):
        truth = scene.truth(i)
        z = truth.xy_px + rng.normal(0, 0.2, truth.xy_px.shape)
        for track in tracker(at(*map(tuple, z)), i / 30):
            if track.confirmed and track.detection is not None:
                target = int(truth.id[track.detection])
                switches += owner.setdefault(target, track.id) != track.id
                owner[target] = track.id
    assert len(owner) == 6
    assert switches == 0


def test_reset_never_reuses_identities() -> None:
    tracker = KalmanTracker(TrackerSettings(caution=1e9))
    first = tracker(at((1, 1), (50, 50)), 0.0)
    tracker.reset()
    second = tracker(at((1, 1)), 0.0)
    assert {t.id for t in first} == {1, 2}
    assert second[0].id == 3


def test_trails_are_the_past_and_stay_as_they_were() -> None:
    trails, still = Trails(1.0), np.eye(2, 3)
    rows, _ = trails.add(1, np.zeros(0, np.intp))
    trails.append(rows, np.zeros((1, 2)), 0.0, still)
    early = trails.view(rows, still)
    for i in range(1, 300):
        if i % 3 == 0:  # others come and go, and make the arrays move
            new, rows = trails.add(40, rows)
            trails.append(
                np.concatenate([rows, new]), np.full((41, 2), [[i, -i]] + [[-1, -1]] * 40, float), i / 10, still
            )
        else:
            trails.append(rows, np.array([[i, -i]], float), i / 10, still)
    assert early[0].tolist() == [[0.0, 0.0]]
    assert trails.view(rows, still)[0][:, 0].tolist() == list(range(289, 300))
    with pytest.raises(ValueError):
        trails.view(rows, still)[0][0] = 1
    turned = np.array([[0.0, -1, 7], [1, 0, 3]])
    assert trails.view(rows, turned)[0][-1].tolist() == [299 + 7, 299 + 3]


def test_imm_mixes_and_weighs_as_filterpys_does(rng: np.random.Generator) -> None:
    """filterpy's IMMEstimator with the same two filters, updated in every frame (it gets coasting wrong)."""
    n, dwell, acceleration = 4, (2.0, 0.5), (20.0, 400.0)
    x0, P0 = rng.normal(0, 10, (n, 4)), np.diag([1.0, 1.0, 90.0, 90.0])
    x, P = np.repeat(x0[:, None], 2, 1), np.broadcast_to(P0, (n, 2, 4, 4)).copy()
    mu, dt, R = np.full((n, 2), 0.5), 0.04, np.eye(2) * 0.5
    oracles = []
    for i in range(n):
        filters = []
        for a in acceleration:
            k = KalmanFilter(dim_x=4, dim_z=2)
            k.x, k.P, k.R, k.H = x0[i].copy(), P0.copy(), R, np.eye(2, 4)
            k.F, k.Q = transition(dt, a)
            filters.append(k)
        oracles.append(IMMEstimator(filters, np.full(2, 0.5), switching(dt, dwell)))
    for _ in range(30):
        z = x0[:, :2] + rng.normal(0, 3, (n, 2))
        x, P, mu = predict_models(x, P, mu, dt, acceleration, dwell)
        x, P, mu = update_models(x, P, mu, z, np.broadcast_to(R, (n, 2, 2)))
        mean, covariance = combined(x, P, mu)
        for i, o in enumerate(oracles):
            o.predict()
            o.update(z[i])
            assert np.allclose(mean[i], o.x, atol=1e-9, rtol=1e-9)
            assert np.allclose(covariance[i], o.P, atol=1e-9, rtol=1e-9)
            assert np.allclose(mu[i], o.mu, atol=1e-9)


def test_a_coast_forgets_the_mode() -> None:
    """Without measurements the probabilities go to the chain's own balance, whatever was flown before."""
    x, P, mu = np.zeros((1, 2, 4)), np.broadcast_to(np.eye(4), (1, 2, 4, 4)).copy(), np.array([[0.01, 0.99]])
    for _ in range(300):
        x, P, mu = predict_models(x, P, mu, 0.04, (20.0, 400.0), (2.0, 0.5))
    leave = 1 - np.exp(-0.04 / np.array([2.0, 0.5]))
    assert mu[0] == pytest.approx(leave[::-1] / leave.sum(), abs=1e-3)


def test_clutter_in_a_wide_gate_does_not_end_a_coast() -> None:
    """A target vanishes amid clutter: its track is gone after `coast_s`, whatever falls into its gate meanwhile."""
    rng, tracker = np.random.default_rng(3), KalmanTracker()
    for i in range(90):
        clutter = rng.uniform(0, 200, (6, 2))
        xy = np.concatenate([[[20 + 1.5 * i, 100.0]], clutter]) if i < 40 else clutter
        tracks = tracker(at(*map(tuple, xy)), i / 30)
        if i == 39:
            (target,) = (t.id for t in tracks if t.confirmed)
    assert target not in {t.id for t in tracks}


def test_a_shutter_outage_is_bridged() -> None:
    tracker, ids = KalmanTracker(TrackerSettings(coast_s=0.3)), []
    for i in range(80):
        out = 40 <= i < 60  # 0.67 s, longer than a coast
        tracks = tracker(at() if out else at((20 + i, 30), (200 - i, 90), (50 + i, 160)), i / 30)
        ids.append({t.id for t in tracks if t.confirmed})
    assert len(ids[39]) == 3
    assert ids[79] == ids[39]


def test_dense_and_sparse_solvers_agree(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """One large component, solved both ways and without the shortcut: the same total."""
    n, limit = 60, 9.0
    t, d = np.nonzero(rng.random((n, n)) < 0.2)
    cost = rng.uniform(-8, 12, len(t))
    totals = []
    for cells in (10**9, 0):
        monkeypatch.setattr("irtrack.track.assignment.DENSE_CELLS", cells)
        rows, cols = assign(t, d, cost, limit)
        assert len(set(rows.tolist())) == len(rows) == len(set(cols.tolist()))
        table = dict(zip(zip(t.tolist(), d.tolist(), strict=True), cost, strict=True))
        totals.append(sum(table[p] for p in zip(rows.tolist(), cols.tolist(), strict=True)) + limit * (n - len(rows)))
    full = np.full((n, 2 * n), limit)
    full[t, d] = np.minimum(cost, limit)
    i, j = linear_sum_assignment(full)
    assert totals == pytest.approx([full[i, j].sum()] * 2)


def test_a_place_that_was_not_looked_at_is_no_miss() -> None:
    """Of two targets one is looked at in each fourth frame only: both tracks live on, confirmed, with their places."""
    tracker = KalmanTracker(TrackerSettings(camera_motion="off"))
    left, right = np.array([0.0, 0, 100, 200]), np.array([100.0, 0, 100, 200])

    def place(i: int) -> np.ndarray:  # type: ignore[type-arg]
        return np.array([[20 + 1.5 * i, 60.0], [180 - 1.5 * i * 0.5, 100.0]])

    def found(xy: np.ndarray, looked: np.ndarray | None) -> Detections:  # type: ignore[type-arg]
        n = len(xy)
        box = np.column_stack([xy - 1.5, np.full((n, 2), 3.0)])
        return Detections(xy, np.ones(n), np.full(n, 9.0), box, np.full(n, 9.0), None, None, looked)

    for i in range(15):
        tracks = tracker(found(place(i), None), i / 30)
    assert [t.status for t in tracks] == ["confirmed"] * 2
    ids = [t.id for t in tracks]
    for i in range(15, 45):
        whole = i % 4 == 0
        xy = place(i) if whole else place(i)[:1]
        tracks = tracker(found(xy, np.stack([left, right] if whole else [left])), i / 30)
        assert [t.id for t in tracks] == ids
        assert [t.status for t in tracks] == ["confirmed"] * 2
        assert (tracks[1].detection is None) is not whole
        assert np.linalg.norm(tracks[1].xy_px - place(i)[1]) < 1.5
    for i in range(45, 80):  # and one that is looked for and not there goes
        tracks = tracker(found(place(i)[:1], None), i / 30)
    assert [t.id for t in tracks] == ids[:1]


def moving_track(image: np.ndarray | None) -> tuple[KalmanTracker, int]:  # type: ignore[type-arg]
    """A tracker with one confirmed track at (40, 50), 90 px/s to the left, at the end of frame 19 of 30 a second."""
    tracker = KalmanTracker(TrackerSettings(camera_motion="off"))
    for i in range(20):
        tracks = tracker(at((97 - 3.0 * i, 50.0)), i / 30, image)
    assert [t.status for t in tracks] == ["confirmed"]
    return tracker, tracks[0].id


def nothing_seen(scan_s: float) -> Detections:
    """A frame of which only a corner was looked at."""
    empty = Detections.empty()
    return replace(empty, looked=np.array([[180.0, 90.0, 10.0, 10.0]]), scan_s=scan_s)


@pytest.mark.parametrize(("rate", "scan_s"), [(30.0, 0.0), (30.0, 0.4), (10.0, 0.4), (3.0, 0.0), (3.0, 1.0)])
def test_a_track_that_is_never_looked_at_dies_in_time(rate: float, scan_s: float) -> None:
    """At most `coast_s` and the time of a scan after it was last seen, at any rate of results."""
    tracker, _ = moving_track(None)
    coast_s, last_s, lived_s = tracker.settings.coast_s, 19 / 30, 0.0
    for k in range(1, 100):
        time_s = last_s + k / rate
        if len(tracker(nothing_seen(scan_s), time_s)):
            lived_s = time_s - last_s
    limit = coast_s + (scan_s or max(1 / rate - 0.1, 0.0))
    assert limit - 1 / rate - 1e-6 <= lived_s <= limit + 1e-6


def test_a_track_ends_outside_the_picture() -> None:
    image = np.zeros((100, 200), np.uint8)
    tracker, _ = moving_track(image)
    left = 0
    for i in range(20, 60):
        tracks = tracker(nothing_seen(5.0), i / 30, image)
        assert all(-0.5 <= t.xy_px[0] < 199.5 for t in tracks)
        left = i if len(tracks) else left
    assert 30 <= left <= 34  # it crosses the edge 13.5 frames after the last detection


@pytest.mark.parametrize("rate", [30.0, 10.0, 3.0, 1.0, 0.5])
def test_a_target_is_believed_and_kept_at_any_rate_of_results(rate: float) -> None:
    """One that flies at 12 px/s for 20 s: believed within three seconds or five results, one identity."""
    tracker = KalmanTracker(TrackerSettings(camera_motion="off"))
    ids, confirmed_s = set(), None
    rng = np.random.default_rng(5)
    for i in range(int(20 * rate)):
        time_s = i / rate
        seen = i % 7 != 5  # each seventh look misses it
        xy = np.array([30 + 12 * time_s, 40 + 3 * time_s]) + rng.normal(0, 0.3, 2)
        tracks = [t for t in tracker(at(tuple(xy)) if seen else at(), time_s) if t.confirmed]
        if tracks and confirmed_s is None:
            confirmed_s = time_s
        ids |= {t.id for t in tracks}
        if confirmed_s is not None:
            assert len(tracks) == 1
            assert np.linalg.norm(tracks[0].xy_px - [30 + 12 * time_s, 40 + 3 * time_s]) < 4
    assert confirmed_s is not None
    assert confirmed_s <= max(3.0, 4 / rate)
    assert len(ids) == 1


@pytest.mark.parametrize("rate", [30.0, 10.0])
def test_lamps_that_flicker_are_not_believed(rate: float) -> None:
    """Five that stand still and flicker."""
    tracker = KalmanTracker(TrackerSettings(camera_motion="off"))
    rng = np.random.default_rng(6)
    lamps = rng.uniform(20, 300, (5, 2))
    for i in range(int(20 * rate)):
        on = (lamps + rng.normal(0, 0.3, (5, 2)))[rng.random(5) < 0.8]
        tracks = tracker(at(*map(tuple, on)), i / rate)
        assert not any(t.confirmed for t in tracks)
