"""What dialogs have in common: none is larger than the screen, and what is longer is scrolled."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialog, QFrame, QLabel, QMessageBox, QScrollArea, QVBoxLayout, QWidget

FRAME_PX = 40
"""What the frame of a dialog takes of the screen's height, about."""


def room(widget: QWidget) -> QSize:
    """So large a dialog may be."""
    return widget.screen().availableSize() - QSize(0, FRAME_PX)


def within(widget: QWidget, width: int, height: int) -> QSize:
    """This size, or what the screen has of it."""
    return QSize(width, height).boundedTo(room(widget))


def agreed(parent: QWidget, question: str, title: str = "irtrack") -> bool:
    """Ask for yes or no; Enter and Escape say no."""
    yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
    return QMessageBox.question(parent, title, question, yes | no, no) == yes


class Scrolled(QScrollArea):
    """Something as large as it wants to be where the screen has room for it; else it is scrolled."""

    def __init__(self, inner: QWidget) -> None:
        super().__init__()
        self._inner = inner
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setWidget(inner)

    def sizeHint(self) -> QSize:
        bar = self.verticalScrollBar().sizeHint().width()
        return self._inner.sizeHint() + QSize(bar + 2, 2)


class FittedDialog(QDialog):
    """As large as what it holds, or as the screen."""

    def showEvent(self, event: QShowEvent) -> None:
        self.resize(self.sizeHint().boundedTo(room(self)))
        super().showEvent(event)


class TextDialog(FittedDialog):
    """A text to be read, whatever its length; buttons go below it."""

    def __init__(self, parent: QWidget, title: str, text: str, form: Qt.TextFormat = Qt.TextFormat.PlainText) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.label = QLabel(text, wordWrap=form is Qt.TextFormat.PlainText, textFormat=form)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.label.setContentsMargins(8, 8, 8, 8)
        self.label.setMinimumWidth(min(420, room(self).width() - 60))
        self.rows = QVBoxLayout(self)
        self.rows.addWidget(Scrolled(self.label), 1)
