"""Past positions of a track, handed out as views: no copy for each frame."""

from __future__ import annotations

import numpy as np

from irtrack.core import Floats, frozen


class Trail:
    """Positions of the last `length_s` seconds. Rows are never rewritten, so a view stays true as the trail grows."""

    def __init__(self, length_s: float, xy: Floats, time_s: float) -> None:
        self._length_s = length_s
        self._xy, self._time_s = np.empty((16, 2)), np.empty(16)
        self._start = self._end = 0
        self.append(xy, time_s)

    def append(self, xy: Floats, time_s: float) -> None:
        """Add a position and let go of what is older than the length."""
        if self._end == len(self._xy):
            kept = self._end - self._start
            grown_xy, grown_time = np.empty((max(16, 2 * kept), 2)), np.empty(max(16, 2 * kept))
            grown_xy[:kept] = self._xy[self._start : self._end]
            grown_time[:kept] = self._time_s[self._start : self._end]
            self._xy, self._time_s, self._start, self._end = grown_xy, grown_time, 0, kept
        self._xy[self._end], self._time_s[self._end] = xy, time_s
        self._end += 1
        while self._time_s[self._start] < time_s - self._length_s:
            self._start += 1

    def view(self) -> Floats:
        """(T, 2) positions, oldest first, read-only."""
        return frozen(self._xy[self._start : self._end])
