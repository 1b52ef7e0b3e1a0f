"""What of a frame to look at where there is no time for all of it. Rows, columns and seconds; no pixels are touched.

Places round tracks come first, in every frame; a band of rows of the rest follows in turn. A band is never less than a
fourth of the frame, however little time there is: each needs rows around it that are looked at for nothing, and results
that come later see more than many small ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from irtrack.core import Floats, Tracks

STEP_PX = 32
"""Corners and sides of parts are multiples of this: so the network sees them as it does the whole frame."""

MARGIN_PX = 32
"""What a part needs around it to come out nearly as in the whole frame."""

OVERLAP_PX = 8
"""So much of the margin is kept, so that a target on the seam of two bands is whole in one of them."""

LEAST_TILE_PX, LARGEST_TILE_PX = 96, 256
"""Side of the tiles around tracks, margin included; one that may be further away is looked for in the whole frame."""

REACH, CORE_PX = 2.5, 6.0
"""Standard deviations of a track's place, and room for the target itself, that a tile shows on each side."""

SWERVE_PX_S2 = 150.0
"""Standard deviation of the acceleration that a tile allows for."""

TENTATIVE_TILES = 4
"""Tiles round tracks that are not confirmed, at most: each place that flickers begins one."""

LEAST_PARTS = 4
"""Bands of a frame at most, where their number is not set."""


@dataclass(frozen=True)
class Plan:
    """Parts of a frame: rows `top` to `bottom`, tiles by their corners (row, column) and their side.

    The whole frame is the band from 0 to its height, without tiles.
    """

    top: int
    bottom: int
    tiles: tuple[tuple[int, int], ...] = ()
    side: int = LEAST_TILE_PX


@dataclass
class Expected:
    """Where tracks will be: places (N, 2) and standard deviations (N,) in px; those to be followed come first."""

    xy: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    sigma: Floats = field(default_factory=lambda: np.zeros(0))
    sure: int = 0
    """The first so many are confirmed."""


def expected(tracks: Tracks, dt_s: float) -> Expected:
    """Tracks `dt_s` later, the confirmed first, then those that may become so, the best known first.

    What is known to be fixed needs no following.
    """
    x, P = tracks.x, tracks.P
    sigma = np.sqrt(
        np.maximum(P[:, 0, 0], P[:, 1, 1])
        + dt_s**2 * np.maximum(P[:, 2, 2], P[:, 3, 3])
        + (0.5 * SWERVE_PX_S2 * dt_s**2) ** 2
    )
    order = np.lexsort((sigma, ~tracks.confirmed))
    order = order[tracks.confirmed[order] | ~tracks.fixed[order]]
    xy = x[:, :2] + x[:, 2:] * dt_s
    return Expected(xy[order], sigma[order], int(np.count_nonzero(tracks.confirmed)))


class Scan:
    """Which rows come next, and which tiles with them."""

    def __init__(self, bands: int = 0) -> None:
        """`bands`: look at that many bands in turn; 0 fits them to the time there is."""
        self.bands = bands
        self.next_row = 0
        self.turn = 0
        """Scans that were completed."""

    def plan(self, height: int, width: int, places: Expected, budget_px: float) -> Plan:
        """Parts of a frame of this size (multiples of 32) for about `budget_px` pixels through the network."""
        if height * width <= budget_px and not self.bands:
            return Plan(0, height)
        tiles, side = tiles_round(places, height, width)
        rows = self._rows(height, width, budget_px - len(tiles) * side**2)
        bottom = min(self.next_row + rows, height)
        tiles = tuple(t for t in tiles if not within(t, side, height, self.next_row, bottom))
        cost = cost_px(Plan(self.next_row, bottom, tiles, side), height, width)
        if rows >= height or (cost >= height * width and not self.bands):
            return Plan(0, height)
        return Plan(self.next_row, bottom, tiles, side)

    def _rows(self, height: int, width: int, left_px: float) -> int:
        """Rows of a band."""
        least = up_to_step(height / (self.bands or LEAST_PARTS))
        if self.bands:
            return least
        return max(int(left_px / width - 2 * MARGIN_PX) // STEP_PX * STEP_PX, least)

    def frames(self, height: int, plan: Plan) -> int:
        """In how many frames like this one every place is looked at once."""
        return -(-height // (plan.bottom - plan.top)) if plan.bottom > plan.top else 1

    def advance(self, height: int, plan: Plan) -> bool:
        """A planned frame was looked at; returns whether it ended a scan."""
        ended = plan.bottom >= height
        self.next_row = 0 if ended else plan.bottom
        self.turn += ended
        return ended

    def restart(self) -> None:
        """Begin anew at the top."""
        self.next_row = 0


def cost_px(plan: Plan, height: int, width: int) -> int:
    """Pixels that go through the network."""
    rows = min(plan.bottom + MARGIN_PX, height) - max(plan.top - MARGIN_PX, 0)
    return rows * width + len(plan.tiles) * plan.side**2


def tiles_round(places: Expected, height: int, width: int) -> tuple[tuple[tuple[int, int], ...], int]:
    """Corners (row, column) of the tiles that show these places, and their side."""
    xy, sigma = places.xy, places.sigma
    sides = LEAST_TILE_PX + np.ceil(np.maximum(2 * REACH * (sigma - 1.0), 0) / STEP_PX).astype(int) * STEP_PX
    wanted = ((xy > -CORE_PX) & (xy < [width + CORE_PX, height + CORE_PX])).all(1)
    wanted &= (sides <= LARGEST_TILE_PX) & (np.arange(len(xy)) < places.sure + TENTATIVE_TILES)
    if not wanted.any() or min(height, width) < LEAST_TILE_PX:
        return (), LEAST_TILE_PX
    side = int(min(sides[wanted].max(), height, width))
    corner = np.round((xy[wanted][:, ::-1] - side / 2) / STEP_PX).astype(int) * STEP_PX
    corner = np.clip(corner, 0, [height - side, width - side])
    return tuple((int(r), int(c)) for r, c in np.unique(corner, axis=0)), side


def within(corner: tuple[int, int], side: int, height: int, top: int, bottom: int) -> bool:
    """Whether what is kept of a tile lies in the rows of a band."""
    rows = kept(corner[0], side, height)
    return corner[0] + rows.start >= top and corner[0] + rows.stop <= bottom


def kept(corner: int, side: int, size: int) -> slice:
    """What of a tile is kept along one axis of a frame of this size: less its margin, but for the frame's borders."""
    margin = MARGIN_PX - OVERLAP_PX
    return slice(0 if corner == 0 else margin, side if corner + side >= size else side - margin)


def up_to_step(rows: float) -> int:
    """Rows as the next multiple of 32."""
    return int(-(-rows // STEP_PX)) * STEP_PX


def looked_at(plan: Plan, height: int, width: int) -> Floats:
    """Left, top, width and height (M, 4) of the parts, as `Detections.looked` has them."""
    parts = [(0, plan.top, width, plan.bottom - plan.top)]
    for r, c in plan.tiles:
        rows, columns = kept(r, plan.side, height), kept(c, plan.side, width)
        parts.append((c + columns.start, r + rows.start, columns.stop - columns.start, rows.stop - rows.start))
    return np.array(parts, float) - (0.5, 0.5, 0, 0)
