"""An error above the picture: it stays until it is closed, or something else is opened."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton

from irtrack.gui.fields import named


class Banner(QFrame):
    """A line, and a button that takes it away."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("banner")
        self.label, close = QLabel(wordWrap=True), QToolButton()
        self.label.setAccessibleName("Error")
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        close.setText("\u2715")
        named(close, "Close the message", "Close the message (Escape)")
        close.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 4, 6, 4)
        row.addWidget(self.label, 1)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def text(self) -> str:
        """What it says."""
        return self.label.text()

    def show_error(self, text: str) -> None:
        """In place of the one before."""
        self.label.setText(text)
        self.show()
