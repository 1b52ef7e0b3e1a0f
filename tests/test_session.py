"""The session under the window, without it: three clocks, one truth; choices, recipes, edits, errors."""

from __future__ import annotations

import ast
import csv
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_gui_picture import track as snapshot

from irtrack.build import make_tracker
from irtrack.capture import open_source
from irtrack.cli import main
from irtrack.config import DetectorSettings, Settings
from irtrack.core import (
    Clock,
    ConfigError,
    Detections,
    Frame,
    FrameResult,
    Image,
    IrtrackError,
    Source,
    SourceError,
    SourceInfo,
    Track,
    TrackStatus,
)
from irtrack.detect.extraction import extract
from irtrack.imaging.motion import moved, moved_back
from irtrack.imaging.regions import Regions
from irtrack.pipeline import process
from irtrack.session import loading
from irtrack.session.alarms import Alarm, AlarmRules, alarms_from
from irtrack.session.analysis import Analysis
from irtrack.session.byhand import Click, trail_of
from irtrack.session.edits import MADE_FROM, Edits, History
from irtrack.session.export import export_tracks, write_about
from irtrack.session.picture import OLDEST_S, predicted
from irtrack.session.playback import Playback
from irtrack.session.recipe import Recipe
from irtrack.session.reel import LiveView, Reel
from irtrack.session.scoremap import ScoreMap
from irtrack.session.session import Session
from irtrack.session.store import LIVE_FRAMES, ResultStore
from irtrack.simulate import Scene, scene_from_text

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = Settings(detector=DetectorSettings(weights="datransnet-s", mode="exact"))
PATIENCE_S = 60.0
SCENE = "sim:sky,width=96,height=80,frames=60,targets=3,scr=14,seed=5,speed_px_s=45"


class Bright:
    """A detector without a network: what is brighter than its surroundings; waits for `go` before each frame."""

    def __init__(self) -> None:
        self.threshold, self.min_area_px, self.regions = 0.5, 1, Regions()
        self.go = threading.Event()
        self.go.set()
        self.looked = 0

    def __call__(self, image: Image) -> Detections:
        self.go.wait()
        self.looked += 1
        away = image.astype(np.float32) - cv2.medianBlur(image, 9)
        scores = np.clip(away / 12.0, 0.0, 1.0)
        return extract(scores, image, self.threshold, self.min_area_px, 1500, self.regions.allowed(image.shape))


@pytest.fixture
def detector() -> Bright:
    return Bright()


@pytest.fixture
def session(detector: Bright) -> Iterator[Session]:
    made = Session(SETTINGS)
    made.use(detector)
    yield made
    detector.go.set()
    made.shutdown()


def until(session: Session, condition: Callable[[], object]) -> None:
    """Tick until something is so."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "did not happen"
        session.tick()
        time.sleep(0.002)


def whole(session: Session) -> bool:
    """Whether the recording was analysed to its end, and that is what is shown."""
    return session.store.whole


def rows(results: Iterator[FrameResult]) -> list[tuple[object, ...]]:
    """All that tracks say, to the last bit."""
    return [
        (r.frame.index, t.id, str(t.status), t.xy_px.tobytes(), t.velocity_px_s.tobytes(), t.covariance.tobytes())
        for r in results
        for t in r.tracks
    ]


def one_pass(text: str, recipe: Recipe) -> list[tuple[object, ...]]:
    """The same without any of it."""
    found, source = Bright(), open_source(text)
    recipe.use_in(found)
    return rows(process(source, found, make_tracker(Session(SETTINGS).settings)))


# -- analysis ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_tracks_do_not_depend_on_where_somebody_looked(session: Session, seed: int) -> None:
    rng = random.Random(seed)
    expected = one_pass(SCENE, session.recipe.value)
    assert len({row[1] for row in expected}) >= 3
    session.open(SCENE)
    until(session, lambda: session.position is not None)
    acts: tuple[Callable[[], object], ...] = (
        session.play, session.pause, lambda: session.step(rng.choice((-1, 1))),
        lambda: session.seek(rng.randrange(60)), session.seek_end,
    )  # fmt: skip
    for _ in range(80):
        rng.choice(acts)()
        session.tick()
        time.sleep(0.001)
    until(session, lambda: whole(session))
    assert rows(session.store.results()) == expected
    assert not session.older


def test_what_is_not_analysed_is_a_plain_picture_and_gets_its_tracks_when_they_come(
    session: Session, detector: Bright
) -> None:
    detector.go.clear()
    session.open(SCENE)
    until(session, lambda: session.position is not None)
    session.pause()
    session.seek(40)
    until(session, lambda: session.picture is not None and session.picture.result.frame.index == 40)
    assert session.picture is not None
    assert session.picture.age_s is None
    assert not session.picture.result.tracks
    detector.go.set()
    until(session, lambda: session.picture is not None and session.picture.analysed)
    assert session.picture.result.frame.index == 40  # nobody had to move
    assert len([t for t in session.picture.result.tracks if t.confirmed]) >= 2


def test_a_change_marks_results_as_older_and_another_pass_makes_them_anew(session: Session, detector: Bright) -> None:
    session.open(SCENE)
    until(session, lambda: whole(session))
    before, looked = rows(session.store.results()), detector.looked
    session.choose(threshold=0.9)
    assert session.older == ["threshold"]
    assert rows(session.store.results()) == before  # an export mixes nothing
    session.choose(threshold=0.5)
    assert session.older == []  # as it was: nothing to do
    session.choose(threshold=0.3, min_area_px=2)
    session.regions.set({"exclude": (((0.0, 0.0), (50.0, 0.0), (50.0, 80.0), (0.0, 80.0)),)})
    assert session.older == ["threshold", "smallest size", "regions"]
    session.analyse_again()
    assert session.changed_since == []
    assert session.older  # that is still shown, and said of an export
    until(session, lambda: whole(session) and session.store.recipe == session.recipe.value)
    assert detector.looked == looked  # from the scores that were kept: no network
    assert rows(session.store.results()) == one_pass(SCENE, session.recipe.value) != before


def test_another_model_needs_the_network_again(
    session: Session, detector: Bright, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.open(SCENE)
    until(session, lambda: whole(session))
    other = Bright()
    monkeypatch.setattr(loading, "make_detector", lambda settings, source: other)
    session.choose(weights="datransnet")
    assert session.older == ["model"]
    until(session, lambda: not session.loader.loading)
    session.analyse_again()
    until(session, lambda: whole(session) and session.store.recipe == session.recipe.value)
    assert other.looked == 60
    assert detector.looked == 60


def test_a_change_acts_on_the_picture_on_screen_at_once(session: Session, detector: Bright) -> None:
    session.open(SCENE)
    until(session, lambda: whole(session))
    session.pause()
    session.seek(30)
    until(session, lambda: session.picture is not None and session.picture.result.frame.index == 30)

    def shown() -> Detections:
        session.tick()
        assert session.picture is not None
        return session.picture.result.detections

    before, looked = shown(), detector.looked
    assert before.mask is not None
    session.choose(threshold=0.95)
    fewer = shown()
    assert fewer.mask is not None
    assert fewer.mask.sum() < before.mask.sum()
    session.choose(threshold=0.5, min_area_px=79)
    assert len(shown()) == 0
    session.choose(min_area_px=1)
    np.testing.assert_array_equal(shown().xy_px, before.xy_px)
    assert detector.looked == looked


def test_older_results_stay_until_the_new_pass_has_come_as_far(session: Session, detector: Bright) -> None:
    session.open(SCENE)
    until(session, lambda: whole(session))
    old = session.store
    old._maps.clear()  # as if there were too many scores to keep: the network is asked again
    detector.go.clear()
    session.choose(threshold=0.3)
    session.analyse_again()
    until(session, lambda: session.analysis is not None and session.analysis.store is not old)
    for _ in range(50):
        session.tick()
        time.sleep(0.002)
    assert session.store is old
    assert detector.looked == 60
    detector.go.set()
    until(session, lambda: session.store is not old and whole(session))
    assert session.store is not old
    assert len(session.store) == 60


def test_edits_are_carried_to_the_tracks_of_another_pass(session: Session) -> None:
    session.open(SCENE)
    until(session, lambda: whole(session))
    lives = session.lives()
    named, dropped = sorted(lives, key=lambda t: lives[t][0] - lives[t][1])[:2]
    place = session.store.places(named)
    session.edits.edit(session.edits.value.renamed(named, "drone").with_mark(named, True).without(dropped))
    session.choose(threshold=0.6)
    session.analyse_again()
    until(session, lambda: whole(session) and session.store.recipe == session.recipe.value)
    edits = session.edits.value
    (again,) = edits.names
    there = session.store.places(again)
    common = place.keys() & there.keys()
    assert 2 * sum(np.hypot(*np.subtract(place[i], there[i])) < 6 for i in common) > len(common) > 10
    assert edits.marked == {again}
    assert len(session.lives()) == len(session.store.lives()) - 1


def test_another_pass_keeps_the_selection_the_way_back_and_the_alarms(session: Session) -> None:
    called: list[Alarm] = []
    session.called.connect(lambda alarm, result: called.append(alarm))
    session.rules.set(AlarmRules(on=True, holdoff_s=0.0))
    session.open(SCENE)
    until(session, lambda: whole(session))
    session.tick()
    calls = len(called)
    assert calls == len(session.store.alarms) > 0
    chosen = max(session.lives())
    place = session.store.places(chosen)
    session.edits.edit(session.edits.value.renamed(chosen, "A"))
    session.edits.edit(session.edits.value.renamed(chosen, "B"))
    session.selected.set(chosen)
    session.choose(threshold=0.35)
    session.analyse_again()
    until(session, lambda: whole(session) and session.store.recipe == session.recipe.value)
    session.tick()
    assert len(called) == calls  # nobody is called twice for the same thing
    assert session.store.alarms  # and the list has those of the results that are shown
    now = session.selected.value
    assert now is not None
    there = session.store.places(now)
    common = sorted(place.keys() & there.keys())
    assert all(np.hypot(*np.subtract(place[i], there[i])) < 6 for i in common[:5])
    assert session.edits.value.names == {now: "B"}
    assert session.edits.undo()
    assert session.edits.value.names == {now: "A"}


def test_a_time_is_gone_to_by_the_times_of_the_frames(session: Session) -> None:
    session.open(SCENE)
    until(session, lambda: whole(session))
    frames = list(session.store.results())
    uneven = ResultStore()
    for result in frames:
        uneven.add(replace(result, frame=replace(result.frame, time_s=(result.frame.index / 30) ** 2)))
    for index in (0, 7, 31, 59):
        assert uneven.at_time((index / 30) ** 2 + 0.0001) == index
    session.pause()
    session.seek_time(31 / 30 + 0.01)
    until(session, lambda: session.position == 31)


def test_a_trail_goes_back_to_where_the_track_was_last_missing() -> None:
    store = ResultStore()
    for index in (0, 1, 2, 5, 6, 7):
        tracks = () if index == 5 else (snapshot(1, 10.0 + index, 20.0),)
        store.add(FrameResult(Frame(index, index / 10, np.zeros((40, 40), np.uint8)), Detections.empty(), tracks, {}))
    assert store.trail(1, 7, 0.0)[:, 0].tolist() == [16.0, 17.0]
    assert store.trail(1, 2, 0.1)[:, 0].tolist() == [11.0, 12.0]
    assert store.trail(2, 7, 0.0).shape == (0, 2)


def test_scores_are_kept_to_the_bit_above_the_least_threshold() -> None:
    scores = np.random.default_rng(3).random((30, 40)).astype(np.float32) ** 6
    again = ScoreMap.of(scores).full()
    for threshold in (0.01, 0.2, 0.5, 0.9):
        np.testing.assert_array_equal(scores > threshold, again > threshold)
    np.testing.assert_array_equal(again[again > 0], scores[scores > np.float32(0.01)])


def test_every_frame_of_a_camera_knows_what_it_was_made_with(session: Session, tmp_path: Path) -> None:
    session.open("simcam:sky,width=96,height=80,frames=30,targets=2,scr=14")
    until(session, lambda: len(session.store) >= 5)
    session.choose(threshold=0.7)
    at = (session.store.reach() or (0, 0))[1]
    until(session, lambda: (session.store.reach() or (0, 0))[1] > at + 5)
    session.pause()
    recipes = session.store.recipes()
    assert [r.detector.threshold for _, _, r in recipes if r is not None] == [0.5, 0.7]
    export_tracks(session.store.results(), tmp_path / "t.jsonl", session.settings, Edits(), None, session.started)
    write_about(tmp_path / "t.jsonl", session)
    about = json.loads((tmp_path / "t.jsonl.about.json").read_text())
    assert [made["detector"]["threshold"] for made in about["made_with"]][:2] == [0.5, 0.7]
    assert about["made_with"][0]["last_frame"] < about["made_with"][1]["first_frame"]
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert lines[0]["time_s"] < 30  # since the camera was opened, not since the machine was started
    assert lines[0]["utc"].startswith(str(session.started.year if session.started else 0))
    assert about["started_utc"] is not None


# -- the picture of a recording ---------------------------------------------------------------------------------------


def test_a_recording_plays_at_its_own_rate_whatever_detection_does() -> None:
    """With a clock of the test's own: after a second of it, a second of the recording has been shown."""
    now = [0.0]
    playback = Playback(lambda: open_source(SCENE), None, 60, 30.0, lambda: now[0])
    seen: list[int] = []

    def play_to(index: int, step_s: float) -> float:
        """Of the clock, until a picture is shown; it stands while the decoder is behind."""
        begun, end = now[0], time.monotonic() + PATIENCE_S
        while playback.position != index:
            assert time.monotonic() < end
            frame = playback.tick(None, False)
            seen.extend([frame.index] if frame is not None else [])
            if playback._viewer._kept.get((playback.position or 0) + 1) is not None:
                now[0] += step_s
            else:
                time.sleep(0.001)
        return now[0] - begun

    try:
        playback.seek(0)
        assert play_to(29, 1 / 120) == pytest.approx(29 / 30, abs=0.05)
        assert [i for i in seen if i > 0] == list(range(1, 30))
        playback.set_speed(0.5)
        assert play_to(33, 1 / 120) == pytest.approx(8 / 30, abs=0.05)
    finally:
        playback.close()


def test_every_frame_follows_the_analysis() -> None:
    playback = Playback(lambda: open_source(SCENE), None, 60, 30.0)
    try:
        playback.set_speed(None)
        playback.seek(0)
        end = time.monotonic() + PATIENCE_S
        for analysed in range(1, 8):
            while playback.position != analysed:
                assert time.monotonic() < end
                playback.tick(analysed, False)
            for _ in range(5):
                playback.tick(analysed, False)
            assert playback.position == analysed
    finally:
        playback.close()


def test_numbers_that_a_recording_leaves_out_are_passed_over() -> None:
    class Gaps:
        live, info, frames = False, SourceInfo("gaps", 4, 4, 8, 30.0, 9), (0, 1, 2, 5, 6, 8)

        def __init__(self) -> None:
            self._next = 0

        def __iter__(self) -> Iterator[Frame]:
            for index in self.frames:
                if index >= self._next:
                    yield Frame(index, index / 30, np.zeros((4, 4), np.uint8))

        def seek(self, index: int) -> None:
            self._next = index

        def close(self) -> None:
            pass

    playback = Playback(Gaps, None, 9, 30.0)
    try:
        playback.set_speed(None)
        playback.seek(0)
        seen: list[int] = []
        end = time.monotonic() + PATIENCE_S
        while playback.playing:
            assert time.monotonic() < end
            frame = playback.tick(100, True)
            if frame is not None:
                seen.append(frame.index)
        assert [i for i in seen if i] == [1, 2, 5, 6, 8]
    finally:
        playback.close()


def test_tracks_end_in_the_window_as_in_the_log(session: Session, tmp_path: Path) -> None:
    """Targets that fly to where nothing is looked for: what a track coasts there is drawn, and is no part of it."""
    session.choose(exclude="48,-1 97,-1 97,81 48,81")
    session.open("sim:sky,width=96,height=80,frames=90,targets=5,scr=14,seed=11,speed_px_s=60")
    until(session, lambda: whole(session))
    store = session.store
    coasts = {t.id: r.frame.index for r in store.results() for t in r.tracks if t.confirmed}
    export_tracks(store.results(), tmp_path / "t.csv", session.settings, session.edits.value)
    logged: dict[int, tuple[int, float]] = {}
    with (tmp_path / "t.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            logged[int(row["track_id"])] = int(row["frame"]), float(row["time_s"])
    lives, sums = session.lives(), session.tracks()
    assert lives.keys() == logged.keys()
    assert {track: life[1] for track, life in lives.items()} == {track: end[0] for track, end in logged.items()}
    tails = [track for track, life in lives.items() if coasts[track] > life[1]]
    assert tails, "one of them coasts at its end"
    for track, (first, last) in lives.items():
        assert sums[track].last_s == pytest.approx(logged[track][1], abs=1e-3)
        assert sums[track].frames == sum(len(part) for part in session.series(track))
        assert len(store.series(track, first, last)) == sums[track].frames
    session.pause()
    session.seek(coasts[tails[0]])
    until(session, lambda: session.picture is not None and session.picture.result.frame.index == coasts[tails[0]])
    assert session.picture is not None
    (shown,) = [t for t in session.picture.result.tracks if t.id == tails[0]]
    assert shown.status is TrackStatus.COASTING


SEEN = Track(1, TrackStatus.CONFIRMED, np.array([9.0, 9.0]), np.zeros(2), np.eye(4), 0.0, 0, 0, (3.0, 3.0), 9.0, 0.9,
             5.0, np.zeros((1, 2)))  # fmt: skip


def test_what_a_camera_leaves_in_memory_does_not_grow() -> None:
    """Three hours are as many frames again and again: of every container of the store and of the pictures."""
    store, reel, sizes = ResultStore(), Reel(kept_bytes=100 * 400), []
    image = np.zeros((20, 20), np.uint8)
    for i in range(1200):
        tracks = tuple(
            replace(SEEN, id=1 + (i + k) // 15, detection=None if (i + k) % 15 == 14 else 0) for k in range(0, 45, 15)
        )
        found = replace(Detections.at([[9.0, 9.0]]), mask=image > 0, scores=np.full((20, 20), 0.5, np.float32))
        store.add(FrameResult(Frame(i, i / 30, image), found, tracks, {}), limit=100)
        reel(Frame(i, i / 30, image))
        if i in (599, 1199):
            held = {k: len(v) for k, v in {**vars(store), **vars(reel)}.items() if hasattr(v, "__len__")}
            sizes.append(held | {"maps": store._maps_bytes, "rows": sum(map(len, store._series.values()))})
    assert sizes[0] == sizes[1]
    assert sizes[1]["_order"] == 100
    assert sizes[1]["rows"] == 300
    assert max(sizes[1][name] for name in ("_lives", "_looks", "_coasts")) <= 12
    assert LIVE_FRAMES == 30 * 60 * 30, "half an hour, as the documents say"


# -- the picture of a camera ------------------------------------------------------------------------------------------


class Given(Source):
    """A camera whose pictures the test hands out one by one."""

    live = True

    def __init__(self) -> None:
        self.info = SourceInfo("given", 96, 80, 8, 30.0, None, Clock.ARRIVAL)
        self._turn, self._closed = threading.Semaphore(0), False
        self.count = 0
        self.taken = threading.Semaphore(0)

    def __iter__(self) -> Iterator[Frame]:
        while True:
            self._turn.acquire()
            if self._closed:
                return
            image = np.full((80, 96), 60, np.uint8)
            image[20:23, 10 + self.count % 60 : 13 + self.count % 60] = 200
            self.count += 1
            yield Frame(self.count - 1, (self.count - 1) / 30, image)
            self.taken.release()

    def next(self) -> None:
        self._turn.release()
        assert self.taken.acquire(timeout=PATIENCE_S)

    def seek(self, index: int) -> None:
        raise SourceError("a camera cannot seek")

    def stop(self) -> None:
        self._closed = True
        self._turn.release()

    def close(self) -> None:
        self.stop()


def opened_camera(session: Session, monkeypatch: pytest.MonkeyPatch) -> Given:
    camera = Given()
    monkeypatch.setattr(loading, "open_source", lambda text, **_: camera)
    session.open("rtsp://camera/1")
    until(session, lambda: session.opened is not None)
    return camera


def test_a_camera_of_30_is_shown_at_30_while_detection_takes_as_long_as_60(
    session: Session, detector: Bright, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detection of two seconds, by count: one frame is detected while sixty come. A tick of the window's timer follows
    each picture, as it does at twice the camera's rate."""
    camera = opened_camera(session, monkeypatch)
    detector.go.clear()
    shown: list[int] = []
    for number in range(300):
        if number % 60 == 59:  # the frame at work is done, and the next is begun
            done = len(session.store)
            detector.go.set()
            end = time.monotonic() + PATIENCE_S
            while len(session.store) == done and time.monotonic() < end:
                time.sleep(0.001)
            detector.go.clear()
        camera.next()
        for _ in range(2):
            picture = session.tick()
            if picture is not None:
                shown.append(picture.result.frame.index)
    assert len(set(shown)) >= 290  # 29 of 30
    assert detector.looked < 30
    assert session.analysis is not None
    assert session.analysis.pipeline.dropped > 200


def test_a_camera_is_shown_before_the_network_has_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, detector = threading.Event(), Bright()

    def load(settings: Settings, source: object) -> Bright:
        loaded.wait()
        return detector

    monkeypatch.setattr(loading, "make_detector", load)
    session = Session(SETTINGS)
    try:
        camera = opened_camera(session, monkeypatch)
        for _ in range(10):
            camera.next()
            assert session.tick() is not None
        assert session.loader.loading
        assert session.picture is not None
        assert session.picture.age_s is None
        loaded.set()
        until(session, lambda: not session.loader.loading)
        for _ in range(20):
            camera.next()
            session.tick()
            time.sleep(0.005)
        until(session, lambda: len(session.store) >= 5)
    finally:
        loaded.set()
        session.shutdown()


def test_while_analysis_keeps_up_every_picture_has_its_own_result(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = opened_camera(session, monkeypatch)
    shown = []
    for _ in range(40):
        camera.next()
        number = camera.count - 1
        end = time.monotonic() + PATIENCE_S
        while number not in session.store:
            picture = session.tick()
            shown += [picture] if picture is not None else []
            assert time.monotonic() < end
        picture = session.tick()
        shown += [picture] if picture is not None else []
    exact = [p for p in shown if p.analysed]
    assert len({p.result.frame.index for p in exact}) >= 39
    assert exact[-1].result.detections.mask is not None
    assert [t for t in exact[-1].result.tracks if t.confirmed]


def test_a_picture_held_fast_and_back_to_live(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = opened_camera(session, monkeypatch)
    for _ in range(30):
        camera.next()
        session.tick()
    until(session, lambda: session.position == 29)
    session.pause()
    for _ in range(10):
        camera.next()
        assert session.tick() is None or session.position == 29
    assert session.position == 29
    assert isinstance(session.view, LiveView)
    assert session.view.behind_s == pytest.approx(10 / 30)
    session.step(-1)
    session.tick()
    assert session.position == 28
    session.seek(3)
    session.tick()
    assert session.position == 3
    assert session.picture is not None
    assert session.picture.result.frame.index == 3
    session.seek_end()
    session.tick()
    assert session.position == 39
    assert session.playing


def test_what_is_kept_of_a_camera_is_bounded() -> None:
    reel = Reel(kept_bytes=50 * 100)
    for i in range(1000):
        reel(Frame(i, i / 30, np.zeros((10, 10), np.uint8)))
    assert reel.reach == (950, 999)
    assert reel.seconds == pytest.approx(49 / 30)
    near = reel.near(3)
    assert near is not None
    assert near.index == 950
    for i in range(5):
        reel(Frame(1000 + i, 1000.0 + 100 * i, np.zeros((1, 1), np.uint8)))
    assert reel.reach[0] >= 1001  # nor for longer than is said


def test_tracks_are_predicted_to_the_picture_and_not_for_ever(session: Session) -> None:
    session.open(SCENE)
    until(session, lambda: whole(session))
    session.seek(40)
    until(session, lambda: session.picture is not None and session.picture.result.frame.index == 40)
    assert session.picture is not None
    before = session.picture.result
    later = replace(before.frame, index=55, time_s=before.frame.time_s + 0.5)
    made = predicted(before, later)
    assert made.age_s == pytest.approx(0.5)
    seen = {t.id: t for t in before.tracks}
    assert made.result.tracks
    for track in made.result.tracks:
        np.testing.assert_allclose(track.xy_px, seen[track.id].xy_px + 0.5 * track.velocity_px_s)
        assert track.detection is None
    assert made.result.detections.mask is None  # it would lie beside its target
    assert predicted(before, replace(later, time_s=later.time_s + OLDEST_S)).age_s is None
    assert predicted(before, replace(later, connection=1)).age_s is None  # another connection: nothing is known


def test_a_recording_that_does_not_say_how_long_it_is(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        live, info = False, SourceInfo("endless", 96, 80, 8, 30.0, None)

        def __init__(self) -> None:
            self._inner = open_source(SCENE)

        def __iter__(self) -> Iterator[Frame]:
            return iter(self._inner)

        def seek(self, index: int) -> None:
            self._inner.seek(index)

        def close(self) -> None:
            self._inner.close()

    monkeypatch.setattr(loading, "open_source", lambda text, **_: Endless())
    session.open("endless")
    until(session, lambda: isinstance(session.view, Playback) and session.position is not None)
    assert isinstance(session.view, Playback)
    session.view.set_speed(None)
    until(session, lambda: (session.position or 0) >= 10)
    assert session.view.reach[1] >= 10  # so far it can be gone to
    until(session, lambda: whole(session) and not session.playing)
    assert session.frames == 60
    assert session.position == 59
    assert session.view.reach == (0, 59)


# -- opening and errors -----------------------------------------------------------------------------------------------


def test_an_error_never_closes_the_good_recording(session: Session, tmp_path: Path) -> None:
    errors: list[str] = []
    session.failed.connect(errors.append)
    session.open(SCENE)
    until(session, lambda: whole(session))
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video" * 100)
    session.open(str(bad))
    until(session, lambda: errors)
    assert "not a video" in errors[0]
    assert session.opened is not None
    assert session.opened.text == SCENE
    assert len(session.store) == 60
    session.seek(7)
    until(session, lambda: session.picture is not None and session.picture.result.frame.index == 7)


def test_a_recording_that_breaks_off_is_said_once_and_what_was_found_stays(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        live, info = False, SourceInfo("broken", 96, 80, 8, 30.0, 60)

        def __init__(self) -> None:
            self._inner = open_source(SCENE)

        def __iter__(self) -> Iterator[Frame]:
            for frame in self._inner:
                if frame.index == 20:
                    raise SourceError("frame 20 is damaged")
                yield frame

        def seek(self, index: int) -> None:
            self._inner.seek(index)

        def close(self) -> None:
            self._inner.close()

    errors: list[str] = []
    session.failed.connect(errors.append)
    monkeypatch.setattr(loading, "open_source", lambda text, **_: Broken())
    session.open("broken")
    until(session, lambda: session.position is not None)
    session.pause()
    until(session, lambda: session.analysis is not None and session.analysis.over and errors)
    for _ in range(20):
        session.tick()
    assert errors == ["frame 20 is damaged"]
    assert session.store.reach() == (0, 19)
    assert not whole(session)


def test_a_source_that_opens_after_the_session_has_ended_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    go, closed = threading.Event(), threading.Event()

    class Late:
        live, info = True, SourceInfo("late", 4, 4, 8, 30.0, None, Clock.ARRIVAL)

        def __iter__(self) -> Iterator[Frame]:
            return iter(())

        def seek(self, index: int) -> None:
            raise SourceError("a camera cannot seek")

        def close(self) -> None:
            closed.set()

    def slow(text: str, **_: object) -> Late:
        go.wait()
        return Late()

    monkeypatch.setattr(loading, "open_source", slow)
    monkeypatch.setattr(loading, "LEAVE_S", 0.01)
    session = Session(SETTINGS)
    session.use(Bright())
    session.open("rtsp://camera/1")
    session.shutdown()
    assert not closed.is_set()
    go.set()
    assert closed.wait(PATIENCE_S)


# -- edits ------------------------------------------------------------------------------------------------------------


def test_a_track_that_is_gone_is_one_line() -> None:
    for act in (
        lambda: Edits().joined(9, 1, {1: (0, 5)}),
        lambda: Edits().split(9, 3, {1: (0, 5)}),
        lambda: Edits().swapped(1, 9, 3, {1: (0, 5)}),
    ):
        with pytest.raises(IrtrackError, match="there is no track 9 any more"):
            act()


def test_splitting_swapping_and_cutting() -> None:
    lives = {1: (0, 30), 2: (10, 40)}
    edits, made = Edits().renamed(1, "A").split(1, 20, lives)
    assert made == MADE_FROM
    assert edits.names == {1: "A", made: "Ab"}
    assert edits.lives(lives) == {1: (0, 19), made: (20, 30), 2: (10, 40)}
    swapped = edits.swapped(2, made, 25, edits.lives(lives))
    assert [(p.track, p.first, p.last, p.now) for p in swapped.pieces(lives)] == [
        (1, 0, 19, 1), (1, 20, 24, made), (1, 25, 30, 2), (2, 10, 19, 2), (2, 20, 24, 2), (2, 25, 40, made),
    ]  # fmt: skip
    cut = Edits().cut(2, 15, lives)
    assert cut.lives(lives) == {1: (0, 30), 2: (10, 14)}
    for frame in (0, 31):
        with pytest.raises(IrtrackError, match="lives in frames 0 to 30"):
            Edits().split(1, frame, lives)
    with pytest.raises(IrtrackError, match="with itself"):
        Edits().swapped(1, 1, 5, lives)
    assert Edits.from_dict(json.loads(json.dumps(swapped.to_dict()))) == swapped


def test_there_and_back_again() -> None:
    history, told = History(), []
    history.changed.connect(told.append)
    history.edit(Edits().renamed(1, "A"))
    history.edit(history.value.judged(1, "bird"))
    assert history.value.label(1) == "A (bird)"
    assert history.undo()
    assert history.undo()
    assert not history.undo()
    assert history.value == Edits()
    assert history.redo()
    assert history.value.names == {1: "A"}
    history.edit(history.value.renamed(1, "B"))
    assert not history.redo()  # what was taken back went another way
    assert len(told) == 6


# -- targets that were missed ----------------------------------------------------------------------------------------


DIM = "sim:sky,width=96,height=80,frames=60,targets=1,scr=5,seed=5,speed_px_s=30"


def truth(text: str) -> dict[int, tuple[float, float]]:
    """Where the only target of a scene was."""
    scene = Scene(scene_from_text(text.removeprefix("sim:")))
    places = {frame: scene.truth(frame).xy_px.tolist() for frame in range(scene.settings.frames)}
    return {frame: (xy[0][0], xy[0][1]) for frame, xy in places.items() if xy}


def shown_at(session: Session, frame: int, track: int) -> Track:
    """A track as it is shown in a frame, which is gone to."""
    session.pause()
    session.seek(frame)
    found: list[Track] = []

    def shows() -> bool:
        picture = session.picture
        if picture is not None and picture.result.frame.index == frame:
            found[:] = [t for t in picture.result.tracks if t.id == track]
        return bool(found)

    until(session, shows)  # the picture of this frame may be one from before an edit at first
    (shown,) = found
    return shown


def test_a_missed_target_is_added_by_two_clicks_and_followed(session: Session, tmp_path: Path) -> None:
    session.choose(threshold=0.99, min_area_px=9)  # it is missed
    session.open(DIM)
    until(session, lambda: whole(session))
    assert session.lives() == {}
    there = truth(DIM)
    rng = np.random.default_rng(2)

    def click(frame: int) -> Click:
        x, y = np.array(there[frame]) + rng.normal(0, 0.7, 2)
        return Click(frame, float(x), float(y))

    made = session.add_target(click(20), click(8))  # in whatever order
    assert session.selected.value == made
    first, last = session.lives()[made]
    assert first == 8
    assert last >= 50  # followed far behind the second click
    rows_of = {row.frame: row for row in session.edits.value.added[made]}
    away = [np.hypot(row.x_px - there[f][0], row.y_px - there[f][1]) for f, row in rows_of.items()]
    assert np.median(away) < 1.0
    assert max(away) < 4.0
    shown = shown_at(session, 14, made)
    assert np.hypot(*(shown.xy_px - there[14])) < 2.0
    assert session.tracks()[made].frames == last - first + 1
    (series,) = session.series(made)
    assert len(series) == last - first + 1
    edits = session.edits.value
    export_tracks(session.store.results(), tmp_path / "t.jsonl", session.settings, edits)
    export_tracks(session.store.results(), tmp_path / "t.csv", session.settings, edits)
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    said = [t for line in lines for t in line["tracks"]]
    assert all(t["by_hand"] and t["name"] == "by hand 1" for t in said)
    assert len(said) == last - first + 1
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 1 + len(said)
    assert Edits.from_dict(json.loads(json.dumps(edits.to_dict()))) == edits
    session.edits.undo()
    assert session.lives() == {}
    assert session.selected.value is None  # nothing is dimmed for a track that is not there
    session.edits.redo()
    assert session.lives() == {made: (first, last)}
    session.selected.set(made)
    session.edits.edit(session.edits.value.split(made, 30, session.lives())[0])
    assert session.lives()[made] == (first, 29)
    assert session.edits.value.by_hand == {made, made + 1}
    session.choose(threshold=0.98)
    session.analyse_again()
    until(session, lambda: whole(session) and session.store.recipe == session.recipe.value)
    assert session.lives()[made] == (first, 29)  # another pass leaves it
    assert session.selected.value == made


@pytest.mark.parametrize("camera", ["swing_px=40,shake_px=1.5", "shake_px=2", "swing_px=60"])
def test_an_added_target_is_followed_while_the_camera_pans_and_shakes(session: Session, camera: str) -> None:
    """By the scene's motion; in the picture it leaps about more than it flies, and its trail lies where it flew."""
    text = f"sim:sky,width=192,height=144,frames=90,targets=1,scr=9,structure=0.06,texture=0.01,seed=7,{camera}"
    session.choose(threshold=0.99, min_area_px=9)  # it is missed
    session.open(text)
    until(session, lambda: whole(session))
    assert session.lives() == {}
    there = truth(text)
    first, *_ = there
    made = session.add_target(*(Click(frame, *there[frame]) for frame in (first + 5, first + 25)))
    added = {row.frame: row for row in session.edits.value.added[made]}
    away = [np.hypot(added[f].x_px - there[f][0], added[f].y_px - there[f][1]) for f in added if f in there]
    assert len(away) > 70
    assert np.median(away) < 1.0
    assert max(away) < 3.0
    shown = shown_at(session, 60, made)
    motions = session.store.scenes_of([50, 60])
    assert motions[0] is not None
    assert motions[1] is not None
    flew = moved(motions[1], moved_back(motions[0], np.array([there[50]])))[0]
    assert np.hypot(*(shown.trail[-11] - flew)) < 2.0, "where it was ten frames ago, in the scene"
    edits = session.edits.value
    assert Edits.from_dict(json.loads(json.dumps(edits.to_dict()))) == edits


def test_targets_that_an_earlier_version_added_are_read() -> None:
    row = [5, 0.2, 1.0, 2.0, 3.0, 4.0, 0.5, None]
    values = Edits().to_dict() | {"added_by_hand": {"1000000": [row, [6, *row[1:]]]}}
    ((one, two),) = Edits.from_dict(values).added.values()
    assert (one.frame, one.x_scene_px, two.frame) == (5, None, 6)
    assert trail_of([one, two], np.array([[1.0, 0, 5], [0, 1, 5]])).tolist() == [[1.0, 2.0], [1.0, 2.0]]


def test_where_nothing_was_seen_an_added_target_flies_from_click_to_click(session: Session) -> None:
    session.choose(threshold=0.99, min_area_px=9)
    session.open("sim:empty,width=96,height=80,frames=30,drift_px_s=0")
    until(session, lambda: whole(session))
    session.store._maps.clear()
    made = session.add_target(Click(5, 10.0, 20.0), Click(15, 30.0, 40.0))
    added = session.edits.value.added[made]
    assert [row.frame for row in added] == list(range(5, 16))
    assert [row.score is None for row in added] == [False] + [True] * 9 + [False]
    for row in added:
        assert (row.x_px, row.y_px) == pytest.approx((10 + 2 * (row.frame - 5), 20 + 2 * (row.frame - 5)), abs=0.6)
    for clicks, said in (
        ((Click(5, 1, 1), Click(5, 9, 9)), "both clicks are in one frame"),
        ((Click(5, 1, 1), Click(99, 9, 9)), "not analysed yet"),
    ):
        with pytest.raises(IrtrackError, match=said):
            session.add_target(*clicks)


# -- the house --------------------------------------------------------------------------------------------------------


def test_a_session_does_without_qt_and_without_torch() -> None:
    code = (
        "import sys, irtrack.session.session, irtrack.session.keeping, irtrack.session.keeper; "
        "print([m for m in ('PySide6', 'pyqtgraph', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_window_is_imported_by_nobody_that_it_imports() -> None:
    """Circles of imports, also those for type checkers alone: none."""
    folder = ROOT / "irtrack"
    imports: dict[str, set[str]] = {}
    for path in [*(folder / "gui").glob("*.py"), *(folder / "session").glob("*.py")]:
        names = {n.module for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom) and n.module}
        imports[f"irtrack.{path.parent.name}.{path.stem}"] = names

    def reached(start: str) -> set[str]:
        found, left = set(), [start]
        while left:
            for name in imports.get(left.pop(), set()) - found:
                found.add(name)
                left.append(name)
        return found

    assert [name for name in imports if name in reached(name)] == []


def test_an_analysis_takes_a_detector_later_and_ends_without_one() -> None:
    source = open_source("sim:sky,width=32,height=32,frames=5,targets=1")
    waiting = Analysis(source, None, make_tracker(SETTINGS), Recipe.of(SETTINGS.detector))
    assert waiting.done == 0
    waiting.close()
    assert waiting.over
    again = open_source("sim:sky,width=32,height=32,frames=5,targets=1")
    analysis = Analysis(again, None, make_tracker(SETTINGS), Recipe.of(SETTINGS.detector))
    analysis.use(Bright())
    analysis.pipeline.join(PATIENCE_S)
    assert analysis.whole
    assert analysis.done == 5


# -- alarms without a window ------------------------------------------------------------------------------------------


def test_alarm_rules_as_they_are_typed() -> None:
    alarms = alarms_from("speed=50, snr=3.5,holdoff=2,in=0,0 9,0 9,9; 20,20 30,20 30,30")
    assert alarms.rules == AlarmRules(on=True, speed_px_s=50.0, snr=3.5, holdoff_s=2.0)
    assert len(alarms.area) == 2
    assert alarms_from("").rules == AlarmRules(on=True)
    for text, said in (("sped=1", "did you mean 'speed'"), ("snr=high", "snr=NUMBER"), ("snr=-1", "out of range"),
                       ("in=1,2 3,4", "three corners")):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            alarms_from(text)


@pytest.mark.parametrize(
    "rules",
    ["", "holdoff=0", "holdoff=0.5", "speed=15,holdoff=0", "snr=3,holdoff=0.1", "holdoff=0,in=0,0 60,0 60,80 0,80"],
)
def test_the_list_of_alarms_is_what_the_rules_call_for_also_where_they_are_changed_later(
    session: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, rules: str
) -> None:
    monkeypatch.setattr("irtrack.build.make_detector", lambda settings, source=None: Bright())
    called: list[Alarm] = []
    session.called.connect(lambda alarm, result: called.append(alarm))
    session.open(SCENE)
    until(session, lambda: whole(session))
    assert session.store.alarms == []
    typed = alarms_from(rules)
    session.regions.set({"alarm": typed.area})
    session.rules.set(typed.rules)
    assert main(["run", SCENE, "--alarm", rules]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("alarm:")]
    listed = session.store.alarms
    assert len(listed) == len(lines) > 0
    for alarm, line in zip(listed, lines, strict=True):
        assert line.endswith(f"{alarm.time_s:.2f} s, frame {alarm.frame}: {alarm.text}")
    session.rules.set(replace(typed.rules, on=False))
    assert session.store.alarms == listed  # what was called was called
    assert called == []  # nobody is called for what is over


def test_alarms_of_a_headless_run_are_those_of_the_window(
    session: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("irtrack.build.make_detector", lambda settings, source=None: Bright())
    called: list[Alarm] = []
    session.called.connect(lambda alarm, result: called.append(alarm))
    session.rules.set(AlarmRules(on=True, holdoff_s=0.1))
    session.open(SCENE)
    until(session, lambda: whole(session))
    session.tick()
    assert called
    assert main(["run", SCENE, "--alarm", "holdoff=0.1"]) == 0
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("alarm:")]
    assert [f"frame {a.frame}: {a.text}" in line for a, line in zip(called, lines, strict=True)] == [True] * len(called)
    assert f"{len(called)} alarms" in said.out
    assert main(["run", SCENE, "--alarm", "loud"]) == 1
    assert "unknown alarm rule 'loud'" in capsys.readouterr().err
