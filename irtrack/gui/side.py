"""The side panel: controls in tabs, and under them the table of tracks with its filter."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QItemSelectionModel, QPoint, QSignalBlocker, QSortFilterProxyModel, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLineEdit,
    QSizePolicy,
    QSplitter,
    QTableView,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from irtrack.core import Track
from irtrack.detect.manifest import read_manifest
from irtrack.gui.alarms import AlarmPanel
from irtrack.gui.controls import DetectionControls, DisplayControls
from irtrack.gui.table import FILTER_ROLE, SORT_ROLE, TrackTable
from irtrack.gui.track_panel import TrackPanel
from irtrack.session.session import Session


class SidePanel(QWidget):
    """Tabs and table. `menu_wanted`: a right click on the table."""

    menu_wanted = Signal(QPoint)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.detection = DetectionControls(session, sorted(read_manifest()))
        self.display = DisplayControls(session)
        self.track, self.alarms = TrackPanel(), AlarmPanel(session)
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("Controls")
        self.tabs.setToolTip("Controls by subject")
        for title, page in (
            ("Detection", self.detection), ("Display", self.display), ("Track", self.track), ("Alarms", self.alarms),
        ):  # fmt: skip
            self.tabs.addTab(page, title)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter tracks: a number, a name or a state")
        self.filter.setToolTip("Show only tracks whose number, name or state contains this")
        self.filter.setAccessibleName("Filter tracks")
        self.filter.setClearButtonEnabled(True)
        self.table = TrackTable()
        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(self.table)
        self.sorted.setSortRole(SORT_ROLE)
        self.sorted.setFilterKeyColumn(-1)
        self.sorted.setFilterRole(FILTER_ROLE)
        self.filter.textChanged.connect(self.sorted.setFilterFixedString)
        self.view = self._table_view()

        lower = QWidget()
        column = QVBoxLayout(lower)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.filter)
        column.addWidget(self.view, 1)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.tabs)
        split.addWidget(lower)
        split.setStretchFactor(1, 1)
        split.setSizes([300, 360])
        split.setChildrenCollapsible(False)
        self.tabs.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(split)
        self.view.selectionModel().selectionChanged.connect(self._row_chosen)
        session.selected.changed.connect(self.mark_row)

    def _table_view(self) -> QTableView:
        view = QTableView()
        view.setModel(self.sorted)
        view.setAccessibleName("Tracks")
        view.setToolTip("Tracks in this frame: click to mark one in the picture, right click for more")
        view.setSortingEnabled(True)
        view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(lambda at: self.menu_wanted.emit(view.viewport().mapToGlobal(at)))
        view.setMinimumHeight(90)
        view.verticalHeader().hide()
        view.verticalHeader().setDefaultSectionSize(20)
        header = view.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        font = view.font()
        font.setPointSizeF(8.5)
        view.setFont(font)
        header.setFont(font)
        for column, width in ((0, 52), (1, 72)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            header.resizeSection(column, width)
        return view

    def show_tracks(self, tracks: Sequence[Track]) -> None:
        """The tracks of the frame on screen."""
        self.table.show_tracks(tracks, self._session.edits.value)
        if self._session.selected.value is not None:
            self.mark_row(self._session.selected.value)

    def mark_row(self, selected: int | None) -> None:
        """Select the table's row of the marked track, wherever sorting has put it."""
        row, model = self.table.row_of(selected), self.view.selectionModel()
        with QSignalBlocker(model):
            model.clearSelection()
            if row is not None:
                index = self.sorted.mapFromSource(self.table.index(row, 0))
                flags = QItemSelectionModel.SelectionFlag
                model.select(index, flags.Select | flags.Rows)
        self.view.viewport().update()

    def _row_chosen(self) -> None:
        rows = self.view.selectionModel().selectedRows()
        if rows:
            self._session.selected.set(self.table.track(self.sorted.mapToSource(rows[0]).row()).id)
