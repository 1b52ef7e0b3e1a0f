"""What is asked before something is opened: a recording, a folder, a camera, a model, one of the recent sources."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from irtrack.gui.cameras import CameraDialog
from irtrack.gui.dialogs import agreed
from irtrack.gui.filters import recordings
from irtrack.gui.words import name_of
from irtrack.session import results
from irtrack.session.session import Session
from irtrack.session.sessionfile import is_session


class Opener:
    """Asks, and opens with `open_`."""

    def __init__(self, session: Session, parent: QWidget, open_: Callable[[str], None]) -> None:
        self._session, self._parent, self._open = session, parent, open_

    def ask_recording(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._parent, "Open recording", "", recordings())
        if path:
            self._open(path)

    def ask_log(self) -> None:
        """A track log to be shown over the open recording."""
        opened = self._session.opened
        beside = str(Path(opened.text).parent) if opened is not None else ""
        kinds = "Track logs (*.csv *.txt *.tsv);;All files (*)"
        path, _ = QFileDialog.getOpenFileName(self._parent, "Open tracks over the recording", beside, kinds)
        if path:
            self._session.open_log(Path(path))

    def ask_moved(self, text: str) -> None:
        """Where what is gone is now, or the recording of a session."""
        session = is_session(text)
        title = f"Where is {'the recording of ' if session else ''}{name_of(text)}?"
        path, _ = QFileDialog.getOpenFileName(self._parent, title, str(Path(text).parent), recordings())
        if path:
            self._session.locate(text, path)

    def ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self._parent, "Open folder of images")
        if path:
            self._open(path)

    def ask_camera(self) -> None:
        """Choose a camera, with a test, and open it."""
        dialog = CameraDialog(self._parent, self._session.preferences.cameras)
        dialog.accepted.connect(lambda: self._open(dialog.source))
        dialog.open()

    def ask_forget(self) -> None:
        """Whether results that are kept for another time are to go."""
        files = results.all_results()
        if not files:
            self._session.said("no results are kept for another time")
            return
        analyses = "1 analysis" if len(files) == 1 else f"{len(files)} analyses"
        text = (
            f"Results of {analyses} ({results.bytes_of(files) / 1e6:.0f} MB) are kept, so that their "
            "recordings are opened at once. Forget them? What you said of tracks and what you saved stays."
        )
        if agreed(self._parent, text, "Forget kept results"):
            results.clear_results()
            self._session.said("kept results are forgotten")

    def ask_model(self) -> None:
        """A checkpoint of one's own."""
        kinds = "Weights (*.safetensors *.pt *.pth *.tar);;All (*)"
        path, _ = QFileDialog.getOpenFileName(self._parent, "Model", "", kinds)
        if path:
            self._session.remember_model(path)
            self._session.choose(weights=path)

    def list_recent(self, menu: QMenu) -> None:
        """Sources opened before."""
        menu.clear()
        for source in self._session.preferences.recent:
            menu.addAction(source).triggered.connect(partial(self._recent, source))
        if not self._session.preferences.recent:
            menu.addAction("nothing yet").setEnabled(False)

    def _recent(self, source: str, checked: bool = False) -> None:
        self._open(source)
