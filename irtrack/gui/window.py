"""The main window: picture, transport, side panel, status. It draws the session, and joins its parts to it."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLineEdit, QMainWindow

from irtrack.capture.open import grouped
from irtrack.config import Settings
from irtrack.core import FrameResult
from irtrack.gui.arrangement import Arrangement
from irtrack.gui.badges import Badges
from irtrack.gui.banner import Banner
from irtrack.gui.canvas import Canvas
from irtrack.gui.drawing import Drawing
from irtrack.gui.keyboard import Keyboard
from irtrack.gui.menus import Menus, Parts
from irtrack.gui.opening import Opener
from irtrack.gui.outputs import Outputs
from irtrack.gui.region_tool import RegionTool
from irtrack.gui.side import SidePanel
from irtrack.gui.start import HINT, StartPage
from irtrack.gui.status import StatusLine
from irtrack.gui.target_tool import TargetTool
from irtrack.gui.teaching import Teaching
from irtrack.gui.tracks import TrackEditor
from irtrack.gui.transport import Transport
from irtrack.gui.words import name_of
from irtrack.session.alarms import Alarm
from irtrack.session.keeper import Keeper
from irtrack.session.keeping import Keeping
from irtrack.session.loading import Opened
from irtrack.session.preferences import load_preferences, preferences_path
from irtrack.session.session import Session
from irtrack.session.tracklog import is_log
from irtrack.stopping import Stop

log = logging.getLogger(__name__)

TICK_MS = 15
OPENING = "opening"
"""How the line begins that is true until something is open."""


class MainWindow(QMainWindow):
    """Draws what `Session.tick` gives; never touches a frame in a Qt signal."""

    stop: Stop | None = None

    def __init__(self, settings: Settings | None = None, source: str | None = None, tracks: Path | None = None) -> None:
        """`tracks`: a log to be shown over the recording `source`."""
        super().__init__()
        self.setWindowTitle("irtrack")
        self.setAcceptDrops(True)
        preferences, trouble = load_preferences(preferences_path())
        self.session = s = Session(settings or Settings(), preferences)
        self.keeping = Keeping(s)
        self.outputs, self.editor = Outputs(s, self.keeping, self), TrackEditor(s, self)
        self.canvas, self.status, self.transport = Canvas(), StatusLine(), Transport(s)
        self.side = SidePanel(s, self.editor, self.outputs)
        self.banner, self.badges = Banner(), Badges(self.canvas)
        self.setStatusBar(self.status)
        self.arrangement = Arrangement(self, [self.banner, self.canvas], self.side, self.transport)
        self.drawing = Drawing(s, self.canvas, self.badges, self.transport, self.side, self.status)
        self.teaching = Teaching(s, self.keeping, self)
        for row in (self.outputs.progress, self.teaching.progress):
            self.status.addPermanentWidget(row)
        self.regions, self.opener = RegionTool(s, self.canvas, self.badges), Opener(s, self, self.open)
        self.targets = TargetTool(s, self.canvas, self.badges)
        self.start = StartPage(self.canvas, s, self.opener, self.open)
        self.menus = Menus(self.menuBar(), Parts(
            s, self.opener, self.outputs, self.editor, self.targets, self.teaching, self.transport, self.canvas,
            self.side.display, self.arrangement.toggle_side, self.arrangement.toggle_full, self.quit,
        ), self)  # fmt: skip
        self._connect()
        for field in self.findChildren(QLineEdit):
            field.setAcceptDrops(False)  # it would take a file's name for text
        Keyboard(self, self.banner)
        self.arrangement.take(preferences)
        if trouble:
            self.banner.show_error(trouble)
        self.keeper = Keeper(lambda: self.arrangement.put_into(s.kept()), self.keeping, self.banner.show_error)
        s.saving.connect(self.keeper.save)
        s.replacing.connect(self.keeper.flush)
        self._timer = QTimer(self, interval=TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self._refresh()
        if source:
            self.open(source, tracks)

    def _connect(self) -> None:
        s, side = self.session, self.side
        s.opened_one.connect(self._opened)
        s.leaving.connect(self._leaving)
        s.failed.connect(self._failed)
        s.said.connect(self.status.say)
        offer, opener = self.banner.offer, self.opener
        s.gone.connect(lambda text: offer("Locate ...", "Say where it is now", lambda: opener.ask_moved(text)))
        s.away.connect(lambda text: offer("Try again", "Connect the camera once more", lambda: self.open(text)))
        self.editor.settled.connect(self.banner.withdraw)
        s.moved.connect(self.opener.ask_moved)
        s.called.connect(self._call)
        side.detection.file_wanted.connect(self._ask_model)
        side.detection.region_wanted.connect(self.regions.draw)
        side.detection.regions_cleared.connect(self.regions.clear)
        side.tracks.menu_wanted.connect(self._show_menu)

    def _show_menu(self, at: QPoint) -> None:
        if self.session.selected.value is not None:
            self.menus.of_track.popup(at)

    # -- opening --------------------------------------------------------------------------------------------------

    def open(self, source: str, tracks: Path | None = None) -> None:
        """Open a source: a path or any SOURCE text; `tracks`: a log to be shown over it. A log alone goes over what is
        open."""
        self.banner.hide()
        if is_log(source):
            self.session.open_log(Path(source))
            return
        self.session.open(source, log=tracks)
        if self.session.opened is None:
            self.setWindowTitle(f"{name_of(source)} - irtrack")
        else:
            self.status.say(f"{OPENING} {name_of(source)} ...")
        self.start.hint.setText(f"Opening {name_of(source)} ...")

    def _opened(self, opened: Opened) -> None:
        self.banner.hide()
        self._opening_is_over()
        self.setWindowTitle(f"{name_of(opened.name)} - irtrack")

    def _opening_is_over(self) -> None:
        """What else was said meanwhile stays."""
        if self.status.currentMessage().startswith(OPENING):
            self.status.clearMessage()

    def _leaving(self) -> None:
        """What is open goes: nothing of it stays on screen."""
        self.canvas.clear()
        self.status.reset()
        self.start.list_recent()
        self.setWindowTitle("irtrack")

    def _failed(self, text: str) -> None:
        self.banner.show_error(text)
        self._opening_is_over()
        self.start.hint.setText(HINT)
        if self.session.opened is None:
            self.setWindowTitle("irtrack")
        self.start.list_recent()

    def _ask_model(self) -> None:
        self.opener.ask_model()
        self.side.detection.show_recipe(self.session.recipe.value)

    # -- what happens ---------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self.stop is not None and self.stop.asked:
            (QApplication.activeModalWidget() or self).close()  # a dialog that is open would hold up the end
            return
        self.drawing.draw(self.session.tick())
        self.start.setVisible(self.canvas.result is None)
        now = time.monotonic()
        if self.drawing.due(now):
            self.drawing.show_side()
            self._refresh()
            self.drawing.renewed(now, time.monotonic())
        self.keeper.look(now)

    def _refresh(self) -> None:
        """What changes slower than the picture."""
        self.menus.refresh()
        self.outputs.refresh()
        self.drawing.refresh(self.outputs.recording_s)

    def _call(self, alarm: Alarm, result: FrameResult) -> None:
        """An alarm: on the picture, in the list, to the ear, and as a picture, as the rules say."""
        self.badges.call(alarm.text)
        self.side.alarms.note(alarm)
        if self.session.rules.value.sound:
            QApplication.beep()
        if self.session.rules.value.snapshot:
            self.outputs.alarm_snapshot(result)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.setDropAction(Qt.DropAction.CopyAction)  # what is moved, the program it comes from may delete
            event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        self.drop(*(url.toLocalFile() or url.toString() for url in event.mimeData().urls()))

    def drop(self, *dropped: str) -> None:
        """What was dropped on the window: a recording (images of one folder are one), a log of tracks, or both."""
        logs, sources = [text for text in dropped if is_log(text)], grouped([t for t in dropped if t and not is_log(t)])
        if sources:
            self.open(sources[0], Path(logs[0]) if logs else None)
        elif logs:
            self.open(logs[0])
        if len(sources) > 1 or len(logs) > 1:
            self.status.say("of several the first is opened: drop one at a time, or images of one folder")

    def quit(self) -> None:
        """Close, if that is what is wanted."""
        if self._may_close():
            self.close()

    def _may_close(self) -> bool:
        return self.outputs.may_close() and self.teaching.may_close()

    def closeEvent(self, event: QCloseEvent) -> None:
        if event.spontaneous() and not self._may_close():
            event.ignore()
            return
        self._timer.stop()
        self.hide()  # a frame that is in the network is waited for, and nobody should have to look at that
        for step in (self.outputs.cancel_video, self.teaching.stop, self.keeper.close, self.session.shutdown):
            try:
                step()
            except Exception:  # the other steps are not to suffer
                log.exception("while closing")
        super().closeEvent(event)
