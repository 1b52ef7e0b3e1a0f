"""Passes over a recording: what is said of them, which detector they take, and that kept scores give what the network
would."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from test_session import SCENE, SETTINGS, Bright, opened_camera, rows, until, whole
from test_session import detector as detector
from test_session import session as session

from irtrack.build import load_detector, make_tracker
from irtrack.capture import open_source
from irtrack.core import FrameResult
from irtrack.pipeline import process
from irtrack.session import loading
from irtrack.session.blocks import Block, to_bytes
from irtrack.session.export import write_about
from irtrack.session.scoremap import ScoreMap
from irtrack.session.session import Session
from irtrack.session.standing import Figures, Rate, clock_text, holding, notice_of
from irtrack.simulate import Scene
from irtrack.sinks.lossless import write_video

FAINT = "sim:clutter,scr=2,seed=61,frames=50,width=160,height=128"
"""Targets that the network does not see in single frames."""

OTHER = SCENE.replace("seed=5", "seed=6")


def seen(results: Iterable[FrameResult]) -> list[tuple[object, ...]]:
    """All that was detected and tracked, to the last bit."""
    kept = list(results)
    found = [(r.frame.index, r.detections.xy_px.tobytes(), r.detections.score.tobytes()) for r in kept]
    return [*found, *rows(iter(kept))]


def its_marks_go_from_the_picture_at_once(session: Session) -> None:
    """Where the temporal stage is turned off."""
    session.pause()
    last = [i for i in range(50) if (found := session.store.scores_of(i)) is not None and len(found.lifted_px)][-1]
    session.seek(last)
    until(session, lambda: session.picture is not None and session.picture.result.frame.index == last)
    assert session.picture is not None
    before = len(session.picture.result.detections)
    session.choose(temporal=False)
    assert session.older == ["temporal stage"]
    until(session, lambda: session.picture is not None and len(session.picture.result.detections) < before)


def test_kept_scores_give_what_the_network_would_with_the_temporal_stage() -> None:
    session = Session(SETTINGS)
    try:
        session.open(FAINT)
        until(session, lambda: whole(session))
        lifted = sum(len(found.lifted_px) for found in session.store.maps() or ())
        assert lifted > 100  # or this would show nothing
        its_marks_go_from_the_picture_at_once(session)
        for choice in ({"threshold": 0.8, "temporal": True}, {"temporal": False}):
            session.choose(**choice)
            session.analyse_again()
            until(session, lambda: whole(session) and session.store.recipe == session.recipe.value)
            assert session.analysis is not None
            assert session.analysis.recalled
            assert session.store.recipe.detector.temporal is choice["temporal"]  # type: ignore[union-attr]
            fresh = load_detector(session.recipe.value.detector)
            expected = seen(process(open_source(FAINT), fresh, make_tracker(session.settings)))
            assert seen(session.store.results()) == expected, choice
    finally:
        session.shutdown()


def test_what_the_temporal_stage_lifted_is_told_apart_in_memory_and_in_a_file(session: Session) -> None:
    network = np.zeros((6, 8), np.float32)
    network[2, 3], network[4, 4] = 0.6, 0.004
    scores = network.copy()
    scores[4, 4:6] = 0.9
    kept = ScoreMap.of(scores, network)
    session.open(SCENE)
    until(session, lambda: len(session.store) > 1)
    some = session.store.part(0, 1)
    plain = ScoreMap.of(network, network)
    again = Block(to_bytes(some, [some[0].recipe], {0: kept, 1: plain}), [some[0].recipe]).maps()
    for found in (kept, again[0]):
        assert found.full() == pytest.approx(scores)
        assert found.network().max() == np.float32(0.6)
        assert found.network()[4, 5] == 0.0
    assert not len(again[1].lifted_px)
    assert again[1].network() == pytest.approx(plain.full())


def clip_of(scene: Scene, path: Path, fps: float) -> str:
    write_video(path, (scene.image(i) for i in range(12)), fps)
    return str(path)


def test_a_slow_recording_goes_without_the_temporal_stage_and_that_is_said(scene: Scene, tmp_path: Path) -> None:
    """Also where the network was loaded before the recording was known."""
    session = Session(SETTINGS)
    try:
        for name, fps, expected in (("slow", 3.0, False), ("fast", 30.0, True), ("slower", 2.0, False)):
            session.open(clip_of(scene, tmp_path / f"{name}.mkv", fps))
            until(session, lambda name=name: session.opened and name in session.opened.text and whole(session))  # type: ignore[misc]
            assert session.analysis is not None
            assert getattr(session.analysis.pipeline.detector, "temporal", None) is expected
            assert ("8 frames a second" in Figures().text(session)) is not expected
            write_about(tmp_path / f"{name}.csv", session)
            about = json.loads((tmp_path / f"{name}.csv.about.json").read_text())
            assert about["made_with"][0]["detector"]["temporal"] is expected
    finally:
        session.shutdown()


def test_another_recording_is_opened_while_a_frame_is_in_the_network(session: Session, detector: Bright) -> None:
    """Nobody waits for it, and the detector is not used by two passes at once."""
    detector.go.clear()
    session.open(SCENE)
    until(session, lambda: session.analysis is not None)
    first = session.analysis
    start = time.monotonic()
    session.open(OTHER)
    until(session, lambda: session.opened is not None and session.opened.text == OTHER)
    assert time.monotonic() - start < 9.0  # a pass is waited for up to ten
    for _ in range(20):
        session.tick()
    assert session.analysis is None
    assert first is not None
    assert not first.over
    assert notice_of(session) == "the analysis begins when the frame in the network is done ..."
    detector.go.set()
    until(session, lambda: whole(session))
    assert first.over
    assert len(session.store) == 60


def test_how_the_analysis_stands_is_said(session: Session, detector: Bright, monkeypatch: pytest.MonkeyPatch) -> None:
    detector.go.clear()
    session.open(SCENE)
    until(session, lambda: session.analysis is not None)
    assert notice_of(session) == "analysing: 0%"
    session.choose(threshold=0.6)
    assert notice_of(session) == "analysing: 0%; threshold changed since it began"
    session.choose(threshold=0.5)
    detector.go.set()
    until(session, lambda: whole(session))
    assert notice_of(session) == ""
    assert holding(session) == "60 frames"
    session.choose(threshold=0.6, min_area_px=2)
    assert notice_of(session) == "threshold and smallest size changed since the analysis"
    assert holding(session) == "60 frames, analysed before threshold and smallest size changed"
    other = Bright()
    other.go.clear()
    monkeypatch.setattr(loading, "make_detector", lambda settings, source: other)
    session.choose(threshold=0.5, min_area_px=1, weights="datransnet")
    session.analyse_again()
    assert notice_of(session) == "loading the network ..."
    until(session, lambda: session.analysis is not None and not session.analysis.over)
    assert notice_of(session) == "analysing again: 0%"
    assert holding(session) == "60 frames, analysed before model changed"  # what an export would hold now
    session.choose(threshold=0.7)
    assert session.changed_since == ["threshold"]  # the pass under way does not take it over
    other.go.set()
    until(session, lambda: whole(session) and session.store.recipe == session.analysis.recipe)  # type: ignore[union-attr]
    assert session.older == session.changed_since == ["threshold"]


def test_how_long_another_pass_takes_is_said_only_where_it_is_known(
    session: Session, detector: Bright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "make_detector", lambda settings, source: Bright())
    session.open(SCENE)
    until(session, lambda: whole(session))
    analysis = session.analysis
    assert analysis is not None
    monkeypatch.setattr(type(analysis), "frame_s", property(lambda self: 0.01 if self.recalled else 2.0))
    analysis.detect_ms.clear()
    analysis.detect_ms.append(1990.0)
    session.choose(threshold=0.6)
    assert session.again_s == pytest.approx(60 * 0.02)  # of the kept scores, not of the network
    session.analyse_again()
    until(session, lambda: whole(session) and session.store.recipe == session.recipe.value)
    session.choose(threshold=0.5)
    assert session.again_s == pytest.approx(60 * 0.01)  # as it was measured
    session.choose(weights="datransnet")
    assert session.again_s is None  # nobody has seen that one at work
    session.choose(weights="datransnet-s")
    session.store.recallable = False
    assert session.again_s == pytest.approx(60 * 2.0)


def test_a_recording_is_known_by_its_whole_path(
    session: Session, clip: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From whichever folder it was opened."""
    monkeypatch.chdir(clip.parent)
    session.open(clip.name)
    until(session, lambda: session.opened is not None)
    drawn = {"exclude": (((0.0, 0.0), (5.0, 0.0), (5.0, 5.0)),)}
    session.regions.set(drawn)
    session.close()
    monkeypatch.chdir(tmp_path)
    session.open(str(clip))
    until(session, lambda: session.opened is not None)
    assert session.regions.value == drawn
    assert session.preferences.recent == (str(clip),)
    session.open("sim:clutter,frames=3")
    until(session, lambda: session.opened is not None and session.opened.text == "sim:clutter,frames=3")
    assert session.preferences.recent[0] == "sim:clutter,frames=3"


def test_a_picture_held_between_two_that_were_analysed_has_its_trails(
    session: Session, detector: Bright, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = opened_camera(session, monkeypatch)
    for _ in range(30):  # every one is analysed
        done = len(session.store)
        camera.next()
        until(session, lambda done=done: len(session.store) > done)  # type: ignore[misc]
    detector.go.clear()
    for _ in range(6):
        camera.next()
    session.tick()
    session.pause()
    session.seek(33)
    until(session, lambda: session.picture is not None and session.picture.result.frame.index == 33)
    assert session.picture is not None
    assert session.picture.age_s
    (track,) = (t for t in session.picture.result.tracks if t.confirmed)
    assert len(track.trail) > 10
    detector.go.set()


def test_rates_and_times_for_people() -> None:
    now = [0.0]
    rate = Rate(lambda: now[0])
    assert rate.note(0) == 0.0
    for i in range(1, 41):
        now[0] = i / 10
        value = rate.note(3 * i)
    assert value == pytest.approx(30.0)
    assert [clock_text(s) for s in (None, 0.2, 59.2, 61.0, 600.0)] == ["", "1 s", "60 s", "1:01 min", "10:00 min"]


def test_one_frame_is_one(session: Session) -> None:
    session.open("sim:sky,width=96,height=80,frames=1,targets=1")
    until(session, lambda: whole(session))
    assert "analysed 1 frame " in Figures().text(session) + " "
    assert holding(session) == "1 frame"
