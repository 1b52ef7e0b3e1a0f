"""Events: a row for each track in an SQLite database, written while it is followed.

The database is in WAL mode: any number of programs may read it meanwhile, and several runs may write to it. After a
kill all of it is there but for the last second.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from irtrack import __version__
from irtrack.core import FrameResult, Image, SinkError, Track
from irtrack.session.looks import look_of
from irtrack.session.series import brightness
from irtrack.station.clock import clock_error_s, utc_of

VERSION = 3
"""Of the tables."""

PASSING = "ended AND NOT starred AND verdict IS NULL"
"""Rows that may go once they are old: `irtrack.station.retention`."""

INDEXES = f"""
CREATE INDEX events_passing ON events (id, updated_utc, ended, starred, verdict) WHERE {PASSING};
CREATE INDEX events_by_clip ON events (clip, starred) WHERE clip IS NOT NULL;
"""
"""Without them, whoever asks for these would read all thumbnails and curves."""

SCHEMA = f"""
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    begun_utc TEXT NOT NULL,
    irtrack TEXT NOT NULL
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs,
    track INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    first_s REAL NOT NULL,
    last_s REAL NOT NULL,
    first_utc TEXT,
    last_utc TEXT,
    utc_error_s REAL,
    before_s REAL NOT NULL,
    updated_utc TEXT NOT NULL,
    first_frame INTEGER NOT NULL,
    last_frame INTEGER NOT NULL,
    measured INTEGER NOT NULL,
    first_x_px REAL NOT NULL,
    first_y_px REAL NOT NULL,
    last_x_px REAL NOT NULL,
    last_y_px REAL NOT NULL,
    speed_px_s REAL NOT NULL,
    belief REAL,
    snr REAL,
    score REAL,
    thumbnail BLOB,
    curve BLOB,
    verdict TEXT CHECK (verdict IN ('target', 'clutter')),
    starred INTEGER NOT NULL DEFAULT 0,
    clip TEXT,
    azimuth_deg REAL,
    elevation_deg REAL,
    sigma_azimuth_deg REAL,
    sigma_elevation_deg REAL,
    azimuth_deg_s REAL,
    elevation_deg_s REAL,
    UNIQUE (run, track)
);
CREATE INDEX events_by_time ON events (first_utc);
{INDEXES}
"""

DIRECTION = (
    "azimuth_deg", "elevation_deg", "sigma_azimuth_deg", "sigma_elevation_deg", "azimuth_deg_s", "elevation_deg_s",
)  # fmt: skip
"""Of the last frame in which it was known; where the camera's pose is."""

UPGRADES = {
    1: [f"ALTER TABLE events ADD COLUMN {column}" for column in ("clip TEXT", *(f"{n} REAL" for n in DIRECTION))],
    2: list(filter(str.strip, INDEXES.split(";"))),
}
"""From the tables of a version to those of the next; databases of earlier versions go on."""

FLUSH_S = 1.0
"""Rows of tracks that go on are written anew so often."""

CURVE = np.dtype([(name, "<f4") for name in ("time_s", "x_px", "y_px", "brightness", "snr")])
"""A point of `curve`: time since the event's first_s; mean of 3x3 pixels, in counts; SNR, NaN while coasting."""

CURVE_EVERY = 10
"""Curves of tracks that go on are written each so many times."""

MOST_POINTS = 4096
"""Of a curve; every second point goes when it has more."""

SIDE_PX, CLEARER = 48, 1.2
"""Of a thumbnail, which is taken anew where the track stands out so many times as much as before."""

STEP_S = 0.1
"""The clock was set where it differs by more from what it would show: the event's times are then all by the new one."""

MOST_LEFT = 1000
"""Ended events that wait for a disk that has room again; more would fill the memory."""

BUSY_S = 30.0
"""Another run that writes is waited for so long."""


class Event:
    """A track while it is followed: its row so far."""

    def __init__(self, result: FrameResult, track: Track, utc: datetime | None, error_s: float | None) -> None:
        """From the frame in which it was first believed."""
        x, y = track.xy_px.tolist()
        self.row: dict[str, Any] = {
            "track": track.id, "ended": 0, "first_s": result.frame.time_s, "first_utc": text_of(utc),
            "utc_error_s": error_s, "before_s": track.age_s, "first_frame": result.frame.index, "first_x_px": x,
            "first_y_px": y, "measured": 0, "speed_px_s": 0.0, "belief": None, "snr": None, "score": None,
            "thumbnail": None,
        }  # fmt: skip
        self.captured_s, self._utc = result.captured_s, utc
        self.told_s = 0.0
        """When it was last told of, on the monotonic clock."""
        self._frames, self._every = 0, 1
        self._points: list[tuple[float, ...]] = []
        self._pictured = 0.0

    def add(self, result: FrameResult, track: Track, utc: datetime | None) -> None:
        """Another frame of it."""
        frame, row = result.frame, self.row
        self._frames += 1
        self._date(result, utc)
        x, y = track.xy_px.tolist()
        row |= {
            "last_s": frame.time_s, "last_utc": text_of(utc), "last_frame": frame.index, "last_x_px": x, "last_y_px": y
        }  # fmt: skip
        speed = float(np.hypot(*track.velocity_px_s))
        row["speed_px_s"] += (speed - row["speed_px_s"]) / self._frames
        row["belief"] = greater(row["belief"], track.belief)
        seen = track.detection is not None
        if seen:
            row["measured"] += 1
            row["snr"], row["score"] = greater(row["snr"], track.snr), greater(row["score"], track.score)
            if row["thumbnail"] is None or track.snr > CLEARER * self._pictured:
                self._pictured, row["thumbnail"] = max(track.snr, 0.0), picture_of(frame.image, x, y)
        if (self._frames - 1) % self._every == 0:
            light = float(brightness(frame.image, track.xy_px[None])[0])
            self._points.append((frame.time_s - row["first_s"], x, y, light, track.snr if seen else np.nan))
            if len(self._points) > MOST_POINTS:
                self._points, self._every = self._points[::2], 2 * self._every

    def _date(self, result: FrameResult, utc: datetime | None) -> None:
        """By the clock as it is now: one that was set meanwhile would make the event longer or shorter than it was."""
        if utc is None or self._utc is None:
            return
        first = utc - timedelta(seconds=result.captured_s - self.captured_s)
        if abs((first - self._utc).total_seconds()) > STEP_S:
            self._utc = first
            self.row |= {"first_utc": text_of(first), "utc_error_s": clock_error_s()}

    @property
    def curve(self) -> bytes:
        """Its points, as an array of `CURVE` in the machine's memory."""
        return np.array(self._points, CURVE).tobytes()


def greater(before: float | None, value: float) -> float | None:
    """The larger one; what is unknown (NaN) counts for nothing."""
    return before if value != value or (before is not None and before >= value) else value


def text_of(utc: datetime | None) -> str | None:
    """As it stands in the database; texts are in the order of times."""
    return utc.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if utc is not None else None


def picture_of(image: Image, x: float, y: float) -> bytes:
    """PNG of the surroundings of a place."""
    return bytes(cv2.imencode(".png", look_of(image, x, y, SIDE_PX))[1].tobytes())


class Change(StrEnum):
    """What becomes of an event."""

    STARTED = "started"
    UPDATED = "updated"
    ENDED = "ended"


class EventSink:
    """An output of a run: its tracks as rows of a database, which is made where there is none."""

    def __init__(
        self,
        path: Path,
        source: str,
        live: bool,
        flush_s: float = FLUSH_S,
        tell: Callable[[Change, Event], None] = lambda change, event: None,
        busy_s: float = BUSY_S,
    ) -> None:
        """`live`: whether frames come when they are taken, so that their UTC is known. `tell` is told of each event,
        whether or not it can be written: of one that goes on each second. `busy_s`: how long another program that
        writes is waited for. Raises SinkError.
        """
        self.path, self._live, self._flush_s, self._tell = path, live, flush_s, tell
        self._open: dict[int, Event] = {}
        self._ended: list[Event] = []
        self._lock = threading.RLock()
        self.lost = 0
        """Ended events that waited too long for a disk with room."""
        self._due, self._flushes, self._closed, self._refused = 0.0, 0, False, False
        with self._writing():
            self._base = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
        try:
            with self._writing():
                prepare(self._base, path)
                self._base.execute(f"PRAGMA busy_timeout = {round(1000 * busy_s)}")
                self._about = (source, text_of(datetime.now(UTC)), __version__)
                done = self._base.execute("INSERT INTO runs (source, begun_utc, irtrack) VALUES (?, ?, ?)", self._about)
                assert done.lastrowid is not None
                self.run: int = done.lastrowid
        except BaseException:
            self._base.close()
            raise

    def write(self, result: FrameResult) -> None:
        """Take a frame. Raises SinkError; what was written stays, and what was not is tried again with the next."""
        with self._lock:
            self._take(result)

    @property
    def waiting(self) -> bool:
        """Whether something could not be written yet."""
        return self._refused

    def idle(self, over: bool) -> None:
        """No frame comes: what is due is written. `over`: what was followed has ended, since whatever comes next has
        tracks of its own. In any thread. Raises SinkError."""
        with self._lock:
            if self._closed:
                return
            if over:
                self._end(list(self._open))
            if time.monotonic() >= self._due:
                self._put()

    def _take(self, result: FrameResult) -> None:
        utc = utc_of(result.captured_s) if self._live else None
        there, now = set[int](), time.monotonic()
        for track in result.tracks:
            if not track.confirmed:
                continue
            there.add(track.id)
            event = self._open.get(track.id)
            change = Change.UPDATED
            if event is None and track.detection is None:
                continue  # of what is only supposed to be there nothing can be shown: it begins once it is seen
            if event is None:
                event = self._open[track.id] = Event(result, track, utc, clock_error_s() if self._live else None)
                change = Change.STARTED
            event.add(result, track, utc)
            if change is Change.STARTED or now - event.told_s >= FLUSH_S:
                event.told_s = now
                self._tell(change, event)
        self._end([track for track in self._open if track not in there])
        if now >= self._due or (self._ended and not self._refused):
            self._put()

    def _end(self, tracks: Sequence[int]) -> None:
        for track in tracks:
            event = self._open.pop(track)
            event.row["ended"] = 1
            self._ended.append(event)
            self._tell(Change.ENDED, event)
        if len(self._ended) > MOST_LEFT:
            self.lost += len(self._ended) - MOST_LEFT
            del self._ended[:-MOST_LEFT]

    def _put(self) -> None:
        """Write what has ended, and what goes on as it is now: all or nothing."""
        self._due = time.monotonic() + self._flush_s
        self._flushes += 1
        going = [event.row for event in self._open.values()]
        if self._flushes % CURVE_EVERY == 0:
            going = [event.row | {"curve": event.curve} for event in self._open.values()]
        rows = [*going, *(event.row | {"curve": event.curve} for event in self._ended)]
        if not rows:
            return
        about = {"run": self.run, "updated_utc": text_of(datetime.now(UTC))}
        self._refused = True
        with self._writing():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                # A run without events is forgotten after a year (`irtrack.station.retention`), also one that goes on.
                run = (self.run, *self._about)
                self._base.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?)", run)
                for row in rows:
                    self._upsert(row | about)
                self._base.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._base.execute("ROLLBACK")
                raise
        self._ended.clear()
        self._refused = False

    def _upsert(self, row: Mapping[str, Any]) -> None:
        """A row, new or in place of what it was; what people say of it stays."""
        names, holes = ", ".join(row), ", ".join("?" * len(row))
        new = ", ".join(f"{name} = excluded.{name}" for name in row if name not in ("run", "track"))
        self._base.execute(
            f"INSERT INTO events ({names}) VALUES ({holes}) ON CONFLICT (run, track) DO UPDATE SET {new}",
            list(row.values()),
        )

    def close(self) -> None:
        """What is followed ends here; may be called twice. Raises SinkError."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._end(list(self._open))
            try:
                self._put()
            finally:
                with suppress(sqlite3.Error):
                    self._base.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What SQLite refuses becomes a SinkError in one line."""
        try:
            yield
        except sqlite3.Error as error:
            raise SinkError(f"cannot write events to {self.path}: {error}; what was written is kept") from error


def prepare(base: sqlite3.Connection, path: Path) -> None:
    """Make the tables where there are none. Raises SinkError for a database of something else, sqlite3.Error."""
    base.execute("PRAGMA busy_timeout = 30000")
    base.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of a new one; it has to come first
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("PRAGMA synchronous = NORMAL")
    base.execute("BEGIN IMMEDIATE")  # of two runs that begin at once, one makes them
    try:
        version = base.execute("PRAGMA user_version").fetchone()[0]
        tables = {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if version == 0 and not tables:
            for statement in filter(str.strip, SCHEMA.split(";")):
                base.execute(statement)
            base.execute(f"PRAGMA user_version = {VERSION}")
        elif version not in (*UPGRADES, VERSION) or "events" not in tables:
            raise SinkError(f"{path} is no database of events of this version: name another file")
        else:
            for older in range(version, VERSION):
                for statement in UPGRADES[older]:
                    base.execute(statement)
            base.execute(f"PRAGMA user_version = {VERSION}")
    finally:
        base.execute("COMMIT")
