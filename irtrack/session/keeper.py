"""Keeps what the operator changes within a second of the change: settings, regions, and the open session.

The window's thread looks twice a second whether anything changed; a thread of its own writes, since disks take their
time. A kill loses what was done since the last look.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable
from functools import partial

from irtrack.channel import Channel, Closed
from irtrack.session.keeping import Keeping
from irtrack.session.preferences import Preferences, preferences_path, save_preferences

LOOK_S = 0.5
CLOSE_S = 5.0
"""Longest wait for a disk when a source or the window closes."""

log = logging.getLogger(__name__)


class Keeper:
    """Looks, and hands on what changed."""

    def __init__(
        self, present: Callable[[], Preferences], keeping: Keeping, tell: Callable[[str], object] = lambda text: None
    ) -> None:
        """`present`: the settings of this moment. `tell`: is told what could not be kept, once each."""
        self._present, self._keeping, self._tell = present, keeping, tell
        self._troubles: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._path = preferences_path()
        self._preferences = present()
        """As they were last handed on."""
        self._next_look = 0.0
        self._said: set[str] = set()
        self._work: Channel[Callable[[], object]] = Channel(64)
        self._ended = threading.Event()
        self._busy = False
        """Whether something of the session is still to be written."""
        threading.Thread(target=self._write, name="irtrack-keep", daemon=True).start()

    def look(self, now: float) -> None:
        """Hand on what changed, if it is time to look."""
        if now >= self._next_look:
            self._next_look = now + LOOK_S
            self._look()
            while not self._troubles.empty():
                self._tell(self._troubles.get())

    def _look(self) -> None:
        present = self._present()
        if present != self._preferences:
            self._work.put(partial(save_preferences, present, self._path, self._preferences))
            self._preferences = present
        if not self._busy:  # what comes while a disk is slow is written together
            self._keep(self._keeping.unsaved())

    def _keep(self, write: Callable[[], None] | None) -> None:
        if write is None:
            return

        def done() -> None:
            try:
                write()
            finally:
                self._busy = False

        self._busy = True
        self._work.put(done)

    def _write(self) -> None:
        """The thread: what cannot be written is said once, and the next change is tried again."""
        try:
            while True:
                write = self._work.get()
                try:
                    trouble = str(write() or "")
                except Exception as error:
                    trouble = " ".join(str(error).split())
                if trouble and trouble not in self._said:
                    self._said.add(trouble)
                    log.warning("%s", trouble)
                    self._troubles.put(trouble)
        except Closed:
            pass
        finally:
            self._ended.set()

    def save(self) -> None:
        """Before something is opened that may be of the same recording: all of the session is in its file by now."""
        self._write_all(lambda: (self._keeping.unsaved(),))

    def flush(self) -> None:
        """Before another source is shown, or the window closes: the same, and the file is let go of."""
        self._write_all(lambda: (self._keeping.unsaved(closing=True), self._keeping.end()))

    def _write_all(self, writes: Callable[[], Iterable[Callable[[], None] | None]]) -> None:
        if self._work.closed:
            return
        self._look()
        for write in writes():
            if write is not None:
                self._work.put(write)
        written = threading.Event()
        self._work.put(written.set)
        written.wait(CLOSE_S)

    def close(self) -> None:
        """Write what is left, and end; may be called twice."""
        if self._work.closed:
            return
        self.flush()
        self._work.close()
        if not self._ended.wait(CLOSE_S):
            log.warning("the disk takes too long: the last changes may not be kept")
