"""The picture: one image item, overlays on it, and the mouse."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QCursor, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QApplication

from irtrack.config import DisplaySettings
from irtrack.core import FrameResult, Track
from irtrack.gui.inset import Inset
from irtrack.gui.legend import Legend
from irtrack.gui.overlays import Overlays
from irtrack.gui.theme import BACKGROUND
from irtrack.imaging.agc import Agc
from irtrack.imaging.palettes import TABLES
from irtrack.session.shown import Shown

pg.setConfigOptions(imageAxisOrder="row-major", background=BACKGROUND, antialias=False)

SCORE_PALETTE = "Inferno"

NEARER = 3.0
"""A track that is followed is seen so many times as large as in a view of the whole picture."""


class Canvas(pg.GraphicsView):  # type: ignore[misc]
    """Shows one FrameResult at a time. Pixel (0, 0) is centred on scene point (0.5, 0.5) of the image item.

    `region_drawn` gives the corners [(x, y), ...] of a region that was drawn; an empty list where it was given up.
    `placed`: a click while a place is asked for. `dragged`: the picture was moved by hand. `entered_key`: Enter.
    `menu_wanted`: a right click at a place, or the Menu key of what is selected, and where that is on the screen.
    """

    hovered = Signal(int, int)
    picked = Signal(float, float)
    region_drawn = Signal(list)
    placed = Signal(float, float)
    placing_ended = Signal()
    dragged = Signal()
    entered_key = Signal()
    menu_wanted = Signal(float, float, QPoint)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Picture")
        self._view = pg.ViewBox(lockAspect=True, invertY=True, enableMenu=False)
        self.setCentralItem(self._view)
        self._image = pg.ImageItem(autoLevels=False)
        self._view.addItem(self._image, ignoreBounds=False)
        self.overlays = Overlays(self._view)
        self.selected: int | None = None
        self.show_scores = False
        """Whether the detector's score map is on screen instead of the picture."""
        self.regions: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {}
        self._drawing: list[tuple[float, float]] = []
        self._kind = ""
        self._placing = False
        self._result: FrameResult | None = None
        self._age_s: float | None = None
        self._cursor: QPointF | None = None
        """Where the mouse is, of the scene."""
        self._agc = Agc()
        self._table = ""
        self._inset, self.legend = Inset(self), Legend(self)
        self._use_table(self._agc.settings.palette)
        self.scene().sigMouseMoved.connect(self._moved)
        self.scene().sigMouseClicked.connect(self._clicked)
        self._view.sigRangeChanged.connect(self._zoomed)
        self._view.sigRangeChangedManually.connect(self._moved_by_hand)

    @property
    def result(self) -> FrameResult | None:
        """What is shown now."""
        return self._result

    @property
    def agc(self) -> Agc:
        """The gain control, to lock it or to ask for its levels."""
        return self._agc

    def set_display(self, settings: DisplaySettings) -> None:
        """Palette and gain control."""
        self._agc.settings = settings
        self.redraw()

    def set_shown(self, shown: Shown) -> None:
        """What is drawn over the picture."""
        self.overlays.shown = shown
        self.redraw()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if hasattr(self, "legend"):  # Qt sends one while the base class is being built
            self._place_inset()
            self.legend.stay_at_side()

    def fit(self) -> None:
        """The whole picture in view."""
        if self._result is not None:
            h, w = self._result.frame.image.shape
            self._view.setRange(xRange=(0, w), yRange=(0, h), padding=0.01)

    def one_to_one(self) -> None:
        """A pixel of the picture as a pixel of the screen, about the middle of what is in view."""
        if self._result is not None:
            ratio = self.devicePixelRatioF()
            middle, size = self._view.viewRect().center(), self._view.size() / ratio
            x, y = size.width() / 2, size.height() / 2
            self._view.setRange(
                xRange=(middle.x() - x, middle.x() + x), yRange=(middle.y() - y, middle.y() + y), padding=0
            )

    def zoom(self, factor: float) -> None:
        """So many times as large, about the middle of what is in view."""
        if self._result is not None:
            self._view.scaleBy((1 / factor, 1 / factor))

    def follow(self, x: float, y: float) -> None:
        """Have a place of the picture in the middle; from a view of all of it, nearer."""
        if self._result is None:
            return
        h, w = self._result.frame.image.shape
        size = self._view.viewRect().size()
        if size.width() >= w and size.height() >= h:
            size = size / NEARER
        half_w, half_h = size.width() / 2, size.height() / 2
        self._view.setRange(
            xRange=(x + 0.5 - half_w, x + 0.5 + half_w), yRange=(y + 0.5 - half_h, y + 0.5 + half_h), padding=0
        )

    def clear(self) -> None:
        """Nothing to show."""
        self._result = None
        self._image.clear()
        self._inset.hide()
        self.legend.hide()
        self.overlays.clear()

    def show_result(self, result: FrameResult, age_s: float | None = 0.0) -> None:
        """Draw a result: every mask and trail on the frame it belongs to. `age_s`: since when its tracks are predicted;
        they pale with it."""
        resized = self._result is None or self._result.frame.image.shape != result.frame.image.shape
        self._result, self._age_s = result, age_s
        grey, palette = self._grey(result)
        self._use_table(palette)
        self._image.setImage(grey, autoLevels=False, levels=(0, 255))
        self._inset.show_target(result, self.selected, grey, palette)
        if resized:
            self.fit()
        self._place_inset()
        self.overlays.pale(age_s or 0.0)
        self.overlays.draw(result.detections.mask, [t for t in result.tracks if t.confirmed], self.selected)
        self.legend.setVisible(self.overlays.shown.legend)
        levels = (0.0, 1.0) if palette == SCORE_PALETTE and self.showing_scores else self._agc.levels
        self.legend.show_levels(palette, *levels)
        self._point()

    def _place_inset(self) -> None:
        """Where it hides no target, if there is such a place."""
        if self._result is None or not self._inset.isVisible():
            return
        places = {t.id: self._place(t) for t in self._result.tracks if t.confirmed}
        self._inset.stay_clear(places.get(self.selected) if self.selected is not None else None, [*places.values()])

    def _place(self, track: Track) -> QPoint:
        """Where a track is on this widget."""
        return self.mapFromScene(self._view.mapViewToScene(QPointF(*(track.xy_px + 0.5).tolist())))

    @property
    def showing_scores(self) -> bool:
        """Whether the score map of the frame on screen is there and shown."""
        return self.show_scores and self._result is not None and self._result.detections.scores is not None

    def _grey(self, result: FrameResult) -> tuple[NDArray[np.uint8], str]:
        """Grey levels and palette: of the picture, or of the score map."""
        scores = result.detections.scores
        if self.show_scores and scores is not None:
            return (scores * 255.0 + 0.5).astype(np.uint8), SCORE_PALETTE
        return self._agc(result.frame.image), self._agc.settings.palette

    def _use_table(self, palette: str) -> None:
        if palette != self._table:
            self._table = palette
            self._image.setLookupTable(TABLES[palette])

    def redraw(self) -> None:
        """After a change of what is to be shown."""
        if self._result is not None:
            self.show_result(self._result, self._age_s)

    # -- regions --------------------------------------------------------------------------------------------------

    @property
    def drawing(self) -> bool:
        """Whether a region is being drawn."""
        return bool(self._kind)

    def draw_regions(self) -> None:
        """Those that are kept, and the one that is being drawn, up to the mouse."""
        at = self._corner(self._cursor) if self._cursor is not None and self._drawing else None
        unfinished = (*self._drawing, at) if at is not None else self._drawing
        self.overlays.draw_regions(self.regions, tuple(unfinished), self._kind)

    def start_region(self, kind: str) -> None:
        """The next clicks are its corners; a double click, a right click or Enter ends it, Escape gives it up."""
        self._kind, self._drawing = kind, []
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setFocus()

    def end_region(self, keep: bool) -> None:
        """Take what was drawn, if it has three corners, or give it up."""
        outline, self._drawing, self._kind = self._drawing, [], ""
        self.unsetCursor()
        self.draw_regions()
        self.region_drawn.emit(outline if keep and len(outline) >= 3 else [])

    # -- places ---------------------------------------------------------------------------------------------------

    def start_placing(self) -> None:
        """The next clicks are places that are asked for; Escape ends that."""
        self._placing = True
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setFocus()

    def end_placing(self) -> None:
        """Clicks select again."""
        if self._placing:
            self._placing = False
            self.unsetCursor()
            self.placing_ended.emit()

    def show_cross(self, at: tuple[float, float] | None) -> None:
        """Mark a place, or none."""
        self.overlays.draw_cross(at)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self._placing and event.key() == Qt.Key.Key_Escape:
            self.end_placing()
            event.accept()
            return
        if self.drawing and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape):
            self.end_region(event.key() != Qt.Key.Key_Escape)
            event.accept()
            return
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.entered_key.emit()
            event.accept()
            return
        event.ignore()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The Menu key; a click is told of by the scene, where it is a region's first."""
        if event.reason() is not QContextMenuEvent.Reason.Keyboard:
            super().contextMenuEvent(event)
        elif self._result is not None:
            for track in (t for t in self._result.tracks if t.id == self.selected):
                self.menu_wanted.emit(*track.xy_px.tolist(), self.mapToGlobal(self._place(track)))

    # -- the mouse ------------------------------------------------------------------------------------------------

    def _pixel(self, position: QPointF) -> tuple[float, float] | None:
        if self._result is None:
            return None
        point = self._view.mapSceneToView(position)
        h, w = self._result.frame.image.shape
        return (point.x() - 0.5, point.y() - 0.5) if 0 <= point.x() < w and 0 <= point.y() < h else None

    def _corner(self, position: QPointF) -> tuple[float, float] | None:
        """As `_pixel`; of a place beside the picture the nearest one on its border, so that regions can reach it."""
        if self._result is None:
            return None
        point = self._view.mapSceneToView(position)
        h, w = self._result.frame.image.shape
        return min(max(point.x(), 0.0), float(w)) - 0.5, min(max(point.y(), 0.0), float(h)) - 0.5

    def _moved(self, position: QPointF) -> None:
        self._cursor = position
        self._point()
        if self.drawing:
            self.draw_regions()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._cursor = None
        self._point()

    def _point(self) -> None:
        """Tell what is under the mouse, also when the picture has moved under it."""
        at = self._pixel(self._cursor) if self._cursor is not None else None
        self.hovered.emit(*((round(at[0]), round(at[1])) if at else (-1, -1)))

    def _clicked(self, event: object) -> None:
        at = self._pixel(event.scenePos())  # type: ignore[attr-defined]
        left, double = event.button() == Qt.MouseButton.LeftButton, bool(event.double())  # type: ignore[attr-defined]
        if self.drawing:
            corner = self._corner(event.scenePos())  # type: ignore[attr-defined]
            if corner is not None and left and not double:
                self._drawing.append(corner)
                self.draw_regions()
            elif double or not left:
                self.end_region(True)
        elif at is not None and left:
            (self.placed if self._placing else self.picked).emit(*at)
        elif at is not None and not self._placing and not event.isAccepted():  # type: ignore[attr-defined]
            self.menu_wanted.emit(*at, QCursor.pos())

    def _moved_by_hand(self) -> None:
        """The wheel zooms; with a button held it is a drag."""
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self.dragged.emit()

    def _zoomed(self) -> None:
        """Labels keep their size on the screen, so they are placed anew."""
        if self._result is not None:
            self.overlays.draw_labels([t for t in self._result.tracks if t.confirmed], self.selected)
            self.overlays.draw_region_labels()
            self._place_inset()
            self._point()
