"""What tests of a station share: a camera that plays a script, and a detector that needs no network.

The next frame comes when the one before was detected, so that nothing depends on how busy the machine is.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from irtrack.config import Settings
from irtrack.core import AwayError, Clock, Detections, Frame, Image, Source, SourceError, SourceInfo, SourceStatus
from irtrack.imaging.regions import Regions
from irtrack.station import camera as camera_module
from irtrack.station.settings import CameraSettings, ClipSettings, StationSettings, WebSettings

WIDTH, HEIGHT, FPS = 96, 80, 20.0
LONGEST_S = 240.0


def picture(number: int, target: bool) -> Image:
    """Its number stands in its corner (16 bits in two pixels); a target flies in a circle."""
    image = np.full((HEIGHT, WIDTH), 60, np.uint8)
    image[::2, ::3] += 4
    image[0, 0], image[0, 1] = number >> 8 & 255, number & 255
    if target:
        x, y = (round(v) for v in (48 + 25 * np.cos(number / 25), 40 + 25 * np.sin(number / 25)))
        image[y - 1 : y + 2, x - 1 : x + 2] = 250
    return image


def number_of(image: Image) -> int:
    """What `picture` wrote."""
    return int(image[0, 0]) << 8 | int(image[0, 1])


class Script(Source):
    """Frames of `targets` (whether frame i has one), then what `end` does; `seen` paces it."""

    live = True

    def __init__(self, targets: Callable[[int], bool], frames: int | None, end: Exception | None = None) -> None:
        self.info = SourceInfo("script", WIDTH, HEIGHT, 8, FPS, None, Clock.ARRIVAL)
        self._targets, self._frames, self._end = targets, frames, end
        self.seen, self._closed = threading.Semaphore(1), threading.Event()
        self.closed = self.lost = False

    def status(self) -> SourceStatus:
        return SourceStatus(lost=self.lost)

    def __iter__(self) -> Iterator[Frame]:
        number = 0
        while self._frames is None or number < self._frames:
            while not self.seen.acquire(timeout=0.05):
                if self._closed.is_set():
                    return
            if self._closed.is_set():
                return
            yield Frame(number, number / FPS, picture(number, self._targets(number)))
            number += 1
        while not self.seen.acquire(timeout=0.05):
            if self._closed.is_set():
                return
        if self._end is not None:
            raise self._end
        self._closed.wait()

    def stop(self) -> None:
        self._closed.set()

    def close(self) -> None:
        self._closed.set()
        self.closed = True


class Bright:
    """A detector: what is brighter than 200."""

    threshold, min_area_px, regions = 0.5, 1, Regions()

    def __init__(self, source: Source | None) -> None:
        self._seen = source.seen if isinstance(source, Script) else threading.Semaphore()
        self.failing: Exception | None = None
        self.held = threading.Event()
        self.held.set()

    def __call__(self, image: Image) -> Detections:
        self.held.wait()
        if self.failing is not None:
            raise self.failing
        ys, xs = np.nonzero(image[1:] > 200)
        self._seen.release()
        if not len(xs):
            return Detections.empty()
        return Detections.at([[xs.mean(), ys.mean() + 1]], [0.99], [[3.0, 3.0]])


class Cameras:
    """Stands in for `open_source`: what each SOURCE text opens, each time."""

    def __init__(self) -> None:
        self.makers: dict[str, Callable[[int], Source]] = {}
        self.opened: dict[str, list[Source]] = {}
        self.asked: dict[str, int] = {}
        self.detectors: list[Bright] = []
        self._paces: dict[str, threading.Semaphore] = {}

    @classmethod
    def installed(cls, monkeypatch: pytest.MonkeyPatch) -> Cameras:
        """In place of `open_source`, with short waits between deaths and new beginnings."""
        made = cls()
        monkeypatch.setattr(camera_module, "open_source", made.open)
        monkeypatch.setattr(camera_module, "FIRST_WAIT_S", 0.02)
        monkeypatch.setattr(camera_module, "LONGEST_WAIT_S", 0.05)
        return made

    def open(self, text: str, *args: Any) -> Source:
        turn = self.asked[text] = self.asked.get(text, -1) + 1
        if text not in self.makers:
            raise AwayError(f"{text} is away")
        source = self.makers[text](turn)
        if isinstance(source, Script):  # a detector outlives a connection
            source.seen = self._paces.setdefault(text, source.seen)
            while source.seen.acquire(blocking=False):
                pass
            source.seen.release()
        self.opened.setdefault(text, []).append(source)
        return source

    def detector(self, settings: Settings, source: Source) -> Bright:
        if settings.detector.mode == "exact":  # that of a self-test, which sees copies
            return Bright(None)
        self.detectors.append(made := Bright(source))
        return made


def died(text: str = "it broke") -> SourceError:
    return SourceError(text)


def settings_for(folder: Path, *cameras: str, **more: Any) -> StationSettings:
    """A station without pages, raw clips with a second around events."""
    values: dict[str, Any] = {
        "name": "roof",
        "folder": str(folder),
        "clips": ClipSettings(kind="raw", before_s=1.0, after_s=0.5),
        "web": WebSettings(on=False),
        "cameras": tuple(CameraSettings(name=name, source=name) for name in cameras),
    }
    return StationSettings(**(values | more))


def wait_for(what: Callable[[], Any], why: str = "") -> Any:
    """Until it is so; gives what it gave."""
    until = time.monotonic() + LONGEST_S
    while not (found := what()):
        assert time.monotonic() < until, why or "it never came"
        time.sleep(0.02)
    return found


def rows(folder: Path, query: str = "SELECT e.*, r.source FROM events e JOIN runs r ON r.id = e.run") -> list[Any]:
    """Of the station's database, by another connection."""
    base = sqlite3.connect(f"file:{folder / 'events.db'}?mode=ro", uri=True)
    base.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in base.execute(query)]
    finally:
        base.close()
