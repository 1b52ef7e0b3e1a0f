"""The window, driven through its widgets, offscreen, on real and simulated clips with the real network."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import hold, make_window, open_and_play_to, seen_whole
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLineEdit
from pytestqt.qtbot import QtBot

from irtrack.config import DetectorSettings, Settings
from irtrack.gui.lines import joined
from irtrack.gui.overlays import MASK_RGB
from irtrack.gui.window import MainWindow
from irtrack.simulate import Scene

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_MS = 240_000


def pixels(window: MainWindow) -> np.ndarray:  # type: ignore[type-arg]
    """The picture area as the user sees it, RGB."""
    image = window.canvas.grab().toImage().convertToFormat(window.canvas.grab().toImage().Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def on_screen(window: MainWindow, x: float, y: float) -> QPoint:
    """Where an image pixel is in the picture widget."""
    scene = window.canvas._view.mapViewToScene(QPointF(x + 0.5, y + 0.5))
    return window.canvas.mapFromScene(scene)


def wait(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=PATIENCE_MS)


def test_empty_window_invites(window: MainWindow) -> None:
    assert window.start.hint.isVisible()
    assert not window.transport.play_button.isEnabled()
    assert not window.transport.seek_bar.isEnabled()
    assert not window.menus.needs_picture[0].isEnabled()


def test_opens_plays_and_draws_masks_and_trails_on_their_frame(
    qtbot: QtBot, window: MainWindow, clip: Path, scene: Scene
) -> None:
    open_and_play_to(qtbot, window, clip, 12)
    window.side.display.mask_style.setCurrentText("fill")
    hold(qtbot, window)
    shown = window.canvas.result
    assert shown is not None
    assert shown.frame.index == window.transport.seek_bar.value() == window.session.position
    assert np.array_equal(shown.frame.image, scene.image(shown.frame.index))
    picture, found = pixels(window), 0
    for x, y in scene.truth(shown.frame.index).xy_px:
        at = on_screen(window, x, y)
        red, green, _ = picture[at.y(), at.x()]
        found += red - green > 0.3 * (MASK_RGB[0] - MASK_RGB[1])
    assert found >= 2  # mask colour stands at the targets' places
    confirmed = [t for t in shown.tracks if t.confirmed]
    assert window.side.table.rowCount() == len(confirmed) >= 2
    assert any(len(t.trail) > 5 for t in confirmed)
    window.side.display.masks.setChecked(False)
    window.side.display.boxes.setChecked(False)
    window.side.display.trails.setChecked(False)
    window.side.display.labels.setChecked(False)
    qtbot.wait(50)
    plain = pixels(window)
    inside = plain[60:-60, 200:-200]
    assert np.abs(inside[:, :, 0] - inside[:, :, 1]).max() < 12  # nothing but grey is left
    assert np.abs(picture - plain).sum() > 0
    window.side.display.palette_box.setCurrentText("Black hot")
    qtbot.wait(50)
    inverted = pixels(window)[60:-60, 200:-200]
    assert np.abs(inverted[:, :, 0] + inside[:, :, 0] - 255).mean() < 6


def test_transport(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    open_and_play_to(qtbot, window, clip, 4)
    qtbot.keyClick(window, Qt.Key.Key_Space)
    assert not window.session.playing
    at = window.session.position
    assert at is not None
    qtbot.wait(300)
    assert window.session.position == at  # paused is paused
    qtbot.mouseClick(window.transport.forward_button, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: window.session.position == at + 1)
    qtbot.mouseClick(window.transport.back_button, Qt.MouseButton.LeftButton)
    qtbot.keyClick(window, Qt.Key.Key_Left)
    wait(qtbot, lambda: window.session.position == at - 1)
    window.transport.seek_bar.setValue(1)
    wait(qtbot, lambda: window.session.position == 1)
    qtbot.mouseClick(window.transport.play_button, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: window.session.position == 19 and not window.session.playing)
    wait(qtbot, lambda: window.session.analysis is not None and window.session.analysis.whole)
    assert len(window.session.store) == 20
    assert window.session.analysis is not None
    assert window.session.analysis.done == 20  # nothing ran twice
    qtbot.keyClick(window, Qt.Key.Key_Home)
    wait(qtbot, lambda: window.session.position == 0)


def test_seeking_ahead_goes_on_there(qtbot: QtBot, window: MainWindow, clip: Path, scene: Scene) -> None:
    open_and_play_to(qtbot, window, clip, 2)
    window.session.pause()
    window.transport.seek_bar.setValue(17)
    wait(qtbot, lambda: window.canvas.result is not None and window.canvas.result.frame.index == 17)
    assert window.canvas.result is not None
    assert np.array_equal(window.canvas.result.frame.image, scene.image(17))


def test_threshold_acts_on_the_shown_frame(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    open_and_play_to(qtbot, window, clip, 8)
    hold(qtbot, window)

    def area() -> int:
        assert window.canvas.result is not None
        mask = window.canvas.result.detections.mask
        return 0 if mask is None else int(mask.sum())

    at, before = window.session.position, area()
    window.side.detection.threshold.setValue(2)
    wait(qtbot, lambda: area() > before)
    assert window.session.position == at
    window.side.detection.threshold.setValue(99)
    wait(qtbot, lambda: area() < before)
    assert "0.99" in window.side.detection.threshold_label.text()


def test_selection_goes_both_ways(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    open_and_play_to(qtbot, window, clip, 10)
    hold(qtbot, window)
    window.drawing.show_side()
    track = window.side.table.row(0)
    place = on_screen(window, *track.xy_px)
    qtbot.mouseClick(window.canvas.viewport(), Qt.MouseButton.LeftButton, pos=place)
    wait(qtbot, lambda: window.canvas.selected == track.id)
    assert [i.data() for i in window.side.tracks.view.selectionModel().selectedRows(0)] == [str(track.id)]
    other = window.side.table.rowCount() - 1
    window.side.tracks.view.selectRow(other)
    index = window.side.tracks.view.sorted.mapToSource(window.side.tracks.view.sorted.index(other, 0))
    assert window.canvas.selected == window.side.table.row(index.row()).id


def test_exports_what_was_seen_and_never_overwrites(
    qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path
) -> None:
    seen_whole(qtbot, window, clip)
    for name in ("t.csv", "t.txt", "t.jsonl"):
        window.outputs.export(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 100
    with (tmp_path / "t.csv").open(newline="") as f:
        assert {int(r["frame"]) for r in csv.DictReader(f)} >= set(range(3, 20))
    window.outputs.snapshot(tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert not window.banner.isVisible()
    window.outputs.export(tmp_path / "t.csv")
    assert "exists" in window.banner.text()
    assert window.banner.isVisible()


def test_a_dropped_file_opens(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(clip))])
    action, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    event = QDropEvent(QPointF(50, 50), action, mime, Qt.MouseButton.LeftButton, none)
    window.dropEvent(event)
    wait(qtbot, lambda: window.session.position is not None)
    assert clip.name in window.windowTitle()


def test_what_is_dropped_stays_where_it_is(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    """A file that is accepted as moved may be deleted by the program that it is dragged from."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(clip)), QUrl.fromLocalFile("/nowhere/other.mkv")])
    either = Qt.DropAction.CopyAction | Qt.DropAction.MoveAction
    left, shift = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier  # which stands for moving
    entering = QDragEnterEvent(QPoint(50, 50), either, mime, left, shift)
    dropped = QDropEvent(QPointF(50, 50), either, mime, left, shift)
    for event in (entering, dropped):
        assert event.proposedAction() == Qt.DropAction.MoveAction
        QApplication.sendEvent(window, event)
        assert event.isAccepted()
        assert event.dropAction() == Qt.DropAction.CopyAction
    assert "of several the first is opened" in window.status.currentMessage()
    wait(qtbot, lambda: window.session.position is not None)
    assert clip.name in window.windowTitle()
    assert not any(field.acceptDrops() for field in window.findChildren(QLineEdit)), "nor is it text of a field"


def test_errors_stay_in_the_window(qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path) -> None:
    bad = tmp_path / "text.mp4"
    bad.write_text("no video" * 100)
    window.open(str(bad))
    wait(qtbot, window.banner.isVisible)
    assert "not a video" in window.banner.text()
    open_and_play_to(qtbot, window, clip, 3)  # and the window stays usable
    assert not window.banner.isVisible()


def test_opening_another_file_while_one_plays(qtbot: QtBot, window: MainWindow, clip: Path, sample: Path) -> None:
    open_and_play_to(qtbot, window, clip, 3)
    window.open(str(sample))
    window.open("sim:crowd,frames=9")
    window.open(str(clip))
    wait(qtbot, lambda: (window.session.position or 0) >= 6)
    assert window.session.opened is not None
    assert window.session.opened.text == str(clip)


def test_first_picture_comes_before_the_network(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    window.open(str(clip))
    wait(qtbot, lambda: window.canvas.result is not None)
    assert window.canvas.result is not None
    assert window.canvas.result.frame.index == 0


@pytest.mark.parametrize("when", ["opening", "playing", "paused"])
def test_closing_is_quick_at_any_time(qtbot: QtBot, window: MainWindow, clip: Path, when: str) -> None:
    window.open(str(clip))
    if when != "opening":
        wait(qtbot, lambda: (window.session.position or 0) >= 2)
    if when == "paused":
        window.session.toggle_play()
    window.close()  # the fixture checks that threads are gone


def test_status_line_says_what_happens(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    open_and_play_to(qtbot, window, clip, 10)
    wait(qtbot, lambda: "datransnet-s on cpu" in window.status._rates.text())
    words = ("display", "detection", "analys")
    wait(qtbot, lambda: all(word in window.status._rates.text() for word in words))
    window.canvas.hovered.emit(10, 20)
    assert "x 10  y 20" in window.status._where.text()


def test_joined_lines_do_not_touch() -> None:
    line = joined([np.array([[0.0, 0], [1, 1]]), np.array([[5.0, 5], [6, 6]])])
    assert np.isnan(line[:, 0]).tolist() == [False, False, True, False, False, True]
    assert line[3].tolist() == [5, 5]
    assert joined([]).shape == (0, 2)


def test_real_clip_screenshot(qtbot: QtBot, window: MainWindow, data: Path) -> None:
    """The window on a real clip: mask on the drone, trail behind it. Kept for people to look at, outside git."""
    window.resize(1280, 760)
    open_and_play_to(qtbot, window, data / "video" / "drone_ir" / "IR_DRONE_143.mp4", 30)
    hold(qtbot, window)
    with (data / "video" / "drone_ir" / "IR_DRONE_143.gt.csv").open(newline="") as f:
        truth = {int(r["frame"]): r for r in csv.DictReader(f) if r["track_id"] == "1"}[window.session.position or 0]
    x, y = float(truth["x"]) + float(truth["w"]) / 2, float(truth["y"]) + float(truth["h"]) / 2
    at, picture = on_screen(window, x, y), pixels(window)
    patch = picture[at.y() - 20 : at.y() + 21, at.x() - 20 : at.x() + 21]
    assert (patch[:, :, 0] - patch[:, :, 1] > 60).sum() > 20
    near = [
        t for t in (window.canvas.result.tracks if window.canvas.result else ()) if np.hypot(*(t.xy_px - (x, y))) < 9
    ]
    assert near
    assert max(len(t.trail) for t in near) > 10
    out = ROOT / "build"
    out.mkdir(exist_ok=True)
    assert window.grab().save(str(out / "screenshot-real.png"))


def ended(qtbot: QtBot, window: MainWindow) -> None:
    """The analysis is over; how fast it was says more of the machine that it ran on than of the window."""
    wait(qtbot, lambda: window.session.store.whole)
    analysis = window.session.analysis
    assert analysis is not None
    analysis.detect_ms.clear()
    window.drawing.refresh()
    qtbot.wait(100)


@pytest.fixture
def quickest(qtbot: QtBot) -> Iterator[MainWindow]:
    """A window with the engine that is the fastest here, for long clips."""
    made = make_window(qtbot, Settings(detector=DetectorSettings(weights="datransnet-s")))
    yield made
    made.close()


def test_screenshot_for_the_readme(qtbot: QtBot, quickest: MainWindow, sample: Path) -> None:
    """The picture in the README is this one, on our own simulated clip."""
    window = quickest
    window.resize(1280, 720)
    open_and_play_to(qtbot, window, sample, 70)
    hold(qtbot, window)
    window.drawing.show_side()
    window.session.selected.set(window.side.table.row(0).id)
    window.side.tabs.setCurrentWidget(window.side.track)
    ended(qtbot, window)
    (ROOT / "build").mkdir(exist_ok=True)
    assert window.grab().save(str(ROOT / "build" / "screenshot.png"))
    assert window.side.table.rowCount() >= 3


def test_screenshot_of_a_hundred_tracks(qtbot: QtBot, quickest: MainWindow) -> None:
    """The second picture in the README."""
    window = quickest
    window.resize(1280, 720)
    window.transport.speed_box.setCurrentText("Every frame")
    display = window.side.display
    display.trail_s.setValue(5.0)
    display.colouring.setCurrentText("speed")
    display.legend.setChecked(True)
    window.side.tabs.setCurrentWidget(display)
    open_and_play_to(qtbot, window, Path("sim:crowd,frames=24,scr=14"), 20)
    hold(qtbot, window)
    ended(qtbot, window)
    window.drawing.show_side()
    (ROOT / "build").mkdir(exist_ok=True)
    assert window.grab().save(str(ROOT / "build" / "screenshot-crowd.png"))
    assert window.side.table.rowCount() >= 80
