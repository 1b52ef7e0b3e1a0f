"""The menus of the main window."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QIcon, QKeySequence
from PySide6.QtWidgets import QMenu

from irtrack.gui.theme import open_icon

if TYPE_CHECKING:
    from irtrack.gui.window import MainWindow


def build_menus(window: MainWindow) -> None:
    """File, view, playback, help."""
    bar = window.menuBar()
    file, view, playback = bar.addMenu("&File"), bar.addMenu("&View"), bar.addMenu("&Playback")

    def add(
        menu: QMenu, text: str, key: QKeySequence.StandardKey | str | None, action: object, icon: QIcon | None = None
    ) -> QAction:
        made = QAction(text, window)
        if icon is not None:
            made.setIcon(icon)
        if key is not None:
            made.setShortcut(QKeySequence(key))
        made.triggered.connect(action)
        menu.addAction(made)
        return made

    add(file, "&Open recording...", QKeySequence.StandardKey.Open, window.ask_open, open_icon())
    add(file, "Open &folder of images...", "Ctrl+Shift+O", window.ask_open_folder)
    add(file, "Connect a &camera...", "Ctrl+K", window.ask_camera)
    window.recent_menu = file.addMenu("Open &recent")
    window.recent_menu.aboutToShow.connect(lambda: list_recent(window.recent_menu, window))
    file.addSeparator()
    window.export_action = add(file, "&Export tracks...", "Ctrl+E", window.ask_export)
    window.snapshot_action = add(file, "&Save snapshot...", "Ctrl+S", window.ask_snapshot)
    window.record_action = add(file, "&Record the camera", "Ctrl+R", window.toggle_recording)
    window.record_action.setCheckable(True)
    file.addSeparator()
    add(file, "&Quit", QKeySequence.StandardKey.Quit, window.close)
    add(view, "&Fit picture", "F", window.canvas.fit)
    add(playback, "&Play or pause", "Space", window.toggle_play)
    add(playback, "One frame &on", "Right", lambda: window.step(1))
    add(playback, "One frame &back", "Left", lambda: window.step(-1))
    add(playback, "To the &start", "Home", lambda: window.seek(0))
    add(playback, "To the &end of what was seen", "End", window.seek_end)
    add(playback, "To a &time...", "Ctrl+G", window.ask_time)
    add(playback, "To the marked &track's start", "T", window.seek_track)
    add(playback, "&Loop", "L", window.transport.loop_button.toggle)
    add(playback, "Play &from here (A)", "[", window.transport.from_button.toggle)
    add(playback, "Play &up to here (B)", "]", window.transport.to_button.toggle)
    add(playback, "Slo&wer", "-", lambda: window.change_speed(-1))
    add(playback, "&Faster", "+", lambda: window.change_speed(1))
    add(bar.addMenu("&Help"), "&Keyboard and mouse", "F1", window.show_help)


def list_recent(menu: QMenu, window: MainWindow) -> None:
    """Sources opened before."""
    menu.clear()
    for source in window.habits.recent:
        action = menu.addAction(source)
        action.triggered.connect(partial(open_recent, window, source))
    if not window.habits.recent:
        menu.addAction("nothing yet").setEnabled(False)


def open_recent(window: MainWindow, source: str, checked: bool = False) -> None:
    """One of them again."""
    window.open(source)
