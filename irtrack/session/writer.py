"""What a session writes: logs, pictures, recordings, annotated video; under names that are not taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from irtrack.core import FrameResult, IrtrackError
from irtrack.session.edited import as_edited, joined
from irtrack.session.export import (
    VideoExport,
    annotated,
    export_tracks,
    log_at,
    new_name,
    save_series,
    write_about,
    write_png,
)
from irtrack.session.keeping import Keeping, file_stem
from irtrack.session.recordings import files_there
from irtrack.session.session import Session
from irtrack.session.standing import holding
from irtrack.sinks.kinds import SinkKind, kind_named


class Writer:
    """Writes, and has the session say how it went."""

    def __init__(self, session: Session, keeping: Keeping) -> None:
        self.session, self._keeping = session, keeping
        self._recorded, self._recording_since = Path(), 0.0
        self.video: VideoExport | None = None

    @property
    def folder(self) -> Path:
        """For recordings and pictures."""
        return Path(self.session.preferences.recordings or Path.home())

    def suggested(self, stem: str, suffix: str) -> Path:
        """A name that is free; what belongs to a recording is suggested beside it, under its name."""
        folder, opened = self.folder, self.session.opened
        if opened is not None:
            stem = f"{file_stem(opened.text)}-{stem}"
            if Path(opened.text).is_file() and not self.session.preferences.recordings:
                folder = Path(opened.text).parent
        return new_name(folder, stem, suffix)

    @property
    def _inputs(self) -> Sequence[Path]:
        """The files of the open recording: nothing is written over them."""
        opened = self.session.opened
        return files_there(opened.text) if opened is not None else ()

    def _try(self, write: Callable[[], object], said: str) -> None:
        """Write, and say `said`, or why it could not be done."""
        try:
            write()
            self.session.said(said)
        except IrtrackError as error:
            self.session.failed(str(error))

    # -- logs -----------------------------------------------------------------------------------------------------

    def export_all(self, files: Mapping[str, Path], only: int | None = None, force: bool = False) -> None:
        """Write these files, by the names of their kinds; one that fails does not keep the others back."""
        for name, path in files.items():
            if name == "video":
                self.export_video(path, force)
            else:
                self.export(path, only, kind_named(name), force)

    def export(self, path: Path, only: int | None = None, kind: SinkKind | None = None, force: bool = False) -> None:
        """Write the tracks of all frames analysed so far, as a log of this kind, or of another one that the suffix
        names. What it holds stands beside it. `force`: in place of a file that exists."""
        session = self.session
        try:
            path, kind = log_at(path, kind)
            edits = session.edits.value
            results, settings = session.store.results(), session.settings
            count = export_tracks(results, path, settings, edits, only, session.started, kind, force, self._inputs)
            write_about(path, session)
            session.said(f"exported {holding(session, count)} to {path}")
        except IrtrackError as error:
            session.failed(str(error))

    def save_session(self, path: Path) -> None:
        """Keep the session in this file from now on."""
        self._try(lambda: self._keeping.save_as(path), f"the session is kept in {path} from now on")

    def save_series(self, track: int, path: Path, force: bool = False) -> None:
        """What is plotted of a track, as a table. `force`: in place of a file."""
        series = joined(self.session.series(track))
        self._try(lambda: save_series(series, path, force, self._inputs), f"saved {path}")

    # -- pictures -------------------------------------------------------------------------------------------------

    def snapshot(self, path: Path, plain: bool = False, result: FrameResult | None = None, force: bool = False) -> None:
        """Write a frame as PNG, that on screen if none is given: with its masks and trails, or its counts as they came.
        `force`: in place of a file."""
        s = self.session
        shown = result or (s.picture.result if s.picture is not None else None)
        if shown is None:
            return

        def write() -> None:
            marked = None if plain else annotated(shown, s.display.value, s.edits.value, s.trail_points)
            write_png(path, shown.frame.image if marked is None else marked, force, self._inputs)

        self._try(write, f"saved {path}")

    def alarm_snapshot(self, result: FrameResult) -> None:
        """A picture of an alarm, under a new name."""
        s = self.session
        edited = as_edited(result, s.store, s.edits.value, s.settings.tracker.trail_s)
        self.snapshot(new_name(self.folder, "alarm", ".png"), result=edited)

    # -- recording ------------------------------------------------------------------------------------------------

    def toggle_recording(self) -> None:
        """Start or end a lossless recording of the camera, in the folder for recordings, under a new name."""
        switch = self.session.recording
        try:
            if switch.on:
                dropped = switch.stop()
                left_out = f"; {dropped} frames were left out" if dropped else ""
                there = self._recorded.exists()  # without a single frame, no file is left
                self.session.said(f"recorded {self._recorded}{left_out}" if there else "nothing was recorded")
            elif self.session.live:
                self._recorded = new_name(self.folder, "irtrack", ".mkv")
                switch.start(self._recorded)
                self._recording_since = time.monotonic()
        except IrtrackError as error:
            self.session.failed(str(error))

    @property
    def recording_s(self) -> float | None:
        """Seconds since a recording began; None where none runs."""
        return time.monotonic() - self._recording_since if self.session.recording.on else None

    # -- annotated video ------------------------------------------------------------------------------------------

    def export_video(self, path: Path, force: bool = False) -> None:
        """Write the frames analysed so far as annotated video, in the background. `force`: in place of a file."""
        session = self.session
        if session.opened is None or session.live:
            return
        if self.video is not None and self.video.running:
            session.failed(f"{self.video.path.name} is still being written: wait for it, or cancel it")
            return
        try:
            self.video = VideoExport(
                session.opened.text, session.store, path, session.settings, session.display.value, session.edits.value,
                session.trail_points, force,
            )  # fmt: skip
        except IrtrackError as error:
            session.failed(str(error))

    def cancel_video(self) -> None:
        """Give up the video that is being written."""
        if self.video is not None and self.video.running:
            self.video.cancel()

    def upkeep(self) -> None:
        """Say how a video ended, and that a recording ended by itself."""
        switch, video = self.session.recording, self.video
        if switch.error is not None:
            self.session.failed(str(switch.error))
            switch.error = None
        if video is not None and not video.running:
            self.video = None
            if video.error is not None:
                self.session.failed(video.error)
            else:
                self.session.said(f"{'gave up' if video.cancelled else 'wrote'} {video.path}")
