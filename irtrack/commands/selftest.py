"""`irtrack selftest`: what could be seen in a recording, or by a camera."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from irtrack.commands.common import conclude, read_by, settings_from
from irtrack.core import Detections, Detector, Forgetful, Frame, FrameResult, IrtrackError, Source
from irtrack.stopping import Stop

if TYPE_CHECKING:
    from irtrack.station.faint import Sight
    from irtrack.station.selftest import SelfTestSettings

LIVE_EVERY_S = 2.0
"""From one second of a camera to the next."""

FEWEST, MOST_FRAMES = 3, 120
"""Of a batch."""


def selftest(args: argparse.Namespace) -> int:
    """`irtrack selftest`."""
    from irtrack.build import make_detector, make_tracker
    from irtrack.capture import open_source
    from irtrack.capture.address import use_credentials
    from irtrack.capture.corrected import corrected
    from irtrack.sinks.target import claimed_all, write_output
    from irtrack.station.faint import kind_of
    from irtrack.station.selftest import SelfTest, to_dict

    stop: Stop = args.stop
    stop.polled = True
    wanted, reference = wanted_from(args), reference_from(args.reference)
    settings = settings_from(args)
    use_credentials(args.credentials)
    with claimed_all([args.json], args.force, read_by(args)):
        if args.mode in ("video", "live"):
            raise IrtrackError(f"a test looks at whole frames, not in mode {args.mode}: leave --mode out")
        source = corrected(open_source(args.source, args.fps, cancelled=lambda: stop.asked), settings.capture)
        try:
            exact = replace(settings, detector=replace(settings.detector, mode="exact"))
            detector = make_detector(exact, source)
            test = SelfTest(lambda: detector, lambda: make_tracker(exact), wanted, reference)
            done = 0
            for clip in clips(source, args.batches, args.seconds):
                stop.check()
                if reference is not None and reference.kind != kind_of(clip[0].image):
                    raise IrtrackError(f"{args.reference} is of pictures of another size or depth: make one for these")
                test.run(known(clip, detector))
                done += 1
        finally:
            source.close()
        report = test.report()
        if report is None:
            raise IrtrackError(f"{source.info.name} has too few frames for a test: it takes {FEWEST} in a row")
        print("\n".join(report.lines()))
        if not any(row.targets for row in report.rows):
            raise IrtrackError("there was no free place for targets: the pictures are too small or too full")
        print(f"done: {done} times {args.seconds:g} s of {source.info.name}, {report.frames} frames")
        if args.json:
            values = to_dict(report, test.reference)
            write_output(args.json, json.dumps(values, indent=1, allow_nan=False) + "\n")
            print(f"  wrote {args.json}")
    return conclude(source.info.remarks, args.strict)


def wanted_from(args: argparse.Namespace) -> SelfTestSettings:
    """The test that the options ask for. Raises IrtrackError."""
    from irtrack.station.selftest import SelfTestSettings

    try:
        scrs = tuple(float(text) for text in args.scr.split(","))
    except ValueError:
        raise IrtrackError(f"--scr {args.scr!r} must be numbers such as 2,3,5,8") from None
    given = [("--batches", args.batches), ("--seconds", args.seconds), ("--targets", args.targets), ("--psf", args.psf),
             ("--speed", args.speed), *(("--scr", scr) for scr in scrs)]  # fmt: skip
    for name, value in given:
        if not 0 < value <= 1e4:
            raise IrtrackError(f"{name} {value:g} makes no sense: give a number above 0")
    if len(set(scrs)) < len(scrs):
        raise IrtrackError(f"--scr {args.scr}: each of them once")
    return SelfTestSettings(
        seconds=args.seconds, targets=args.targets, scrs=scrs, psf_px=args.psf, speed_px_s=args.speed,
        most_frames=MOST_FRAMES, most_s=math.inf, memory_s=math.inf,
        compare=args.reference is not None,
    )  # fmt: skip


def reference_from(path: Path | None) -> Sight | None:
    """How the camera once saw, by the JSON of an earlier test. Raises IrtrackError."""
    from irtrack.station.faint import read_sight

    if path is None:
        return None
    try:
        return read_sight(path)
    except FileNotFoundError as error:
        raise IrtrackError(f"cannot read {path}: {error.strerror}") from error


def clips(source: Source, batches: int, seconds: float) -> Iterator[list[Frame]]:
    """Stretches of frames: over all of a recording whose length is known, else one after the other."""
    fps, frames = source.info.fps, source.info.frames
    length = max(min(round(seconds * fps), MOST_FRAMES), FEWEST) if fps else MOST_FRAMES
    apart_s = LIVE_EVERY_S if source.live else 0.0
    starts = None
    if frames is not None and not source.live:
        starts = [round(i * max(frames - length, 0) / max(batches - 1, 1)) for i in range(batches)]
    clip: list[Frame] = []
    done, next_s = 0, float("-inf")
    for frame in source:
        if clip and (frame.connection != clip[0].connection or frame.image.shape != clip[0].image.shape):
            clip = []
        due = frame.index >= starts[done] if starts else frame.time_s >= next_s
        if clip or due:
            clip.append(frame)
        if clip and (len(clip) >= length or frame.time_s - clip[0].time_s >= seconds) and len(clip) >= FEWEST:
            next_s = frame.time_s + apart_s
            yield clip
            clip, done = [], done + 1
            if done == batches:
                return
    if len(clip) >= FEWEST:
        yield clip


def known(clip: list[Frame], detector: Detector) -> list[FrameResult]:
    """A stretch with what is in it already, by some of its pictures: targets are put elsewhere."""
    if isinstance(detector, Forgetful):
        detector.forget()
    some = {0, len(clip) // 3, 2 * len(clip) // 3, len(clip) - 1}
    found = [detector(f.image) if i in some else Detections.empty() for i, f in enumerate(clip)]
    return [FrameResult(frame, d, (), {}) for frame, d in zip(clip, found, strict=True)]
