"""Camera motion from pictures with known motion, from detections, and what the tracker makes of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from irtrack.config import TrackerSettings
from irtrack.core import Detections, Floats
from irtrack.imaging.motion import STILL, moved
from irtrack.imaging.registration import Registration
from irtrack.track.tracker import KalmanTracker
from irtrack.track.voting import VOTERS, CommonMotion, electorate, voted_motion, voted_shift


@pytest.fixture(scope="module")
def backdrop() -> Floats:
    noise = np.random.default_rng(5).normal(0, 1, (900, 1000))
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    return 120 + 60 * smooth / smooth.std()


def view(backdrop: Floats, pose: Floats, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    """What a camera sees: `pose` (2, 3) leads from the frame to the backdrop."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(backdrop, pose, (size[1], size[0]), flags=flags)
    return np.clip(picture + rng.normal(0, 2, size), 0, 255)


def square(pose: Floats) -> Floats:
    return np.vstack([pose, [0, 0, 1]])


@pytest.mark.parametrize(("size", "bits"), [((512, 640), 8), ((256, 320), 8), ((240, 333), 16)])
def test_registration_finds_shift_and_turn(backdrop: Floats, size: tuple[int, int], bits: int) -> None:
    """To a quarter of a pixel anywhere in the frame, under noise and burnt-in text that stands still."""
    rng, register = np.random.default_rng(1), Registration()
    pose = np.array([[1, 0, 150.0], [0, 1, 180.0]])
    last = pose
    for i in range(12):
        picture = view(backdrop, pose, size, rng)
        picture = picture.astype(np.uint8)
        cv2.putText(picture, "REC 12:30 IR", (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
        picture = picture if bits == 8 else 7000 + 9 * picture.astype(np.uint16)
        motion = register(picture)
        if i:
            true = np.linalg.inv(square(pose)) @ square(last)
            corners = np.array([[0, 0], [size[1], 0], [0, size[0]], [size[1], size[0]]], float)
            assert np.abs(moved(motion, corners) - moved(true[:2], corners)).max() < 0.35
        last, turn = pose, rng.uniform(-0.008, 0.008)
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        pose = np.column_stack([spin @ pose[:, :2], pose[:, 2] + rng.uniform(-6, 6, 2)])


def test_a_still_camera_stays_exactly_still(backdrop: Floats) -> None:
    rng, register = np.random.default_rng(2), Registration()
    pose = np.array([[1, 0, 150.0], [0, 1, 180.0]])
    for _ in range(10):
        assert register(view(backdrop, pose, (240, 320), rng).astype(np.uint8)) is STILL


def test_featureless_frames_and_new_sizes_tell_nothing() -> None:
    rng, register = np.random.default_rng(3), Registration()
    for size in ((120, 160), (120, 160), (240, 320), (1, 7), (8, 8)):
        flat = np.clip(100 + rng.normal(0, 0.4, size), 0, 255).astype(np.uint8)
        assert np.array_equal(register(flat), np.eye(2, 3))


def roof(shift: float, rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    """A roof's edge and a mast before a sky of faint clouds, as a coder that saves bits gives it, `shift` px lower."""
    y, x = np.mgrid[0:256, 0:320].astype(float)
    edge = 190 + 0.12 * np.abs(x - 150) + shift
    sky = (
        90
        - 40 * np.exp(-(((y - edge + 25) / 30) ** 2))
        + 2 * np.sin(x / 9 + (y - shift) / 14)
        + rng.normal(0, 1.5, x.shape)
    )
    picture = np.where(y > edge, 215 + 4 * np.sin(x / 17), sky)
    picture = np.where((np.abs(x - 285) < 2) & (y > 82 + shift), 240, picture)
    coded = cv2.imencode(".jpg", picture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 35])[1]
    return cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)


def test_a_jerk_is_seen_by_edges_where_corners_agree_by_chance() -> None:
    rng, register = np.random.default_rng(8), Registration()
    still = [np.abs(register(roof(0, rng))[:, 2]).max() for _ in range(41)]
    assert np.median(still) < 0.05
    ways = [register(roof(shift, rng))[1, 2] for shift in (-4, -8, -12, -16)]
    assert ways == pytest.approx([-4] * 4, abs=0.7)


def test_a_large_bird_before_an_empty_sky_is_not_the_camera() -> None:
    rng, register = np.random.default_rng(9), Registration()
    for i in range(20):
        picture = np.full((240, 320), 80.0)
        cv2.ellipse(picture, (60 + 5 * i, 120), (22, 9), 20, 0, 360, 200, -1)
        picture = cv2.GaussianBlur(picture, (0, 0), 1.0) + rng.normal(0, 1.5, picture.shape)
        assert register(picture.clip(0, 255).astype(np.uint8)) is STILL


def test_vote_finds_the_common_shift(rng: np.random.Generator) -> None:
    tracks = rng.uniform(0, 500, (12, 2))
    shift = np.array([7.0, -11.0])
    seen = np.concatenate([tracks[:9] + shift + rng.normal(0, 0.4, (9, 2)), rng.uniform(0, 500, (10, 2))])
    found, agree = voted_shift(tracks, seen, 40, 2)
    assert found == pytest.approx(shift, abs=0.6)
    assert agree >= 8
    assert voted_shift(tracks[:0], seen, 40, 2)[1] == 0
    assert voted_shift(tracks, seen[:0], 40, 2)[1] == 0


def seen_after(shift: Floats, places: Floats, rng: np.random.Generator, clutter: int = 10) -> Floats:
    """Four of five places, to half a pixel, and clutter."""
    found = places[rng.random(len(places)) < 0.8] + shift
    return np.concatenate([found + rng.normal(0, 0.5, found.shape), rng.uniform(0, 500, (clutter, 2))])


def test_the_common_motion_of_few_tracks_is_known_to_what_they_allow() -> None:
    """Eight tracks of sigma 0.5 px, a fifth of them missed, among clutter: 0.5 / sqrt(6.4) = 0.2 px on an axis."""
    rng, common = np.random.default_rng(8), CommonMotion()
    errors = []
    for k in range(150):
        places, shift = rng.uniform(0, 500, (8, 2)), rng.normal(0, 1.2, 2)
        motion = common(places, np.tile(0.25 * np.eye(2), (8, 1, 1)), seen_after(shift, places, rng), 18 / 500**2)
        if k >= 30:  # by then it is known that the camera shakes
            errors.append(motion[:, 2] - shift)
    assert np.sqrt(np.mean(np.square(errors))) < 0.3


def test_a_still_camera_stays_still_by_detections_alone_too() -> None:
    rng, common = np.random.default_rng(9), CommonMotion()
    for _ in range(100):
        places = rng.uniform(0, 500, (6, 2))
        found = seen_after(np.zeros(2), places, rng)
        assert common(places, np.tile(0.4 * np.eye(2), (6, 1, 1)), found, 16 / 500**2) is STILL


def test_a_jerk_is_told_from_chance() -> None:
    """What three tracks of five and no more agree on is one; what clutter alone offers is none."""
    rng = np.random.default_rng(10)
    P = np.tile(0.4 * np.eye(2), (5, 1, 1))
    places = rng.uniform(100, 400, (5, 2))
    jerk = np.array([23.0, -14.0])
    jerked = np.concatenate([places[:4] + jerk, rng.uniform(0, 500, (6, 2))])
    assert CommonMotion()(places, P, jerked, 10 / 500**2)[:, 2] == pytest.approx(jerk, abs=0.5)
    for _ in range(50):
        motion = CommonMotion()(places, P, rng.uniform(0, 500, (12, 2)), 12 / 500**2)
        assert np.abs(motion[:, 2]).max() < 0.5


def detections(xy: Floats) -> Detections:
    n = len(xy)
    box = np.column_stack([xy - 1, np.full((n, 2), 2.0)])
    return Detections(xy.copy(), np.ones(n), np.full(n, 4.0), box, np.full(n, 9.0))


def world(rng: np.random.Generator, targets: int) -> tuple[Floats, Floats]:
    heading = rng.uniform(0, 2 * np.pi, targets)
    speed = rng.uniform(15, 50, (targets, 1))
    return rng.uniform(100, 400, (targets, 2)), speed * np.column_stack([np.cos(heading), np.sin(heading)])


@pytest.mark.parametrize("amplitude", [0.0, 3.0])
def test_jitter_is_followed_without_a_picture(amplitude: float) -> None:
    """Eight targets under a shaking camera keep their identities; velocities are those in the scene."""
    rng = np.random.default_rng(4)
    start, velocity = world(rng, 8)
    tracker, owners = KalmanTracker(), [set() for _ in range(8)]
    for i in range(90):
        camera = rng.normal(0, amplitude, 2) if i > 10 else np.zeros(2)
        xy = start + velocity * i / 30 + camera
        for t in tracker(detections(xy + rng.normal(0, 0.3, xy.shape)), i / 30):
            if t.confirmed and t.detection is not None and i > 20:
                owners[t.detection].add(t.id)
    assert all(len(o) == 1 for o in owners)
    tracks = {t.detection: t for t in tracker(detections(start + velocity * 3.0), 3.0)}
    for k in range(8):
        assert tracks[k].velocity_px_s == pytest.approx(velocity[k], abs=25)


def test_turning_targets_under_a_camera_that_pans_and_shakes_keep_their_identities() -> None:
    """A fifth of them missed in each frame, among clutter and hot pixels, and no picture."""
    rng, tracker = np.random.default_rng(12), KalmanTracker()
    n, frames = 12, 240
    heading = rng.uniform(0, 2 * np.pi, n) + np.cumsum(rng.uniform(-0.1, 0.1, n) * np.ones((frames, n)), 0)
    path = np.cumsum(2.0 * np.stack([np.cos(heading), np.sin(heading)], 2), 0) + rng.uniform(100, 400, (n, 2))
    pixels, camera = rng.uniform(0, 500, (5, 2)), np.zeros(2)
    owners: list[list[int]] = [[] for _ in range(n)]
    for i in range(frames):
        camera += rng.normal((1.5, 0.7), 1.2)
        seen = np.flatnonzero(rng.random(n) < 0.8)
        real = path[i, seen] - camera + (200.0, 100.0) + rng.normal(0, 0.5, (len(seen), 2))
        xy = np.concatenate([real, pixels[rng.random(5) < 0.4], rng.uniform(0, 500, (rng.poisson(5), 2))])
        for t in tracker(detections(xy), i / 30):
            if t.confirmed and t.detection is not None and t.detection < len(seen):
                owners[seen[t.detection]].append(t.id)
    share = [max(np.bincount(ids)) / (0.8 * frames) for ids in owners]
    assert np.mean(share) > 0.8


def test_a_picture_carries_states_and_trails(backdrop: Floats) -> None:
    """A camera that swings 5 px a frame: no still lamp is confirmed, a slow target is, its trail lies in the scene."""
    rng, tracker = np.random.default_rng(6), KalmanTracker()
    camera = np.array([100.0, 150.0])
    for i in range(60):
        camera += (5.0, 1.0)
        pose = np.array([[1, 0, camera[0]], [0, 1, camera[1]]])
        picture = view(backdrop, pose, (256, 320), rng).astype(np.uint8)
        target, lamp = np.array([380.0 + 0.5 * i, 300.0]) - camera, np.array([420.0, 330.0]) - camera
        tracks = tracker(detections(np.stack([target, lamp])), i / 30, picture)
    of = {t.detection: t for t in tracks}
    assert of[0].confirmed
    assert not of[1].confirmed
    assert of[0].velocity_px_s == pytest.approx([15, 0], abs=4)
    assert np.ptp(of[0].trail[:, 0]) == pytest.approx(0.5 * 59, abs=3)
    assert np.ptp(of[0].trail[:, 1]) < 3


def test_fixed_places_are_never_confirmed_and_never_steal() -> None:
    """A blinking pixel; a target that flies over it and one that comes and hovers keep their identities."""
    rng, tracker = np.random.default_rng(7), KalmanTracker()
    pixel, confirmed = np.array([100.0, 80.0]), set()
    for i in range(240):
        over = np.array([40.0 + 0.5 * i, 80.0 + 0.02 * i])
        hover = np.array([min(20.0 + i, 150.0), 30.0])
        xy = [over, hover, *([pixel] if rng.random() < 0.5 else [])]
        tracks = tracker(detections(np.array(xy) + rng.normal(0, 0.3, (len(xy), 2))), i / 30)
        confirmed |= {t.id for t in tracks if t.confirmed}
    assert len(confirmed) == 2
    assert sum(t.confirmed for t in tracks) == 2


def test_everything_is_confirmed_without_caution() -> None:
    tracker = KalmanTracker(TrackerSettings(caution=1e9))
    for i in range(10):
        tracks = tracker(detections(np.array([[50.0, 50.0]])), i / 30)
    assert tracks[0].confirmed


def spun(xy: Floats, turn: float, zoom: float, centre: Floats) -> Floats:
    """Points seen by a camera that has turned and zoomed about the middle of its picture."""
    c, s = np.cos(turn) * zoom, np.sin(turn) * zoom
    out: Floats = (xy - centre) @ np.array([[c, s], [-s, c]]) + centre
    return out


def test_vote_finds_a_turn_and_a_zoom(rng: np.random.Generator) -> None:
    """Of 20 tracks, 16 seen again among 15 false detections after 2 degrees, 2 % and a shift."""
    tracks, centre = rng.uniform(0, 500, (20, 2)), np.array([250.0, 250.0])
    seen = spun(tracks, 0.035, 1.02, centre) + np.array([12.0, -7.0])
    measured = np.concatenate([seen[:16] + rng.normal(0, 0.3, (16, 2)), rng.uniform(0, 500, (15, 2))])
    motion, agree = voted_motion(tracks, measured, 40, 2)
    assert agree >= 15
    assert np.abs(moved(motion, tracks) - seen).max() < 1.0


def test_a_shift_stays_a_shift(rng: np.random.Generator) -> None:
    tracks = rng.uniform(0, 500, (20, 2))
    motion, agree = voted_motion(tracks, tracks + np.array([9.0, 4.0]) + rng.normal(0, 0.4, (20, 2)), 40, 2)
    assert agree == 20
    assert np.array_equal(motion[:, :2], np.eye(2))


def test_those_who_vote_are_from_all_over() -> None:
    for n in (0, 1, VOTERS - 1, VOTERS, VOTERS + 1, 1000, 5000):
        chosen = electorate(np.arange(2.0 * n).reshape(n, 2))
        assert min(n, VOTERS // 2) <= len(chosen) <= VOTERS
        assert n == 0 or chosen[-1, 0] >= 0.9 * 2 * (n - 1)


def test_a_rolling_camera_is_followed_without_a_picture() -> None:
    """Fourteen targets under a camera that rolls by up to 2 degrees a frame keep their identities and velocities."""
    rng = np.random.default_rng(8)
    start, velocity = world(rng, 14)
    tracker, owners, centre = KalmanTracker(), [set() for _ in range(14)], np.array([250.0, 250.0])
    for i in range(100):
        roll = 0.15 * np.sin(max(i - 10, 0) / 4.5)
        xy = spun(start + velocity * i / 30, roll, 1.0, centre)
        for t in tracker(detections(xy + rng.normal(0, 0.3, xy.shape)), i / 30):
            if t.confirmed and t.detection is not None and i > 20:
                owners[t.detection].add(t.id)
    assert [len(o) for o in owners] == [1] * 14


def test_many_targets_vote_too() -> None:
    """A camera that jerks by 15 px a frame over 400 targets."""
    rng = np.random.default_rng(9)
    start = rng.uniform(0, 3000, (400, 2))
    velocity = rng.normal(0, 40, (400, 2))
    tracker, owners = KalmanTracker(), [set() for _ in range(400)]
    for i in range(60):
        xy = start + velocity * i / 30 + (rng.uniform(-15, 15, 2) if i > 12 else 0)
        for t in tracker(detections(xy + rng.normal(0, 0.3, xy.shape)), i / 30):
            if t.confirmed and t.detection is not None and i > 20:
                owners[t.detection].add(t.id)
    assert sum(len(o) == 1 for o in owners) >= 396
