"""Regions of the open source: drawn, moved, changed and deleted on the picture; they count at once, and are kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QMenu

from irtrack.gui.badges import Badges
from irtrack.gui.canvas import Canvas
from irtrack.gui.controls import REGION_TEXTS
from irtrack.gui.region_item import Grip
from irtrack.session.drawn import Corners, Drawn
from irtrack.session.preferences import Regions
from irtrack.session.session import Session


class RegionTool(Drawn):
    """Takes corners and clicks from the canvas."""

    def __init__(self, session: Session, canvas: Canvas, badges: Badges) -> None:
        super().__init__(session.edits, lambda: canvas.result.frame.image.shape if canvas.result is not None else None)
        self._session, self._canvas, self._badges = session, canvas, badges
        self._kind = ""
        canvas.region_drawn.connect(self._drawn)
        canvas.overlays.regions.changed.connect(self._dragged)
        canvas.overlays.regions.menu_wanted.connect(self._ask)
        session.regions.changed.connect(self._show)
        session.leaving.connect(lambda: canvas.end_region(False) if canvas.drawing else None)

    def draw(self, kind: str) -> None:
        """Begin a region of a kind on the picture."""
        if self._canvas.result is not None:
            self._kind = kind
            self._canvas.start_region(kind)
            self._badges.say("Click the corners of the region; a double click or Enter ends it, Escape gives it up")

    def _drawn(self, corners: Corners) -> None:
        self._badges.say("")
        if self._session.opened is not None and self.add(self._kind, corners):
            self._session.said("the region is kept for this source; drag its corners or edges, or right-click it")
        else:
            self._session.said("no region was drawn")

    def _dragged(self, kind: str, number: int, corners: Corners) -> None:
        if not self.reshape(kind, number, corners):
            self._session.said("a region has to hold something of the picture: it stays as it was")
        self._show(self._session.regions.value)

    def _delete(self, kind: str, number: int) -> None:
        self.delete(kind, number)
        self._session.said("the region is deleted; Ctrl+Z brings it back")

    def clear(self) -> None:
        if any(self._session.regions.value.values()):
            super().clear()
            self._session.said("the regions of this source are deleted; Ctrl+Z brings them back")

    def _show(self, regions: Regions) -> None:
        self._canvas.regions = regions
        self._canvas.draw_regions()

    def _ask(self, grip: Grip, at: QPoint) -> None:
        """On a right click: what it is, its corners, and whether it goes."""
        which, menu = (grip.kind, grip.number), QMenu(self._canvas)

        def entry(text: str, act: Callable[[], None]) -> None:
            menu.addAction(text).triggered.connect(lambda _=False: act())

        for kind, text in REGION_TEXTS.items():
            entry(text, partial(self.rename, *which, kind))
            menu.actions()[-1].setCheckable(True)
            menu.actions()[-1].setChecked(kind == grip.kind)
        menu.addSeparator()
        entry("Add a corner", partial(self.add_corner, *which, grip.edge))
        if grip.corner is not None and len(self.of(grip.kind)[grip.number]) > 3:
            entry("Delete this corner", partial(self.delete_corner, *which, grip.corner))
        menu.addSeparator()
        entry("Delete the region", partial(self._delete, *which))
        menu.popup(at)
