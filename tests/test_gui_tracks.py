"""Names, marks, deletions, merges and their undoing; plots of the marked track; through a real window."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import conftest
import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QFileDialog, QInputDialog, QMenu
from pytestqt.qtbot import QtBot
from test_gui_picture import track

from irtrack.config import TrackerSettings
from irtrack.core import Detections, Frame, FrameResult, IrtrackError, Track
from irtrack.gui.window import MainWindow
from irtrack.session.edits import Edits
from irtrack.session.packing import packed
from irtrack.session.reading import read_session
from irtrack.session.series import SERIES
from irtrack.session.store import ResultStore
from irtrack.session.why import AGAINST
from irtrack.track.belief import PARTS
from irtrack.track.tracker import KalmanTracker


def wait(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=60_000)


def seen_whole(qtbot: QtBot, window: MainWindow, clip: Path) -> list[int]:
    """Every frame seen; the identities of the last one, the first of them selected."""
    conftest.seen_whole(qtbot, window, clip)
    window.side.tabs.setCurrentWidget(window.side.track)
    window.side.tracks.view.selectRow(0)
    ids = [window.side.table.row(i).id for i in range(window.side.table.rowCount())]
    assert window.canvas.selected == ids[0]
    return ids


def result(index: int, *tracks: Track) -> FrameResult:
    image = np.zeros((64, 80), np.uint16)
    image[10, 20] = 900
    return FrameResult(Frame(index, index / 10, image), Detections.empty(np.zeros(image.shape, bool)), tracks, {})


def test_a_click_on_what_is_no_track_says_why(qtbot: QtBot, window: MainWindow) -> None:
    """A bright point that never moves, on a rough ground, beside one that flies."""
    rng = np.random.default_rng(0)
    image = (100 + 60 * ((np.indices((120, 200)) // 7).sum(0) % 2) + rng.normal(0, 2, (120, 200))).astype(np.uint8)
    tracker = KalmanTracker(TrackerSettings(camera_motion="off"))
    for i in range(40):
        xy = np.array([[20 + 3.0 * i, 30.0], [150.0, 90.0]])
        found = Detections(xy, np.full(2, 0.9), np.full(2, 4.0), np.column_stack([xy - 1, np.full((2, 2), 2.0)]),
                           np.full(2, 6.0))  # fmt: skip
        tracks = tracker(found, i / 30, image)
    window.canvas.show_result(FrameResult(Frame(39, 39 / 30, image), found, tracks, {}), None)
    assert [t.confirmed for t in tracks] == [True, False]
    window.canvas.picked.emit(151.0, 90.0)
    said = window.status.currentMessage()
    assert said.startswith("No track yet")
    assert "something fixed" in said
    assert "it has hardly moved" in said
    assert window.canvas.selected is None
    assert set(AGAINST) == set(PARTS), "every part of a belief has its words"
    window.canvas.picked.emit(*tracks.xy_px[0].tolist())
    assert window.canvas.selected == tracks[0].id


def test_a_name_stands_in_picture_table_and_export(
    qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path
) -> None:
    first, *_ = seen_whole(qtbot, window, clip)
    field = window.side.track.name
    qtbot.keyClicks(field, "drone A")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.mouseClick(window.side.track.mark, Qt.MouseButton.LeftButton)
    assert "drone A ★" in [label.text for label in window.canvas.overlays.labels.shown]
    assert window.side.tracks.view.sorted.index(0, 0).data() == "drone A ★"
    window.side.tracks.filter.setText("drone")
    assert window.side.tracks.view.sorted.rowCount() == 1
    window.side.tracks.filter.clear()
    window.outputs.export(tmp_path / "t.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    named = {t["id"] for row in rows for t in row["tracks"] if t.get("name") == "drone A"}
    assert named == {first}
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.session.edits.value == Edits()
    assert window.side.tracks.view.sorted.index(0, 0).data() == str(first)


def test_edits_are_kept_in_a_session_of_the_recording(
    qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data-of-the-test" / "irtrack" / "sessions"
    first, *_ = seen_whole(qtbot, window, clip)
    seen_whole(qtbot, window, clip)
    assert not folder.exists()  # nothing was said of its tracks
    window.editor.rename("drone A")
    seen_whole(qtbot, window, clip)
    assert window.session.analysis is None  # what was found is there again, without another pass
    assert list(window.session.edits.value.names.values()) == ["drone A"]
    window.editor.rename("drone B")
    window.close()
    (saved,) = folder.glob("*.irtrack")
    assert list(read_session(saved).edits.names.values()) == ["drone B"]
    assert first


def test_deleting_and_bringing_back(qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path) -> None:
    first, *others = seen_whole(qtbot, window, clip)
    qtbot.keyClick(window, Qt.Key.Key_Delete)
    assert window.canvas.selected is None
    assert [window.side.table.row(i).id for i in range(window.side.table.rowCount())] == others
    assert first not in window.transport.seek_bar.course.lives
    conftest.go(qtbot, window, 16)
    assert first not in {t.id for t in window.canvas.result.tracks if window.canvas.result}
    window.outputs.export(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as f:
        assert {int(r["track_id"]) for r in csv.DictReader(f)} == set(others)
    window.editor.undo()
    assert window.side.table.rowCount() == len(others) + 1


def test_exporting_one_track_alone(qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path) -> None:
    first, *_ = seen_whole(qtbot, window, clip)
    window.outputs.export(tmp_path / "one.csv", only=first)
    with (tmp_path / "one.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert {int(r["track_id"]) for r in rows} == {first}
    assert len(rows) > 10


def test_plots_show_the_marked_track_and_go_to_a_time(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    first, *_ = seen_whole(qtbot, window, clip)
    series, plots = window.session.store.series(first), window.side.track.plots
    assert len(series) > 6
    for name in SERIES[1:6]:
        t, value = plots.curves[name].getData()
        np.testing.assert_allclose(t, series[:, 0])
        np.testing.assert_allclose(value, series[:, SERIES.index(name)])
    shown = {t.id: t for t in window.canvas.result.tracks} if window.canvas.result else {}
    np.testing.assert_allclose(series[-1, 4:6], shown[first].xy_px)
    plot = plots.plots[1]
    at = plot.getPlotItem().vb.mapViewToScene(QPointF(15 / 30, float(series[5, 2])))
    qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=plot.mapFromScene(at))
    wait(qtbot, lambda: abs((window.session.position or 0) - 15) <= 1)
    assert "frames" in window.side.track.head.text()
    window.session.selected.set(None)
    assert "No track is selected" in window.side.track.head.text()
    assert not window.side.track.delete.isEnabled()


def test_one_plot_large_by_choice_and_all_of_them_as_a_table(
    qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = seen_whole(qtbot, window, clip)
    window.side.tabs.setCurrentWidget(window.side.track)
    window.drawing.show_side()
    plots = window.side.track.plots
    wait(qtbot, lambda: all(plot.isVisible() for plot in plots.plots))
    small = plots.plots[2].height()
    plots.which.setCurrentIndex(3)
    wait(qtbot, lambda: plots.plots[2].height() > 1.8 * small)
    assert [plot.isVisible() for plot in plots.plots] == [False, False, True, False]
    assert "px/s" in plots.which.currentText()
    plots.which.setCurrentIndex(0)
    wait(qtbot, lambda: all(plot.isVisible() for plot in plots.plots))
    path = tmp_path / "plots.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(path), ""))
    qtbot.mouseClick(plots.export, Qt.MouseButton.LeftButton)
    with path.open(newline="") as f:
        rows = list(csv.DictReader(f))
    series = window.session.store.series(first)
    assert len(rows) == len(series)
    for column, name in (("time_s", "time_s"), ("brightness_counts", "brightness"), ("y_px", "y_px")):
        np.testing.assert_allclose([float(r[column]) for r in rows], series[:, SERIES.index(name)])
    assert {r["temperature_c"] for r in rows} == {""}
    path.write_text("another")  # which the dialog asked about
    qtbot.mouseClick(plots.export, Qt.MouseButton.LeftButton)
    assert len(path.read_text().splitlines()) == 1 + len(series)
    assert not window.banner.isVisible()


def test_only_tracks_that_follow_one_another_can_be_one(
    qtbot: QtBot, window: MainWindow, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = seen_whole(qtbot, window, clip)
    window.editor.merge(second)
    assert window.banner.isVisible()
    assert f"tracks {first} and {second} are both there" in window.banner.text()
    window.banner.hide()
    window.editor.ask_merge()  # none to choose from, so no dialog
    assert "no other track" in window.status.currentMessage()
    # A track that begins after the end of the clip's: put into the store by hand.
    assert window.session.picture is not None
    shown = window.session.picture.result
    later = replace(shown, frame=replace(shown.frame, index=19 + 5), tracks=(track(99, 30, 30),))
    window.session.store.add(later)
    monkeypatch.setattr(QInputDialog, "getItem", lambda *a: (a[3][0], True))
    qtbot.mouseClick(window.side.track.merge, Qt.MouseButton.LeftButton)
    assert window.canvas.selected == first, "the number is that of the one that begins first"
    assert {t.id for t in window.canvas.result.tracks if t.confirmed and window.canvas.result} >= {first, second}
    assert window.session.lives()[first][1] == 24
    assert window.side.track.head.text().startswith(f"Track {first}")
    assert window.status.currentMessage() == f"tracks {first} and 99 are one now, {first}"


def test_the_menu_of_a_row(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    seen_whole(qtbot, window, clip)
    window.side.tracks.view.customContextMenuRequested.emit(QPoint(10, 10))
    menu = next(m for m in window.findChildren(QMenu) if m.isVisible())
    actions = {a.text().replace("&", ""): a for a in menu.actions() if a.text()}
    assert list(actions) == [
        "To its start", "Follow it, or no longer", "Rename...", "Star", "Merge into...", "Split here",
        "Cut the tail from here", "Swap from here...", "Delete", "It is", "Export the selected track...",
    ]  # fmt: skip
    actions["Star"].trigger()
    assert window.canvas.selected in window.session.edits.value.marked
    actions["To its start"].trigger()
    assert window.session.position == window.session.store.lives()[window.canvas.selected or 0][0]
    window.editor.judge("bird")
    verdicts = actions["It is"].menu()
    assert isinstance(verdicts, QMenu)
    verdicts.aboutToShow.emit()
    assert [a.text() for a in verdicts.actions() if a.isChecked()] == ["Bird"]
    menu.close()


def test_edits_by_themselves() -> None:
    lives = {1: (0, 10), 2: (20, 30), 3: (25, 40), 4: (50, 60)}
    edits = Edits().renamed(1, " A ").with_mark(1, True).joined(1, 2, lives)
    assert edits.names == {2: "A"}
    assert edits.marked == {2}
    joined = edits.lives(lives)
    assert joined == {2: (0, 30), 3: (25, 40), 4: (50, 60)}
    edits = edits.joined(2, 4, joined)
    assert [(p.track, p.now) for p in edits.pieces(lives)] == [(1, 4), (2, 4), (3, 3), (4, 4)]
    with pytest.raises(IrtrackError, match="both there in frames 25 to 40"):
        edits.joined(3, 4, edits.lives(lives))
    with pytest.raises(IrtrackError, match="with itself"):
        edits.joined(4, 4, edits.lives(lives))
    applied = edits.apply(result(5, track(1, 5, 5), track(3, 9, 9)))
    assert [t.id for t in applied.tracks] == [4, 3]
    coasting = replace(track(1, 5, 5), detection=None)
    twice = edits.apply(result(5, coasting, track(2, 6, 6)))  # parts overlap where one of them coasts
    assert [(t.id, t.xy_px[0]) for t in twice.tracks] == [(4, 6.0)]
    untouched = result(1, track(3, 1, 1))
    assert edits.apply(untouched) is untouched
    assert edits.without(3).apply(untouched).tracks == ()
    assert edits.renamed(4, "").label(4) == "4 ★"


def test_the_store_of_a_camera_is_bounded() -> None:
    store = ResultStore()
    for i in range(20):
        tracks = (track(1, 20, 10),) if i < 8 else (track(2, 20, 10), track(3, 79.4, 63.4))
        store.add(result(i, *tracks), limit=10)
    assert len(store) == 10
    assert store.lives() == {2: (10, 19), 3: (10, 19)}
    assert len(store.series(1)) == 0
    series = store.series(2)
    assert series.shape == (10, len(SERIES))
    assert series[0, 1] == pytest.approx(100.0)  # 900 in one of nine pixels
    assert [r.frame.index for r in store.results()] == list(range(10, 20))


class Walked(dict[int, tuple[float, ...]]):
    """Rows of a track by frames, and how many of them were walked through."""

    steps = 0

    def __iter__(self) -> Iterator[int]:
        for key in super().__iter__():
            Walked.steps += 1
            yield key


def test_a_frame_that_goes_does_not_walk_through_all_that_stay() -> None:
    """A track that is there all the time has half an hour of rows."""
    store = ResultStore()
    for i in range(100):
        store.add(result(i, track(1, 20, 10)), limit=100)
    store._series[1] = Walked(store._series[1])
    store.add(result(100, track(1, 20, 10)), limit=100)
    assert Walked.steps <= 2
    assert store.lives() == {1: (1, 100)}


def test_packed_tracks_are_the_same_but_for_their_trails() -> None:
    tracks = (track(7, 3, 4), replace(track(8, 9, 9), detection=None, snr=float("nan")))
    again = packed(tracks)
    for a, b in zip(tracks, again, strict=True):
        assert (a.id, a.status, a.detection, a.size_px, a.misses) == (b.id, b.status, b.detection, b.size_px, b.misses)
        np.testing.assert_array_equal(a.xy_px, b.xy_px)
        np.testing.assert_array_equal(a.covariance, b.covariance)
        np.testing.assert_array_equal([a.snr, a.score, a.area_px], [b.snr, b.score, b.area_px])
        assert b.trail.shape == (1, 2)
    assert len(packed(())) == 0
