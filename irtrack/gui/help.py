"""The sheet of keyboard shortcuts, made from the menus so that it cannot be wrong."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QGridLayout, QLabel, QMenu, QMenuBar, QVBoxLayout, QWidget


def shortcuts(bar: QMenuBar) -> list[tuple[str, list[tuple[str, str]]]]:
    """(menu, [(key, what it does)]) of every action with a key."""
    out = []
    for top in bar.actions():
        menu = top.menu()
        actions = menu.actions() if isinstance(menu, QMenu) else []
        rows = [(a.shortcut().toString(), plain(a.text())) for a in actions if not a.shortcut().isEmpty()]
        if rows:
            out.append((plain(top.text()), rows))
    return out


def plain(text: str) -> str:
    """A menu's text without its mnemonic and dots."""
    return text.replace("&", "").removesuffix("...")


class HelpSheet(QDialog):
    """Keys on the left, what they do on the right."""

    def __init__(self, bar: QMenuBar, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard and mouse")
        layout, grid, row = QVBoxLayout(self), QGridLayout(), 0
        grid.setHorizontalSpacing(24)
        mouse = [
            ("Wheel", "Zoom at the cursor"),
            ("Drag", "Move the picture"),
            ("Click", "Mark a target; on a row of the table, the same"),
            ("Drop a file", "Open it"),
        ]
        for title, rows in [*shortcuts(bar), ("Picture", mouse)]:
            head = QLabel(title)
            head.setObjectName("heading")
            grid.addWidget(head, row, 0, 1, 2)
            row += 1
            for key, what in rows:
                label = QLabel(key)
                label.setObjectName("key")
                grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignRight)
                grid.addWidget(QLabel(what), row, 1)
                row += 1
        layout.addLayout(grid)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout.addWidget(buttons)
