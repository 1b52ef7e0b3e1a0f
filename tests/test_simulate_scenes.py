"""What makes scenes hard, against their truth: hovering, creeping, a camera that swings, lamps, overlay, specks."""

from __future__ import annotations

import hashlib
import platform

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from irtrack.cli import SCENE_NAMES
from irtrack.core import ConfigError, Floats
from irtrack.imaging.motion import moved
from irtrack.simulate import SCENES, Scene, scene_from_text

CLEAN = "bits=16,scr=30,targets=4"
SWING = "swing_px=40,jerks_per_s=1,jerk_px=90,shake_px=0.3,exposure=0.6,zoom=0.1,roll_deg=8"
ALL = f"{SWING},hovering=0.3,arriving=0.3,creeping=0.2,waver=0.3,city=0.5,lamps=20,specks=3,overlay=2,drift_px_s=5"


def scene(text: str) -> Scene:
    """Of a text in which a later setting stands for an earlier one."""
    name, *pairs = text.split(",")
    settings = dict(pair.split("=") for pair in pairs)
    return Scene(scene_from_text(",".join([name, *(f"{key}={value}" for key, value in settings.items())])))


def picture(of: Scene, index: int) -> Floats:
    return of.image(index).astype(float)


def centroid(light: Floats, near: Floats, radius: int) -> Floats:
    """Of what was added to a picture, within so many px of a place."""
    x, y = np.round(near).astype(int)
    rows, cols = np.mgrid[y - radius : y + radius + 1, x - radius : x + radius + 1]
    part = light[y - radius : y + radius + 1, x - radius : x + radius + 1]
    return np.array([(part * cols).sum(), (part * rows).sum()]) / part.sum()


def apart(xy: Floats, shape: tuple[int, ...], radius: int) -> list[int]:
    """Places whose windows lie in the picture and hold no other place."""
    gaps = np.abs(xy[:, None] - xy[None]).max(-1) + np.diag(np.full(len(xy), np.inf))
    inside = ((xy > radius + 1) & (xy < (shape[1] - radius - 2, shape[0] - radius - 2))).all(1)
    return np.flatnonzero(inside & (gaps.min(1, initial=np.inf) > 2 * radius)).tolist()


@pytest.mark.skipif(
    (platform.machine(), cv2.__version__) != ("x86_64", "5.0.0"), reason="other arithmetic rounds a pixel otherwise"
)
@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("sky,width=96,height=80", "5c0cd10555f6762e"),
        ("clutter,width=131,height=77,seed=3,drift_px_s=90", "42c44c2bc368022a"),
        ("camera16,width=96,height=80,dark=0.5", "4216c52d4d51c3a1"),
        ("crossing,width=96,height=80,seed=9,frames=7", "6d3cc0d384f75c79"),
    ],
)
def test_scenes_of_before_are_as_they_were(text: str, digest: str) -> None:
    """Everything that was measured on a seed holds for the same pictures, to the bit."""
    made = scene(text)
    frames = b"".join(made.image(i).tobytes() for i in range(0, made.settings.frames, 3))
    assert hashlib.sha256(frames).hexdigest()[:16] == digest


def test_paths_of_before_are_as_they_were() -> None:
    truth = scene("crossing,width=96,height=80,seed=9,frames=7").truth(6)
    assert truth.xy_px[:2] == pytest.approx(
        np.array([[51.18500593, 28.86146552], [70.54423939, 55.99886704]]), abs=1e-6
    )
    assert truth.contrast[:2] == pytest.approx([0.18642065, 0.11122576], abs=1e-7)


@pytest.mark.parametrize("name", ["hovering", "creeping", "swinging", "held", "lamps", "city", f"sky,{ALL}"])
def test_frames_come_in_any_order(name: str) -> None:
    a, b = (scene(f"{name},width=120,height=100,frames=90,seed=5") for _ in range(2))
    order = (80, 3, 41, 0)
    backwards = {i: a.image(i) for i in order}
    assert all(np.array_equal(backwards[i], b.image(i)) for i in sorted(order))
    assert all(np.array_equal(a.truth(i).xy_px, b.truth(i).xy_px) for i in order)


@pytest.mark.parametrize(
    "text",
    ["hovering", "creeping", "swinging", f"swinging,{SWING}", "lamps", f"sky,{ALL},overlay=0", "hovering,drift_px_s=9"],
)
def test_truth_is_where_the_light_of_targets_is(text: str) -> None:
    with_targets, without = scene(f"{text},{CLEAN},seed=3"), scene(f"{text},{CLEAN},seed=3,targets=0")
    seen = 0
    for index in range(0, with_targets.settings.frames, 17):
        radius = 6 + round(float(np.abs(with_targets.blur(index)).max()))
        light = picture(with_targets, index) - picture(without, index)
        truth = with_targets.truth(index)
        for k in apart(truth.xy_px, light.shape, radius):
            assert centroid(light, truth.xy_px[k], radius) == pytest.approx(truth.xy_px[k], abs=0.1)
            if not with_targets.blur(index).any():
                assert light.max() > 0.7 * truth.contrast.min() * 4000
            seen += 1
    assert seen > 10


def test_targets_hover_and_sway() -> None:
    made = scene("hovering,hovering=1,arriving=0,seed=2")
    places = np.stack([made.truth(i).xy_px for i in range(300)])
    contrast = np.stack([made.truth(i).contrast for i in range(300)])
    away = places - places.mean(0)
    assert np.abs(away).max() < 1.0
    assert 0.1 < away.std() < 0.4
    change = np.ptp(contrast, axis=0) / contrast.mean(0)
    assert change.max() > 0.3
    assert np.abs(np.diff(contrast, axis=0) / contrast.mean(0)).max() < 0.02  # slow


def test_targets_arrive_hover_and_leave() -> None:
    made = scene(
        "hovering,hovering=0,arriving=1,targets=8,hover_jitter_px=0,width=1000,height=1000,speed_px_s=60,seed=4"
    )
    whole = [made.truth(i) for i in range(300)]
    everywhere = set.intersection(*(set(t.id.tolist()) for t in whole))
    assert len(everywhere) >= 4
    for k in everywhere:
        path = np.array([t.xy_px[t.id == k][0] for t in whole])
        speed = np.linalg.norm(np.diff(path, axis=0), axis=1) * 30
        assert speed[145:155].max() < 2.0
        assert speed[0] > 25
        assert speed[-1] > 25
        assert (speed < 2.0).sum() > 60  # two seconds and more


def test_targets_creep() -> None:
    made = scene("creeping,targets=9,seed=6")
    a, b = made.truth(0), made.truth(30)
    assert len(a.id) == len(b.id) == 9
    speed = np.linalg.norm(b.xy_px - a.xy_px, axis=1)
    assert speed.min() > 0.2
    assert speed.max() < 1.0


def test_what_hovers_goes_along_with_the_scene() -> None:
    made = scene(f"sky,{SWING},drift_px_s=12,hovering=1,hover_jitter_px=0,seed=8,frames=60,width=600,height=500")
    for start, end in ((0, 59), (40, 12), (7, 8)):
        a, b = made.truth(start), made.truth(end)
        both = np.intersect1d(a.id, b.id)
        assert len(both) >= 2
        there = moved(made.motion(start, end), a.xy_px[np.isin(a.id, both)])
        assert there == pytest.approx(b.xy_px[np.isin(b.id, both)], abs=1e-6)


@pytest.mark.parametrize("text", ["empty,drift_px_s=40", f"empty,{SWING},city=0.5", f"empty,{SWING},drift_px_s=20"])
def test_the_camera_moves_as_it_says(text: str) -> None:
    made = scene(f"{text},netd=0,fixed_pattern=0,column_pattern=0,bits=16,seed=1,exposure=0,shake_px=0.3,texture=0")
    for start, end in ((10, 14), (60, 70), (90, 71)):
        motion, size = made.motion(start, end), (320, 256)
        assert np.linalg.norm(moved(motion, np.array([[160.0, 128.0]])) - (160, 128)) > 1.5
        carried = cv2.warpAffine(made.image(start), motion, size, flags=cv2.INTER_LINEAR, borderValue=0).astype(float)
        both = cv2.warpAffine(np.ones((256, 320)), motion, size, flags=cv2.INTER_LINEAR, borderValue=0) > 0.999
        assert both.sum() > 10_000
        off = np.abs(carried - picture(made, end))[both].mean()
        still = np.abs(picture(made, start) - picture(made, end)).mean()
        assert off < 0.1 * still


def test_the_camera_holds_a_target() -> None:
    made = scene("held,seed=3,shake_px=0,psf_sigma_px=1.5,scr=40,overlay=0,bits=16")
    places = np.array([made.truth(i).xy_px[made.truth(i).id == 0][0] for i in range(300)])
    strays = places.std(0)
    assert ((strays > 0.7) & (strays < 2.3)).all()
    assert (np.abs(places.mean(0) - (159.5, 127.5)) < (22, 18)).all()
    assert np.linalg.norm(moved(made.motion(0, 250), places[:1]) - places[250]) > 40  # of what it flies past
    for index in (0, 120, 299):
        image = picture(made, index)
        light = np.clip(image - np.median(image), 0, None)
        assert centroid(light, places[index], 5) == pytest.approx(places[index], abs=0.4)


def test_a_still_camera_stays_still() -> None:
    made = scene("hovering")
    assert np.array_equal(made.motion(3, 200), np.eye(2, 3))
    assert not made.blur(100).any()


def test_jerks_take_one_to_three_frames() -> None:
    made = scene("swinging,swing_px=0,shake_px=0,jerks_per_s=2,frames=600,seed=3")
    step = np.array([made.motion(i, i + 1)[:, 2] for i in range(599)])
    going = np.linalg.norm(step, axis=1) > 1e-9
    starts = np.flatnonzero(np.diff(np.concatenate([[0], going.astype(int)])) == 1)
    ends = np.flatnonzero(np.diff(np.concatenate([going.astype(int), [0]])) == -1)
    sizes = [np.linalg.norm(step[a : b + 1].sum(0)) for a, b in zip(starts, ends, strict=True)]
    assert len(sizes) > 10
    assert set((ends - starts + 1).tolist()) == {1, 2, 3}
    assert min(sizes) > 19.9
    assert max(sizes) < 120.1
    assert np.linalg.norm(np.cumsum(step, 0), axis=1).max() < 240.1


def test_only_fast_frames_blur() -> None:
    made = scene("swinging,swing_px=0,shake_px=0.3,netd=0,fixed_pattern=0,column_pattern=0,targets=0,bits=16,seed=3")
    middle = np.array([[159.5, 127.5]])
    slow, fast = [], []
    for i in range(1, 299):
        across = np.linalg.norm(moved(made.motion(i - 1, i + 1), middle) - middle) / 2 * made.settings.exposure
        blur = np.linalg.norm(made.blur(i))
        assert blur == pytest.approx(across if across >= 1 else 0.0, abs=1e-6)
        if across > 5 or i % 60 == 0:
            (fast if blur else slow).append(cv2.Laplacian(made.image(i), cv2.CV_64F)[2:-2, 2:-2].std())
    assert len(fast) >= 4
    assert len(slow) >= 3
    assert max(fast) < 0.7 * min(slow)


def test_no_seam_is_seen() -> None:
    made = scene("empty,drift_px_s=300,frames=120,netd=0,fixed_pattern=0,column_pattern=0,bits=16,seed=2")
    for index in range(0, 120, 7):
        image = picture(made, index)
        for axis in (0, 1):
            edges = np.abs(np.diff(image, axis=axis)).mean(1 - axis)
            assert edges.max() < 2 * np.median(edges)


def test_the_city_ends_below_the_sky() -> None:
    """A camera that looks far up or down sees sky above and houses below, not the other end of the backdrop."""
    quiet = "empty,bits=16,seed=3,frames=300,swing_px=60,jerks_per_s=1,zoom=0.2,drift_px_s=0"
    made, plain = scene(f"{quiet},city=0.4"), scene(quiet)
    looks = set()
    for index in range(0, 300, 15):
        rows = np.abs(picture(made, index) - picture(plain, index)).mean(1) > 10
        first = int(np.argmax(rows)) if rows.any() else len(rows)
        assert rows[first:].all()
        looks.add(first // 32)
    assert len(looks) > 3


@pytest.mark.parametrize("text", ["lamps", f"lamps,{SWING}", "sky,lamps=20"])
def test_lamps_stand_still_in_the_scene(text: str) -> None:
    quiet = f"{text},{CLEAN},targets=0,seed=4,exposure=0"
    made, dark = scene(f"{quiet},lamps=12"), scene(f"{quiet},lamps=0")
    seen = 0
    for index in (0, 33, 99):
        light, lamps = picture(made, index) - picture(dark, index), made.lamps(index)
        inside = ((lamps > 0) & (lamps < (320, 256))).all(1)
        assert 3 <= inside.sum() < 40
        assert not len(made.truth(index).id)
        for k in apart(lamps, light.shape, 8):
            assert centroid(light, lamps[k], 8) == pytest.approx(lamps[k], abs=0.1)
            seen += 1
        carried = moved(made.motion(0, index), made.lamps(0))
        near = ((carried > -20) & (carried < (340, 276))).all(1)
        apart_px = np.linalg.norm(carried[near][:, None] - lamps[None], axis=-1).min(1)
        assert apart_px.max() < 1e-6
    assert seen > 5


def test_some_lamps_flicker() -> None:
    quiet = f"sky,{CLEAN},targets=0,seed=4,drift_px_s=0"
    made, dark, steady = scene(f"{quiet},lamps=30"), scene(f"{quiet},lamps=0"), scene(f"{quiet},lamps=30,flicker=0")
    lamps = made.lamps(0)
    x, y = np.round(lamps[apart(lamps, (256, 320), 5)]).astype(int).T
    frames = range(0, 100, 3)
    peaks, plain = (np.array([(picture(s, i) - picture(dark, i))[y, x] for i in frames]) for s in (made, steady))
    change = np.ptp(peaks, axis=0) / peaks.max(0)
    assert 0.15 < (change > 0.08).mean() < 0.7
    assert (np.ptp(plain, axis=0) / plain.max(0)).max() < 0.03


@pytest.mark.parametrize(("bits", "white"), [(8, 255), (16, 16383)])
def test_the_overlay_stays_where_it_is(bits: int, white: int) -> None:
    text = f"swinging,bits={bits},seed=2,frames=120"
    made, plain = scene(f"{text},overlay=2"), scene(text)
    drawn = []
    for index in (0, 17, 58, 119):
        image, under = made.image(index), plain.image(index)
        drawn.append(image == white)
        assert under.max() < white
        assert np.array_equal(image, np.where(drawn[-1], white, under))
    fixed = np.logical_and.reduce(drawn)
    assert fixed.sum() > 400
    changing = np.logical_or.reduce(drawn) & ~fixed
    rows, cols = np.nonzero(changing)
    assert changing.any()  # the clock, and nothing else
    assert np.ptp(rows) < 16
    assert rows.min() > 200
    assert cols.max() < 110


def test_what_the_overlay_hides_is_not_labelled() -> None:
    made, plain = (scene(f"crowd,width=200,height=160,targets=200,overlay={n},seed=2") for n in (2, 0))
    drawn = made.image(70) != plain.image(70)
    assert (plain.mask(70) & drawn).any()
    assert np.array_equal(made.mask(70), plain.mask(70) & ~drawn)


def test_specks_are_short_and_no_targets() -> None:
    made, plain = scene(f"sky,{CLEAN},specks=4,seed=7"), scene(f"sky,{CLEAN},seed=7")
    lights = []
    for index in range(40, 52):
        assert np.array_equal(made.truth(index).xy_px, plain.truth(index).xy_px)
        assert np.array_equal(made.mask(index), plain.mask(index))
        lights.append(picture(made, index) - picture(plain, index) > 150)
    count = np.mean([cv2.connectedComponents(light.astype(np.uint8))[0] - 1 for light in lights])
    assert 5.5 < count < 10.5  # four a frame, each for two frames on average
    lasting: NDArray[np.bool_] = np.logical_and.reduce([lights[0], lights[1], lights[2], lights[3]])
    assert not lasting.any()
    assert (lights[5] & lights[6]).any()


def test_a_streak_is_labelled_as_it_is_seen() -> None:
    made = scene("swinging,swing_px=0,seed=3,targets=12,speed_px_s=0,scr=60")
    fast = max(range(300), key=lambda i: float(np.linalg.norm(made.blur(i))) * (len(made.truth(i).id) > 3))
    slow = next(i for i in range(300) if not made.blur(i).any() and len(made.truth(i).id) > 3)
    sizes = [made.mask(i).sum() / len(made.truth(i).id) for i in (slow, fast)]
    assert np.linalg.norm(made.blur(fast)) > 10
    assert sizes[1] > 2 * sizes[0]


def test_shares_and_values_that_cannot_be() -> None:
    for text, says in (
        ("sky,hovering=0.6,creeping=0.6", "together 1 at most"),
        ("sky,overlay=7", "between 0 and 2"),
        ("sky,exposure=2", "exposure"),
        ("sky,swing=3", "did you mean 'swing_px'"),
        ("held,targets=0", "follows a target, and there is none"),
        ("hoverin", "did you mean 'hovering'"),
    ):
        with pytest.raises(ConfigError, match=says):
            scene_from_text(text)
    assert len(scene("sky,hovering=0.3,arriving=0.3,creeping=0.4,targets=7").truth(75).id) <= 7


def test_one_frame_and_no_targets_will_do() -> None:
    for text in (f"sky,{ALL},frames=1", f"sky,{ALL},targets=0", f"city,{SWING},frames=2,width=16,height=16"):
        made = scene(text)
        assert made.image(0).shape == (made.settings.height, made.settings.width)


def test_help_names_every_scene() -> None:
    assert SCENE_NAMES.split(", ") == list(SCENES)
