"""How the window's parts share it: picture and transport, the side panel beside them, the status line below."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtWidgets import QMainWindow, QSplitter, QVBoxLayout, QWidget

from irtrack.session.preferences import Preferences

SIDE_PX, SIDE_SHARE = 330, 0.4
"""Width of the side panel at the first start, and its share of a small window."""


class Arrangement:
    """Of a window; kept from one start to the next."""

    def __init__(self, window: QMainWindow, upper: list[QWidget], side: QWidget, transport: QWidget) -> None:
        """`upper`: what lies beside the side panel, from the top down; the last takes the room that is left."""
        self._window, self._side = window, side
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(column(upper, upper[-1], 0))
        self.splitter.addWidget(side)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setCollapsible(0, False)
        window.setCentralWidget(column([self.splitter, transport], self.splitter, 2))

    def take(self, preferences: Preferences) -> None:
        """As it was left; at the first start, as the screen has room."""
        window = self._window
        room = window.screen().availableSize()
        window.resize(min(1280, room.width()), min(760, room.height() - 40))
        side = min(SIDE_PX, round(SIDE_SHARE * window.width()))
        self.splitter.setSizes([window.width() - side, side])
        window.restoreGeometry(QByteArray.fromBase64(preferences.geometry.encode()))
        self.splitter.restoreState(QByteArray.fromBase64(preferences.splitter.encode()))

    def put_into(self, preferences: Preferences) -> Preferences:
        """With the layout of this moment."""
        return replace(
            preferences,
            geometry=bytes(self._window.saveGeometry().toBase64().data()).decode(),
            splitter=bytes(self.splitter.saveState().toBase64().data()).decode(),
        )

    def toggle_side(self) -> None:
        """Show the side panel, or hide it."""
        self._side.setVisible(not self._side.isVisible())

    def toggle_full(self) -> None:
        """The whole screen, or a window again."""
        self._window.showNormal() if self._window.isFullScreen() else self._window.showFullScreen()


def column(widgets: list[QWidget], widest: QWidget, spacing: int) -> QWidget:
    """Widgets from the top down; `widest` takes the room that is left."""
    whole = QWidget()
    rows = QVBoxLayout(whole)
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setSpacing(spacing)
    for widget in widgets:
        rows.addWidget(widget, int(widget is widest))
    return whole
