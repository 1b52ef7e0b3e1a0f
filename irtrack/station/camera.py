"""One camera of a station: its pipeline, begun anew after each death, on its schedule."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from irtrack.build import Outputs, make_detector, make_pipeline
from irtrack.capture.open import open_source
from irtrack.capture.reconnect import LOST
from irtrack.config import Settings
from irtrack.core import (
    Detector,
    DetectorStatus,
    Forgetful,
    FrameResult,
    IrtrackError,
    Sink,
    Source,
    SourceError,
    status_of,
)
from irtrack.direction.bearings import check_fits
from irtrack.direction.camera import load_camera
from irtrack.pipeline import State
from irtrack.station.aim import Aim
from irtrack.station.clips import ClipSink
from irtrack.station.cot import CotSink
from irtrack.station.cot_sender import CotSender
from irtrack.station.disk import Disk
from irtrack.station.events import Change, Event, EventSink
from irtrack.station.life import Counts, Lasting, Life
from irtrack.station.networks import let_go
from irtrack.station.news import News
from irtrack.station.schedule import Schedule, zone_of
from irtrack.station.settings import CameraSettings, CotSettings, StationSettings
from irtrack.station.shadow import Shadow

RECONNECT_S = 30.0
"""A camera that is lost is reached for so long by the pipeline that has its tracks; then by one that is begun anew."""

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Between deaths and new beginnings; the wait doubles."""

WELL_S = 60.0
"""A pipeline that ran for so long was well: the next wait is short again."""

OPEN_S, LOADING_S = 120.0, 900.0
"""To connect, and to load a network and try its engines, may take so long; longer is a hang."""

BUSY_S = 0.5
"""Another program that writes to the database holds frames up for so long; then it is tried again with the next."""

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
        self.shadow = Shadow(station.selftest, settings, self._folder, make) if station.selftest.on else None
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
    def detecting(self) -> DetectorStatus:
        """What finds its targets, and what that leaves out."""
        return status_of(self._detector[1] if self._detector is not None else None)

    @property
    def senders(self) -> list[CotSender]:
        """Of Cursor on Target, while it runs."""
        life = self._life
        return life.senders if life is not None else []

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
            self._drop_detector()  # whoever still holds this camera does not hold its networks
            if self.shadow is not None:
                self.shadow.end()
            self.shadow = None
            self._ended.set()

    def _due(self) -> bool:
        """By the schedule; the clock is asked each time, so that it may be set."""
        return self._schedule.on(datetime.now(UTC), self._zone)

    def _unwanted(self) -> bool:
        return self._stop.is_set() or not self._due()

    def _set(self, watch: Watch) -> None:
        self.watch = watch
        self._deadline = time.monotonic() + OPEN_S + self.settings.silence_s
        if watch is not Watch.RUNNING:
            self.latest, self.active = None, 0

    def _pause(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds + OPEN_S + self.settings.silence_s
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
        source = open_source(self.settings.source, None, RECONNECT_S, 0.0, self._unwanted, self.settings.silence_s)
        open_: list[Sink] = []
        try:
            self.size = source.info.width, source.info.height
            senders = self._aimed(source, open_)
            events = EventSink(self._events_path, self.name, live=True, tell=self._changed, busy_s=BUSY_S)
            open_.append(lasting := Lasting(events, self.name))
            clips, self._run_id = None, events.run
            if self.station.clips.kind != "none":
                display, fps = self.settings.settings.display, source.info.fps
                clips = ClipSink(self.name, self.station.clips, self._folder, self._disk, display, fps)
                open_.append(clips)
            self._clips = clips
            self._deadline = time.monotonic() + LOADING_S
            detector = self._loaded(source)
            if self.shadow is not None:
                self.shadow.prepare(source)
                open_.append(self.shadow)
        except BaseException:
            source.close()
            for sink in open_:
                sink.close()
            raise
        pipeline = make_pipeline(
            source, self.settings.settings, Outputs(), self._note, detector, check=self._check, more=open_
        )
        return Life(pipeline, lasting, clips, senders)

    def _aimed(self, source: Source, open_: list[Sink]) -> list[CotSender]:
        """Where the pose is known: directions, and who is sent them. Raises IrtrackError."""
        self._aim, senders = None, list[CotSender]()
        if not self.settings.pose:
            return senders
        pose = load_camera(Path(self.settings.pose))
        check_fits(pose, source.info)
        self._aim = Aim(pose, source.info.remarks)
        open_.append(self._aim)
        for one in self.station.outputs:
            if isinstance(one, CotSettings):
                senders.append(sender := CotSender(one.address, one.hops, one.waiting))
                name = f"{self.station.name}-{self.name}"
                open_.append(CotSink(sender, name, pose, one.period_s, one.range_m))
        return senders

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
            self._drop_detector()  # its memory first
            self._detector = key, self._make(self.settings.settings, source)
            if self.detecting.without:
                log.info("camera %s: %s", self.name, self.detecting.without)
        detector = self._detector[1]
        if isinstance(detector, Forgetful):
            detector.forget()
        return detector

    def _drop_detector(self) -> None:
        made, self._detector = self._detector, None
        if made is not None:
            let_go(made[1])

    def _follow(self, life: Life) -> None:
        """While it runs. Raises what it died of."""
        pipeline, seen, moved_s = life.pipeline, -1, time.monotonic()
        said = {LOST}  # that is said already
        while True:
            for text in pipeline.source.info.remarks.counts().keys() - said:
                log.warning("camera %s: note: %s", self.name, text)
                said.add(text)
            try:
                state = pipeline.join(LOOK_S)
            except TimeoutError:
                pass
            except BaseException as error:
                if not isinstance(error, SourceError):
                    self._drop_detector()  # it may be what failed
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
            if self.shadow is not None:
                self.shadow.keep()
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
        if self._aim is not None:
            event.row |= self._aim.of(track, over=change is Change.ENDED)
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
