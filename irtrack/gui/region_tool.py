"""Regions of the open source: drawn, moved, changed and deleted on the picture; they count at once, and are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QMenu

from irtrack.config import Polygon, area
from irtrack.gui.badges import Badges
from irtrack.gui.canvas import Canvas
from irtrack.gui.controls import REGION_TEXTS
from irtrack.gui.region_item import Grip
from irtrack.gui.words import Words
from irtrack.session.preferences import Regions
from irtrack.session.session import Session

Corners = Sequence[tuple[float, float]]


class RegionTool:
    """Draws on the canvas, and tells the session."""

    def __init__(self, session: Session, canvas: Canvas, badges: Badges, words: Words) -> None:
        self._session, self._canvas, self._badges, self._words = session, canvas, badges, words
        self._kind = ""
        canvas.region_drawn.connect(self._drawn)
        canvas.overlays.regions.changed.connect(self.reshape)
        canvas.overlays.regions.menu_wanted.connect(self._ask)
        session.regions.changed.connect(self._show)

    def draw(self, kind: str) -> None:
        """Begin a region of a kind on the picture."""
        if self._canvas.result is not None:
            self._kind = kind
            self._canvas.start_region(kind)
            self._badges.say("Click the corners of the region; a double click or Enter ends it, Escape gives it up")

    def _drawn(self, corners: Corners) -> None:
        regions = self._session.regions
        outline = rounded(corners)
        self._badges.say("")
        if self._session.opened is None or not holds(outline):
            self._words.say("no region was drawn")
            return
        kept = regions.value.get(self._kind, ())
        regions.set(regions.value | {self._kind: (*kept, outline)})
        self._words.say("the region is kept for this source; drag its corners or edges, or right-click it")

    def reshape(self, kind: str, number: int, corners: Corners) -> None:
        """Other corners of a region; what holds nothing stays as it was."""
        outline, some = rounded(corners), self._session.regions.value.get(kind, ())
        if number < len(some) and holds(outline):
            self._put(kind, [outline if i == number else other for i, other in enumerate(some)])
        self._show(self._session.regions.value)

    def delete(self, kind: str, number: int) -> None:
        """Take a region away."""
        some = self._session.regions.value.get(kind, ())
        self._put(kind, [outline for i, outline in enumerate(some) if i != number])

    def rename(self, kind: str, number: int, to: str) -> None:
        """Have a region say something else."""
        some = self._session.regions.value.get(kind, ())
        if number < len(some) and kind != to:
            others = self._session.regions.value.get(to, ())
            left = tuple(outline for i, outline in enumerate(some) if i != number)
            self._session.regions.set(self._session.regions.value | {kind: left, to: (*others, some[number])})

    def _put(self, kind: str, outlines: Sequence[Polygon]) -> None:
        self._session.regions.set(self._session.regions.value | {kind: tuple(outlines)})

    def clear(self) -> None:
        """None of this source."""
        self._session.regions.set({})

    def _show(self, regions: Regions) -> None:
        self._canvas.regions = regions
        self._canvas.draw_regions()

    def _ask(self, grip: Grip, at: QPoint) -> None:
        """On a right click: what it is, its corners, and whether it goes."""
        outline = self._session.regions.value[grip.kind][grip.number]
        menu = QMenu(self._canvas)
        for kind, text in REGION_TEXTS.items():
            entry = menu.addAction(text)
            entry.setCheckable(True)
            entry.setChecked(kind == grip.kind)
            entry.triggered.connect(called(partial(self.rename, grip.kind, grip.number, kind)))
        menu.addSeparator()
        (a, b), (c, d) = outline[grip.edge], outline[(grip.edge + 1) % len(outline)]
        more = (*outline[: grip.edge + 1], ((a + c) / 2, (b + d) / 2), *outline[grip.edge + 1 :])
        menu.addAction("Add a corner").triggered.connect(called(partial(self.reshape, grip.kind, grip.number, more)))
        if grip.corner is not None and len(outline) > 3:
            fewer = (*outline[: grip.corner], *outline[grip.corner + 1 :])
            act = called(partial(self.reshape, grip.kind, grip.number, fewer))
            menu.addAction("Delete this corner").triggered.connect(act)
        menu.addSeparator()
        menu.addAction("Delete the region").triggered.connect(called(partial(self.delete, grip.kind, grip.number)))
        menu.popup(at)


def called(act: Callable[[], None]) -> Callable[[bool], None]:
    """For signals that tell whether something is checked."""
    return lambda checked: act()


def holds(outline: Polygon) -> bool:
    """Whether there is anything in it."""
    return len(outline) >= 3 and area(outline) > 0


def rounded(corners: Corners) -> Polygon:
    """To a tenth of a pixel, as regions are kept."""
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in corners)
