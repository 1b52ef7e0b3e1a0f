"""A camera that may go away and come back, send a picture that is none, or change its pictures."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum

from irtrack.capture.reader import LOOK_S, Reader
from irtrack.channel import Closed
from irtrack.core import AwayError, Frame, Remarks, Source, SourceError, SourceStatus

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0
"""Between attempts to connect; the wait doubles."""

SETTLED = 3
"""So many pictures of a new size in a row are a camera that changed; fewer are odd ones, and left out."""

ODD = "a picture of another size than the camera's was left out"
LOST = "the camera was lost, and connected again"

log = logging.getLogger(__name__)


class Connection(StrEnum):
    """How a live source stands."""

    LIVE = "live"
    RECONNECTING = "reconnecting"


class ReconnectingSource(Source):
    """A live source that is opened again when it ends, falls silent or breaks; frame numbers leave a gap then.

    Every wait, for the connection or a picture, ends with `stop`. A new connection and a change of the pictures' size
    or depth are one kind of event: `Frame.connection` counts them. After `give_up_s` without a picture, iteration
    raises the SourceError of the last attempt; with 0 it ends, or raises, as soon as the source does.
    """

    live = True

    def __init__(
        self,
        open_: Callable[[], Source],
        name: str,
        give_up_s: float,
        wait_s: float = 0.0,
        cancelled: Callable[[], bool] = lambda: False,
        silence_s: float | None = None,
    ) -> None:
        """Connects; a camera that is away is waited for up to `wait_s`. `cancelled` is asked all the while.

        `name`: what errors call it. `silence_s`: a camera that sends nothing for so long is lost.

        Raises SourceError.
        """
        self._open, self._name, self._give_up_s = open_, name, give_up_s
        self._closing, self._cancelled, self._silence_s = threading.Event(), cancelled, silence_s
        self.state = Connection.RECONNECTING
        self.lost = 0
        """How often the connection was lost."""
        self._started, self._start_s = datetime.now(UTC), time.monotonic()  # the seconds of its frames count from here
        self._reader, self.source = self._first(wait_s)
        self.info = self.source.info
        self.state = Connection.LIVE

    def status(self) -> SourceStatus:
        """As the source since it was connected, whether it is away, and since when its seconds count."""
        return replace(self.source.status(), lost=self.state is Connection.RECONNECTING, started=self._started)

    def __iter__(self) -> Iterator[Frame]:
        index, start, connection, kind = -1, 0, 0, None
        while not self._closing.is_set():
            why: SourceError | None = None
            again, first = index >= 0, -1
            try:
                for frame in settled(self._reader, self.info.remarks):
                    changed = kind is not None and kind_of(frame) != kind
                    if changed:
                        self._say_change(kind, kind_of(frame))
                    connection += again or changed
                    first = frame.index if first < 0 else first
                    again, kind, index = False, kind_of(frame), start + frame.index - first
                    self.state = Connection.LIVE
                    time_s = frame.time_s - self._start_s
                    yield replace(frame, index=index, time_s=time_s, connection=connection)
            except SourceError as error:
                why = error
            finally:
                if self.source.info.remarks is not self.info.remarks:
                    self.info.remarks.take(self.source.info.remarks)
            if self._closing.is_set() or (why is None and not self._give_up_s):
                return
            why = why or SourceError(f"{self.info.name} ended")
            if not self._give_up_s:
                raise why
            lost_s = time.monotonic()
            if not self._connect_again(why):
                return
            start = index + 1 + max(1, round((time.monotonic() - lost_s) * (self.info.fps or 30.0)))

    def _say_change(self, before: Kind | None, now: Kind) -> None:
        assert before is not None
        was, is_ = (f"{width}x{height} pixels of {8 * depth} bits" for (height, width), depth in (before, now))
        text = f"the pictures changed from {was} to {is_}: tracks start afresh, files are numbered on as OUT.part2"
        self.info.remarks.add(text)
        log.warning("%s: %s", self.info.name, text)

    def _first(self, wait_s: float) -> tuple[Reader, Source]:
        """Connected for the first time. What can never be right is raised at once, a camera that is away waited for."""
        until, wait, said = time.monotonic() + wait_s, FIRST_WAIT_S, False
        while True:
            reader = Reader(self._open, self._name, self._silence_s)
            try:
                return reader, reader.source(self._cancelled)
            except Closed:
                raise SourceError("stopped while connecting") from None
            except AwayError as error:
                left = until - time.monotonic()
                if left <= 0:
                    raise SourceError(f"{error}; given up after {wait_s:g} s" if wait_s else str(error)) from error
                if not said:
                    log.warning("%s; waiting for it, up to %g s", error, wait_s)
                said = True
            self._pause(min(wait, left))
            wait = min(2 * wait, LONGEST_WAIT_S)

    def _connect_again(self, why: SourceError) -> bool:
        """Until there is a picture; False once stopped. Raises SourceError when it is given up."""
        self.state = Connection.RECONNECTING
        self.lost += 1
        self.info.remarks.add(LOST)
        log.warning("%s; connecting again", why)
        self._reader.close()
        until, wait = time.monotonic() + self._give_up_s, FIRST_WAIT_S
        while True:
            self._pause(min(wait, max(0.0, until - time.monotonic())))
            if self._closing.is_set():
                return False
            self._reader = Reader(self._open, self._name, self._silence_s)
            if self._closing.is_set():  # `stop` may have met the reader before this one
                self._reader.stop()
            try:
                self.source = self._reader.source(self._closing.is_set)
            except Closed:
                return False
            except SourceError as error:
                if time.monotonic() >= until:
                    raise SourceError(f"{error}; given up after {self._give_up_s:g} s") from error
                wait = min(2 * wait, LONGEST_WAIT_S)
                continue
            log.warning("%s is back", self.info.name)
            return True

    def _pause(self, seconds: float) -> None:
        """Wait, unless it is stopped or cancelled."""
        until = time.monotonic() + seconds
        while not self._cancelled() and (left := until - time.monotonic()) > 0:
            if self._closing.wait(min(left, LOOK_S)):
                return

    def seek(self, index: int) -> None:
        """A camera cannot."""
        raise SourceError("a live source cannot seek: it has no past")

    def stop(self) -> None:
        """End every wait; returns at once."""
        self._closing.set()
        self._reader.stop()

    def close(self) -> None:
        """End it, whatever it waits for."""
        self._closing.set()
        self._reader.close()


Kind = tuple[tuple[int, ...], int]
"""Shape and bytes of a pixel."""


def kind_of(frame: Frame) -> Kind:
    """What a camera may change."""
    return frame.image.shape, frame.image.dtype.itemsize


def settled(frames: Iterable[Frame], remarks: Remarks) -> Iterator[Frame]:
    """Frames without the odd ones: another kind of picture is held until it is one of `SETTLED` in a row."""
    kind: Kind | None = None
    held: list[Frame] = []
    for frame in frames:
        this = kind_of(frame)
        if held and kind_of(held[0]) != this:
            remarks.add(ODD, len(held))
            held.clear()
        if kind is not None and this != kind:
            held.append(frame)
            if len(held) < SETTLED:
                continue
        kind = this
        yield from held or [frame]
        held.clear()
    if held:
        remarks.add(ODD, len(held))
