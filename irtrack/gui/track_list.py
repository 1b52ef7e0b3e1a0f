"""The list of tracks: of the frame on screen or of all of the recording, with a filter."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QItemSelectionModel, QPoint, QSignalBlocker, QSize, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from irtrack.core import Track
from irtrack.gui.controls import small_button
from irtrack.gui.table import FILTER_ROLE, SORT_ROLE, THUMB_PX, AllTracks, TrackTable
from irtrack.session.session import Session


class TrackView(QTableView):
    """A sorted and filtered table of tracks whose rows select. `entered_key`: Enter on a row."""

    entered_key = Signal()

    def __init__(self, session: Session, table: TrackTable | AllTracks, widths: Sequence[int]) -> None:
        super().__init__()
        self._session, self.table = session, table
        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(table)
        self.sorted.setSortRole(SORT_ROLE)
        self.sorted.setFilterKeyColumn(-1)
        self.sorted.setFilterRole(FILTER_ROLE)
        self.setModel(self.sorted)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setMinimumHeight(90)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(20)
        header, font = self.horizontalHeader(), self.font()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        font.setPointSizeF(8.5)
        self.setFont(font)
        header.setFont(font)
        for column, width in enumerate(widths):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            header.resizeSection(column, width)
        self.selectionModel().selectionChanged.connect(self._row_chosen)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.entered_key.emit()
        else:
            super().keyPressEvent(event)

    def mark_row(self, selected: int | None) -> None:
        """Select the row of a track, wherever sorting has put it."""
        row, model = self.table.row_of(selected), self.selectionModel()
        with QSignalBlocker(model):
            model.clearSelection()
            if row is not None:
                index = self.sorted.mapFromSource(self.table.index(row, 0))
                flags = QItemSelectionModel.SelectionFlag
                model.select(index, flags.Select | flags.Rows)
        self.viewport().update()

    def _row_chosen(self) -> None:
        rows = self.selectionModel().selectedRows()
        if rows:
            self._session.selected.set(self.table.track_id(self.sorted.mapToSource(rows[0]).row()))


class TrackList(QWidget):
    """`menu_wanted`: a right click on a row."""

    menu_wanted = Signal(QPoint)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter tracks: a number, a name or a state")
        self.filter.setToolTip("Show only tracks whose number, name or state contains this")
        self.filter.setAccessibleName("Filter tracks")
        self.filter.setClearButtonEnabled(True)
        self.all_button = small_button("All", "Every track of the recording, not only of this frame", checkable=True)
        self.table, self.everything = TrackTable(), AllTracks()
        self.view = TrackView(session, self.table, (44, 50))
        self.view.setAccessibleName("Tracks")
        self.view.setToolTip(
            "Tracks in this frame: click to select one in the picture, Enter follows it, right click for more"
        )
        self.all_view = TrackView(session, self.everything, (90,))
        self.all_view.setAccessibleName("All tracks")
        self.all_view.setToolTip("Every track: click to select one; a double click goes to its start, Enter follows it")
        self.all_view.verticalHeader().setDefaultSectionSize(THUMB_PX + 2)
        self.all_view.setIconSize(QSize(THUMB_PX, THUMB_PX))
        self.stack = QStackedWidget()
        for view in (self.view, self.all_view):
            self.stack.addWidget(view)
            self.filter.textChanged.connect(view.sorted.setFilterFixedString)
            view.customContextMenuRequested.connect(
                lambda at, v=view: self.menu_wanted.emit(v.viewport().mapToGlobal(at))
            )
        row = QHBoxLayout()
        row.addWidget(self.filter, 1)
        row.addWidget(self.all_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.stack, 1)
        self.all_button.toggled.connect(self._show_all)
        for view in (self.view, self.all_view):
            view.entered_key.connect(session.follow)
        self.all_view.doubleClicked.connect(lambda _: session.seek_track())
        session.selected.changed.connect(self.mark_row)

    def _show_all(self, on: bool) -> None:
        self.stack.setCurrentWidget(self.all_view if on else self.view)
        self.refresh_all()

    def show_tracks(self, tracks: Sequence[Track]) -> None:
        """The tracks of the frame on screen."""
        self.table.show_tracks(tracks, self._session.edits.value)
        self.refresh_all()
        if self._session.selected.value is not None:
            self.mark_row(self._session.selected.value)

    def refresh_all(self) -> None:
        """The tracks of the recording, while they can be seen."""
        if self.all_button.isChecked():
            session = self._session
            self.everything.show_tracks(session.tracks(), session.edits.value, session.looks())

    def mark_row(self, selected: int | None) -> None:
        """Select the row of a track in both tables."""
        self.view.mark_row(selected)
        self.all_view.mark_row(selected)
