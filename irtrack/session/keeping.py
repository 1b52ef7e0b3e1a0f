"""Keeps what is open in a file. What the operator chose, or what was said of tracks, is in a session file: the one that
was chosen, or one in the user's data folder. Results alone are in the user's cache folder (`results.py`)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path

from irtrack.capture.address import address_of
from irtrack.session import results
from irtrack.session.edits import Edits
from irtrack.session.export import new_name
from irtrack.session.loading import LogRead, Opened
from irtrack.session.program import program_of
from irtrack.session.reading import Kept, Unread
from irtrack.session.recordings import Recording, is_told, recording_of
from irtrack.session.said import recipe_to
from irtrack.session.session import Session
from irtrack.session.sessionfile import (
    BLOCK,
    SUFFIX,
    LostError,
    SessionError,
    SessionFile,
    is_session,
    own_path,
    sessions_folder,
    tidy,
)
from irtrack.session.store import ResultStore

RETRY_S = 10.0
"""What could not be written is tried again after this."""


class Keeping:
    """Says what has changed since it was written last, and how to write it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.file: SessionFile | None = None
        self.chosen = False
        """Whether the file is the operator's own."""
        self._forget()
        self._print = ""
        """What the file in the data folder is called after: the recording, or a log of its tracks."""
        self._own: Path | None = None
        """That file, once something was said."""
        self._left: set[Path] = set()
        """Files of the cache that other windows have taken over, or somebody has taken away."""
        self._aside: dict[Path, Path] = {}
        """Where what cannot be read goes, of files that are written for the first time."""
        session.opened_one.connect(self._begin)
        session.replaced.connect(self._replaced)

    def _forget(self) -> None:
        """Nothing is known to be in the file."""
        self._store: ResultStore | None = None
        self._until = -1
        self._said: dict[str, object] = {}
        self._recording: Recording | None = None
        self._not_before = 0.0

    def _begin(self, opened: Opened) -> None:
        """A session that was opened goes on in its file."""
        self._go_on(opened.print, opened.kept, opened.unread)
        self.chosen = opened.is_session
        if opened.kept is not None and opened.kept.unread is None:  # its results are in the file already
            reach = opened.kept.store.reach()
            self._store, self._until = opened.kept.store, reach[1] if reach is not None else -1
            if results.in_cache(opened.kept.path):  # as it was found: another window may have it, too
                self._recording = opened.kept.recording
                self._said = self._values(opened.kept.path)

    def _replaced(self, log: LogRead) -> None:
        """Tracks of a log are shown over the recording: what is said of them is not said of the recording's own."""
        self._go_on(log.print, log.kept, log.unread)

    def _go_on(self, print: str, kept: Kept | None, unread: Unread | None) -> None:
        self._forget()
        self._print, self.chosen = print, False
        self._aside = {unread.path: unread.aside} if unread is not None else {}
        self.file = self._file_at(kept.path) if kept is not None else None
        self._own = kept.path if kept is not None and not results.in_cache(kept.path) else None

    def _file_at(self, path: Path) -> SessionFile:
        return SessionFile(path, self._aside.pop(path, None))

    def save_as(self, path: Path) -> None:
        """Keep the session in this file from now on. What was in it goes with the first thing that is written, and
        another window that has it is told then. Raises SessionError."""
        if self.file is None or self.file.path != path:
            if path.exists() and not is_session(str(path)):
                raise SessionError(f"{path} is another file, no session: choose another name")
            self._forget()
            self.file, self.chosen = self._file_at(path), True

    def unsaved(self, closing: bool = False) -> Callable[[], None] | None:
        """What writes that which has changed, in any thread. `closing`: nothing more will come."""
        session = self._session
        if session.opened is None or time.monotonic() < self._not_before:
            return None
        place, before = self._place(), self.file
        if place is None or place in self._left:
            self.file = None
            self._forget()
            return partial(self._leave, before) if before is not None else None
        store, reach = session.store, session.store.reach()
        fresh, last = store is not self._store, reach[1] if reach is not None else -1
        if results.in_cache(place) and not closing and not store.whole:  # whole blocks: they are not written twice
            last = max((last + 1) // BLOCK * BLOCK - 1, -1 if fresh else self._until)
            if last < 0:
                return None
        if before is None or before.path != place:
            self.file = self._file_at(place)
            if fresh:
                self._forget()
        assert self.file is not None
        values = self._values(place)
        if self.file is before and not fresh and values == self._said and last == self._until:
            return None
        said = {} if fresh or self.file is not before else self._said
        changed = {name: value for name, value in values.items() if name not in said or said[name] != value}
        first = 0 if fresh else self._until + 1
        self._store, self._until, self._said = store, last, values
        left = before if self.file is not before else None
        return partial(self._write, self.file, left, changed, store, range(first, last + 1), fresh)

    def _place(self) -> Path | None:
        """The file in which what is open belongs; None where nothing of it is worth keeping."""
        session = self._session
        opened, store = session.opened, session.store
        assert opened is not None
        if self.chosen and self.file is not None:
            return self.file.path
        if session.edits.value != Edits():
            self._own = self._own or self._own_path()
            return self._own
        told = not session.live and is_told(opened.text, opened.dates)
        if not told or store.made is None or store.recipe is None or not len(store):
            return None
        return results.results_path(opened.print, store.made.settings, store.recipe, store.made.program)

    def _values(self, path: Path) -> dict[str, object]:
        """All but the results."""
        session = self._session
        opened, store, made = session.opened, session.store, session.store.made
        assert opened is not None
        if self._recording is None and not session.live:
            fps = opened.source.info.fps
            self._recording = recording_of(opened.text, opened.print, path, fps, opened.dates)
        recording = replace(self._recording, frames=session.frames) if self._recording is not None else None
        settings = made.settings if made is not None else session.settings
        return {
            "recording": None if recording is None else recording.to_dict(),
            "settings": settings.to_dict(),
            "chosen": recipe_to(session.recipe.value),
            "regions": session.regions.value,
            "edits": session.edits.value.to_dict(),
            "alarms": [astuple(alarm) for alarm in store.alarms],
            "started": session.started.isoformat() if session.started is not None else None,
            "made": made.at.isoformat() if made is not None and made.at is not None else None,
            "made_by": made.program if made is not None else program_of(settings, session.recipe.value),
            "model": made.model if made is not None else "",
            "remarks": store.remarks.counts(),
            "lacking": store.lacking,
            "whole": store.whole,
        }

    def _write(
        self,
        file: SessionFile,
        left: SessionFile | None,
        values: dict[str, object],
        store: ResultStore,
        frames: range,
        fresh: bool,
    ) -> None:
        """`left`: the file that all of it was in until now. Raises SessionError."""
        try:
            if fresh and results.in_cache(file.path):
                file.close()
                results.remove(file.path)  # it may be damaged
                results.tidy_results(file.path)
            if left is not None and not fresh and not file.copied(left.path):
                fresh, frames = True, range(frames.stop)
            whole = values.pop("whole", None)
            file.say(values | ({"whole": False} if whole is not None else {}), fresh)
            if frames:
                file.put(store, frames[0], frames[-1])
            if whole:  # not before its results are in the file
                file.say({"whole": True})
            if whole and results.in_cache(file.path):  # it has its size now
                results.tidy_results(file.path)
            if left is not None:
                self._leave(left)
        except SessionError as error:
            self._forget()
            if not results.in_cache(file.path):
                self._not_before = time.monotonic() + RETRY_S
                raise
            self._left.add(file.path)
            if left is not None:
                self._leave(left)
            if not isinstance(error, LostError):
                folder = results.results_folder()
                raise SessionError(f"results cannot be kept in {folder} for another time: {error.__cause__}") from error

    def _leave(self, file: SessionFile) -> None:
        """What is kept is kept elsewhere, or not at all: what was the operator's word goes with that."""
        file.close(remove=not results.in_cache(file.path))

    def _own_path(self) -> Path:
        """In the data folder; the oldest there go."""
        opened = self._session.opened
        assert opened is not None
        folder = sessions_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # for the user's eyes alone
        tidy(folder)
        return new_name(folder, file_stem(opened.text), SUFFIX) if self._session.live else own_path(self._print)

    def end(self) -> Callable[[], None] | None:
        """Another source is opened: what closes the file."""
        file, self.file = self.file, None
        self._own = None
        self._forget()
        return file.close if file is not None else None


def file_stem(source: str) -> str:
    """A name for files that belong to a source: of a file its own, of a camera nothing that is secret."""
    address = address_of(source)
    text = address.key if address is not None else Path(source).stem
    return re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip("_.")[:80] or "tracks"
