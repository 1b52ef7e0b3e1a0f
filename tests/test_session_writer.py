"""What a session writes, without a window: names, words, and what stands in the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from test_session import SETTINGS, Bright, until, whole

from irtrack.core import FrameResult
from irtrack.session.keeping import Keeping
from irtrack.session.session import Session
from irtrack.session.writer import Writer
from irtrack.sinks.video import VideoSink


class Desk:
    """A writer over a clip that was analysed, and what the session told."""

    def __init__(self, clip: Path) -> None:
        self.session = Session(SETTINGS)
        self.session.use(Bright())
        self.said: list[str] = []
        self.failed: list[str] = []
        self.session.said.connect(self.said.append)
        self.session.failed.connect(self.failed.append)
        self.writer = Writer(self.session, Keeping(self.session))
        self.session.open(str(clip))
        until(self.session, lambda: whole(self.session) and self.session.picture is not None)


@pytest.fixture
def desk(clip: Path) -> Iterator[Desk]:
    made = Desk(clip)
    yield made
    made.session.shutdown()


def test_an_export_tells_what_it_holds_and_nothing_that_exists_is_written_over(desk: Desk, tmp_path: Path) -> None:
    desk.session.choose(threshold=0.9)
    path = tmp_path / "t.csv"
    desk.writer.export(path)
    assert desk.said == [f"exported 20 frames, analysed before threshold changed to {path}"]
    about = json.loads((tmp_path / "t.csv.about.json").read_text())
    assert about["chosen_since"] == ["threshold"]
    assert about["made_with"][0]["detector"]["threshold"] == 0.5
    before = path.read_text()
    desk.writer.export(path, only=1)
    assert len(desk.failed) == 1
    assert "exists" in desk.failed[0]
    assert path.read_text() == before
    desk.writer.export(path, only=1, force=True)
    assert path.read_text() != before


def test_one_format_that_fails_does_not_keep_the_others_back(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    desk.writer.export_all({"csv": tmp_path / "file" / "t.csv", "jsonl": tmp_path / "t.jsonl"})
    assert len(desk.failed) == len(desk.said) == 1
    assert (tmp_path / "t.jsonl").exists()


def test_pictures_and_plots(desk: Desk, tmp_path: Path) -> None:
    desk.writer.snapshot(tmp_path / "s.png")
    desk.writer.snapshot(tmp_path / "plain.png", plain=True)
    plain = cv2.imread(str(tmp_path / "plain.png"), cv2.IMREAD_UNCHANGED)
    assert desk.session.picture is not None
    assert (plain == desk.session.picture.result.frame.image).all()
    assert cv2.imread(str(tmp_path / "s.png")).shape[0] > plain.shape[0]  # enlarged, in colours
    track = next(iter(desk.session.lives()))
    desk.writer.save_series(track, tmp_path / "p.csv")
    assert len((tmp_path / "p.csv").read_text().splitlines()) > 10
    assert not desk.failed


def test_names_are_suggested_beside_the_recording_or_in_the_chosen_folder(
    desk: Desk, clip: Path, tmp_path: Path
) -> None:
    assert desk.writer.suggested("tracks", ".csv").parent == clip.parent
    assert desk.writer.suggested("tracks", ".csv").name.startswith("scene-tracks")
    desk.session.remember(recordings=str(tmp_path))
    assert desk.writer.suggested("tracks", ".csv").parent == tmp_path


def test_a_video_is_told_of_when_it_is_written(desk: Desk, tmp_path: Path) -> None:
    desk.writer.export_video(tmp_path / "v.mkv")
    until(desk.session, lambda: desk.writer.video is None or desk.writer.video.running is False)
    desk.writer.upkeep()
    assert desk.writer.video is None
    assert desk.said == [f"wrote {tmp_path / 'v.mkv'}"]
    assert (tmp_path / "v.mkv").stat().st_size > 1000
    desk.writer.upkeep()
    assert len(desk.said) == 1  # once


def test_a_video_has_trails_that_are_not_kept_too(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of a session that was opened again come without them."""
    drawn: list[FrameResult] = []
    monkeypatch.setattr(VideoSink, "write", lambda self, result: drawn.append(result))
    store = desk.session.store
    for result in list(store.results()):
        store.add(result, limit=len(store))
    desk.writer.export_video(tmp_path / "v.mkv")
    until(desk.session, lambda: desk.writer.video is None or desk.writer.video.running is False)
    assert len(drawn) == 20
    assert min(len(t.trail) for t in drawn[-1].tracks if t.confirmed) > 5
