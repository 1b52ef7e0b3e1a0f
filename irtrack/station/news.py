"""News of events, and the threads that carry them out: a receiver that is away or slow never holds up a camera."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from irtrack.channel import Channel, Closed
from irtrack.core import IrtrackError
from irtrack.station.events import DIRECTION, Change, Event

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
"""Between attempts to reach a receiver; the wait doubles."""

DRAIN_S = 3.0
"""What waits when the station ends has so long to get out."""

SAID = (
    "first_utc", "last_utc", "utc_error_s", "first_s", "last_s", "first_x_px", "first_y_px", "last_x_px", "last_y_px",
    "speed_px_s", "belief", "snr", "score", "measured", "clip", *DIRECTION,
)  # fmt: skip
"""Of an event's row, what news tell."""

log = logging.getLogger(__name__)


class OutputError(IrtrackError):
    """A receiver cannot be reached, or is busy: it is worth another try."""


class RefusedError(IrtrackError):
    """A receiver does not want this: it is of no use to ask again."""


@dataclass(frozen=True, slots=True)
class News:
    """What became of an event, as plain values; `event` is its name in the database: RUN-TRACK."""

    change: Change
    station: str
    camera: str
    event: str
    values: Mapping[str, Any]

    @staticmethod
    def of(change: Change, event: Event, station: str, camera: str, run: int, more: Mapping[str, Any]) -> News:
        """`more`: what else is known of the camera, such as `width` and `height` of its picture."""
        row = event.row
        known = {name: plain(row.get(name)) for name in SAID}
        return News(change, station, camera, f"{run}-{row['track']}", known | dict(more))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        about = {"change": str(self.change), "station": self.station, "camera": self.camera, "event": self.event}
        return about | dict(self.values)


def plain(value: Any) -> Any:
    """As JSON has it: no NaN, four digits behind the point."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


class Output(Protocol):
    """A receiver of news; used by one thread."""

    name: str

    def open(self) -> None:
        """Begin; called once, before all else. Does not fail where a receiver is away."""
        ...

    def send(self, news: News) -> None:
        """Hand one over. Raises OutputError where another try may help, RefusedError where none does."""
        ...

    def close(self) -> None:
        """Give back what is open."""
        ...


@runtime_checkable
class Announcing(Protocol):
    """An output that tells a receiver which cameras there are."""

    def forget(self, cameras: Sequence[str]) -> None:
        """These are no more."""
        ...


class Outlet:
    """An output with a queue and a thread of its own. `put` returns at once; the oldest goes where too many wait."""

    def __init__(self, output: Output, waiting: int) -> None:
        self.output, self.name = output, output.name
        self.sent = self.failed = self.refused = 0
        self.trouble = ""
        """Why the last try failed; empty while all is well."""
        self._first = deque[News]()
        self._queue: Channel[News] = Channel(waiting, drop_oldest=True)
        self._now: News | None = None
        self._count = threading.Lock()
        self._put = self._done = 0
        self._stop, self._ended = threading.Event(), threading.Event()
        self._started = False

    def start(self) -> Outlet:
        """Begin to carry out what waits, and what comes."""
        self._started = True
        threading.Thread(target=self._carry, name=f"irtrack-out-{self.name}", daemon=True).start()
        return self

    def inherit(self, news: Sequence[News]) -> None:
        """What the outlet before this one did not get out goes first. Before the start."""
        self._first.extend(news)
        self._put += len(news)

    @property
    def dropped(self) -> int:
        """News that had to go."""
        return self._queue.dropped

    @property
    def waiting(self) -> int:
        """News that are not out yet."""
        return max(0, self._put - self._done - self._queue.dropped)

    def put(self, news: News) -> None:
        """Take a piece of news; in any thread."""
        with self._count:
            try:
                self._queue.put(news)
            except Closed:
                return
            self._put += 1

    def _carry(self) -> None:
        try:
            self.output.open()
            while not self._stop.is_set():
                self._now = self._first.popleft() if self._first else self._queue.get()
                self._deliver(self._now)
                self._now = None
                self._done += 1
        except Closed:
            pass
        except BaseException:  # a fault of the program: said, and the cameras go on
            log.exception("output %s has ended", self.name)
            self.trouble = "it has ended by a fault of the program"
        finally:
            self._queue.close()
            try:
                self.output.close()
            except Exception as error:
                log.warning("output %s: %s", self.name, error)
            self._ended.set()

    def _deliver(self, news: News) -> None:
        """Until it is out, refused, or the station ends."""
        wait = FIRST_WAIT_S
        while True:
            try:
                self.output.send(news)
            except OutputError as error:
                self.failed += 1
                self._say(str(error))
                if self._stop.wait(wait):
                    raise Closed from None
                wait = min(2 * wait, LONGEST_WAIT_S)
            except RefusedError as error:
                self.refused += 1
                self._say(str(error))
                return
            except Exception as error:  # a fault of the program costs this piece of news, and no more
                self.refused += 1
                log.exception("output %s: a piece of news is left out", self.name)
                self.trouble = f"{type(error).__name__}: {error}"
                return
            else:
                self.sent += 1
                if self.trouble:
                    log.warning("output %s is well again", self.name)
                    self.trouble = ""
                return

    def _say(self, trouble: str) -> None:
        """Each trouble once."""
        if trouble != self.trouble:
            log.warning("output %s: %s", self.name, trouble)
        self.trouble = trouble

    def close(self, drain_s: float = DRAIN_S, forget: Sequence[str] = ()) -> list[News]:
        """What waits has a moment to get out; then it is over. Gives what did not. `forget`: cameras that are no
        more."""
        if forget and isinstance(self.output, Announcing):
            self.output.forget(forget)
        self._queue.close()
        if not self._started:
            self.output.close()
        elif not self._ended.wait(0.0 if self.trouble else drain_s):
            self._stop.set()
            if not self._ended.wait(drain_s):
                log.warning("output %s does not let go: it is left behind", self.name)
        under_way = [self._now] if self._now is not None else []
        return [*under_way, *self._first, *iter(self._queue.poll, None)]
