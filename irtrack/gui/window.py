"""The main window: picture, transport, tracks, detection controls, status."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QByteArray, QDir, QItemSelectionModel, QSignalBlocker, QSortFilterProxyModel, Qt, QTimer
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QFileDialog,
    QHeaderView,
    QInputDialog,
    QLabel,
    QLineEdit,
    QMainWindow,
    QMenu,
    QSplitter,
    QTableView,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from irtrack.config import DisplaySettings, Settings
from irtrack.core import FrameResult, IrtrackError
from irtrack.gui.alarms import Alarm, AlarmPanel, AlarmRules, Alarms
from irtrack.gui.badges import Badges
from irtrack.gui.cameras import CameraDialog
from irtrack.gui.canvas import Canvas
from irtrack.gui.controls import Controls
from irtrack.gui.export import SUFFIXES, export_tracks, new_name, save_snapshot
from irtrack.gui.habits import habits_path, load_habits, save_habits
from irtrack.gui.help import HelpSheet
from irtrack.gui.menus import build_menus
from irtrack.gui.player import Player
from irtrack.gui.status import StatusLine
from irtrack.gui.table import FILTER_ROLE, SORT_ROLE, TrackTable
from irtrack.gui.transport import Transport

TICK_MS, TABLE_S = 15, 0.2
LIVE_KINDS = ("camera", "genicam", "aravis")
HINT = "Drop an infrared recording here, or press Ctrl+O"


class MainWindow(QMainWindow):
    """Everything the operator sees. Draws what `Player.tick` gives; never touches a frame in a Qt signal."""

    export_action: QAction
    snapshot_action: QAction
    record_action: QAction
    recent_menu: QMenu

    def __init__(self, settings: Settings | None = None, source: str | None = None) -> None:
        super().__init__()
        self.setWindowTitle("irtrack")
        self.resize(1280, 760)
        self.setAcceptDrops(True)
        self.player = Player(settings or Settings())
        self.canvas, self.table, self.status = Canvas(), TrackTable(), StatusLine()
        self.controls = Controls(self.player.settings.detector, self.player.settings.display)
        self.habits, trouble = load_habits(habits_path())
        self.alarms = Alarms()
        self.alarms.rules = self.habits.alarms
        self._from_set = self._to_set = False
        self._recorded, self._recording_since = Path(), 0.0
        self._build()
        self._connect()
        self._take_habits()
        if trouble:
            self.show_error(trouble)
        self._next_table = 0.0
        self._drawn: deque[float] = deque(maxlen=60)
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
        self.banner.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.banner.hide()
        self.hint = QLabel(HINT, alignment=Qt.AlignmentFlag.AlignCenter)
        self.hint.setObjectName("hint")
        self.transport = Transport()
        t = self.transport
        self.play_button, self.back_button, self.forward_button = t.play_button, t.back_button, t.forward_button
        self.slider, self.time_label = t.slider, t.time_label

        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for part in (self.banner, self.hint):
            column.addWidget(part)
        column.addWidget(self.canvas, 1)
        self.badges = Badges(self.canvas)
        column.addWidget(self.transport)

        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(self.table)
        self.sorted.setSortRole(SORT_ROLE)
        self.sorted.setFilterKeyColumn(-1)
        self.sorted.setFilterRole(FILTER_ROLE)
        self.table_view = QTableView()
        self.table_view.setModel(self.sorted)
        self.table_view.setAccessibleName("Tracks")
        self.table_view.setToolTip("Tracks in this frame: click to mark one in the picture")
        self.table_view.setSortingEnabled(True)
        self.table_view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.table_view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table_view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table_view.verticalHeader().hide()
        self.table_view.verticalHeader().setDefaultSectionSize(22)
        header = self.table_view.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Interactive)
        header.resizeSection(1, 80)

        right = QWidget()
        side = QVBoxLayout(right)
        side.setContentsMargins(6, 6, 6, 6)
        self.alarm_panel = AlarmPanel(self.habits.alarms)
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("Controls")
        self.tabs.addTab(self.controls, "Detection and picture")
        self.tabs.addTab(self.alarm_panel, "Alarms")
        side.addWidget(self.tabs)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter tracks: a number or a state")
        self.filter.setToolTip("Show only tracks whose number or state contains this")
        self.filter.setAccessibleName("Filter tracks")
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(self.sorted.setFilterFixedString)
        side.addWidget(self.filter)
        side.addWidget(self.table_view, 1)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(left)
        self.splitter.addWidget(right)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setSizes([880, 400])
        self.setCentralWidget(self.splitter)
        self.setStatusBar(self.status)
        build_menus(self)

    def _connect(self) -> None:
        c = self.controls
        c.threshold_changed.connect(self.player.set_threshold)
        self.alarm_panel.rules_changed.connect(self._set_alarms)
        self.alarm_panel.chosen.connect(self._go_to_alarm)
        c.smallest_changed.connect(self.player.set_smallest)
        c.overlays_changed.connect(self._overlays)
        c.display_changed.connect(self.canvas.set_display)
        c.lock_changed.connect(self._lock_gain)
        self.canvas.set_display(self.player.settings.display)
        t = self.transport
        t.toggled.connect(self.toggle_play)
        t.stepped.connect(self.step)
        t.sought.connect(self.seek)
        t.speed_changed.connect(self.player.set_speed)
        t.loop_button.toggled.connect(self._set_loop)
        t.span_changed.connect(self._set_span)
        self.canvas.hovered.connect(self._hover)
        self.canvas.picked.connect(self._pick)
        self.table_view.selectionModel().selectionChanged.connect(self._row_chosen)

    # -- what the user does ---------------------------------------------------------------------------------------

    def open(self, source: str) -> None:
        """Open a source: a path or any SOURCE text."""
        self.banner.hide()
        self.canvas.clear()
        self.table.show_tracks(())
        self.status.reset()
        self.alarms.reset()
        self.alarm_panel.clear()
        self.transport.from_button.setChecked(False)
        self.transport.to_button.setChecked(False)
        self.player.open(source)
        self.habits = self.habits.opened(source, "://" in source or source.split(":")[0] in LIVE_KINDS)
        self.hint.setText(f"Opening {Path(source).name} ...")
        self.hint.show()
        self.setWindowTitle(f"{Path(source).name} - irtrack")

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

    def toggle_recording(self) -> None:
        """Start or end a lossless recording of the camera, in the folder for recordings, under a new name."""
        switch = self.player.recording
        try:
            if switch.on:
                dropped = switch.stop()
                left_out = f"; {dropped} frames were left out" if dropped else ""
                self.status.say(f"recorded {self._recorded}{left_out}")
            elif self.player.live:
                folder = Path(self.habits.recordings or QDir.homePath())
                self._recorded = new_name(folder, "irtrack", ".mkv")
                switch.start(self._recorded)
                self._recording_since = time.monotonic()
        except IrtrackError as error:
            self.show_error(str(error))
        self._refresh_transport()

    def ask_export(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Export tracks", "tracks.csv", ";;".join(SUFFIXES))
        if path:
            self.export(Path(path))

    def export(self, path: Path) -> None:
        """Write the tracks of all frames seen so far; the suffix chooses CSV, MOTChallenge or JSON lines."""
        try:
            frames = export_tracks(self.player.store.results(), path, self.player.settings)
            self.status.say(f"exported {frames} frames to {path}")
        except IrtrackError as error:
            self.show_error(str(error))

    def ask_snapshot(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save snapshot", "snapshot.png", "PNG (*.png)")
        if path:
            self.snapshot(Path(path))

    def snapshot(self, path: Path) -> None:
        """Write the frame on screen with its masks and trails."""
        if self.canvas.result is None:
            return
        try:
            save_snapshot(self.canvas.result, path)
            self.status.say(f"saved {path}")
        except IrtrackError as error:
            self.show_error(str(error))

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

    def ask_time(self) -> None:
        opened = self.player.opened
        if opened is None or self.player.live or self.player.frames is None:
            return
        fps = opened.source.info.fps or 30.0
        longest = (self.player.frames - 1) / fps
        seconds, ok = QInputDialog.getDouble(self, "To a time", f"Seconds (0 to {longest:.2f})", 0.0, 0.0, longest, 2)
        if ok:
            self.seek(round(seconds * fps))

    def seek_track(self) -> None:
        """To the first frame in which the marked track was confirmed."""
        life = self.player.store.lives().get(self.canvas.selected if self.canvas.selected is not None else -1)
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

    def _take_habits(self) -> None:
        """Layout and display as they were left."""
        h, c = self.habits, self.controls
        self.restoreGeometry(QByteArray.fromBase64(h.geometry.encode()))
        self.splitter.restoreState(QByteArray.fromBase64(h.splitter.encode()))
        for box, on in ((c.masks, h.masks), (c.trails, h.trails), (c.boxes, h.boxes), (c.labels, h.labels)):
            box.setChecked(on)
        c.opacity.setValue(h.opacity)
        if self.player.settings.display == DisplaySettings():  # what was asked for at the start wins
            c.show_display(h.display)

    def _keep_habits(self) -> None:
        c = self.controls
        save_habits(
            replace(
                self.habits,
                geometry=bytes(self.saveGeometry().toBase64().data()).decode(),
                splitter=bytes(self.splitter.saveState().toBase64().data()).decode(),
                masks=c.masks.isChecked(),
                trails=c.trails.isChecked(),
                boxes=c.boxes.isChecked(),
                labels=c.labels.isChecked(),
                opacity=c.opacity.value(),
                display=c.display,
                alarms=self.alarms.rules,
            ),
            habits_path(),
        )

    def select(self, track_id: int | None) -> None:
        """Mark a track in picture and table."""
        self.canvas.selected = track_id
        self.canvas.redraw()
        self._mark_row()

    def _mark_row(self) -> None:
        """Select the table's row of the marked track, wherever sorting has put it."""
        row = self.table.row_of(self.canvas.selected)
        model = self.table_view.selectionModel()
        with QSignalBlocker(model):
            model.clearSelection()
            if row is not None:
                index = self.sorted.mapFromSource(self.table.index(row, 0))
                flags = QItemSelectionModel.SelectionFlag
                model.select(index, flags.Select | flags.Rows)
        self.table_view.viewport().update()

    def show_error(self, text: str) -> None:
        """An error above the picture; the window stays usable."""
        self.banner.setText(text)
        self.banner.show()

    # -- what happens ---------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._show(self.player.tick())
        if self.player.error is not None:
            self.show_error(self.player.error)
            self.player.error = None
            self.hint.setText(HINT)
        self.hint.setVisible(self.canvas.result is None)
        now = time.monotonic()
        if now >= self._next_table:
            self._next_table = now + TABLE_S
            self._show_table()
            self._refresh_transport()
            self.status.refresh(self.player)

    def _show(self, result: FrameResult | None) -> None:
        if result is None:
            return
        self.canvas.show_result(result)
        self.status.drew(result)
        alarm = self.alarms(result)
        if alarm is not None:
            self._call(alarm)
        self.transport.show_position(result.frame.index, result.frame.time_s, self.player)
        if not self.player.playing:
            self._show_table()

    def _show_table(self) -> None:
        result = self.canvas.result
        tracks = [t for t in result.tracks if t.confirmed] if result else []
        self.table.show_tracks(tracks)
        if self.canvas.selected is not None:
            self._mark_row()

    def _refresh_transport(self) -> None:
        self.transport.timeline.selected = -1 if self.canvas.selected is None else self.canvas.selected
        self.transport.refresh(self.player)
        switch = self.player.recording
        if switch.error is not None:
            self.show_error(str(switch.error))
            switch.error = None
        self.record_action.setEnabled(self.player.live or switch.on)
        self.record_action.setChecked(switch.on)
        self.badges.show_state(self.player, time.monotonic() - self._recording_since if switch.on else None)
        for action in (self.export_action, self.snapshot_action):
            action.setEnabled(self.canvas.result is not None)
        pipeline = self.player.pipeline
        if pipeline is not None and pipeline.at_end and self.player.playing and not self.player.reviewing:
            self._show(self.player.turn_round())

    def _overlays(self) -> None:
        c, k = self.controls, self.canvas
        k.show_mask, k.show_trails = c.masks.isChecked(), c.trails.isChecked()
        k.show_boxes, k.show_labels = c.boxes.isChecked(), c.labels.isChecked()
        k.mask_opacity = c.opacity.value() / 100
        k.redraw()

    def _lock_gain(self, locked: bool) -> None:
        self.canvas.agc.lock = locked
        self.canvas.redraw()

    def _set_alarms(self, rules: AlarmRules) -> None:
        self.alarms.rules = rules

    def _call(self, alarm: Alarm) -> None:
        """An alarm: on the picture, in the list, to the ear, and as a picture, as the rules say."""
        self.badges.call(alarm.text)
        self.alarm_panel.note(alarm)
        if self.alarms.rules.sound:
            QApplication.beep()
        if self.alarms.rules.snapshot:
            self.snapshot(new_name(Path(self.habits.recordings or QDir.homePath()), "alarm", ".png"))

    def _go_to_alarm(self, frame: int, track_id: int) -> None:
        self.seek(frame)
        self.select(track_id)

    def _hover(self, x: int, y: int) -> None:
        result = self.canvas.result
        self.status.point(None if result is None or x < 0 else (x, y, int(result.frame.image[y, x])))

    def _pick(self, x: float, y: float) -> None:
        result = self.canvas.result
        tracks = [t for t in result.tracks if t.confirmed] if result else []
        near = min(tracks, key=lambda t: float(((t.xy_px - (x, y)) ** 2).sum()), default=None)
        close = near is not None and float(((near.xy_px - (x, y)) ** 2).sum()) < 15.0**2
        self.select(near.id if near is not None and close else None)

    def _row_chosen(self) -> None:
        rows = self.table_view.selectionModel().selectedRows()
        if rows:
            self.canvas.selected = self.table.track(self.sorted.mapToSource(rows[0]).row()).id
            self.canvas.redraw()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        urls = event.mimeData().urls()
        if urls:
            self.open(urls[0].toLocalFile() or urls[0].toString())
            event.acceptProposedAction()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._timer.stop()
        self._keep_habits()
        self.player.shutdown()
        super().closeEvent(event)
