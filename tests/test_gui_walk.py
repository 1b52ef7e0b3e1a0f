"""What a person at the window came across: stale words, keys that were another's, widths, messages that stayed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from conftest import go, seen_whole
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QContextMenuEvent, QFont
from PySide6.QtWidgets import QApplication, QLabel, QToolButton
from pytestqt.qtbot import QtBot
from test_session import SCENE, opened_camera

from irtrack.gui.export_dialog import ExportDialog
from irtrack.gui.lines import LabelsItem
from irtrack.gui.seekbar import SeekBar
from irtrack.gui.window import MainWindow
from irtrack.session.course import Course
from irtrack.session.session import Session


@pytest.fixture
def window(bright_window: MainWindow) -> MainWindow:
    return bright_window


def wait(qtbot: QtBot, condition: Callable[[], object]) -> None:
    qtbot.waitUntil(lambda: bool(condition()), timeout=60_000)


def at(window: MainWindow, x: float, y: float) -> QPoint:
    """Where a pixel of the frame is, on the canvas."""
    return window.canvas.mapFromScene(window.canvas._view.mapViewToScene(QPointF(x + 0.5, y + 0.5)))


def rest_at(window: MainWindow, x: float, y: float) -> None:
    """The mouse is at a pixel of the frame. Of moves that follow each other closely, pyqtgraph leaves some out."""
    window.canvas.scene().sigMouseMoved.emit(window.canvas._view.mapViewToScene(QPointF(x + 0.5, y + 0.5)))


def test_an_error_can_be_closed_and_escape_leaves_the_full_screen(qtbot: QtBot, window: MainWindow) -> None:
    window.banner.show_error("something went wrong")
    close = window.banner.findChild(QToolButton)
    assert isinstance(close, QToolButton)
    qtbot.mouseClick(close, Qt.MouseButton.LeftButton)
    assert not window.banner.isVisible()
    window.banner.show_error("and again")
    window.showFullScreen()
    window.canvas.setFocus()
    qtbot.keyClick(window.canvas, Qt.Key.Key_Escape)
    assert not window.banner.isVisible()
    assert window.isFullScreen()
    qtbot.keyClick(window.canvas, Qt.Key.Key_Escape)
    assert not window.isFullScreen()


def test_a_line_about_an_edit_goes_with_the_next_one_and_others_stay(qtbot: QtBot, window: MainWindow) -> None:
    window.show()
    window.banner.show_error("something else")
    window.editor.settled("no such track")
    assert window.banner.isVisible()
    window.banner.show_error("no such track")
    window.editor.settled("no such track")
    assert not window.banner.isVisible()


def test_escape_gives_up_a_region_before_it_closes_an_error(qtbot: QtBot, window: MainWindow) -> None:
    seen_whole(qtbot, window, SCENE, 60)
    window.banner.show_error("something went wrong")
    window.regions.draw("exclude")
    assert "corners" in window.badges.task.text()
    assert window.badges.task.isVisible()
    qtbot.keyClick(window.canvas, Qt.Key.Key_Escape)
    assert not window.badges.task.isVisible()
    assert window.banner.isVisible()


def test_a_region_is_seen_from_its_first_corner_on(qtbot: QtBot, window: MainWindow) -> None:
    seen_whole(qtbot, window, SCENE, 60)
    window.regions.draw("exclude")
    qtbot.mouseClick(window.canvas.viewport(), Qt.MouseButton.LeftButton, pos=at(window, 10, 10))
    rest_at(window, 40, 30)
    assert window.canvas.overlays.regions.boundingRect().width() > 25
    qtbot.keyClick(window.canvas, Qt.Key.Key_Escape)


def test_the_value_under_the_cursor_is_that_of_the_picture(qtbot: QtBot, window: MainWindow) -> None:
    """Also when the picture goes on under a mouse that rests; and there is none where the mouse is not."""
    seen_whole(qtbot, window, SCENE, 60)
    where = window.status._where

    def told() -> str:
        result = window.canvas.result
        assert result is not None
        return f"x 30  y 20  value {result.frame.image[20, 30]}"

    go(qtbot, window, 5)
    rest_at(window, 30, 20)
    assert where.text() == told()
    first = told()
    for frame in range(6, 30):
        go(qtbot, window, frame)
        assert where.text() == told()
        if told() != first:
            break
    assert told() != first
    QApplication.sendEvent(window.canvas, QEvent(QEvent.Type.Leave))
    assert where.text() == ""


def test_the_temporal_stage_is_chosen_where_detection_is(qtbot: QtBot, window: MainWindow) -> None:
    seen_whole(qtbot, window, SCENE, 60)
    box = window.side.detection.temporal
    assert box.isChecked()
    assert "8 frames a second" in box.toolTip()
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))
    assert not window.session.recipe.value.detector.temporal
    wait(qtbot, window.transport.again_button.isVisible)
    assert window.transport.notice.text() == "temporal stage changed since the analysis"
    window.session.choose(temporal=True)
    assert box.isChecked()
    wait(qtbot, lambda: not window.transport.again_button.isVisible())


def test_a_long_line_of_figures_never_makes_the_window_wider(qtbot: QtBot, window: MainWindow) -> None:
    least = window.minimumSizeHint().width()
    for line in (window.status._rates, window.transport.notice):
        line.show_text("so many figures that they have no room, " * 10)
    window.layout().activate()
    assert window.minimumSizeHint().width() == least
    assert window.status._rates.text().endswith("\u2026")
    assert "no room, so many" in window.status._rates.toolTip()


def test_a_camera_is_said_to_be_back_when_it_is(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, state = window.session, ["reconnecting"]
    camera = opened_camera(session, monkeypatch)
    camera.next()
    wait(qtbot, lambda: session.analysis is not None)
    monkeypatch.setattr(Session, "camera_state", property(lambda self: state[0]))
    camera.info.remarks.add("the camera was lost, and connected again")
    for _ in range(3):
        window.status.refresh(session)
    assert "connected again" not in window.status.currentMessage()
    assert "CAMERA LOST" in window.status._rates.toolTip()
    state[0] = "live"
    window.status.refresh(session)
    assert "connected again" in window.status.currentMessage()


def test_an_export_says_before_it_is_made_what_it_holds(qtbot: QtBot, window: MainWindow) -> None:
    seen_whole(qtbot, window, SCENE, 60)
    window.session.choose(threshold=0.7)
    window.outputs.ask_export()
    dialog = window.findChild(ExportDialog)
    assert isinstance(dialog, ExportDialog)
    said = [label.text() for label in dialog.findChildren(QLabel)]
    assert "Holds 60 frames, analysed before threshold changed" in said
    dialog.reject()


def test_keys_of_a_control_are_its_own_while_the_keyboard_is_on_it(qtbot: QtBot, window: MainWindow) -> None:
    seen_whole(qtbot, window, SCENE, 60)
    window.side.tabs.setCurrentWidget(window.side.display)
    masks, session = window.side.display.masks, window.session
    masks.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(masks, Qt.Key.Key_Space)
    assert not masks.isChecked()
    assert not session.playing
    window.canvas.setFocus()
    qtbot.mouseClick(masks, Qt.MouseButton.LeftButton, pos=QPoint(8, masks.height() // 2))
    assert masks.isChecked()
    assert window.canvas.hasFocus()  # the mouse leaves the keyboard where it was
    qtbot.keyClick(window.canvas, Qt.Key.Key_Space)
    assert session.playing
    session.pause()
    before, slider = session.position, window.side.display.opacity
    window.side.display.mask_style.setCurrentText("fill")
    slider.setFocus(Qt.FocusReason.TabFocusReason)
    level = slider.value()
    qtbot.keyClick(slider, Qt.Key.Key_Left)
    assert slider.value() < level
    assert session.position == before


def test_the_menu_of_a_track_is_where_the_target_is(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a right click on it, and by the Menu key of what is selected."""
    seen_whole(qtbot, window, SCENE, 60)
    asked: list[QPoint] = []
    monkeypatch.setattr(window.menus.of_track, "popup", asked.append)
    canvas, session = window.canvas, window.session
    one, other = (t for t in window.drawing.confirmed()[:2])
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    key = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, middle, canvas.mapToGlobal(middle))
    QApplication.sendEvent(canvas, key)
    assert not asked  # nothing is selected
    qtbot.mouseClick(canvas.viewport(), Qt.MouseButton.RightButton, pos=at(window, *one.xy_px))
    wait(qtbot, lambda: len(asked) == 1)
    assert session.selection == (one.id,)
    session.select(one.id, [other.id])
    qtbot.mouseClick(canvas.viewport(), Qt.MouseButton.RightButton, pos=at(window, *other.xy_px))
    wait(qtbot, lambda: len(asked) == 2)
    assert session.selection == (one.id, other.id)  # it acts on both
    QApplication.sendEvent(canvas, key)
    away = asked[2] - canvas.mapToGlobal(at(window, *one.xy_px))
    assert away.manhattanLength() <= 2


def test_tables_that_take_long_leave_the_time_to_the_picture(window: MainWindow) -> None:
    window._timer.stop()
    drawing, now = window.drawing, time.monotonic() + 100.0
    assert drawing.due(now)
    drawing.renewed(now, now + 0.5)
    assert not drawing.due(now + 2.5)
    assert drawing.due(now + 3.1)


def test_the_opacity_can_be_set_where_it_acts(window: MainWindow) -> None:
    display = window.side.display
    assert not display.opacity.isEnabled()
    display.mask_style.setCurrentText("fill")
    assert display.opacity.isEnabled()


def test_a_window_that_closes_is_gone_at_once(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame may be in the network for seconds, and is waited for."""
    seen, shutdown = [], window.session.shutdown

    def shut() -> None:
        seen.append(window.isVisible())
        shutdown()

    monkeypatch.setattr(window.session, "shutdown", shut)
    window.close()
    assert seen == [False]


def test_numbers_are_strong_enough_for_their_halo(window: MainWindow) -> None:
    assert LabelsItem().font.weight() >= QFont.Weight.DemiBold


def test_a_seek_bar_that_is_zoomed_goes_on_with_the_position(qtbot: QtBot) -> None:
    bar = SeekBar()
    qtbot.addWidget(bar)
    bar.show_course(Course(), (0, 999))
    bar._zoom = (400.0, 500.0)
    for value in range(20):  # playing elsewhere: who has zoomed in to look at something is left alone
        bar.setValue(value)
    assert bar._zoom == (400.0, 500.0)
    bar.setValue(450)
    assert bar._zoom == (400.0, 500.0)
    for value in range(451, 501):
        bar.setValue(value)
    assert bar._zoom == (490.0, 590.0)  # played on, out of view
    bar.setValue(10)
    assert bar._zoom == (0.0, 100.0)  # gone to
    bar.setValue(999)
    assert bar._zoom == (900.0, 1000.0)
