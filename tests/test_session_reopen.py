"""Opening what is gone, is another one by now, or does not answer: what was open stays, and a line says what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mjpeg import Mjpeg
from test_session import until, whole
from test_sessionfile import Desk, another, edited
from test_sessionfile import desk as desk
from test_sessionfile import desks as desks

from irtrack.capture.address import same_device
from irtrack.session.preferences import Regions
from irtrack.session.recordings import is_gone
from irtrack.session.reel import LiveView
from irtrack.session.standing import Figures

CAMERA = "simcam:sky,width=96,height=80,frames=900,targets=2,scr=14"
REGION: Regions = {"exclude": (((1.0, 1.0), (9.0, 1.0), (9.0, 9.0)),)}


def tried(desk: Desk, text: str) -> tuple[str, list[str]]:
    """What is said when something is opened in vain, and what may be located."""
    gone: list[str] = []
    desk.session.gone.connect(gone.append)
    desk.errors.clear()
    desk.session.open(text)
    until(desk.session, lambda: desk.errors)
    (error,) = desk.errors
    assert "\n" not in error
    return error, gone


def test_a_recording_that_is_gone_leaves_it_on_screen_and_is_located(desk: Desk, clip: Path, tmp_path: Path) -> None:
    there, s = Path(shutil.copy(clip, tmp_path / "flight.mkv")), desk.session
    desk.seen_whole(str(there))
    s.regions.set(REGION)
    track = min(s.lives())
    s.edits.edit(s.edits.value.renamed(track, "A"))
    until(s, lambda: s.picture is not None)
    now = there.rename(tmp_path / "archive.mkv")
    error, gone = tried(desk, str(there))
    assert "there is no file" in error
    assert gone == [str(there)]
    assert s.opened is not None
    assert s.opened.text == str(there)
    assert s.store.whole
    assert s.picture is not None
    assert s.tick() is None or s.picture is not None
    assert s.edits.value.names == {track: "A"}
    s.locate(str(there), str(now))
    until(s, lambda: s.opened is not None and s.opened.text == str(now))
    assert s.edits.value.names == {track: "A"}, "known by its content"
    assert s.regions.value == REGION
    assert s.preferences.recent == (str(now),)


def test_what_could_not_be_opened_is_none_of_the_recent_ones(desk: Desk, clip: Path, tmp_path: Path) -> None:
    desk.seen_whole(str(clip))
    tried(desk, str(tmp_path / "none.mkv"))
    tried(desk, "sim:unknown")
    assert desk.session.preferences.recent == (str(clip),)


def test_a_session_whose_recording_is_another_one_may_be_located(
    desk: Desk, desks: list[Desk], clip: Path, sample: Path, tmp_path: Path
) -> None:
    there = Path(shutil.copy(clip, tmp_path / "flight.mkv"))
    edits = edited(desk, tmp_path / "flight.irtrack", str(there))
    desk.close()
    moved = there.rename(tmp_path / "right.mkv")
    shutil.copy(sample, there)
    other = another(desks)
    other.seen_whole(str(clip))
    error, gone = tried(other, str(tmp_path / "flight.irtrack"))
    assert "is another recording than the one that flight.irtrack is of" in error
    assert "locate the right one" in error
    assert gone == [str(tmp_path / "flight.irtrack")]
    assert other.session.opened is not None
    assert other.session.opened.text == str(clip)
    other.session.locate(gone[0], str(moved))
    until(other.session, lambda: other.session.opened is not None and other.session.opened.is_session)
    assert other.session.edits.value == edits


def test_what_is_said_while_a_recording_is_opened_once_more_stays(desk: Desk, clip: Path) -> None:
    s = desk.session
    desk.seen_whole(str(clip))
    before, track = s.opened, min(s.lives())
    s.open(str(clip))
    s.loader.join(30.0)  # it has read what was kept
    s.edits.edit(s.edits.value.renamed(track, "A"))
    until(s, lambda: s.opened is not before and not s.loader.opening)
    assert s.edits.value.names == {track: "A"}
    assert whole(s)


def test_a_camera_goes_on_where_something_else_cannot_be_opened(desk: Desk, tmp_path: Path) -> None:
    s = desk.session
    s.open(CAMERA)
    until(s, lambda: len(s.store) > 5)
    for text in (str(tmp_path / "none.mkv"), "rtsp://127.0.0.1:9/x"):
        tried(desk, text)
        seen = len(s.store)
        assert s.live
        assert s.camera_state != "closed"
        until(s, lambda: len(s.store) > seen + 5)  # noqa: B023


def test_the_last_pictures_of_a_camera_stay_where_it_answers_no_more(desk: Desk, clip: Path) -> None:
    s = desk.session
    camera = Mjpeg()
    try:
        s.open(camera.url)
        until(s, lambda: isinstance(s.view, LiveView) and len(s.store) > 5)
    finally:
        camera.close()
    away: list[str] = []
    s.away.connect(away.append)
    error, gone = tried(desk, camera.url)
    assert "cannot connect" in error
    assert (gone, away) == ([], [camera.url])
    assert s.camera_state == "closed"
    assert s.before is None, "a camera cannot be analysed again"
    assert f"camera closed   display 0.0 fps   analysed {len(s.store)} frames" in Figures().text(s)
    view = s.view
    assert isinstance(view, LiveView)
    assert len(s.store) > 5
    s.seek(view.reach[0])
    assert s.tick() is not None
    assert s.position == view.reach[0]
    desk.seen_whole(str(clip))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("camera:0", "/dev/video0", True), ("camera:0", "rtsp://a/x", False), ("rtsp://a/x", "rtsp://a/y", True),
        ("rtsp://u:p@A:554/x", "rtsp://a:554/x", True), ("rtsp://a/x", "rtsp://b/x", False),
    ],
)  # fmt: skip
def test_which_cameras_may_be_one(one: str, other: str, same: bool) -> None:
    assert same_device(one, other) == same


def test_what_is_gone(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "empty").mkdir()
    for text in (str(tmp_path / "none.mkv"), str(tmp_path / "*.png"), str(tmp_path / "shot_%04d.png")):
        assert is_gone(text)
    for text in (str(clip), str(tmp_path / "empty"), "sim:unknown", "rtsp://a/x", "camera:0", "", "a\0b"):
        assert not is_gone(text)
