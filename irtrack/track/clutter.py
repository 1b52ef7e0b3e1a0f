"""The clutter map: where detections come from that are no targets, learned while tracking.

Two things are kept of it. *Visits*: places that detections come back to (compression specks, hot pixels, warm stones).
A track that hops between such places has left where it began, on the sensor and in the scene, and passes for a target.
So each cell of a grid counts how many different unconfirmed tracks had a detection in it lately; a detection where
others have been, more than elsewhere, does not count as a move. *Failures*: regions of the picture where tracks begin
and come to nothing (tree tops, waves, noise): another one that begins there is less likely a target.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.imaging.motion import is_still, moved_back

CELL_PX = 4.0
SIDE = 512
"""Cells a side; the grid repeats beyond that, so that places of a moving scene need no bounds."""

MEMORY_S = 10.0
"""Time in which a visit fades to 1/e."""

ABOVE = 4.0
"""A place is suspect from so many times what the cells around any detection have on average: in even clutter nothing
stands out."""

REGION_PX, REGIONS = 16.0, 128
"""Size of the regions whose failures are counted, and how many there are a side; the grid repeats beyond that."""

FAILURE_MEMORY_S = 20.0
"""Time in which a failure fades to 1/e."""


class ClutterMap:
    """Visits on the sensor and in the scene, and failures. `visitors`: so many others make a place suspect."""

    def __init__(self, visitors: float) -> None:
        self._on_sensor, self._in_scene, self._failures = Visits(visitors), Visits(visitors), Failures()

    def fade(self, dt_s: float) -> None:
        """Let time pass."""
        for each in (self._on_sensor, self._in_scene, self._failures):
            each.fade(dt_s)

    def visited(self, xy: Floats, visitor: NDArray[np.int64], scene: Floats) -> None:
        """Detections (N, 2) of unconfirmed tracks; `scene` (2, 3): from the first frame's scene to this frame."""
        if len(xy):
            self._on_sensor.note(xy, visitor)
            self._in_scene.note(moved_back(scene, xy), visitor)

    def suspect(self, xy: Floats, visitor: NDArray[np.int64], scene: Floats, area_px2: float) -> NDArray[np.bool_]:
        """Whether places (N, 2) lie where others keep turning up, in a frame of this area."""
        if not len(xy):
            return np.zeros(0, bool)
        cells_seen = area_px2 / CELL_PX**2
        found = self._on_sensor.suspect(xy, visitor, cells_seen)
        return found if is_still(scene) else found | self._in_scene.suspect(moved_back(scene, xy), visitor, cells_seen)

    def failed(self, xy: Floats) -> None:
        """Tracks ended here (N, 2) without being believed."""
        self._failures.note(xy)

    def failures(self, xy: Floats) -> Floats:
        """How many did of late, round each place (N,)."""
        return self._failures.near(xy)


class Visits:
    """Visits to the cells of one frame of reference: the sensor's or the scene's."""

    def __init__(self, visitors: float) -> None:
        self._visitors = visitors
        self._visits = np.zeros((SIDE, SIDE))
        self._visitor = np.full((SIDE, SIDE), -1, np.int64)
        self._total = 0.0
        self._scale = 1.0  # of the numbers kept: they fade together, by a growing unit

    def fade(self, dt_s: float) -> None:
        """Let time pass."""
        self._scale *= float(np.exp(min(dt_s / MEMORY_S, 50.0)))
        if self._scale > 1e6:
            self._visits /= self._scale
            self._total /= self._scale
            self._scale = 1.0

    def note(self, xy: Floats, visitor: NDArray[np.int64]) -> None:
        """Detections (N, 2) of unconfirmed tracks with these identities; one that stays counts once."""
        row, column = cells(xy, CELL_PX, SIDE)
        new = self._visitor[row, column] != visitor
        row, column, visitor = row[new], column[new], visitor[new]
        np.add.at(self._visits, (row, column), self._scale)
        self._total += len(row) * self._scale
        self._visitor[row, column] = visitor

    def others(self, xy: Floats, visitor: NDArray[np.int64]) -> Floats:
        """Visits by others to the nine cells round each place (N,)."""
        near = around(cells(xy, CELL_PX, SIDE), SIDE)
        own = self._visitor[near] == visitor[:, None, None]
        return np.maximum(self._visits[near] - own * self._scale, 0.0).sum((1, 2)) / self._scale

    def suspect(self, xy: Floats, visitor: NDArray[np.int64], cells_seen: float) -> NDArray[np.bool_]:
        """Whether others were at each place (N,) more than chance; `cells_seen`: cells of the frame."""
        even = 9 * self._total / self._scale / max(cells_seen, 1.0)
        return self.others(xy, visitor) >= max(self._visitors, ABOVE * even)


class Failures:
    """Tracks that came to nothing, by region of the sensor."""

    def __init__(self) -> None:
        self._count = np.zeros((REGIONS, REGIONS))

    def fade(self, dt_s: float) -> None:
        """Let time pass."""
        self._count *= np.exp(-dt_s / FAILURE_MEMORY_S)

    def note(self, xy: Floats) -> None:
        """Last places (N, 2) of tracks that ended without being believed."""
        np.add.at(self._count, cells(xy, REGION_PX, REGIONS), 1.0)

    def near(self, xy: Floats) -> Floats:
        """How many there were lately in the nine regions round each place (N,)."""
        return np.asarray(self._count[around(cells(xy, REGION_PX, REGIONS), REGIONS)].sum((1, 2)))


Cells = tuple[NDArray[np.int64], NDArray[np.int64]]


def cells(xy: Floats, size_px: float, side: int) -> Cells:
    """Row and column of the cell of each place (N, 2), in a grid of `side` cells of this size that repeats."""
    at = np.floor(xy / size_px).astype(np.int64) % side
    return at[:, 1], at[:, 0]


def around(at: Cells, side: int) -> Cells:
    """Rows and columns of the nine cells (N, 3, 3) round each cell of such a grid."""
    (row, column), step = at, np.arange(-1, 2)
    return (row[:, None, None] + step[:, None]) % side, (column[:, None, None] + step) % side
