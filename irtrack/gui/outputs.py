"""What the window writes: logs, pictures, recordings, annotated video; under names that are not taken."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QDir, Qt
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from irtrack.core import FrameResult, IrtrackError
from irtrack.gui.export_dialog import ExportDialog
from irtrack.gui.progress import ProgressRow
from irtrack.gui.words import Words
from irtrack.session.edited import joined
from irtrack.session.export import (
    VideoExport,
    export_tracks,
    log_at,
    new_name,
    save_annotated,
    save_plain,
    save_series,
    write_about,
)
from irtrack.session.keeping import Keeping, file_stem
from irtrack.session.session import Session
from irtrack.session.sessionfile import SUFFIX
from irtrack.session.standing import holding
from irtrack.sinks.kinds import SinkKind, kind_named, log_kinds


class Outputs:
    """Asks for names, writes, and says how it went."""

    def __init__(self, session: Session, keeping: Keeping, parent: QWidget, words: Words) -> None:
        self._session, self._keeping, self._parent, self._words = session, keeping, parent, words
        self._recorded, self._recording_since = Path(), 0.0
        self.video: VideoExport | None = None
        self.progress = ProgressRow("Progress of the video", "Give up the video that is being written")
        self.progress.cancel.clicked.connect(self.cancel_video)

    @property
    def folder(self) -> Path:
        """For recordings and pictures."""
        return Path(self._session.preferences.recordings or QDir.homePath())

    def _suggested(self, stem: str, suffix: str) -> Path:
        """A name that is free; what belongs to a recording is suggested beside it, under its name."""
        folder, opened = self.folder, self._session.opened
        if opened is not None:
            stem = f"{file_stem(opened.text)}-{stem}"
            beside = Path(opened.text).parent
            if Path(opened.text).is_file() and not self._session.preferences.recordings:
                folder = beside
        return new_name(folder, stem, suffix)

    def _ask(self, title: str, stem: str, suffix: str, kinds: str) -> Path | None:
        """A name."""
        suggested = str(self._suggested(stem, suffix))
        path, _ = QFileDialog.getSaveFileName(self._parent, title, suggested, kinds)
        return Path(path) if path else None

    def ask_export(self, only: int | None = None) -> None:
        """Track logs in any formats, of all tracks or of one; and the annotated video."""
        session = self._session
        stem = "tracks" if only is None else f"track-{only}"
        kinds = log_kinds()
        if only is None and not session.live:
            kinds.append(kind_named("video"))
        title = "Export tracks" if only is None else f"Export track {session.edits.value.label(only)}"
        name = self._suggested(stem, "")
        dialog = ExportDialog(self._parent, title, name, kinds, session.preferences.exports, holding(session))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

        def export() -> None:
            session.preferences = replace(session.preferences, exports=dialog.chosen)
            self.export_all(dialog.files, only, dialog.replace.isChecked())

        dialog.accepted.connect(export)
        dialog.open()

    def export_all(self, files: Mapping[str, Path], only: int | None = None, force: bool = False) -> None:
        """Write these files, by the names of their kinds; one that fails does not keep the others back."""
        for name, path in files.items():
            if name == "video":
                self.export_video(path, force)
            else:
                self.export(path, only, kind_named(name), force)

    def ask_export_selected(self) -> None:
        """Export the selected track alone."""
        if self._session.selected.value is not None:
            self.ask_export(self._session.selected.value)

    def export(self, path: Path, only: int | None = None, kind: SinkKind | None = None, force: bool = False) -> None:
        """Write the tracks of all frames analysed so far, as a log of this kind, or of another one that the suffix
        names. What it holds stands beside it. `force`: in place of a file that exists."""
        session = self._session
        try:
            path, kind = log_at(path, kind)
            edits = session.edits.value
            export_tracks(session.store.results(), path, session.settings, edits, only, session.started, kind, force)
            write_about(path, session)
            self._words.say(f"exported {holding(session)} to {path}")
        except IrtrackError as error:
            self._words.error(str(error))

    def ask_session(self) -> None:
        """Where to keep the session, from now on."""
        path = self._ask("Save session", "session", SUFFIX, f"Session (*{SUFFIX})")
        if path is not None:
            self.save_session(path if path.suffix else path.with_suffix(SUFFIX))

    def save_session(self, path: Path) -> None:
        """Keep the session in this file from now on."""
        try:
            self._keeping.save_as(path)
            self._words.say(f"the session is kept in {path} from now on")
        except IrtrackError as error:
            self._words.error(str(error))

    def may_close(self) -> bool:
        """Whether the window may be closed: while a video is written, that is asked."""
        if self.video is None or not self.video.running:
            return True
        text = f"{self.video.path.name} is still being written. Give it up and close?"
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        return QMessageBox.question(self._parent, "irtrack", text, yes | no, no) == yes

    def ask_snapshot(self, plain: bool = False) -> None:
        path = self._ask("Save picture", "picture" if plain else "snapshot", ".png", "PNG (*.png)")
        if path is not None:
            self.snapshot(path, plain)

    def snapshot(self, path: Path, plain: bool = False, result: FrameResult | None = None) -> None:
        """Write a frame, that on screen if none is given: with its masks and trails, or its counts as they came."""
        session = self._session
        if result is None:
            result = session.picture.result if session.picture is not None else None
        if result is None:
            return
        try:
            if plain:
                save_plain(result, path)
            else:
                save_annotated(result, path, session.display.value, session.edits.value, session.trail_points)
            self._words.say(f"saved {path}")
        except IrtrackError as error:
            self._words.error(str(error))

    def ask_series(self) -> None:
        """What is plotted of the selected track, as a table."""
        track = self._session.selected.value
        path = None if track is None else self._ask("Save plots", f"track-{track}-plots", ".csv", "CSV (*.csv)")
        if track is not None and path is not None:
            try:
                save_series(joined(self._session.series(track)), path)
                self._words.say(f"saved {path}")
            except IrtrackError as error:
                self._words.error(str(error))

    def alarm_snapshot(self, result: FrameResult) -> None:
        """A picture of an alarm, under a new name."""
        edited = self._session.edits.value.apply(result)
        self.snapshot(new_name(self.folder, "alarm", ".png"), result=edited)

    # -- recording ------------------------------------------------------------------------------------------------

    def toggle_recording(self) -> None:
        """Start or end a lossless recording of the camera, in the folder for recordings, under a new name."""
        switch = self._session.recording
        try:
            if switch.on:
                dropped = switch.stop()
                left_out = f"; {dropped} frames were left out" if dropped else ""
                there = self._recorded.exists()  # without a single frame, no file is left
                self._words.say(f"recorded {self._recorded}{left_out}" if there else "nothing was recorded")
            elif self._session.live:
                self._recorded = new_name(self.folder, "irtrack", ".mkv")
                switch.start(self._recorded)
                self._recording_since = time.monotonic()
        except IrtrackError as error:
            self._words.error(str(error))

    @property
    def recording_s(self) -> float | None:
        """Seconds since a recording began; None where none runs."""
        return time.monotonic() - self._recording_since if self._session.recording.on else None

    # -- annotated video ------------------------------------------------------------------------------------------

    def ask_video(self) -> None:
        path = self._ask("Export annotated video", "annotated", ".mkv", "Matroska (*.mkv);;MP4 (*.mp4)")
        if path is not None:
            self.export_video(path)

    def export_video(self, path: Path, force: bool = False) -> None:
        """Write the frames analysed so far as annotated video, in the background. `force`: in place of a file."""
        session = self._session
        if session.opened is None or session.live:
            return
        if self.video is not None and self.video.running:
            self._words.error(f"{self.video.path.name} is still being written: wait for it, or cancel it")
            return
        try:
            self.video = VideoExport(
                session.opened.text, session.store, path, session.settings, session.display.value, session.edits.value,
                session.trail_points, force,
            )  # fmt: skip
        except IrtrackError as error:
            self._words.error(str(error))

    def cancel_video(self) -> None:
        """Give up the video that is being written."""
        if self.video is not None and self.video.running:
            self.video.cancel()

    def refresh(self) -> None:
        """Progress, and how it ended; and a recording that ended by itself."""
        switch, video = self._session.recording, self.video
        if switch.error is not None:
            self._words.error(str(switch.error))
            switch.error = None
        if video is None:
            self.progress.hide()
            return
        self.progress.show_progress(video.path.name, video.done, max(video.total, 1))
        if not video.running:
            self.video = None
            self.progress.hide()
            if video.error is not None:
                self._words.error(video.error)
            else:
                self._words.say(f"{'gave up' if video.cancelled else 'wrote'} {video.path}")
