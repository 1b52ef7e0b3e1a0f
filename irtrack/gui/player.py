"""Between the window and the pipeline: loading, transport, and going back over stored results. No widgets here."""

from __future__ import annotations

import gc
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from irtrack.build import make_detector, make_tracker
from irtrack.capture import open_source
from irtrack.capture.corrected import corrected
from irtrack.capture.tee import TeeSource
from irtrack.config import DetectorSettings, Settings
from irtrack.core import Attentive, Detections, Detector, Frame, FrameResult, IrtrackError, Source
from irtrack.gui.edits import Edits
from irtrack.gui.store import LIVE_FRAMES, ResultStore
from irtrack.gui.viewer import Viewer, frame_at
from irtrack.imaging.regions import Regions
from irtrack.pipeline import Pipeline, State
from irtrack.sinks.record import RecordSwitch

BEFORE_S = 3.0
"""A recording begins so long before it was asked for."""

TRAIL_S = 10.0
"""Trails are kept for so long, so that a longer one can be asked for on the screen."""

VIEW_WAIT_S = 0.02
"""The window waits so long for the picture of a stored frame before it does other things."""

LEAVE_S = 1.5
"""Background threads have so long to end when the window closes."""

STALE_S = 1.0
"""A camera's picture older than this is said to be."""


@dataclass(frozen=True)
class Opened:
    """A source that was opened in the background, with its first picture. `request`: which one it answers."""

    request: int
    text: str
    source: Source
    first: Frame | None


@dataclass(frozen=True)
class Failed:
    """What went wrong in the background. `request`: the opening that it belongs to, None for a network that loads."""

    request: int | None
    error: BaseException


class Player:
    """Owns at most one pipeline. `tick()` is called by the window's timer and returns what to show, if anything new.

    The source opens and the network loads in background threads, so the first picture is on screen while torch is
    still being imported. While a stored frame is reviewed the pipeline stands paused.
    """

    def __init__(self, settings: Settings) -> None:
        trail_s = max(settings.tracker.trail_s, TRAIL_S)
        self.settings = replace(settings, tracker=replace(settings.tracker, trail_s=trail_s))
        self.store = ResultStore()
        self.pipeline: Pipeline | None = None
        self.opened: Opened | None = None
        self.error: str | None = None
        self.loading = False
        self.playing = True
        self.speed: float | None = 1.0
        """Of recordings, as a multiple of real time; None is as fast as it goes."""
        self.loop = False
        self.span: tuple[int, int] | None = None
        """First and last frame that are played, if not all."""
        self.threshold = settings.detector.threshold
        self.smallest_px = settings.detector.min_area_px
        self.regions = Regions.of(settings.detector)
        self.edits = Edits()
        """What the operator said of this source's tracks; lies on every result that is shown or exported."""
        self.recording = RecordSwitch(BEFORE_S)
        """Recording of the open camera's raw frames."""
        self._detector: Detector | None = None
        self._loaded: DetectorSettings | None = None
        self._inbox: queue.SimpleQueue[Opened | Failed | Detector] = queue.SimpleQueue()
        self._review: int | None = None
        self._review_due = 0.0
        self._viewer: Viewer | None = None
        self._pending: int | None = None
        """A stored frame whose picture is on its way."""
        self._shown: FrameResult | None = None
        self._threads: list[threading.Thread] = []
        self._request = self._load_request = 0

    # -- opening and closing --------------------------------------------------------------------------------------

    def open(self, text: str) -> None:
        """Open a source in the background; what was open is closed first."""
        self.close()
        self.error, self.loading, self.playing = None, True, True
        self._request += 1
        request = self._request
        self._spawn(lambda: self._open_source(text, request), "irtrack-open", request)
        if self._detector is None:
            self._load(None)

    def _load(self, source: Source | None) -> None:
        """Make a detector in the background; one that was asked for before and is not there yet is forgotten."""
        self._load_request += 1
        request, settings = self._load_request, self.settings

        def work() -> None:
            detector = make_detector(settings, source)
            if request == self._load_request:
                self._inbox.put(detector)

        self._spawn(work, "irtrack-load")

    def _spawn(self, work: Callable[[], None], name: str, request: int | None = None) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self._inbox.put(Failed(request, error))

        self._threads = [t for t in self._threads if t.is_alive()]
        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _open_source(self, text: str, request: int) -> None:
        source = open_source(text, reconnect_s=math.inf, cancelled=lambda: request != self._request)
        if source.live:
            source = TeeSource(source, self.recording)
        source = corrected(source, self.settings.capture)
        first = None if source.live else frame_at(source, 0)
        if first is not None:
            source.seek(0)
        if request != self._request:
            source.close()
        else:
            self._inbox.put(Opened(request, text, source, first))

    def close(self) -> None:
        """Stop everything and forget the results."""
        self._request += 1
        if self.pipeline is not None:
            self.pipeline.close()
        elif self.opened is not None:
            self.opened.source.close()
        if self._viewer is not None:
            self._viewer.close()
        self.pipeline = self.opened = self._viewer = self._shown = self._review = self._pending = None
        self.span = None
        self.edits = Edits()
        self.store = ResultStore()

    def shutdown(self) -> None:
        """Close; background threads that do not end soon (a library that loads, a disk) are left behind."""
        self.close()
        until = time.monotonic() + LEAVE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        while not self._inbox.empty():
            late = self._inbox.get()
            if isinstance(late, Opened):
                late.source.close()

    # -- transport ------------------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        return self.opened is not None and self.opened.source.live

    @property
    def camera_state(self) -> str:
        """How the open camera stands: connecting, live, stalled or reconnecting; nothing for a recording."""
        if self.opened is None:
            return "connecting" if self.loading else ""
        if not self.live:
            return ""
        if getattr(self.opened.source, "state", None) == "reconnecting":
            return "reconnecting"
        return "stalled" if (self.stale_s or 0.0) > STALE_S else "live"

    @property
    def stale_s(self) -> float | None:
        """Age of the camera's newest picture, in seconds."""
        if not self.live or self.pipeline is None or not self.pipeline.last_captured_s:
            return None
        return time.monotonic() - self.pipeline.last_captured_s

    @property
    def fps(self) -> float:
        """Frames a second of the open source, or a guess."""
        return (self.opened.source.info.fps if self.opened else None) or 30.0

    @property
    def frames(self) -> int | None:
        """Number of frames of the open source, where it says."""
        return self.opened.source.info.frames if self.opened else None

    @property
    def shown(self) -> FrameResult | None:
        """The result on screen, without edits."""
        return self._shown

    @property
    def position(self) -> int | None:
        """The frame on screen, or on its way there."""
        if self._pending is not None:
            return self._pending
        return self._shown.frame.index if self._shown else None

    @property
    def reviewing(self) -> bool:
        """Whether a stored result is on screen instead of the newest one."""
        return self._review is not None

    def play(self) -> None:
        self.playing = True
        self._review_due = time.monotonic()
        if self.pipeline is None:
            return
        if self._review is None:
            if self.pipeline.at_end:
                self.seek(0)
            else:
                self.pipeline.resume()

    def pause(self) -> None:
        self.playing = False
        if self.pipeline is not None:
            self.pipeline.pause()

    def step(self, by: int) -> FrameResult | None:
        """One frame on or back, paused. A stored one is returned at once; a new one arrives by `tick`."""
        self.pause()
        if self.live or self.position is None or self.pipeline is None:
            return None
        target = self.position + by
        if target in self.store:
            return self._show_stored(target)
        if by > 0 and self.frames is not None and target < self.frames:
            newest = self.store.nearest(target)
            self._leave_review()
            if newest is not None and newest == target - 1 and self._pipeline_is_at(newest):
                self.pipeline.step()
            else:
                self.pipeline.seek(target)
        return None

    def seek(self, index: int) -> FrameResult | None:
        """Go to a frame: the stored result if there is one, otherwise the pipeline goes on from there."""
        if self.live or self.pipeline is None or self.frames is None:
            return None
        index = max(0, min(index, self.frames - 1))
        if index in self.store:
            self.pipeline.pause()
            return self._show_stored(index)
        self._leave_review()
        self.pipeline.seek(index)
        if self.playing:
            self.pipeline.resume()
        return None

    def set_speed(self, speed: float | None) -> None:
        """Play recordings so many times as fast as they were taken; None shows every frame as soon as it is ready."""
        self.speed = speed
        self._review_due = time.monotonic()
        if self.pipeline is not None:
            self.pipeline.set_speed(speed)

    def set_span(self, first: int | None, last: int | None) -> None:
        """Play from `first` to `last` only; either may be None for the end of the recording."""
        if (first is None and last is None) or self.frames is None:
            self.span = None
            return
        low, high = first or 0, self.frames - 1 if last is None else last
        self.span = (min(low, high), max(low, high))

    def turn_round(self) -> FrameResult | None:
        """At the end of what is to be played: start over in a loop, else pause."""
        if not self.loop or self.live:
            self.pause()
            return None
        shown = self.seek(self.span[0] if self.span else 0)
        self.play()
        return shown

    def set_threshold(self, value: float) -> None:
        """Applies to the frame on screen at once, and to all that follow."""
        self.threshold = value
        if self._detector is not None:
            self._detector.threshold = value
        self._refresh()

    def set_smallest(self, pixels: int) -> None:
        """Drop detections of fewer pixels; as `set_threshold`."""
        self.smallest_px = pixels
        if self._detector is not None:
            self._detector.min_area_px = pixels
        self._refresh()

    def set_regions(self, regions: Regions) -> None:
        """Look there alone; as `set_threshold`."""
        self.regions = regions
        if self._detector is not None:
            self._detector.regions = regions
        self._refresh()

    def set_model(self, weights: str, device: str) -> None:
        """Have other weights, or another device, take over as soon as they are loaded; tracks go on."""
        chosen = replace(self.settings.detector, weights=weights, device=device)
        if chosen != self.settings.detector:
            self.settings = replace(self.settings, detector=chosen)
            self.loading = True
            self._load(self.opened.source if self.opened else None)

    def want_scores(self) -> None:
        """Have the score map of the frame on screen made, if it is a stored one that has none."""
        if self._shown is not None and self._shown.detections.scores is None:
            self._refresh()

    def _refresh(self) -> None:
        """Detect the frame on screen again; it comes by `tick`."""
        if self.pipeline is not None and self.pipeline.state is State.PAUSED and self._shown is not None:
            self.pipeline.refresh(self._shown)

    # -- the window's timer ---------------------------------------------------------------------------------------

    def tick(self) -> FrameResult | None:
        """Take in what the threads have done; the newest result to show, or None."""
        result = self._receive()
        if self.pipeline is None:
            return self._remember(result)
        if self.pipeline.error is not None and self.error is None:
            self.error = one_line(self.pipeline.error)
        if self._review is not None:
            return self._tick_review()
        newest = self.pipeline.latest.poll() or result
        if newest is not None and self.playing and self.span is not None and newest.frame.index > self.span[1]:
            return self.turn_round()
        return self._remember(newest)

    def _receive(self) -> FrameResult | None:
        first: FrameResult | None = None
        while not self._inbox.empty():
            message = self._inbox.get()
            if isinstance(message, Opened | Failed) and message.request not in (None, self._request):
                if isinstance(message, Opened):  # another was asked for since, or none
                    message.source.close()
            elif isinstance(message, Failed):
                self.error, self.loading = one_line(message.error), False
                # Another model could not be had: the one at work stays.
                if self._loaded is not None and message.request is None:
                    self.settings = replace(self.settings, detector=self._loaded)
            elif isinstance(message, Opened):
                self.opened = message
                if message.first is not None:
                    first = FrameResult(message.first, Detections.empty(), (), {})
            else:
                self.use(message)
        if self.opened is not None and self._detector is not None and self.pipeline is None and self.error is None:
            source, suits = self.opened.source, self.settings.detector.mode != "auto"
            if suits or source.live == isinstance(self._detector, Attentive):
                self._start(source, self._detector)
            else:  # a camera wants a detector that keeps up, a recording one that sees every frame whole
                self._detector = None
                self._load(source)
        return first

    def use(self, detector: Detector) -> None:
        """Take a detector, loaded here or the caller's: the one before goes."""
        self._detector, self._loaded = detector, self.settings.detector
        gc.freeze()  # what libraries made at import stays: walking through it again and again would stop the picture
        detector.threshold, detector.min_area_px, detector.regions = self.threshold, self.smallest_px, self.regions
        if self.pipeline is not None:
            self.loading = False
            self.pipeline.detector = detector
            self._refresh()

    def _start(self, source: Source, detector: Detector) -> None:
        self.loading = False
        self.pipeline = Pipeline(
            source, detector, make_tracker(self.settings), hold=True, paused=not self.playing, speed=self.speed,
            on_result=partial(self.store.add, limit=LIVE_FRAMES if source.live else None),
        )  # fmt: skip
        self.pipeline.start()

    def _remember(self, result: FrameResult | None) -> FrameResult | None:
        if result is not None:
            self._shown = result
        return result

    def _tick_review(self) -> FrameResult | None:
        assert self._review is not None
        assert self.pipeline is not None
        if self._pending is not None:
            return self._show_stored(self._pending, 0.0)
        if not self.playing:
            again = self.pipeline.latest.poll()
            return self._remember(again) if again is not None and again.frame.index == self._review else None
        if time.monotonic() < self._review_due:
            return None
        following = self._review + 1
        if self.span is not None and following > self.span[1]:
            return self.turn_round()
        if following in self.store:
            wait_s = 1 / (self.fps * self.speed) if self.speed else 0.0
            self._review_due = max(self._review_due + wait_s, time.monotonic() - 0.05)
            return self._show_stored(following)
        at = self._review
        self._leave_review()
        if self._pipeline_is_at(at):
            self.pipeline.resume()
        elif self.frames is not None and following < self.frames:
            self.pipeline.seek(following)
            self.pipeline.resume()
        else:
            return self.turn_round()
        return None

    def _pipeline_is_at(self, index: int) -> bool:
        """Whether the pipeline's next frame is the one after `index`."""
        assert self.pipeline is not None
        last = self.pipeline.last_index
        return last == index and not self.pipeline.at_end

    def _leave_review(self) -> None:
        self._review = self._pending = None

    def _show_stored(self, index: int, wait_s: float = VIEW_WAIT_S) -> FrameResult | None:
        """The stored result of a frame with its picture; None while that is being decoded, and `tick` will give it."""
        assert self.opened is not None
        try:
            if self._viewer is None:
                text, settings = self.opened.text, self.settings.capture
                self._viewer = Viewer(lambda: corrected(open_source(text), settings))
            frame = self._viewer.get(index, wait_s)
        except IrtrackError as error:
            self.error = one_line(error)
            self._pending = None
            return None
        self._review = index
        self._pending = index if frame is None else None
        return None if frame is None else self._remember(self.store.get(frame))


def one_line(error: BaseException) -> str:
    """An error as the window shows it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, IrtrackError) else f"internal error: {type(error).__name__}: {text}"
