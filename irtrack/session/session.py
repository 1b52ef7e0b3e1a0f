"""A session: what is open, shown, chosen, found and edited. The window draws it; it can do without one.

Three clocks: the picture follows its source (`playback.py`, `reel.py`), analysis goes through it once in the background
(`analysis.py`), and the view shows any moment with what is known of it by now (`picture.py`).
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from irtrack.capture.address import same_device
from irtrack.capture.open import is_live
from irtrack.config import Settings
from irtrack.core import Floats, Frame
from irtrack.session import tracklog
from irtrack.session.analysis import Analysis
from irtrack.session.byhand import Click, follow
from irtrack.session.edited import as_edited, looks_of_all, parts_of, sums_of_all, sums_of_missing
from irtrack.session.edits import MADE_FROM, Edits
from irtrack.session.events import Event
from irtrack.session.loading import Failed, Loader, LogRead, Opened, Reopened, recording
from irtrack.session.looks import Look
from irtrack.session.moves import Moves
from irtrack.session.passes import Passes, one_line
from irtrack.session.picture import Picture, known
from irtrack.session.playback import Playback
from irtrack.session.preferences import RECENT, Preferences
from irtrack.session.preferences import Regions as Outlines
from irtrack.session.reading import Unread
from irtrack.session.recipe import Made
from irtrack.session.recordings import MovedError, OtherError, is_gone, with_whole_paths
from irtrack.session.reel import LiveView
from irtrack.session.series import Sums
from irtrack.session.sessionfile import is_session
from irtrack.sinks.record import RecordSwitch

BEFORE_S = 3.0
"""A recording begins so long before it was asked for."""

TRAIL_S = 10.0
"""Trails are kept for so long, so that a longer one can be asked for on the screen."""

STALE_S = 1.0
"""A camera's picture older than this is said to be."""


class Session(Moves):
    """`tick` is called again and again by whoever shows it, and gives the picture to draw, if that is another one."""

    def __init__(self, settings: Settings, preferences: Preferences | None = None) -> None:
        trail_s = max(settings.tracker.trail_s, TRAIL_S)
        self.given = replace(settings, tracker=replace(settings.tracker, trail_s=trail_s))
        """Of tracker and capture; a session file has its own."""
        self._log: Path | None = None
        """Tracks that are to be shown over what is being opened."""
        self._opening, self._instead = "", ""
        """What was to be opened last, and what it is now the place of."""
        self._said_then: Edits | None = None
        """Where what is open is opened once more: the edits that were kept for that."""
        self.preferences = preferences or Preferences()
        """What is kept between two sessions; the choices are read from it and put into it when it is kept."""
        super().__init__(settings, self.preferences)
        self.leaving: Event[[]] = Event()
        """What is open will be let go of."""
        self.opened_one: Event[[Opened]] = Event()
        self.said: Event[[str]] = Event()
        self.replaced: Event[[LogRead]] = Event()
        """Tracks of a log are shown in place of those that were found."""
        self.model_known: Event[[str]] = Event()
        """Weights of the operator's own may be chosen from now on."""
        self.saving: Event[[]] = Event()
        """Something is opened that may be of the same recording: have what is said of it in its file by then."""
        self.replacing: Event[[]] = Event()
        """What is shown, and what was said of it, goes: keep it now."""
        self.moved: Event[[str]] = Event()
        """The recording of this session file is not where it was."""
        self.gone: Event[[str]] = Event()
        """What was to be opened is not where it was, or another recording is in its place: it may be located."""
        self.away: Event[[str]] = Event()
        """A camera that was to be opened does not answer: it may be tried again."""
        self.recording = RecordSwitch(BEFORE_S)
        """Recording of the open camera's raw frames."""
        self.loader = Loader()
        self.passes = Passes(self, self.given, self.loader)
        self._presented: tuple[Frame, bool] | None = None
        self.called = self.passes.called
        self.results_changed, self.use = self.passes.results_changed, self.passes.use
        self.analyse_again = self.passes.analyse_again
        self.recipe.changed.connect(lambda _: self._look_anew())
        self.results_changed.connect(self._look_anew)
        self.regions.changed.connect(self._regions_changed)
        self.edits.changed.connect(lambda _: self._let_go())

    # -- opening and closing --------------------------------------------------------------------------------------

    def open(self, text: str, moved: str = "", log: Path | None = None, instead: str = "") -> None:
        """Open a source, or the session in a file (`moved`: where its recording is now), in the background; `log`: the
        tracks of this file are shown over it; `instead`: where it was before. What is open stays until the other one
        is; but a camera is let go of first where it may be the same one, most serve one user: its pictures stay."""
        text = with_whole_paths(text)
        self._said_then = None
        self.saving()
        if self.opened is not None and self.live and is_live(text) and same_device(text, self.opened.text):
            self.passes.let_go()
        elif self.opened is not None and text in (self.opened.text, self.opened.name):
            self._said_then = self.edits.value
        self._opening, self._instead, self._log = text, instead, log
        recipe = self.recipe_with(self.preferences.regions_of(text))
        self.loader.open(text, self.given, recipe, self.recording, moved)
        self.passes.want_detector()

    def locate(self, text: str, now: str) -> None:
        """Open what is not where it was; `now`: where it, or the recording of that session, is now."""
        if is_session(text):
            self.open(text, moved=now)
        else:
            self.open(now, instead=text)

    def open_log(self, path: Path) -> None:
        """Show the tracks of a log over the open recording, in place of those that were found."""
        if self.opened is None or (first := self.opened.first) is None:
            self.failed(f"{path.name} holds tracks: open the recording that they are of first, then them")
            return
        frames, fps = self.frames, self.fps
        self.loader.read_log(path, tracklog.Opened(frames, fps, first.image.shape))

    def _take_log(self, log: LogRead) -> None:
        self.replacing()
        self.passes.show(log.store, True)
        self.edits.reset(log.kept.edits if log.kept is not None else None)
        self.selected.set(None)
        self.replaced(log)
        self._tell_lost(log.unread)
        self.said(f"the tracks of {log.path.name} are shown; Analyse again finds them anew")

    def close(self) -> None:
        """Let go of what is open, and forget its results."""
        if self.opened is not None:
            self.replacing()
            self.leaving()
        self.loader.forget()
        view, self.view = self.view, None
        self.picture = self._presented = None
        self.passes.detach()
        if view is not None:
            view.close()
        self.selected.set(None)

    def shutdown(self) -> None:
        """Close for good."""
        self.close()
        self.passes.close()
        self.loader.close()

    def _adopt(self, opened: Opened) -> None:
        if self._said_then is not None and self._said_then != self.edits.value:  # more was said meanwhile: it stays
            opened.source.close()
            self.open(self._opening, log=self._log)
            return
        self.close()
        self.preferences = self.preferences.opened(self._opening, opened.source.live, self._instead)
        self.passes.opened, info, kept = opened, opened.source.info, opened.kept
        self.passes.settings = self.given
        regions = self.preferences.regions_of(opened.text)
        if kept is not None and opened.is_session:
            self.passes.settings, regions = kept.settings, kept.regions
            self.recipe.set(kept.chosen)
        self.regions.set(regions)
        self._regions_changed(self.regions.value)
        fps = info.fps or 30.0
        if opened.reel is not None:
            self.view = LiveView(opened.reel, fps)
        else:
            reopen = partial(recording, opened.text, self.settings)
            self.view = Playback(reopen, opened.first, info.frames, fps)
        self.passes.attach()
        if kept is not None:
            store = kept.store
            store.otherwise = kept.otherwise(self.settings, opened.text, opened.dates)
            same_pictures = not kept.rewritten(opened.text, opened.dates)
            store.recallable &= kept.settings.capture == self.settings.capture and same_pictures
            self.passes.show(store, store.whole or (store.lacking and bool(len(store))))
            self.edits.reset(kept.edits)
            if not opened.is_session:  # a session has those that were called
                self.passes.list_alarms()
        self.opened_one(opened)
        self._tell_lost(opened.unread)
        if self._log is not None:
            self.open_log(self._log)

    def _tell_lost(self, unread: Unread | None) -> None:
        if unread is not None:
            self.failed(unread.why)

    def _regions_changed(self, regions: Outlines) -> None:
        if self.opened is not None:
            self.preferences = self.preferences.with_regions(self.opened.text, regions)
        self.use_regions()

    # -- the analysis ---------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """Those of tracker and capture that the open source is analysed with."""
        return self.passes.settings

    @property
    def analysis(self) -> Analysis | None:
        """The pass under way, or the last one."""
        return self.passes.analysis

    @property
    def older(self) -> list[str]:
        """What is chosen otherwise now than when the results that are shown were made."""
        return self.passes.older

    @property
    def changed_since(self) -> list[str]:
        """What is chosen otherwise now than when the last pass began: what takes another one."""
        return self.passes.changed_since

    @property
    def before(self) -> Made | None:
        """How the results that are shown came to be, where that was before they were opened; None of others."""
        there = self.analysis is None and not self.live and not self.passes.due and len(self.store)
        return self.store.made if there else None

    @property
    def analysing(self) -> float | None:
        """Share of the recording that the pass under way has seen; None where none is."""
        analysis, frames = self.analysis, self.frames
        if analysis is None or self.live or analysis.over or not frames:
            return None
        return min(1.0, analysis.done / frames)

    @property
    def anew(self) -> bool:
        """Whether the results of the pass under way are to take the place of others."""
        return self.analysis is not None and self.analysis.store is not self.store

    @property
    def again_s(self) -> float | None:
        """About so long another pass would take; None where that cannot be said."""
        each, frames = self.passes.frame_s, self.frames
        return None if each is None or frames is None else each * frames

    # -- the view -------------------------------------------------------------------------------------------------

    @property
    def opened(self) -> Opened | None:
        """What is open."""
        return self.passes.opened

    @property
    def camera_state(self) -> str:
        """How the open camera stands: connecting, live, stalled, reconnecting, or closed, as it was let go of and did
        not come back; nothing for a recording."""
        if self.opened is None:
            return "connecting" if self.loader.opening else ""
        if not self.live:
            return ""
        if self.analysis is None:
            return "closed"
        if self.opened.source.status().lost:
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
        return self.opened.source.status().started if self.opened is not None else None

    @property
    def trail_points(self) -> int:
        """So many points of each trail are shown."""
        return max(2, round(self.shown.value.trail_s * self.fps))

    def tracks(self) -> dict[int, Sums]:
        """Every track of the recording, or of what is kept of a camera, with its figures, as edited."""
        return sums_of_all(self.store, self.edits.value)

    def missing(self) -> dict[int, Sums]:
        """Tracks of an earlier pass of which something is said, and which these results do not have."""
        return sums_of_missing(self.store, self.edits.value, self.fps)

    def series(self, track: int) -> list[Floats]:
        """(T, len(SERIES)) of each part of a track, as edited."""
        return parts_of(track, self.store, self.edits.value)

    def looks(self) -> dict[int, Look]:
        """How every track of the recording looks, as edited."""
        return looks_of_all(self.store, self.edits.value)

    def add_target(self, one: Click, other: Click) -> int:
        """A target that was missed, by two clicks; it can be undone. Gives its number. Raises IrtrackError."""
        edits, made = self.edits.value.with_target(follow(self.store, one, other, self.settings.tracker))
        self.edits.edit(edits)
        self.selected.set(made)
        return made

    def _let_go(self) -> None:
        """Of a track that an edit had made, and that is taken back."""
        chosen = self.selected.value
        made = chosen is not None and chosen >= MADE_FROM
        if made and chosen not in self.edits.value.missing and chosen not in self.lives():
            self.selected.set(None)

    def tick(self) -> Picture | None:
        """Take in what the threads have done; the picture to draw, if it or what is known of it has changed."""
        for message in self.loader.received():
            self._receive(message)
        self.passes.upkeep()
        reach = self.store.reach()
        if self.store.whole and isinstance(self.view, Playback) and reach is not None:
            self.view.ended_at(reach[1] + 1)
        self._move(lambda v: v.tick(reach[1] if reach else None, self.passes.over))
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
            if message.what == "open":
                self._not_opened(message.error)
            if message.what == "load":
                self.passes.not_loaded()
            elif message.what == "again":
                self.passes.reopened(None)
        elif isinstance(message, Opened):
            self._adopt(message)
        elif isinstance(message, LogRead):
            self._take_log(message)
        elif isinstance(message, Reopened):
            self.passes.reopened(message.source)
        else:
            self.use(message)  # type: ignore[arg-type]

    def _not_opened(self, error: BaseException) -> None:
        """What was to be opened may be somewhere else."""
        if isinstance(error, MovedError | OtherError) or is_gone(self._opening):
            self.gone(self._opening)
        elif is_live(self._opening):
            self.away(self._opening)
        if isinstance(error, MovedError):
            self.moved(self._opening)

    def _look_anew(self) -> None:
        """What is known of the picture on screen has changed: the next tick gives it."""
        self._presented = None

    def remember(self, **values: object) -> None:
        """Of the preferences, for the next time."""
        self.preferences = replace(self.preferences, **values)  # type: ignore[arg-type]

    def remember_model(self, weights: str) -> None:
        """Weights of one's own, to be chosen again another time."""
        others = (known for known in self.preferences.models if known != weights)
        self.remember(models=(weights, *others)[:RECENT])
        self.model_known(weights)

    def kept(self) -> Preferences:
        """The preferences with what is chosen now."""
        return replace(self.preferences, shown=self.shown.value, display=self.display.value, alarms=self.rules.value)

    def present(self) -> Picture | None:
        """The frame on screen with what is known of it now, as edited."""
        frame = self.view.frame if self.view is not None else None
        if frame is None:
            return None
        made = self._known(frame)
        self._presented = (frame, made.analysed)
        result = as_edited(made.result, self.store, self.edits.value, self.settings.tracker.trail_s)
        self.picture = replace(made, result=result)
        return self.picture

    def _known(self, frame: Frame) -> Picture:
        latest = self.analysis.latest if self.live and self.analysis is not None else None
        recipe = None if self.live else self.recipe.value
        return known(frame, self.store, latest, recipe, self.settings.tracker.trail_s)
