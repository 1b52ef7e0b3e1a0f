"""Belief in tracks: what it is made of, what it is learned from, and what is believed of scenes with truth."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from irtrack.cli import main as irtrack
from irtrack.config import TrackerSettings
from irtrack.core import ConfigError, Detections, Floats, Frame, FrameResult, IrtrackError
from irtrack.imaging.noise import noise
from irtrack.sinks.text import JsonLinesSink
from irtrack.track.belief import CLUTTER, PARTS, TABLES, Beliefs, beliefs, shipped, text_of
from irtrack.track.design import TrackerDesign
from irtrack.track.learn import KNOTS, Samples, false_rate, learn
from irtrack.track.surroundings import surroundings
from irtrack.track.tracker import KalmanTracker

MOTION, SCORE = PARTS.index("motion"), PARTS.index("score")


def at(*points: tuple[float, float], score: float = 0.99, snr: float = 9.0) -> Detections:
    n = len(points)
    xy = np.array(points, float).reshape(n, 2)
    return Detections(xy, np.full(n, score), np.full(n, 4.0), np.column_stack([xy - 1, np.full((n, 2), 2.0)]),
                      np.full(n, snr))  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_read_back_as_written(name: str, tmp_path: Path) -> None:
    own = shipped(name)
    path = tmp_path / "mine.toml"
    path.write_text(text_of(own, name, "mine"))
    again = beliefs(str(path), name)
    assert again.rate == pytest.approx(own.rate, abs=1e-4)
    for mine, theirs in ((again.knots, own.knots), (again.nats, own.nats), (again.bias, own.bias)):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)
    other = "picture" if name == "bare" else "bare"
    assert beliefs(str(path), other) is shipped(other), "a table that a file lacks is the one that comes with irtrack"


def test_a_table_of_an_earlier_version_says_nothing_of_what_it_did_not_know(tmp_path: Path) -> None:
    text = text_of(shipped("picture"), "picture", "mine")
    old, part = tmp_path / "old.toml", PARTS.index("change")
    old.write_text(text[: text.index("[picture.parts.change]")])
    assert not beliefs(str(old), "picture").nats[:, part].any()
    assert not beliefs(str(old), "temporal").nats[:, part].any(), (
        "what was learned then serves where change is told, too"
    )
    known = np.full((2, len(PARTS)), np.nan)
    known[0, part] = 3.0
    assert np.ptp(beliefs(str(old), "picture")(known)) == 0
    (tmp_path / "torn.toml").write_text(text[: text.index("[picture.parts.pinned]")])
    with pytest.raises(ConfigError, match="no table of beliefs"):
        beliefs(str(tmp_path / "torn.toml"), "picture")


@pytest.mark.parametrize(
    ("change", "say"),
    [
        (lambda t: t.replace("[picture.parts.motion]", "[picture.parts.emotion]"), "no table of beliefs"),
        (lambda t: t.replace("fixture = [", "fixture = [nan, ", 1), "no table of beliefs|numbers missing"),
        (lambda t: t.replace("bias", "bios"), "no table of beliefs"),
        (lambda t: t[: len(t) // 2], "no table of beliefs"),
        (lambda t: t.replace("rate = [", "rate = [0.0, -1.0] #", 1), "above 0"),
    ],
)
def test_a_broken_table_is_one_line(change, say: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.toml"
    path.write_text(change(text_of(shipped("picture"), "picture", "mine")))
    with pytest.raises(ConfigError, match=say) as caught:
        KalmanTracker(TrackerSettings(beliefs=str(path)))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot read beliefs"):
        beliefs(str(tmp_path / "none.toml"), "picture")


def known(rng: np.random.Generator, n: int, motion: float, count: int) -> Floats:
    """What is known of n tracks with `count` detections, whose motion is normal about this; little else is known."""
    rows = np.full((n, len(PARTS)), np.nan)
    rows[:, PARTS.index("detections")] = np.log(count)
    rows[:, MOTION] = rng.normal(motion, 0.5, n)
    return rows


def samples(rng: np.random.Generator, n: int = 4000) -> Samples:
    """Targets whose ln (1 + px) of motion lies about 3, and fixtures about 2, each with 20 detections."""
    target = np.arange(2 * n) < n
    rows = np.concatenate([known(rng, n, 3.0, 20), known(rng, n, 2.0, 20)])
    return Samples(rows, np.arange(2 * n), target, np.zeros(2 * n, np.int64), 2.0)


def test_what_is_learned_is_the_likelihood_ratio(rng: np.random.Generator) -> None:
    """Of two normal densities it is a straight line: (x - 2.5) (3 - 2) / 0.5^2."""
    made = learn(samples(rng))
    x = np.array([2.2, 2.4, 2.6, 3.0])  # within the knots at 10 and 25 px
    rows = known(rng, len(x), 0.0, 20)
    rows[:, MOTION] = x
    np.testing.assert_allclose(made(rows), (x - 2.5) / 0.25, atol=0.8)
    rises = np.diff(made.nats, axis=2)
    assert (rises[:, MOTION] >= 0).all()
    assert abs(rises[:, SCORE]).max() == 0, "what was never known says nothing"


def test_nothing_new_leaves_the_functions_as_they_were(rng: np.random.Generator) -> None:
    """Tracks of which only the motion is known teach about motion alone."""
    own = shipped("picture")
    made = learn(samples(rng, 500), own)
    parts = [i for i in range(len(PARTS)) if i not in (MOTION, PARTS.index("detections"))]
    np.testing.assert_allclose(np.diff(made.nats, axis=2)[:, parts], np.diff(own.nats, axis=2)[:, parts], atol=1e-3)


def test_too_little_to_learn_from_is_said(rng: np.random.Generator) -> None:
    with pytest.raises(IrtrackError, match="19 tracks of targets and 19 of clutter are too few"):
        learn(samples(rng, 19))


def test_the_rate_of_false_tracks_is_that_of_the_tail(rng: np.random.Generator) -> None:
    """Beliefs of clutter with an exponential tail of 1.5 a nat, 5,000 tracks in 10 hours."""
    flat = np.zeros((2, len(PARTS), 2))
    flat[1, MOTION] = (0, 40)
    only_motion = Beliefs(np.tile([0.0, 40.0], (len(PARTS), 1)), flat, np.array([99.0, 0.0]), (0.0, 1.0))
    rows = np.full((5000, len(PARTS)), np.nan)
    rows[:, MOTION] = rng.exponential(1 / 1.5, 5000)
    a, b = false_rate(only_motion, Samples(rows, np.arange(5000), np.zeros(5000, bool), np.zeros(5000, np.int64), 10.0))
    assert b == pytest.approx(1.5, rel=0.4)
    limit = replace(only_motion, rate=(a, b)).threshold(3.0)
    assert np.exp(-1.5 * limit) * 500 == pytest.approx(3.0, rel=0.6)


def test_caution_sets_the_threshold() -> None:
    for name in ("picture", "bare"):
        limits = [shipped(name).threshold(c) for c in (1, 10, 100)]
        assert limits == sorted(limits, reverse=True)
        assert np.ptp(np.diff(limits)) == pytest.approx(0)
    seen = {}
    for caution in (1e-3, 1e9):
        tracker = KalmanTracker(TrackerSettings(caution=caution, camera_motion="off"))
        for i in range(12):
            tracks = tracker(at((50.0 + 2 * i, 50.0)), i / 30)
        seen[caution] = tracks[0].confirmed
    assert seen == {1e-3: False, 1e9: True}


@pytest.mark.parametrize("deviation", [0.0, 1.5, 12.0])
def test_a_plain_sky_is_even_whatever_its_noise_slope_and_targets(deviation: float, rng: np.random.Generator) -> None:
    sky = 60 + deviation * rng.standard_normal((256, 320)) + np.linspace(0, 80, 256)[:, None]
    if deviation:
        assert noise(np.clip(sky, 0, 255).astype(np.uint8)) == pytest.approx(deviation, rel=0.1)
    places = rng.uniform(20, 230, (6, 2))
    sides = np.full(6, 3.0)
    alone = surroundings(np.clip(sky, 0, 255).astype(np.uint8), places, sides)
    assert alone[:, 0].max() < 0.8
    assert alone[:, 1].max() < 1.5
    for x, y in places.astype(int):
        sky[y - 1 : y + 2, x - 1 : x + 2] = 255
    seen = surroundings(np.clip(sky, 0, 255).astype(np.uint8), places, sides)
    assert np.abs(seen[:, 0] - alone[:, 0]).max() < 0.8
    assert seen[:, 1].min() > 1
    assert surroundings(sky.astype(np.uint8), np.zeros((0, 2)), np.zeros(0)).shape == (0, 2)


def test_houses_are_uneven_and_a_window_does_not_stand_out(rng: np.random.Generator) -> None:
    city = 100 + 2 * rng.standard_normal((256, 320))
    city[:, 160:] += 60 * ((np.indices((256, 160)) // 9).sum(0) % 2)
    places = np.array([[60.0, 128], [240, 128], [319, 255], [0, 0]])
    told, stands_out = surroundings(city.astype(np.uint8), places, np.full(4, 9.0)).T
    assert told[1] > 2
    assert told[0] < 0.8
    assert told[2] > 2 > 0.8 > told[3]
    assert stands_out[1] < 1


@pytest.mark.parametrize("side", [3, 12, 30])
def test_what_surrounds_a_large_target_is_not_the_target(side: int, rng: np.random.Generator) -> None:
    sky = 100 + 2 * rng.standard_normal((512, 640))
    sky[250 : 250 + side * 2 // 3, 300 : 300 + side] = 200
    where = np.array([[300 + side / 2, 250 + side / 3]])
    uneven, stands_out = surroundings(sky.astype(np.uint8), where, np.array([float(side)]))[0]
    assert uneven < 1
    assert stands_out > 2.5


def test_why_is_said_of_tracks_and_of_what_is_none_yet(tmp_path: Path) -> None:
    """One that flies and one that stands still, in the JSON log: the parts add up to the belief."""
    path, rng = tmp_path / "t.jsonl", np.random.default_rng(0)
    image = rng.integers(90, 110, (120, 200)).astype(np.uint8)
    sink, tracker = JsonLinesSink(path), KalmanTracker(TrackerSettings(camera_motion="off"))
    for i in range(30):
        found = at((20 + 3.0 * i, 30.0), (150.0, 90.0), score=0.9)
        sink.write(FrameResult(Frame(i, i / 30, image), found, tracker(found, i / 30, image), {}))
    sink.close()
    last = json.loads(path.read_text().splitlines()[-1])
    both = last["tracks"] + last["candidates"]
    assert len(both) == 2
    own = shipped("picture")
    limit = own.threshold(TrackerSettings().caution)
    for track in both:
        assert track["belief"] >= -TrackerDesign().retreat_nats if track in last["tracks"] else track["belief"] < 0
        sums = [own.bias[k] + sum(track["reasons"][kind].values()) for k, kind in enumerate(CLUTTER)]
        assert track["belief"] == pytest.approx(-np.logaddexp(-sums[0], -sums[1]) - limit, abs=0.1)
    flies, stands = sorted(both, key=lambda t: -t["reasons"]["fixture"]["motion"])
    assert flies["belief"] > stands["belief"]
    assert flies["reasons"]["fixture"]["motion"] > 0 > stands["reasons"]["fixture"]["motion"]


def test_knots_are_those_of_what_is_learned() -> None:
    """`irtrack tune` starts from the shipped functions: they bend at the same places."""
    for name in TABLES:
        np.testing.assert_allclose(shipped(name).knots, np.array([KNOTS[p] for p in PARTS]), atol=1e-3)


@pytest.mark.parametrize("old", ["--confirm-hits", "--confirm-snr", "--min-motion-px"])
def test_old_options_are_refused_with_what_replaces_them(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        irtrack(["run", "sim:sky", old, "3"])
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert old in said
    assert "caution" in said


def test_tune_learns_from_a_users_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scene full of targets and specks: what is written is read, and believes more of what is there."""
    clip, out = tmp_path / "clip.mkv", tmp_path / "mine.toml"
    scene = "sky,targets=30,specks=6,frames=70,speed_px_s=25,seed=4,scr=12"
    assert irtrack(["simulate", scene, "--out", str(clip)]) == 0
    with (tmp_path / "clip.truth.csv").open() as f:
        rows = list(csv.DictReader(f))
    boxes = [f"{r['frame']},{float(r['x_px']) - 1},{float(r['y_px']) - 1},3,3" for r in rows]
    assert irtrack(["tune", str(clip), "--out", str(out), "--weights", "datransnet-s"]) == 1
    assert "lies beside it" in capsys.readouterr().err
    (tmp_path / "clip.gt.csv").write_text("\n".join(["frame,x,y,w,h", *boxes]))
    assert irtrack(["tune", str(clip), "--out", str(out), "--weights", "datransnet-s"]) == 0
    said = capsys.readouterr().out
    assert "tracks of targets believed" in said
    assert f"--beliefs {out}" in said
    made = beliefs(str(out), "temporal")
    assert not np.allclose(made.nats, shipped("temporal").nats, atol=1e-3)
    assert beliefs(str(out), "picture") is shipped("picture"), (
        "of detections without the temporal stage it says nothing"
    )
    KalmanTracker(TrackerSettings(beliefs=str(out)))
    (tmp_path / "clip.gt.csv").write_text("frame,left\n1,2\n")
    assert irtrack(["tune", str(clip), "--out", str(out), "--force"]) == 1
    assert "clip.gt.csv" in capsys.readouterr().err
