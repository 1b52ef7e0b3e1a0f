"""Starts Qt and the window."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from irtrack.config import Settings
from irtrack.core import IrtrackError
from irtrack.stopping import Stop


def check_display() -> None:
    """Raises IrtrackError where no window can open, saying how to go on without one."""
    if sys.platform.startswith("linux") and not any(
        os.environ.get(v) for v in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    ):
        raise IrtrackError("there is no display for the window; headless: irtrack run SOURCE --csv tracks.csv")


def clean_environment() -> None:
    """opencv-python points Qt at plugins of its own, which are not ours."""
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        if "cv2" in os.environ.get(name, ""):
            del os.environ[name]


def open_window(source: str | None, settings: Settings, stop: Stop, tracks: Path | None = None) -> int:
    """Show the window and stay until it closes. `tracks`: a log to be shown over the recording."""
    check_display()
    import cv2  # noqa: F401  # first, so that the environment it sets can be cleaned before Qt reads it

    clean_environment()
    try:
        from PySide6.QtWidgets import QApplication

        from irtrack.gui.theme import apply_theme
        from irtrack.gui.window import MainWindow
    except ImportError as error:
        raise IrtrackError(f"the window needs Qt, which cannot be loaded ({error}): see irtrack doctor") from error
    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    app.setApplicationName("irtrack")
    apply_theme(app)
    stop.polled = True
    window = MainWindow(settings, source, tracks)
    window.show()
    window.stop = stop  # looked at by the window's timer
    return int(app.exec())
