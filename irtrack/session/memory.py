"""Edits of a recording are remembered, by what is in the file and not by its name, and are back when it is opened."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs

from irtrack.capture.open import is_file
from irtrack.session.edits import Edits
from irtrack.session.matching import SAME_PX
from irtrack.session.session import Session
from irtrack.session.store import ResultStore
from irtrack.sinks.target import write_whole

PART_BYTES = 1 << 20
"""So much of a file's beginning and of its end make its name here."""

PLACES = 40
"""So many places of a track are remembered, to know it by."""


class Memory:
    """Gives edits back once the recording has been analysed, to the tracks that are at their places."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept = Edits()
        """What is remembered of the open source."""
        self._looked = False
        session.passes.ended.connect(self._restore)
        session.leaving.connect(self._leave)

    def _leave(self) -> None:
        self._kept, self._looked = Edits(), False

    def unsaved(self) -> Callable[[], None] | None:
        """What keeps the edits that changed, in any thread."""
        session, edits = self._session, self._session.edits.value
        if session.opened is None or session.live or edits == self._kept or not self._looked:
            return None
        self._kept = edits
        return partial(remember, session.opened.text, session.store, edits)

    def _restore(self) -> None:
        """A pass has come to its end."""
        session = self._session
        if self._looked or session.opened is None or session.live:
            return
        self._looked = True
        if session.edits.value != Edits():  # the operator was faster
            return
        try:
            edits, places = recall(session.opened.text)
        except FileNotFoundError:
            return
        except Exception as error:  # whatever a file may hold that was not written here
            why = " ".join(str(error).split())[:200]
            session.failed(f"what was said of this recording's tracks before could not be read: {why}")
            return
        self._kept = edits.carried(found(places, session.store))
        session.edits.reset(self._kept)
        session.said("what was said of its tracks before is back")


def memory_path(source: str) -> Path:
    """Where edits of a source are kept. Raises OSError."""
    digest = hashlib.sha256()
    if is_file(source):
        with Path(source).open("rb") as file:
            size = file.seek(0, 2)
            digest.update(str(size).encode())
            for start in (0, max(0, size - PART_BYTES)):
                file.seek(start)
                digest.update(file.read(PART_BYTES))
    else:
        digest.update(source.encode("utf-8", "surrogateescape"))
    folder = Path(platformdirs.user_data_dir("irtrack", appauthor=False)) / "sessions"
    return folder / f"{digest.hexdigest()[:32]}.json"


def remember(source: str, store: ResultStore, edits: Edits) -> None:
    """Keep edits, with places of their tracks; none leave no file. Raises OSError."""
    path = memory_path(source)
    if edits == Edits():
        path.unlink(missing_ok=True)
        return
    places = {}
    for track in sorted(edits.touched()):
        there = sorted(store.places(track).items())
        some = there[:: max(1, math.ceil(len(there) / PLACES))]
        places[str(track)] = [[frame, round(x, 2), round(y, 2)] for frame, (x, y) in some]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({"edits": edits.to_dict(), "places": places}, ensure_ascii=False), 0o600)


def recall(source: str) -> tuple[Edits, dict[int, list[Any]]]:
    """Edits that were kept, and the places of their tracks. Raises OSError, and what comes of a broken file."""
    kept = json.loads(memory_path(source).read_text(encoding="utf-8"))
    return Edits.from_dict(kept["edits"]), {int(track): list(rows) for track, rows in kept["places"].items()}


def found(places: Mapping[int, list[Any]], store: ResultStore) -> dict[int, int]:
    """The track of a store at the places of each: at more than half of them. None is given to two."""
    there = {track: store.places(track) for track in store.lives()}
    out: dict[int, int] = {}
    for track, rows in places.items():
        votes = {
            other: sum(frame in at and math.dist((x, y), at[frame]) < SAME_PX for frame, x, y in rows)
            for other, at in there.items()
            if other not in out.values()
        }
        best = max(votes, key=lambda other: votes[other], default=None)
        if best is not None and 2 * votes[best] > len(rows):
            out[track] = best
    return out
