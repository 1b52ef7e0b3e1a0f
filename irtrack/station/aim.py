"""Directions of a camera's tracks, where its pose is known: for events and news."""

from __future__ import annotations

from irtrack.core import FrameResult, Remarks
from irtrack.direction.bearings import Bearing, Bearings
from irtrack.direction.camera import Camera


class Aim:
    """Part of a camera's pipeline, before its events: `of` tells the last direction of a track."""

    def __init__(self, camera: Camera, remarks: Remarks) -> None:
        """`remarks`: what is to be said where the camera may have been turned."""
        self._bearings = Bearings(camera, remarks)
        self._last: dict[int, Bearing] = {}

    def write(self, result: FrameResult) -> None:
        """Take a frame."""
        self._last |= self._bearings(result)

    def of(self, track: int, over: bool) -> dict[str, float]:
        """Columns of its event; none where no direction was known yet. `over`: it is asked for the last time."""
        bearing = self._last.pop(track, None) if over else self._last.get(track)
        return bearing._asdict() if bearing is not None else {}

    def close(self) -> None:
        """Nothing is open."""
