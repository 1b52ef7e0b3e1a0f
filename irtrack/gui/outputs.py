"""What the window writes: logs, pictures, recordings, annotated video; under names that are not taken."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from PySide6.QtCore import QDir
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QMessageBox, QProgressBar, QToolButton, QWidget

from irtrack.capture.address import address_of
from irtrack.config import Settings
from irtrack.core import IrtrackError
from irtrack.gui.controls import named
from irtrack.gui.edits import Edits
from irtrack.gui.export import SUFFIXES, VideoExport, export_tracks, new_name, save_annotated, save_plain
from irtrack.gui.store import ResultStore

if TYPE_CHECKING:
    from irtrack.gui.window import MainWindow


AUTOSAVES = 20


class Outputs:
    """Asks for names, writes, and says in the status line or the banner how it went."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._recorded, self._recording_since = Path(), 0.0
        self._safe = Edits()
        """The edits that an exported log of all tracks has."""
        self._autosave: Path | None = None
        """Where this source's edits are saved, once there are any."""
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

    def unsaved_edits(self) -> tuple[Edits, Callable[[], None]] | None:
        """Names, marks, merges and deletions that were not exported, and what saves them with their tracks, in any
        thread: into a log in the user's data folder, where the newest `AUTOSAVES` are kept."""
        player = self._window.player
        edits = Edits() if player.edits == self._safe else player.edits
        if player.opened is None or (edits == Edits() and self._autosave is None):
            return None
        if self._autosave is None:
            folder = Path(platformdirs.user_data_dir("irtrack", appauthor=False)) / "autosave"
            self._autosave = new_name(folder, file_stem(player.opened.text), ".jsonl")
        return edits, partial(autosave, self._autosave, player.store, player.settings, edits)

    def end_edits(self) -> None:
        """Another source is opened."""
        self._safe, self._autosave = Edits(), None

    def may_close(self) -> bool:
        """Whether the window may be closed: while a video is written, that is asked."""
        if self.video is None or not self.video.running:
            return True
        text = f"{self.video.path.name} is still being written. Give it up and close?"
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        return QMessageBox.question(self._window, "irtrack", text, yes | no, no) == yes

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
                there = self._recorded.exists()  # without a single frame, no file is left
                self._window.status.say(f"recorded {self._recorded}{left_out}" if there else "nothing was recorded")
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


def file_stem(source: str) -> str:
    """A name for files that belong to a source: of a file its own, of a camera nothing that is secret."""
    address = address_of(source)
    text = address.key if address is not None else Path(source).stem
    return re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip("_.")[:80] or "tracks"


def autosave(path: Path, store: ResultStore, settings: Settings, edits: Edits) -> None:
    """The tracks as edited, in place of what was saved before; without edits that goes. Raises SinkError, OSError."""
    if edits == Edits():
        path.unlink(missing_ok=True)
        return
    part = path.parent / "unfinished" / path.name  # not among the saved ones until it is whole
    part.parent.mkdir(parents=True, exist_ok=True)
    part.unlink(missing_ok=True)
    export_tracks(store.results(), part, settings, edits)
    part.replace(path)
    for old in sorted(path.parent.glob("*.jsonl"), key=lambda p: p.stat().st_mtime)[:-AUTOSAVES]:
        old.unlink(missing_ok=True)


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
