"""What sources of industrial cameras share: options behind the name, the reading, the camera's clock and numbers."""

from __future__ import annotations

import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from irtrack.capture.patience import silence_s
from irtrack.core import AwayError, Clock, Frame, Source, SourceError, SourceInfo, SourceStatus

POLL_S = 0.2

HELP = "write NAME, then ,format=Mono16 ,fps=30 as needed"


@dataclass(frozen=True)
class IndustrialOptions:
    """What `genicam:NAME,key=value` asks for."""

    name: str
    format: str = ""
    fps: float | None = None


def parse(text: str) -> IndustrialOptions:
    """`genicam:NAME,format=Mono16,fps=30` or `aravis:...`; an empty name is the first camera. Raises SourceError."""
    name, *pairs = text.partition(":")[2].split(",")
    given: dict[str, str] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in ("format", "fps") or not value:
            raise SourceError(f"{pair!r} is no option of a camera: {HELP}")
        given[key] = value
    try:
        fps = float(given["fps"]) if "fps" in given else None
    except ValueError:
        raise SourceError(f"fps={given['fps']} is no frame rate: {HELP}") from None
    return IndustrialOptions(name, given.get("format", ""), fps)


def deepest_mono(formats: Sequence[str]) -> str:
    """The grey format with the most bits that needs no unpacking, "" where there is none."""
    mono = [f for f in formats if re.fullmatch(r"Mono\d+", f)]
    return max(mono, key=lambda f: int(f[4:]), default="")


class CameraClock:
    """Frame numbers from 0 and times on this machine's clock, from those of the camera where it has them."""

    def __init__(self) -> None:
        self._first_id: int | None = None
        self._start: tuple[int, float] | None = None
        self._last = -1

    def __call__(self, frame_id: int | None, timestamp_ns: int | None) -> tuple[int, float]:
        """Index and seconds of a frame that arrives now. Numbers that stand still or fall are counted on instead."""
        index = self._last + 1
        if frame_id is not None:
            if self._first_id is None:
                self._first_id = frame_id
            index = max(index, frame_id - self._first_id)
        self._last = index
        now = time.monotonic()
        if not timestamp_ns:
            return index, now
        if self._start is None or timestamp_ns < self._start[0]:
            self._start = (timestamp_ns, now)
        return index, min(now, self._start[1] + (timestamp_ns - self._start[0]) / 1e9)


class IndustrialSource(Source, ABC):
    """A camera that is asked for one buffer after the other; `close` may be called from another thread."""

    live = True

    def __init__(self, text: str) -> None:
        """Connects and waits for a picture. Raises SourceError."""
        self._name, self._options = text, parse(text)
        self.incomplete = 0
        """Pictures that came with parts missing and were left out."""
        self._clock, self._closed, self._reading = CameraClock(), False, threading.Lock()
        try:
            self._connect()
            first = self._next()
            if first is None:
                raise AwayError(f"{text} connects but sends no picture")
        except BaseException:
            self.close()
            raise
        self._first = first
        height, width = first.image.shape
        self.info = SourceInfo(text, width, height, 8 * first.image.dtype.itemsize, self._rate(), None, Clock.ARRIVAL)

    def status(self) -> SourceStatus:
        """How many pictures came incomplete."""
        return SourceStatus(incomplete=self.incomplete)

    @abstractmethod
    def _connect(self) -> None:
        """Find the camera and start it. Raises SourceError."""

    @abstractmethod
    def _rate(self) -> float | None:
        """Its frames a second, where it says."""

    @abstractmethod
    def _poll(self) -> Frame | None:
        """A whole picture if one comes within POLL_S; others are counted. Raises SourceError."""

    @abstractmethod
    def _release(self) -> None:
        """Stop the camera and let go of it, however far `_connect` came."""

    def _next(self) -> Frame | None:
        """The next whole picture; None once closed. Raises SourceError where none comes in time."""
        longest_s = silence_s()
        deadline = time.monotonic() + longest_s
        while not self._closed:
            with self._reading:
                frame = None if self._closed else self._poll()
            if frame is not None:
                return frame
            if time.monotonic() > deadline:
                raise AwayError(f"{self._name} fell silent for {longest_s:g} s: check its cable")
        return None

    def __iter__(self) -> Iterator[Frame]:
        frame: Frame | None = self._first
        while frame is not None:
            yield frame
            frame = self._next()

    def seek(self, index: int) -> None:
        """A camera cannot."""
        raise SourceError("a live camera cannot be sought")

    def close(self) -> None:
        """Give the camera back."""
        if self._closed:
            return
        self._closed = True
        with self._reading:
            self._release()
