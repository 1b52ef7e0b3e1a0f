"""The table of tracks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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


def heading(track: Track) -> float:
    """Direction of flight in the picture: degrees clockwise from up; NaN while it hardly moves."""
    vx, vy = track.velocity_px_s.tolist()
    return math.degrees(math.atan2(vx, -vy)) % 360 if math.hypot(vx, vy) >= 1.0 else math.nan


COLUMNS: tuple[tuple[str, Callable[[Track], float | str], str], ...] = (
    ("ID", lambda t: t.id, "{}"),
    ("State", lambda t: str(t.status), "{}"),
    ("Age", lambda t: t.age_s, "{:.1f}"),
    ("x", lambda t: float(t.xy_px[0]), "{:.0f}"),
    ("y", lambda t: float(t.xy_px[1]), "{:.0f}"),
    ("px/s", lambda t: float((t.velocity_px_s**2).sum()) ** 0.5, "{:.0f}"),
    ("Dir", lambda t: heading(t), "{:.0f}°"),
    ("SNR", lambda t: t.snr, "{:.1f}"),
    ("Score", lambda t: t.score, "{:.2f}"),
)
TIPS = (
    "Identity, or the name that was given",
    "Seen in this frame (confirmed), or unseen (coasting)",
    "Age in seconds",
    "Position to the right, px",
    "Position down, px",
    "Speed in the scene, px/s",
    "Direction of flight, degrees clockwise from up",
    "Signal to noise against the surroundings",
    "Score of the detection",
)
STATES = {TrackStatus.CONFIRMED: "seen", TrackStatus.COASTING: "unseen"}
"""Of tracks in the table, in short."""

SORT_ROLE = Qt.ItemDataRole.UserRole
FILTER_ROLE = Qt.ItemDataRole.UserRole + 1
FILTERED = 2
"""Columns that are searched: number or name, and state."""


ALL_COLUMNS: tuple[tuple[str, Callable[[int, Sums], float], str], ...] = (
    ("ID", lambda track, s: track, "{}"),
    ("From s", lambda track, s: s.first_s, "{:.2f}"),
    ("To s", lambda track, s: s.last_s, "{:.2f}"),
    ("Frames", lambda track, s: s.frames, "{}"),
    ("SNR", lambda track, s: s.snr, "{:.1f}"),
    ("px/s", lambda track, s: s.speed_px_s / s.frames, "{:.0f}"),
)
ALL_TIPS = (
    "Identity, or the name that was given; a star; a verdict",
    "Time of its first frame, s",
    "Time of its last frame, s",
    "Frames in which it is confirmed",
    "Largest signal to noise against the surroundings",
    "Mean speed in the scene, px/s",
)


def header_of(
    columns: Sequence[tuple[str, object, str]],
    tips: Sequence[str],
    section: int,
    orientation: Qt.Orientation,
    role: int,
) -> str | None:
    """What a table's column is called, or what its tip says."""
    if orientation != Qt.Orientation.Horizontal:
        return None
    if role == Qt.ItemDataRole.DisplayRole:
        return columns[section][0]
    return tips[section] if role == Qt.ItemDataRole.ToolTipRole else None


class AllTracks(QAbstractTableModel):
    """Every track of the recording."""

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
        track, sums = self._rows[index.row()]
        _, value_of, text = ALL_COLUMNS[index.column()]
        if role == SORT_ROLE:
            return value_of(track, sums)
        if role == Qt.ItemDataRole.DisplayRole:
            value = value_of(track, sums)
            return self._edits.label(track) if index.column() == 0 else "" if value != value else text.format(value)
        if role == FILTER_ROLE:
            return f"{track} {self._edits.label(track)}" if index.column() == 0 else None
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0:
            return self._looks[track][1] if track in self._looks else None
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == 0:
            return QColor(*identity_colour(track))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        return header_of(ALL_COLUMNS, ALL_TIPS, section, orientation, role)


class TrackTable(QAbstractTableModel):
    """Confirmed tracks of the frame on screen."""

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

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        track = self._tracks[index.row()]
        _, value_of, text = COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            if index.column() == 0:
                return self._edits.label(track.id)
            value = value_of(track)
            if index.column() == 1:
                return STATES.get(track.status, str(track.status))
            return "" if value != value else text.format(value)
        if role == SORT_ROLE:
            return value_of(track)
        if role == FILTER_ROLE:
            if index.column() == 0:
                return f"{track.id} {self._edits.label(track.id)}"
            return f"{track.status} {STATES.get(track.status, '')}" if index.column() < FILTERED else None
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == 0:
            return QColor(*identity_colour(track.id))
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() != 1:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        return header_of(COLUMNS, TIPS, section, orientation, role)
