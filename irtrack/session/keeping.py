"""Keeps the open session in its file: the one that the operator chose, else, once something was said of its tracks, one
in the user's data folder, which is there again when the recording is opened again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path

from irtrack.capture.address import address_of
from irtrack.session.edits import Edits
from irtrack.session.export import new_name
from irtrack.session.loading import LogRead, Opened
from irtrack.session.recordings import Recording, recording_of
from irtrack.session.session import Session
from irtrack.session.sessionfile import (
    SUFFIX,
    Kept,
    SessionError,
    SessionFile,
    is_session,
    made_by,
    own_path,
    recipe_to,
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
        self._go_on(opened.print, opened.kept)
        self.chosen = opened.is_session
        if opened.kept is not None:  # its results are in the file already
            reach = opened.kept.store.reach()
            self._store, self._until = opened.kept.store, reach[1] if reach is not None else -1

    def _replaced(self, log: LogRead) -> None:
        """Tracks of a log are shown over the recording: what is said of them is not said of the recording's own."""
        self._go_on(log.print, log.kept)

    def _go_on(self, print: str, kept: Kept | None) -> None:
        self._forget()
        self._print, self.chosen = print, False
        self.file = SessionFile(kept.path) if kept is not None else None

    def save_as(self, path: Path) -> None:
        """Keep the session in this file from now on; what was in it goes. Raises SessionError."""
        if self.file is None or self.file.path != path:
            if path.exists() and not is_session(str(path)):
                raise SessionError(f"{path} is another file, no session: choose another name")
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise SessionError(f"the session {path} cannot be written: {error.strerror}") from error
            self._forget()
            self.file, self.chosen = SessionFile(path), True

    def unsaved(self) -> Callable[[], None] | None:
        """What writes that which has changed, in any thread."""
        session, edits = self._session, self._session.edits.value
        if session.opened is None or time.monotonic() < self._not_before:
            return None
        if self.file is None:
            if edits == Edits():
                return None
            self.file = SessionFile(self._own_path())
        file, store, reach = self.file, session.store, session.store.reach()
        if edits == Edits() and not self.chosen:  # nothing of it is worth keeping
            self._forget()
            self.file = None
            return partial(file.close, remove=True)
        values = self._values(file.path)
        fresh, last = store is not self._store, reach[1] if reach is not None else -1
        if not fresh and values == self._said and last == self._until:
            return None
        changed = {name: value for name, value in values.items() if fresh or self._said.get(name) != value}
        first = 0 if fresh else self._until + 1
        self._store, self._until, self._said = store, last, values
        return partial(self._write, file, changed, store, range(first, last + 1), fresh)

    def _values(self, path: Path) -> dict[str, object]:
        """All but the results."""
        session = self._session
        opened = session.opened
        assert opened is not None
        if self._recording is None and not session.live:
            self._recording = recording_of(opened.text, opened.print, path, opened.source.info.fps)
        recording = replace(self._recording, frames=session.frames) if self._recording is not None else None
        return {
            "recording": None if recording is None else recording.to_dict(),
            "settings": session.settings.to_dict(),
            "chosen": recipe_to(session.recipe.value),
            "regions": session.regions.value,
            "edits": session.edits.value.to_dict(),
            "alarms": [astuple(alarm) for alarm in session.store.alarms],
            "started": session.started.isoformat() if session.started is not None else None,
            "made_by": made_by(session.store.recipe or session.recipe.value),
            "whole": session.store.whole,
        }

    def _write(
        self, file: SessionFile, values: dict[str, object], store: ResultStore, frames: range, fresh: bool
    ) -> None:
        """Raises SessionError."""
        try:
            whole = values.pop("whole", None)
            file.say(values | ({"whole": False} if whole is not None else {}), fresh)
            if frames:
                file.put(store, frames[0], frames[-1])
            if whole:  # not before its results are in the file
                file.say({"whole": True})
        except SessionError:
            self._forget()
            self._not_before = time.monotonic() + RETRY_S
            raise

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
        self._forget()
        return file.close if file is not None else None


def file_stem(source: str) -> str:
    """A name for files that belong to a source: of a file its own, of a camera nothing that is secret."""
    address = address_of(source)
    text = address.key if address is not None else Path(source).stem
    return re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip("_.")[:80] or "tracks"
