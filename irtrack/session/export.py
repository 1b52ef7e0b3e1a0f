"""Writing what the window has seen: track logs, pictures, and annotated video in the background."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2

from irtrack.build import at_rate
from irtrack.capture import open_source, redact
from irtrack.capture.corrected import corrected
from irtrack.config import DisplaySettings, Settings
from irtrack.core import Floats, FrameResult, IrtrackError, SinkError
from irtrack.imaging.agc import Agc
from irtrack.session.edited import as_edited
from irtrack.session.edits import Edits
from irtrack.session.picture import with_trails
from irtrack.session.recipe import Made, Recipe
from irtrack.session.recordings import files_there
from irtrack.session.session import Session
from irtrack.session.standing import remarks_of
from irtrack.session.store import ResultStore
from irtrack.sinks.draw import annotate
from irtrack.sinks.kinds import About, SinkKind, log_kinds
from irtrack.sinks.target import Target, claimed_all, reason, write_output
from irtrack.sinks.text import CompletedLog
from irtrack.sinks.video import VideoSink, check_video_name


def log_at(path: Path, chosen: SinkKind | None = None) -> tuple[Path, SinkKind]:
    """The file and the kind of a track log: the chosen one where the suffix allows it, or else the first with that
    suffix; a name without suffix gets one. Raises SinkError for a suffix that no kind has.
    """
    if chosen is not None and not path.suffix:
        return path.with_suffix(chosen.suffixes[0]), chosen
    if chosen is not None and path.suffix.lower() in chosen.suffixes:
        return path, chosen
    kinds = log_kinds()
    found = next((kind for kind in kinds if path.suffix.lower() in kind.suffixes), None)
    if found is None:
        suffixes = dict.fromkeys(suffix for kind in kinds for suffix in kind.suffixes)
        raise SinkError(f"{path.name}: tracks are exported as {', '.join(suffixes)}")
    return path, found


@contextlib.contextmanager
def in_place_of(path: Path, force: bool = False, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """A file of the same name to write to, which takes the place of `path` once all of it is there. Until then, and
    where that fails, what was there stays as it was. `inputs`: files that are read, none of which it may be.

    Raises SinkError, also for an existing file without `force`.
    """
    with claimed_all([path], force, inputs):
        if path.exists() and not path.is_file():  # a device, whose place no file may take
            yield path
            return
        try:
            whole = path.resolve()  # of a link the file that it leads to
            with tempfile.TemporaryDirectory(prefix=".irtrack-", dir=whole.parent) as folder:
                part = Path(folder) / path.name
                yield part
                part.replace(whole)
        except (OSError, SinkError) as error:
            why = error if isinstance(error, OSError) else error.__cause__
            if why is None:  # it says itself what is wrong, and not of which file
                raise
            raise SinkError(f"cannot write {path}: {reason(why)}") from error


def export_tracks(
    results: Iterable[FrameResult],
    path: Path,
    settings: Settings,
    edits: Edits,
    only: int | None = None,
    started: datetime | None = None,
    kind: SinkKind | None = None,
    force: bool = False,
    inputs: Iterable[Path] = (),
) -> int:
    """Write results as a log of this kind, or else as the suffix says, as edited; returns the number of frames.

    `only`: this track alone; `started`: when the seconds of a camera's frames began to count; `force`, `inputs` and
    what is raised: as of `in_place_of`.
    """
    path, kind = log_at(path, kind)
    assert kind.open is not None
    count = 0
    with in_place_of(path, force, inputs) as part:
        sink = kind.open(Target(part, force=True), About(None, settings.display, started, edits.names, edits.by_hand))
        log = CompletedLog(sink, settings.tracker.log_delay_s)
        try:
            for result in map(edits.apply, results):
                if only is not None:
                    result = replace(result, tracks=tuple(t for t in result.tracks if t.id == only))
                log.write(result)
                count += 1
        finally:
            log.close()
    return count


def write_about(path: Path, session: Session) -> None:
    """Beside an export: of what it is, how much of it, and what it was made with. Raises SinkError."""
    store, opened = session.store, session.opened
    reach, fps = store.reach(), opened.source.info.fps if opened is not None else None
    made = store.made or Made(session.settings, "")

    def used(recipe: Recipe) -> dict[str, Any]:
        return recipe.to_dict() | {"temporal": at_rate(recipe.detector, fps)[0].temporal}

    about = {
        "source": redact(opened.text) if opened is not None else None,
        "frames": list(reach) if reach else [],
        "frames_of_source": session.frames,
        "complete": store.whole,
        "made_with": [
            {"first_frame": first, "last_frame": last, "detector": used(recipe) if recipe else None}
            for first, last, recipe in store.recipes()
        ],
        "chosen_since": session.older,
        "tracker": made.settings.tracker.to_dict(),
        "capture": made.settings.capture.to_dict(),
        "analysed_by": made.program or None,
        "analysed_utc": made.at.isoformat(timespec="seconds") if made.at is not None else None,
        "remarks": remarks_of(session).lines(),
        "edits": session.edits.value.to_dict(),
        "started_utc": session.started.isoformat(timespec="milliseconds") if session.started else None,
        "exported_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
    write_output(path.with_name(f"{path.name}.about.json"), text.encode("utf-8", errors="replace"))


def annotated(result: FrameResult, display: DisplaySettings, edits: Edits, trail: int) -> cv2.typing.MatLike:
    """(H, W, 3) BGR: the picture with masks and tracks, enlarged where small; `trail` as of `annotate`."""
    scale = max(1, 720 // result.frame.image.shape[0])
    return annotate(result, scale, Agc(display), display.palette, edits.plain_label, trail)[:, :, ::-1]


def write_png(path: Path, picture: cv2.typing.MatLike, force: bool = False, inputs: Iterable[Path] = ()) -> None:
    """A picture, of 8 or 16 bits. `force`, `inputs` and what is raised: as of `in_place_of`."""
    with in_place_of(path, force, inputs) as part:
        part.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


SERIES_HEADER = "time_s,brightness_counts,snr,speed_px_s,x_px,y_px,score,temperature_c"


def save_series(series: Floats, path: Path, force: bool = False, inputs: Iterable[Path] = ()) -> None:
    """What is plotted of a track, (T, len(SERIES)), as CSV with a row for each frame; what is not known stays empty.
    `force`, `inputs` and what is raised: as of `in_place_of`."""
    rows = (",".join("" if value != value else f"{value:.9g}" for value in row) for row in series.tolist())
    with in_place_of(path, force, inputs) as part:
        part.write_text("\n".join([SERIES_HEADER, *rows, ""]), encoding="utf-8")


def new_name(folder: Path, stem: str, suffix: str) -> Path:
    """A file name with date and time that is not taken yet."""
    name = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    path, number = folder / f"{name}{suffix}", 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}{suffix}"
    return path


class GivenUp(Exception):
    """The operator does not want it any more."""


class VideoExport:
    """Writes the frames seen so far as annotated video, in a thread of its own; reads the recording once more.

    Cancelled or failed, it leaves no file, and one that was to be replaced as it was. Raises SinkError where the file
    may not be written.
    """

    def __init__(
        self,
        text: str,
        store: ResultStore,
        path: Path,
        settings: Settings,
        display: DisplaySettings,
        edits: Edits,
        trail: int,
        force: bool = False,
    ) -> None:
        """`trail` as of `annotate`. `force`: a file that exists is replaced, but none of the recording's."""
        self.path, self.done, self.total = path, 0, len(store)
        self.error: str | None = None
        self._cancelled = False
        self._force, self._inputs = force, files_there(text)
        check_video_name(path)
        with claimed_all([path], force, self._inputs):
            pass  # it can be written
        self._work = (text, store, settings, display, edits, trail)
        self._thread = threading.Thread(target=self._run, name="irtrack-export", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self, wait_s: float = 5.0) -> None:
        """Give it up, and wait until it has."""
        self._cancelled = True
        self._thread.join(wait_s)

    def _run(self) -> None:
        try:
            with in_place_of(self.path, self._force, self._inputs) as part:
                self._write(part)
        except GivenUp:
            pass
        except IrtrackError as error:
            self.error = str(error)
        except Exception as error:
            self.error = f"internal error: {type(error).__name__}: {error}"

    def _write(self, part: Path) -> None:
        text, store, settings, display, edits, trail = self._work
        source = corrected(open_source(text), settings.capture)
        try:
            fps, label = source.info.fps, edits.plain_label
            sink = VideoSink(part, fps=fps, display=display, label=label, trail=trail)
            try:
                for frame in source:
                    if self._cancelled:
                        raise GivenUp
                    if self.done == self.total:
                        break
                    if frame.index in store:
                        result = with_trails(store.get(frame), store, settings.tracker.trail_s)
                        sink.write(as_edited(result, store, edits, settings.tracker.trail_s))
                        self.done += 1
            finally:
                sink.close()
        finally:
            source.close()
