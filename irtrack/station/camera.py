"""One camera of a station: its pipeline, begun anew after each death, on its schedule."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from irtrack.build import Outputs, make_detector, make_pipeline
from irtrack.capture.open import open_source
from irtrack.capture.reconnect import LOST
from irtrack.config import Settings
from irtrack.core import Detector, Forgetful, FrameResult, IrtrackError, Sink, SinkError, Source, SourceError
from irtrack.pipeline import Pipeline, State
from irtrack.station.clips import ClipSink
from irtrack.station.disk import Disk
from irtrack.station.events import Change, Event, EventSink
from irtrack.station.news import News
from irtrack.station.schedule import Schedule, zone_of
from irtrack.station.settings import CameraSettings, StationSettings

RECONNECT_S = 30.0
"""A camera that is lost is reached for so long by the pipeline that has its tracks; then by one that is begun anew."""

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Between deaths and new beginnings; the wait doubles."""

WELL_S = 60.0
"""A pipeline that ran for so long was well: the next wait is short again."""

OPEN_S, LOADING_S = 120.0, 900.0
"""To connect, and to load a network and try its engines, may take so long; longer is a hang."""

LOOK_S = 0.2
END_S = 30.0
"""What is open is closed within this at the end, or left behind."""

MakeDetector = Callable[[Settings, Source], Detector]

log = logging.getLogger(__name__)


class Watch(StrEnum):
    """How a camera stands."""

    OFF = "off"
    """Not on its schedule."""
    CONNECTING = "connecting"
    RUNNING = "running"
    LOST = "lost"
    """Away, and connected again as soon as it is there."""
    WAITING = "waiting"
    """Its pipeline died, and is begun anew soon."""
    ENDED = "ended"


@dataclass
class Counts:
    """Of one camera, since the station began; they only grow."""

    frames: int = 0
    dropped: int = 0
    deaths: int = 0
    lost: int = 0
    events: int = 0
    clips: int = 0
    clips_failed: int = 0
    clip_frames_dropped: int = 0
    events_lost: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


class Lasting:
    """Events that outlive errors of their database: said once each, and tried again with what comes next."""

    def __init__(self, events: EventSink, camera: str) -> None:
        self.events, self._camera = events, camera
        self.trouble = ""

    def write(self, result: FrameResult) -> None:
        """Take a frame; never raises SinkError."""
        self._attempt(lambda: self.events.write(result))

    def idle(self, over: bool) -> None:
        """As of `EventSink`; never raises SinkError."""
        self._attempt(lambda: self.events.idle(over))

    def close(self) -> None:
        """Never raises SinkError."""
        self._attempt(self.events.close)

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except SinkError as error:
            if str(error) != self.trouble:
                log.error("camera %s: %s; it is tried again", self._camera, error)
            self.trouble = str(error)
            return
        if self.trouble and not self.events.waiting:
            log.warning("camera %s: events are written again", self._camera)
            self.trouble = ""


@dataclass
class Life:
    """One pipeline of a camera, from its beginning to its death."""

    pipeline: Pipeline
    events: Lasting
    clips: ClipSink | None
    begun_s: float = field(default_factory=time.monotonic)

    def counts(self) -> Counts:
        """Of this one."""
        clips = self.clips
        return Counts(
            frames=self.pipeline.processed,
            dropped=self.pipeline.dropped,
            lost=self.pipeline.source.info.remarks.counts().get(LOST, 0),
            clips=clips.written if clips else 0,
            clips_failed=clips.failed if clips else 0,
            clip_frames_dropped=clips.dropped if clips else 0,
            events_lost=self.events.events.lost,
        )


class Camera:
    """Watches a camera in a thread of its own until it is stopped. Its death, or absence, is never anybody else's."""

    def __init__(
        self,
        settings: CameraSettings,
        station: StationSettings,
        disk: Disk,
        tell: Callable[[News], None],
        make: MakeDetector = make_detector,
    ) -> None:
        """`tell` is told of its events, in its worker; `make`: its detector."""
        self.settings, self.station, self.name = settings, station, settings.name
        self._disk, self._tell, self._make = disk, tell, make
        self._folder = Path(station.folder)
        self._schedule, self._zone = Schedule.of(settings.schedule), zone_of(station.timezone)
        self._stop, self._ended = threading.Event(), threading.Event()
        self._started = False
        self.watch, self.trouble = Watch.CONNECTING, ""
        self.latest: FrameResult | None = None
        """The newest result, while it runs."""
        self.latency_s = 0.0
        """From a frame's capture to its result."""
        self.active = 0
        """Events that go on."""
        self.size: tuple[int, int] | None = None
        self._life: Life | None = None
        self._before, self._counting = Counts(), threading.Lock()
        self._detector: tuple[object, Detector] | None = None
        self._last_s, self._interval_s, self._deadline = 0.0, 0.0, time.monotonic() + OPEN_S

    # -- what the station asks ------------------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """Since the station began."""
        with self._counting:
            return self._before.plus(self._life.counts() if self._life is not None else Counts())

    @property
    def rate(self) -> float:
        """Frames a second, of late."""
        return 1 / self._interval_s if self._interval_s > 0 and self.watch is Watch.RUNNING else 0.0

    @property
    def hangs(self) -> bool:
        """Whether nothing moves that should."""
        return self._started and not self._ended.is_set() and time.monotonic() > self._deadline

    @property
    def model(self) -> str:
        """What finds its targets."""
        status = getattr(self._detector[1], "status", None) if self._detector is not None else None
        return str(status().model) if callable(status) else ""

    @property
    def events_trouble(self) -> str:
        """Why events cannot be written; empty while they can."""
        life = self._life
        return life.events.trouble if life is not None else ""

    def start(self) -> Camera:
        """Begin to watch; returns at once."""
        self._started = True
        threading.Thread(target=self._run, name=f"irtrack-camera-{self.name}", daemon=True).start()
        return self

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._stop.set()

    def join(self) -> None:
        """Until all is closed, or left behind."""
        if self._started and not self._ended.wait(END_S + 5.0):
            log.error("camera %s does not end: it is left behind", self.name)

    # -- its thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        wait = FIRST_WAIT_S
        try:
            while not self._stop.is_set():
                if not self._due():
                    self._set(Watch.OFF)
                    self._pause(1.0)
                    continue
                begun = time.monotonic()
                try:
                    self._set(Watch.CONNECTING)
                    self._live()
                    wait = FIRST_WAIT_S
                except Exception as error:
                    if self._unwanted():
                        continue
                    self._before.deaths += 1
                    wait = FIRST_WAIT_S if time.monotonic() - begun > WELL_S else wait
                    self._say(error, wait)
                    self._set(Watch.WAITING)
                    self._pause(wait)
                    wait = min(2 * wait, LONGEST_WAIT_S)
        finally:
            self._set(Watch.ENDED)
            self._ended.set()

    def _due(self) -> bool:
        """By the schedule; the clock is asked each time, so that it may be set."""
        return self._schedule.on(datetime.now(UTC), self._zone)

    def _unwanted(self) -> bool:
        return self._stop.is_set() or not self._due()

    def _set(self, watch: Watch) -> None:
        self.watch = watch
        self._deadline = time.monotonic() + OPEN_S
        if watch is not Watch.RUNNING:
            self.latest, self.active = None, 0

    def _pause(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds + OPEN_S
        self._stop.wait(seconds)

    def _say(self, error: Exception, wait: float) -> None:
        """A death; an error that is not meant for users with where it arose. The same again is said once."""
        text = str(error) if isinstance(error, IrtrackError) else f"{type(error).__name__}: {error}"
        if text != self.trouble:
            fault = None if isinstance(error, IrtrackError) else error
            log.warning("camera %s: %s; begun anew in %g s", self.name, text, wait, exc_info=fault)
        self.trouble = text

    def _live(self) -> None:
        """One pipeline, from the connection to its end. Raises what it died of."""
        life = self._born()
        self._life = life
        try:
            self._last_s = self._interval_s = 0.0
            life.pipeline.start()
            self._set(Watch.RUNNING)
            self._follow(life)
        finally:
            life.pipeline.close()
            with self._counting:
                self._before, self._life = self._before.plus(life.counts()), None

    def _born(self) -> Life:
        """Connect, load what is not loaded yet, open what is written. Raises IrtrackError."""
        source = open_source(self.settings.source, None, RECONNECT_S, 0.0, self._unwanted)
        try:
            self.size = source.info.width, source.info.height
            events = EventSink(self._events_path, self.name, live=True, tell=self._changed)
        except BaseException:
            source.close()
            raise
        lasting = Lasting(events, self.name)
        clips = None
        if self.station.clips.kind != "none":
            clips = ClipSink(
                self.name, self.station.clips, self._folder, self._disk, self.settings.settings.display, source.info.fps
            )
        self._clips, self._run_id = clips, events.run
        self._deadline = time.monotonic() + LOADING_S
        more: list[Sink] = [lasting, *([clips] if clips is not None else [])]
        try:
            detector = self._loaded(source)
        except BaseException:
            source.close()
            for sink in more:
                sink.close()
            raise
        pipeline = make_pipeline(
            source, self.settings.settings, Outputs(), self._note, detector, check=self._check, more=more
        )
        return Life(pipeline, lasting, clips)

    @property
    def _events_path(self) -> Path:
        return self._folder / "events.db"

    def _check(self) -> None:
        if self._unwanted():
            raise SourceError("stopped while loading")

    def _loaded(self, source: Source) -> Detector:
        """The detector: that of before where the camera's pictures are the same."""
        info = source.info
        key = (info.width, info.height, info.fps, info.bits)
        if self._detector is None or self._detector[0] != key:
            self._detector = None  # its memory first
            self._detector = key, self._make(self.settings.settings, source)
        detector = self._detector[1]
        if isinstance(detector, Forgetful):
            detector.forget()
        return detector

    def _follow(self, life: Life) -> None:
        """While it runs. Raises what it died of."""
        pipeline, seen, moved_s = life.pipeline, -1, time.monotonic()
        while True:
            try:
                state = pipeline.join(LOOK_S)
            except TimeoutError:
                pass
            except BaseException as error:
                if not isinstance(error, SourceError):
                    self._detector = None  # it may be what failed
                raise
            else:
                if state is State.FINISHED:
                    raise SourceError(f"{self.settings.shown} ended")
                return
            waiting = pipeline.captured - pipeline.dropped > pipeline.processed
            if pipeline.processed != seen or not waiting:
                seen, moved_s = pipeline.processed, time.monotonic()
            self._deadline = moved_s + self.station.hang_s
            self.watch = Watch.LOST if pipeline.source.status().lost else Watch.RUNNING
            if self.watch is Watch.LOST:
                self.latest = None
            elif seen > 0:
                self.trouble = ""
            if not waiting:
                life.events.idle(over=self.watch is Watch.LOST)
            if pipeline.failures:
                raise pipeline.failures[0]
            if self._unwanted():
                return

    # -- the pipeline's worker ------------------------------------------------------------------------------------

    def _note(self, result: FrameResult) -> None:
        now = time.monotonic()
        self.latency_s = now - result.captured_s
        if self._last_s:
            self._interval_s += (0.05 if self._interval_s else 1.0) * (now - self._last_s - self._interval_s)
        self._last_s = now
        image = result.frame.image
        self.size = image.shape[1], image.shape[0]
        self.latest = result

    def _changed(self, change: Change, event: Event) -> None:
        """An event begins, goes on or ends: its clip, and the news of it."""
        track = int(event.row["track"])
        if change is Change.STARTED:
            self._before.events += 1
            self.active += 1
            if self._clips is not None:
                event.row["clip"] = self._clips.begin(track, event.row["first_s"], event.captured_s)
        elif change is Change.ENDED:
            self.active = max(0, self.active - 1)
            if self._clips is not None:
                self._clips.end(track)
        width, height = self.size or (0, 0)
        about = {"active": self.active, "width": width, "height": height}
        self._tell(News.of(change, event, self.station.name, self.name, self._run_id, about))
