"""The picture of a camera: at the camera's own rate, and back through what memory holds."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable

from irtrack.core import Frame

KEPT_BYTES = 768 << 20
"""Memory for pictures gone by: 77 s of 640x512 pixels of 8 bits at 30 a second."""

KEPT_S = 300.0
"""And no longer than this."""


class Reel:
    """Takes every picture of a camera in the capture thread, and keeps the last of them."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self.count = 0
        """Pictures so far."""
        self.newest_at = 0.0
        """When the newest came, on the monotonic clock."""

    def __call__(self, frame: Frame) -> None:
        """Take one; returns at once."""
        with self._lock:
            self._frames.append(frame)
            self._bytes += frame.image.nbytes
            self.count += 1
            self.newest_at = time.monotonic()
            while len(self._frames) > 1 and (
                self._bytes > self._kept_bytes or frame.time_s - self._frames[0].time_s > KEPT_S
            ):
                self._bytes -= self._frames.popleft().image.nbytes

    @property
    def newest(self) -> Frame | None:
        """The last one that came."""
        with self._lock:
            return self._frames[-1] if self._frames else None

    @property
    def reach(self) -> tuple[int, int]:
        """Numbers of the first and the last that are kept."""
        with self._lock:
            return (self._frames[0].index, self._frames[-1].index) if self._frames else (0, 0)

    @property
    def seconds(self) -> float:
        """So far it goes back."""
        with self._lock:
            return self._frames[-1].time_s - self._frames[0].time_s if self._frames else 0.0

    def near(self, index: int, by: int = 0) -> Frame | None:
        """The picture of a number, or the next one that is kept; `by`: so many further on or back from there."""
        with self._lock:
            if not self._frames:
                return None
            at = bisect_left(self._frames, index, key=lambda f: f.index) + by
            return self._frames[max(0, min(at, len(self._frames) - 1))]

    def close(self) -> None:
        """The camera is closed: what is kept stays until it is let go of."""


class LiveView:
    """The newest picture, or one that is held fast while the camera goes on."""

    live = True
    loop = False
    span: tuple[int, int] | None = None
    speed: float | None = 1.0
    frames: int | None = None

    def __init__(self, reel: Reel, fps: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.reel, self.fps = reel, fps
        self.playing = True
        """False while a picture is held fast."""
        self.frame: Frame | None = None
        self._clock = clock

    @property
    def position(self) -> int | None:
        """The picture on screen."""
        return self.frame.index if self.frame is not None else None

    @property
    def reach(self) -> tuple[int, int]:
        """First and last picture that can be gone to."""
        return self.reel.reach

    @property
    def behind_s(self) -> float:
        """So long ago was what is on screen, against the newest."""
        newest = self.reel.newest
        return newest.time_s - self.frame.time_s if newest is not None and self.frame is not None else 0.0

    def play(self) -> Frame | None:
        """Back to the newest picture."""
        self.playing = True
        return self._show(self.reel.newest)

    def pause(self) -> None:
        """Hold the picture on screen fast."""
        self.playing = False

    def step(self, by: int) -> Frame | None:
        """One picture on or back, held fast."""
        self.pause()
        return None if self.frame is None else self._show(self.reel.near(self.frame.index, by))

    def seek(self, index: int) -> Frame | None:
        """Hold another picture fast."""
        self.pause()
        return self._show(self.reel.near(index))

    def _show(self, frame: Frame | None) -> Frame | None:
        if frame is None or frame is self.frame:
            return None
        self.frame = frame
        return frame

    def tick(self, analysed: int | None, over: bool) -> Frame | None:
        """The newest picture, where that is another one.

        While analysis keeps up, so that its result is there before the next picture comes, a picture waits for it:
        then marks lie on the picture that they belong to.
        """
        newest = self.reel.newest
        if not self.playing or newest is None or newest is self.frame:
            return None
        keeps_up = self.frame is not None and analysed == self.frame.index == newest.index - 1
        if keeps_up and not over and self._clock() - self.reel.newest_at < 1 / self.fps:
            return None
        return self._show(newest)

    def close(self) -> None:
        """Nothing to end: the reel is fed by the capture."""
