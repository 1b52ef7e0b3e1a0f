"""One pipeline of a camera, from its beginning to its death, and what is counted of all of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from irtrack.capture.reconnect import LOST
from irtrack.core import FrameResult, SinkError
from irtrack.pipeline import Pipeline
from irtrack.station.clips import ClipSink
from irtrack.station.cot_sender import CotSender
from irtrack.station.events import EventSink

log = logging.getLogger(__name__)


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
    senders: list[CotSender]
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
