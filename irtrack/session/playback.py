"""The picture of a recording: it follows the recording's own times, whatever else is being done."""

from __future__ import annotations

import time
from collections.abc import Callable

from irtrack.core import Frame, Source
from irtrack.session.viewer import Viewer

WAIT_S = 0.02
"""The window waits so long for a picture that was gone to before it does other things."""

LATE_S = 0.25
"""A picture that comes later than this sets the clock anew: what a slow disk held up is not hurried after."""


class Playback:
    """Play, pause, step and seek. `tick` gives the picture that is due, or none.

    Decoding goes on in a thread of its own; where that is slower than real time, every picture is shown as it comes;
    where the screen is, pictures are left out.
    """

    live = False

    def __init__(
        self,
        open_source: Callable[[], Source],
        first: Frame | None,
        frames: int | None,
        fps: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.playing = True
        self.loop = False
        self.span: tuple[int, int] | None = None
        """First and last picture that are played, if not all."""
        self.speed: float | None = 1.0
        """As a multiple of real time; None: every picture that is analysed, as soon as it is."""
        self.fps = fps
        self.frame: Frame | None = None
        """The picture on screen."""
        self._viewer = Viewer(open_source)
        self._clock = clock
        self._frames = frames
        self._furthest = 0
        """The last picture that was seen or analysed."""
        self._pending: int | None = None
        self._anchor: tuple[float, float] | None = None
        """A moment of the clock, and the recording's time at that moment."""
        self._first = first

    @property
    def frames(self) -> int | None:
        """How many there are, where that is known: what was found out by reading counts."""
        return self._frames if self._viewer.end is None else self._viewer.end

    def ended_at(self, frames: int) -> None:
        """The recording was read to its end: it has so many pictures."""
        self._frames = frames

    @property
    def position(self) -> int | None:
        """The picture on screen, or on its way there."""
        if self._pending is not None:
            return self._pending
        return self.frame.index if self.frame is not None else None

    @property
    def reach(self) -> tuple[int, int]:
        """First and last picture that can be gone to."""
        return 0, self._furthest if self.frames is None else max(0, self.frames - 1)

    def play(self) -> Frame | None:
        """Go on; at the end, from the start."""
        self.playing, self._anchor = True, None
        last = self.span[1] if self.span else self.reach[1]
        return self.seek(self.span[0] if self.span else 0) if self._at(last) else None

    def pause(self) -> None:
        self.playing = False

    def _at(self, index: int) -> bool:
        return self.frames is not None and self._pending is None and (self.position or 0) >= index

    def set_speed(self, speed: float | None) -> None:
        """Play so many times as fast as it was taken; None follows the analysis."""
        self.speed, self._anchor = speed, None

    def set_span(self, first: int | None, last: int | None) -> None:
        """Play from `first` to `last` only; either may be None for the end of the recording."""
        low, high = self.reach
        if first is None and last is None:
            self.span = None
        else:
            a, b = low if first is None else first, high if last is None else last
            self.span = (min(a, b), max(a, b))

    def step(self, by: int) -> Frame | None:
        """One picture on or back, paused."""
        self.pause()
        return None if self.position is None else self.seek(self.position + by)

    def seek(self, index: int) -> Frame | None:
        """Go to a picture; None where it is on its way, and `tick` will give it. Raises what the source raises."""
        low, high = self.reach
        return self._fetch(max(low, min(index, high)) if self.frames is not None else max(low, index), WAIT_S)

    def _fetch(self, index: int, wait_s: float) -> Frame | None:
        self._pending, self._anchor = index, None
        try:
            frame = self._viewer.get(index, wait_s)
        except Exception:
            self._pending = None
            self.pause()
            raise
        if frame is not None:
            self._show(frame)
        elif self._viewer.end is not None and index >= self._viewer.end:  # there is no such picture
            self._pending = self._viewer.end - 1 if self._viewer.end else None
        return frame

    def _show(self, frame: Frame) -> None:
        self.frame, self._pending = frame, None
        self._furthest = max(self._furthest, frame.index)

    def tick(self, analysed: int | None, over: bool) -> Frame | None:
        """The picture that is due, where that is another one. `analysed`: last picture with results, `over`: no more of
        them will come. Raises what the source raises."""
        self._furthest = max(self._furthest, analysed or 0)
        if self.frame is None and self._first is not None:
            first, self._first = self._first, None
            self._show(first)
            return first
        if self._pending is not None:
            return self._fetch(self._pending, 0.0)
        if not self.playing or self.frame is None:
            return None
        if self._at(self.span[1] if self.span else self.reach[1]):
            return self._turn_round() if self.speed is not None or over else None
        return self._on(analysed, over)

    def _turn_round(self) -> Frame | None:
        """At the end of what is to be played: start over in a loop, else pause."""
        if self.loop:
            return self.seek(self.span[0] if self.span else 0)
        self.pause()
        return None

    def _on(self, analysed: int | None, over: bool) -> Frame | None:
        """The next picture, once it is due."""
        assert self.frame is not None
        at, now = self.frame.index, self._clock()
        try:
            following = self._viewer.get(at + 1)  # and those behind it are read ahead
        except Exception:
            self.pause()
            raise
        if following is None:
            if self._viewer.end is not None and at + 1 >= self._viewer.end:
                return self._turn_round()
            return None
        if self.speed is None:
            if following.index > (-1 if analysed is None else analysed) and not over:
                return None
            self._show(following)
            return following
        if self._anchor is None:
            self._anchor = (now, self.frame.time_s)
        due_s = self._anchor[1] + (now - self._anchor[0]) * self.speed
        frame = self._viewer.latest(at, due_s)
        if frame is None:
            return None
        if self.span is not None and frame.index > self.span[1]:
            frame = following
        if due_s - frame.time_s > LATE_S * self.speed:
            self._anchor = (now, frame.time_s)
        self._show(frame)
        return frame

    def close(self) -> None:
        """End the thread and close the source."""
        self._viewer.close()
