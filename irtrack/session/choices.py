"""What the operator chooses in a session, each thing once; each tells of its changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from irtrack.config import DetectorSettings, Settings
from irtrack.imaging.regions import Regions
from irtrack.session.edits import History
from irtrack.session.events import Choice
from irtrack.session.preferences import Preferences
from irtrack.session.preferences import Regions as Outlines
from irtrack.session.recipe import Recipe


class DetectorChoice:
    """The detector's settings in a recipe: those behind the network act on the picture on screen at once."""

    def __init__(self, recipe: Choice[Recipe]) -> None:
        self._recipe, self.changed = recipe, recipe.changed

    @property
    def value(self) -> DetectorSettings:
        """As they are now."""
        return self._recipe.value.detector

    def change(self, **values: object) -> None:
        """Choose these, and leave the others."""
        self._recipe.change(detector=replace(self.value, **values))  # type: ignore[arg-type]


class Choices:
    """Of the detector, of the display, of tracks."""

    def __init__(self, settings: Settings, preferences: Preferences) -> None:
        """`preferences`: what was chosen the last time; settings overrule it."""
        self.recipe = Choice(Recipe.of(settings.detector))
        self.detector = DetectorChoice(self.recipe)
        self.choose = self.detector.change
        self.regions: Choice[Outlines] = Choice({})
        """Those drawn on the open source, by kind; they count beside those of the settings."""
        self.display = Choice(preferences.display if settings.display == Settings().display else settings.display)
        self.shown = Choice(preferences.shown)
        self.rules = Choice(preferences.alarms)
        self.scores = Choice(False)
        """Whether the detector's score map is shown instead of the picture."""
        self.selected: Choice[int | None] = Choice(None)
        self.beside: Choice[frozenset[int]] = Choice(frozenset())
        """Tracks that are selected beside it: what is done to several is done to these too."""
        self.following = Choice(False)
        """Whether the view keeps to the selected track."""
        self.edits = History(self.regions)
        self.selected.changed.connect(self._selected)

    def _selected(self, track: int | None) -> None:
        self.beside.set(frozenset())
        self.following.set(self.following.value and track is not None)

    def select(self, track: int | None, beside: Iterable[int] = ()) -> None:
        """This track, and others beside it."""
        self.selected.set(track)
        self.beside.set(frozenset(beside) - {track} if track is not None else frozenset())

    @property
    def selection(self) -> tuple[int, ...]:
        """All that are selected; that of plots and magnifier first."""
        return () if self.selected.value is None else (self.selected.value, *sorted(self.beside.value))

    def use_regions(self) -> None:
        """Those drawn count from now on, beside those of the settings."""
        self.recipe.set(self.recipe_with(self.regions.value))

    def recipe_with(self, drawn: Outlines) -> Recipe:
        """What is chosen, with these regions of a source."""
        given = Regions.of(self.recipe.value.detector)
        include, exclude = given.include + drawn.get("include", ()), given.exclude + drawn.get("exclude", ())
        return replace(self.recipe.value, regions=Regions(include, exclude))
