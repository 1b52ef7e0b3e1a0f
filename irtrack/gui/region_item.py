"""Regions on the picture: outlines that say what they are, to be moved, changed and deleted singly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPainterPath, QPainterPathStroker
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from irtrack.config import Polygon
from irtrack.gui.lines import Colour, Label, LinesItem, Stroke, joined

REGION_RGB: dict[str, Colour] = {"include": (60, 220, 120), "exclude": (255, 80, 80), "alarm": (255, 176, 0)}
REGION_WORDS = {"include": "look only here", "exclude": "leave out", "alarm": "alarm here"}
GRAB_PX = 8.0
"""A corner or an edge is taken hold of within this, on the screen."""

Outlines = Mapping[str, Sequence[Polygon]]


@dataclass(frozen=True)
class Grip:
    """What is taken hold of: a region by its kind and number there, one of its corners or, with None, all of it; and
    the edge that it was nearest to, by the number of its first corner."""

    kind: str
    number: int
    corner: int | None
    edge: int


class RegionsItem(LinesItem):
    """A corner is dragged, an edge moves the whole region, a right click asks. Places are pixels of the frame.

    `changed` gives kind, number and the corners [(x, y), ...] of a region that was moved; `menu_wanted` a Grip, and
    where on the screen.
    """

    changed = Signal(str, int, list)
    menu_wanted = Signal(object, QPoint)

    def __init__(self) -> None:
        super().__init__(1.5, 0.8)
        self.outlines: Outlines = {}
        self.active = True
        """Whether regions can be taken hold of; not while one is being drawn."""
        self._hovered: Grip | None = None
        self._grip: Grip | None = None
        self._before: Outlines = {}
        """As they were when a drag began."""

    def show_regions(self, outlines: Outlines, unfinished: Polygon = (), kind: str = "") -> None:
        """Outlines by kind, and the one that is being drawn."""
        self.outlines, self.active = outlines, not kind
        strokes = [
            Stroke(REGION_RGB[name], joined([np.array([*outline, outline[0]]) for outline in some]))
            for name, some in outlines.items()
            if some
        ]
        if unfinished:
            strokes.append(Stroke(REGION_RGB[kind], np.array(unfinished), dashed=True))
        self.show_strokes(strokes)

    def labels(self) -> list[Label]:
        """What each region is, at its uppermost corner."""
        out = []
        for kind, some in self.outlines.items():
            for outline in some:
                x, y = min(outline, key=lambda corner: (corner[1], corner[0]))
                out.append(Label(REGION_WORDS[kind], x + 0.5, y + 0.5, REGION_RGB[kind]))
        return out

    def grip_at(self, x: float, y: float) -> Grip | None:
        """What is within reach of a place; a corner before an edge, the nearest first."""
        reach = GRAB_PX * self._pixel()
        best: tuple[float, Grip] | None = None
        for kind, some in self.outlines.items():
            for number, outline in enumerate(some):
                corners = [math.dist(corner, (x, y)) for corner in outline]
                sides = [distance((x, y), a, b) for a, b in zip(outline, (*outline[1:], outline[0]), strict=True)]
                edge = int(np.argmin(sides))
                near = int(np.argmin(corners))
                if corners[near] <= reach:
                    found = (corners[near] - reach, Grip(kind, number, near, edge))  # before any edge
                elif sides[edge] <= reach:
                    found = (sides[edge], Grip(kind, number, None, edge))
                else:
                    continue
                best = found if best is None or found[0] < best[0] else best
        return best[1] if best is not None else None

    def _pixel(self) -> float:
        """A pixel of the screen, in those of the frame."""
        return float(self.pixelLength(pg.Point(1, 0)) or 1.0)

    def shape(self) -> QPainterPath:
        """Where it can be taken hold of."""
        out = QPainterPath()
        if self.active:
            stroker = QPainterPathStroker()
            stroker.setWidth(2 * GRAB_PX * self._pixel())
            for _, path in self._paths:
                out.addPath(stroker.createStroke(path))
        return out

    def boundingRect(self) -> QRectF:
        grow = GRAB_PX * self._pixel() if self._paths else 0.0
        return self._bounds.adjusted(-grow, -grow, grow, grow)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        super().paint(painter, option, widget)
        grip = self._grip or self._hovered
        if grip is None or grip.number >= len(self.outlines.get(grip.kind, ())):
            return
        side = GRAB_PX * self._pixel()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._pen(Stroke(REGION_RGB[grip.kind], np.zeros((0, 2)))).color())
        for x, y in self.outlines[grip.kind][grip.number]:
            painter.drawRect(QRectF(x + 0.5 - side / 2, y + 0.5 - side / 2, side, side))

    # -- the mouse, as pyqtgraph tells it ---------------------------------------------------------------------------

    def hoverEvent(self, event: pg.GraphicsScene.mouseEvents.HoverEvent) -> None:
        at = None if event.isExit() or not self.active else self.grip_at(event.pos().x() - 0.5, event.pos().y() - 0.5)
        if at is not None:
            event.acceptDrags(Qt.MouseButton.LeftButton)
            self.setCursor(Qt.CursorShape.PointingHandCursor if at.corner is not None else Qt.CursorShape.SizeAllCursor)
        if at != self._hovered:
            self._hovered = at
            self.update()

    def mouseDragEvent(self, event: pg.GraphicsScene.mouseEvents.MouseDragEvent) -> None:
        start = event.buttonDownPos()
        if event.isStart():
            taken = event.button() == Qt.MouseButton.LeftButton and self.active
            self._grip = self.grip_at(start.x() - 0.5, start.y() - 0.5) if taken else None
            self._before = self.outlines
        grip = self._grip
        if grip is None:
            event.ignore()
            return
        event.accept()
        by = event.pos() - start
        outline = moved(self._before[grip.kind][grip.number], grip.corner, by)
        some = [outline if i == grip.number else o for i, o in enumerate(self._before[grip.kind])]
        self.show_regions({**self._before, grip.kind: some})
        if event.isFinish():
            self._grip = None
            self.changed.emit(grip.kind, grip.number, list(outline))

    def mouseClickEvent(self, event: pg.GraphicsScene.mouseEvents.MouseClickEvent) -> None:
        grip = self.grip_at(event.pos().x() - 0.5, event.pos().y() - 0.5) if self.active else None
        if grip is None or event.button() != Qt.MouseButton.RightButton:
            event.ignore()
            return
        event.accept()
        self.menu_wanted.emit(grip, event.screenPos().toPoint())


def moved(outline: Polygon, corner: int | None, by: QPointF) -> Polygon:
    """A region with a corner, or all of it, moved."""
    return tuple((x + by.x(), y + by.y()) if corner in (None, i) else (x, y) for i, (x, y) in enumerate(outline))


def distance(at: tuple[float, float], a: tuple[float, float], b: tuple[float, float]) -> float:
    """Of a place from the line between two others."""
    (x, y), (u, v) = (at[0] - a[0], at[1] - a[1]), (b[0] - a[0], b[1] - a[1])
    along = max(0.0, min(1.0, (x * u + y * v) / max(u * u + v * v, 1e-12)))
    return math.hypot(x - along * u, y - along * v)
