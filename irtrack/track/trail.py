"""Past positions of all tracks in one array, where they lie in the scene: when the camera moves, trails move too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, frozen
from irtrack.imaging.motion import is_still, moved, moved_back

Rows = NDArray[np.intp]


class Trails:
    """Positions of the last `length_s` seconds; a row for each track, a column for each frame, shared.

    What is written is never rewritten (a full array is replaced by a new one), so views taken of it stay true.
    """

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._xy = np.empty((64, 64, 2))
        self._time_s = np.empty(64)
        self._born = np.zeros(64, np.intp)  # first column of each row
        self._rows = self._columns = 0

    def add(self, count: int, live: Rows) -> tuple[Rows, Rows]:
        """Rows for `count` new tracks, and the rows of the live ones, which may have moved."""
        if self._rows + count > len(self._xy):
            size = max(64, 2 * (len(live) + count))
            xy, born = np.empty((size, *self._xy.shape[1:])), np.zeros(size, np.intp)
            xy[: len(live)], born[: len(live)] = self._xy[live], self._born[live]
            self._xy, self._born, self._rows = xy, born, len(live)
            live = np.arange(len(live))
        new = np.arange(self._rows, self._rows + count)
        self._rows += count
        self._born[new] = self._columns
        return new, live

    def append(self, rows: Rows, xy: Floats, time_s: float, scene: Floats) -> None:
        """A frame: positions (N, 2) of the tracks in `rows`; `scene` (2, 3) leads from the scene to this frame."""
        if self._columns == len(self._time_s):
            first = int(np.searchsorted(self._time_s, time_s - self._length_s))
            kept = self._columns - first
            grown, times = np.empty((len(self._xy), max(64, 2 * kept), 2)), np.empty(max(64, 2 * kept))
            grown[: self._rows, :kept] = self._xy[: self._rows, first:]
            times[:kept] = self._time_s[first:]
            self._xy, self._time_s, self._columns = grown, times, kept
            self._born = np.maximum(self._born - first, 0)
        self._xy[rows, self._columns] = xy if is_still(scene) else moved_back(scene, xy)
        self._time_s[self._columns] = time_s
        self._columns += 1

    def view(self, rows: Rows, scene: Floats) -> TrailView:
        """These tracks' trails as of the last frame."""
        first = int(np.searchsorted(self._time_s[: self._columns], self._time_s[self._columns - 1] - self._length_s))
        start = np.maximum(self._born[rows], first)
        return TrailView(self._xy, rows, start, self._columns, scene)


class TrailView:
    """Trails of the tracks of one frame, made when asked for."""

    def __init__(self, xy: Floats, rows: Rows, start: Rows, end: int, scene: Floats) -> None:
        self._xy, self._rows, self._start, self._end = xy, rows, start, end
        self._scene = None if is_still(scene) else scene

    def __getitem__(self, track: int) -> Floats:
        """(T, 2) positions as they lie in this frame, oldest first, read-only."""
        xy = self._xy[self._rows[track], self._start[track] : self._end]
        return frozen(xy if self._scene is None else moved(self._scene, xy))
