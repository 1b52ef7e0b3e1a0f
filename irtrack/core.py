"""The parts that what flows goes through: protocols of sources, detectors, trackers and sinks, and how they stand.

Here for all, too: what flows (`flow.py`), the errors, and what a picture is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from irtrack.errors import (
    AwayError as AwayError,
    ConfigError as ConfigError,
    IrtrackError as IrtrackError,
    SinkError as SinkError,
    SourceError as SourceError,
    WeightsError as WeightsError,
)
from irtrack.flow import (
    Detections as Detections,
    Floats as Floats,
    Frame as Frame,
    FrameResult as FrameResult,
    Scores as Scores,
    Track as Track,
    Tracks as Tracks,
    TrackStatus as TrackStatus,
)
from irtrack.pictures import (
    LARGEST_SIDE_PX as LARGEST_SIDE_PX,
    Image as Image,
    check_counts as check_counts,
    described as described,
    frozen as frozen,
)
from irtrack.remarks import Remarks as Remarks


class Clock(StrEnum):
    """Where the times of a source's frames come from."""

    FILE = "times of the file"
    GIVEN = "rate from --fps"
    ASSUMED = "rate assumed"
    ARRIVAL = "times of arrival"
    SCENE = "times of the scene"


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source. `frames` and `fps` are None where the source does not say.

    `remarks` grow while it is read: what was skipped, mended or assumed. `key`: what files that belong to the source
    are called after, where that is not the name.
    """

    name: str
    width: int
    height: int
    bits: int
    fps: float | None
    frames: int | None
    clock: Clock = Clock.FILE
    remarks: Remarks = field(default_factory=Remarks, compare=False)
    key: str = ""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source stands. `lost`: the camera is away. `incomplete`: pictures that came with parts missing, and were
    left out. `failed`: why a recording made of it ended early. `started`: when the seconds of a camera's frames began
    to count, UTC; None for a recording."""

    lost: bool = False
    incomplete: int = 0
    failed: SinkError | None = None
    started: datetime | None = None


@dataclass(frozen=True, slots=True)
class DetectorStatus:
    """How a detector stands. `scan_frames`: frames in which all places are seen once. `keeps_up`: with a camera.
    `choice`: why it is this model, where a trial decided. `without`: what of its settings it leaves out, and why.
    """

    model: str = ""
    device: str = "cpu"
    scan_frames: int = 1
    keeps_up: bool = False
    choice: str = ""
    without: str = ""


@runtime_checkable
class Source(Protocol):
    """Frames in order. `live` alone decides back-pressure: live sources drop, recordings wait. Sources subclass it, and
    what they leave out is as here."""

    live: bool
    info: SourceInfo

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the current position to the end; raises SourceError after the last readable one."""
        ...

    def seek(self, index: int) -> None:
        """Continue at frame `index` (recordings only; live sources raise SourceError)."""
        raise SourceError("a live source cannot seek: it has no past")

    def status(self) -> SourceStatus:
        """How it stands; in any thread."""
        return SourceStatus()

    def close(self) -> None:
        """Give back what was opened; may be called twice."""


@runtime_checkable
class Stoppable(Protocol):
    """A source whose reader may wait for long, and can be told to end."""

    def stop(self) -> None:
        """Wake whoever waits for a frame: there are no more. Returns at once; in any thread."""
        ...


class Detector(Protocol):
    """Finds targets in one frame."""

    threshold: float
    min_area_px: int
    regions: Any
    """`imaging.regions.Regions`: where targets count."""

    def __call__(self, image: Image) -> Detections: ...


@runtime_checkable
class Reporting(Protocol):
    """A detector that says how it stands."""

    def status(self) -> DetectorStatus:
        """By now; in any thread."""
        ...


def status_of(detector: object) -> DetectorStatus:
    """How a detector stands; one that does not say, or None, is whole and has no name."""
    return detector.status() if isinstance(detector, Reporting) else DetectorStatus()


@runtime_checkable
class Attentive(Protocol):
    """A detector that may look at part of a frame only, and so wants to know where the tracks are."""

    def expect(self, time_s: float) -> None:
        """Told before each frame: its time."""
        ...

    def look_at(self, tracks: Tracks, spent_s: float) -> None:
        """Told after each frame; `spent_s`: time that went into other things than detecting."""
        ...


@runtime_checkable
class Forgetful(Protocol):
    """A detector that keeps something of the frames before."""

    def forget(self) -> None:
        """What was seen so far says nothing of the next frame."""
        ...


class Tracker(Protocol):
    """Links detections over time. Called once for each frame, in order."""

    def __call__(self, detections: Detections, time_s: float, image: Image | None = None) -> Tracks: ...

    def reset(self) -> None:
        """Forget every track; identities are not used again."""
        ...


class Sink(Protocol):
    """Somewhere results go."""

    def write(self, result: FrameResult) -> None: ...

    def close(self) -> None: ...
