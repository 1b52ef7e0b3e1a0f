"""Regions on the picture: they say what they are, and are moved, changed and deleted singly."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from conftest import go, seen_whole
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot
from test_gui import on_screen
from test_gui_session import quick as quick
from test_gui_session import wait
from test_session import SCENE

from irtrack.gui.region_item import distance
from irtrack.gui.window import MainWindow

Maker = Callable[[], MainWindow]
APART_S = 0.015
"""pyqtgraph leaves out moves of the mouse that come sooner after each other than 10 ms."""

SQUARE = ((10.0, 10.0), (40.0, 10.0), (40.0, 40.0), (10.0, 40.0))
OTHER = ((60.0, 50.0), (90.0, 50.0), (75.0, 75.0))


@pytest.fixture
def shown(qtbot: QtBot, quick: Maker) -> MainWindow:
    window = quick()
    seen_whole(qtbot, window, SCENE, 60)
    go(qtbot, window, 20)
    window.session.regions.set({"exclude": (SQUARE, OTHER)})
    qtbot.wait(30)
    return window


def send(window: MainWindow, kind: QEvent.Type, at: QPoint, button: Qt.MouseButton, held: Qt.MouseButton) -> None:
    time.sleep(APART_S)
    port = window.canvas.viewport()
    everywhere = QPointF(port.mapToGlobal(at))
    QApplication.sendEvent(
        port, QMouseEvent(kind, QPointF(at), everywhere, button, held, Qt.KeyboardModifier.NoModifier)
    )
    QApplication.processEvents()


def drag(window: MainWindow, start: tuple[float, float], end: tuple[float, float]) -> None:
    """With the left button, over several steps."""
    a, b = on_screen(window, *start), on_screen(window, *end)
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    send(window, QEvent.Type.MouseMove, a, none, none)
    send(window, QEvent.Type.MouseButtonPress, a, left, left)
    for step in range(1, 9):
        send(window, QEvent.Type.MouseMove, a + (b - a) * step / 8, none, left)
    send(window, QEvent.Type.MouseButtonRelease, b, left, none)


def menu_at(qtbot: QtBot, window: MainWindow, x: float, y: float) -> QMenu:
    at = on_screen(window, x, y)
    qtbot.mouseMove(window.canvas.viewport(), at)
    qtbot.mouseClick(window.canvas.viewport(), Qt.MouseButton.RightButton, pos=at)
    wait(qtbot, lambda: isinstance(QApplication.activePopupWidget(), QMenu))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


def choose(menu: QMenu, text: str) -> None:
    next(action for action in menu.actions() if action.text() == text).trigger()
    menu.close()


def test_a_corner_is_dragged_and_an_edge_moves_the_whole(shown: MainWindow) -> None:
    regions, view = shown.session.regions, shown.canvas._view.viewRect()
    drag(shown, (40.0, 40.0), (50.0, 45.0))
    one, other = regions.value["exclude"]
    assert other == OTHER
    assert one[:2] + one[3:] == SQUARE[:2] + SQUARE[3:]
    assert one[2] == pytest.approx((50.0, 45.0), abs=0.3)
    drag(shown, (25.0, 10.0), (30.0, 20.0))
    (moved, _) = regions.value["exclude"]
    for before, after in zip(one, moved, strict=True):
        assert after == pytest.approx((before[0] + 5, before[1] + 10), abs=0.4)
    assert shown.session.recipe.value.regions.exclude == regions.value["exclude"]  # it counts at once
    assert shown.canvas._view.viewRect() == view  # the picture was not moved
    drag(shown, (75.0, 20.0), (70.0, 20.0))
    assert shown.canvas._view.viewRect() != view  # elsewhere it is
    assert regions.value["exclude"] == (moved, OTHER)


def test_they_say_what_they_are(shown: MainWindow) -> None:
    labels = shown.canvas.overlays.region_labels.shown
    assert [label.text for label in labels] == ["leave out", "leave out"]
    assert (labels[0].x, labels[0].y) == (10.5, 10.5)
    shown.session.regions.set({"include": (SQUARE,), "alarm": (OTHER,)})
    assert [label.text for label in shown.canvas.overlays.region_labels.shown] == ["look only here", "alarm here"]


def test_the_menu_of_a_region(qtbot: QtBot, shown: MainWindow) -> None:
    regions = shown.session.regions
    menu = menu_at(qtbot, shown, 25.0, 10.0)
    assert [a.text() for a in menu.actions() if a.isChecked()] == ["Leave out"]
    choose(menu, "Alarm here")
    assert regions.value == {"exclude": (OTHER,), "alarm": (SQUARE,)}
    choose(menu_at(qtbot, shown, 25.0, 10.0), "Add a corner")
    assert regions.value["alarm"][0] == (SQUARE[0], (25.0, 10.0), *SQUARE[1:])
    choose(menu_at(qtbot, shown, 40.0, 40.0), "Delete this corner")
    assert regions.value["alarm"][0] == (SQUARE[0], (25.0, 10.0), SQUARE[1], SQUARE[3])
    choose(menu_at(qtbot, shown, 75.0, 75.0), "Delete the region")
    assert regions.value["exclude"] == ()
    assert len(regions.value["alarm"]) == 1


def test_what_would_hold_nothing_stays_as_it_was(shown: MainWindow) -> None:
    drag(shown, (75.0, 75.0), (75.0, 50.0))
    assert shown.session.regions.value["exclude"] == (SQUARE, OTHER)
    assert shown.canvas.overlays.regions.outlines == shown.session.regions.value


def test_clicks_on_a_region_select_and_drawing_goes_over_others(qtbot: QtBot, shown: MainWindow) -> None:
    shown.regions.draw("alarm")
    for x, y in ((10.0, 10.0), (30.0, 12.0), (12.0, 30.0)):  # the first on a corner of another
        qtbot.mouseClick(shown.canvas.viewport(), Qt.MouseButton.LeftButton, pos=on_screen(shown, x, y))
        qtbot.wait(20)
    qtbot.keyClick(shown.canvas, Qt.Key.Key_Return)
    assert len(shown.session.regions.value["alarm"][0]) == 3
    assert shown.session.regions.value["exclude"] == (SQUARE, OTHER)


def test_distances_from_edges() -> None:
    assert distance((5, 3), (0, 0), (10, 0)) == 3
    assert distance((-3, 4), (0, 0), (10, 0)) == 5
    assert distance((1, 1), (0, 0), (0, 0)) == pytest.approx(2**0.5)


def test_corners_beside_the_picture_lie_on_its_border_and_all_is_taken_back_by_key(
    qtbot: QtBot, shown: MainWindow
) -> None:
    regions = shown.session.regions
    before = regions.value
    shown.canvas._view.setRange(xRange=(-30, 126), yRange=(-30, 110), padding=0)
    shown.regions.draw("include")
    for x, y in ((-20, -20), (50, -9), (50, 60), (-7, 60)):
        qtbot.mouseClick(shown.canvas.viewport(), Qt.MouseButton.LeftButton, pos=on_screen(shown, x, y))
    qtbot.keyClick(shown.canvas, Qt.Key.Key_Return)
    (drawn,) = regions.value["include"]
    for corner, expected in zip(drawn, ((-0.5, -0.5), (50, -0.5), (50, 60), (-0.5, 60)), strict=True):
        assert corner == pytest.approx(expected, abs=0.6)
    allowed = shown.session.recipe.value.regions.allowed((80, 96))
    assert allowed is not None
    assert allowed[0, 0]
    assert not allowed[79, 95]
    after = regions.value
    drag(shown, (50.0, 30.0), (-40.0, 30.0))  # all of it out of the picture: then nothing would be looked at
    assert regions.value == after
    assert shown.canvas.overlays.regions.outlines == after
    assert "hold something" in shown.status.currentMessage()
    shown.regions.clear()
    assert regions.value == {}
    assert "Ctrl+Z" in shown.status.currentMessage()
    shown.canvas.setFocus()
    for expected_regions in (after, before):
        shown.editor.undo()
        assert regions.value == expected_regions
        assert shown.canvas.overlays.regions.outlines == expected_regions
        assert shown.session.recipe.value.regions.include == expected_regions.get("include", ())
    shown.editor.redo()
    assert regions.value == after
    choose(menu_at(qtbot, shown, 50.0, 30.0), "Delete the region")
    assert "include" not in regions.value or not regions.value["include"]
    shown.editor.undo()
    assert regions.value == after


def test_a_region_that_is_being_drawn_ends_with_its_picture(qtbot: QtBot, shown: MainWindow) -> None:
    shown.regions.draw("exclude")
    for x, y in ((10, 10), (60, 10), (60, 60)):
        qtbot.mouseClick(shown.canvas.viewport(), Qt.MouseButton.LeftButton, pos=on_screen(shown, x, y))
    seen_whole(qtbot, shown, SCENE.replace("seed=5", "seed=6"), 60)
    assert not shown.canvas.drawing
    assert not shown.badges.task.isVisible()
    assert shown.session.regions.value == {}
