"""`irtrack run` and `irtrack flat`: sources through the whole chain, headless."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from irtrack.commands.common import conclude, outputs_from, read_by, remark_rate, settings_from
from irtrack.core import (
    FrameResult,
    Image,
    IrtrackError,
    Remarks,
    Sink,
    SinkError,
    Source,
    SourceError,
    SourceInfo,
    status_of,
)
from irtrack.stopping import Stop

if TYPE_CHECKING:
    from irtrack.build import Outputs
    from irtrack.detect.shared import SharedDetector
    from irtrack.direction.camera import Camera
    from irtrack.pipeline import Pipeline
    from irtrack.session.alarms import Alarm, Alarms
    from irtrack.sinks.target import Targets

FINISH_S = 60.0
"""Files are given so long to be finished after a stop: a full recorder on a slow disk takes its time."""


def run(args: argparse.Namespace) -> int:
    """`irtrack run`: sources through the whole chain, headless."""
    from irtrack.commands.sessions import run_session
    from irtrack.session.sessionfile import check_named, is_session

    stop: Stop = args.stop
    for text in args.source:
        check_named(text)
    if any(map(is_session, args.source)):
        return run_session(args)
    stop.polled = True
    if args.pretrigger is not None and (args.record is None or not args.pretrigger >= 0):
        raise IrtrackError("--pretrigger needs --record OUT, and seconds from 0 on")
    if not args.reconnect >= 0:
        raise IrtrackError(f"--reconnect {args.reconnect:g} makes no sense: give seconds from 0 on")
    runs: list[Run] = []
    shared: SharedDetector | None = None
    try:
        try:
            shared = stop.waited(lambda: prepare(runs, args, stop))
            follow(runs, args.quiet, stop)
        finally:
            end(runs)
            if shared is not None:
                shared.close()
    finally:
        for made in runs:
            made.targets.abandon()
    codes = []
    for made in runs:
        made.summarise(args.quiet, len(runs) > 1)
        codes.append(conclude(made.remarks, args.strict))
    errors = [r.error for r in runs if r.error is not None]
    for error in errors[1:]:
        print(f"irtrack: {error}", file=sys.stderr)
    if errors:
        raise errors[0]
    if not all(r.finished for r in runs):
        raise KeyboardInterrupt
    return max(codes)


def prepare(runs: list[Run], args: argparse.Namespace, stop: Stop) -> SharedDetector | None:
    """Claim the outputs, open the sources and load the network: all that takes long before anything moves.

    Fills `runs`; gives what several of them share.
    """
    from irtrack.build import claim, make_pipeline, make_shared, make_view, remark_outside
    from irtrack.capture import open_source
    from irtrack.capture.address import use_credentials
    from irtrack.capture.open import grouped

    alarms_of(args.alarm)  # what is wrong with them is said before anything is written
    settings, sources = settings_from(args), grouped(args.source)
    cameras = cameras_of(args, len(sources))
    use_credentials(args.credentials)
    outputs = outputs_from(args, pretrigger_s=args.pretrigger)
    several = len(sources) > 1
    if args.events is not None and args.events.resolve() in [path.resolve() for path in outputs.files.values()]:
        raise SinkError(f"{args.events} is named for two outputs: give each its own file")
    shared: SharedDetector | None = None
    try:
        for i, text in enumerate(sources):
            stop.check()
            one = outputs.numbered(i + 1) if several else outputs
            runs.append(Run(text, one, claim(one, (*sources, *read_by(args))), args.frames, alarms_of(args.alarm)))
        shared = make_shared(settings) if several else None
        for made, camera in zip(runs, cameras, strict=True):
            stop.check()
            source = open_source(made.text, args.fps, args.reconnect, args.reconnect, lambda: stop.asked)
            remark_rate(source.info.name, source.info.fps, settings.tracker, source.info.remarks)
            remark_outside(made.alarms.area if made.alarms is not None else (), source.info)
            detector = make_view(shared, settings, source) if shared else None
            events = events_of(args.events, made, source)
            made.pipeline = make_pipeline(
                source, settings, made.outputs, made.note, detector, made.targets, stop.check, events, camera
            )
            made.say_choice(args.quiet, several)
        return shared
    except BaseException:
        end(runs)
        if shared is not None:
            shared.close()
        stop.check()  # whoever asked for the end does not want to hear what broke off
        raise


def events_of(path: Path | None, made: Run, source: Source) -> list[Sink]:
    """The output of --events, if it was given; the source is closed where it cannot be had. Raises SinkError."""
    from irtrack.station.events import EventSink

    made.events = path
    try:
        return [] if path is None else [EventSink(path, made.name, source.live)]
    except BaseException:
        source.close()
        raise


def cameras_of(args: argparse.Namespace, sources: int) -> list[Camera | None]:
    """Of --pose, one for each source. Raises IrtrackError."""
    from irtrack.direction.camera import load_camera

    if not args.pose:
        return [None] * sources
    if args.jsonl is None:
        raise IrtrackError("--pose adds directions to JSON lines: name them with --jsonl OUT.jsonl")
    if len(args.pose) != sources:
        raise IrtrackError(f"{sources} sources take {sources} times --pose, in their order, not {len(args.pose)}")
    return [load_camera(path) for path in args.pose]


def alarms_of(text: str | None) -> Alarms | None:
    """Rules of --alarm, if it was given. Raises ConfigError."""
    from irtrack.session.alarms import alarms_from

    return None if text is None else alarms_from(text)


class Run:
    """A source of `irtrack run` with its pipeline and what came of it."""

    def __init__(
        self, text: str, outputs: Outputs, targets: Targets, frames: int | None, alarms: Alarms | None = None
    ) -> None:
        from irtrack.capture.address import redact

        self.text, self.name, self.outputs, self.targets = text, redact(text.partition("\n")[0]), outputs, targets
        self._frames, self.alarms = frames, alarms
        self.events: Path | None = None
        """A database that it writes to."""
        self._called = 0
        self.pipeline: Pipeline | None = None
        self.error: BaseException | None = None
        self.over = self.finished = False
        """Whether it ended, and whether it did so by itself."""
        self._seen: set[int] = set()
        self._said: set[str] = set()
        self._start = time.monotonic()

    @property
    def remarks(self) -> Remarks:
        """What is to be said of what was read."""
        return self.pipeline.source.info.remarks if self.pipeline is not None else Remarks()

    def note(self, result: FrameResult) -> None:
        """After each frame."""
        self._seen.update(t.id for t in result.tracks if t.confirmed)
        alarm = self.alarms(result) if self.alarms is not None else None
        if alarm is not None:
            self._call(alarm)
        if self._frames and self.pipeline is not None and self.pipeline.processed >= self._frames:
            self.finished = True
            self.pipeline.stop()

    def _call(self, alarm: Alarm) -> None:
        """Say an alarm, with the time of day where the source has one."""
        from tqdm import tqdm

        self._called += 1
        started = self.pipeline.source.status().started if self.pipeline is not None else None
        moment = f"{started + timedelta(seconds=alarm.time_s):%Y-%m-%dT%H:%M:%S}Z, " if started is not None else ""
        line = f"alarm: {self.name}: {moment}{alarm.time_s:.2f} s, frame {alarm.frame}: {alarm.text}"
        tqdm.write(line, file=sys.stderr)

    def wait(self, seconds: float) -> None:
        """For the end; its error is kept. An output that fails is said; when all have, the run is stopped."""
        from irtrack.pipeline import State

        assert self.pipeline is not None
        try:
            ended = self.pipeline.join(seconds)
            self.finished = self.finished or ended is State.FINISHED
            self.over = True
        except TimeoutError:
            failed = failures_of(self.pipeline)
            if failed and len(failed) == len(self.outputs.files) + (self.events is not None):
                self.pipeline.stop()
            else:
                self._say(failed, "; the other outputs go on")
        except Exception as error:
            self.over, self.error = True, error
            self._say([e for e in failures_of(self.pipeline) if e is not error])

    def _say(self, failed: Sequence[BaseException], more: str = "") -> None:
        """Name the outputs that failed, each once."""
        for text in (str(error) for error in failed):
            if text not in self._said:
                self._said.add(text)
                print(f"irtrack: {text}{more}", file=sys.stderr)

    def say_choice(self, quiet: bool, named: bool) -> None:
        """Which network runs, where a trial decided, and what it leaves out."""
        assert self.pipeline is not None
        status = status_of(self.pipeline.detector)
        if status.choice and not quiet:
            print(f"weights {status.model}, since {status.choice}")
        if status.without and not quiet:
            print(f"{self.name}: " * named + status.without)

    def summarise(self, quiet: bool, named: bool) -> None:
        """One line on what was done, one for each file."""
        pipeline = self.pipeline
        if quiet or pipeline is None:
            return
        how = "ended early" if self.error is not None else "done" if self.finished else "stopped"
        elapsed = time.monotonic() - self._start
        rate = pipeline.processed / elapsed if elapsed else 0.0
        dropped = f", {pipeline.dropped} dropped" if pipeline.source.live else ""
        incomplete = pipeline.source.status().incomplete
        dropped += f", {incomplete} came incomplete" if incomplete else ""
        print(f"{self.name}: " * named + f"{how}: {pipeline.processed} frames in {elapsed:.1f} s ", end="")
        called = f", {self._called} alarms" if self.alarms is not None else ""
        print(f"({rate:.1f} a second{dropped}), {len(self._seen)} tracks{called}")
        print(f"  read {described(pipeline.source.info, pipeline.processed)}")
        scan = status_of(pipeline.detector).scan_frames
        if scan > 1:
            print(f"  too slow for whole frames: every place was looked at once in {scan} frames, tracks in each")
        for path in self.targets.finished:
            print(f"  wrote {path}")
        if self.events is not None and self.error is None:
            print(f"  added to {self.events}")


def described(info: SourceInfo, read: int) -> str:
    """Frames, size, depth, rate and where the times come from."""
    rate = f"{info.fps:.4g} a second, " if info.fps else ""
    of = f" of {info.frames}" if info.frames is not None and info.frames != read else ""
    return f"{read}{of} frames of {info.width}x{info.height} pixels, {info.bits} bits, {rate}{info.clock.value}"


def failures_of(pipeline: Pipeline) -> list[BaseException]:
    """Of its outputs so far: of the logs, and of the recording."""
    failed = pipeline.source.status().failed
    return [*pipeline.failures, *([failed] if failed is not None else [])]


def follow(runs: Sequence[Run], quiet: bool, stop: Stop) -> None:
    """Start all and wait for all, or for a request to end, with a progress bar where there is a terminal.

    One that fails does not end the others.
    """
    from tqdm import tqdm

    pipelines = [r.pipeline for r in runs if r.pipeline is not None]
    counts = [p.source.info.frames for p in pipelines]
    total = sum(c for c in counts if c is not None) if None not in counts else None
    for pipeline in pipelines:
        pipeline.start()
    with tqdm(total=total, unit="frame", disable=True if quiet else None, dynamic_ncols=True) as bar:
        while not stop.asked and (waiting := [r for r in runs if not r.over]):
            waiting[0].wait(0.1)
            for r in waiting[1:]:
                r.wait(0.0)
            bar.update(sum(p.processed for p in pipelines) - bar.n)


def end(runs: Sequence[Run]) -> None:
    """Stop what still runs, all at once, and wait until it is closed."""
    going = [r for r in runs if r.pipeline is not None and not r.over]
    for made in going:
        assert made.pipeline is not None
        made.pipeline.stop()
    for made in going:
        made.wait(FINISH_S)
        if not made.over:
            made.error = IrtrackError(f"{made.name} could not be ended: its outputs may lack their last moments")


def flat(args: argparse.Namespace) -> int:
    """`irtrack flat`: offsets and bad pixels of a camera."""
    from irtrack.capture import open_source
    from irtrack.capture.address import use_credentials
    from irtrack.capture.corrected import correction_path
    from irtrack.imaging.correction import correction_from, load_correction
    from irtrack.pictures import described as shown
    from irtrack.sinks.target import check_target

    use_credentials(args.credentials)
    if args.out is not None and args.out.exists():
        try:
            load_correction(args.out)
        except IrtrackError as error:  # one is made anew where it was; any other file is kept
            raise IrtrackError(f"{args.out} exists and is no correction: choose another name") from error
    if args.out is not None:
        check_target(args.out, force=True)  # before a camera is looked at
    source = open_source(args.source)
    frames: list[Image] = []
    try:
        for frame in source:
            if frames and (frame.image.shape, frame.image.dtype) != (frames[0].shape, frames[0].dtype):
                raise SourceError(
                    f"{source.info.name}: frame {frame.index} is {shown(frame.image)}, those before "
                    f"{shown(frames[0])}: a flat scene is of one camera in one mode"
                )
            frames.append(frame.image)
            if len(frames) >= args.frames:
                break
    finally:
        source.close()
    made = correction_from(np.stack(frames))
    path = args.out or correction_path(source.info.key or source.info.name)
    made.save(path)
    print(f"done: {len(frames)} frames, offsets of {made.offset.std():.1f} counts, {int(made.bad.sum())} bad pixels")
    print(f"  wrote {path}")
    return 0
