"""Asks for names of what is to be written, and shows how far a video is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from irtrack.gui.dialogs import agreed
from irtrack.gui.export_dialog import ExportDialog
from irtrack.gui.progress import ProgressRow
from irtrack.session.keeping import Keeping
from irtrack.session.session import Session
from irtrack.session.sessionfile import SUFFIX
from irtrack.session.standing import holding
from irtrack.session.writer import Writer
from irtrack.sinks.kinds import kind_named, log_kinds


class Outputs(Writer):
    """Asks, then writes."""

    def __init__(self, session: Session, keeping: Keeping, parent: QWidget) -> None:
        super().__init__(session, keeping)
        self._parent = parent
        self.progress = ProgressRow("Progress of the video", "Give up the video that is being written")
        self.progress.cancel.clicked.connect(self.cancel_video)

    def _ask(self, title: str, stem: str, kinds: str, *suffixes: str) -> Path | None:
        """A name with one of these suffixes, the first if none is given. Where a file has it, that may go: the dialog
        asks so of the name that was typed."""
        suggested = str(self.suggested(stem, suffixes[0]))
        typed, kind = QFileDialog.getSaveFileName(self._parent, title, suggested, kinds)
        if not typed or typed.lower().endswith(suffixes):
            return Path(typed) if typed else None
        path = Path(typed + next((suffix for suffix in suffixes if suffix in kind), suffixes[0]))
        if not path.exists() or agreed(self._parent, f"{path} exists. Replace it?"):
            return path
        return None

    def ask_export(self, only: int | None = None) -> None:
        """Track logs in any formats, of all tracks or of one; and the annotated video."""
        session = self.session
        stem = "tracks" if only is None else f"track-{only}"
        kinds = log_kinds()
        if only is None and not session.live:
            kinds.append(kind_named("video"))
        title = "Export tracks" if only is None else f"Export track {session.edits.value.label(only)}"
        name, chosen = self.suggested(stem, ""), session.preferences.exports
        dialog = ExportDialog(self._parent, title, name, kinds, chosen, holding(session))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(partial(self._export, dialog, only))
        dialog.open()

    def _export(self, dialog: ExportDialog, only: int | None) -> None:
        self.session.remember(exports=dialog.chosen)
        self.export_all(dialog.files, only, dialog.replace.isChecked())

    def ask_export_selected(self) -> None:
        """Export the selected track alone."""
        track = self.session.selected.value
        if track in self.session.edits.value.missing:
            self.session.said("this track was not found by this analysis: there is nothing of it to export")
        elif track is not None:
            self.ask_export(track)

    def ask_session(self) -> None:
        """Where to keep the session, from now on."""
        path = self._ask("Save session", "session", f"Session (*{SUFFIX})", SUFFIX)
        if path is not None:
            self.save_session(path)

    def ask_snapshot(self, plain: bool = False) -> None:
        path = self._ask("Save picture", "picture" if plain else "snapshot", "PNG (*.png)", ".png")
        if path is not None:
            self.snapshot(path, plain, force=True)

    def ask_series(self) -> None:
        """What is plotted of the selected track, as a table."""
        track = self.session.selected.value
        path = None if track is None else self._ask("Save plots", f"track-{track}-plots", "CSV (*.csv)", ".csv")
        if track is not None and path is not None:
            self.save_series(track, path, force=True)

    def ask_video(self) -> None:
        kinds = "Matroska (*.mkv);;MP4 (*.mp4)"
        path = self._ask("Export annotated video", "annotated", kinds, *kind_named("video").suffixes)
        if path is not None:
            self.export_video(path, force=True)

    def may_close(self) -> bool:
        """Whether the window may be closed: while a video is written, that is asked."""
        if self.video is None or not self.video.running:
            return True
        return agreed(self._parent, f"{self.video.path.name} is still being written. Give it up and close?")

    def refresh(self) -> None:
        """Progress, and how it ended."""
        self.upkeep()
        if self.video is None:
            self.progress.hide()
        else:
            self.progress.show_progress(self.video.path.name, self.video.done, max(self.video.total, 1))
