"""The window on a small screen, and without a mouse: all that can be done is in reach."""

from __future__ import annotations

from itertools import combinations

import pytest
from conftest import go, seen_whole
from PySide6.QtCore import QPoint, QPointF, QRect, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QLabel,
    QLineEdit,
    QScrollBar,
    QTabBar,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot
from test_gui_picture import crowd, track
from test_session import SCENE

from irtrack.capture.camera import FoundCamera
from irtrack.core import FrameResult
from irtrack.gui.cameras import CameraDialog
from irtrack.gui.dialogs import TextDialog, room
from irtrack.gui.help import HelpSheet, highest
from irtrack.gui.plots import NUMBER_PX, SideAxis
from irtrack.gui.seekbar import SeekBar
from irtrack.gui.start import HINT
from irtrack.gui.window import MainWindow

SMALL = 683, 440
"""A screen of 1024x700 at 150 %, less the frame of a window."""


@pytest.fixture
def window(bright_window: MainWindow) -> MainWindow:
    return bright_window


def within(inner: QWidget, outer: QWidget) -> QRect:
    """Where it lies in the other, of which it sticks out nowhere."""
    place = QRect(inner.mapTo(outer, QPoint(0, 0)), inner.size())
    assert outer.rect().contains(place), (inner.accessibleName(), place)
    return place


def test_a_small_window_holds_everything(qtbot: QtBot, window: MainWindow) -> None:
    window.resize(*SMALL)
    qtbot.wait(20)
    cards = [card for card in window.start.findChildren(QToolButton) if card.isVisible()]
    assert len(cards) == 4
    assert all(card.height() >= card.sizeHint().height() for card in cards)
    places = [within(card, window.start.area) for card in cards]
    within(window.start.area, window.canvas)
    assert not any(a.intersects(b) for a, b in combinations(places, 2))
    assert window.start.hint.text() == HINT
    for page in range(window.side.tabs.count()):
        window.side.tabs.setCurrentIndex(page)
        qtbot.wait(20)
        assert (window.width(), window.height()) == SMALL
        for part in (window.side, window.transport, window.status, window.side.tracks):
            within(part, window)
    window.badges.call("track 12 in the region, at 120 px/s, with an SNR of 12")
    window.badges.say("Click the corners of the region; a double click or Enter ends it, Escape gives it up")
    within(window.badges, window.canvas)
    for label in window.badges.findChildren(QLabel):
        if label.isVisible():
            within(label, window.badges)
            assert label.height() >= label.heightForWidth(label.width())  # no line of it is cut


def test_what_is_done_in_the_background_does_not_make_the_window_wider(qtbot: QtBot, window: MainWindow) -> None:
    window.resize(1024, 660)
    for row in (window.outputs.progress, window.teaching.progress):
        row.show_progress("flight-over-the-hills-in-the-early-morning-annotated-20261130-071500.mkv", 80, 120)
    window.status.notes.setText("3 notes")
    window.status.notes.show()
    window.status._where.setText("x 231  y 120  value 23123  31.2 °C")
    window._refresh = lambda: None  # type: ignore[method-assign]
    qtbot.wait(20)
    assert window.width() == 1024
    assert window.minimumSizeHint().width() <= 683
    for part in (window.outputs.progress.cancel, window.teaching.progress.cancel, window.status.notes):
        within(part, window)
    assert "80 of 120" in window.outputs.progress.label.toolTip()
    assert window.status._rates.width() > 60  # something is left to figures and messages


def test_no_dialog_is_larger_than_the_screen(qtbot: QtBot, window: MainWindow) -> None:
    camera = CameraDialog(window, (), find=list)
    text = TextDialog(window, "Notes", "\n".join(f"{i}: of a recording, at length, " * 9 for i in range(200)))
    dialogs: tuple[QDialog, ...] = (HelpSheet(window.menuBar(), window), camera, text)
    for dialog in dialogs:
        dialog.show()
        qtbot.wait(20)
        most = room(dialog)
        assert dialog.width() <= most.width()
        assert dialog.height() <= most.height()
        for button in dialog.findChildren(QAbstractButton):
            if button.isVisible():
                within(button, dialog)
        dialog.close()


def test_columns_of_the_keys_are_as_even_as_their_sections_allow() -> None:
    assert highest([14, 12, 24, 13, 2, 10], 3) == 26  # 14 + 12, 24, 13 + 2 + 10
    assert highest([14, 12, 24, 13, 2, 10], 1) == 75
    assert highest([5, 5], 3) == 5


def test_every_control_is_reached_by_shift_and_tab(qtbot: QtBot, window: MainWindow) -> None:
    """Also with rows in the list of tracks, whose cells would else hold the keyboard."""
    seen_whole(qtbot, window, SCENE, 60)
    go(qtbot, window, 40)
    assert window.side.table.rowCount() > 0
    kinds = (QAbstractButton, QTabBar, QComboBox, QAbstractSpinBox, SeekBar, QAbstractItemView)
    for page in range(window.side.tabs.count()):
        window.side.tabs.setCurrentIndex(page)
        window.canvas.setFocus()
        reached: list[QWidget | None] = []
        while (focus := QApplication.focusWidget()) not in reached:
            reached.append(focus)
            qtbot.keyClick(focus or window, Qt.Key.Key_Backtab, Qt.KeyboardModifier.ShiftModifier)
        assert window.side.isVisible()
        wanted = [w for w in window.findChildren(QWidget) if isinstance(w, kinds) or type(w) is QLineEdit]
        shut = [
            w for w in wanted
            if w.isVisible() and w.isEnabled() and w not in reached and not isinstance(w, QScrollBar)
            and not isinstance(w.parent(), QAbstractItemView | QAbstractSpinBox | QTabBar)
        ]  # fmt: skip
        assert [(type(w).__name__, w.accessibleName()) for w in shut] == []


def test_keys_of_the_parts_and_of_the_menus(qtbot: QtBot, window: MainWindow) -> None:
    seen_whole(qtbot, window, SCENE, 60)
    go(qtbot, window, 40)
    bar, seek = window.side.tabs.tabBar(), window.transport.seek_bar
    bar.setFocus()
    qtbot.keyClick(bar, Qt.Key.Key_Right)
    assert window.side.tabs.currentIndex() == 1
    assert window.session.position == 40
    seek.setFocus()
    qtbot.keyClick(seek, Qt.Key.Key_Up)
    low, high = seek._in_view
    assert high - low == pytest.approx(0.8 * 60)
    assert low < 40.5 < high
    qtbot.keyClick(seek, Qt.Key.Key_Down)
    assert seek._in_view == (0.0, 60.0)
    window.canvas.setFocus()
    before = window.canvas._view.viewRect()
    qtbot.keyClick(window.canvas, "+", Qt.KeyboardModifier.ControlModifier)
    after = window.canvas._view.viewRect()
    assert after.width() == pytest.approx(before.width() / 1.25)
    assert after.center().x() == pytest.approx(before.center().x())
    qtbot.keyClick(window.canvas, "-", Qt.KeyboardModifier.ControlModifier)
    assert window.canvas._view.viewRect().width() == pytest.approx(before.width())


def test_a_camera_is_chosen_by_the_arrow_keys_and_what_was_typed_stays(qtbot: QtBot) -> None:
    found = [FoundCamera("camera:0", "Thermal", ()), FoundCamera("camera:2", "Other", ())]
    dialog = CameraDialog(None, (), lambda: found)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitUntil(dialog.search.isEnabled, timeout=60_000)
    qtbot.keyClicks(dialog.field, "rtsp://other")
    dialog.list.setFocus()
    assert dialog.field.text() == "rtsp://other"
    qtbot.keyClick(dialog.list, Qt.Key.Key_Down)
    qtbot.keyClick(dialog.list, Qt.Key.Key_Down)
    assert dialog.field.text() == "camera:2"
    dialog.reject()


def test_the_magnified_target_hides_no_other_where_that_can_be(qtbot: QtBot, window: MainWindow) -> None:
    base, canvas = crowd(0), window.canvas
    canvas.show_result(base)
    qtbot.wait(20)

    def show(*places: tuple[float, float]) -> list[bool]:
        """Which of these targets it hides, the first being selected."""
        tracks = tuple(track(i, x, y) for i, (x, y) in enumerate(places, 1))
        canvas.show_result(FrameResult(base.frame, base.detections, tracks, {}))
        window.session.selected.set(1)
        spots = (canvas._view.mapViewToScene(QPointF(x + 0.5, y + 0.5)) for x, y in places)
        return [canvas._inset.geometry().contains(canvas.mapFromScene(spot)) for spot in spots]

    right, left, middle = (560.0, 470.0), (80.0, 470.0), (320.0, 100.0)
    show(middle)
    inset = canvas._inset.geometry().center().x()
    assert inset > canvas.width() / 2
    assert show(middle, right) == [False, False]
    assert canvas._inset.geometry().center().x() < canvas.width() / 2
    assert show(middle) == [False]
    assert canvas._inset.geometry().center().x() < canvas.width() / 2  # it does not go to and fro
    assert show(middle, left, right) == [False, True, False]  # there is no place for it: it stays
    assert show(left, right) == [False, True]  # the selected one counts most


def test_low_plots_have_two_numbers_that_keep_apart(qtbot: QtBot, window: MainWindow) -> None:
    axis = SideAxis("left")
    for low, high in ((3.9, 11.2), (140.0, 190.0), (0.0, 1.0), (-900.0, 12_345.0), (199.0, 200.5)):
        for size in (24.0, 40.0, 90.0, 300.0):
            ((spacing, _),) = axis.tickSpacing(low, high, size)
            numbers = [k for k in range(int(low / spacing) - 1, int(high / spacing) + 2) if low <= k * spacing <= high]
            assert len(numbers) * NUMBER_PX <= size
            if size >= 40:
                assert len(numbers) >= 2, (low, high, size)
    window.side.tabs.setCurrentWidget(window.side.track)
    qtbot.wait(20)
    plots = window.side.track.plots
    widths = {plot.width() for plot in plots.plots}
    plots.which.setCurrentIndex(2)
    plots.which.setCurrentIndex(0)
    qtbot.wait(20)
    assert {plot.width() for plot in plots.plots} == widths
    assert max(widths) - min(widths) <= 1
