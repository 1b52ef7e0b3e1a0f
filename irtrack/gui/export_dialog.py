"""What to export: a name, and the formats that are written under it, several at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from irtrack.gui.fields import named
from irtrack.sinks.kinds import SinkKind


class ExportDialog(QDialog):
    """`files` are those that were chosen, by the name of their kind; `replace` whether those that exist may go."""

    def __init__(
        self, parent: QWidget, title: str, name: Path, kinds: Sequence[SinkKind], chosen: Sequence[str], holds: str
    ) -> None:
        """`name`: of the files, without a suffix. `chosen`: names of kinds that are checked from the start. `holds`:
        what is exported."""
        super().__init__(parent)
        self.setWindowTitle(title)
        self._kinds = kinds
        self.name = QLineEdit(str(name))
        self.name.setMinimumWidth(380)
        named(self.name, "Name of the files", "Folder and name; each format adds its suffix")
        folder = QPushButton("Folder ...")
        named(folder, "Folder", "Choose the folder")
        folder.clicked.connect(self._ask_folder)
        self.boxes: dict[str, QCheckBox] = {}
        self._notes: dict[str, QLabel] = {}
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        for row, kind in enumerate(kinds):
            box = QCheckBox(f"{kind.title[:1].upper()}{kind.title[1:]}")
            named(box, kind.title, kind.help)
            box.setChecked(kind.name in chosen)
            box.toggled.connect(self._show)
            self.boxes[kind.name], self._notes[kind.name] = box, QLabel()
            grid.addWidget(box, row, 0)
            grid.addWidget(self._notes[kind.name], row, 1)
        self.replace = QCheckBox("Replace the files that exist")
        self.replace.setToolTip("What is in them goes")
        self.replace.toggled.connect(self._show)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.export = self._buttons.addButton("Export", QDialogButtonBox.ButtonRole.AcceptRole)
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        row_of_name = QHBoxLayout()
        row_of_name.addWidget(self.name, 1)
        row_of_name.addWidget(folder)
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        layout.addWidget(QLabel(f"Holds {holds}", wordWrap=True))
        layout.addLayout(row_of_name)
        layout.addLayout(grid)
        layout.addWidget(self.replace)
        layout.addWidget(self._buttons)
        self.name.textChanged.connect(self._show)
        self._show()

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of the kinds that are checked."""
        return tuple(name for name, box in self.boxes.items() if box.isChecked())

    @property
    def files(self) -> dict[str, Path]:
        """What will be written."""
        every = self._every()
        return {name: every[name] for name in self.chosen}

    def _every(self) -> dict[str, Path]:
        """A file of each kind; where two have one suffix, the second one's name says what it is."""
        name, taken, out = os.path.expanduser(self.name.text().strip()), set[str](), {}
        for kind in self._kinds:
            suffix = kind.suffixes[0]
            out[kind.name] = Path(f"{name}.{kind.name}{suffix}" if suffix in taken else f"{name}{suffix}")
            taken.add(suffix)
        return out

    def _show(self) -> None:
        """The files, and which of them exist."""
        there = False
        for name, path in self._every().items():
            exists = self.boxes[name].isChecked() and path.exists()
            there = there or exists
            self._notes[name].setText(f"{path.name}{' exists' if exists else ''}")
            self._notes[name].setEnabled(self.boxes[name].isChecked())
        self.replace.setVisible(there)
        stem = Path(self.name.text().strip()).name
        self.export.setEnabled(bool(stem and self.chosen) and (not there or self.replace.isChecked()))

    def _ask_folder(self) -> None:
        now = Path(os.path.expanduser(self.name.text().strip()))
        folder = QFileDialog.getExistingDirectory(self, "Folder", str(now.parent))
        if folder:
            self.name.setText(str(Path(folder) / now.name))
