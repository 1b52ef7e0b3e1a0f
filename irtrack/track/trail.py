"""Past positions of a track, kept where they lie in the scene: when the camera moves, a trail moves with it."""

from __future__ import annotations

import numpy as np

from irtrack.core import Floats, frozen

STILL = np.eye(2, 3)


def into_scene(scene: Floats, xy: Floats) -> Floats:
    """Where a point (2,) of this frame lies in the scene; `scene` (2, 3) leads from the scene to this frame."""
    if np.array_equal(scene, STILL):
        return xy
    placed: Floats = np.linalg.solve(scene[:, :2], xy - scene[:, 2]).astype(np.float64)
    return placed


class Trail:
    """Positions of the last `length_s` seconds. Rows are never rewritten, so a view stays true as the trail grows."""

    def __init__(self, length_s: float, xy: Floats, time_s: float, scene: Floats = STILL) -> None:
        self._length_s = length_s
        self._xy, self._time_s = np.empty((16, 2)), np.empty(16)
        self._start = self._end = 0
        self.append(xy, time_s, scene)

    def append(self, xy: Floats, time_s: float, scene: Floats = STILL) -> None:
        """Add a position and let go of what is older than the length."""
        if self._end == len(self._xy):
            kept = self._end - self._start
            grown_xy, grown_time = np.empty((max(16, 2 * kept), 2)), np.empty(max(16, 2 * kept))
            grown_xy[:kept] = self._xy[self._start : self._end]
            grown_time[:kept] = self._time_s[self._start : self._end]
            self._xy, self._time_s, self._start, self._end = grown_xy, grown_time, 0, kept
        self._xy[self._end], self._time_s[self._end] = into_scene(scene, xy), time_s
        self._end += 1
        while self._time_s[self._start] < time_s - self._length_s:
            self._start += 1

    def view(self, scene: Floats = STILL) -> Floats:
        """(T, 2) positions as they lie in this frame, oldest first, read-only; without a copy for a still camera."""
        xy = self._xy[self._start : self._end]
        return frozen(xy if np.array_equal(scene, STILL) else xy @ scene[:, :2].T + scene[:, 2])
