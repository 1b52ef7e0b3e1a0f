"""The selected track: how it went, and what the operator says of it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from irtrack.core import Floats
from irtrack.gui.fields import named
from irtrack.gui.outputs import Outputs
from irtrack.gui.plots import TrackPlots
from irtrack.gui.theme import ACCENT
from irtrack.gui.tracks import TrackEditor
from irtrack.session.edited import joined
from irtrack.session.edits import Edits
from irtrack.session.standing import frames_text

NONE = "No track is selected: click one"


class TrackPanel(QWidget):
    """Plots, a field for the name, and buttons to mark, merge, delete and export."""

    def __init__(self, editor: TrackEditor, outputs: Outputs) -> None:
        super().__init__()
        self.head = QLabel(NONE, wordWrap=True)  # a long name is not to widen the panel
        self.name = QLineEdit()
        self.name.setPlaceholderText("Name")
        named(self.name, "Name of the track", "A name for the selected track, shown in place of its number")
        self.mark = button("Star", "Put a star to the track (S)", checkable=True)
        self.merge = button("Merge ...", "Make this track and another one a single track")
        self.delete = button("Delete", "Leave the track out of picture, table and exports (Del; Ctrl+Z brings it back)")
        self.export = button("Export ...", "Export this track alone")
        self.plots = TrackPlots()
        name, row = QHBoxLayout(), QHBoxLayout()
        name.addWidget(self.name, 1)
        name.addWidget(self.mark)
        for part in (self.merge, self.delete, self.export):
            row.addWidget(part, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(self.head)
        layout.addLayout(name)
        layout.addLayout(row)
        layout.addWidget(self.plots, 1)
        self.name.editingFinished.connect(lambda: editor.rename(self.name.text()))
        self.mark.clicked.connect(editor.mark)
        self.merge.clicked.connect(editor.ask_merge)
        self.delete.clicked.connect(editor.delete)
        self.export.clicked.connect(outputs.ask_export_selected)
        self.plots.time_picked.connect(editor.session.seek_time)
        self.plots.export_wanted.connect(outputs.ask_series)

    def show_track(self, track: int | None, edits: Edits, parts: Sequence[Floats], now_s: float | None) -> None:
        """The selected track, or none. parts (T, len(SERIES)) each: the series of what it was merged from."""
        series = joined(parts)
        there = track is not None
        for widget in (self.name, self.mark, self.merge, self.delete, self.export):
            widget.setEnabled(there)
        for widget in (self.merge, self.export):  # of a track that these results do not have there is nothing to write
            widget.setEnabled(there and track not in edits.missing)
        if track is None:
            self.head.setText(NONE)
        elif track in edits.missing:
            self.head.setText(
                f"Track {edits.label(track)}: not found by this analysis{frames_text(edits.gone[track].life)}"
            )
        elif len(series):
            self.head.setText(f"Track {track}: {series[0, 0]:.2f} to {series[-1, 0]:.2f} s, {len(series)} frames")
        else:
            self.head.setText(f"Track {track}")
        if not self.name.hasFocus():
            self.name.setText(edits.names.get(track, "") if track is not None else "")
        self.mark.setChecked(track in edits.marked)
        self.plots.show_series(series, now_s)


def button(text: str, tip: str, checkable: bool = False) -> QPushButton:
    """A small button with a word."""
    made = QPushButton(text)
    made.setCheckable(checkable)
    made.setStyleSheet(f"QPushButton {{ padding: 3px 6px }} QPushButton:checked {{ color: {ACCENT} }}")
    named(made, text.removesuffix(" ..."), tip)
    return made
