"""Regions of the open source: drawn on the picture, told to detector and alarms, kept for the next time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from irtrack.gui.habits import Regions as Outlines
from irtrack.imaging.regions import Regions

if TYPE_CHECKING:
    from irtrack.gui.window import MainWindow


class RegionTool:
    """Draws on the window's picture; what is drawn counts at once, beside the regions of the settings."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._kind = ""
        window.side.detection.region_wanted.connect(self.draw)
        window.side.detection.regions_cleared.connect(self.clear)
        window.canvas.region_drawn.connect(self._drawn)

    def draw(self, kind: str) -> None:
        """Begin a region of a kind on the picture."""
        window = self._window
        if window.canvas.result is not None:
            self._kind = kind
            window.canvas.start_region(kind)
            window.status.say("Click the corners of the region; a double click or Enter ends it, Escape gives it up")

    def _drawn(self, corners: list[tuple[float, float]]) -> None:
        window = self._window
        if not corners or window.player.opened is None:
            window.status.say("no region was drawn")
            return
        kept = window.canvas.regions.get(self._kind, ())
        self._keep(window.canvas.regions | {self._kind: (*kept, tuple(corners))})
        window.status.say("the region counts from now on, and is kept for this source")

    def clear(self) -> None:
        """None of this source."""
        self._keep({})

    def _keep(self, regions: Outlines) -> None:
        opened = self._window.player.opened
        if opened is not None:
            self._window.habits = self._window.habits.with_regions(opened.text, regions)
        self.use(regions)

    def use(self, regions: Outlines) -> None:
        """Show them, and have them count."""
        window = self._window
        window.canvas.regions = regions
        window.canvas.draw_regions()
        window.alarms.area = regions.get("alarm", ())
        given = Regions.of(window.player.settings.detector)
        include, exclude = (given.include + regions.get("include", ()), given.exclude + regions.get("exclude", ()))
        window.player.set_regions(Regions(include, exclude))
