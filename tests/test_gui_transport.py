"""Speed, loop, part, timeline, keys, and what the window remembers; through the widgets of a real window."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import go, make_window, open_and_play_to, seen_whole, settled
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QInputDialog, QLabel
from pytestqt.qtbot import QtBot

from irtrack.gui.help import HelpSheet, shortcuts
from irtrack.gui.window import MainWindow
from irtrack.session.course import LANES, lanes
from irtrack.session.preferences import RECENT, Preferences, load_preferences, preferences_path, save_preferences


def wait(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=60_000)


def test_speed_changes_how_fast_stored_frames_play(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    seen_whole(qtbot, window, clip)
    taken = {}
    for speed in ("1/4x", "2x"):
        window.transport.speed_box.setCurrentText(speed)
        go(qtbot, window, 0)
        qtbot.mouseClick(window.transport.play_button, Qt.MouseButton.LeftButton)
        start = time.monotonic()
        wait(qtbot, lambda: (window.session.position or 0) >= 12)
        taken[speed] = time.monotonic() - start
        window.session.pause()
    # Never sooner than they are due, by the first frame, which comes at once; later where the machine is busy.
    assert taken["1/4x"] > 11 * 4 / 30 - 0.1
    assert taken["2x"] > 11 / 60 - 0.1
    for _ in range(3):
        qtbot.keyClick(window, "-")
    assert window.transport.speed_box.currentText() == "1/4x"
    qtbot.keyClick(window, "+")
    assert window.session.view.speed == 0.5


def test_what_was_seen_loops(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    seen_whole(qtbot, window, clip)
    qtbot.keyClick(window, Qt.Key.Key_L)
    window.transport.speed_box.setCurrentText("8x")
    go(qtbot, window, 12)
    window.session.toggle_play()
    wait(qtbot, lambda: (window.session.position or 0) >= 17)
    wait(qtbot, lambda: (window.session.position or 99) <= 5)
    assert window.session.playing
    assert window.session.analysis is not None
    assert window.session.analysis.done == 20


def test_a_part_plays_and_loops(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    seen_whole(qtbot, window, clip)
    t = window.transport
    go(qtbot, window, 5)
    qtbot.keyClick(window, "[")
    go(qtbot, window, 11)
    qtbot.mouseClick(t.to_button, Qt.MouseButton.LeftButton)
    assert window.session.view.span == (5, 11)
    qtbot.keyClick(window, Qt.Key.Key_L)
    assert window.session.view.loop
    t.speed_box.setCurrentText("4x")
    go(qtbot, window, 9)
    window.session.toggle_play()
    seen: list[int] = []

    def note() -> bool:
        seen.append(window.session.position or 0)
        return len([i for i in range(1, len(seen)) if seen[i] < seen[i - 1]]) >= 2

    wait(qtbot, note)
    assert max(seen) == 11
    assert min(seen[1:]) == 5
    qtbot.keyClick(window, Qt.Key.Key_L)
    wait(qtbot, lambda: not window.session.playing)
    assert window.session.position == 11
    qtbot.mouseClick(t.to_button, Qt.MouseButton.LeftButton)
    assert window.session.view.span == (5, 19)
    qtbot.mouseClick(t.from_button, Qt.MouseButton.LeftButton)
    assert window.session.view.span is None


def test_timeline_shows_lives_and_seeks(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    seen_whole(qtbot, window, clip)
    lives = window.session.store.lives()
    assert len(lives) == 3
    line = window.transport.seek_bar
    assert line.isVisible()
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton, pos=QPoint(line.width() // 4 + 3, 5))
    assert window.session.position == 5
    settled(qtbot, window)
    qtbot.wait(50)
    picture = line.grab().toImage()
    colours = {picture.pixelColor(x, y).rgb() for x in range(picture.width()) for y in range(picture.height())}
    assert len(colours) >= 5  # ground, three tracks, the mark of the position
    track, (first, _) = next(iter(lives.items()))
    window.session.selected.set(track)
    qtbot.keyClick(window, Qt.Key.Key_T)
    assert window.session.position == first
    qtbot.keyClick(window, Qt.Key.Key_End)
    assert window.session.position == 19


def test_to_a_time(qtbot: QtBot, window: MainWindow, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen_whole(qtbot, window, clip)
    monkeypatch.setattr(QInputDialog, "getDouble", lambda *a: (0.3, True))
    qtbot.keyClick(window, "g", Qt.KeyboardModifier.ControlModifier)
    assert window.session.position == 9


def test_lanes_hold_lives_apart() -> None:
    rng = np.random.default_rng(1)
    starts = rng.integers(0, 900, 40)
    lives = {i: (int(s), int(s + rng.integers(5, 60))) for i, s in enumerate(starts)}
    placed = lanes(lives)
    assert set(placed) == set(lives)
    assert max(placed.values()) < LANES
    for a in lives:
        for b in lives:
            if a < b and placed[a] == placed[b] < LANES - 1:
                assert lives[a][1] < lives[b][0] or lives[b][1] < lives[a][0]


def test_help_lists_every_key(window: MainWindow) -> None:
    sheet = HelpSheet(window.menuBar(), window)
    shown = {label.text() for label in sheet.findChildren(QLabel)}
    keys = [key for _, rows in shortcuts(window.menuBar()) for key, _ in rows]
    assert len(keys) == len(set(keys)) >= 18
    assert set(keys) <= shown
    assert {"Space", "F1", "L"} <= set(keys)


def test_layout_and_display_come_back(qtbot: QtBot, clip: Path) -> None:
    window = make_window(qtbot)
    window.resize(760, 600)
    window.side.display.trails.setChecked(False)
    window.side.display.opacity.setValue(30)
    window.side.display.palette_box.setCurrentText("Iron")
    window.side.display.agc_box.setCurrentText("Plateau")
    open_and_play_to(qtbot, window, clip, 0)
    window.open("http://me:secret@127.0.0.1:9/x.mjpg")
    window.close()
    assert "secret" not in preferences_path().read_text()
    again = make_window(qtbot)
    assert (again.width(), again.height()) == (760, 600)
    assert not again.canvas.overlays.shown.trails
    assert again.canvas.overlays.shown.opacity == 30
    assert again.canvas.agc.settings.palette == "Iron"
    assert again.canvas.agc.settings.agc == "plateau"
    again.menus.recent.aboutToShow.emit()
    assert [a.text() for a in again.menus.recent.actions()] == [str(clip)]
    again.menus.recent.actions()[0].trigger()
    wait(qtbot, lambda: again.canvas.result is not None)
    again.close()


def test_broken_settings_are_set_aside(qtbot: QtBot) -> None:
    for text in ("masks = maybe", "opacity = 900", 'unknown = "x"', '[display]\nagc = "loud"'):
        preferences_path().parent.mkdir(parents=True, exist_ok=True)
        preferences_path().write_text(text)
        window = make_window(qtbot)
        assert window.banner.isVisible()
        assert "set aside" in window.banner.text()
        assert preferences_path().with_suffix(".broken.toml").read_text() == text
        window.close()


def test_recent_sources_are_few_and_once(tmp_path: Path) -> None:
    preferences = Preferences()
    for i in range(15):
        preferences = preferences.opened(f"/data/{i % 12}.mp4", camera=False).opened("camera:0", camera=True)
    assert len(preferences.recent) == RECENT
    assert preferences.recent[:2] == ("camera:0", "/data/2.mp4")
    assert preferences.cameras == ("camera:0",)
    save_preferences(preferences, tmp_path / "w.toml")
    assert load_preferences(tmp_path / "w.toml") == (preferences, None)
    (tmp_path / "file").write_text("")
    save_preferences(preferences, tmp_path / "file" / "w.toml")  # no folder can be made there: closing must not fail
