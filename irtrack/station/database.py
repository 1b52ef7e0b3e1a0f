"""What the pages and the station itself ask of the database of events, besides its writers."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from irtrack.core import IrtrackError, SinkError
from irtrack.station.events import BUSY_S, CURVE, DIRECTION, prepare, text_of
from irtrack.station.settings import NAME as CAMERA

NAME = re.compile(r"(\d{1,18})-(\d{1,18})")
"""Of an event: RUN-TRACK."""

VERDICTS = ("target", "clutter")

LISTED = (
    "e.run || '-' || e.track AS event, r.source AS camera, e.ended, e.first_utc, e.last_utc, e.utc_error_s, "
    "e.last_s - e.first_s AS duration_s, e.before_s, e.measured, e.first_x_px, e.first_y_px, e.last_x_px, e.last_y_px, "
    "e.speed_px_s, e.belief, e.snr, e.score, e.verdict, e.starred, e.clip, e.thumbnail IS NOT NULL AS pictured, e.id, "
    + ", ".join(f"e.{name}" for name in DIRECTION)
)


class NoSuchEvent(IrtrackError):
    """There is no event of that name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: those that all of these hold for. `verdict`: target, clutter or none."""

    camera: str | None = None
    verdict: str | None = None
    starred: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    least_snr: float | None = None

    def where(self) -> tuple[list[str], list[Any]]:
        """SQL, and the values of its holes."""
        parts: list[tuple[str, list[Any]]] = []
        if self.camera is not None:
            parts.append(("r.source = ?", [self.camera]))
        if self.verdict == "none":
            parts.append(("e.verdict IS NULL", []))
        elif self.verdict is not None:
            parts.append(("e.verdict = ?", [self.verdict]))
        if self.starred is not None:
            parts.append(("e.starred = ?", [int(self.starred)]))
        if self.since is not None:
            parts.append(("e.last_utc >= ?", [text_of(self.since)]))
        if self.until is not None:
            parts.append(("e.first_utc < ?", [text_of(self.until)]))
        if self.least_snr is not None:
            parts.append(("e.snr >= ?", [self.least_snr]))
        return [sql for sql, _ in parts], [value for _, values in parts for value in values]


class Database:
    """Events of a station. Each call has a connection of its own, in any thread. Raises SinkError where SQLite does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _connected(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)) as base:
                base.row_factory = sqlite3.Row
                if not write:
                    base.execute("PRAGMA query_only = 1")
                yield base
        except sqlite3.Error as error:
            raise SinkError(f"the events in {self.path} cannot be {'changed' if write else 'read'}: {error}") from error

    def prepare(self) -> None:
        """Make the tables where there are none. Raises SinkError."""
        with self._connected(write=True) as base:
            prepare(base, self.path)

    def left(self) -> list[Mapping[str, Any]]:
        """Events that were going on when the station died end now, as they were; their rows, with `source`. Those of
        an `irtrack run --events`, whose sources are no names of cameras, may go on."""
        with self._connected(write=True) as base:
            base.execute("BEGIN IMMEDIATE")
            rows = base.execute(
                "SELECT e.*, r.source FROM events e JOIN runs r ON r.id = e.run WHERE NOT e.ended ORDER BY e.id"
            ).fetchall()
            own = [row for row in rows if CAMERA.fullmatch(row["source"])]
            base.executemany("UPDATE events SET ended = 1 WHERE id = ?", [(row["id"],) for row in own])
            base.execute("COMMIT")
        return [dict(row) for row in own]

    def events(self, wanted: Wanted, limit: int, before: int | None = None) -> list[dict[str, Any]]:
        """The newest first. `before`: `id` of the last one of the page before."""
        where, values = wanted.where()
        if before is not None:
            where, values = [*where, "e.id < ?"], [*values, before]
        text = f"SELECT {LISTED} FROM events e JOIN runs r ON r.id = e.run "
        text += f"WHERE {' AND '.join(where) or '1'} ORDER BY e.id DESC LIMIT ?"
        with self._connected() as base:
            return [listed(row) for row in base.execute(text, [*values, limit])]

    def event(self, name: str) -> dict[str, Any]:
        """One, as it is listed. Raises NoSuchEvent."""
        run, track = parts_of(name)
        text = f"SELECT {LISTED} FROM events e JOIN runs r ON r.id = e.run WHERE e.run = ? AND e.track = ?"
        with self._connected() as base:
            row = base.execute(text, (run, track)).fetchone()
        if row is None:
            raise NoSuchEvent(f"there is no event {name}")
        return listed(row)

    def thumbnail(self, name: str) -> bytes:
        """PNG. Raises NoSuchEvent, also where it has none."""
        return self._blob(name, "thumbnail")

    def curve(self, name: str) -> dict[str, list[float | None]]:
        """Points of its light curve, each of its quantities as a list; null for what is not known. Raises NoSuchEvent,
        also while there is none yet."""
        points = np.frombuffer(self._blob(name, "curve"), CURVE)
        return {field: [known(v) for v in points[field].tolist()] for field in CURVE.names or ()}

    def _blob(self, name: str, column: str) -> bytes:
        with self._connected() as base:
            text = f"SELECT {column} FROM events WHERE run = ? AND track = ?"
            row = base.execute(text, parts_of(name)).fetchone()
        if row is None or row[0] is None:
            raise NoSuchEvent(f"there is no {column} of event {name}")
        return bytes(row[0])

    def judge(self, name: str, said: Mapping[str, Any]) -> None:
        """Keep `verdict` (target, clutter, None) and `starred`, those that are there. Raises NoSuchEvent."""
        values = {key: said[key] for key in ("verdict", "starred") if key in said}
        run, track = parts_of(name)
        if not values:
            self.event(name)
            return
        text = ", ".join(f"{key} = ?" for key in values)
        with self._connected(write=True) as base:
            done = base.execute(
                f"UPDATE events SET {text} WHERE run = ? AND track = ?", [*values.values(), run, track]
            ).rowcount
        if not done:
            raise NoSuchEvent(f"there is no event {name}")


def parts_of(name: str) -> tuple[int, int]:
    """Run and track. Raises NoSuchEvent."""
    found = NAME.fullmatch(name)
    if found is None:
        raise NoSuchEvent(f"{name[:40]!r} is no event: they are called RUN-TRACK")
    return int(found[1]), int(found[2])


def listed(row: sqlite3.Row) -> dict[str, Any]:
    """As plain values, ready for JSON."""
    values = {key: known(row[key]) if isinstance(row[key], float) else row[key] for key in row.keys()}  # noqa: SIM118
    return values | {key: bool(values[key]) for key in ("ended", "starred", "pictured")}


def known(value: float) -> float | None:
    """Null for what is not known; no more digits than it has."""
    return float(f"{value:.7g}") if math.isfinite(value) else None
