"""A session in one file: which recording, what it was analysed with, what was found, and what the operator said of it.

SQLite, because a program that is killed while it writes leaves the file as it was before. Table `said` has named values
(`said.py`); `results` has blocks of frames (`blocks.py`), `looks` a little picture of each track. All of them have
sums, which SQLite has not; `reading.py` reads the file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote_from_bytes

import platformdirs

from irtrack.core import IrtrackError
from irtrack.session.blocks import to_bytes
from irtrack.session.looks import Look
from irtrack.session.recipe import Recipe
from irtrack.session.said import recipes_from, recipes_to, runs_of, text_of, value_of
from irtrack.session.store import ResultStore

SUFFIX = ".irtrack"
MARK, VERSION = 0x69727472, 5
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

    def __init__(self, path: Path, aside: Path | None = None) -> None:
        """`aside`: what is in the file cannot be read, or not all of it, and goes there before anything is written."""
        self.path, self._aside = path, aside
        self._database: sqlite3.Connection | None = None
        self._writer = uuid.uuid4().hex
        self._recipes: list[Recipe | None] = []
        """What the results in the file were made with."""
        self._looks: dict[int, Look] = {}
        """How tracks look in the file."""
        self._blocks: set[int] = set()
        """Of results, in the file."""

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
                if self._database.in_transaction:  # SQLite has taken it back itself where the disk is full
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
        self._set_aside()
        made = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            made.execute("BEGIN IMMEDIATE")
            self._make(made)
        except BaseException:
            made.close()
            raise
        return made

    def _set_aside(self) -> None:
        """Keep what could not be read. Where another window has done so, the file is its."""
        if self._aside is not None and self.path.exists() and not self._aside.exists():
            self.path.rename(self._aside)
        self._aside = None

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
        self._recipes = recipes_from(value_of("recipes", there[0])) if there else []
        self._blocks = {block for (block,) in made.execute("SELECT block FROM results")}

    def _check_writer(self, database: sqlite3.Connection) -> None:
        (writer,) = database.execute("SELECT value FROM said WHERE name = 'writer'").fetchone()
        if writer != self._writer:
            raise LostError(f"{self.path.name} is kept by another window now: what is changed here is not saved")

    def copied(self, other: Path) -> bool:
        """Take all that another session file holds, in place of what was in this one; whether that could be done."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._set_aside()
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
                self._blocks.clear()
            say(database, {**values, **self._contents()})

    def _contents(self) -> dict[str, object]:
        """Which results there are, and what they were made with."""
        return {"recipes": recipes_to(self._recipes), "blocks": runs_of(sorted(self._blocks))}

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
                        self._blocks.add(block)
                    block += 1
                every = store.looks()
                new = {track: look for track, look in every.items() if self._looks.get(track) is not look}
                looks = [(track, look.snr, with_sum(track, look)) for track, look in new.items()]
                database.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?)", looks)
                self._looks |= new
                gone = self._looks.keys() - every.keys()  # of a camera, tracks that are no longer kept
                database.executemany("DELETE FROM looks WHERE track = ?", [(track,) for track in gone])
                self._looks = {track: look for track, look in self._looks.items() if track not in gone}
                kept = store.reach()
                if kept is not None:
                    database.execute("DELETE FROM results WHERE block < ?", (kept[0] // BLOCK,))
                    self._blocks = {number for number in self._blocks if number >= kept[0] // BLOCK}
                say(database, self._contents())

    def close(self, remove: bool = False) -> None:
        """`remove`: there is nothing worth keeping in it."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if remove:
            with contextlib.suppress(OSError):
                self._set_aside()
                self.path.unlink(missing_ok=True)


def check_named(text: str) -> None:
    """Raises SessionError where a file has a session's name and is none."""
    if Path(text).suffix.lower() == SUFFIX and os.path.isfile(text) and not is_session(text):
        raise SessionError(f"{text} is no session of irtrack, or what was written of it is lost")


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
    texts = [(name, text_of(name, value)) for name, value in values.items()]
    database.executemany("INSERT OR REPLACE INTO said VALUES (?, ?)", texts)


def look_sum(track: int, snr: float, grey: bytes) -> bytes:
    """Stands behind a little picture, to tell whether it is as it was written."""
    return zlib.crc32(grey + repr((track, snr)).encode()).to_bytes(4, "big")


def with_sum(track: int, look: Look) -> bytes:
    """A little picture as it stands in the file."""
    grey = look.grey.tobytes()
    return grey + look_sum(track, look.snr, grey)
