"""Graphics items that draw many lines or many words as one item, whatever their number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPen, QPixmap
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from irtrack.core import Floats

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Stroke:
    """Polylines of one pen: vertices (N, 2) in pixels of the frame, with NaN rows between polylines."""

    colour: Colour
    vertices: Floats
    dashed: bool = False


class LinesItem(pg.GraphicsObject):  # type: ignore[misc]
    """All polylines of a kind. Pixel centres lie at + 0.5 in the view."""

    def __init__(self, width: float = 1.0, opacity: float = 1.0) -> None:
        super().__init__()
        self._width = width
        self.setOpacity(opacity)
        self._paths: list[tuple[QPen, QPainterPath]] = []
        self._bounds = QRectF()
        self._pens: dict[tuple[Colour, bool], QPen] = {}

    def show_strokes(self, strokes: Sequence[Stroke]) -> None:
        """Replace what is drawn."""
        filled = [s for s in strokes if len(s.vertices)]
        if not filled and not self._paths:
            return
        self.prepareGeometryChange()
        self._paths = [(self._pen(s), path_of(s.vertices)) for s in filled]
        bounds = QRectF()
        for _, path in self._paths:
            bounds = bounds.united(path.boundingRect())
        self._bounds = bounds.adjusted(-2, -2, 2, 2) if self._paths else QRectF()
        self.update()

    def _pen(self, stroke: Stroke) -> QPen:
        key = (stroke.colour, stroke.dashed)
        if key not in self._pens:
            pen = QPen(QColor(*stroke.colour), self._width)
            pen.setCosmetic(True)
            if stroke.dashed:
                pen.setStyle(Qt.PenStyle.DashLine)
            self._pens[key] = pen
        return self._pens[key]

    def boundingRect(self) -> QRectF:
        return self._bounds

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        for pen, path in self._paths:
            painter.setPen(pen)
            painter.drawPath(path)


def path_of(vertices: Floats) -> QPainterPath:
    """Polylines (N, 2) with NaN rows between as a path in view coordinates."""
    x, y = vertices[:, 0] + 0.5, vertices[:, 1] + 0.5
    path: QPainterPath = pg.arrayToQPath(np.ascontiguousarray(x), np.ascontiguousarray(y), connect="finite")
    return path


def joined(pieces: Sequence[Floats]) -> Floats:
    """Polylines (T, 2) as one array with a NaN row behind each."""
    if not pieces:
        return np.zeros((0, 2))
    gap = np.full((1, 2), np.nan)
    return np.concatenate([p for piece in pieces for p in (piece, gap)])


def edges(mask: NDArray[np.bool_]) -> Floats:
    """Outline of a mask along the borders of its pixels: pieces (3 S, 2), each of two ends and a NaN row."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return np.zeros((0, 2))
    top, left = rows[0], columns[0]
    part = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    r, c = np.nonzero(part[:, 1:] != part[:, :-1])  # between columns c and c + 1 of the padded part
    upright = np.stack([c - 0.5, r - 1.5, c - 0.5, r - 0.5], 1)
    r, c = np.nonzero(part[1:] != part[:-1])
    level = np.stack([c - 1.5, r - 0.5, c - 0.5, r - 0.5], 1)
    ends = np.concatenate([upright, level]).reshape(-1, 2, 2) + np.array((left, top))
    return np.concatenate([ends, np.full((len(ends), 1, 2), np.nan)], 1).reshape(-1, 2)


HALO = QColor(0, 0, 0, 190)
ROUND = tuple(QPointF(x, y) for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0) if x or y)
"""A word is drawn dark all round first, so that it reads on any grey."""

KEPT_WORDS = 500


@dataclass(frozen=True, slots=True)
class Label:
    """A word whose lower left corner lies at (x, y) of the view."""

    text: str
    x: float
    y: float
    colour: Colour


class LabelsItem(pg.GraphicsObject):  # type: ignore[misc]
    """Words of a constant size on the screen, whatever the zoom."""

    def __init__(self) -> None:
        super().__init__()
        self.font = QFont()
        self.font.setPointSizeF(9.0)
        self.font.setWeight(QFont.Weight.DemiBold)  # thin strokes drown in their halo
        self._metrics = QFontMetricsF(self.font)
        self._sizes: dict[str, tuple[float, float]] = {}
        self._words: dict[tuple[str, Colour, float], QPixmap] = {}
        self.shown: list[Label] = []
        self._bounds = QRectF()

    def size_px(self, text: str) -> tuple[float, float]:
        """Width and height of a word on the screen."""
        if text not in self._sizes:
            self._sizes[text] = (self._metrics.horizontalAdvance(text) + 4.0, self._metrics.height())
        return self._sizes[text]

    def show_labels(self, labels: list[Label], bounds: QRectF) -> None:
        """Replace what is drawn; `bounds`: the part of the view that it lies in."""
        if not labels and not self.shown:
            return
        self.prepareGeometryChange()
        self.shown, self._bounds = labels, bounds
        self.update()

    def boundingRect(self) -> QRectF:
        return self._bounds

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        to_screen = painter.transform()
        painter.resetTransform()
        ratio, height = painter.device().devicePixelRatioF(), self._metrics.height()
        top = to_screen.map(self._bounds.topLeft()).y()
        for label in self.shown:
            word = self._word(label, ratio)
            at = to_screen.map(QPointF(label.x, label.y)) - QPointF(0.0, height)
            if top - height < at.y() < top:  # else it would be cut
                at.setY(top)
            painter.drawPixmap(at, word)

    def _word(self, label: Label, ratio: float) -> QPixmap:
        """A word with its halo, drawn once."""
        key = (label.text, label.colour, ratio)
        if key not in self._words:
            width, height = self.size_px(label.text)
            word = QPixmap(math.ceil(width * ratio), math.ceil(height * ratio))
            word.setDevicePixelRatio(ratio)
            word.fill(Qt.GlobalColor.transparent)
            painter = QPainter(word)
            painter.setFont(self.font)
            at = QPointF(2.0, self._metrics.ascent())
            painter.setPen(HALO)
            for away in ROUND:
                painter.drawText(at + away, label.text)
            painter.setPen(QColor(*label.colour))
            painter.drawText(at, label.text)
            painter.end()
            if len(self._words) >= KEPT_WORDS:
                self._words.clear()
            self._words[key] = word
        return self._words[key]
