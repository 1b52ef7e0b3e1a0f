"""What lies on the picture: mask, trails, boxes, ellipses of uncertainty, regions, labels. One item for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from irtrack.config import Polygon
from irtrack.core import Floats, Track, TrackStatus
from irtrack.gui.labels import corners_of, placed
from irtrack.gui.lines import Colour, Label, LabelsItem, LinesItem, Stroke, edges, joined
from irtrack.gui.region_item import RegionsItem
from irtrack.imaging.palettes import TABLES
from irtrack.session.shown import Shown
from irtrack.sinks.draw import half_size, identity_colour

MASK_RGB = (255, 60, 60)
LABELS = 100
OLD_S, FAST_PX_S = 20.0, 200.0
"""Age and speed at the hot end of the colours."""

FRESH_S, PALE_S, PALEST = 0.15, 2.0, 0.35
"""Tracks predicted for less than the first are drawn as they are, those for the second and more palest."""

STEPS = 12
"""Colours between new and old, slow and fast: each is drawn with one pen."""

SELECTED_PX = 3.0
"""The frame of the selected track lies so far outside its box."""

CROSS_PX, CROSS_RGB = 5.0, (0, 255, 255)
"""Arms of the cross at a place that was clicked, and its colour."""

SIGMAS = 2.0
"""Ellipses reach this far."""


@dataclass
class Overlays:
    """The items, and what they show. `label_of` names a track; `fps` turns the trails' seconds into points."""

    view: pg.ViewBox
    shown: Shown = field(default_factory=Shown)
    label_of: Callable[[int], str] = str
    fps: float = 30.0

    def __post_init__(self) -> None:
        self.mask = pg.ImageItem()
        self.outline, self.trails, self.boxes = LinesItem(1.5), LinesItem(1.0), LinesItem(1.5)
        self.ellipses, self.chosen, self.cross = LinesItem(1.0), LinesItem(2.0), LinesItem(1.5)
        self.regions, self.region_labels, self.labels = RegionsItem(), LabelsItem(), LabelsItem()
        items = (
            self.mask,
            self.regions,
            self.region_labels,
            self.outline,
            self.trails,
            self.ellipses,
            self.boxes,
            self.chosen,
            self.cross,
            self.labels,
        )
        for z, item in enumerate(items, 1):
            item.setZValue(z)
            self.view.addItem(item, ignoreBounds=True)

    def pale(self, age_s: float) -> None:
        """What was seen so long ago is drawn paler."""
        for item in (self.trails, self.boxes, self.ellipses, self.labels):
            item.setOpacity(1.0 if age_s < FRESH_S else max(PALEST, 1.0 - age_s / PALE_S))

    def clear(self) -> None:
        """Nothing to show; regions stay."""
        self.mask.clear()
        for item in (self.outline, self.trails, self.boxes, self.ellipses, self.chosen):
            item.show_strokes(())
        self.labels.show_labels([], self.view.viewRect())

    def draw(self, mask: NDArray[np.bool_] | None, tracks: Sequence[Track], selected: int | None) -> None:
        """Everything of one frame; `tracks`: the confirmed ones."""
        s = self.shown
        self.draw_mask(mask)
        colours = colours_of(tracks, s.colouring)
        self.trails.show_strokes(self._trails(tracks, colours) if s.trails else ())
        self.boxes.show_strokes(by_colour(tracks, box_outlines) if s.boxes else ())
        self.ellipses.show_strokes(by_colour(tracks, ellipses) if s.ellipses else ())
        chosen = [t for t in tracks if t.id == selected]
        self.chosen.show_strokes([Stroke((255, 255, 255), box_outlines(chosen, SELECTED_PX))] if chosen else ())
        self.draw_labels(tracks, selected)

    def draw_mask(self, mask: NDArray[np.bool_] | None) -> None:
        """Filled pixels, or their outline."""
        there = mask is not None and self.shown.masks and bool(mask.any())
        filled = there and self.shown.mask_style == "fill"
        self.outline.show_strokes([Stroke(MASK_RGB, edges(mask))] if there and not filled and mask is not None else ())
        if not filled or mask is None:
            self.mask.clear()
            return
        rgba = np.zeros((*mask.shape, 4), np.uint8)
        rgba[mask] = (*MASK_RGB, round(2.55 * self.shown.opacity))
        self.mask.setImage(rgba, autoLevels=False, levels=None)

    def draw_labels(self, tracks: Sequence[Track], selected: int | None) -> None:
        """Numbers and names, kept apart; also after a change of the zoom."""
        shown = tracks[:LABELS] if self.shown.labels else ()
        if not shown:
            self.labels.show_labels([], self.view.viewRect())
            return
        texts = [self.label_of(t.id) for t in shown]
        sizes = np.array([self.labels.size_px(text) for text in texts]) * self.view.viewPixelSize()
        halves = np.array([half_size(t) + SELECTED_PX * (t.id == selected) for t in shown])
        corners = corners_of(places(shown) + 0.5, halves, sizes)
        labels = [
            Label(text, *spot, identity_colour(t.id))
            for t, text, spot in zip(shown, texts, placed(corners, sizes.tolist()), strict=True)
            if spot is not None
        ]
        self.labels.show_labels(labels, self.view.viewRect())

    def draw_regions(self, regions: Mapping[str, Sequence[Polygon]], unfinished: Polygon = (), kind: str = "") -> None:
        """Outlines by kind with what they are, and the one that is being drawn."""
        self.regions.show_regions(regions, unfinished, kind)
        self.draw_region_labels()

    def draw_region_labels(self) -> None:
        """What regions are; also after a change of the zoom."""
        self.region_labels.show_labels(self.regions.labels(), self.view.viewRect())

    def draw_cross(self, at: tuple[float, float] | None) -> None:
        """Mark a place, or none."""
        arms = [] if at is None else [np.array(at) + CROSS_PX * np.array(((-1, 0), (1, 0))),
                                      np.array(at) + CROSS_PX * np.array(((0, -1), (0, 1)))]  # fmt: skip
        self.cross.show_strokes([Stroke(CROSS_RGB, joined(arms))])

    @property
    def trail_points(self) -> int:
        """So many points of each trail are shown."""
        return max(2, round(self.shown.trail_s * self.fps))

    def _trails(self, tracks: Sequence[Track], colours: Sequence[Colour]) -> list[Stroke]:
        """A stroke for each colour; those of tracks that coast are dashed."""
        points = self.trail_points
        groups: dict[tuple[Colour, bool], list[Floats]] = {}
        for track, colour in zip(tracks, colours, strict=True):
            groups.setdefault((colour, track.status is TrackStatus.COASTING), []).append(track.trail[-points:])
        return [Stroke(colour, joined(pieces), dashed) for (colour, dashed), pieces in groups.items()]


def colours_of(tracks: Sequence[Track], colouring: str) -> list[Colour]:
    """Of each track's trail: its identity's, or blue (new, slow) to red (old, fast)."""
    if colouring == "identity":
        return [identity_colour(t.id) for t in tracks]
    if colouring == "age":
        share = [t.age_s / OLD_S for t in tracks]
    else:
        share = [float(np.hypot(*t.velocity_px_s.tolist())) / FAST_PX_S for t in tracks]
    table = TABLES["Rainbow"][np.linspace(40, 235, STEPS).astype(int)].tolist()
    return [tuple(table[min(int(s * STEPS), STEPS - 1)]) for s in share]


def places(tracks: Sequence[Track]) -> Floats:
    """Positions (N, 2)."""
    return np.array([t.xy_px for t in tracks])


def by_colour(tracks: Sequence[Track], outlines: Callable[[Sequence[Track]], Floats]) -> list[Stroke]:
    """Outlines of all tracks, one stroke for each colour of identities."""
    groups: dict[Colour, list[Track]] = {}
    for track in tracks:
        groups.setdefault(identity_colour(track.id), []).append(track)
    return [Stroke(colour, outlines(group)) for colour, group in groups.items()]


NAN = (np.nan, np.nan)
CORNERS = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1), NAN])
OPEN_CORNERS = np.array(
    [(-1, -0.4), (-1, -1), (-0.4, -1), NAN, (0.4, -1), (1, -1), (1, -0.4), NAN,
     (1, 0.4), (1, 1), (0.4, 1), NAN, (-0.4, 1), (-1, 1), (-1, 0.4), NAN]
)  # fmt: skip
ANGLES = np.linspace(0, 2 * np.pi, 25)
CIRCLE = np.stack([np.append(np.cos(ANGLES), np.nan), np.append(np.sin(ANGLES), np.nan)], 1)


def box_outlines(tracks: Sequence[Track], grow_px: float = 0.0) -> Floats:
    """Vertices of the boxes, NaN rows between; while coasting the middles of the sides are left open."""
    coasts = [t.status is TrackStatus.COASTING for t in tracks]
    pieces = []
    for shape, wanted in ((CORNERS, False), (OPEN_CORNERS, True)):
        group = [t for t, c in zip(tracks, coasts, strict=True) if c is wanted]
        if group:
            half = np.array([half_size(t) for t in group]) + grow_px
            pieces.append((places(group)[:, None] + shape * half[:, None]).reshape(-1, 2))
    return np.concatenate(pieces)


def ellipses(tracks: Sequence[Track]) -> Floats:
    """Vertices of the ellipses of SIGMAS standard deviations of the positions, NaN rows between."""
    roots = np.linalg.cholesky(np.array([t.covariance[:2, :2] for t in tracks]) + 1e-9 * np.eye(2))
    vertices: Floats = places(tracks)[:, None] + SIGMAS * np.einsum("kj,nij->nki", CIRCLE, roots)
    return vertices.reshape(-1, 2)
