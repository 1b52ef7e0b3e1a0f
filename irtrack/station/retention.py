"""How long rows of events stay: the oldest go, with their clips, a few at a time and in a thread of their own.

Rows with a star or a verdict stay. Readers are not disturbed: one that reads in a transaction sees what was there at
its beginning, ids only grow and are never given twice, and what a page still lists is then answered as "no event".
"""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from irtrack.sinks.target import reason
from irtrack.station.disk import Disk, clips_in
from irtrack.station.events import PASSING, text_of
from irtrack.station.settings import RetentionSettings

STEP_ROWS, STEP_PAGES = 20, 256
"""In one transaction: a camera that writes meanwhile waits for milliseconds."""

STEP_S, CHECK_S = 0.2, 60.0
"""Between two steps, and from the last one to the next look whether there is something to do."""

SLACK_PAGES = 2048
"""So many empty pages (8 MB) stay in the file for the events to come."""

SETTLED_S, JUMP_S = 3600.0, 60.0
"""Nothing goes by age until the clock has run evenly for so long, without a jump of more: a clock that is set wrong for
minutes would make a year of events look old."""

UNSET = "2026-01-01"
"""Moments before that are of a clock that nobody had set: how old the event is, is not known."""

DAY = re.compile(r"\d{4}-\d\d-\d\d")
"""Name of a folder of clips."""

BUSY_S = 0.2
"""Whoever writes is waited for so long; then the step is left for later."""

log = logging.getLogger(__name__)


class Retention:
    """Keeps the database of events within its bounds."""

    def __init__(
        self,
        settings: RetentionSettings,
        path: Path,
        disk: Disk,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`path`: of the database; `now`: the clock that may be set, `clock`: the one that never is."""
        self.settings, self._path, self._disk, self._now, self._clock = settings, path, disk, now, clock
        self._offset_s, self._since_s = float("inf"), clock()
        self.removed = 0
        """Events, since the station began."""
        self.trouble = ""
        """Why the last step failed; empty while all is well."""
        self._told, self._strayed = 0, ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="irtrack-retention", daemon=True)

    def start(self) -> None:
        """Begin to look after it."""
        self._thread.start()

    def close(self) -> None:
        """No more; a step that is under way is ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait_s = STEP_S
        while not self._stop.wait(wait_s):
            wait_s = STEP_S if self.attempt() else CHECK_S

    def attempt(self) -> bool:
        """A step whose errors are said, each once. Whether there is more to do at once."""
        try:
            more = self.step()
        except (sqlite3.Error, OSError) as error:
            text = f"old events cannot be removed: {reason(error) if isinstance(error, OSError) else error}"
            if text != self.trouble and "locked" not in text:  # whoever writes long is no trouble of ours
                log.warning("%s; it is tried again", text)
                self.trouble = text
            return False
        self.trouble = ""
        if not more and self.removed > self._told:
            log.info("%d events beyond the bounds of [retention] removed", self.removed - self._told)
            self._told = self.removed
        return more

    def step(self) -> bool:
        """Remove a few rows, or give back a few pages. Whether there is more to do at once. Raises sqlite3.Error,
        OSError."""
        limit = text_of(self._now() - timedelta(days=self.settings.keep_days)) if self._settled() else None
        with closing(sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)) as base:
            if rows := passing(base, self.settings.most, limit, STEP_ROWS):
                return self._remove(base, rows)
            if limit is not None and (runs := empty_runs(base, limit)):
                base.executemany(f"DELETE FROM runs WHERE id = ? AND {EMPTY}", runs)
                return True
            if limit is not None:
                self._remove_strays(base, limit[:10])
            return give_back_pages(base)

    def _remove_strays(self, base: sqlite3.Connection, day: str) -> None:
        """Clips of days before this one that no row has: a kill came between the two. Once a day."""
        if day == self._strayed:
            return
        for _, path, _ in clips_in(self._disk.clips_folder):
            name = path.relative_to(self._disk.clips_folder.parent).as_posix()
            known = base.execute("SELECT count(*) FROM events WHERE clip = ?", (name,)).fetchone()[0]
            if not known and DAY.fullmatch(path.parent.name) and UNSET <= path.parent.name < day:
                self._disk.remove(path)
        self._strayed = day

    def _settled(self) -> bool:
        """Whether the clock may be asked how old something is."""
        offset_s = self._now().timestamp() - self._clock()
        if abs(offset_s - self._offset_s) > JUMP_S:
            self._offset_s, self._since_s = offset_s, self._clock()
        return self._clock() - self._since_s >= SETTLED_S

    def _remove(self, base: sqlite3.Connection, rows: Sequence[int]) -> bool:
        """These rows, and clips that no other row has. A clip goes first: a kill in between leaves a row without one.
        Under the lock of writers, so that a star that is given meanwhile is seen, or comes too late."""
        base.execute("BEGIN IMMEDIATE")
        try:
            gone = list[int]()
            holes = ", ".join("?" * len(rows))
            found = base.execute(f"SELECT id, clip FROM events WHERE id IN ({holes}) AND {PASSING}", rows).fetchall()
            for row, clip in found:
                others = "SELECT count(*) FROM events WHERE clip = ? AND id != ?"
                path = self._disk.path_of(clip)
                last = path is not None and base.execute(others, (clip, row)).fetchone()[0] == 0
                if path is not None and last and not self._disk.remove(path):
                    continue  # it is still being written
                base.execute("DELETE FROM events WHERE id = ?", (row,))
                gone.append(row)
            base.execute("COMMIT")
        except BaseException:
            if base.in_transaction:
                base.execute("ROLLBACK")
            raise
        self.removed += len(gone)
        return bool(gone)


def passing(base: sqlite3.Connection, most: int, limit: str | None, count: int) -> list[int]:
    """Ids of up to so many rows that are beyond the bounds, the oldest first. Raises sqlite3.Error.

    The newest row of all stays: its id would be given once more.
    """
    there = f"FROM events WHERE {PASSING} AND id < (SELECT max(id) FROM events)"
    over = base.execute(f"SELECT count(*) FROM events WHERE {PASSING}").fetchone()[0] - most
    ids = [id for (id,) in base.execute(f"SELECT id {there} ORDER BY id LIMIT ?", (min(max(over, 0), count),))]
    if not ids and limit is not None:
        old = f"SELECT id {there} AND updated_utc < ? AND updated_utc >= ? ORDER BY id LIMIT ?"
        ids = [id for (id,) in base.execute(old, (limit, UNSET, count))]
    return ids


EMPTY = "id < (SELECT max(id) FROM runs) AND NOT EXISTS (SELECT 1 FROM events WHERE run = runs.id)"
"""Of runs; the newest stays, since its id would be given once more. One that still goes on writes itself down again
with its next event."""


def empty_runs(base: sqlite3.Connection, limit: str) -> list[tuple[int]]:
    """Some runs of before that have no events. Raises sqlite3.Error."""
    text = f"SELECT id FROM runs WHERE begun_utc < ? AND {EMPTY} LIMIT ?"
    return base.execute(text, (limit, STEP_ROWS)).fetchall()


def give_back_pages(base: sqlite3.Connection) -> bool:
    """Make the file smaller by some of its empty pages. Whether there are more. Raises sqlite3.Error."""
    empty = base.execute("PRAGMA freelist_count").fetchone()[0] - SLACK_PAGES
    if empty <= 0 or base.execute("PRAGMA auto_vacuum").fetchone()[0] != INCREMENTAL:
        return False
    base.execute(f"PRAGMA incremental_vacuum({min(empty, STEP_PAGES)})").fetchall()  # a page for each row
    return bool(empty > STEP_PAGES)


INCREMENTAL = 2

LARGEST_REWRITE_BYTES = 256 << 20


def make_shrinkable(path: Path) -> None:
    """Have a database of earlier versions give empty pages back, at the start of a station: it is written anew, which
    takes seconds. A large one keeps its size, and its empty pages are used again. Raises nothing: both are well."""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as base:
            if base.execute("PRAGMA auto_vacuum").fetchone()[0] == INCREMENTAL:
                return
            if path.stat().st_size > LARGEST_REWRITE_BYTES:
                log.info("%s was made by an earlier version, and never gets smaller: see docs/station.md", path)
                return
            base.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
            base.execute("VACUUM")
    except (sqlite3.Error, OSError) as error:
        log.info("%s is not written anew, and keeps its size: %s", path, error)


def beyond(settings: RetentionSettings, path: Path) -> str:
    """What of a database would go, in a line; empty where that is nothing, or not known."""
    if not path.is_file():
        return ""
    limit = text_of(datetime.now(UTC) - timedelta(days=settings.keep_days))
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_S)) as base:
            there = base.execute("SELECT count(*) FROM events").fetchone()[0]
            going = len(passing(base, settings.most, None, there)) or len(passing(base, there, limit, there))
    except sqlite3.Error:
        return ""
    return f"of {there:,} events there, {going:,} are beyond these bounds and will be removed" if going else ""
