"""Regions of the open source: drawn on the picture; what is drawn counts at once, and is kept for the next time."""

from __future__ import annotations

from irtrack.gui.canvas import Canvas
from irtrack.gui.words import Words
from irtrack.session.habits import Regions
from irtrack.session.session import Session


class RegionTool:
    """Draws on the canvas, and tells the session."""

    def __init__(self, session: Session, canvas: Canvas, words: Words) -> None:
        self._session, self._canvas, self._words = session, canvas, words
        self._kind = ""
        canvas.region_drawn.connect(self._drawn)
        session.regions.changed.connect(self._show)

    def draw(self, kind: str) -> None:
        """Begin a region of a kind on the picture."""
        if self._canvas.result is not None:
            self._kind = kind
            self._canvas.start_region(kind)
            self._words.say("Click the corners of the region; a double click or Enter ends it, Escape gives it up")

    def _drawn(self, corners: list[tuple[float, float]]) -> None:
        regions = self._session.regions
        if not corners or self._session.opened is None:
            self._words.say("no region was drawn")
            return
        kept = regions.value.get(self._kind, ())
        regions.set(regions.value | {self._kind: (*kept, tuple(corners))})
        self._words.say("the region is kept for this source")

    def clear(self) -> None:
        """None of this source."""
        self._session.regions.set({})

    def _show(self, regions: Regions) -> None:
        self._canvas.regions = regions
        self._canvas.draw_regions()
