"""A camera that may go away and come back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from enum import StrEnum

from irtrack.core import Frame, Source, SourceError

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0
"""Between attempts to connect; the wait doubles."""

log = logging.getLogger(__name__)


class Connection(StrEnum):
    """How a live source stands."""

    LIVE = "live"
    RECONNECTING = "reconnecting"


class ReconnectingSource:
    """A live source that is opened again when it ends, falls silent or breaks; frame numbers leave a gap then.

    After `give_up_s` without a picture, iteration raises the SourceError of the last attempt.
    """

    live = True

    def __init__(self, source: Source, reopen: Callable[[], Source], give_up_s: float) -> None:
        self.source, self._reopen, self._give_up_s = source, reopen, give_up_s
        self.info = source.info
        self.state = Connection.LIVE
        self.lost = 0
        """How often the connection was lost."""
        self._closing = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        index, first_of_connection = 0, 0
        while not self._closing.is_set():
            why: SourceError
            try:
                for frame in self.source:
                    self.state = Connection.LIVE
                    index = first_of_connection + frame.index
                    yield Frame(index, frame.time_s, frame.image)
                why = SourceError(f"{self.info.name} ended")
            except SourceError as error:
                why = error
            if self._closing.is_set():
                return
            self.lost += 1
            lost_s = time.monotonic()
            log.warning("%s; connecting again", why)
            self._connect_again(why)
            away_s = time.monotonic() - lost_s
            first_of_connection = index + 1 + max(1, round(away_s * (self.info.fps or 30.0)))

    def _connect_again(self, why: SourceError) -> None:
        """Until there is a picture, closed or given up."""
        self.state = Connection.RECONNECTING
        self.source.close()
        start, wait = time.monotonic(), FIRST_WAIT_S
        while not self._closing.wait(wait):
            try:
                source = self._reopen()
            except SourceError as error:
                why, wait = error, min(2 * wait, LONGEST_WAIT_S)
                if time.monotonic() - start >= self._give_up_s:
                    raise SourceError(f"{why}; given up after {self._give_up_s:g} s") from error
                continue
            if (source.info.width, source.info.height) != (self.info.width, self.info.height):
                source.close()
                raise SourceError(
                    f"{self.info.name} came back with {source.info.width}x{source.info.height} pixels instead of "
                    f"{self.info.width}x{self.info.height}: start anew"
                )
            self.source = source
            log.warning("%s is back", self.info.name)
            return

    def seek(self, index: int) -> None:
        """A camera cannot."""
        self.source.seek(index)

    def close(self) -> None:
        """End it, also while it waits to connect."""
        self._closing.set()
        self.source.close()
