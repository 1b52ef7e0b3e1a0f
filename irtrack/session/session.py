"""A session: what is open, shown, chosen, found and edited. The window draws it; it can do without one.

Three clocks: the picture follows its source (`playback.py`, `reel.py`), analysis goes through it once in the background
(`analysis.py`), and the view shows any moment with what is known of it by now (`picture.py`).
"""

from __future__ import annotations

import gc
import queue
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from irtrack.build import make_tracker
from irtrack.capture.open import is_file, is_live
from irtrack.config import DetectorSettings, Settings
from irtrack.core import Attentive, Detector, Frame, FrameResult, IrtrackError, Source
from irtrack.imaging.regions import Regions
from irtrack.session.alarms import Alarm, Alarms
from irtrack.session.analysis import Analysis, Recalled, looked_again
from irtrack.session.edits import History
from irtrack.session.events import Choice, Event
from irtrack.session.habits import Habits
from irtrack.session.habits import Regions as Outlines
from irtrack.session.loading import Failed, Loader, Opened, Reopened, recording
from irtrack.session.matching import matched
from irtrack.session.picture import Picture, plain, predicted, with_trails
from irtrack.session.playback import Playback
from irtrack.session.recipe import Recipe
from irtrack.session.reel import LiveView
from irtrack.session.store import ResultStore
from irtrack.sinks.record import RecordSwitch

BEFORE_S = 3.0
"""A recording begins so long before it was asked for."""

TRAIL_S = 10.0
"""Trails are kept for so long, so that a longer one can be asked for on the screen."""

STALE_S = 1.0
"""A camera's picture older than this is said to be."""


class Session:
    """`tick` is called again and again by whoever shows it, and gives the picture to draw, if that is another one."""

    def __init__(self, settings: Settings, habits: Habits | None = None) -> None:
        trail_s = max(settings.tracker.trail_s, TRAIL_S)
        self.settings = replace(settings, tracker=replace(settings.tracker, trail_s=trail_s))
        self.habits = habits or Habits()
        """What is kept between two sessions; the choices below are read from it and put into it when it is kept."""
        self.recipe = Choice(Recipe.of(settings.detector))
        self.regions: Choice[Outlines] = Choice({})
        """Those drawn on the open source, by kind; they count beside those of the settings."""
        self.display = Choice(self.habits.display if settings.display == Settings().display else settings.display)
        self.shown = Choice(self.habits.shown)
        self.rules = Choice(self.habits.alarms)
        self.scores = Choice(False)
        """Whether the detector's score map is shown instead of the picture."""
        self.selected: Choice[int | None] = Choice(None)
        self.edits = History()
        self.leaving: Event[[]] = Event()
        """What is open will be let go of."""
        self.opened_one: Event[[Opened]] = Event()
        self.failed: Event[[str]] = Event()
        self.called: Event[[Alarm, FrameResult]] = Event()
        self.results_changed: Event[[]] = Event()
        """Other results than before are shown: of another source, or of another pass."""
        self.recording = RecordSwitch(BEFORE_S)
        """Recording of the open camera's raw frames."""
        self.opened: Opened | None = None
        self.view: Playback | LiveView | None = None
        self.analysis: Analysis | None = None
        """The pass under way, or the last one."""
        self.store = ResultStore()
        """The results that are shown and exported; those of a new pass once it has come as far."""
        self.loader = Loader()
        self._detector: Detector | None = None
        self._wanted: DetectorSettings | None = None
        """What a network was loaded with last, or is being loaded with."""
        self._loaded: DetectorSettings | None = None
        self._again = False
        """Whether another pass is wanted, as soon as there is what it takes."""
        self._reopened: Source | None = None
        self._whole = False
        """Whether the results that are shown are those of a whole pass."""
        self._alarms = Alarms(self.rules.value)
        self._calls: queue.SimpleQueue[tuple[Analysis, Alarm, FrameResult]] = queue.SimpleQueue()
        self.picture: Picture | None = None
        """What is on screen."""
        self._presented: tuple[Frame, bool] | None = None
        self.recipe.changed.connect(self._recipe_changed)
        self.regions.changed.connect(self._regions_changed)
        self.rules.changed.connect(lambda rules: setattr(self._alarms, "rules", rules))

    # -- opening and closing --------------------------------------------------------------------------------------

    def open(self, text: str) -> None:
        """Open a source in the background. A recording that is open stays until the other one is; a camera is let go
        of first, most serve one user only."""
        self.habits = self.habits.opened(text, is_live(text) and not is_file(text))
        if self.live:
            self.close()
        self.loader.open(text, self.settings, self.recording)
        if self._detector is None and not self.loader.loading:
            self._load(None)

    def close(self) -> None:
        """Let go of what is open, and forget its results."""
        if self.opened is not None:
            self.leaving()
        self.loader.forget()
        if self.analysis is not None:
            self.analysis.close()
        elif self.opened is not None:
            self.opened.source.close()
        if self.view is not None:
            self.view.close()
        if self._reopened is not None:
            self._reopened.close()
        self.opened = self.view = self.analysis = self.picture = self._presented = self._reopened = None
        self._again = self._whole = False
        self.store = ResultStore()
        self.edits.reset()
        self.selected.set(None)
        self.results_changed()

    def shutdown(self) -> None:
        """Close for good."""
        self.close()
        self.loader.close()

    def _adopt(self, opened: Opened) -> None:
        self.close()
        self.opened, info = opened, opened.source.info
        self.regions.set(self.habits.regions_of(opened.text))
        self._regions_changed(self.regions.value)
        fps = info.fps or 30.0
        if opened.reel is not None:
            self.view = LiveView(opened.reel, fps)
            self._begin(opened.source, None)
        else:
            reopen = partial(recording, opened.text, self.settings)
            self.view = Playback(reopen, opened.first, info.frames, fps)
        self.opened_one(opened)

    # -- the detector ---------------------------------------------------------------------------------------------

    def _load(self, source: Source | None) -> None:
        self._wanted = self.recipe.value.detector
        self.loader.load(replace(self.settings, detector=self._wanted), source)

    def _recipe_changed(self, recipe: Recipe) -> None:
        if self._wanted is not None and not recipe.same_scores(Recipe.of(self._wanted)):
            self._load(self.opened.source if self.opened else None)
        if self.live and self.analysis is not None:
            self.analysis.take_over(self._at_work())
        self._presented = None

    def _at_work(self) -> Recipe:
        """What is chosen, with the model that is loaded."""
        recipe, loaded = self.recipe.value, self._loaded
        if loaded is None:
            return recipe
        return replace(recipe, detector=replace(recipe.detector, weights=loaded.weights, device=loaded.device))

    def _regions_changed(self, regions: Outlines) -> None:
        self._alarms.area = regions.get("alarm", ())
        if self.opened is not None:
            self.habits = self.habits.with_regions(self.opened.text, regions)
        given = Regions.of(self.recipe.value.detector)
        include, exclude = (given.include + regions.get("include", ()), given.exclude + regions.get("exclude", ()))
        self.recipe.set(replace(self.recipe.value, regions=Regions(include, exclude)))

    def choose(self, **changes: object) -> None:
        """Change settings of the detector: those behind the network act on the picture on screen at once."""
        detector = replace(self.recipe.value.detector, **changes)  # type: ignore[arg-type]
        self.recipe.set(replace(self.recipe.value, detector=detector))

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
        frame whole."""
        return self.recipe.value.detector.mode != "auto" or self.live == isinstance(self._detector, Attentive)

    def _failed_to_load(self) -> None:
        """Another model could not be had: the one at work stays."""
        if self._loaded is not None:
            self._wanted, self._again = self._loaded, False
            loaded = self._loaded
            self.choose(weights=loaded.weights, device=loaded.device)

    # -- the analysis ---------------------------------------------------------------------------------------------

    def analyse_again(self) -> None:
        """Another pass over the recording, with what is chosen now; older results stay until it has come as far."""
        if self.opened is not None and self.analysis is not None and not self.live and not self._again:
            self._again = True
            self.analysis.stop()
            self.loader.reopen(self.opened.text, self.settings)

    def _begin(self, source: Source, detector: Detector | None) -> None:
        """A pass; of a camera, without end."""
        self._alarms = Alarms(self.rules.value, self.regions.value.get("alarm", ()))
        call, calls = self._alarms, self._calls

        def watch(result: FrameResult) -> None:
            alarm = call(result)
            if alarm is not None:
                calls.put((made, alarm, result))

        made = Analysis(source, detector, make_tracker(self.settings), self._at_work(), watch)
        self.analysis = made
        if not self._again:
            self.store = made.store
        self._again = False

    def _upkeep(self) -> None:
        """Begin the pass that is due, and take over what the one under way has found."""
        ready = self._detector is not None and not self.loader.loading and self.opened is not None
        if ready and not self._suits():
            self._detector = None
            self._load(self.opened.source if self.opened else None)
            return
        if ready and self._detector is not None and self.opened is not None:
            if self.live:
                if self.analysis is not None and self.analysis.pipeline.detector is None:
                    self.analysis.use(self._detector)
            elif self.analysis is None:
                self._begin(self.opened.source, self._detector)
            elif self._reopened is not None and self.analysis.over:
                source, self._reopened = self._reopened, None
                self._begin(source, self._detector_again())
        self._follow()

    def _detector_again(self) -> Detector:
        """For another pass: the network, or its scores, where all of them are kept."""
        assert self._detector is not None
        before = self.store.recipe
        maps = self.store.maps() if self._whole and before is not None else None
        if maps is not None and before is not None and before.same_scores(self.recipe.value):
            return Recalled(maps, self.recipe.value, self._detector)
        return self._detector

    def _follow(self) -> None:
        """Of the pass under way: its errors, its end, and its results in place of older ones."""
        analysis = self.analysis
        if analysis is None:
            return
        if analysis.over and not analysis.noted:
            analysis.note_end()
            if analysis.error is not None:
                self.failed(one_line(analysis.error))
            if analysis.whole and isinstance(self.view, Playback):
                self.view.ended_at((analysis.store.reach() or (0, -1))[1] + 1)
        if analysis.store is not self.store:
            before, now = self.store.reach(), analysis.store.reach()
            if analysis.whole or (now is not None and (before is None or now[1] >= before[1])):
                tracks = matched(self.store, analysis.store, self.edits.value.touched())
                self.store = analysis.store
                self.edits.reset(self.edits.value.carried(tracks))
                self._presented = None
                self.results_changed()
        self._whole = analysis.whole and analysis.store is self.store

    @property
    def older(self) -> list[str]:
        """What is chosen otherwise now than when the recording's results were made; nothing while a new pass is under
        way."""
        made, analysis = self.store.recipe, self.analysis
        if made is None or analysis is None or self.live or self._again:
            return []
        return self.recipe.value.changes(made) if analysis.store is self.store or analysis.over else []

    @property
    def analysing(self) -> float | None:
        """Share of the recording that the pass under way has seen; None where none is."""
        analysis, frames = self.analysis, self.frames
        if analysis is None or self.live or analysis.over or not frames:
            return None
        return min(1.0, analysis.done / frames)

    @property
    def again_s(self) -> float | None:
        """About so long another pass would take."""
        analysis, frames = self.analysis, self.frames
        return None if analysis is None or frames is None else analysis.frame_s and analysis.frame_s * frames

    # -- the view -------------------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        return self.opened is not None and self.opened.source.live

    @property
    def playing(self) -> bool:
        return self.view is not None and self.view.playing

    @property
    def position(self) -> int | None:
        """The frame on screen, or on its way there."""
        return self.view.position if self.view is not None else None

    @property
    def frames(self) -> int | None:
        """Number of frames of the open recording, where it is known."""
        return self.view.frames if self.view is not None else None

    @property
    def fps(self) -> float:
        """Frames a second of the open source, or a guess."""
        return self.view.fps if self.view is not None else 30.0

    @property
    def camera_state(self) -> str:
        """How the open camera stands: connecting, live, stalled or reconnecting; nothing for a recording."""
        if self.opened is None:
            return "connecting" if self.loader.opening else ""
        if not self.live:
            return ""
        if getattr(self.opened.source, "state", None) == "reconnecting":
            return "reconnecting"
        return "stalled" if (self.stale_s or 0.0) > STALE_S else "live"

    @property
    def stale_s(self) -> float | None:
        """Age of the camera's newest picture, in seconds."""
        if not self.live or self.analysis is None or not self.analysis.pipeline.last_captured_s:
            return None
        return time.monotonic() - self.analysis.pipeline.last_captured_s

    @property
    def started(self) -> datetime | None:
        """When the seconds of a camera's frames began to count, UTC."""
        return getattr(self.opened.source, "started", None) if self.opened is not None else None

    @property
    def trail_points(self) -> int:
        """So many points of each trail are shown."""
        return max(2, round(self.shown.value.trail_s * self.fps))

    def lives(self) -> dict[int, tuple[int, int]]:
        """First and last frame of each track as edited."""
        return self.edits.value.lives(self.store.lives())

    def play(self) -> None:
        """Go on; a camera: back to its newest picture."""
        self._move(lambda v: v.play())

    def pause(self) -> None:
        """Hold the picture on screen fast; analysis and the camera go on."""
        self._move(lambda v: v.pause())

    def toggle_play(self) -> None:
        """One or the other."""
        self.pause() if self.playing else self.play()

    def step(self, by: int) -> None:
        """One frame on or back, paused."""
        self._move(lambda v: v.step(by))

    def seek(self, index: int) -> None:
        """Go to a frame."""
        if index != self.position:
            self._move(lambda v: v.seek(index))

    def seek_time(self, seconds: float) -> None:
        """Go to the frame of a time."""
        self.seek(round(seconds * self.fps))

    def seek_end(self) -> None:
        """To the last frame; of a camera, back to its newest picture."""
        if self.live:
            self.play()
        elif self.view is not None:
            self.seek(self.view.reach[1])

    def seek_track(self) -> None:
        """To the first frame in which the selected track was confirmed."""
        life = self.lives().get(self.selected.value) if self.selected.value is not None else None
        if life is not None:
            self.seek(life[0])

    def _move(self, move: Callable[[Playback | LiveView], object]) -> None:
        """What reads the recording may fail at it."""
        if self.view is not None:
            try:
                move(self.view)
            except Exception as error:  # of the disk, the decoder, whatever reads the recording
                self.failed(one_line(error))

    def tick(self) -> Picture | None:
        """Take in what the threads have done; the picture to draw, if it or what is known of it has changed."""
        for message in self.loader.received():
            self._receive(message)
        self._upkeep()
        while not self._calls.empty():
            made, alarm, result = self._calls.get()
            if made is self.analysis:
                self.called(alarm, result)
        reach = self.store.reach()
        over = not self.loader.loading if self.analysis is None else self.analysis.over
        self._move(lambda v: v.tick(reach[1] if reach else None, over))
        frame = self.view.frame if self.view is not None else None
        if frame is None:
            return None
        drawn = self._presented
        if drawn is not None and drawn[0] is frame and (drawn[1] or frame.index not in self.store):
            return None
        return self.present()

    def _receive(self, message: object) -> None:
        if isinstance(message, Failed):
            self.failed(one_line(message.error))
            if message.what == "load":
                self._failed_to_load()
            elif message.what == "again":
                self._again = False
        elif isinstance(message, Opened):
            self._adopt(message)
        elif isinstance(message, Reopened):
            self._reopened = message.source
        else:
            self.use(message)  # type: ignore[arg-type]

    def kept(self) -> Habits:
        """The habits with what is chosen now."""
        return replace(self.habits, shown=self.shown.value, display=self.display.value, alarms=self.rules.value)

    def present(self) -> Picture | None:
        """The frame on screen with what is known of it now, as edited."""
        frame = self.view.frame if self.view is not None else None
        if frame is None:
            return None
        made = self._known(frame)
        self._presented = (frame, made.analysed)
        self.picture = replace(made, result=self.edits.value.apply(made.result))
        return self.picture

    def _known(self, frame: Frame) -> Picture:
        latest = self.analysis.latest if self.live and self.analysis is not None else None
        if latest is not None and latest.frame.index == frame.index:
            return Picture(latest, 0.0)
        if frame.index in self.store:
            result = self.store.get(frame)
            if self.live:
                return Picture(with_trails(result, self.store, self.settings.tracker.trail_s), 0.0)
            if self.store.recipe != self.recipe.value:
                result = looked_again(result, self.recipe.value)
            return Picture(result, 0.0)
        if latest is None:
            return plain(frame)
        return predicted(latest if latest.frame.index < frame.index else self.store.before(frame.index), frame)


def one_line(error: BaseException) -> str:
    """An error as it is shown."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, IrtrackError) else f"internal error: {type(error).__name__}: {text}"
