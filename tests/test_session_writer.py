"""What a session writes, without a window: names, words, and what stands in the way."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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


@pytest.fixture
def own_desk(clip: Path, tmp_path: Path) -> Iterator[Desk]:
    """Over a copy of the clip."""
    made = Desk(Path(shutil.copy(clip, tmp_path / "flight.mkv")))
    yield made
    made.session.shutdown()


@contextmanager
def no_room(size: int = 200) -> Iterator[None]:
    """No file of this process grows beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def filmed(desk: Desk, path: Path) -> str:
    """What is said of a video that is written over what is there."""
    desk.writer.export_video(path, force=True)
    until(desk.session, lambda: desk.writer.video is None or not desk.writer.video.running)
    desk.writer.upkeep()
    return desk.failed.pop()


def test_what_was_to_be_replaced_stays_until_all_of_the_new_is_there(own_desk: Desk, tmp_path: Path) -> None:
    desk = own_desk
    written = {name: tmp_path / name for name in ("v.mkv", "t.csv", "p.png", "s.csv")}
    for path in written.values():
        path.write_bytes(b"precious")
    with no_room():
        desk.writer.export(written["t.csv"], force=True)
        desk.writer.snapshot(written["p.png"], force=True)
        desk.writer.save_series(next(iter(desk.session.lives())), written["s.csv"], force=True)
        assert [said.partition(": ")[2] for said in desk.failed] == 3 * ["File too large"]
        assert [said.split()[2].rstrip(":") for said in desk.failed] == [str(written[n]) for n in list(written)[1:]]
        assert filmed(desk, written["v.mkv"]) == f"cannot write {written['v.mkv']}: File too large"
    (tmp_path / "flight.mkv").rename(tmp_path / "elsewhere.mkv")
    assert "there is no file" in filmed(desk, written["v.mkv"])
    assert {path.read_bytes() for path in written.values()} == {b"precious"}
    assert len(list(tmp_path.iterdir())) == 5  # and nothing half-made beside them


@pytest.mark.parametrize("name", ["flight.mkv", "link.mkv"])
def test_nothing_is_written_over_the_recording_itself(own_desk: Desk, clip: Path, tmp_path: Path, name: str) -> None:
    recording, path, desk = tmp_path / "flight.mkv", tmp_path / name, own_desk
    (tmp_path / "link.mkv").hardlink_to(recording)
    desk.writer.export_video(path, force=True)
    desk.writer.export(path.with_suffix(".csv"), force=True)
    desk.writer.snapshot(path, force=True)
    assert len(desk.failed) == 2
    assert all("is read by this run" in said for said in desk.failed)
    assert recording.read_bytes() == clip.read_bytes()


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
