"""Keeps what the operator changes within a second of the change: settings, regions, and edits of tracks.

The window's thread looks twice a second whether anything changed; a thread of its own writes, since disks take their
time. A kill loses what was done since the last look.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from irtrack.channel import Channel, Closed
from irtrack.session.autosave import Autosave
from irtrack.session.edits import Edits
from irtrack.session.habits import Habits, habits_path, save_habits
from irtrack.session.memory import Memory

LOOK_S = 0.5
CLOSE_S = 5.0
"""Longest wait for a disk when the window closes."""

log = logging.getLogger(__name__)


class Keeper:
    """Looks, and hands on what changed."""

    def __init__(self, present: Callable[[], Habits], autosave: Autosave, memory: Memory) -> None:
        """`present`: the settings of this moment."""
        self._present, self._autosave, self._memory = present, autosave, memory
        self._path = habits_path()
        self._habits = present()
        """As they were last handed on."""
        self._edits = Edits()
        self._next_look = 0.0
        self._said: set[str] = set()
        self._work: Channel[Callable[[], object]] = Channel(64)
        self._ended = threading.Event()
        threading.Thread(target=self._write, name="irtrack-keep", daemon=True).start()

    def look(self, now: float) -> None:
        """Hand on what changed, if it is time to look."""
        if now >= self._next_look:
            self._next_look = now + LOOK_S
            self._look()

    def _look(self) -> None:
        present = self._present()
        if present != self._habits:
            self._work.put(partial(save_habits, present, self._path, self._habits))
            self._habits = present
        remember = self._memory.unsaved()
        if remember is not None:
            self._work.put(remember)
        unsaved = self._autosave.unsaved()
        if unsaved is not None and unsaved[0] != self._edits:
            self._edits = unsaved[0]
            self._work.put(unsaved[1])

    def _write(self) -> None:
        """The thread: what cannot be written is said once, and the next change is tried again."""
        try:
            while True:
                write = self._work.get()
                try:
                    trouble = str(write() or "")
                except Exception as error:
                    trouble = f"edited tracks could not be saved: {' '.join(str(error).split())}"
                if trouble and trouble not in self._said:
                    self._said.add(trouble)
                    log.warning("%s", trouble)
        except Closed:
            pass
        finally:
            self._ended.set()

    def flush(self) -> None:
        """Before another source is opened, or the window closes: its edits are saved with the tracks of this moment."""
        if self._work.closed:
            return
        self._look()
        unsaved = self._autosave.unsaved()
        if unsaved is not None and unsaved[0] != Edits():
            self._work.put(unsaved[1])
        self._edits = Edits()

    def close(self) -> None:
        """Write what is left, and end; may be called twice."""
        if self._work.closed:
            return
        self.flush()
        self._work.close()
        if not self._ended.wait(CLOSE_S):
            log.warning("the disk takes too long: the last changes may not be kept")
