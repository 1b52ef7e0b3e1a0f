"""In the status line: what is being done in the background, how far, and a way to give it up."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QSizePolicy, QToolButton, QWidget

from irtrack.gui.fields import Elided, named

LABEL_PX = 140
"""Width of the words at most: messages need room too."""


class ProgressRow(QWidget):
    """Hidden while nothing is done."""

    def __init__(self, name: str, give_up: str) -> None:
        """What a screen reader says of the bar and of the button."""
        super().__init__()
        self.label, self.bar, self.cancel = Elided(), QProgressBar(), QToolButton()
        self.label.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        self.label.setMaximumWidth(LABEL_PX)
        self.bar.setFixedWidth(80)
        self.bar.setTextVisible(False)
        named(self.bar, name, name)
        self.cancel.setText("Cancel")
        named(self.cancel, give_up, give_up)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)  # room is for messages
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (self.label, self.bar, self.cancel):
            row.addWidget(part)
        self.hide()

    def show_progress(self, text: str, done: int, total: int) -> None:
        """So many, of how many; 0: that is not known yet."""
        self.label.show_text(f"{text}: {done} of {total}" if total else f"{text} ...")
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.show()
