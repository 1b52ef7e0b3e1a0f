"""The sheet of keyboard shortcuts, made from the menus so that it cannot be wrong."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QMenuBar,
    QVBoxLayout,
    QWidget,
)

from irtrack.gui.dialogs import FittedDialog, Scrolled, room


def shortcuts(bar: QMenuBar) -> list[tuple[str, list[tuple[str, str]]]]:
    """(menu, [(key, what it does)]) of every action with a key."""
    out = []
    for top in bar.actions():
        menu = top.menu()
        actions = menu.actions() if isinstance(menu, QMenu) else []
        menus = (action.menu() for action in actions)
        inner = [a for menu in menus if isinstance(menu, QMenu) for a in menu.actions()]
        keyed = [a for a in (*actions, *inner) if not a.shortcut().isEmpty()]
        rows = [(a.shortcut().toString(), plain(a.text())) for a in keyed]
        if rows:
            out.append((plain(top.text()), rows))
    return out


def plain(text: str) -> str:
    """A menu's text without its mnemonic and dots."""
    return text.replace("&", "").removesuffix("...")


COLUMNS, COLUMN_PX = 3, 300
"""So many at most, where the screen has about so much for each."""


class HelpSheet(FittedDialog):
    """Keys on the left, what they do on the right."""

    def __init__(self, bar: QMenuBar, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard and mouse")
        inner = QWidget()
        layout, columns = QVBoxLayout(self), QHBoxLayout(inner)
        columns.setSpacing(28)
        mouse = [
            ("Wheel", "Zoom at the cursor"),
            ("Drag", "Move the picture"),
            ("Click", "Select a target; on a row, a track's bar: the same"),
            ("Click or drag", "On the seek bar: go there; the wheel zooms it"),
            ("Enter", "On a row or the picture: follow the target"),
            ("Right click", "On a row: what can be done to the track"),
            ("Drop a file", "Open it"),
            ("Shift+Tab", "From control to control"),
            ("Escape", "Close an error; leave the full screen"),
        ]
        sections = [*shortcuts(bar), ("Picture", mouse)]
        fewest = max(1, min(COLUMNS, room(self).width() // COLUMN_PX))
        most = highest([len(rows) + 1 for _, rows in sections], fewest)
        grid, row = QGridLayout(), 0
        for title, rows in sections:
            if row and row + 1 + len(rows) > most:  # the rest goes into another column
                columns.addLayout(filled(grid, row))
                grid, row = QGridLayout(), 0
            grid.setHorizontalSpacing(12)
            grid.setVerticalSpacing(3)
            head = QLabel(title)
            head.setObjectName("heading")
            grid.addWidget(head, row, 0, 1, 2)
            for i, (key, what) in enumerate(rows, row + 1):
                label = QLabel(key)
                label.setObjectName("key")
                grid.addWidget(label, i, 0, Qt.AlignmentFlag.AlignRight)
                grid.addWidget(QLabel(what), i, 1)
            row += 1 + len(rows)
        columns.addLayout(filled(grid, row))
        scrolled = Scrolled(inner)
        layout.addWidget(scrolled, 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout.addWidget(buttons)
        scrolled.setFocus()  # the arrow keys scroll


def highest(heights: Sequence[int], columns: int) -> int:
    """Rows of the highest column where sections of these heights go, in their order, into so many columns."""
    for most in range(max(heights), sum(heights)):
        count = used = 0
        for height in heights:
            count, used = (count, used + height) if count and used + height <= most else (count + 1, height)
        if count <= columns:
            return most
    return sum(heights)


def filled(grid: QGridLayout, rows: int) -> QGridLayout:
    """A column whose rows stay at the top."""
    grid.setRowStretch(rows, 1)
    return grid
