"""The menus of the main window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtGui import QAction, QIcon, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from irtrack.gui.canvas import Canvas
from irtrack.gui.controls import DisplayControls
from irtrack.gui.help import HelpSheet
from irtrack.gui.opening import Opener
from irtrack.gui.outputs import Outputs
from irtrack.gui.target_tool import TargetTool
from irtrack.gui.teaching import Teaching
from irtrack.gui.theme import open_icon
from irtrack.gui.tracks import TrackEditor
from irtrack.gui.transport import Transport
from irtrack.session.edits import VERDICTS
from irtrack.session.session import Session

Key = QKeySequence.StandardKey | str | None
Entry = tuple[str, Key, Callable[[], object]] | None
"""What stands in a menu, its key, and what it does; None is a line between."""

ZOOM = 1.25
"""Times as large with each press of the key."""


@dataclass(frozen=True)
class Parts:
    """What menus act on."""

    session: Session
    opener: Opener
    outputs: Outputs
    editor: TrackEditor
    targets: TargetTool
    teaching: Teaching
    transport: Transport
    canvas: Canvas
    display: DisplayControls
    toggle_side: Callable[[], None]
    toggle_full: Callable[[], None]
    quit: Callable[[], None]


class Menus:
    """The bar's menus, and the actions that are not there at all times."""

    def __init__(self, bar: QMenuBar, parts: Parts, owner: QWidget) -> None:
        self._owner, self._parts = owner, parts
        p, s, out, ed, d, t = parts, parts.session, parts.outputs, parts.editor, parts.display, parts.transport
        standard = QKeySequence.StandardKey
        file = bar.addMenu("&File")
        self._add(file, "&Open recording...", standard.Open, p.opener.ask_recording, open_icon())
        self._add(file, "Open &folder of images...", "Ctrl+Shift+O", p.opener.ask_folder)
        self._add(file, "Connect a &camera...", "Ctrl+K", p.opener.ask_camera)
        self.recent = file.addMenu("Open &recent")
        self.recent.aboutToShow.connect(lambda: p.opener.list_recent(self.recent))
        file.addSeparator()
        self.needs_picture = (
            self._add(file, "&Export tracks...", "Ctrl+E", out.ask_export),
            export := self._add(file, "Export the &selected track...", "Ctrl+Shift+E", out.ask_export_selected),
            self._add(file, "Save sess&ion as...", "Ctrl+Alt+S", out.ask_session),
            self._add(file, "&Save snapshot...", "Ctrl+S", out.ask_snapshot),
            self._add(file, "Save the &plain picture...", "Ctrl+Shift+S", partial(out.ask_snapshot, True)),
        )
        self.needs_recording = (
            self._add(file, "Export annotated &video...", "Ctrl+Shift+V", out.ask_video),
            self._add(file, "Open trac&ks over it...", "Ctrl+T", p.opener.ask_log),
            self._add(file, "&Analyse again", "Ctrl+Shift+A", s.analyse_again),
        )
        self.record = self._add(file, "&Record the camera", "Ctrl+R", self._record)
        self.record.setCheckable(True)
        file.addSeparator()
        self._add(file, "For&get kept results...", None, p.opener.ask_forget)
        self._add(file, "&Quit", "Ctrl+Q", p.quit)
        self._fill(bar.addMenu("&View"), (
            ("&Fit picture", "F", self._fit), ("&1:1", "1", p.canvas.one_to_one),
            ("&Nearer", standard.ZoomIn, partial(p.canvas.zoom, ZOOM)),
            ("F&arther", standard.ZoomOut, partial(p.canvas.zoom, 1 / ZOOM)), None,
            ("Score &map", "M", d.scores.toggle), ("&Legend", "G", d.legend.toggle),
            ("&Ellipses", "E", d.ellipses.toggle),
            ("Mas&ks", "K", d.masks.toggle), ("&Trails", "Shift+T", d.trails.toggle), None,
            ("&Side panel", "Tab", p.toggle_side), ("F&ull screen", "F11", p.toggle_full),
        ))  # fmt: skip
        tracks = bar.addMenu("&Tracks")
        self._fill(tracks, (
            ("&Undo", standard.Undo, ed.undo), ("Red&o", "Ctrl+Shift+Z", ed.redo), None,
            ("&Add a missed target...", "A", p.targets.start),
            ("&Next", "N", lambda: ed.select_next(1)), ("&Previous", "P", lambda: ed.select_next(-1)), None,
        ))  # fmt: skip
        edits = self._fill(tracks, (
            ("To its s&tart", "T", s.seek_track), ("&Follow it, or no longer", "C", s.follow), None,
            ("&Rename...", "F2", ed.ask_name), ("&Star", "S", ed.toggle_mark),
            ("Merge &into...", "Ctrl+M", ed.ask_merge), ("Split &here", "X", ed.split),
            ("&Cut the tail from here", "Shift+X", ed.cut_tail), ("S&wap from here...", "Ctrl+W", ed.ask_swap),
            ("&Delete", standard.Delete, ed.delete),
        ))  # fmt: skip
        judged = tracks.addMenu("It &is")
        for number, verdict in enumerate(VERDICTS, 1):
            self._add(judged, verdict.capitalize(), f"Alt+{number}", partial(ed.judge, verdict)).setCheckable(True)
        judged.aboutToShow.connect(lambda: self._check_verdict(judged.actions()))
        self._add(tracks, "&Learn from this...", None, p.teaching.start)
        self.of_track = QMenu(owner)
        """Of a right click on a track: what the bar's menu does to it."""
        self.of_track.addActions([*edits, judged.menuAction(), export])
        self._fill(bar.addMenu("&Playback"), (
            ("&Play or pause", "Space", s.toggle_play),
            ("One frame &on", "Right", lambda: s.step(1)), ("One frame &back", "Left", lambda: s.step(-1)),
            ("To the &start", "Home", lambda: s.seek(s.view.reach[0] if s.view else 0)),
            ("To the &end, or back to live", "End", s.seek_end), ("To a &time...", "Ctrl+G", t.ask_time),
            ("&Loop", "L", t.loop_button.toggle),
            ("Play &from here (A)", "[", t.from_button.toggle), ("Play &up to here (B)", "]", t.to_button.toggle),
            ("Slo&wer", "-", lambda: t.change_speed(-1)), ("&Faster", "+", lambda: t.change_speed(1)),
        ))  # fmt: skip
        self._add(bar.addMenu("&Help"), "&Keyboard and mouse", "F1", lambda: HelpSheet(bar, owner).show())

    def _fill(self, menu: QMenu, entries: tuple[Entry, ...]) -> list[QAction]:
        return [menu.addSeparator() if entry is None else self._add(menu, *entry) for entry in entries]

    def _check_verdict(self, actions: Sequence[QAction]) -> None:
        """What was said of the selected track."""
        session = self._parts.session
        said = session.edits.value.verdicts.get(session.selected.value or -1)
        for verdict, action in zip(VERDICTS, actions, strict=True):
            action.setChecked(verdict == said)

    def _add(self, menu: QMenu, text: str, key: Key, act: Callable[[], object], icon: QIcon | None = None) -> QAction:
        made = QAction(text, self._owner)
        if icon is not None:
            made.setIcon(icon)
        if key is not None:
            made.setShortcut(QKeySequence(key))
        made.triggered.connect(lambda _=False: act())
        menu.addAction(made)
        return made

    def _fit(self) -> None:
        """All of the picture, which ends following a track."""
        self._parts.session.following.set(False)
        self._parts.canvas.fit()

    def _record(self) -> None:
        self._parts.outputs.toggle_recording()
        self.refresh()

    def refresh(self) -> None:
        """What can be done now."""
        session = self._parts.session
        there, recording = session.picture is not None, session.recording.on
        self.record.setEnabled(session.live or recording)
        self.record.setChecked(recording)
        for action in self.needs_picture:
            action.setEnabled(there)
        for action in self.needs_recording:
            action.setEnabled(there and not session.live)
