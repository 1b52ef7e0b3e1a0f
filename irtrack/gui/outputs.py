"""What the window writes: logs, pictures, recordings, annotated video; under names that are not taken."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from PySide6.QtCore import QDir
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QProgressBar, QToolButton, QWidget

from irtrack.core import IrtrackError
from irtrack.gui.controls import named
from irtrack.gui.edits import Edits
from irtrack.gui.export import SUFFIXES, VideoExport, export_tracks, new_name, save_annotated, save_plain

if TYPE_CHECKING:
    from irtrack.gui.window import MainWindow


AUTOSAVES = 20

log = logging.getLogger(__name__)


class Outputs:
    """Asks for names, writes, and says in the status line or the banner how it went."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._recorded, self._recording_since = Path(), 0.0
        self._safe = Edits()
        """The edits that an exported log of all tracks has."""
        self.video: VideoExport | None = None
        self.progress = ProgressRow()
        self.progress.cancel.clicked.connect(self.cancel_video)
        window.status.addPermanentWidget(self.progress)

    @property
    def folder(self) -> Path:
        """For recordings and pictures."""
        return Path(self._window.habits.recordings or QDir.homePath())

    def _ask(self, title: str, stem: str, suffix: str, kinds: str) -> Path | None:
        suggested = new_name(self.folder, stem, suffix)
        path, _ = QFileDialog.getSaveFileName(self._window, title, str(suggested), kinds)
        return Path(path) if path else None

    def ask_export(self, only: int | None = None) -> None:
        """Track logs: of all tracks, or of one."""
        stem = "tracks" if only is None else f"track-{only}"
        path = self._ask("Export tracks", stem, ".csv", ";;".join(SUFFIXES))
        if path is not None:
            self.export(path, only)

    def export(self, path: Path, only: int | None = None) -> None:
        """Write the tracks of all frames seen so far; the suffix chooses CSV, MOTChallenge or JSON lines."""
        player = self._window.player
        try:
            frames = export_tracks(player.store.results(), path, player.settings, player.edits, only)
            self._safe = player.edits if only is None else self._safe
            self._window.status.say(f"exported {frames} frames to {path}")
        except IrtrackError as error:
            self._window.show_error(str(error))

    def save_edits(self) -> None:
        """Before another source is opened, or the window closes: names, marks, merges and deletions that were not
        exported go, with their tracks, into a log in the user's data folder, where the newest `AUTOSAVES` are kept."""
        player = self._window.player
        if player.edits not in (Edits(), self._safe) and player.opened is not None:
            folder = Path(platformdirs.user_data_dir("irtrack", appauthor=False)) / "autosave"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                path = new_name(folder, Path(player.opened.text).stem or "tracks", ".jsonl")
                export_tracks(player.store.results(), path, player.settings, player.edits)
                for old in sorted(folder.glob("*.jsonl"), key=lambda p: p.stat().st_mtime)[:-AUTOSAVES]:
                    old.unlink()
                self._window.status.say(f"the edited tracks were saved as {path}")
            except (IrtrackError, OSError) as error:
                log.warning("edited tracks could not be saved: %s", error)
        self._safe = Edits()

    def ask_snapshot(self, plain: bool = False) -> None:
        path = self._ask("Save picture", "picture" if plain else "snapshot", ".png", "PNG (*.png)")
        if path is not None:
            self.snapshot(path, plain)

    def snapshot(self, path: Path, plain: bool = False) -> None:
        """Write the frame on screen: with its masks and trails, or its counts as they came."""
        result = self._window.canvas.result
        if result is None:
            return
        try:
            if plain:
                save_plain(result, path)
            else:
                save_annotated(
                    result,
                    path,
                    self._window.side.display.display,
                    self._window.player.edits,
                    self._window.canvas.overlays.trail_points,
                )
            self._window.status.say(f"saved {path}")
        except IrtrackError as error:
            self._window.show_error(str(error))

    def alarm_snapshot(self) -> None:
        """A picture of an alarm, under a new name."""
        self.snapshot(new_name(self.folder, "alarm", ".png"))

    # -- recording ------------------------------------------------------------------------------------------------

    def toggle_recording(self) -> None:
        """Start or end a lossless recording of the camera, in the folder for recordings, under a new name."""
        switch = self._window.player.recording
        try:
            if switch.on:
                dropped = switch.stop()
                left_out = f"; {dropped} frames were left out" if dropped else ""
                self._window.status.say(f"recorded {self._recorded}{left_out}")
            elif self._window.player.live:
                self._recorded = new_name(self.folder, "irtrack", ".mkv")
                switch.start(self._recorded)
                self._recording_since = time.monotonic()
        except IrtrackError as error:
            self._window.show_error(str(error))

    @property
    def recording_s(self) -> float | None:
        """Seconds since a recording began; None where none runs."""
        return time.monotonic() - self._recording_since if self._window.player.recording.on else None

    # -- annotated video ------------------------------------------------------------------------------------------

    def ask_video(self) -> None:
        path = self._ask("Export annotated video", "annotated", ".mkv", "Matroska (*.mkv);;MP4 (*.mp4)")
        if path is not None:
            self.export_video(path)

    def export_video(self, path: Path) -> None:
        """Write the frames seen so far as annotated video, in the background."""
        window, player = self._window, self._window.player
        if player.opened is None or player.live:
            return
        if self.video is not None and self.video.running:
            window.show_error(f"{self.video.path.name} is still being written: wait for it, or cancel it")
            return
        try:
            display = window.side.display.display
            self.video = VideoExport(
                player.opened.text, player.store, path, player.settings, display, player.edits,
                window.canvas.overlays.trail_points,
            )  # fmt: skip
        except IrtrackError as error:
            window.show_error(str(error))

    def cancel_video(self) -> None:
        """Give up the video that is being written."""
        if self.video is not None and self.video.running:
            self.video.cancel()

    def refresh(self) -> None:
        """Progress, and how it ended."""
        video = self.video
        if video is None:
            self.progress.hide()
            return
        self.progress.show_progress(video)
        if not video.running:
            self.video = None
            self.progress.hide()
            if video.error is not None:
                self._window.show_error(video.error)
            else:
                self._window.status.say(f"{'gave up' if video.cancelled else 'wrote'} {video.path}")


class ProgressRow(QWidget):
    """In the status line: what is being written, how far, and a way to give it up."""

    def __init__(self) -> None:
        super().__init__()
        self.label, self.bar, self.cancel = QLabel(), QProgressBar(), QToolButton()
        self.bar.setMaximumWidth(120)
        self.bar.setTextVisible(False)
        named(self.bar, "Progress of the video", "How much of the video is written")
        self.cancel.setText("Cancel")
        named(self.cancel, "Cancel the video", "Give up the video that is being written")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (self.label, self.bar, self.cancel):
            row.addWidget(part)
        self.hide()

    def show_progress(self, video: VideoExport) -> None:
        """Frames written, of how many."""
        self.label.setText(f"{video.path.name}: {video.done} of {video.total}")
        self.bar.setRange(0, max(video.total, 1))
        self.bar.setValue(video.done)
        self.show()
