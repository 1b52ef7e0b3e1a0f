"""Composition root: from settings to objects. The only place that picks a class by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from irtrack.capture.corrected import corrected
from irtrack.capture.tee import TeeSource
from irtrack.config import DetectorSettings, Polygon, Settings, check_pixels
from irtrack.core import ConfigError, Detector, FrameResult, Sink, SinkError, Source, SourceInfo, Tracker
from irtrack.direction.bearings import Bearings, check_fits
from irtrack.direction.camera import CAMERA_BESIDE, Camera
from irtrack.imaging.regions import Regions, area
from irtrack.pipeline import Pipeline
from irtrack.sinks.kinds import About, SinkKind, kind_named
from irtrack.sinks.parts import Parts
from irtrack.sinks.record import Recorder, TriggeredRecorder
from irtrack.sinks.target import Target, Targets, reason
from irtrack.sinks.text import CompletedLog, OfflineLog
from irtrack.track.offline import rewritten
from irtrack.track.tracker import KalmanTracker

if TYPE_CHECKING:
    from irtrack.detect.detector import NetworkDetector
    from irtrack.detect.live import LiveDetector
    from irtrack.detect.shared import SharedDetector, View


LIVE_FPS = 30.0
"""Frame rate to keep up with where a camera does not say."""

TEMPORAL_FPS = 8.0
"""Frame rate from which on what moves can be followed by small steps."""

LONG_DELAY_S = 10.0
"""A log that waits so long is made from a file, which can be read again: its rows need not be safe all the while."""


@dataclass(frozen=True)
class Outputs:
    """Where a run's results go. `files`: by the name of their kind, of those in `irtrack.sinks.kinds` or another
    package's.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    pretrigger_s: float | None = None
    force: bool = False
    online: bool = False
    offline: bool = False

    def numbered(self, number: int) -> Outputs:
        """The same for one of several sources: tracks.csv becomes tracks-1.csv."""
        return replace(self, files={n: p.with_name(f"{p.stem}-{number}{p.suffix}") for n, p in self.files.items()})


def make_detector(settings: Settings, source: Source | None = None) -> NetworkDetector:
    """The network on its device, for a source if it is known. Imports torch, which takes seconds: call it late.

    Made in a thread that ends: each thread that calls torch has OpenMP workers of its own, and while there are more of
    them than cores, all of them sleep between operations instead of waiting: frames take twice the time.
    """
    detector, without = at_rate(settings.detector, source.info.fps if source is not None else None)
    if source is None or not source.live:
        made = make_loaded(detector, None)
    else:
        made = make_loaded(detector, source.info.fps or LIVE_FPS, (source.info.height, source.info.width))
    made.without = without
    return made


def at_rate(settings: DetectorSettings, fps: float | None) -> tuple[DetectorSettings, str]:
    """The settings for frames that come so often, and what they leave out, with the reason; "" where that is nothing.

    The one place that decides it, for single sources, several, recordings of an archive and cameras of a station. A
    rate that is not known is taken for that of a usual camera.
    """
    if settings.temporal and (fps or LIVE_FPS) < TEMPORAL_FPS:
        without = f"what moves is not sought over time: that takes {TEMPORAL_FPS:g} frames a second or more"
        return replace(settings, temporal=False), without
    return settings, ""


def make_loaded(
    settings: DetectorSettings, live_fps: float | None, size: tuple[int, int] | None = None
) -> NetworkDetector:
    """`load_detector` in a thread that ends."""
    with ThreadPoolExecutor(1, "irtrack-load") as once:
        return once.submit(load_detector, settings, live_fps, size).result()


def load_detector(
    settings: DetectorSettings, live_fps: float | None = None, size: tuple[int, int] | None = None
) -> NetworkDetector:
    """Device, weights and network, in the calling thread. `live_fps`: the rate of a camera, None for a recording.

    `size`: height and width of its frames.

    Mode `auto` is `exact` for recordings and `live` for cameras. Weights `auto`, on a CPU: the slim network, but for a
    camera with which the full one keeps up. Raises IrtrackError or WeightsError.
    """
    from irtrack.detect.detector import NetworkDetector, check_whole, pick_device, pick_weights
    from irtrack.detect.live import LiveDetector
    from irtrack.detect.weights import load_weights

    device, choice = pick_device(settings.device), ""
    if settings.weights == "auto" and live_fps and size and settings.mode in ("auto", "live") and device.type == "cpu":
        full, choice = full_if_it_keeps_up(settings, live_fps, size)
        if full is not None:
            return full
    weights = load_weights(pick_weights(settings.weights, device), others=True)
    if settings.mode == "live" or (settings.mode == "auto" and live_fps is not None and weights.is_own):
        if not weights.is_own:
            check_whole(weights, settings)
        live = LiveDetector(weights, settings, device, 1 / (live_fps or LIVE_FPS), settings.live_bands)
        live.choice = choice
        return live
    return NetworkDetector(weights, settings, device)


def full_if_it_keeps_up(
    settings: DetectorSettings, live_fps: float, size: tuple[int, int]
) -> tuple[LiveDetector | None, str]:
    """The full network on a CPU, where a short trial says that it keeps up with a camera; and what the trial found."""
    from irtrack.detect.detector import pick_device
    from irtrack.detect.live import LiveDetector
    from irtrack.detect.weights import load_weights

    full = LiveDetector(load_weights("datransnet"), settings, pick_device("cpu"), 1 / live_fps, settings.live_bands)
    return full if full.keeps_up(*size) else None, full.choice


def make_tracker(settings: Settings) -> Tracker:
    """A tracker without tracks."""
    return KalmanTracker(settings.tracker)


def claim(outputs: Outputs, inputs: Iterable[str | Path | None] = ()) -> Targets:
    """Every output, made and locked before anything slow begins. `inputs`: what is read, as the user names it.

    Raises SinkError where one cannot be written, is named twice, is read, or is being written by another run.
    """
    if outputs.online and outputs.offline:
        raise SinkError("a log is either --online or --offline: choose one")
    for name, path in outputs.files.items():
        kind_named(name).check(path)
    targets = Targets(outputs.files.values(), outputs.force, inputs)
    targets.check_apart(inputs)
    return targets


def make_sinks(
    outputs: Outputs,
    settings: Settings,
    fps: float | None,
    targets: Targets | None = None,
    started: datetime | None = None,
    names: Mapping[int, str] | None = None,
    by_hand: Set[int] = frozenset(),
    bearings: Bearings | None = None,
) -> list[Sink]:
    """Open the outputs. Text logs are completed (rows from before confirmation) unless `online` or `offline`.

    `started`: when the seconds of a camera's frames began to count, UTC. `names`: what tracks are
    called. `by_hand`: those that the operator added. `bearings`: of a camera whose pose is known.
    """
    targets = targets or claim(outputs)
    about = About(fps, settings.display, started, names or {}, by_hand, bearings)
    delay_s = 0.0 if outputs.online else settings.tracker.log_delay_s

    def made(target: Target, kind: SinkKind) -> Sink:
        assert kind.open is not None
        sink = kind.open(target, about)
        if kind.log and outputs.offline:
            return OfflineLog(sink, partial(rewritten, settings=settings.tracker))
        return CompletedLog(sink, delay_s, tail=delay_s < LONG_DELAY_S) if kind.log and delay_s else sink

    kinds = ((path, kind_named(name)) for name, path in outputs.files.items())
    makers = [(path, partial(made, kind=kind)) for path, kind in kinds if kind.open is not None]
    sinks: list[Sink] = []
    try:
        for path, make in makers:
            sinks.append(Parts(targets.of(path), make, targets.next_part))
    except BaseException:
        for opened in sinks:
            opened.close()
        raise
    return sinks


def make_pipeline(
    source: Source,
    settings: Settings,
    outputs: Outputs,
    on_result: Callable[[FrameResult], None] | None = None,
    detector: Detector | None = None,
    targets: Targets | None = None,
    check: Callable[[], None] = lambda: None,
    more: Sequence[Sink] = (),
    camera: Camera | None = None,
) -> Pipeline:
    """A pipeline ready to start, headless, with a detector of its own unless one is given.

    `targets`: the outputs, if they were claimed before. `more`: outputs that are open already. `camera`: its lens and
    pose, where they are known: JSON lines then have directions. `check` is called when
    what takes long is done, and may raise.
    Where a part cannot be made, closes the source and raises its error.
    """
    try:
        targets = targets or claim(outputs)
        tracker = make_tracker(settings)  # what is wrong with its settings is said before the network is loaded
        if detector is None:
            detector = make_detector(settings, source)
        check()
        if "record" in outputs.files:
            recorder: Recorder | TriggeredRecorder
            recorder = Recorder(targets.of(outputs.files["record"]), wait=not source.live, following=targets.next_part)
            if outputs.pretrigger_s is not None:
                recorder = TriggeredRecorder(recorder, outputs.pretrigger_s)
                on_result = both(partial(trigger_on_tracks, recorder), on_result)
            source = TeeSource(source, recorder)
        source = corrected(source, settings.capture)
        check_fit(settings.detector, source.info)
        started = source.status().started
        if started is not None:
            write_clock(outputs, targets, started)
        bearings = None
        if camera is not None:
            check_fits(camera, source.info)
            bearings = Bearings(camera, source.info.remarks)
            write_camera(outputs, targets, camera)
        sinks = make_sinks(outputs, settings, source.info.fps, targets, started, bearings=bearings)
    except BaseException:
        source.close()
        for sink in more:
            sink.close()
        if targets is not None:
            targets.abandon()
        raise
    return Pipeline(source, detector, tracker, (*sinks, *more), on_result=on_result)


def check_fit(settings: DetectorSettings, info: SourceInfo) -> None:
    """Say which settings do nothing with pictures of this size and depth. Raises ConfigError where they leave nothing
    to look at: regions are often those of another camera."""
    regions = Regions.of(settings)
    check_pixels((*regions.include, *regions.exclude))
    allowed = regions.allowed((info.height, info.width))
    if allowed is not None and not allowed.any():
        size = f"{info.width}x{info.height} pixels"
        raise ConfigError(f"the regions leave nothing of pictures of {size}: were they drawn for another size?")
    remark_outside((*regions.include, *regions.exclude), info)
    if settings.levels and info.bits <= 8:
        info.remarks.add(f"levels = {settings.levels} does nothing with pictures of 8 bits: it is for deeper ones")
    if not 0 < settings.threshold < 1:
        what = "every pixel" if settings.threshold <= 0 else "no pixel"
        info.remarks.add(f"with threshold = {settings.threshold:g} {what} belongs to a target: nothing can be found")


def remark_outside(outlines: Sequence[Polygon], info: SourceInfo) -> None:
    """Say which regions lie outside of pictures of this size."""
    outside = [outline for outline in outlines if not area([outline], (info.height, info.width)).any()]
    if outside:
        size = f"{info.width}x{info.height} pixels"
        info.remarks.add(
            f"regions that lie outside of pictures of {size}: were they drawn for another size?", len(outside)
        )


def write_clock(outputs: Outputs, targets: Targets, started: datetime) -> None:
    """Beside the first of a camera's logs, whose seconds count from its opening: when that was, so that its rows can be
    placed in time. Raises SinkError."""
    logs = [outputs.files[name] for name in ("csv", "jsonl", "mot", "trackmate") if name in outputs.files]
    if not logs:
        return
    moment = {"time_s": 0.0, "utc": started.isoformat(timespec="microseconds")}
    write_beside(logs[0].with_name(f"{logs[0].name}.utc.json"), json.dumps(moment) + "\n", targets)


def write_camera(outputs: Outputs, targets: Targets, camera: Camera) -> None:
    """Beside the JSON lines: the camera that their directions are by, for `irtrack triangulate`. Raises SinkError."""
    if "jsonl" in outputs.files:
        log = outputs.files["jsonl"]
        write_beside(log.with_name(log.name + CAMERA_BESIDE), camera.save_text(), targets)


def write_beside(path: Path, text: str, targets: Targets) -> None:
    """A small file that belongs to a log, replaced where there is one. Raises SinkError."""
    target = Target(path, force=True)
    targets.all.append(target)
    try:
        target.path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SinkError(f"cannot write {target.path}: {reason(error)}") from error
    target.finish()


def make_shared(settings: Settings) -> SharedDetector:
    """One detector for several sources: whole frames, since parts of frames are a matter of one camera each."""
    from irtrack.detect.shared import SharedDetector

    if settings.detector.mode in ("video", "live"):
        raise ConfigError("several sources share one detector, which sees whole frames: leave --mode out")
    exact = replace(settings, detector=replace(settings.detector, mode="exact"))
    return SharedDetector(make_detector(exact))


def make_view(shared: SharedDetector, settings: Settings, source: Source) -> View:
    """The shared detector for one of its sources."""
    fps = source.info.fps
    detector, without = at_rate(replace(settings.detector, mode=shared.detector.settings.mode), fps)
    return shared.view(detector, without, 1 / (fps or LIVE_FPS))


def trigger_on_tracks(recorder: TriggeredRecorder, result: FrameResult) -> None:
    """Record round frames with a target."""
    if any(t.confirmed for t in result.tracks):
        recorder.trigger(result.frame.time_s)


def both(
    first: Callable[[FrameResult], None], second: Callable[[FrameResult], None] | None
) -> Callable[[FrameResult], None]:
    """One call for two."""

    def call(result: FrameResult) -> None:
        first(result)
        if second is not None:
            second(result)

    return call
