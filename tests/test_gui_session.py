"""The window over a session: what is analysed and with what, the seek bar, the list of all tracks, held pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import go, make_window, opened, seen_whole, settled
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtWidgets import QApplication, QInputDialog, QMessageBox, QToolButton
from pytestqt.qtbot import QtBot
from test_gui import on_screen, pixels
from test_gui_picture import crowd, track
from test_session import SCENE, Bright

from irtrack.config import DetectorSettings, DisplaySettings, Settings
from irtrack.core import ConfigError
from irtrack.gui.fields import about
from irtrack.gui.start import sample_path
from irtrack.gui.window import MainWindow
from irtrack.session.alarms import AlarmRules
from irtrack.session.results import all_results
from irtrack.session.shown import Shown
from irtrack.session.thumbnails import thumbnail_path


@pytest.fixture
def quick(qtbot: QtBot) -> Callable[[], MainWindow]:
    """Makes a window whose detector needs no network."""

    def make() -> MainWindow:
        made = make_window(qtbot, Settings(detector=DetectorSettings(weights="datransnet-s", mode="exact")))
        made.session.use(Bright())
        return made

    return make


def wait(qtbot: QtBot, condition: Callable[[], object]) -> None:
    qtbot.waitUntil(lambda: bool(condition()), timeout=60_000)


def test_a_change_is_said_and_analyse_again_is_offered(qtbot: QtBot, quick: Callable[[], MainWindow]) -> None:
    window = quick()
    seen_whole(qtbot, window, SCENE, 60)
    t = window.transport
    assert not t.again_button.isVisible()
    window.side.detection.threshold.setValue(30)
    wait(qtbot, t.again_button.isVisible)
    assert t.notice.text() == "threshold changed since the analysis"
    assert t.seek_bar.course.older
    qtbot.mouseClick(t.again_button, Qt.MouseButton.LeftButton)
    recipe = window.session.recipe.value
    wait(qtbot, lambda: window.session.store.recipe == recipe and not t.again_button.isVisible())
    wait(qtbot, lambda: not t.seek_bar.course.older)
    window.close()


def test_the_seek_bar_goes_selects_and_zooms(qtbot: QtBot, quick: Callable[[], MainWindow]) -> None:
    window = quick()
    seen_whole(qtbot, window, SCENE, 60)
    bar = window.transport.seek_bar
    assert bar.width() == window.width()  # over the whole width
    window.drawing.refresh()
    chosen, (first, last) = next(iter(bar.course.lives.items()))
    middle = (first + last) / 2
    at = QPoint(round(bar._x(middle + 0.5)), round(bar._lane_y(chosen)) + 2)
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=at)
    assert window.session.selected.value == chosen
    assert abs((window.session.position or 0) - middle) <= 1
    before = bar._x(first)
    none = Qt.KeyboardModifier.NoModifier
    wheel = QWheelEvent(
        QPointF(at), QPointF(bar.mapToGlobal(at)), QPoint(), QPoint(0, 360), Qt.MouseButton.NoButton, none,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(bar, wheel)
    assert bar._x(first) < before  # the part round the cursor is wider now
    assert abs(bar._x(middle + 0.5) - at.x()) <= bar.width() / 30  # and stayed under it
    qtbot.mouseDClick(bar, Qt.MouseButton.LeftButton, pos=at)
    assert bar._x(first) == before
    window.close()


def test_every_track_of_the_recording_in_a_list(qtbot: QtBot, quick: Callable[[], MainWindow]) -> None:
    window = quick()
    seen_whole(qtbot, window, SCENE, 60)
    tracks = window.side.tracks
    qtbot.mouseClick(tracks.all_button, Qt.MouseButton.LeftButton)
    go(qtbot, window, 0)
    window.drawing.show_side()
    lives = window.session.lives()
    assert tracks.table.rowCount() == 0  # none in this frame
    assert tracks.everything.rowCount() == len(lives) >= 3
    for row in range(len(lives)):
        number = tracks.everything.track_id(row)
        series = window.session.store.series(number, *lives[number])  # without what it coasts at its end
        cells = [tracks.everything.index(row, column).data() for column in range(6)]
        assert cells == [
            str(number), f"{series[0, 0]:.2f}", f"{series[-1, 0]:.2f}", str(len(series)), f"{series[:, 2].max():.1f}",
            f"{series[:, 3].mean():.0f}",
        ]  # fmt: skip
    tracks.all_view.selectRow(1)
    chosen = tracks.everything.track_id(tracks.all_view.sorted.mapToSource(tracks.all_view.sorted.index(1, 0)).row())
    assert window.session.selected.value == chosen
    tracks.all_view.doubleClicked.emit(tracks.all_view.sorted.index(1, 0))
    assert window.session.position == lives[chosen][0]
    thumb = tracks.everything.index(tracks.everything.row_of(chosen), 0).data(Qt.ItemDataRole.DecorationRole)
    grey = window.session.looks()[chosen].grey
    assert (thumb.pixmap(24).width(), grey.shape) == (24, (17, 17))
    assert grey[6:11, 6:11].max() == 255  # the target stands in its middle
    window.close()


def test_enter_follows_the_target(qtbot: QtBot, quick: Callable[[], MainWindow]) -> None:
    window = quick()
    seen_whole(qtbot, window, SCENE, 60)
    go(qtbot, window, 0)
    session, tracks = window.session, window.side.tracks
    tracks.all_button.click()
    tracks.all_view.selectRow(0)
    chosen = session.selected.value
    assert chosen is not None
    first, last = session.lives()[chosen]
    assert first > 0
    qtbot.keyClick(tracks.all_view, Qt.Key.Key_Return)
    settled(qtbot, window)
    assert session.position == first  # where it is not there, from its start on

    def off() -> float:
        middle = window.canvas._view.viewRect().center()
        places = {t.id: t.xy_px for t in window.drawing.confirmed()}
        return float(np.hypot(middle.x() - 0.5 - places[chosen][0], middle.y() - 0.5 - places[chosen][1]))

    for frame in (first, first + 5, last):
        go(qtbot, window, frame)
        assert off() < 0.1
    width = window.canvas._view.viewRect().width()
    assert width < 96 / 2  # nearer than before
    session.following.set(True)
    window.canvas.setFocus()
    qtbot.keyClick(window.canvas, Qt.Key.Key_Return)
    assert not session.following.value
    go(qtbot, window, first)
    assert off() > 1.0 or last - first < 3
    qtbot.keyClick(window, Qt.Key.Key_C)
    assert session.following.value
    assert off() < 0.1
    session.selected.set(None)
    assert not session.following.value
    window.close()


def test_tracks_are_gone_through_judged_split_and_swapped_by_key(
    qtbot: QtBot, quick: Callable[[], MainWindow], monkeypatch: pytest.MonkeyPatch
) -> None:
    window = quick()
    seen_whole(qtbot, window, SCENE, 60)
    session = window.session
    order = sorted(session.lives(), key=lambda t: session.lives()[t])
    for expected in (order[0], order[1]):
        qtbot.keyClick(window, Qt.Key.Key_N)
        assert session.selected.value == expected
    qtbot.keyClick(window, Qt.Key.Key_P)
    assert session.selected.value == order[0]
    qtbot.keyClick(window, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    assert session.edits.value.verdicts == {order[0]: "bird"}
    first, last = session.lives()[order[0]]
    go(qtbot, window, (first + last) // 2)
    qtbot.keyClick(window, Qt.Key.Key_X)
    assert session.lives()[order[0]] == (first, (first + last) // 2 - 1)
    assert len(session.lives()) == len(order) + 1
    undo, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(window, Qt.Key.Key_Z, undo)
    assert session.lives()[order[0]] == (first, last)
    qtbot.keyClick(window, Qt.Key.Key_Z, undo | shift)
    assert session.lives()[order[0]][1] < last
    qtbot.keyClick(window, Qt.Key.Key_Z, undo)
    monkeypatch.setattr(QInputDialog, "getItem", lambda *a: (a[3][0], True))
    place = session.store.places(order[0])[session.position or 0]
    qtbot.keyClick(window, Qt.Key.Key_W, undo)
    settled(qtbot, window)
    assert window.canvas.result is not None
    there = {t.id: t.xy_px for t in window.canvas.result.tracks}
    assert np.hypot(*(there[order[0]] - place)) > 2  # another target has the name now
    window.close()


def test_a_camera_is_held_and_let_go_by_key(qtbot: QtBot, quick: Callable[[], MainWindow]) -> None:
    window = quick()
    source = "simcam:sky,width=96,height=80,frames=30,targets=2,scr=14"
    window.open(source)
    wait(qtbot, lambda: opened(window, source) and (window.session.position or 0) > 10)
    wait(qtbot, lambda: "UTC" in window.transport.time_label.text())
    assert "tracking" in window.status._rates.text() or "loading" in window.status._rates.text()
    qtbot.keyClick(window, Qt.Key.Key_Space)
    held = window.session.position or 0
    wait(qtbot, lambda: window.badges.stale.isVisible() and window.badges.stale.text() == "HELD")
    wait(qtbot, lambda: "behind" in window.transport.notice.text() and window.transport.live_button.isVisible())
    assert window.session.position == held
    qtbot.keyClick(window, Qt.Key.Key_Left)
    wait(qtbot, lambda: (window.session.position or 0) < held)
    qtbot.keyClick(window, Qt.Key.Key_End)
    wait(qtbot, lambda: (window.session.position or 0) > held)
    assert window.session.playing
    window.close()


def test_predicted_tracks_are_paler(qtbot: QtBot, window: MainWindow) -> None:
    result = crowd(3)
    opacities = []
    for age_s in (0.0, 0.05, 1.0, 4.0):
        window.canvas.show_result(result, age_s)
        opacities.append(window.canvas.overlays.boxes.opacity())
    assert opacities[0] == opacities[1] == 1.0
    assert 1.0 > opacities[2] > opacities[3] > 0.2


def test_labels_read_on_any_grey(qtbot: QtBot, window: MainWindow) -> None:
    """On white as on black, a label has dark and bright pixels side by side."""
    base = crowd(0)
    for level in (0, 128, 255):
        image = np.full(base.frame.image.shape, level, np.uint8)
        frame = type(base.frame)(0, 0.0, image)
        window.canvas.show_result(type(base)(frame, base.detections, (track(1, 300, 250),), {}))
        qtbot.wait(20)
        at = on_screen(window, 300, 250)
        part = pixels(window)[at.y() - 40 : at.y() + 40, at.x() - 60 : at.x() + 80].mean(2)
        assert part.max() - part.min() > 100


def test_the_side_panel_hides_and_a_first_start_fits_the_screen(qtbot: QtBot, window: MainWindow) -> None:
    assert window.side.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_Tab)
    assert not window.side.isVisible()
    wait(qtbot, lambda: window.canvas.width() == window.width())
    qtbot.keyClick(window, Qt.Key.Key_Tab)
    assert window.side.isVisible()
    room = window.screen().availableSize()
    fresh = MainWindow(Settings())
    assert fresh.width() <= room.width()
    assert fresh.height() <= room.height()
    fresh.close()
    for width, height in ((1024, 700), (1280, 720), (1920, 1080)):
        window.resize(width, height)
        qtbot.wait(20)
        assert (window.width(), window.height()) == (width, height)
        transport = window.transport
        assert transport.mapTo(window, QPoint(0, transport.height())).y() <= height
        assert transport.play_button.isVisible()


def test_the_list_of_tracks_has_several_rows_on_a_small_screen(qtbot: QtBot, quick: Callable[[], MainWindow]) -> None:
    window = quick()
    view, tabs = window.side.tracks.view, window.side.tabs

    def rows() -> int:
        return view.viewport().height() // view.verticalHeader().defaultSectionSize()

    for size, least in (((960, 540), 4), ((1024, 600), 6), ((1024, 700), 9), ((1280, 720), 10)):
        window.resize(*size)
        for page in range(tabs.count()):
            tabs.setCurrentIndex(page)
            qtbot.wait(20)
            assert (window.width(), window.height()) == size
            assert rows() >= least, (size, tabs.tabText(page))
            shown = tabs.currentWidget()
            assert shown.height() >= shown.minimumSizeHint().height()
    window.resize(960, 540)
    tabs.setCurrentIndex(0)
    qtbot.wait(20)
    assert rows() >= 6
    handle = window.side._split.handle(1)
    qtbot.mousePress(handle, Qt.MouseButton.LeftButton, pos=QPoint(5, 2))
    qtbot.mouseMove(handle, QPoint(5, 62))
    qtbot.mouseRelease(handle, Qt.MouseButton.LeftButton, pos=QPoint(5, 2))
    moved = tabs.height()
    tabs.setCurrentIndex(1)
    tabs.setCurrentIndex(0)
    qtbot.wait(20)
    assert tabs.height() == moved > 220, "where the operator has moved the line, it stays"
    window.close()


def test_an_error_leaves_the_recording_on_screen(qtbot: QtBot, quick: Callable[[], MainWindow], tmp_path: Path) -> None:
    window = quick()
    seen_whole(qtbot, window, SCENE, 60)
    title = window.windowTitle()
    (tmp_path / "bad.mp4").write_text("no video" * 100)
    window.open(str(tmp_path / "bad.mp4"))
    wait(qtbot, window.banner.isVisible)
    assert window.windowTitle() == title
    assert window.canvas.result is not None
    assert len(window.session.store) == 60
    window.close()


def test_the_empty_window_offers_ways_to_open_something(
    qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "a & b.mkv"
    odd.write_bytes(clip.read_bytes())
    window.session.preferences = window.session.preferences.opened(str(odd), False)
    window.start.list_recent()
    wait(qtbot, window.start.isVisible)
    buttons = {b.toolTip(): b for b in window.start.findChildren(QToolButton)}
    assert "Open the clip that comes with irtrack" in buttons
    assert buttons["Open the clip that comes with irtrack"].isEnabled()
    assert sample_path().exists()
    qtbot.mouseClick(buttons[str(odd)], Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: opened(window, str(odd)) and not window.start.isVisible())
    picture = QImage(str(thumbnail_path(str(odd))))
    assert (picture.width(), picture.height()) == (192, 160)  # of 96x80, as large as fits
    grey = [picture.pixelColor(x, y).value() for x in range(0, 192, 4) for y in range(0, 160, 4)]
    assert max(grey) - min(grey) > 40, "it shows the scene"
    window.session.close()
    wait(qtbot, window.start.isVisible)
    card = next(b for b in window.start.findChildren(QToolButton) if b.isVisible() and b.toolTip() == str(odd))
    assert card.icon().availableSizes()[0].width() == 192
    assert card.text() == "a && b.mkv"
    middle = window.start.area.geometry().center()
    assert abs(middle.x() - window.canvas.width() / 2) < 3
    assert abs(middle.y() - window.canvas.height() / 2) < 3
    window.session.preferences = replace(window.session.preferences, recent=())
    window.open(str(clip))
    wait(qtbot, lambda: opened(window, str(clip)))
    assert thumbnail_path(str(clip)).exists()
    assert not thumbnail_path(str(odd)).exists()  # it is not listed any more


def test_all_that_is_read_in_the_table_fits_a_narrow_panel(qtbot: QtBot, window: MainWindow) -> None:
    window.canvas.show_result(crowd(30))
    tracks = window.side.tracks
    for side, least in ((320, 6), (600, 9)):
        window.arrangement.splitter.setSizes([window.width() - side, side])
        window.drawing.show_side()
        wait(qtbot, lambda side=side: abs(window.side.width() - side) <= 2)
        view, header = tracks.view, tracks.view.horizontalHeader()
        shown = [i for i in range(9) if not view.isColumnHidden(i)]
        assert len(shown) >= least
        assert {0, 1, 5, 7} <= set(shown)  # who, seen or not, how fast, how clear
        assert sum(header.sectionSize(i) for i in shown) <= view.viewport().width()
        for i in shown:
            texts = [tracks.table.columns[i].title, *(str(tracks.table.index(row, i).data()) for row in range(30))]
            widest = max(view.fontMetrics().horizontalAdvance(text) for text in texts)
            assert widest + 6 <= header.sectionSize(i), f"column {texts[0]} is cut at {side} px"
    tip = tracks.table.index(3, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "Score of the detection: " in tip
    assert "Direction of flight" in tip


def test_fields_are_made_from_the_settings(window: MainWindow) -> None:
    detection, display, alarms = window.side.detection, window.side.display, window.side.alarms
    fields = (
        (detection.smallest, DetectorSettings, "min_area_px"), (display.trail_s, Shown, "trail_s"),
        (alarms.speed, AlarmRules, "speed_px_s"), (alarms.snr, AlarmRules, "snr"),
        (alarms.holdoff, AlarmRules, "holdoff_s"),
    )  # fmt: skip
    for field, kind, name in fields:
        told = about(kind, name)
        assert field.minimum() == told["low"]
        assert field.maximum() <= (told["high"] or math.inf)
        assert field.suffix().strip() == told["unit"]
        assert field.toolTip().lower() == told["doc"].lower()
        assert field.value() == told["default"]
    for box, kind, name in (
        (detection.device_box, DetectorSettings, "device"), (display.mask_style, Shown, "mask_style"),
        (display.colouring, Shown, "colouring"), (display.palette_box, DisplaySettings, "palette"),
        (display.agc_box, DisplaySettings, "agc"),
    ):  # fmt: skip
        assert [box.itemText(i).lower() for i in range(box.count())] == [
            c.lower() for c in about(kind, name)["choices"]
        ]
        assert box.toolTip().lower() == about(kind, name)["doc"].lower()
    for box, kind, name in ((display.masks, Shown, "masks"), (alarms.sound, AlarmRules, "sound")):
        assert box.isChecked() == about(kind, name)["default"]
        assert box.toolTip().lower() == about(kind, name)["doc"].lower()
    with pytest.raises(ConfigError, match="outline, fill"):
        Shown(mask_style="outlined")


def test_several_tracks_at_once(qtbot: QtBot, quick: Callable[[], MainWindow]) -> None:
    window = quick()
    seen_whole(qtbot, window, SCENE, 60)
    s, tracks, control = window.session, window.side.tracks, Qt.KeyboardModifier.ControlModifier
    qtbot.mouseClick(tracks.all_button, Qt.MouseButton.LeftButton)
    window.drawing.show_side()
    view = tracks.all_view
    rows = [view.visualRect(view.sorted.index(row, 0)).center() for row in range(3)]
    numbers = [tracks.everything.track_id(view.sorted.mapToSource(view.sorted.index(row, 0)).row()) for row in range(3)]
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=rows[0])
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, control, pos=rows[2])
    assert s.selection == (numbers[2], numbers[0])
    window.drawing.show_side()  # the tables are filled again and again
    assert len(view.selectionModel().selectedRows()) == 2
    qtbot.keyClick(window, Qt.Key.Key_S)
    assert s.edits.value.marked == {numbers[0], numbers[2]}
    qtbot.keyClick(window, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    assert set(s.edits.value.verdicts) == {numbers[0], numbers[2]}
    before = set(s.lives())
    window.editor.delete()
    assert set(s.lives()) == before - {numbers[0], numbers[2]}
    assert s.selection == ()
    window.editor.undo()
    assert set(s.lives()) == before
    assert set(s.edits.value.verdicts) == {numbers[0], numbers[2]}
    s.select(numbers[0], numbers[1:2])
    window.editor.ask_swap()  # two that are selected: nobody has to be asked
    assert s.edits.value.changes[-1].kind == "swap"
    window.editor.undo()
    s.edits.edit(s.edits.value.split(numbers[0], 30, s.lives())[0])
    tail = max(s.lives())
    s.select(tail, [numbers[0]])
    window.editor.ask_merge()
    assert tail not in s.lives()
    assert s.selection == (numbers[0],)
    s.select(numbers[0], [numbers[1]])
    window.editor.ask_merge()
    assert "both there in frames" in window.banner.text()
    s.selected.set(numbers[1])
    assert s.selection == (numbers[1],)
    window.close()


def test_what_is_known_of_a_recording_is_back_in_another_window(
    qtbot: QtBot, quick: Callable[[], MainWindow], clip: Path
) -> None:
    window = quick()
    seen_whole(qtbot, window, clip)
    track = min(window.session.lives())
    window.session.selected.set(track)
    window.editor.rename("drone A")
    window.close()
    again = quick()
    seen_whole(qtbot, again, clip)
    wait(qtbot, lambda: again.session.edits.value.names == {track: "drone A"})  # the same pass, the same number
    again.close()


def test_results_of_before_are_said_offered_anew_and_forgotten(
    qtbot: QtBot, quick: Callable[[], MainWindow], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = quick()
    seen_whole(qtbot, window, clip)
    window.close()
    again = quick()
    seen_whole(qtbot, again, clip)
    t = again.transport
    wait(qtbot, lambda: re.fullmatch(r"results of \d+ \w+, made with these settings", t.notice.toolTip()))
    assert t.again_button.isVisible()
    assert not t.seek_bar.course.older
    assert again.session.analysis is None
    again.side.detection.threshold.setValue(60)
    wait(qtbot, lambda: t.notice.toolTip().endswith("; threshold changed since"))
    assert t.seek_bar.course.older
    qtbot.mouseClick(t.again_button, Qt.MouseButton.LeftButton)
    made, recipe = again.session, again.session.recipe.value
    wait(qtbot, lambda: made.store.recipe == recipe and made.store.whole and not t.again_button.isVisible())
    asked: list[str] = []
    monkeypatch.setattr(QMessageBox, "question", lambda *a: (asked.append(a[2]), QMessageBox.StandardButton.Yes)[1])
    again.close()
    assert len(all_results()) == 2
    again.opener.ask_forget()
    assert "2 analyses" in asked[0]
    assert all_results() == []
    again.opener.ask_forget()
    assert len(asked) == 1, "there is nothing to forget"
