"""Pictures of a recording for going back and forth in it, decoded in a thread of their own: the window never waits.

Results are stored without pictures. A long way from the last key frame takes a decoder longer than the time between two
frames, so it reads ahead of where the operator is, and what it read lately is kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

from irtrack.core import Frame, Source

KEPT_BYTES = 64 << 20
AHEAD = 8
"""Pictures read ahead of the one that was asked for last."""

NEAR = 16
"""A picture so little further on is reached by reading on, without seeking."""


class Viewer:
    """Pictures by number. `open_source` is called in the thread."""

    def __init__(self, open_source: Callable[[], Source]) -> None:
        self._open = open_source
        self._control = threading.Condition()
        self._kept: OrderedDict[int, Frame] = OrderedDict()
        self._bytes = 0
        self._wanted: int | None = None
        self._closing = False
        self._failed: dict[int, Exception] = {}
        self.end: int | None = None
        """Number of the first picture that is not there any more, once it is known."""
        self._skips: dict[int, int] = {}
        """Numbers that the source leaves out, and the one that it goes on with."""
        self._thread = threading.Thread(target=self._work, name="irtrack-view", daemon=True)
        self._thread.start()

    def get(self, index: int, wait_s: float = 0.0) -> Frame | None:
        """A picture, if it is at hand within `wait_s`; else it is on its way, and asking again will give it. Instead of
        one that the source leaves out, the next.

        Raises what the source raised at this picture.
        """
        with self._control:
            index = self._skips.get(index, index)
            self._wanted = index
            self._control.notify_all()
            self._control.wait_for(lambda: index in self._kept or index in self._failed, wait_s)
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
            if index in self._failed:
                self._wanted = None
                raise self._failed.pop(index)
            return None

    def latest(self, after: int, until_s: float) -> Frame | None:
        """Of the pictures at hand that follow `after` one by one: the last whose time is not later than `until_s`."""
        found = None
        with self._control:
            while True:
                following = self._skips.get(after + 1, after + 1)
                frame = self._kept.get(following)
                if frame is None or frame.time_s > until_s:
                    return found
                found, after = frame, following

    def close(self) -> None:
        """End the thread and close the source."""
        with self._control:
            self._closing = True
            self._control.notify_all()
        self._thread.join(10.0)

    def _work(self) -> None:
        source: Source | None = None
        frames: Iterator[Frame] | None = None
        following = -1  # number of the picture that the iterator gives next
        try:
            while True:
                target = self._next_target()
                if target is None:
                    return
                try:
                    if source is None:
                        source = self._open()
                    if frames is None or not following <= target < following + NEAR:
                        let_go(frames)
                        source.seek(target)
                        frames = iter(source)
                    frame = next(frames, None)
                    if frame is None and following > 0:
                        self.end = following
                    following = -1 if frame is None else frame.index + 1
                    self._keep(frame, target)
                    frames = frames if frame is not None else None
                except Exception as error:
                    with self._control:
                        self._failed[target], frames = error, None
                        self._control.notify_all()
        finally:
            let_go(frames)
            if source is not None:
                source.close()

    def _next_target(self) -> int | None:
        """What to read: the picture asked for, or one soon after; waits while all are there. None: the end."""
        with self._control:
            while not self._closing:
                if self._wanted is not None:
                    for index in range(self._wanted, self._wanted + AHEAD):
                        if index not in self._kept and index not in self._failed:
                            return index
                self._control.wait()
            return None

    def _keep(self, frame: Frame | None, target: int) -> None:
        with self._control:
            if frame is None:  # nothing further on: what was asked for stays the goal only if it may still come
                self._wanted = None
            else:
                if frame.index not in self._kept:
                    self._bytes += frame.image.nbytes
                self._kept[frame.index] = frame
                while self._bytes > KEPT_BYTES and len(self._kept) > AHEAD + 1:
                    self._bytes -= self._kept.popitem(last=False)[1].image.nbytes
                if frame.index > target:  # the source has no such picture
                    self._wanted = None
                    self._skips |= dict.fromkeys(range(target, frame.index), frame.index)
            self._control.notify_all()


def let_go(frames: Iterator[Frame] | None) -> None:
    """Close a source's iterator, so that its decoder is free."""
    close = getattr(frames, "close", None)
    if close is not None:
        close()


def frame_at(source: Source, index: int) -> Frame | None:
    """One frame of a recording; lets go of the decoder that found it."""
    source.seek(index)
    iterator = iter(source)
    try:
        return next(iterator, None)
    finally:
        let_go(iterator)
