"""The table of tracks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QIcon, QImage, QPixmap

from irtrack.core import Track, TrackStatus
from irtrack.session.edits import Edits
from irtrack.session.looks import Look
from irtrack.session.series import Sums
from irtrack.sinks.draw import identity_colour

THUMB_PX = 24
"""Side of the little pictures."""

Index = QModelIndex | QPersistentModelIndex
Row = TypeVar("Row")


def heading(track: Track) -> float:
    """Direction of flight in the picture: degrees clockwise from up; NaN while it hardly moves."""
    vx, vy = track.velocity_px_s.tolist()
    return math.degrees(math.atan2(vx, -vy)) % 360 if math.hypot(vx, vy) >= 1.0 else math.nan


@dataclass(frozen=True)
class Column(Generic[Row]):
    """`widest`: a text that is to be read whole; `rank`: low ones stay longest where there is little room."""

    title: str
    value: Callable[[Row], float]
    text: str
    tip: str
    widest: str
    rank: int

    def shown(self, row: Row) -> str:
        """The value as text; nothing for what is not known."""
        value = self.value(row)
        return "" if value != value else self.text.format(value)


COLUMNS: tuple[Column[Track], ...] = (
    Column("ID", lambda t: t.id, "{}", "Identity, or the name that was given", "123 (aircraft)", 0),
    Column(
        "State",
        lambda t: t.status is TrackStatus.COASTING,
        "{}",
        "Seen in this frame, or not (coasting)",
        "unseen",
        3,
    ),
    Column("Age s", lambda t: t.age_s, "{:.1f}", "Age, s", "123.4", 7),
    Column("x", lambda t: float(t.xy_px[0]), "{:.0f}", "Position to the right, px", "1234", 4),
    Column("y", lambda t: float(t.xy_px[1]), "{:.0f}", "Position down, px", "1234", 5),
    Column("px/s", lambda t: float((t.velocity_px_s**2).sum()) ** 0.5, "{:.0f}", "Speed in the scene, px/s", "123", 1),
    Column("Dir", lambda t: heading(t), "{:.0f}°", "Direction of flight, degrees clockwise from up", "123°", 8),
    Column("SNR", lambda t: t.snr, "{:.1f}", "Signal to noise against the surroundings", "12.3", 2),
    Column("Score", lambda t: t.score, "{:.2f}", "Score of the detection", "0.12", 6),
)
STATE = 1
"""The column with a word."""

STATES = {TrackStatus.CONFIRMED: "seen", TrackStatus.COASTING: "unseen"}
"""Of tracks in the table, in short."""

SORT_ROLE = Qt.ItemDataRole.UserRole
FILTER_ROLE = Qt.ItemDataRole.UserRole + 1
FILTERED = 2
"""Columns that are searched: number or name, and state."""


Whole = tuple[int, Sums]
"""A track of the recording, and its figures."""

ALL_COLUMNS: tuple[Column[Whole], ...] = (
    Column("ID", lambda r: r[0], "{}", "Identity, or the name that was given; a star; a verdict", "123 (aircraft)", 0),
    Column("From s", lambda r: r[1].first_s, "{:.2f}", "Time of its first frame, s", "123.45", 1),
    Column("To s", lambda r: r[1].last_s, "{:.2f}", "Time of its last frame, s", "123.45", 4),
    Column("Frames", lambda r: r[1].frames, "{}", "Frames in which it is confirmed", "12345", 5),
    Column("SNR", lambda r: r[1].snr, "{:.1f}", "Largest signal to noise against the surroundings", "12.3", 2),
    Column("px/s", lambda r: r[1].speed_px_s / r[1].frames, "{:.0f}", "Mean speed in the scene, px/s", "123", 3),
)


def header_of(columns: Sequence[Column[Any]], section: int, orientation: Qt.Orientation, role: int) -> str | None:
    """What a table's column is called, or what its tip says."""
    if orientation != Qt.Orientation.Horizontal:
        return None
    if role == Qt.ItemDataRole.DisplayRole:
        return columns[section].title
    return columns[section].tip if role == Qt.ItemDataRole.ToolTipRole else None


def row_tip(columns: Sequence[Column[Any]], texts: Sequence[str]) -> str:
    """All that a row says, also where a column is too narrow or left out."""
    return "\n".join(f"{column.tip}: {text}" for column, text in zip(columns, texts, strict=True) if text)


class AllTracks(QAbstractTableModel):
    """Every track of the recording."""

    columns, thumbnails = ALL_COLUMNS, True

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[tuple[int, Sums]] = []
        self._edits = Edits()
        self._looks: dict[int, tuple[Look, QIcon]] = {}

    def show_tracks(self, tracks: Mapping[int, Sums], edits: Edits, looks: Mapping[int, Look]) -> None:
        """Replace the rows; where only their values changed, rows stay, and what is selected with them."""
        self._looks = {track: self._drawn(track, look) for track, look in looks.items()}
        rows = list(tracks.items())
        same = [t for t, _ in rows] == [t for t, _ in self._rows]
        if not same:
            self.beginResetModel()
        self._rows, self._edits = rows, edits
        if not same:
            self.endResetModel()
        elif rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(ALL_COLUMNS) - 1))

    def _drawn(self, track: int, look: Look) -> tuple[Look, QIcon]:
        before = self._looks.get(track)
        if before is not None and before[0] is look:
            return before
        side = look.grey.shape[0]
        image = QImage(look.grey.tobytes(), side, side, side, QImage.Format.Format_Grayscale8)
        drawn = QPixmap.fromImage(image).scaled(THUMB_PX, THUMB_PX)
        icon = QIcon(drawn)
        icon.addPixmap(drawn, QIcon.Mode.Selected)  # not tinted
        return look, icon

    def track_id(self, row: int) -> int:
        return self._rows[row][0]

    def row_of(self, track_id: int | None) -> int | None:
        """The row of an identity."""
        return next((i for i, (t, _) in enumerate(self._rows) if t == track_id), None)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(ALL_COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        whole = self._rows[index.row()]
        track, column = whole[0], ALL_COLUMNS[index.column()]
        if role == SORT_ROLE:
            return column.value(whole)
        if role == Qt.ItemDataRole.DisplayRole:
            return self._edits.label(track) if index.column() == 0 else column.shown(whole)
        if role == Qt.ItemDataRole.ToolTipRole:
            texts = [self._edits.label(track), *(c.shown(whole) for c in ALL_COLUMNS[1:])]
            return row_tip(ALL_COLUMNS, texts)
        if role == FILTER_ROLE:
            return f"{track} {self._edits.label(track)}" if index.column() == 0 else None
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0:
            return self._looks[track][1] if track in self._looks else None
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == 0:
            return QColor(*identity_colour(track))
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column():
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        return header_of(ALL_COLUMNS, section, orientation, role)


class TrackTable(QAbstractTableModel):
    """Confirmed tracks of the frame on screen."""

    columns, thumbnails = COLUMNS, False

    def __init__(self) -> None:
        super().__init__()
        self._tracks: Sequence[Track] = ()
        self._edits = Edits()

    def show_tracks(self, tracks: Sequence[Track], edits: Edits = Edits()) -> None:  # noqa: B008
        """Replace the rows; the same identities in the same order only change their values."""
        self._edits = edits
        same = [t.id for t in tracks] == [t.id for t in self._tracks]
        if same:
            self._tracks = tracks
            if tracks:
                self.dataChanged.emit(self.index(0, 0), self.index(len(tracks) - 1, len(COLUMNS) - 1))
            return
        self.beginResetModel()
        self._tracks = tracks
        self.endResetModel()

    def track(self, row: int) -> Track:
        return self._tracks[row]

    def track_id(self, row: int) -> int:
        return self._tracks[row].id

    def row_of(self, track_id: int | None) -> int | None:
        """The row of an identity."""
        return next((i for i, t in enumerate(self._tracks) if t.id == track_id), None)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._tracks)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def _text(self, track: Track, column: int) -> str:
        if column == 0:
            return self._edits.label(track.id)
        return STATES.get(track.status, str(track.status)) if column == STATE else COLUMNS[column].shown(track)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        track, column = self._tracks[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(track, index.column())
        if role == Qt.ItemDataRole.ToolTipRole:
            return row_tip(COLUMNS, [self._text(track, i) for i in range(len(COLUMNS))])
        if role == SORT_ROLE:
            return float(column.value(track))
        if role == FILTER_ROLE:
            if index.column() == 0:
                return f"{track.id} {self._edits.label(track.id)}"
            return f"{track.status} {STATES.get(track.status, '')}" if index.column() < FILTERED else None
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == 0:
            return QColor(*identity_colour(track.id))
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() not in (0, STATE):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        return header_of(COLUMNS, section, orientation, role)
