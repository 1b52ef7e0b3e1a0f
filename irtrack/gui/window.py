"""The main window: picture, transport, tracks, detection controls, status."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, QSignalBlocker, QSortFilterProxyModel, Qt, QTimer
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent, QIcon, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMainWindow,
    QMenu,
    QSlider,
    QSplitter,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from irtrack.config import Settings
from irtrack.core import FrameResult, IrtrackError
from irtrack.gui.canvas import Canvas
from irtrack.gui.controls import Controls
from irtrack.gui.export import SUFFIXES, export_tracks, save_snapshot
from irtrack.gui.player import Player
from irtrack.gui.status import StatusLine
from irtrack.gui.table import SORT_ROLE, TrackTable
from irtrack.gui.theme import open_icon, pause_icon, play_icon, step_icon

TICK_MS, TABLE_S = 15, 0.2
HINT = "Drop an infrared recording here, or press Ctrl+O"


class MainWindow(QMainWindow):
    """Everything the operator sees. Draws what `Player.tick` gives; never touches a frame in a Qt signal."""

    def __init__(self, settings: Settings | None = None, source: str | None = None) -> None:
        super().__init__()
        self.setWindowTitle("irtrack")
        self.resize(1280, 760)
        self.setAcceptDrops(True)
        self.player = Player(settings or Settings())
        self.canvas, self.table, self.status = Canvas(), TrackTable(), StatusLine()
        self.controls = Controls(self.player.settings.detector, self.player.settings.display)
        self._build()
        self._connect()
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
        self.play_button = self._button(play_icon(), "Play or pause (Space)", self.toggle_play)
        self.back_button = self._button(step_icon(False), "One frame back (Left)", lambda: self.step(-1))
        self.forward_button = self._button(step_icon(True), "One frame on (Right)", lambda: self.step(1))
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Position in the recording")
        self.slider.setToolTip("Position in the recording: drag or click to seek")
        self.time_label = QLabel()
        self.time_label.setObjectName("time")
        transport = QHBoxLayout()
        transport.setContentsMargins(8, 2, 8, 4)
        for widget in (self.back_button, self.play_button, self.forward_button):
            transport.addWidget(widget)
        transport.addWidget(self.slider, 1)
        transport.addWidget(self.time_label)

        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for part in (self.banner, self.hint):
            column.addWidget(part)
        column.addWidget(self.canvas, 1)
        column.addLayout(transport)

        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(self.table)
        self.sorted.setSortRole(SORT_ROLE)
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
        side.addWidget(self.controls)
        side.addWidget(self.table_view, 1)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.addWidget(left)
        splitter.addWidget(right)
        splitter.setStretchFactor(0, 1)
        splitter.setSizes([880, 400])
        self.setCentralWidget(splitter)
        self.setStatusBar(self.status)
        self._menus()

    def _button(self, icon: QIcon, tip: str, action: object) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon)
        button.setToolTip(tip)
        button.setAccessibleName(tip.split(" (")[0])
        button.clicked.connect(action)
        return button

    def _menus(self) -> None:
        file, view = self.menuBar().addMenu("&File"), self.menuBar().addMenu("&View")
        playback = self.menuBar().addMenu("&Playback")

        def add(
            menu: QMenu,
            text: str,
            key: QKeySequence.StandardKey | str | None,
            action: object,
            icon: QIcon | None = None,
        ) -> QAction:
            made = QAction(text, self)
            if icon is not None:
                made.setIcon(icon)
            if key is not None:
                made.setShortcut(QKeySequence(key))
            made.triggered.connect(action)
            menu.addAction(made)
            return made

        add(file, "&Open recording...", QKeySequence.StandardKey.Open, self.ask_open, open_icon())
        add(file, "Open &folder of images...", "Ctrl+Shift+O", self.ask_open_folder)
        file.addSeparator()
        self.export_action = add(file, "&Export tracks...", "Ctrl+E", self.ask_export)
        self.snapshot_action = add(file, "&Save snapshot...", "Ctrl+S", self.ask_snapshot)
        file.addSeparator()
        add(file, "&Quit", QKeySequence.StandardKey.Quit, self.close)
        add(view, "&Fit picture", "F", self.canvas.fit)
        add(playback, "&Play or pause", "Space", self.toggle_play)
        add(playback, "One frame &on", "Right", lambda: self.step(1))
        add(playback, "One frame &back", "Left", lambda: self.step(-1))
        add(playback, "To the &start", "Home", lambda: self.seek(0))

    def _connect(self) -> None:
        c = self.controls
        c.threshold_changed.connect(self.player.set_threshold)
        c.overlays_changed.connect(self._overlays)
        c.display_changed.connect(self.canvas.set_display)
        c.lock_changed.connect(self._lock_gain)
        self.canvas.set_display(self.player.settings.display)
        self.slider.valueChanged.connect(self.seek)
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
        self.player.open(source)
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
        with QSignalBlocker(self.slider):
            self.slider.setValue(result.frame.index)
        total = self.player.frames
        seconds = f"{result.frame.time_s:8.2f} s" if not self.player.live else "live"
        self.time_label.setText(f"{result.frame.index}" + (f" / {total - 1}" if total else "") + f"   {seconds}")
        if not self.player.playing:
            self._show_table()

    def _show_table(self) -> None:
        result = self.canvas.result
        tracks = [t for t in result.tracks if t.confirmed] if result else []
        self.table.show_tracks(tracks)
        if self.canvas.selected is not None:
            self._mark_row()

    def _refresh_transport(self) -> None:
        opened, live = self.player.opened is not None, self.player.live
        self.play_button.setIcon(pause_icon() if self.player.playing and opened else play_icon())
        self.play_button.setEnabled(opened)
        for widget in (self.slider, self.back_button, self.forward_button):
            widget.setEnabled(opened and not live)
        total = self.player.frames
        if total and self.slider.maximum() != total - 1:
            with QSignalBlocker(self.slider):
                self.slider.setRange(0, total - 1)
        for action in (self.export_action, self.snapshot_action):
            action.setEnabled(self.canvas.result is not None)
        pipeline = self.player.pipeline
        if pipeline is not None and pipeline.at_end and self.player.playing and not self.player.reviewing:
            self.player.pause()

    def _overlays(self) -> None:
        c, k = self.controls, self.canvas
        k.show_mask, k.show_trails = c.masks.isChecked(), c.trails.isChecked()
        k.show_boxes, k.show_labels = c.boxes.isChecked(), c.labels.isChecked()
        k.mask_opacity = c.opacity.value() / 100
        k.redraw()

    def _lock_gain(self, locked: bool) -> None:
        self.canvas.agc.lock = locked
        self.canvas.redraw()

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
        self.player.shutdown()
        super().closeEvent(event)
