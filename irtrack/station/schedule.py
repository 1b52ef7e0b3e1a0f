"""When a camera is watched: times of the week on the local clock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from zoneinfo import ZoneInfo

from irtrack.core import ConfigError
from irtrack.text import meant

ALWAYS = "always"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SPAN = re.compile(r"(?:(?P<days>[a-z,-]+)\s+)?(?P<first>\d{1,2}:\d{2})\s*-\s*(?P<last>\d{1,2}:\d{2})", re.IGNORECASE)
FORM = "write always, or times such as 21:30-05:00 or mon-fri 20:00-06:00; sat,sun 18:00-08:00"


@dataclass(frozen=True, slots=True)
class Span:
    """From `first` to `last` (not included), on each of `days` (0 is Monday); over midnight where `last` is not later,
    then it belongs to the day on which it begins."""

    days: frozenset[int]
    first: time
    last: time

    def holds(self, local: datetime) -> bool:
        """Whether a moment of the local clock lies in it."""
        now, today, yesterday = local.time(), local.weekday(), (local.weekday() - 1) % 7
        if self.first < self.last:
            return today in self.days and self.first <= now < self.last
        return (today in self.days and now >= self.first) or (yesterday in self.days and now < self.last)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Spans of the week; None: always."""

    spans: tuple[Span, ...] | None = None

    @staticmethod
    def of(text: str) -> Schedule:
        """`always`, or `[DAYS ]HH:MM-HH:MM; ...`. Raises ConfigError."""
        if text.strip().lower() == ALWAYS:
            return Schedule()
        parts = [part.strip() for part in text.split(";") if part.strip()]
        if not parts:
            raise ConfigError(f"schedule = {text!r} has no times: {FORM}")
        return Schedule(tuple(span_of(part) for part in parts))

    def on(self, utc: datetime, zone: tzinfo | None) -> bool:
        """Whether it is time. `utc`: a moment; `zone`: of the local clock, None for the machine's."""
        return self.spans is None or any(span.holds(utc.astimezone(zone)) for span in self.spans)


def span_of(text: str) -> Span:
    """One span. Raises ConfigError."""
    found = SPAN.fullmatch(text)
    if found is None:
        raise ConfigError(f"schedule: {text!r} is no time{meant(text, [ALWAYS])}: {FORM}")
    days = frozenset(days_of(found["days"])) if found["days"] else frozenset(range(7))
    first, last = (clock_of(found[name]) for name in ("first", "last"))
    return Span(days, first, last)


def clock_of(text: str) -> time:
    """`HH:MM`; 24:00 is midnight. Raises ConfigError."""
    hour, minute = (int(part) for part in text.split(":"))
    try:
        return time(0 if (hour, minute) == (24, 0) else hour, minute)
    except ValueError:
        raise ConfigError(f"schedule: {text!r} is no time of day") from None


def days_of(text: str) -> Iterator[int]:
    """`mon,wed-fri` as numbers. Raises ConfigError."""
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        for name in filter(None, (first, last)):
            if name not in DAYS:
                raise ConfigError(f"schedule: {name!r} is no day{meant(name, DAYS)}: they are {', '.join(DAYS)}")
        if not first:
            raise ConfigError(f"schedule: {text!r} are no days: {FORM}")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        yield from ((begin + i) % 7 for i in range((end - begin) % 7 + 1))


def zone_of(name: str) -> tzinfo | None:
    """A time zone by its name; None for the machine's. Raises ConfigError."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ConfigError(f"timezone = {name!r} is not known here: write Europe/Berlin, UTC or the like") from None
