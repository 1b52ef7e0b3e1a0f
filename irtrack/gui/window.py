"""The main window: picture, transport, side panel, status; what the user does and what happens."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QInputDialog,
    QLabel,
    QMainWindow,
    QMenu,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from irtrack.capture.address import address_of, redact
from irtrack.config import DisplaySettings, Settings
from irtrack.core import FrameResult, Track
from irtrack.gui.alarms import Alarm, AlarmRules, Alarms
from irtrack.gui.badges import Badges
from irtrack.gui.cameras import CameraDialog
from irtrack.gui.canvas import Canvas
from irtrack.gui.habits import Habits, habits_path, load_habits
from irtrack.gui.help import HelpSheet
from irtrack.gui.keeper import Keeper
from irtrack.gui.menus import build_menus
from irtrack.gui.outputs import Outputs
from irtrack.gui.player import Player
from irtrack.gui.region_tool import RegionTool
from irtrack.gui.side import SidePanel
from irtrack.gui.status import StatusLine
from irtrack.gui.tracks import TrackEditor
from irtrack.gui.transport import Transport
from irtrack.stopping import Stop

log = logging.getLogger(__name__)

TICK_MS, TABLE_S = 15, 0.2
MANY, MANY_TABLE_S = 50, 0.5
"""With so many rows the table is renewed less often: nobody reads them faster."""

LIVE_KINDS = ("camera", "genicam", "aravis", "simcam")
HINT = "Drop an infrared recording here, or press Ctrl+O"
PICK_PX = 15.0
"""A click marks a track that is no further away than this, in pixels of the frame."""


class MainWindow(QMainWindow):
    """Everything the operator sees. Draws what `Player.tick` gives; never touches a frame in a Qt signal."""

    needs_recording: tuple[QAction, ...]
    needs_picture: tuple[QAction, ...]
    record_action: QAction
    recent_menu: QMenu
    stop: Stop | None = None

    def __init__(self, settings: Settings | None = None, source: str | None = None) -> None:
        super().__init__()
        self.setWindowTitle("irtrack")
        self.resize(1280, 760)
        self.setAcceptDrops(True)
        self.player = Player(settings or Settings())
        self.habits, trouble = load_habits(habits_path())
        self.canvas, self.status = Canvas(), StatusLine()
        self.side = SidePanel(self.player.settings, self.player.settings.display, self.habits.alarms)
        self.alarms = Alarms()
        self.alarms.rules = self.habits.alarms
        self._from_set = self._to_set = False
        self._build()
        self.outputs, self.editor, self.regions = Outputs(self), TrackEditor(self), RegionTool(self)
        build_menus(self)
        self._connect()
        self._take_habits()
        if trouble:
            self.show_error(trouble)
        self.keeper = Keeper(self)
        self._next_table = 0.0
        self._timer = QTimer(self, interval=TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self._refresh_transport()
        if source:
            self.open(source)

    # -- layout ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.banner = QLabel(wordWrap=True)
        self.banner.setObjectName("banner")
        self.banner.setAccessibleName("Error")
        self.banner.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.banner.hide()
        self.hint = QLabel(HINT, alignment=Qt.AlignmentFlag.AlignCenter)
        self.hint.setObjectName("hint")
        self.transport = Transport()
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.banner)
        column.addWidget(self.hint)
        column.addWidget(self.canvas, 1)
        self.badges = Badges(self.canvas)
        column.addWidget(self.transport)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(left)
        self.splitter.addWidget(self.side)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setSizes([860, 420])
        self.setCentralWidget(self.splitter)
        self.setStatusBar(self.status)

    def _connect(self) -> None:
        d, p, t = self.side.detection, self.side.display, self.transport
        d.threshold_changed.connect(self.player.set_threshold)
        d.smallest_changed.connect(self.player.set_smallest)
        d.model_changed.connect(self.player.set_model)
        d.file_wanted.connect(self.ask_model)
        p.shown_changed.connect(self.canvas.set_shown)
        p.display_changed.connect(self.canvas.set_display)
        p.lock_changed.connect(self._lock_gain)
        p.scores_toggled.connect(self._show_scores)
        self.side.alarms.rules_changed.connect(self._set_alarms)
        self.side.alarms.chosen.connect(self._go_to_alarm)
        self.side.chosen.connect(self.select)
        self.side.track.plots.time_picked.connect(self.seek_time)
        self.side.tabs.currentChanged.connect(lambda _: self._show_side())
        t.toggled.connect(self.toggle_play)
        t.stepped.connect(self.step)
        t.sought.connect(self.seek)
        t.speed_changed.connect(self.player.set_speed)
        t.loop_button.toggled.connect(self._set_loop)
        t.span_changed.connect(self._set_span)
        self.canvas.hovered.connect(self._hover)
        self.canvas.picked.connect(self._pick)
        self.canvas.overlays.label_of = lambda track: self.player.edits.label(track)
        self.canvas.set_display(self.player.settings.display)

    # -- opening --------------------------------------------------------------------------------------------------

    def open(self, source: str) -> None:
        """Open a source: a path or any SOURCE text."""
        self.banner.hide()
        self.keeper.flush()
        self.outputs.end_edits()
        self.canvas.clear()
        self.canvas.selected = None
        self.editor.reset()
        self.status.reset()
        self.alarms.reset()
        self.side.alarms.clear()
        self.transport.from_button.setChecked(False)
        self.transport.to_button.setChecked(False)
        self.player.open(source)
        self.habits = self.habits.opened(source, "://" in source or source.split(":")[0] in LIVE_KINDS)
        self.regions.use(self.habits.regions_of(source))
        self._show_side()
        name = Path(redact(source)).name if address_of(source) is None else redact(source)
        self.hint.setText(f"Opening {name} ...")
        self.hint.show()
        self.setWindowTitle(f"{name} - irtrack")

    def ask_open(self) -> None:
        kinds = "Recordings (*.mp4 *.mkv *.avi *.mov *.ts *.mpg *.webm *.tif *.tiff *.png *.jpg);;All files (*)"
        path, _ = QFileDialog.getOpenFileName(self, "Open recording", "", kinds)
        if path:
            self.open(path)

    def ask_open_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open folder of images")
        if path:
            self.open(path)

    def ask_camera(self) -> None:
        """Choose a camera, with a test, and open it."""
        dialog = CameraDialog(self, self.habits.cameras)
        dialog.accepted.connect(lambda: self.open(dialog.source))
        dialog.open()

    def ask_model(self) -> None:
        """A checkpoint of one's own."""
        path, _ = QFileDialog.getOpenFileName(self, "Model", "", "Weights (*.safetensors *.pt *.pth *.tar);;All (*)")
        if path:
            self.player.set_model(path, self.side.detection.device_box.currentText())
        self.side.detection.show_model(self.player.settings.detector)

    def ask_export_marked(self) -> None:
        """Export the marked track alone."""
        if self.canvas.selected is not None:
            self.outputs.ask_export(self.canvas.selected)

    # -- transport ------------------------------------------------------------------------------------------------

    def toggle_play(self) -> None:
        if self.player.playing:
            self.player.pause()
        else:
            self.player.play()
        self._refresh_transport()

    def step(self, by: int) -> None:
        self._show(self.player.step(by))
        self._refresh_transport()

    def seek(self, index: int) -> None:
        if index != self.player.position:
            self._show(self.player.seek(index))

    def seek_end(self) -> None:
        """To the last frame that was seen."""
        newest = self.player.store.nearest(2**62)
        if newest is not None:
            self.seek(newest)

    def seek_time(self, seconds: float) -> None:
        """To the frame of a time."""
        if self.player.opened is not None:
            self.seek(round(seconds * self.player.fps))

    def ask_time(self) -> None:
        if self.player.opened is None or self.player.live or self.player.frames is None:
            return
        longest = (self.player.frames - 1) / self.player.fps
        seconds, ok = QInputDialog.getDouble(self, "To a time", f"Seconds (0 to {longest:.2f})", 0.0, 0.0, longest, 2)
        if ok:
            self.seek_time(seconds)

    def seek_track(self) -> None:
        """To the first frame in which the marked track was confirmed."""
        if self.canvas.selected is not None:
            life = self.player.edits.lives(self.player.store.lives()).get(self.canvas.selected)
            if life is not None:
                self.seek(life[0])

    def change_speed(self, by: int) -> None:
        """To the next speed of the list."""
        box = self.transport.speed_box
        box.setCurrentIndex(max(0, min(box.currentIndex() + by, box.count() - 1)))

    def _set_loop(self, on: bool) -> None:
        self.player.loop = on

    def _set_span(self) -> None:
        """A and B take the frame on screen when they are pressed and let go of it when released."""
        t, at = self.transport, self.player.position
        before = self.player.span
        first = (before[0] if before and self._from_set else at) if t.from_button.isChecked() else None
        last = (before[1] if before and self._to_set else at) if t.to_button.isChecked() else None
        self._from_set, self._to_set = t.from_button.isChecked(), t.to_button.isChecked()
        self.player.set_span(first, last)
        self._refresh_transport()

    def show_help(self) -> None:
        """The sheet of keys."""
        HelpSheet(self.menuBar(), self).show()

    # -- habits ---------------------------------------------------------------------------------------------------

    def _take_habits(self) -> None:
        """Layout and display as they were left."""
        h = self.habits
        self.restoreGeometry(QByteArray.fromBase64(h.geometry.encode()))
        self.splitter.restoreState(QByteArray.fromBase64(h.splitter.encode()))
        self.side.display.show_shown(h.shown)
        self.canvas.set_shown(self.side.display.shown)
        if self.player.settings.display == DisplaySettings():  # what was asked for at the start wins
            self.side.display.show_display(h.display)
            self.canvas.set_display(h.display)

    def present_habits(self) -> Habits:
        """Those of this moment."""
        return replace(
            self.habits,
            geometry=bytes(self.saveGeometry().toBase64().data()).decode(),
            splitter=bytes(self.splitter.saveState().toBase64().data()).decode(),
            shown=self.side.display.shown,
            display=self.side.display.display,
            alarms=self.alarms.rules,
        )

    # -- tracks ---------------------------------------------------------------------------------------------------

    def select(self, track_id: int | None) -> None:
        """Mark a track in picture and table."""
        self.canvas.selected = track_id
        self.canvas.redraw()
        self._show_side()
        self.side.mark_row(track_id)

    def _confirmed(self) -> list[Track]:
        result = self.canvas.result
        return [t for t in result.tracks if t.confirmed] if result else []

    def _pick(self, x: float, y: float) -> None:
        near = min(self._confirmed(), key=lambda t: float(((t.xy_px - (x, y)) ** 2).sum()), default=None)
        close = near is not None and float(((near.xy_px - (x, y)) ** 2).sum()) < PICK_PX**2
        self.select(near.id if near is not None and close else None)

    # -- what happens ---------------------------------------------------------------------------------------------

    def show_error(self, text: str) -> None:
        """An error above the picture; the window stays usable."""
        self.banner.setText(text)
        self.banner.show()

    def _tick(self) -> None:
        if self.stop is not None and self.stop.asked:
            (QApplication.activeModalWidget() or self).close()  # a dialog that is open would hold up the end
            return
        self._show(self.player.tick())
        if self.player.error is not None:
            self.show_error(self.player.error)
            self.player.error = None
            self.hint.setText(HINT)
            self.side.detection.show_model(self.player.settings.detector)
        self.hint.setVisible(self.canvas.result is None)
        now = time.monotonic()
        if now >= self._next_table:
            self._next_table = now + (TABLE_S if self.side.table.rowCount() < MANY else MANY_TABLE_S)
            self._show_side()
            self._refresh_transport()
            self.status.refresh(self.player)
            self.keeper.look(now)

    def _show(self, shown: FrameResult | None) -> None:
        if shown is None:
            return
        result = self.player.edits.apply(shown)
        self.canvas.overlays.fps = self.player.fps
        self.canvas.show_result(result)
        if self.canvas.show_scores:
            self.player.want_scores()
        self.status.drew(result)
        alarm = self.alarms(result)
        if alarm is not None:
            self._call(alarm)
        self.transport.show_position(result.frame.index, result.frame.time_s, self.player)
        if not self.player.playing:
            self._show_side()

    def show_again(self) -> None:
        """The frame on screen, after edits."""
        if self.player.shown is not None:
            self.canvas.show_result(self.player.edits.apply(self.player.shown))
        self._show_side()
        self._refresh_transport()

    def _show_side(self) -> None:
        """Table, plots and histogram; the parts that can be seen."""
        result, selected, edits = self.canvas.result, self.canvas.selected, self.player.edits
        self.side.show_tracks(self._confirmed(), edits, selected)
        if self.side.track.isVisible():
            parts = [self.player.store.series(i) for i in edits.parts(selected)] if selected is not None else []
            self.side.track.show_track(selected, edits, parts, result.frame.time_s if result else None)
        if self.side.display.isVisible() and result is not None:
            self.side.display.histogram.show_counts(result.frame.image, self.canvas.agc.levels)

    def _refresh_transport(self) -> None:
        self.transport.timeline.selected = -1 if self.canvas.selected is None else self.canvas.selected
        self.transport.refresh(self.player)
        switch = self.player.recording
        if switch.error is not None:
            self.show_error(str(switch.error))
            switch.error = None
        self.record_action.setEnabled(self.player.live or switch.on)
        self.record_action.setChecked(switch.on)
        self.badges.show_state(self.player, self.outputs.recording_s)
        self.outputs.refresh()
        for action in self.needs_picture:
            action.setEnabled(self.canvas.result is not None)
        for action in self.needs_recording:
            action.setEnabled(self.canvas.result is not None and not self.player.live)
        pipeline = self.player.pipeline
        if pipeline is not None and pipeline.at_end and self.player.playing and not self.player.reviewing:
            self._show(self.player.turn_round())

    def _lock_gain(self, locked: bool) -> None:
        self.canvas.agc.lock = locked
        self.canvas.redraw()

    def _show_scores(self, on: bool) -> None:
        self.canvas.show_scores = on
        self.canvas.redraw()
        if on:
            self.player.want_scores()

    def _set_alarms(self, rules: AlarmRules) -> None:
        self.alarms.rules = rules

    def _call(self, alarm: Alarm) -> None:
        """An alarm: on the picture, in the list, to the ear, and as a picture, as the rules say."""
        self.badges.call(alarm.text)
        self.side.alarms.note(alarm)
        if self.alarms.rules.sound:
            QApplication.beep()
        if self.alarms.rules.snapshot:
            self.outputs.alarm_snapshot()

    def _go_to_alarm(self, frame: int, track_id: int) -> None:
        self.seek(frame)
        self.select(track_id)

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
        for step in (self.outputs.cancel_video, self.keeper.close, self.player.shutdown):
            try:
                step()
            except Exception:  # the other steps are not to suffer
                log.exception("while closing")
        super().closeEvent(event)
