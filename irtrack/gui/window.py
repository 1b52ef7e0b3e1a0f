"""The main window: picture, transport, side panel, status. It draws the session, and joins its parts to it."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow, QSplitter, QVBoxLayout, QWidget

from irtrack.capture.address import address_of, redact
from irtrack.config import Settings
from irtrack.core import FrameResult, Track
from irtrack.gui.badges import Badges
from irtrack.gui.canvas import Canvas
from irtrack.gui.menus import Menus, Parts
from irtrack.gui.opening import Opener
from irtrack.gui.outputs import Outputs
from irtrack.gui.region_tool import RegionTool
from irtrack.gui.side import SidePanel
from irtrack.gui.status import StatusLine
from irtrack.gui.tracks import TrackEditor
from irtrack.gui.transport import Transport
from irtrack.gui.words import Words
from irtrack.session.alarms import Alarm
from irtrack.session.autosave import Autosave
from irtrack.session.habits import Habits, habits_path, load_habits
from irtrack.session.keeper import Keeper
from irtrack.session.loading import Opened
from irtrack.session.picture import Picture
from irtrack.session.session import Session
from irtrack.stopping import Stop

log = logging.getLogger(__name__)

TICK_MS, TABLE_S = 15, 0.2
MANY, MANY_TABLE_S = 50, 0.5
"""With so many rows the table is renewed less often: nobody reads them faster."""

HINT = "Drop an infrared recording here, or press Ctrl+O"
SIDE_PX = 330
PICK_PX = 15.0
"""A click selects a track that is no further away than this, in pixels of the frame."""


class MainWindow(QMainWindow):
    """Draws what `Session.tick` gives; never touches a frame in a Qt signal."""

    stop: Stop | None = None

    def __init__(self, settings: Settings | None = None, source: str | None = None) -> None:
        super().__init__()
        self.setWindowTitle("irtrack")
        self.setAcceptDrops(True)
        habits, trouble = load_habits(habits_path())
        self.session = s = Session(settings or Settings(), habits)
        self.canvas, self.status, self.transport, self.side = Canvas(), StatusLine(), Transport(s), SidePanel(s)
        self._build()
        words = Words(self.status.say, self.show_error)
        self.autosave = Autosave(s)
        self.outputs, self.editor = Outputs(s, self.autosave, self, words), TrackEditor(s, self, words)
        self.status.addPermanentWidget(self.outputs.progress)
        self.regions, self.opener = RegionTool(s, self.canvas, words), Opener(s, self, self.open)
        self.menus = Menus(self.menuBar(), Parts(
            s, self.opener, self.outputs, self.editor, self.transport, self.canvas, self.side.display,
            self._toggle_side, self._toggle_full, self.quit,
        ), self)  # fmt: skip
        self._connect()
        self._take_layout(habits)
        if trouble:
            self.show_error(trouble)
        self.keeper = Keeper(self.present_habits, self.autosave)
        self._next_table = 0.0
        self._timer = QTimer(self, interval=TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self._refresh()
        if source:
            self.open(source)

    def _build(self) -> None:
        self.banner = QLabel(wordWrap=True)
        self.banner.setObjectName("banner")
        self.banner.setAccessibleName("Error")
        self.banner.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.banner.hide()
        self.hint = QLabel(HINT, alignment=Qt.AlignmentFlag.AlignCenter)
        self.hint.setObjectName("hint")
        upper = QWidget()
        column = QVBoxLayout(upper)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.banner)
        column.addWidget(self.hint)
        column.addWidget(self.canvas, 1)
        self.badges = Badges(self.canvas)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(upper)
        self.splitter.addWidget(self.side)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setCollapsible(0, False)
        whole = QWidget()
        rows = QVBoxLayout(whole)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addWidget(self.splitter, 1)
        rows.addWidget(self.transport)
        self.setCentralWidget(whole)
        self.setStatusBar(self.status)

    def _connect(self) -> None:
        s, side, panel = self.session, self.side, self.side.track
        s.opened_one.connect(self._opened)
        s.leaving.connect(self._leaving)
        s.failed.connect(self._failed)
        s.called.connect(self._call)
        s.edits.changed.connect(lambda _: self._draw_again())
        s.results_changed.connect(side.alarms.clear)
        s.selected.changed.connect(self._selected)
        s.shown.changed.connect(self.canvas.set_shown)
        s.display.changed.connect(self.canvas.set_display)
        s.scores.changed.connect(self._show_scores)
        side.display.lock_changed.connect(self._lock_gain)
        side.detection.file_wanted.connect(self._ask_model)
        side.detection.region_wanted.connect(self.regions.draw)
        side.detection.regions_cleared.connect(self.regions.clear)
        side.tracks.menu_wanted.connect(lambda at: self.editor.show_menu(at, self.outputs.ask_export_selected))
        side.tabs.currentChanged.connect(lambda _: self._show_side())
        panel.plots.time_picked.connect(s.seek_time)
        panel.renamed.connect(self.editor.rename)
        panel.marked.connect(self.editor.mark)
        panel.merge_wanted.connect(self.editor.ask_merge)
        panel.deleted.connect(self.editor.delete)
        panel.export_wanted.connect(self.outputs.ask_export_selected)
        self.canvas.hovered.connect(self._hover)
        self.canvas.picked.connect(self._pick)
        self.canvas.overlays.label_of = lambda track: s.edits.value.label(track)
        self.canvas.set_display(s.display.value)
        self.canvas.set_shown(s.shown.value)

    # -- layout ---------------------------------------------------------------------------------------------------

    def _take_layout(self, habits: Habits) -> None:
        """As it was left; at the first start, as the screen has room."""
        room = self.screen().availableSize()
        self.resize(min(1280, room.width()), min(760, room.height() - 40))
        self.splitter.setSizes([max(200, self.width() - SIDE_PX), SIDE_PX])
        self.restoreGeometry(QByteArray.fromBase64(habits.geometry.encode()))
        self.splitter.restoreState(QByteArray.fromBase64(habits.splitter.encode()))

    def present_habits(self) -> Habits:
        """What is to be kept, of this moment."""
        return replace(
            self.session.kept(),
            geometry=bytes(self.saveGeometry().toBase64().data()).decode(),
            splitter=bytes(self.splitter.saveState().toBase64().data()).decode(),
        )

    def _toggle_side(self) -> None:
        self.side.setVisible(not self.side.isVisible())

    def _toggle_full(self) -> None:
        self.showNormal() if self.isFullScreen() else self.showFullScreen()

    # -- opening --------------------------------------------------------------------------------------------------

    def open(self, source: str) -> None:
        """Open a source: a path or any SOURCE text."""
        self.banner.hide()
        self.session.open(source)
        if self.session.opened is None:
            self.setWindowTitle(f"{name_of(source)} - irtrack")
        self.hint.setText(f"Opening {name_of(source)} ...")

    def _opened(self, opened: Opened) -> None:
        self.setWindowTitle(f"{name_of(opened.text)} - irtrack")

    def _leaving(self) -> None:
        """What is open goes: its edits are saved first, and nothing of it stays on screen."""
        self.keeper.flush()
        self.autosave.end()
        self.canvas.clear()
        self.status.reset()
        self.setWindowTitle("irtrack")

    def _failed(self, text: str) -> None:
        self.show_error(text)
        self.hint.setText(HINT)

    def _ask_model(self) -> None:
        self.opener.ask_model()
        self.side.detection.show_recipe(self.session.recipe.value)

    # -- tracks ---------------------------------------------------------------------------------------------------

    def _selected(self, track: int | None) -> None:
        self.canvas.selected = track
        self.canvas.redraw()
        self._show_side()

    def _confirmed(self) -> list[Track]:
        result = self.canvas.result
        return [t for t in result.tracks if t.confirmed] if result else []

    def _pick(self, x: float, y: float) -> None:
        near = min(self._confirmed(), key=lambda t: float(((t.xy_px - (x, y)) ** 2).sum()), default=None)
        close = near is not None and float(((near.xy_px - (x, y)) ** 2).sum()) < PICK_PX**2
        self.session.selected.set(near.id if near is not None and close else None)

    # -- what happens ---------------------------------------------------------------------------------------------

    def show_error(self, text: str) -> None:
        """An error above the picture; the window stays usable."""
        self.banner.setText(text)
        self.banner.show()

    def _tick(self) -> None:
        if self.stop is not None and self.stop.asked:
            (QApplication.activeModalWidget() or self).close()  # a dialog that is open would hold up the end
            return
        self._draw(self.session.tick())
        self.hint.setVisible(self.canvas.result is None)
        now = time.monotonic()
        if now >= self._next_table:
            self._next_table = now + (TABLE_S if self.side.table.rowCount() < MANY else MANY_TABLE_S)
            self._show_side()
            self._refresh()
            self.keeper.look(now)

    def _draw(self, picture: Picture | None) -> None:
        if picture is None:
            return
        self.canvas.overlays.fps = self.session.fps
        self.canvas.show_result(picture.result, picture.age_s)
        self.status.drew(picture)
        self.transport.show_position(picture.result.frame)
        if not self.session.playing:
            self._show_side()

    def _draw_again(self) -> None:
        """The frame on screen, after edits."""
        self._draw(self.session.present())
        self._show_side()
        self._refresh()

    def _show_side(self) -> None:
        """Table, plots and histogram; the parts that can be seen."""
        result, selected, session = self.canvas.result, self.canvas.selected, self.session
        self.side.tracks.show_tracks(self._confirmed())
        if self.side.track.isVisible():
            pieces = [p for p in session.edits.value.pieces(session.store.lives()) if p.now == selected]
            parts = [session.store.series(p.track, p.first, p.last) for p in pieces]
            now_s = result.frame.time_s if result else None
            self.side.track.show_track(selected, session.edits.value, parts, now_s)
        if self.side.display.isVisible() and result is not None:
            self.side.display.histogram.show_counts(result.frame.image, self.canvas.agc.levels)

    def _refresh(self) -> None:
        """What changes slower than the picture."""
        self.transport.refresh()
        self.menus.refresh()
        self.outputs.refresh()
        self.badges.show_state(self.session, self.outputs.recording_s)
        self.status.refresh(self.session)

    def _lock_gain(self, locked: bool) -> None:
        self.canvas.agc.lock = locked
        self.canvas.redraw()

    def _show_scores(self, on: bool) -> None:
        self.canvas.show_scores = on
        self.canvas.redraw()

    def _call(self, alarm: Alarm, result: FrameResult) -> None:
        """An alarm: on the picture, in the list, to the ear, and as a picture, as the rules say."""
        self.badges.call(alarm.text)
        self.side.alarms.note(alarm)
        if self.session.rules.value.sound:
            QApplication.beep()
        if self.session.rules.value.snapshot:
            self.outputs.alarm_snapshot(result)

    def _hover(self, x: int, y: int) -> None:
        result = self.canvas.result
        self.status.point(None if result is None or x < 0 else (x, y, int(result.frame.image[y, x])))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        urls = event.mimeData().urls()
        if urls:
            self.open(urls[0].toLocalFile() or urls[0].toString())
            event.acceptProposedAction()

    def quit(self) -> None:
        """Close, if that is what is wanted."""
        if self.outputs.may_close():
            self.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        if event.spontaneous() and not self.outputs.may_close():
            event.ignore()
            return
        self._timer.stop()
        for step in (self.outputs.cancel_video, self.keeper.close, self.session.shutdown):
            try:
                step()
            except Exception:  # the other steps are not to suffer
                log.exception("while closing")
        super().closeEvent(event)


def name_of(source: str) -> str:
    """What a source is called in titles: of a file its name, of an address nothing that is secret."""
    return Path(redact(source)).name if address_of(source) is None else redact(source)
