"""Reads a session file, also where parts of it are damaged: what can be read is opened, and a line says what is lost.

Only without its core, which recording and which settings, it is no session any more.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from irtrack.config import Settings
from irtrack.session.alarms import Alarm
from irtrack.session.blocks import Block
from irtrack.session.edits import Edits
from irtrack.session.looks import LOOK_PX, Look
from irtrack.session.preferences import Regions
from irtrack.session.program import program_of
from irtrack.session.recipe import Made, Recipe
from irtrack.session.recordings import Recording
from irtrack.session.said import recipe_from, recipes_from, regions_from, runs_of, value_of
from irtrack.session.sessionfile import BLOCK, VERSION, WAIT_S, SessionError, look_sum, quoted
from irtrack.session.store import ResultStore

T = TypeVar("T")

LATER = ("made", "model", "remarks", "blocks", "lacking")
"""What files of earlier versions do not say."""

MOST_RUNS = 3
"""So many stretches of frames are named in a line."""


@dataclass(frozen=True)
class Unread:
    """A session file of which something cannot be read. `why`: in a line. `aside`: where it stays once what is open is
    kept under its name."""

    path: Path
    aside: Path
    why: str


@dataclass(frozen=True)
class Kept:
    """What a session file holds. `chosen`: settings and regions as they were chosen last, which may be others than
    those that results were made with. `recording`: None of a camera. `unread`: where something of it is lost."""

    path: Path
    recording: Recording | None
    settings: Settings
    chosen: Recipe
    regions: Regions
    edits: Edits
    store: ResultStore
    started: datetime | None
    unread: Unread | None = None

    def otherwise(self, settings: Settings, text: str, dates: str) -> tuple[str, ...]:
        """What is otherwise now than when the results were made, beside the recipe, in words. `dates`: of the
        recording's files, as it is now at `text`."""
        made, recipe = self.store.made, self.store.recipe
        if made is None or recipe is None:
            return ()
        differs = {
            "settings of the tracker": made.settings.tracker != settings.tracker,
            "corrections": made.settings.capture != settings.capture,
            "irtrack or its models": made.program != program_of(made.settings, recipe),
            "the recording's file": self.rewritten(text, dates),
        }
        return tuple(word for word, is_so in differs.items() if is_so)

    def rewritten(self, text: str, dates: str) -> bool:
        """Whether the recording was written anew since."""
        return self.recording is not None and self.recording.rewritten(text, dates)


def read_session(path: Path) -> Kept:
    """What a session file holds, as far as it can be read. Raises SessionError with one line."""
    try:
        # Where a program was killed while it wrote, the one that reads takes that back, and so has to write.
        with contextlib.closing(sqlite3.connect(f"file:{quoted(path)}?mode=rw", uri=True, timeout=WAIT_S)) as database:
            database.execute("PRAGMA writable_schema = ON")  # else nothing is read of a file that is cut
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise SessionError(f"{path} was written by a newer irtrack: update this one")
            if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                database.execute("BEGIN IMMEDIATE")  # it is being made: wait for that
                database.execute("ROLLBACK")
            database.execute("BEGIN")  # all of it as of one moment
            return Reader(path, database).read()
    except SessionError:
        raise
    except Exception as error:  # whatever a damaged file makes of it
        why = " ".join(str(error).split())[:200] or type(error).__name__
        if is_busy(error):
            raise SessionError(f"the session {path} is being written by another program: try again") from error
        raise SessionError(f"the session {path} cannot be read: it is damaged or was not finished ({why})") from error


def is_busy(error: Exception) -> bool:
    """Whether another program holds the file just now."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def unread(path: Path, why: str) -> Unread:
    """A file of which something cannot be read."""
    aside, number = path.with_name(f"{path.stem}-damaged{path.suffix}"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.stem}-damaged-{number}{path.suffix}")
    return Unread(path, aside, f"{why}. The file as it was stays in {aside.name}")


class Reader:
    """Reads the parts of a file one by one, and notes what is lost."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self._path, self._database = path, database
        self._lost: list[str] = []

    def read(self) -> Kept:
        """All of it. Raises SessionError, or what comes of values that cannot be read, where its core is lost."""
        settings = Settings.from_dict(self._value("settings"))
        told = self._value("recording")
        recording = None if told is None else Recording(**told)
        store = self._results(settings, recording.frames if recording is not None else None)
        chosen = self._said("chosen", "the settings chosen last", recipe_from, store.recipe)
        edits = self._said("edits", "names, verdicts and edits of tracks", Edits.from_dict, Edits())
        regions = self._said("regions", "regions", regions_from, Regions())
        started = self._said("started", "the time at which it began", moment, None)
        return Kept(
            self._path, recording, settings, chosen or Recipe.of(settings.detector), regions, edits, store, started,
            self._unread(recording is not None, store),
        )  # fmt: skip

    def _unread(self, again: bool, store: ResultStore) -> Unread | None:
        """`again`: whether the results can be made anew."""
        if not self._lost:
            return None
        lost = " and ".join([", ".join(self._lost[:-1]), self._lost[-1]] if len(self._lost) > 1 else self._lost)
        store.remarks.add(f"{lost} could not be read of a damaged file")
        anew = "Analyse again finds results anew" if len(store) else "results are found anew now"
        way = f"; {anew}" if again and store.lacking else ""
        return unread(self._path, f"{self._path.name} is damaged: {lost} cannot be read, all else is here{way}")

    def _value(self, name: str) -> Any:
        """A named value; also past an index that is damaged. Raises SessionError."""
        for table in ("said", "said NOT INDEXED"):
            try:
                row = self._database.execute(f"SELECT value FROM {table} WHERE name = ?", (name,)).fetchone()
                if row is not None:
                    return value_of(name, row[0])
            except (sqlite3.Error, ValueError, RecursionError) as error:
                if is_busy(error):  # it is not lost: another program has the file
                    raise
        raise SessionError(f"the session {self._path} cannot be read: it is damaged ({name} is lost)")

    def _said(self, name: str, words: str, make: Callable[[Any], T], instead: T) -> T:
        """What is made of a named value; `instead`: where that is lost, which is said in these words."""
        if name in LATER and not self._is_there(name):
            return instead
        try:
            return make(self._value(name))
        except Exception:  # whatever comes of other values
            self._lost.append(words)
            return instead

    def _results(self, settings: Settings, frames: int | None) -> ResultStore:
        """Results, with the little pictures of their tracks and how they came to be. `frames`: of the recording."""
        recipes = self._said("recipes", "the settings that results were made with", recipes_from, None)
        store = ResultStore(recipes[-1] if recipes else None)
        whole = self._said("whole", "whether results are of the whole recording", bool, False)
        lacking = self._said("lacking", "whether results were lost before", bool, False)
        store.lacking = not self._blocks(store, recipes, frames) or lacking
        store.whole = whole and not store.lacking
        self._looks(store)
        store.alarms = self._said("alarms", "the list of alarms", alarms_from, [])
        none: dict[str, int] = {}
        for remark, count in self._said("remarks", "notes on the results", counts_from, none).items():
            store.remarks.add(remark, count)
        program = self._said("made_by", "which irtrack made the results", str, "")
        if store.recipe is not None:
            at = self._said("made", "when results were made", moment, None)
            store.made = Made(settings, program, self._said("model", "the model's name", str, ""), at)
            store.recallable = program == program_of(settings, store.recipe)
        return store

    def _is_there(self, name: str) -> bool:
        with contextlib.suppress(sqlite3.Error):
            return bool(self._database.execute("SELECT 1 FROM said WHERE name = ?", (name,)).fetchone())
        return False

    def _blocks(self, store: ResultStore, recipes: Sequence[Recipe | None] | None, frames: int | None) -> bool:
        """Put every block of results that can be read into the store; whether none is lost."""
        listed = self._said("blocks", "the list of results", list, None)
        if listed is None:
            numbers, _ = self._keys("results", "block")
        else:
            numbers = [n for first, last in listed for n in range(first, last + 1)]
        lost, unmapped = [], []
        for number in numbers:
            try:
                block = Block(self._blob("SELECT frames FROM results WHERE block = ?", number), recipes)
                if {index // BLOCK for index in block.numbers} != {number}:
                    raise ValueError("a block of results is another one")
                store.put_shut(block)
            except Exception:  # whatever comes of other bytes
                lost.append(number)
            else:
                unmapped += [number] * block.unmapped
        self._note("results", lost, frames)
        self._note("the network's scores", unmapped, frames)
        return not lost

    def _note(self, words: str, blocks: Sequence[int], frames: int | None) -> None:
        """Which frames lack something."""
        runs = [(first * BLOCK, (last + 1) * BLOCK) for first, last in runs_of(blocks)]
        stretches = [f"{first} to {min(end, frames or end) - 1}" for first, end in runs]
        if stretches:
            more = [f"{len(stretches) - MOST_RUNS} more stretches"] if len(stretches) > MOST_RUNS else []
            self._lost.append(f"{words} of frames {', '.join(stretches[:MOST_RUNS] + more)}")

    def _looks(self, store: ResultStore) -> None:
        """The little pictures of tracks."""
        tracks, every = self._keys("looks", "track")
        for track in tracks:
            try:
                snr, grey = self._row("SELECT snr, grey FROM looks WHERE track = ?", track)
                size = LOOK_PX * LOOK_PX
                if grey[size:] not in (b"", look_sum(track, snr, grey[:size])):  # an earlier version wrote none
                    raise ValueError("a little picture is damaged")
                store.put_look(track, Look(snr, np.frombuffer(grey[:size], np.uint8).reshape(LOOK_PX, LOOK_PX)))
            except Exception:
                every = False
        if not every:
            self._lost.append("little pictures of tracks")

    def _keys(self, table: str, column: str) -> tuple[list[int], bool]:
        """The keys of a table in rising order, from both ends as far as they can be read; and whether that is all."""
        found: set[int] = set()
        for way in ("ASC", "DESC"):
            with contextlib.suppress(sqlite3.Error):
                for (key,) in self._database.execute(f"SELECT {column} FROM {table} ORDER BY {column} {way}"):
                    found.add(key)
                return sorted(found), way == "ASC"
        return sorted(found), False

    def _row(self, query: str, key: int) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self._database.execute(query, (key,)).fetchone()
        if row is None:
            raise ValueError("it is not there")
        return row

    def _blob(self, query: str, key: int) -> bytes:
        (data,) = self._row(query, key)
        return bytes(data)


def moment(text: str | None) -> datetime | None:
    """A time, where there is one. Raises ValueError."""
    return None if text is None else datetime.fromisoformat(text)


def alarms_from(values: Sequence[Sequence[Any]]) -> list[Alarm]:
    """Alarms of plain values. Raises what comes of others."""
    return [Alarm(*alarm) for alarm in values]


def counts_from(values: Mapping[str, Any]) -> dict[str, int]:
    """Remarks and how often each was made, of plain values. Raises what comes of others."""
    return {str(remark): int(count) for remark, count in values.items()}
