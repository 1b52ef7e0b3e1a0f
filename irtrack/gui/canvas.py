"""The picture with masks, trails, boxes and labels: one item for each kind, whatever the number of tracks."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QColor, QResizeEvent

from irtrack.config import DisplaySettings
from irtrack.core import FrameResult, Track
from irtrack.gui.inset import Inset
from irtrack.gui.labels import corners_of, placed
from irtrack.gui.theme import BACKGROUND
from irtrack.imaging.agc import Agc
from irtrack.imaging.palettes import TABLES
from irtrack.sinks.draw import IDENTITIES, half_size, identity_colour

pg.setConfigOptions(imageAxisOrder="row-major", background=BACKGROUND, antialias=False)

MASK_RGB = (255, 60, 60)
LABELS = 100


class Canvas(pg.GraphicsView):  # type: ignore[misc]
    """Shows one FrameResult at a time. Pixel (0, 0) is centred on scene point (0.5, 0.5) of the image item."""

    hovered = Signal(int, int)
    picked = Signal(float, float)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Picture")
        self._view = pg.ViewBox(lockAspect=True, invertY=True, enableMenu=False)
        self.setCentralItem(self._view)
        self._image = pg.ImageItem(autoLevels=False)
        self._mask = pg.ImageItem()
        # Each palette colour has its own curve: a fixed number of items however many tracks there are.
        self._trails = [pg.PlotCurveItem(pen=pg.mkPen(c, width=1.5), connect="finite") for c in IDENTITIES]
        self._boxes = [pg.PlotCurveItem(pen=pg.mkPen(c, width=1.5), connect="finite") for c in IDENTITIES]
        self._chosen = pg.PlotCurveItem(pen=pg.mkPen("w", width=2), connect="finite")
        self._view.addItem(self._image, ignoreBounds=False)
        for z, item in enumerate([self._mask, *self._trails, *self._boxes, self._chosen], 1):
            item.setZValue(z)
            self._view.addItem(item, ignoreBounds=True)
        self._labels: list[pg.TextItem] = []
        self.show_mask = self.show_trails = self.show_boxes = self.show_labels = True
        self.mask_opacity = 0.55
        self.selected: int | None = None
        self._result: FrameResult | None = None
        self._inset = Inset(self)
        self._agc = Agc()
        self._image.setLookupTable(TABLES[self._agc.settings.palette])
        self.scene().sigMouseMoved.connect(self._moved)
        self.scene().sigMouseClicked.connect(self._clicked)

    @property
    def result(self) -> FrameResult | None:
        """What is shown now."""
        return self._result

    def set_display(self, settings: DisplaySettings) -> None:
        """Palette and gain control."""
        self._image.setLookupTable(TABLES[settings.palette])
        self._agc.settings = settings
        self.redraw()

    @property
    def agc(self) -> Agc:
        """The gain control, to lock it or to ask for its levels."""
        return self._agc

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if hasattr(self, "_inset"):  # Qt sends one while the base class is being built
            self._inset.stay_in_corner()

    def fit(self) -> None:
        """The whole picture in view."""
        if self._result is not None:
            h, w = self._result.frame.image.shape
            self._view.setRange(xRange=(0, w), yRange=(0, h), padding=0.01)

    def clear(self) -> None:
        """Nothing to show."""
        self._result = None
        self._image.clear()
        self._inset.hide()
        self._mask.clear()
        for curve in (*self._trails, *self._boxes, self._chosen):
            curve.setData([], [])
        for label in self._labels:
            label.hide()

    def show_result(self, result: FrameResult) -> None:
        """Draw a result: every mask and trail on the frame it belongs to."""
        resized = self._result is None or self._result.frame.image.shape != result.frame.image.shape
        self._result = result
        image = result.frame.image
        grey = self._agc(image)
        self._image.setImage(grey, autoLevels=False, levels=(0, 255))
        self._inset.show_target(result, self.selected, grey, self._agc.settings.palette)
        if resized:
            self.fit()
        self._draw_mask(result.detections.mask)
        self._draw_tracks([t for t in result.tracks if t.confirmed])

    def redraw(self) -> None:
        """After a change of what is to be shown."""
        if self._result is not None:
            self.show_result(self._result)

    def _draw_mask(self, mask: NDArray[np.bool_] | None) -> None:
        if mask is None or not self.show_mask or not mask.any():
            self._mask.clear()
            return
        rgba = np.zeros((*mask.shape, 4), np.uint8)
        rgba[mask] = (*MASK_RGB, round(255 * self.mask_opacity))
        self._mask.setImage(rgba, autoLevels=False, levels=None)

    def _draw_tracks(self, tracks: list[Track]) -> None:
        for i, (trail_curve, box_curve) in enumerate(zip(self._trails, self._boxes, strict=True)):
            of_colour = [t for t in tracks if t.id % len(IDENTITIES) == i]
            trail_curve.setData(*joined([t.trail for t in of_colour] if self.show_trails else []))
            box_curve.setData(*joined([box_outline(t) for t in of_colour] if self.show_boxes else []))
        self._chosen.setData(*joined([box_outline(t, 3.0) for t in tracks if t.id == self.selected]))
        shown = tracks[:LABELS] if self.show_labels else []
        while len(self._labels) < len(shown):
            label = pg.TextItem(anchor=(0, 1))
            label.setZValue(40)
            self._view.addItem(label, ignoreBounds=True)
            self._labels.append(label)
        px = self._view.viewPixelSize()[0]
        sizes = [(px * (8 + 8 * len(str(t.id))), px * 15) for t in shown]
        options = [corners_of(t.xy_px + 0.5, half_size(t), *size) for t, size in zip(shown, sizes, strict=True)]
        for label, track, spot in zip(self._labels, shown, placed(options, sizes), strict=False):
            label.setVisible(spot is not None)
            if spot is not None:
                label.setText(str(track.id), color=QColor(*identity_colour(track.id)))
                label.setPos(*spot)
        for label in self._labels[len(shown) :]:
            label.hide()

    def _pixel(self, position: QPointF) -> tuple[float, float] | None:
        if self._result is None:
            return None
        point = self._view.mapSceneToView(position)
        h, w = self._result.frame.image.shape
        return (point.x() - 0.5, point.y() - 0.5) if 0 <= point.x() < w and 0 <= point.y() < h else None

    def _moved(self, position: QPointF) -> None:
        at = self._pixel(position)
        self.hovered.emit(*((round(at[0]), round(at[1])) if at else (-1, -1)))

    def _clicked(self, event: object) -> None:
        at = self._pixel(event.scenePos())  # type: ignore[attr-defined]
        if at is not None and event.button() == Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            self.picked.emit(*at)


def box_outline(track: Track, grow_px: float = 0.0) -> NDArray[np.float64]:
    """Corners (5, 2) of a box; while coasting (dashed: pieces apart) the middles of its sides are left open."""
    h = half_size(track) + grow_px
    if track.detection is not None:
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)], float)
    else:
        nan = (np.nan, np.nan)
        corners = np.array(
            [(-1, -0.4), (-1, -1), (-0.4, -1), nan, (0.4, -1), (1, -1), (1, -0.4), nan,
             (1, 0.4), (1, 1), (0.4, 1), nan, (-0.4, 1), (-1, 1), (-1, 0.4)], float,
        )  # fmt: skip
    outline: NDArray[np.float64] = track.xy_px + corners * h
    return outline


def joined(pieces: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Polylines as one, with NaN between them, in view coordinates (pixel centres at + 0.5)."""
    if not pieces:
        return np.zeros(0), np.zeros(0)
    gap = np.full((1, 2), np.nan)
    line = np.concatenate([p for piece in pieces for p in (piece, gap)]) + 0.5
    return line[:, 0], line[:, 1]
