"""The window and session files, track logs over a recording, and targets added by hand."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import go, make_window, opened, seen_whole, settled, shared_data
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot
from test_gui import on_screen
from test_gui_session import quick as quick
from test_gui_session import wait
from test_session import DIM, SCENE, truth

from irtrack.gui.window import MainWindow
from irtrack.session.reading import read_session
from irtrack.session.why import nearest

Maker = Callable[[], MainWindow]


def drop(window: MainWindow, path: Path) -> None:
    """A file dropped on the window."""
    urls = QMimeData()
    urls.setUrls([QUrl.fromLocalFile(str(path))])
    none, left = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    window.dropEvent(QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, urls, left, none))


def test_a_session_is_saved_from_the_menu_and_dropped_on_another_window(
    qtbot: QtBot, quick: Maker, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording, path = Path(shutil.copy(clip, tmp_path / "flight.mkv")), tmp_path / "flight.irtrack"
    one = quick()
    seen_whole(qtbot, one, recording)
    asked: list[str] = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (asked.append(a[2]), (str(path), ""))[1])
    qtbot.keyClick(one, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier)
    assert Path(asked[0]).parent == tmp_path
    wait(qtbot, lambda: path.exists() and read_session(path).store.whole)
    track = min(one.session.lives())
    one.session.selected.set(track)
    one.editor.rename("drone")
    wait(qtbot, lambda: read_session(path).edits.names == {track: "drone"})
    one.close()
    two = quick()
    drop(two, path)
    wait(qtbot, lambda: opened(two, str(recording)))
    assert two.windowTitle() == "flight.irtrack - irtrack"
    go(qtbot, two, 15)
    two.side.tracks.all_button.click()
    cells = [two.side.tracks.everything.index(row, 0).data() for row in range(two.side.tracks.everything.rowCount())]
    assert "drone" in cells
    assert "loading" not in two.status._rates.text()
    assert two.session.analysis is None
    two.session.selected.set(track)
    two.drawing.show_side()
    two.side.tabs.setCurrentWidget(two.side.track)
    assert len(two.side.track.plots.curves["snr"].getData()[0]) > 5
    two.close()


def test_what_cannot_be_kept_is_said_in_the_window(qtbot: QtBot, quick: Maker, clip: Path, tmp_path: Path) -> None:
    window = quick()
    seen_whole(qtbot, window, clip)
    folder = tmp_path / "gone"
    folder.touch()  # no folder can be made of it
    window.outputs.save_session(folder / "flight.irtrack")
    wait(qtbot, lambda: "cannot be written" in window.banner.text())
    assert window.banner.isVisible()
    window.close()


def test_a_session_whose_recording_moved_asks_where_it_is(
    qtbot: QtBot, quick: Maker, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording, path = Path(shutil.copy(clip, tmp_path / "flight.mkv")), tmp_path / "flight.irtrack"
    one = quick()
    seen_whole(qtbot, one, recording)
    one.outputs.save_session(path)
    one.close()
    there = tmp_path / "archive" / "old.mkv"
    there.parent.mkdir()
    recording.rename(there)
    asked: list[str] = []
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (asked.append(a[1]), (str(there), ""))[1])
    two = quick()
    two.open(str(path))
    wait(qtbot, lambda: opened(two, str(there)))
    assert asked == ["Where is the recording of flight.irtrack?"]
    assert not two.banner.isVisible()
    assert two.session.store.whole
    two.close()


def test_tracks_dropped_on_a_recording_are_shown_over_it(
    qtbot: QtBot, quick: Maker, clip: Path, tmp_path: Path
) -> None:
    window = quick()
    drop(window, tmp_path / "t.csv")
    assert "open the recording" in window.banner.text()
    seen_whole(qtbot, window, clip)
    (tmp_path / "t.csv").write_text("frame,track_id,x_px,y_px\n" + "".join(f"{f},77,{20 + f},30\n" for f in range(20)))
    drop(window, tmp_path / "t.csv")
    wait(qtbot, lambda: window.session.lives() == {77: (0, 19)})
    go(qtbot, window, 10)
    (shown,) = window.drawing.confirmed()
    assert shown.id == 77
    assert shown.xy_px.tolist() == [30.0, 30.0]
    assert window.side.tracks.table.rowCount() == 1
    window.close()


def click(qtbot: QtBot, window: MainWindow, xy: tuple[float, float]) -> None:
    at = on_screen(window, *xy)
    qtbot.mouseClick(window.canvas.viewport(), Qt.MouseButton.LeftButton, pos=at)


def test_a_missed_target_in_two_clicks(qtbot: QtBot, quick: Maker) -> None:
    window = quick()
    window.session.choose(threshold=0.99, min_area_px=9)
    seen_whole(qtbot, window, DIM, 60)
    there = truth(DIM)
    go(qtbot, window, 8)
    qtbot.keyClick(window, Qt.Key.Key_A)
    assert "Click the target" in window.badges.task.text()
    click(qtbot, window, there[8])
    settled(qtbot, window)
    assert window.session.position == 23  # half a second on
    click(qtbot, window, there[23])
    ((made, (first, last)),) = window.session.lives().items()
    assert first == 8
    assert last > 40
    assert window.session.selected.value == made
    assert not window.badges.task.isVisible()
    go(qtbot, window, 15)
    (shown,) = window.drawing.confirmed()
    assert np.hypot(*(shown.xy_px - there[15])) < 2.5
    assert window.canvas.overlays.labels.shown[0].text == "by hand 1"
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.session.lives() == {}
    assert window.drawing.confirmed() == []
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert len(window.drawing.confirmed()) == 1
    window.close()


def test_adding_a_target_is_given_up_with_escape(qtbot: QtBot, quick: Maker) -> None:
    window = quick()
    seen_whole(qtbot, window, SCENE, 60)
    go(qtbot, window, 8)
    before = window.session.edits.value
    qtbot.keyClick(window, Qt.Key.Key_A)
    click(qtbot, window, (50.0, 40.0))
    qtbot.keyClick(window.canvas, Qt.Key.Key_Escape)
    assert not window.badges.task.isVisible()
    settled(qtbot, window)
    track = window.drawing.confirmed()[0]
    click(qtbot, window, (float(track.xy_px[0]), float(track.xy_px[1])))
    assert window.session.selected.value == track.id  # clicks select again
    assert window.session.edits.value == before
    window.close()


def test_a_window_is_opened_with_tracks(qtbot: QtBot, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("frame,track_id,x_px,y_px\n5,9,20,30\n6,9,21,30\n")
    make_window(qtbot).close()
    window = MainWindow(None, str(clip), tmp_path / "t.csv")
    qtbot.addWidget(window)
    wait(qtbot, lambda: window.session.lives() == {9: (5, 6)})
    window.close()


def test_degrees_under_the_cursor_and_in_the_plot(qtbot: QtBot, quick: Maker, tmp_path: Path) -> None:
    raw16 = shared_data() / "raw16"
    if not raw16.is_dir():
        pytest.skip("the samples of thermal cameras are not here")
    window = quick()
    window.open(str(raw16 / "flir_SampleSEQ.seq"))
    wait(qtbot, lambda: window.canvas.result is not None)
    window.session.pause()
    assert window.canvas.result is not None
    frame = window.canvas.result.frame
    assert frame.celsius is not None
    count = int(frame.image[100, 200])
    degrees = float(frame.celsius(count))
    window.drawing._hover(200, 100)
    assert window.status._where.text() == f"x 200  y 100  value {count}  {degrees:.1f} \N{DEGREE SIGN}C"
    window.drawing._hover(-1, -1)
    assert not window.status._where.text()
    series = np.array([[i, count, 5.0, 1.0, 2.0, 3.0, 1.0, degrees + i, 1.0] for i in range(2)])
    window.side.track.show_track(1, window.session.edits.value, [series], 0.0)
    plots = window.side.track.plots
    np.testing.assert_allclose(plots.curves["brightness"].getData()[1], [degrees, degrees + 1])
    assert "Temperature" in plots.plots[0].getPlotItem().titleLabel.text
    assert "Temperature" in plots.which.itemText(1)
    series[:, 7] = np.nan
    plots.show_series(series, 0.0)
    assert plots.curves["brightness"].getData()[1].tolist() == [count, count]
    assert "Brightness" in plots.plots[0].getPlotItem().titleLabel.text
    window.close()


def test_why_in_a_session_that_was_opened_again_with_edits(qtbot: QtBot, quick: Maker, tmp_path: Path) -> None:
    """What is no track yet, what was left out by hand, what is found since the threshold was changed."""
    window = quick()
    seen_whole(qtbot, window, SCENE, 60)
    s = window.session
    frame = 40
    stored = s.store.part(frame, frame)[0].result
    sure = [t for t in stored.tracks if t.confirmed]
    loose = next(t for t in stored.tracks if not t.confirmed and t.why() and nearest(sure, *t.xy_px.tolist()) is None)
    gone = next(t for t in sure if nearest([u for u in sure if u is not t], *t.xy_px.tolist()) is None)
    go(qtbot, window, frame)
    window.canvas.picked.emit(*loose.xy_px.tolist())
    said = window.status.currentMessage()
    assert re.match(r"No track yet, \d+\.\d nats short: it could be", said)
    s.selected.set(gone.id)
    window.editor.delete()
    window.outputs.save_session(tmp_path / "s.irtrack")
    window.close()
    again = quick()
    again.open(str(tmp_path / "s.irtrack"))
    wait(qtbot, lambda: again.session.opened is not None and again.session.store.whole)
    go(qtbot, again, frame)
    again.canvas.picked.emit(*loose.xy_px.tolist())
    assert again.status.currentMessage() == said
    again.canvas.picked.emit(*gone.xy_px.tolist())
    assert again.session.selected.value is None
    assert again.status.currentMessage() == f"No track: {gone.id} was left out here by hand"
    again.session.choose(threshold=0.1)
    alone = None
    for later in range(frame, 60):
        go(qtbot, again, later)
        followed = again.session.store.part(later, later)[0].result.tracks
        wait(qtbot, lambda: again.canvas.result is not None and again.canvas.result.frame.index == later)  # noqa: B023
        assert again.canvas.result is not None
        found = again.canvas.result.detections.xy_px.tolist()
        if alone := next((xy for xy in found if nearest(followed, *xy) is None), None):
            break
    assert alone is not None
    again.canvas.picked.emit(*alone)
    assert again.status.currentMessage().endswith("it is found with what is chosen now; Analyse again follows it")
    again.close()
