"""An error above the picture: it stays until it is closed, or something else is opened."""

from __future__ import annotations

import re
from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton

from irtrack.gui.fields import named

MOST = 500
"""Letters of a message that are shown: names of files may be longer than the screen."""

LONG_WORD = re.compile(r"\S{60}(?=\S)")


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
        self.action = QToolButton()
        named(self.action, "What can be done", "What can be done about the message")
        self._act: Callable[[], object] = self.hide
        self.action.clicked.connect(lambda: self._act())
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 4, 6, 4)
        row.addWidget(self.label, 1)
        row.addWidget(self.action, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def text(self) -> str:
        """What it says."""
        return self.label.text().replace("\u200b", "")

    def show_error(self, text: str) -> None:
        """In place of the one before."""
        short = text if len(text) <= MOST else f"{text[: MOST // 2]} ... {text[-MOST // 2 :]}"
        self.label.setText(LONG_WORD.sub("\\g<0>\u200b", short))  # it may be broken there
        self.action.hide()
        self.show()

    def withdraw(self, text: str) -> None:
        """It is true no longer."""
        if self.text() == text:
            self.hide()

    def offer(self, text: str, tip: str, act: Callable[[], object]) -> None:
        """What can be done about the error that is shown."""
        self._act = act
        self.action.setText(text)
        named(self.action, text.removesuffix(" ..."), tip)
        self.action.show()
