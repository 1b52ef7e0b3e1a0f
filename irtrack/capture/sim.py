"""Simulated scenes as a source: `sim:NAME` or `sim:NAME,seed=3,frames=200`; as a camera, `simcam:NAME`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import count

from irtrack.core import Clock, ConfigError, Frame, Source, SourceError, SourceInfo, frozen
from irtrack.simulate import SCENES, Scene, scene_from_text


class SimSource(Source):
    """A scene of `irtrack.simulate`; `scene` gives its exact truth."""

    live = False

    def __init__(self, text: str) -> None:
        """`text`: a scene's name and settings. Raises SourceError."""
        self.scene = scene_of(text)
        self._next = 0
        s = self.scene.settings
        self.info = SourceInfo(f"sim:{text}", s.width, s.height, s.bits, s.fps, s.frames, Clock.SCENE)

    def __iter__(self) -> Iterator[Frame]:
        while self._next < self.scene.settings.frames:
            index, self._next = self._next, self._next + 1
            yield Frame(index, index / self.scene.settings.fps, frozen(self.scene.image(index)))

    def seek(self, index: int) -> None:
        """Continue at frame `index`. Raises SourceError outside the scene."""
        if not 0 <= index < self.scene.settings.frames:
            raise SourceError(f"frame {index} is outside the scene of {self.scene.settings.frames}")
        self._next = index

    def close(self) -> None:
        """Nothing to give back."""


class SimCamera(Source):
    """The same as a camera: a frame is delivered when it is due, whether or not anybody is ready for it.

    The scene goes forth and back, so that nothing jumps, for `frames` frames or until it is closed.
    """

    live = True

    def __init__(self, text: str, frames: int | None = None) -> None:
        """Renders the scene beforehand. Raises SourceError."""
        scene = scene_of(text)
        s = scene.settings
        self.pictures = [frozen(scene.image(i)) for i in range(s.frames)]
        self._frames, self._closed = frames, threading.Event()
        self.info = SourceInfo(f"simcam:{text}", s.width, s.height, s.bits, s.fps, None, Clock.ARRIVAL)

    def __iter__(self) -> Iterator[Frame]:
        fps, n = self.info.fps or 30.0, len(self.pictures)
        start = time.monotonic()
        for i in count():
            if i == self._frames or self._closed.wait(max(0.0, start + i / fps - time.monotonic())):
                return
            k = i % (2 * n)
            yield Frame(i, start + i / fps, self.pictures[k if k < n else 2 * n - 1 - k])

    def seek(self, index: int) -> None:
        """Raises SourceError: a camera has no past."""
        raise SourceError("a camera cannot seek")

    def stop(self) -> None:
        """Ends the iteration."""
        self._closed.set()

    def close(self) -> None:
        """Ends the iteration."""
        self._closed.set()


def scene_of(text: str) -> Scene:
    """The scene of a text. Raises SourceError."""
    try:
        return Scene(scene_from_text(text))
    except ConfigError as error:
        raise SourceError(f"sim:{text}: {error}; the scenes are {', '.join(SCENES)}") from error
