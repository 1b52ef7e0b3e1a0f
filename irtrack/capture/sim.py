"""Simulated scenes as a source: `sim:NAME` or `sim:NAME,seed=3,frames=200`."""

from __future__ import annotations

from collections.abc import Iterator

from irtrack.core import ConfigError, Frame, SourceError, SourceInfo, frozen
from irtrack.simulate import SCENES, Scene, scene_from_text


class SimSource:
    """A scene of `simulate.py`; `scene` gives its exact truth."""

    live = False

    def __init__(self, text: str) -> None:
        """`text`: a scene's name and settings. Raises SourceError."""
        try:
            settings = scene_from_text(text)
        except ConfigError as error:
            raise SourceError(f"sim:{text}: {error}; the scenes are {', '.join(SCENES)}") from error
        self.scene = Scene(settings)
        self._next = 0
        s = settings
        self.info = SourceInfo(f"sim:{text}", s.width, s.height, s.bits, s.fps, s.frames)

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
