"""The tables of tracks: of the frame on screen, and of all of the recording."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QIcon, QImage, QPixmap

from irtrack.core import Track, TrackStatus
from irtrack.gui.theme import DIM
from irtrack.session.edits import Edits
from irtrack.session.looks import Look
from irtrack.session.series import Sums
from irtrack.sinks.draw import identity_colour

THUMB_PX = 24
"""Side of the little pictures."""

SORT_ROLE = Qt.ItemDataRole.UserRole
FILTER_ROLE = Qt.ItemDataRole.UserRole + 1

MISSING = ", not found"
"""Behind what a track is called that these results do not have."""

Index = QModelIndex | QPersistentModelIndex
Row = TypeVar("Row")
Whole = tuple[int, Sums]
"""A track of the recording, and its figures."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """`value` sorts. `widest`: a text that is to be read whole; `rank`: low ones stay longest where there is little
    room. `searched`: a word, which the filter finds; else a number."""

    title: str
    value: Callable[[Row], float]
    shown: Callable[[Row], str]
    tip: str
    widest: str
    rank: int
    searched: Callable[[Row], str] | None = None


def figure(title: str, value: Callable[[Row], float], text: str, tip: str, widest: str, rank: int) -> Column[Row]:
    """A column of numbers; nothing for what is not known."""

    def shown(row: Row) -> str:
        number = value(row)
        return "" if number != number else text.format(number)

    return Column(title, value, shown, tip, widest, rank)


def heading(track: Track) -> float:
    """Direction of flight in the picture: degrees clockwise from up; NaN while it hardly moves."""
    vx, vy = track.velocity_px_s.tolist()
    return math.degrees(math.atan2(vx, -vy)) % 360 if math.hypot(vx, vy) >= 1.0 else math.nan


STATES = {TrackStatus.CONFIRMED: "seen", TrackStatus.COASTING: "unseen"}
"""Of tracks in the table, in short."""


def state_of(track: Track) -> str:
    """Whether it was seen in this frame."""
    return STATES.get(track.status, str(track.status))


COLUMNS: tuple[Column[Track], ...] = (
    figure("ID", lambda t: t.id, "{}", "Identity, or the name that was given", "123 (aircraft)", 0),
    Column(
        "State", lambda t: t.status is TrackStatus.COASTING, state_of, "Seen in this frame, or not (coasting)",
        "unseen", 3, lambda t: f"{t.status} {state_of(t)}",
    ),
    figure("Age s", lambda t: t.age_s, "{:.1f}", "Age, s", "123.4", 7),
    figure("x", lambda t: float(t.xy_px[0]), "{:.0f}", "Position to the right, px", "1234", 4),
    figure("y", lambda t: float(t.xy_px[1]), "{:.0f}", "Position down, px", "1234", 5),
    figure("px/s", lambda t: math.hypot(*t.velocity_px_s.tolist()), "{:.0f}", "Speed in the scene, px/s", "123", 1),
    figure("Dir", heading, "{:.0f}°", "Direction of flight, degrees clockwise from up", "123°", 8),
    figure("SNR", lambda t: t.snr, "{:.1f}", "Signal to noise against the surroundings", "12.3", 2),
    figure("Score", lambda t: t.score, "{:.2f}", "Score of the detection", "0.12", 6),
)  # fmt: skip

ALL_COLUMNS: tuple[Column[Whole], ...] = (
    figure("ID", lambda r: r[0], "{}", "Identity, or the name that was given; a star; a verdict", "123 (aircraft)", 0),
    figure("From s", lambda r: r[1].first_s, "{:.2f}", "Time of its first frame, s", "123.45", 1),
    figure("To s", lambda r: r[1].last_s, "{:.2f}", "Time of its last frame, s", "123.45", 4),
    figure("Frames", lambda r: r[1].frames, "{}", "Frames in which it is confirmed", "12345", 5),
    figure("SNR", lambda r: r[1].snr, "{:.1f}", "Largest signal to noise against the surroundings", "12.3", 2),
    figure(
        "px/s", lambda r: r[1].speed_px_s / max(r[1].frames, 1), "{:.0f}", "Mean speed in the scene, px/s", "123", 3
    ),
)


class TrackModel(QAbstractTableModel):
    """A row for each track. The first column's value is its number, and is shown as the operator calls it."""

    def __init__(self, columns: Sequence[Column[Any]], thumbnails: bool = False) -> None:
        super().__init__()
        self.columns, self.thumbnails = columns, thumbnails
        self._rows: Sequence[Any] = ()
        self._ids: list[int] = []
        self._edits = Edits()
        self._looks: dict[int, tuple[Look, QIcon]] = {}

    def show_rows(self, rows: Sequence[Any], edits: Edits = Edits(), looks: Mapping[int, Look] | None = None) -> None:  # noqa: B008
        """Replace the rows; where only their values changed, rows stay, and what is selected with them."""
        self._looks = {track: self._drawn(track, look) for track, look in (looks or {}).items()}
        ids = [int(self.columns[0].value(row)) for row in rows]
        if ids != self._ids:
            self.beginResetModel()
            self._rows, self._ids, self._edits = rows, ids, edits
            self.endResetModel()
            return
        self._rows, self._edits = rows, edits
        if rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(self.columns) - 1))

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

    def row(self, row: int) -> Any:
        """What a row is made from."""
        return self._rows[row]

    def track_id(self, row: int) -> int:
        return self._ids[row]

    def row_of(self, track_id: int | None) -> int | None:
        """The row of an identity."""
        return self._ids.index(track_id) if track_id in self._ids else None

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.columns)

    def _text(self, row: int, column: int) -> str:
        if column:
            return self.columns[column].shown(self._rows[row])
        return self._edits.label(self._ids[row]) + (MISSING if self._ids[row] in self._edits.missing else "")

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, number = index.row(), index.column()
        column, track = self.columns[number], self._ids[row]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, number)
        if role == Qt.ItemDataRole.ToolTipRole:  # all that it says, also where a column is too narrow or left out
            texts = [self._text(row, i) for i in range(len(self.columns))]
            return "\n".join(f"{c.tip}: {text}" for c, text in zip(self.columns, texts, strict=True) if text)
        if role == SORT_ROLE:
            return float(column.value(self._rows[row]))
        if role == FILTER_ROLE and number == 0:
            return f"{track} {self._text(row, 0)}"
        if role == FILTER_ROLE:
            return column.searched(self._rows[row]) if column.searched is not None else None
        if role == Qt.ItemDataRole.DecorationRole and number == 0 and track in self._looks:
            return self._looks[track][1]
        if role == Qt.ItemDataRole.ForegroundRole and track in self._edits.missing:
            return QColor(DIM)
        if role == Qt.ItemDataRole.ForegroundRole and number == 0:
            return QColor(*identity_colour(track))
        if role == Qt.ItemDataRole.TextAlignmentRole and number and column.searched is None:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self.columns[section].title
        return self.columns[section].tip if role == Qt.ItemDataRole.ToolTipRole else None
