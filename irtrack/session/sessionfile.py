"""A session in one file: which recording, what it was analysed with, what was found, and what the operator said of it.

SQLite, because a program that is killed while it writes leaves the file as it was before. Table `said` has named values
as JSON; `results` has blocks of frames (`blocks.py`), `looks` a little picture of each track.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import numpy as np
import platformdirs

from irtrack.config import Settings, polygons, polygons_text
from irtrack.core import IrtrackError
from irtrack.imaging.regions import Regions as Areas
from irtrack.session.alarms import Alarm
from irtrack.session.blocks import Block, to_bytes
from irtrack.session.edits import Edits
from irtrack.session.looks import LOOK_PX, Look
from irtrack.session.preferences import REGION_KINDS, Regions
from irtrack.session.program import program_of
from irtrack.session.recipe import Made, Recipe
from irtrack.session.recordings import Recording
from irtrack.session.store import ResultStore

SUFFIX = ".irtrack"
MARK, VERSION = 0x69727472, 3
"""What SQLite's header says of the file: "irtr", and how it is laid out."""

BLOCK = 64
"""Frames of a block: the last one is written again and again while it grows."""

HASTE_S = 0.5
"""Blocks are committed at least this often."""

WAIT_S = 5.0
"""For another program that is writing the file."""

MOST_FILES, MOST_BYTES = 20, 2 << 30
"""Of the newest in the data folder so many are kept, and no more of them."""

TABLES = (
    "CREATE TABLE IF NOT EXISTS said (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS results (block INTEGER PRIMARY KEY, frames BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS looks (track INTEGER PRIMARY KEY, snr REAL NOT NULL, grey BLOB NOT NULL)",
)


class SessionError(IrtrackError):
    """A session file cannot be read or written."""


class LostError(SessionError):
    """Another program has the file now, or it is gone."""


@dataclass(frozen=True)
class Kept:
    """What a session file holds. `chosen`: settings and regions as they were chosen last, which may be others than
    those that results were made with. `recording`: None of a camera."""

    path: Path
    recording: Recording | None
    settings: Settings
    chosen: Recipe
    regions: Regions
    edits: Edits
    store: ResultStore
    started: datetime | None

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


def is_session(text: str) -> bool:
    """Whether a SOURCE text names a session file."""
    if not os.path.isfile(text):  # a pipe would be waited for
        return False
    try:
        with open(text, "rb") as file:
            head = file.read(72)
    except (OSError, ValueError):
        return False
    return head.startswith(b"SQLite format 3\0") and head[68:72] == MARK.to_bytes(4, "big")


class SessionFile:
    """Writes a session; in one thread. Another program that begins to write the same file has it from then on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None
        self._writer = uuid.uuid4().hex
        self._recipes: list[Recipe | None] = []
        """What the results in the file were made with."""
        self._looks: dict[int, Look] = {}
        """How tracks look in the file."""

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """All of what is done in here, or nothing. Raises SessionError."""
        try:
            if self._database is not None and not self.path.exists():
                self.close()
                raise LostError(f"the session {self.path} is not there any more: it is written anew")
            new = self._database is None
            if self._database is None:
                self._database = self._opened()
            else:
                self._database.execute("BEGIN IMMEDIATE")
            try:
                self._check_writer(self._database)
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                if new:  # what it was made with is taken back too
                    self.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise SessionError(
                f"the session {self.path} cannot be written: {error}; what was kept before stays, what is changed now "
                "is lost when the window closes: save it under another name"
            ) from error

    def _opened(self) -> sqlite3.Connection:
        """The file, made where it was not there, within the first change: nobody reads one that is half made."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        made = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            made.execute("BEGIN IMMEDIATE")
            self._make(made)
        except BaseException:
            made.close()
            raise
        return made

    def _make(self, made: sqlite3.Connection) -> None:
        """Tables, marks and the one who writes. Raises SessionError where the file is something else."""
        if made.execute("PRAGMA application_id").fetchone()[0] not in (0, MARK):
            raise SessionError(f"{self.path} is no session of irtrack: choose another name")
        made.execute(f"PRAGMA application_id = {MARK}")
        made.execute(f"PRAGMA user_version = {VERSION}")
        for table in TABLES:
            made.execute(table)
        made.execute("INSERT OR REPLACE INTO said VALUES ('writer', ?)", (self._writer,))
        there = made.execute("SELECT value FROM said WHERE name = 'recipes'").fetchone()
        self._recipes = recipes_from(json.loads(there[0])) if there else []

    def _check_writer(self, database: sqlite3.Connection) -> None:
        (writer,) = database.execute("SELECT value FROM said WHERE name = 'writer'").fetchone()
        if writer != self._writer:
            raise LostError(f"{self.path.name} is kept by another window now: what is changed here is not saved")

    def copied(self, other: Path) -> bool:
        """Take all that another session file holds, in place of what was in this one; whether that could be done."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (
                contextlib.closing(sqlite3.connect(f"file:{quoted(other)}?mode=ro", uri=True)) as source,
                contextlib.closing(sqlite3.connect(self.path, timeout=WAIT_S)) as target,
            ):
                source.backup(target)
        except (sqlite3.Error, OSError):
            return False
        return True

    def say(self, values: Mapping[str, object], fresh: bool = False) -> None:
        """Named values, in place of those before. `fresh`: results of another pass come, those before go."""
        with self._change() as database:
            if fresh:
                database.execute("DELETE FROM results")
                database.execute("DELETE FROM looks")
                self._recipes.clear()
                self._looks.clear()
            say(database, {**values, "recipes": recipes_to(self._recipes)})

    def put(self, store: ResultStore, first: int, last: int) -> None:
        """Results of frames `first` to `last`; those of a camera that are no longer kept go."""
        block, end = first // BLOCK, last // BLOCK
        while block <= end:
            since = time.monotonic()
            with self._change() as database:
                while block <= end and time.monotonic() - since < HASTE_S:
                    some = store.part(block * BLOCK, min((block + 1) * BLOCK - 1, last))
                    if some:
                        self._recipes += dict.fromkeys(s.recipe for s in some if s.recipe not in self._recipes)
                        maps = store.maps_of([s.result.frame.index for s in some])
                        data = to_bytes(some, self._recipes, maps)
                        database.execute("INSERT OR REPLACE INTO results VALUES (?, ?)", (block, data))
                    block += 1
                say(database, {"recipes": recipes_to(self._recipes)})
                new = {track: look for track, look in store.looks().items() if self._looks.get(track) is not look}
                looks = [(track, look.snr, look.grey.tobytes()) for track, look in new.items()]
                database.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?)", looks)
                self._looks |= new
                kept = store.reach()
                if kept is not None:
                    database.execute("DELETE FROM results WHERE block < ?", (kept[0] // BLOCK,))

    def close(self, remove: bool = False) -> None:
        """`remove`: there is nothing worth keeping in it."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if remove:
            self.path.unlink(missing_ok=True)


def check_named(text: str) -> None:
    """Raises SessionError where a file has a session's name and is none."""
    if Path(text).suffix.lower() == SUFFIX and os.path.isfile(text) and not is_session(text):
        raise SessionError(f"{text} is no session of irtrack, or what was written of it is lost")


def read_session(path: Path) -> Kept:
    """What a session file holds. Raises SessionError with one line."""
    try:
        # Where a program was killed while it wrote, the one that reads takes that back, and so has to write.
        with contextlib.closing(sqlite3.connect(f"file:{quoted(path)}?mode=rw", uri=True, timeout=WAIT_S)) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise SessionError(f"{path} was written by a newer irtrack: update this one")
            if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                database.execute("BEGIN IMMEDIATE")  # it is being made: wait for that
                database.execute("ROLLBACK")
            database.execute("BEGIN")  # all of it as of one moment
            said = {name: json.loads(v) for name, v in database.execute("SELECT * FROM said") if name != "writer"}
            recipes = recipes_from(said["recipes"])
            store = ResultStore(recipes[-1] if recipes else None)
            for (data,) in database.execute("SELECT frames FROM results ORDER BY block"):
                store.put_shut(Block(data, recipes))
            for track, snr, grey in database.execute("SELECT * FROM looks"):
                square = np.frombuffer(grey, np.uint8).reshape(LOOK_PX, LOOK_PX)
                store.put_look(int(track), Look(float(snr), square))
        store.whole = bool(said["whole"])
        settings = Settings.from_dict(said["settings"])
        if store.recipe is not None:
            at, program = said.get("made"), str(said["made_by"])
            store.made = Made(settings, program, str(said.get("model", "")), at and datetime.fromisoformat(at))
            store.recallable = program == program_of(settings, store.recipe)
        for remark, count in said.get("remarks", {}).items():
            store.remarks.add(remark, count)
        store.alarms = [Alarm(*alarm) for alarm in said["alarms"]]
        recording, started = said["recording"], said["started"]
        return Kept(
            path, None if recording is None else Recording(**recording), settings,
            recipe_from(said["chosen"]), regions_from(said["regions"]), Edits.from_dict(said["edits"]), store,
            None if started is None else datetime.fromisoformat(started),
        )  # fmt: skip
    except SessionError:
        raise
    except Exception as error:  # whatever a damaged file makes of it
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise SessionError(f"the session {path} cannot be read: it is damaged or was not finished ({why})") from error


def sessions_folder() -> Path:
    """Where sessions are kept that have no file of the operator's."""
    return Path(platformdirs.user_data_dir("irtrack", appauthor=False)) / "sessions"


def own_path(print: str) -> Path:
    """The file of a recording there, by its fingerprint."""
    return sessions_folder() / f"{print[:32]}{SUFFIX}"


def tidy(folder: Path) -> None:
    """Leave the newest files."""
    files = sorted(folder.glob(f"*{SUFFIX}"), key=lambda p: p.stat().st_mtime, reverse=True)
    total = 0
    for number, path in enumerate(files, 1):
        total += path.stat().st_size
        if number >= MOST_FILES or total > MOST_BYTES:
            path.unlink(missing_ok=True)


def quoted(path: Path) -> str:
    """A path for SQLite's URIs."""
    return quote_from_bytes(bytes(path.absolute()))


def say(database: sqlite3.Connection, values: Mapping[str, object]) -> None:
    """Named values, in place of those before."""
    texts = [(name, json.dumps(value)) for name, value in values.items()]
    database.executemany("INSERT OR REPLACE INTO said VALUES (?, ?)", texts)


def recipes_to(recipes: Sequence[Recipe | None]) -> list[dict[str, Any] | None]:
    """Plain values, exactly."""
    return [None if recipe is None else recipe_to(recipe) for recipe in recipes]


def recipes_from(values: Sequence[Mapping[str, Any] | None]) -> list[Recipe | None]:
    """The recipes again. Raises what comes of other values."""
    return [None if value is None else recipe_from(value) for value in values]


def recipe_to(recipe: Recipe) -> dict[str, Any]:
    """Plain values, exactly."""
    regions = {"include": recipe.regions.include, "exclude": recipe.regions.exclude}
    return {"detector": recipe.detector.to_dict(), "regions": regions}


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """The recipe again. Raises what comes of other values."""
    detector = Settings.from_dict({"detector": values["detector"]}).detector
    regions = regions_from(values["regions"])
    return Recipe(detector, Areas(regions.get("include", ()), regions.get("exclude", ())))


def regions_from(values: Mapping[str, Any]) -> Regions:
    """Polygons by kind. Raises what comes of other values."""
    made = {
        kind: tuple(tuple((float(x), float(y)) for x, y in outline) for outline in values[kind])
        for kind in REGION_KINDS
        if kind in values
    }
    for outlines in made.values():
        polygons(polygons_text(outlines))
    return made
