"""The one table of kinds of outputs: read by whoever opens one, by the options, the dialogs and the documents.

A new kind is a class (see `irtrack.core.Sink`) and a row here; a package of its own declares its row as an entry point
in the group `irtrack.sinks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from irtrack import plugins
from irtrack.config import DisplaySettings
from irtrack.core import Sink, SinkError
from irtrack.direction.bearings import Bearings
from irtrack.sinks.target import Target


@dataclass(frozen=True)
class About:
    """What an output may need to know: the frame rate, where it is known, and how counts become colours.

    `started`: when the seconds of a camera's frames began to count, UTC. `names`: what tracks are called, by number.
    `by_hand`: those that the operator added.
    """

    fps: float | None
    display: DisplaySettings
    started: datetime | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    by_hand: Set[int] = frozenset()
    bearings: Bearings | None = None
    """Of a camera whose pose is known."""


@dataclass(frozen=True)
class SinkKind:
    """A kind of output. `name`: of its option. `suffixes`: of its files, the usual one first. `open`: makes it in a
    claimed file; raises SinkError. None: frames go into it as they come from the source, before all else.

    `log`: it has rows of tracks, which may be completed, online or offline. `alone`: `irtrack track` writes it too,
    which knows tracks and no pictures. `free`: files may have any suffix. `extra`: what must be installed for it.
    """

    name: str
    title: str
    help: str
    suffixes: tuple[str, ...]
    open: Callable[[Target, About], Sink] | None
    log: bool = True
    alone: bool = True
    free: bool = True
    extra: str = ""

    def check(self, path: Path) -> None:
        """Raises SinkError where a file has a suffix that cannot be."""
        if not self.free and path.suffix.lower() not in self.suffixes:
            raise SinkError(f"{path}: {self.title} is written as {' or '.join(self.suffixes)}")


def open_csv(target: Target, about: About) -> Sink:
    from irtrack.sinks.text import CsvSink

    return CsvSink(target)


def open_mot(target: Target, about: About) -> Sink:
    from irtrack.sinks.text import MotSink

    return MotSink(target)


def open_jsonl(target: Target, about: About) -> Sink:
    from irtrack.sinks.text import JsonLinesSink

    sink = JsonLinesSink(target)
    sink.started, sink.names, sink.by_hand = about.started, about.names, about.by_hand
    sink.bearings = about.bearings
    return sink


def open_trackmate(target: Target, about: About) -> Sink:
    from irtrack.sinks.annotation import TrackMateSink

    return TrackMateSink(target)


def open_cvat(target: Target, about: About) -> Sink:
    from irtrack.sinks.annotation import CvatSink

    sink = CvatSink(target)
    sink.by_hand = about.by_hand
    return sink


def open_coco(target: Target, about: About) -> Sink:
    from irtrack.sinks.annotation import CocoSink

    return CocoSink(target)


def open_video(target: Target, about: About) -> Sink:
    from irtrack.sinks.video import VideoSink

    return VideoSink(target, fps=about.fps, display=about.display, label=lambda track: plain(about.names, track))


def plain(names: Mapping[int, str], track: int) -> str:
    """A track's name, or its number, in letters that OpenCV can draw."""
    name = names.get(track, "")
    return name if name and name.isascii() else str(track)


SINKS = (
    SinkKind("csv", "track log", "track log", (".csv",), open_csv),
    SinkKind("mot", "MOTChallenge", "MOTChallenge text", (".txt",), open_mot),
    SinkKind(
        "jsonl", "JSON lines", "JSON lines: tracks, detections, timing", (".jsonl",), open_jsonl, alone=False
    ),
    SinkKind("trackmate", "TrackMate", "spots table of Fiji's TrackMate", (".csv",), open_trackmate),
    SinkKind("cvat", "CVAT", "CVAT for video 1.1, to look at and correct", (".xml",), open_cvat),
    SinkKind("coco", "COCO-VID", "COCO-VID", (".json",), open_coco),
    SinkKind(
        "video", "annotated video", "annotated H.264 video (.mkv or .mp4)", (".mkv", ".mp4", ".mov"), open_video,
        log=False, alone=False, free=False,
    ),
    SinkKind(
        "record", "a recording", "the frames as they came, lossless: FFV1, or BigTIFF (.tif)",
        (".mkv", ".tif", ".tiff"), None, log=False, alone=False, free=False,
    ),
)  # fmt: skip


def kind_named(name: str) -> SinkKind:
    """The kind of an option; one of another package is imported. Raises IrtrackError where that fails."""
    own = next((kind for kind in SINKS if kind.name == name), None)
    if own is not None:
        return own
    found: SinkKind = plugins.load(plugins.SINKS, name, SinkKind)
    return found


def other_names() -> list[str]:
    """Of the kinds that other packages bring; an option that is there already stays."""
    return sorted(set(plugins.found(plugins.SINKS)) - {kind.name for kind in SINKS})


def log_kinds() -> list[SinkKind]:
    """The kinds of track logs, those of other packages last; a broken one is said and passed over."""
    kinds = (*SINKS, *plugins.every(plugins.SINKS, SinkKind))
    return [kind for kind in kinds if kind.log and kind.open is not None]
