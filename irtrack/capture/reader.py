"""A live source opened and read in a thread of its own, so that whoever waits for its frames can stop waiting.

Libraries wait for a camera (its address, its answer, its next picture) where nothing can wake them. The thread is left
behind then: it lets go of the source as soon as the library returns, and ends.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from irtrack.capture.patience import SILENCE_S, be_patient
from irtrack.channel import Channel, Closed
from irtrack.core import AwayError, Frame, Source, SourceError

OPEN_S = 12.0
"""Longest wait for a connection; sources give up sooner, but for what no library bounds (looking up a name)."""

CLOSE_S = 0.5
"""A reader that is closed has so long to let go of its camera, so that it can be opened again at once."""

LOOK_S = 0.05
"""While a camera is connected, it is looked so often whether anybody still wants it."""

AHEAD = 16
"""Frames that may wait to be taken. They never do for long: who takes them only hands them on."""


class Reader:
    """Frames of the source that `open_` gives. Used by one thread; `stop` may be called by any."""

    def __init__(self, open_: Callable[[], Source], name: str, silence_s: float | None = None) -> None:
        """`name`: what errors call it. `silence_s`: a camera that sends nothing for so long is lost."""
        self._open, self._name, self._silence_s = open_, name, SILENCE_S if silence_s is None else silence_s
        self._opened: Channel[Source] = Channel(1)
        self._frames: Channel[Frame] = Channel(AHEAD)
        self._error: BaseException | None = None
        self._wanted = False
        self._ended = threading.Event()
        threading.Thread(target=self._read, name="irtrack-reader", daemon=True).start()

    def _read(self) -> None:
        source: Source | None = None
        try:
            be_patient(self._silence_s)
            source = self._open()
            self._opened.put(source)
            for frame in source:
                self._hand_on(frame)
        except Closed:
            pass
        except BaseException as error:
            self._error = error
        finally:
            # Who waits is told first: giving a camera back may take its time.
            self._opened.close()
            self._frames.close()
            if source is not None:
                with contextlib.suppress(Exception):
                    source.close()
            self._ended.set()

    def _hand_on(self, frame: Frame) -> None:
        while not self._wanted:  # while a network is loaded, say: the newest stay
            if self._frames.offer(frame):
                return
            self._frames.poll()
        self._frames.put(frame)

    def source(self, stopped: Callable[[], bool]) -> Source:
        """The source, once it is connected; `stopped` is asked while that takes. Raises SourceError, and Closed."""
        longest_s = OPEN_S + max(0.0, self._silence_s - SILENCE_S)
        until = time.monotonic() + longest_s
        while not stopped():
            try:
                return self._opened.get(LOOK_S)
            except TimeoutError:
                if time.monotonic() > until:
                    self.stop()
                    raise AwayError(f"{self._name} gives no answer for {longest_s:g} s") from None
            except Closed:
                break
        self.stop()
        raise self._error or Closed

    def __iter__(self) -> Iterator[Frame]:
        """Frames up to the end, a silence or a stop. Raises SourceError."""
        self._wanted = True
        while True:
            try:
                yield self._frames.get(self._silence_s)
            except TimeoutError:
                raise SourceError(f"{self._name} fell silent for {self._silence_s:g} s") from None
            except Closed:
                if self._error is not None:
                    raise self._error from None
                return

    def stop(self) -> None:
        """Wake whoever waits; returns at once."""
        self._opened.close(discard=True)
        self._frames.close(discard=True)

    def close(self) -> None:
        """Stop, and wait a moment for the camera to be let go of."""
        self.stop()
        self._ended.wait(CLOSE_S)
