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
    """File, view, tracks, playback, help."""
    bar = window.menuBar()
    file, view, tracks = bar.addMenu("&File"), bar.addMenu("&View"), bar.addMenu("&Tracks")
    playback = bar.addMenu("&Playback")

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
    out = window.outputs
    export = add(file, "&Export tracks...", "Ctrl+E", lambda: out.ask_export())
    marked = add(file, "Export the &marked track...", "Ctrl+Shift+E", window.ask_export_marked)
    snapshot = add(file, "&Save snapshot...", "Ctrl+S", lambda: out.ask_snapshot())
    plain = add(file, "Save the &plain picture...", "Ctrl+Shift+S", lambda: out.ask_snapshot(plain=True))
    video = add(file, "Export annotated &video...", "Ctrl+Shift+V", out.ask_video)
    window.needs_picture, window.needs_recording = (export, marked, snapshot, plain), (video,)
    window.record_action = add(file, "&Record the camera", "Ctrl+R", lambda: record(window))
    window.record_action.setCheckable(True)
    file.addSeparator()
    add(file, "&Quit", "Ctrl+Q", window.quit)
    add(view, "&Fit picture", "F", window.canvas.fit)
    add(view, "&1:1", "1", window.canvas.one_to_one)
    display = window.side.display
    add(view, "Score &map", "M", display.scores.toggle)
    add(view, "&Legend", "G", display.legend.toggle)
    add(view, "&Ellipses", "E", display.ellipses.toggle)
    editor = window.editor
    add(tracks, "&Undo", QKeySequence.StandardKey.Undo, editor.undo)
    add(tracks, "&Rename...", "F2", editor.ask_name)
    add(tracks, "&Mark with a star", "S", editor.toggle_mark)
    add(tracks, "Merge &into...", "Ctrl+M", editor.ask_merge)
    add(tracks, "&Delete", QKeySequence.StandardKey.Delete, editor.delete)
    add(tracks, "To its s&tart", "T", window.seek_track)
    add(playback, "&Play or pause", "Space", window.toggle_play)
    add(playback, "One frame &on", "Right", lambda: window.step(1))
    add(playback, "One frame &back", "Left", lambda: window.step(-1))
    add(playback, "To the &start", "Home", lambda: window.seek(0))
    add(playback, "To the &end of what was seen", "End", window.seek_end)
    add(playback, "To a &time...", "Ctrl+G", window.ask_time)
    add(playback, "&Loop", "L", window.transport.loop_button.toggle)
    add(playback, "Play &from here (A)", "[", window.transport.from_button.toggle)
    add(playback, "Play &up to here (B)", "]", window.transport.to_button.toggle)
    add(playback, "Slo&wer", "-", lambda: window.change_speed(-1))
    add(playback, "&Faster", "+", lambda: window.change_speed(1))
    add(bar.addMenu("&Help"), "&Keyboard and mouse", "F1", window.show_help)


def record(window: MainWindow) -> None:
    """Start or end recording, and show it."""
    window.outputs.toggle_recording()
    window._refresh_transport()


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
