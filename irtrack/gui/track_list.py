"""The list of tracks: of the frame on screen or of all of the recording, with a filter."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QItemSelectionModel, QPoint, QSignalBlocker, QSize, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
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
from irtrack.gui.table import ALL_COLUMNS, COLUMNS, FILTER_ROLE, SORT_ROLE, THUMB_PX, TrackModel
from irtrack.session.session import Session

CELL_PX = 11
"""What a cell takes beside its text."""

ARROW = "  "
"""Room for the arrow of the sorted column."""


class TrackView(QTableView):
    """A sorted and filtered table of tracks whose rows select, several of them with Ctrl and Shift. Columns for which
    there is no room are left out, the least important first; a row's tip says them. `entered_key`: Enter on a row."""

    entered_key = Signal()

    def __init__(self, session: Session, table: TrackModel) -> None:
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
        self.setTabKeyNavigation(False)  # Tab and Shift+Tab leave it
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setMinimumHeight(46)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(20)
        header, font = self.horizontalHeader(), self.font()
        font.setPointSizeF(8.5)
        self.setFont(font)
        header.setFont(font)
        header.setMinimumSectionSize(20)
        header.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for i in range(1, len(table.columns)):
            header.setSectionResizeMode(i, QHeaderView.ResizeMode.Fixed)
        self.selectionModel().selectionChanged.connect(self._row_chosen)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Show the columns for which there is room; what is over goes to the first, with its names."""
        metrics, icon = self.fontMetrics(), self.iconSize().width() if self.table.thumbnails else 0
        room = self.viewport().width()
        for i in sorted(range(len(self.table.columns)), key=lambda i: self.table.columns[i].rank):
            column = self.table.columns[i]
            texts = (column.widest, column.title + (ARROW if i else ""))
            width = max(metrics.horizontalAdvance(text) for text in texts) + CELL_PX + (0 if i else icon)
            self.setColumnHidden(i, width > room)
            self.horizontalHeader().resizeSection(i, width)
            room -= width if width <= room else room

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.entered_key.emit()
        else:
            super().keyPressEvent(event)

    def mark_rows(self, selection: Sequence[int]) -> None:
        """Select the rows of tracks, wherever sorting has put them."""
        model, flags = self.selectionModel(), QItemSelectionModel.SelectionFlag
        with QSignalBlocker(model):
            model.clearSelection()
            for row in (self.table.row_of(track) for track in selection):
                if row is not None:
                    model.select(self.sorted.mapFromSource(self.table.index(row, 0)), flags.Select | flags.Rows)
        self.viewport().update()

    def _row_chosen(self) -> None:
        """Of several, the one that was clicked last is that of plots and magnifier."""
        model = self.selectionModel()
        rows = [self.sorted.mapToSource(index).row() for index in model.selectedRows()]
        tracks = [self.table.track_id(row) for row in rows]
        if tracks:
            now = self.sorted.mapToSource(model.currentIndex()).row()
            self._session.select(self.table.track_id(now) if now in rows else tracks[0], tracks)


class TrackList(QWidget):
    """`menu_wanted`: a right click on a row."""

    menu_wanted = Signal(QPoint)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter: number, name or state")
        self.filter.setToolTip("Show only tracks whose number, name or state contains this")
        self.filter.setAccessibleName("Filter tracks")
        self.filter.setClearButtonEnabled(True)
        self.all_button = small_button("All", "Every track of the recording, not only of this frame", checkable=True)
        self.table, self.everything = TrackModel(COLUMNS), TrackModel(ALL_COLUMNS, thumbnails=True)
        self.view = TrackView(session, self.table)
        self.view.setAccessibleName("Tracks")
        self.view.setToolTip(
            "Tracks in this frame: click to select one in the picture, Ctrl and Shift several, Enter follows, right "
            "click for more"
        )
        self.all_view = TrackView(session, self.everything)
        self.all_view.setAccessibleName("All tracks")
        self.all_view.setToolTip(
            "Every track: click to select one, Ctrl and Shift several; a double click goes to its start, Enter follows"
        )
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
        session.selected.changed.connect(lambda _: self.mark_rows())
        session.beside.changed.connect(lambda _: self.mark_rows())

    def _show_all(self, on: bool) -> None:
        self.stack.setCurrentWidget(self.all_view if on else self.view)
        self.refresh_all()

    def show_tracks(self, tracks: Sequence[Track]) -> None:
        """The tracks of the frame on screen."""
        self.table.show_rows(tracks, self._session.edits.value)
        self.refresh_all()
        if self._session.selected.value is not None:
            self.mark_rows()

    def refresh_all(self) -> None:
        """The tracks of the recording, while they can be seen."""
        if self.all_button.isChecked():
            session = self._session
            rows = [*session.tracks().items(), *session.missing().items()]
            self.everything.show_rows(rows, session.edits.value, session.looks())

    def mark_rows(self) -> None:
        """Select the rows of what is selected in both tables."""
        for view in (self.view, self.all_view):
            view.mark_rows(self._session.selection)
