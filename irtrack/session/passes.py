"""The passes over what is open: with which detector, when another one is due, and whose results are shown."""

from __future__ import annotations

import gc
import queue
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from irtrack.build import at_rate, make_tracker
from irtrack.config import DetectorSettings, Polygon, Settings
from irtrack.core import Detector, FrameResult, IrtrackError, Source, status_of
from irtrack.session.alarms import Alarm, AlarmRules, Alarms
from irtrack.session.analysis import Analysis, Recalled, Recalling, Resumed
from irtrack.session.calls import alarms_in
from irtrack.session.carrying import Carrier
from irtrack.session.choices import Choices
from irtrack.session.events import Event
from irtrack.session.loading import Loader, Opened
from irtrack.session.program import program_of
from irtrack.session.recipe import Made, Recipe
from irtrack.session.scoremap import ScoreMap
from irtrack.session.store import ResultStore

RECALL_S = 0.01
"""What a frame takes, about, where the network's scores are there: the temporal stage, and finding what stands out."""


class Passes:
    """Each pass has one recipe and a store of its own; a camera's pass goes on without end."""

    def __init__(self, choices: Choices, settings: Settings, loader: Loader) -> None:
        self.settings, self.loader = settings, loader
        self.recipe, self.rules, self.regions = choices.recipe, choices.rules, choices.regions
        self.edits, self.selected = choices.edits, choices.selected
        self.failed: Event[[str]] = Event()
        self.called: Event[[Alarm, FrameResult]] = Event()
        self.alarms_changed: Event[[]] = Event()
        """The list of alarms is another one, since their rules are."""
        self.ended: Event[[]] = Event()
        """A pass has come to the end of the recording; its results are those that are shown."""
        self.results_changed: Event[[]] = Event()
        """Other results than before are shown: of another source, or of another pass."""
        self.opened: Opened | None = None
        self.analysis: Analysis | None = None
        """The pass under way, or the last one."""
        self.store = ResultStore()
        """The results that are shown and exported; those of a new pass once it has come as far."""
        self._detector: Detector | None = None
        self._wanted: DetectorSettings | None = None
        """What a network was loaded with last, or is being loaded with."""
        self._loaded: DetectorSettings | None = None
        self._again = False
        """Whether another pass is wanted, as soon as there is what it takes."""
        self._next: Source | None = None
        """The recording, for the pass that is due."""
        self._given_up: list[Analysis] = []
        """Passes whose results are no longer wanted; they end by themselves when their frame is through."""
        self._took_s: dict[DetectorSettings, float] = {}
        """Seconds that a frame took with a network."""
        self._recalled_s: float | None = None
        """And without one, on scores that were kept."""
        self._alarms = Alarms(self.rules.value)
        self._calls: queue.SimpleQueue[tuple[Analysis, Alarm, FrameResult]] = queue.SimpleQueue()
        self.recipe.changed.connect(self._recipe_changed)
        self.rules.changed.connect(lambda rules: self._call_by(rules, self._alarms.area))
        self.regions.changed.connect(lambda regions: self._call_by(self._alarms.rules, regions.get("alarm", ())))

    def _call_by(self, rules: AlarmRules, area: tuple[Polygon, ...]) -> None:
        """Other rules for alarms: for what comes, and for the list of those so far."""
        if (rules, area) != (self._alarms.rules, self._alarms.area):
            self._alarms.rules, self._alarms.area = rules, area
            self.list_alarms()

    def list_alarms(self) -> None:
        """Have the alarms of a recording be those that the rules call for in the results that are shown."""
        if self._alarms.rules.on and self.opened is not None and not self.live:
            self.store.alarms = alarms_in(self.store, self._alarms.rules, self._alarms.area)
            self.alarms_changed()

    @property
    def live(self) -> bool:
        """Whether a camera is open."""
        return self.opened is not None and self.opened.source.live

    def attach(self) -> None:
        """A source is open now; a camera is gone through at once, its detector may come later."""
        if self.opened is not None and self.live:
            self._begin(self.opened.source, None)
        elif self.opened is not None:
            self._next = self.opened.source

    def show(self, store: ResultStore, settled: bool) -> None:
        """Results that were made before, in place of those of a pass, which ends. Where they are not `settled`, another
        pass makes them anew."""
        self._give_up()
        if settled:
            self._drop_next()
            self._again = False
        self.store = store
        self.results_changed()

    def _give_up(self) -> None:
        """The pass under way ends, and nobody waits for it; but a camera is let go of at once: most serve one user."""
        if self.analysis is not None:
            self.analysis.close() if self.live else self.analysis.stop()
            self._given_up.append(self.analysis)
            self.analysis = None

    def let_go(self) -> None:
        """Of a camera, so that somebody else can have it; what was seen of it stays."""
        self._give_up()

    def _drop_next(self) -> None:
        if self._next is not None:
            self._next.close()
            self._next = None

    def detach(self) -> None:
        """End what is under way, and forget the results."""
        self._give_up()
        self._drop_next()
        self.opened, self._again = None, False
        self._took_s.clear()
        self._recalled_s = None
        self.store = ResultStore()
        self.edits.reset()
        self.results_changed()

    def close(self) -> None:
        """Wait until all that was given up has ended."""
        for analysis in self._given_up:
            analysis.close()

    # -- the detector ---------------------------------------------------------------------------------------------

    def want_detector(self) -> None:
        """Have one loaded, if there is none and none is on its way."""
        if self._detector is None and not self.loader.loading:
            self._load(None)

    def _load(self, source: Source | None) -> None:
        self._wanted = self.recipe.value.detector
        self.loader.load(replace(self.settings, detector=self._wanted), source)

    def _recipe_changed(self, recipe: Recipe) -> None:
        if self._wanted is not None and not recipe.same_scores(Recipe.of(self._wanted)):
            self._load(self.opened.source if self.opened else None)
        if self.live and self.analysis is not None:
            self.analysis.take_over(self._at_work())

    def _at_work(self) -> Recipe:
        """What is chosen, with the model that is loaded."""
        recipe, loaded = self.recipe.value, self._loaded
        if loaded is None:
            return recipe
        had = {name: getattr(loaded, name) for name in ("weights", "device", "temporal", "closer")}
        return replace(recipe, detector=replace(recipe.detector, **had))

    def use(self, detector: Detector) -> None:
        """Take a detector, loaded here or the caller's: the one before goes."""
        self._wanted = self._wanted or self.recipe.value.detector
        self._detector, self._loaded = detector, self._wanted
        gc.freeze()  # what libraries made at import stays: walking through it again and again would stop the picture
        if self.live and self.analysis is not None and self._suits():
            self.analysis.take_over(self._at_work())
            self.analysis.use(detector)

    def _suits(self) -> bool:
        """Whether the detector is of the kind that the open source wants: a camera's keeps up, a recording's sees every
        frame whole; and the temporal stage is there, or not, as was chosen and the source's rate allows."""
        chosen = self.recipe.value.detector
        fps = self.opened.source.info.fps if self.opened is not None else None
        wanted = at_rate(chosen, fps)[0].temporal
        if getattr(self._detector, "temporal", wanted) != wanted:
            return False
        return chosen.mode != "auto" or self.live == status_of(self._detector).keeps_up

    def not_loaded(self) -> None:
        """Another model could not be had: the one at work stays."""
        if self._loaded is not None:
            self._wanted, self._again = self._loaded, False
            self.recipe.set(self._at_work())

    # -- the analysis ---------------------------------------------------------------------------------------------

    def analyse_again(self) -> None:
        """Another pass over the recording, with what is chosen now; older results stay until it has come as far."""
        if self.opened is not None and not self.live and not self._again and self._next is None:
            self._again = True
            if self.analysis is not None:
                self.analysis.stop()
            self.loader.reopen(self.opened, self.settings)

    def _begin(self, source: Source, detector: Detector | None) -> None:
        """A pass; of a camera, without end."""
        self._alarms = Alarms(self.rules.value, self.regions.value.get("alarm", ()))
        call, calls = self._alarms, self._calls

        def watch(result: FrameResult) -> None:
            alarm = call(result)
            if alarm is not None:
                made.store.alarms.append(alarm)
                calls.put((made, alarm, result))

        self._note_pace()
        recipe = self._at_work()
        made = Analysis(source, detector, make_tracker(self.settings), recipe, watch)
        made.store.made = Made(
            self.settings, program_of(self.settings, recipe), network_of(detector), datetime.now(UTC)
        )
        self.analysis = made
        if not len(self.store):
            self.store = made.store
        self._again = False

    def reopened(self, source: Source | None) -> None:
        """The recording, for another pass; None where it cannot be had."""
        if source is not None and not self._again:  # other results are shown by now
            source.close()
            return
        self._next = source
        self._again = source is not None

    def upkeep(self) -> None:
        """Begin the pass that is due, take over what the one under way has found, and tell its alarms."""
        while not self._calls.empty():
            made, alarm, result = self._calls.get()
            if made is self.analysis and made.store is self.store:  # another pass over a recording calls nobody again
                self.called(alarm, result)
        if self._detector is not None and not self.loader.loading and self.opened is not None:
            if not self._suits():
                self._detector = None
                self._load(self.opened.source)
                return
            if self.live:
                if self.analysis is not None and self.analysis.pipeline.detector is None:
                    self.analysis.use(self._detector)
            elif self._next is not None and self._idle:
                source, self._next = self._next, None
                self._begin(source, self._for_pass(self._detector))
        self._follow()

    @property
    def _idle(self) -> bool:
        """Whether no pass uses the detector; one that was given up may still do."""
        self._given_up = [analysis for analysis in self._given_up if not analysis.over]
        return not self._given_up and (self.analysis is None or self.analysis.over)

    def _for_pass(self, detector: Detector) -> Detector:
        """The network, or its scores, as far as they are kept from the pass before."""
        maps, chosen = self._recallable(), self.recipe.value
        if maps is None:
            return detector
        if self.store.whole:
            return Recalled(maps, chosen, detector)
        alone = chosen.detector.mode in ("auto", "exact")  # in other modes a network goes by the frames before
        return Resumed(maps, detector) if alone and isinstance(detector, Recalling) else detector

    def _recallable(self) -> Iterator[ScoreMap] | None:
        """The score maps of all frames that are shown, where they are what the chosen network would say."""
        before = self.store.recipe
        if before is None or not len(self.store) or not before.same_scores(self.recipe.value):
            return None
        return self.store.maps()

    def _note_pace(self) -> None:
        """Of the last pass: what a frame took."""
        analysis = self.analysis
        if analysis is None or self.live or (each := analysis.frame_s) is None or (rest := analysis.rest_s) is None:
            return
        if analysis.recalled:
            self._recalled_s = each
        else:
            self._took_s[analysis.recipe.network] = each
            self._recalled_s = rest + RECALL_S

    @property
    def frame_s(self) -> float | None:
        """About so long another pass would take for a frame; None where nothing like it was seen yet."""
        self._note_pace()
        if self.store.whole and self._recallable() is not None:
            return self._recalled_s
        return self._took_s.get(self.recipe.value.network)

    def _follow(self) -> None:
        """Of the pass under way: its errors, its end, and its results in place of older ones."""
        analysis = self.analysis
        if analysis is None:
            return
        if analysis.over and not analysis.noted:
            analysis.note_end()
            if analysis.error is not None:
                self.failed(one_line(analysis.error))
        before, now = self.store.reach(), analysis.store.reach()
        if analysis.store is not self.store and (
            analysis.whole or (now is not None and (before is None or now[1] >= before[1]))
        ):
            self._take_over(analysis.store)
        if analysis.whole and not analysis.store.whole:
            if self.edits.value.gone:  # it may have been found after the results were taken over
                self._carry(self.store)
            analysis.store.whole = True
            self.list_alarms()  # rules may have changed on the way
            self.ended()

    def _take_over(self, store: ResultStore) -> None:
        """Show the results of another pass; what was said of tracks goes to those at their places."""
        before, self.store = self.store, store
        if before.lacking and before.as_made(store):  # what was lost is there again, under its number
            if self.selected.value not in self.edits.value.lives(store.lives()):
                self.selected.set(None)
        else:
            self._carry(before)
        self.results_changed()

    def _carry(self, before: ResultStore) -> None:
        """What was said of tracks of other results, or of fewer of them, goes to those that are shown."""
        carrier, chosen = Carrier(before, self.store, self.edits.states), self.selected.value
        _, now = carrier(self.edits.value, chosen)
        self.edits.carry(lambda edits: carrier(edits)[0])
        self.selected.set(now)

    @property
    def over(self) -> bool:
        """Whether no more results will come."""
        if self.analysis is None:
            return self.store.whole or not self.loader.loading
        return self.analysis.over

    @property
    def due(self) -> bool:
        """Whether a pass over a recording waits for what it takes."""
        return self._again or self._next is not None

    @property
    def older(self) -> list[str]:
        """What is chosen otherwise now than when the results that are shown were made."""
        made = self.store.recipe
        if made is None or self.live or not len(self.store):
            return []
        changes = [*self.recipe.value.changes(made), *self.store.otherwise]
        return changes or (["what `auto` stands for"] if self._auto_is_other else [])

    @property
    def _auto_is_other(self) -> bool:
        """Whether the same choice means another network or device than when the results that are shown were made, as
        where a graphics card came or went."""
        made, loaded = self.store.made, self._loaded
        if made is None or loaded is None or not Recipe.of(loaded).same_scores(self.recipe.value):
            return False
        now = network_of(self._detector)
        return bool(made.model and now) and made.model != now

    @property
    def changed_since(self) -> list[str]:
        """What is chosen otherwise now than when the last pass began, or is due to: what takes another one."""
        if self.live or self.due:
            return []
        under_way = self.analysis is not None and not self.analysis.over
        return self.recipe.value.changes(self.analysis.recipe) if under_way and self.analysis else self.older


def network_of(detector: Detector | None) -> str:
    """Which network detects, and where; empty where that is not known."""
    now = status_of(detector)
    return f"{now.model} on {now.device}" if now.model else ""


def one_line(error: BaseException) -> str:
    """An error as it is shown."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, IrtrackError) else f"internal error: {type(error).__name__}: {text}"
