"""The self-test: what it says of a camera that sees well and of one that does not; and that it disturbs nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import binom, poisson

from irtrack.build import load_detector, make_tracker
from irtrack.cli import main
from irtrack.config import DetectorSettings, Settings
from irtrack.core import Detections, Detector, Floats, Frame, FrameResult, Image, IrtrackError
from irtrack.pipeline import process, process_frame
from irtrack.simulate import Scene, add_target, scene_from_text
from irtrack.station.faint import (
    Optics,
    Planted,
    Sight,
    blur_px,
    local_deviation,
    plan,
    read_sight,
    sight_of,
    with_targets,
)  # fmt: skip
from irtrack.station.selftest import Report, SelfTest, SelfTestSettings, interval, rate_interval
from irtrack.station.settings import CameraSettings, ShadowSettings
from irtrack.station.shadow import Shadow

SETTINGS = Settings(detector=DetectorSettings(mode="exact", device="cpu", weights="datransnet-s"))
STRONG = SelfTestSettings(scrs=(8.0, 14.0), targets=6)


@pytest.fixture(scope="module")
def shadow() -> Detector:
    return load_detector(SETTINGS.detector)


@pytest.fixture(scope="module")
def view() -> Scene:
    """A fixed camera before a textured scene without targets."""
    text = "sky,targets=0,drift_px_s=0,structure=0.03,texture=0.012,netd=0.006,frames=400,seed=3,width=256,height=192"
    return Scene(scene_from_text(text))


Change = Callable[[Image, int], Image]


def noisy(light: Floats, i: int) -> Image:
    return np.clip(np.round(light + np.random.default_rng(i).normal(0, 1.5, light.shape)), 0, 255).astype(np.uint8)


def blurred(image: Image, i: int) -> Image:
    return noisy(cv2.GaussianBlur(image.astype(np.float64), (0, 0), 2.0), i)


def cluttered(image: Image, i: int) -> Image:
    """Leaves or waves: texture as fine as targets."""
    grain = cv2.GaussianBlur(np.random.default_rng(5).normal(size=image.shape), (0, 0), 1.0)
    return np.clip(image + 10 * grain / grain.std(), 0, 255).astype(np.uint8)


def rimed(image: Image, i: int) -> Image:
    """Crystals on a window that also blurs and fades what is behind."""
    spots = (np.random.default_rng(7).random(image.shape) < 0.02).astype(np.float64)
    spots = np.clip(12 * cv2.GaussianBlur(spots, (0, 0), 1.2), 0, 1)
    return noisy(60 + 0.6 * cv2.GaussianBlur(image.astype(np.float64), (0, 0), 1.5) + 25 * spots, i)


def same(image: Image, i: int) -> Image:
    return image


def clip_of(view: Scene, first: int, change: Change = same, frames: int = 14) -> list[FrameResult]:
    span = range(first, first + frames)
    return [FrameResult(Frame(i, i / 25, change(view.image(i), i)), Detections.empty(), (), {}) for i in span]


def after(view: Scene, shadow: Detector, first: int, change: Change, reference: Sight | None) -> SelfTest:
    test = SelfTest(lambda: shadow, lambda: make_tracker(SETTINGS), STRONG, reference, seed=first)
    for k in range(3):
        test.run(clip_of(view, first + 20 * k, change))
    return test


def test_pd_drops_when_the_camera_is_blind_and_not_otherwise(view: Scene, shadow: Detector) -> None:
    good = after(view, shadow, 0, same, None)
    before = report_of(good)
    assert [row.targets for row in before.rows] == [9, 9]
    assert before.rows[1].pd > 0.8
    assert before.rows[1].tracked > 0.8
    again = report_of(after(view, shadow, 100, same, good.reference))
    for a, b in zip(before.rows, again.rows, strict=True):
        assert b.pd_low <= a.pd <= b.pd_high
    assert again.blur_px == 0.0
    assert again.deviation == pytest.approx(before.deviation, rel=0.1)
    told = {}
    for change in (blurred, cluttered, rimed):
        now = report_of(after(view, shadow, 200, change, good.reference))
        told[change] = now
        assert now.rows[1].pd_high < before.rows[1].pd
        assert now.rows[1].pd < 0.5 * before.rows[1].pd
        assert now.rows[0].pd <= 0.5 * before.rows[0].pd
    assert told[blurred].blur_px == pytest.approx(2.0, abs=0.3)
    assert told[cluttered].deviation > 1.8 * before.deviation
    metrics = told[blurred].metrics()
    assert metrics['selftest_pd{scr="14"}'] == told[blurred].rows[1].pd
    assert metrics["selftest_blur_px"] == told[blurred].blur_px


def report_of(test: SelfTest) -> Report:
    report = test.report()
    assert report is not None
    return report


def test_the_blur_is_told_where_the_scene_is_the_same(view: Scene) -> None:
    before = sight_of([view.image(0)])
    for sigma in (0.0, 0.8, 1.5, 3.0):
        blur = lambda light, s=sigma: cv2.GaussianBlur(light, (0, 0), s) if s else light  # noqa: E731
        now = blur_px(sight_of([noisy(0.7 * blur(view.image(9).astype(np.float64)) + 20, 9)]), before)
        assert now == pytest.approx(sigma, abs=0.35)  # and fading is no blur
    other = Scene(replace(view.settings, seed=11))
    assert blur_px(sight_of([other.image(0)]), before) is None
    flat = noisy(np.full((192, 256), 100.0), 0)
    assert blur_px(sight_of([flat]), before) is None
    back = Sight.from_dict(json.loads(json.dumps(before.to_dict(), allow_nan=False)))
    assert np.allclose(back.deviation, before.deviation)
    assert np.array_equal(np.isnan(back.power), np.isnan(before.power))
    with pytest.raises(ValueError, match="no sight"):
        Sight.from_dict(before.to_dict() | {"deviation": [[1.0]]})


def test_targets_are_as_bright_as_is_said() -> None:
    """The mean over many copies is the point spread, integrated over pixels, whatever the rounding."""
    image = np.full((64, 64), 100, np.uint8)
    planted = [Planted(3.0, np.array([[30.3, 31.6]]), 2.4)]
    rng = np.random.default_rng(0)
    for optics in (Optics(0.9), Optics(0.9, 1.2)):
        mean = np.mean([with_targets(image, planted, 0, optics, rng).astype(float) for _ in range(3000)], 0) - 100
        expected = np.zeros((64, 64), np.float32)
        add_target(expected, 30.3, 31.6, 2.4 * 0.81 / optics.spread_px**2, optics.spread_px)
        assert np.abs(mean - expected).max() < 0.06
        assert expected.sum() == pytest.approx(2 * np.pi * 0.81 * 2.4, rel=1e-3)  # its light stays the same
    assert (image == 100).all()
    bright = with_targets(np.full((64, 64), 254, np.uint8), planted, 0, Optics(0.9), rng)
    assert bright.max() == 255
    assert bright.min() == 254


def test_places_are_free_and_the_paths_straight() -> None:
    rng = np.random.default_rng(1)
    sight = sight_of([noisy(np.full((256, 320), 90.0), 0)])
    taken = np.array([[160.0, 128.0], [60.0, 60.0]])
    times = np.arange(10) / 10
    drift = [np.array([[1, 0, 2.0 * i], [0, 1, 0.0]]) for i in range(10)]
    found = plan((256, 320), 8, (2.0, 5.0), sight, taken, np.array([30.0]), times, drift, rng)
    assert len(found) == 8
    assert [t.scr for t in found] == [2.0, 5.0] * 4
    every = np.concatenate([t.xy_px for t in found])
    assert (every >= 16).all()
    assert (every < (304, 240)).all()
    for t in found:
        assert np.linalg.norm(t.xy_px[:, None] - taken, axis=2).min() > 30
        steps = np.diff(t.xy_px, axis=0) - (2.0, 0.0)  # the scene carries them along
        assert np.linalg.norm(steps, axis=1) == pytest.approx(np.full(9, 3.0))
        assert np.abs(steps - steps[0]).max() < 1e-9
        assert t.peak == pytest.approx(t.scr * 1.5, rel=0.1)
    assert plan((40, 40), 8, (2.0,), sight, taken, np.array([9.0]), times, drift, rng) == []
    assert len(plan((96, 96), 8, (2.0,), sight, taken[:0], np.array([9.0]), times, drift, rng)) < 8  # full


def test_the_local_deviation_is_the_surroundings() -> None:
    image = np.random.default_rng(0).normal(100, 1, (200, 200))
    image[:, 100:] = np.random.default_rng(1).normal(100, 6, (200, 100))
    found = local_deviation(np.round(np.clip(image, 0, 255)).astype(np.uint8))
    assert found[100, 40] == pytest.approx(1.04, rel=0.1)
    assert found[100, 160] == pytest.approx(6.0, rel=0.1)


def test_intervals_hold_what_they_promise() -> None:
    for p, n in ((0.1, 20), (0.5, 12), (0.9, 40)):
        held = sum(binom.pmf(k, n, p) for k in range(n + 1) if interval(k / n, n)[0] <= p <= interval(k / n, n)[1])
        assert held > 0.92
    assert interval(0.0, 0) == (0.0, 1.0)
    for rate in (0.5, 3.0):
        sums = (poisson.pmf(k, 10 * rate) for k in range(100))
        held = sum(m for k, m in enumerate(sums) if rate_interval(k, 10)[0] <= rate <= rate_interval(k, 10)[1])
        assert held >= 0.95
    assert rate_interval(0, 0) == (0.0, float("inf"))


# -- beside a camera --------------------------------------------------------------------------------------------------


def test_what_the_camera_itself_finds_is_not_touched(shadow: Detector) -> None:
    """A detector and a tracker with a memory, with and without a self-test beside them: the same to the last digit."""
    scene = Scene(scene_from_text("clutter,width=160,height=128,frames=36,targets=3,scr=14,seed=2"))
    video = DetectorSettings(mode="video", device="cpu", weights="datransnet-s")
    frames = [Frame(i, i / 25, scene.image(i)) for i in range(36)]

    def run(beside: SelfTest | None) -> Iterator[tuple[Floats, Floats]]:
        detector, tracker = load_detector(video), make_tracker(SETTINGS)
        for frame in frames:
            kept = frame.image.copy()
            result = process_frame(frame, detector, tracker)
            if beside is not None:
                beside.write(result)
                assert np.array_equal(frame.image, kept)
            yield result.detections.xy_px, result.tracks.x  # type: ignore[attr-defined]

    settings = replace(STRONG, seconds=0.2, pause_s=0.08, period_s=0.4)
    test = SelfTest(lambda: shadow, lambda: make_tracker(SETTINGS), settings)
    for (a, b), (c, d) in zip(run(None), run(test), strict=True):
        assert np.array_equal(a, c)
        assert np.array_equal(b, d)
    assert report_of(test).frames >= 6


class Counting:
    """A detector that finds nothing, and takes its time."""

    threshold, min_area_px, regions = 0.5, 1, None

    def __init__(self) -> None:
        self.looked = 0
        self.now_s = 0.0

    def __call__(self, image: Image) -> Detections:
        self.looked += 1
        self.now_s += 10.0
        return Detections.empty()


def test_it_takes_one_picture_at_a_time_and_no_more_time_than_it_may(view: Scene) -> None:
    slow = Counting()
    settings = replace(STRONG, period_s=20.0, seconds=0.4, pause_s=0.5, most_s=25.0)
    test = SelfTest(lambda: slow, lambda: make_tracker(SETTINGS), settings, clock=lambda: slow.now_s)
    image, looked, begun = view.image(0), [], 0
    for i in range(600):  # a minute
        before = slow.looked
        test.write(FrameResult(Frame(i, i / 10, image), Detections.empty(), (), {}))
        assert slow.looked - before <= 1
        if slow.looked > before:
            looked.append(i / 10)
    assert slow.looked == 3 * 3  # cut short after 30 s of computing, three times
    assert np.diff(looked).min() >= 0.5 - 1e-9
    begun = report_of(test).batches
    assert begun == 3
    assert report_of(test).spent_ms == pytest.approx(10_000)
    assert report_of(test).rows[0].pd == 0.0
    # The camera is opened anew, its time begins again: the batch that was collected is dropped, the next ones come.
    for i in range(300):
        test.write(FrameResult(Frame(i, i / 10, image, connection=1), Detections.empty(), (), {}))
    assert report_of(test).batches > 3  # those of before count on
    assert slow.looked > 9
    test.close()


def test_batches_count_for_a_day(view: Scene) -> None:
    ages = iter([0.0, 50_000.0, 100_000.0])
    test = SelfTest(Counting, lambda: make_tracker(SETTINGS), STRONG, age=lambda: next(ages))
    for expected in (1, 2, 2):
        test.run(clip_of(view, 0, frames=3))
        assert report_of(test).batches == expected


def test_a_shadow_that_fails_is_said_and_tried_again(view: Scene, caplog: pytest.LogCaptureFixture) -> None:
    working: list[Detector] = []

    def make() -> Detector:
        if not working:
            raise RuntimeError("out of memory")
        return working[0]

    test = SelfTest(make, lambda: make_tracker(SETTINGS), replace(STRONG, period_s=5.0, seconds=0.4, pause_s=0.0))
    image = view.image(0)
    for i in range(100):
        if i == 80:
            assert test.trouble == "RuntimeError: out of memory"
            assert test.report() is None
            working.append(Counting())
        test.write(FrameResult(Frame(i, i / 5, image), Detections.empty(), (), {}))
    assert (test.trouble, report_of(test).batches) == ("", 1)
    assert len(caplog.records) == 1


def test_selftest_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = "sim:sky,width=192,height=160,frames=40,targets=2,scr=14,drift_px_s=0"
    out = tmp_path / "r.json"
    call = ["selftest", scene, "--device", "cpu", "--weights", "datransnet-s", "--batches", "2", "--seconds", "0.3"]
    assert main([*call, "--scr", "3,14", "--targets", "4", "--json", str(out)]) == 0
    said = capsys.readouterr().out
    assert "done: 2 times 0.3 s" in said
    values = json.loads(out.read_text())
    assert [row["scr"] for row in values["rows"]] == [3.0, 14.0]
    assert values["rows"][0]["pd"] < values["rows"][1]["pd"]
    assert main([*call, "--reference", str(out)]) == 0
    assert "blur since the reference 0.0 px" in capsys.readouterr().out
    for wrong, word in (
        (["--scr", "2,x"], "numbers such as"), (["--scr", "2,2"], "each of them once"),
        (["--batches", "0"], "--batches"), (["--json", str(out)], "exists"),
        (["--reference", str(tmp_path)], "cannot read"), (["--mode", "video"], "whole frames"),
    ):  # fmt: skip
        assert main([*call, *wrong]) == 1
        assert word in capsys.readouterr().err
    small = "sim:sky,width=32,height=32,frames=20,targets=0"
    assert main(["selftest", small, *call[2:]]) == 1
    assert "no free place" in capsys.readouterr().err
    assert main(["selftest", small, *call[2:], "--reference", str(out)]) == 1
    assert "another size or depth" in capsys.readouterr().err


def test_process_gives_results_that_a_self_test_takes(view: Scene, shadow: Detector) -> None:
    """Scenes and tracks of a real tracker are in them."""
    scene = Scene(scene_from_text("sky,width=160,height=128,frames=16,targets=2,scr=14,seed=4"))
    frames = (Frame(i, i / 25, scene.image(i)) for i in range(16))
    clip = list(process(frames, shadow, make_tracker(SETTINGS)))
    assert clip[-1].scene is not None
    test = SelfTest(lambda: shadow, lambda: make_tracker(SETTINGS), STRONG)
    test.run(clip)
    report = report_of(test)
    assert report.false_tracks == 0  # what is really there counts for nothing


def test_a_reference_is_read_in_one_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the command and by a station; what cannot be used is one line, and a station begins anew."""
    kept = tmp_path / "selftest" / "north.json"
    kept.parent.mkdir()
    camera = CameraSettings(name="north", source="north")
    made = lambda: Shadow(ShadowSettings(on=True), camera, tmp_path, lambda s, c: pytest.fail("not asked for"))  # noqa: E731
    assert made()._kept is None
    assert caplog.text == ""
    for text in ("no JSON", "[1]", "{}", '{"reference": null}', '{"reference": {"deviation": [1]}}', "[" * 10_000):
        kept.write_text(text)
        with pytest.raises(IrtrackError, match=r"north\.json is no reference of irtrack selftest"):
            read_sight(kept)
        assert made()._kept is None
        assert caplog.records[-1].message.startswith(f"camera north: {kept} is no reference of irtrack selftest")
    kept.unlink()
    kept.mkdir()
    with pytest.raises(IrtrackError, match="cannot read"):
        read_sight(kept)
    kept.rmdir()
    sight = sight_of([np.random.default_rng(0).normal(100, 5, (64, 64)).astype(np.uint8)])
    kept.write_text(json.dumps({"reference": sight.to_dict()}))
    assert read_sight(kept).kind == sight.kind
    found = made()._kept
    assert found is not None
    assert np.allclose(found.deviation, sight.deviation)
