"""The sheet of keyboard shortcuts, made from the menus so that it cannot be wrong."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QMenuBar,
    QVBoxLayout,
    QWidget,
)


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


COLUMNS = 3


class HelpSheet(QDialog):
    """Keys on the left, what they do on the right."""

    def __init__(self, bar: QMenuBar, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard and mouse")
        layout, columns = QVBoxLayout(self), QHBoxLayout()
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
        most = math.ceil(sum(len(rows) + 1 for _, rows in sections) / COLUMNS) + 1
        grid, row = QGridLayout(), 0
        for title, rows in sections:
            if row and row + 1 + len(rows) > most:  # the rest goes into another column, for small screens
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
        layout.addLayout(columns)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout.addWidget(buttons)


def filled(grid: QGridLayout, rows: int) -> QGridLayout:
    """A column whose rows stay at the top."""
    grid.setRowStretch(rows, 1)
    return grid
