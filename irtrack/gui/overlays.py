"""What lies on the picture: mask, trails, boxes, ellipses of uncertainty, regions, labels. One item for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from irtrack.config import Checked, Polygon, option
from irtrack.core import ConfigError, Floats, Track
from irtrack.gui.labels import corners_of, placed
from irtrack.gui.lines import Colour, Label, LabelsItem, LinesItem, Stroke, edges, joined
from irtrack.imaging.palettes import TABLES
from irtrack.sinks.draw import half_size, identity_colour

MASK_RGB = (255, 60, 60)
MASK_STYLES = ("fill", "outline")
COLOURINGS = ("identity", "age", "speed")
REGION_RGB: dict[str, Colour] = {"include": (60, 220, 120), "exclude": (255, 80, 80), "alarm": (255, 176, 0)}
LABELS = 100
OLD_S, FAST_PX_S = 20.0, 200.0
"""Age and speed at the hot end of the colours."""

STEPS = 12
"""Colours between new and old, slow and fast: each is drawn with one pen."""

SIGMAS = 2.0
"""Ellipses reach this far."""


@dataclass(frozen=True)
class Shown(Checked):
    """What is drawn over the picture, and how."""

    masks: bool = option(True, "show masks")
    trails: bool = option(True, "show trails")
    boxes: bool = option(True, "show boxes")
    labels: bool = option(True, "show numbers and names")
    ellipses: bool = option(False, "show where the target may be: two standard deviations")
    legend: bool = option(False, "show the colours of the counts beside the picture")
    opacity: int = option(55, "of the masks", unit="%", low=5, high=100)
    mask_style: str = option("fill", "one of " + ", ".join(MASK_STYLES))
    colouring: str = option("identity", "of trails: one of " + ", ".join(COLOURINGS))
    trail_s: float = option(2.0, "length of trails on the screen", unit="s", low=0.1, high=60.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("mask_style", MASK_STYLES), ("colouring", COLOURINGS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"unknown {name} {getattr(self, name)!r}: it is one of {', '.join(known)}")


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
        self.ellipses, self.chosen, self.regions = LinesItem(1.0), LinesItem(2.0), LinesItem(1.5, 0.8)
        self.labels = LabelsItem()
        items = (
            self.mask,
            self.regions,
            self.outline,
            self.trails,
            self.ellipses,
            self.boxes,
            self.chosen,
            self.labels,
        )
        for z, item in enumerate(items, 1):
            item.setZValue(z)
            self.view.addItem(item, ignoreBounds=True)

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
        self.boxes.show_strokes(by_colour(tracks, box_outline) if s.boxes else ())
        self.ellipses.show_strokes(by_colour(tracks, ellipse) if s.ellipses else ())
        white = [Stroke((255, 255, 255), box_outline(t, 3.0)) for t in tracks if t.id == selected]
        self.chosen.show_strokes(white)
        self.draw_labels(tracks)

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

    def draw_labels(self, tracks: Sequence[Track]) -> None:
        """Numbers and names, kept apart; also after a change of the zoom."""
        shown = tracks[:LABELS] if self.shown.labels else ()
        width, height = self.view.viewPixelSize()
        texts = [self.label_of(t.id) for t in shown]
        sizes = [(w * width, h * height) for w, h in map(self.labels.size_px, texts)]
        options = [corners_of(t.xy_px + 0.5, half_size(t), *size) for t, size in zip(shown, sizes, strict=True)]
        labels = [
            Label(text, *spot, identity_colour(t.id))
            for t, text, spot in zip(shown, texts, placed(options, sizes), strict=True)
            if spot is not None
        ]
        self.labels.show_labels(labels, self.view.viewRect())

    def draw_regions(self, regions: Mapping[str, Sequence[Polygon]], unfinished: Polygon = (), kind: str = "") -> None:
        """Outlines by kind, and the one that is being drawn."""
        strokes = [
            Stroke(REGION_RGB[name], joined([np.array([*outline, outline[0]]) for outline in outlines]))
            for name, outlines in regions.items()
            if outlines
        ]
        if unfinished:
            strokes.append(Stroke(REGION_RGB[kind], np.array(unfinished), dashed=True))
        self.regions.show_strokes(strokes)

    def _trails(self, tracks: Sequence[Track], colours: Sequence[Colour]) -> list[Stroke]:
        """A stroke for each colour; those of tracks that coast are dashed."""
        points = max(2, round(self.shown.trail_s * self.fps))
        groups: dict[tuple[Colour, bool], list[Floats]] = {}
        for track, colour in zip(tracks, colours, strict=True):
            groups.setdefault((colour, track.detection is None), []).append(track.trail[-points:])
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


def by_colour(tracks: Sequence[Track], outline: Callable[[Track], Floats]) -> list[Stroke]:
    """An outline of each track, one stroke for each colour of identities."""
    groups: dict[Colour, list[Floats]] = {}
    for track in tracks:
        groups.setdefault(identity_colour(track.id), []).append(outline(track))
    return [Stroke(colour, joined(pieces)) for colour, pieces in groups.items()]


CORNERS = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)], float)
NAN = (np.nan, np.nan)
OPEN_CORNERS = np.array(
    [(-1, -0.4), (-1, -1), (-0.4, -1), NAN, (0.4, -1), (1, -1), (1, -0.4), NAN,
     (1, 0.4), (1, 1), (0.4, 1), NAN, (-0.4, 1), (-1, 1), (-1, 0.4)], float,
)  # fmt: skip
ANGLES = np.linspace(0, 2 * np.pi, 25)
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)


def box_outline(track: Track, grow_px: float = 0.0) -> Floats:
    """Vertices of a box; while coasting (dashed: pieces apart) the middles of its sides are left open."""
    half = half_size(track) + grow_px
    outline: Floats = track.xy_px + (CORNERS if track.detection is not None else OPEN_CORNERS) * half
    return outline


def ellipse(track: Track) -> Floats:
    """Vertices (25, 2) of the ellipse of SIGMAS standard deviations of the position."""
    root = np.linalg.cholesky(track.covariance[:2, :2] + 1e-9 * np.eye(2))
    vertices: Floats = track.xy_px + SIGMAS * CIRCLE @ root.T
    return vertices
