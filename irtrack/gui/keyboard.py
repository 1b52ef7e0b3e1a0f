"""The keyboard where it is not the menus': on controls, and Escape."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractButton, QComboBox, QMainWindow, QSlider, QTabBar, QWidget

from irtrack.gui.banner import Banner

OWN_KEYS: dict[type[QWidget], tuple[Qt.Key, ...]] = {
    QAbstractButton: (Qt.Key.Key_Space,),
    QComboBox: (Qt.Key.Key_Space,),
    QSlider: (Qt.Key.Key_Left, Qt.Key.Key_Right),
    QTabBar: (Qt.Key.Key_Left, Qt.Key.Key_Right),
}
"""Keys of controls that are shortcuts of the menus too."""


class Keyboard(QObject):
    """A control that the keyboard is on has its own keys before the menus; Escape that nobody else wants closes an
    error, or leaves the full screen."""

    def __init__(self, window: QMainWindow, banner: Banner) -> None:
        super().__init__(window)
        self._window, self._banner = window, banner
        window.installEventFilter(self)
        for kind in OWN_KEYS:  # the mouse leaves the keyboard where it is: Space still plays after a click
            for control in window.findChildren(kind):
                control.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Of the window: what no child of it has taken."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride:
            focus = self._window.focusWidget()
            if any(isinstance(focus, kind) and event.key() in keys for kind, keys in OWN_KEYS.items()):
                event.accept()
                return True
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape:
            if self._banner.isVisible():
                self._banner.hide()
            elif self._window.isFullScreen():
                self._window.showNormal()
        return super().eventFilter(watched, event)
