"""Edits that were not exported are saved with their tracks, in the user's data folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import platformdirs

from irtrack.capture.address import address_of
from irtrack.config import Settings
from irtrack.session.edits import Edits
from irtrack.session.export import export_tracks, new_name
from irtrack.session.session import Session
from irtrack.session.store import ResultStore

AUTOSAVES = 20
"""So many of the newest are kept."""


class Autosave:
    """Knows which edits are safe in an export of the operator's, and where the others go."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._safe = Edits()
        self._path: Path | None = None
        """Where this source's edits are saved, once there are any."""

    def exported(self, edits: Edits) -> None:
        """A log of all tracks has these."""
        self._safe = edits

    def unsaved(self) -> tuple[Edits, Callable[[], None]] | None:
        """Edits that were not exported, and what saves them, in any thread."""
        session = self._session
        edits = Edits() if session.edits.value == self._safe else session.edits.value
        if session.opened is None or (edits == Edits() and self._path is None):
            return None
        if self._path is None:
            folder = Path(platformdirs.user_data_dir("irtrack", appauthor=False)) / "autosave"
            self._path = new_name(folder, file_stem(session.opened.text), ".jsonl")
        return edits, partial(autosave, self._path, session.store, session.settings, edits)

    def end(self) -> None:
        """Another source is opened."""
        self._safe, self._path = Edits(), None


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
