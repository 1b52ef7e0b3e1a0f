"""`irtrack track` and `irtrack score`: on files of detections and tracks, without the network."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from irtrack.commands.common import conclude, outputs_from, read_by, remark_rate, settings_from
from irtrack.config import OTHERS
from irtrack.core import Clock, Floats, Frame, FrameResult, IrtrackError, Remarks, Sink

if TYPE_CHECKING:
    from irtrack.track.tables import Table

DEFAULT_FPS = 30.0
"""Of detections whose file has no times."""

MEMORY_S = 5.0
"""A gap is walked through for this long beyond `coast_s`: by then the tracker has forgotten what was before it."""


def track(args: argparse.Namespace) -> int:
    """`irtrack track`: the tracker alone on a file of detections."""
    from irtrack.build import claim, make_sinks, make_tracker
    from irtrack.capture.open import check_rate
    from irtrack.track.rows import frames_of
    from irtrack.track.tables import Table

    check_rate(args.fps)
    settings = settings_from(args, OTHERS)
    outputs = outputs_from(args, csv=args.out)
    targets = claim(outputs, read_by(args))
    remarks = Remarks()
    try:
        table = Table(args.detections)
        fps, clock, time_of = rate(table, args.fps, remarks)
        rows, step, reach = read(table, fps, settings.tracker.coast_s, remarks)
        remark_rate(table.path.name, fps / step, settings.tracker, remarks)
        tracker = make_tracker(settings)
    except BaseException:
        targets.abandon()
        raise
    sinks: list[Sink] = make_sinks(outputs, settings, fps, targets)
    blank = np.zeros((1, 1), np.uint8)
    seen: set[int] = set()
    try:
        for frame, detections in frames_of(rows, step, reach):
            tracks = tracker(detections, time_of(frame))
            seen.update(t.id for t in tracks if t.confirmed)
            result = FrameResult(Frame(frame, time_of(frame), blank), detections, tracks, {})
            for sink in sinks:
                sink.write(result)
    finally:
        for sink in sinks:
            sink.close()
    print(f"done: {len(rows)} detections in {described(rows, step)}, {len(seen)} tracks")
    print(f"  read at {fps:.4g} frames a second, {clock.value}\n  wrote {args.out}")
    return conclude(remarks, args.strict)


def rate(table: Table, given: float | None, remarks: Remarks) -> tuple[float, Clock, Callable[[int], float]]:
    """Frames a second, where that comes from (an option, the table's own times, or nowhere), and the time of a frame.

    The table's times are used as they are where no one rate tells them.
    """
    told = table.clock() if given is None else None
    fps = given or (told.rate if told is not None else DEFAULT_FPS)
    if told is not None and not told.even:
        remarks.add(f"{table.path.name}: its frames do not follow each other evenly: each has its own time")
        return fps, Clock.FILE, told.at
    if given is None and told is None and table.timed:
        remarks.add(f"{table.path.name}: its times do not rise with its frames, and are not used")
    elif given is None and told is None and (name := table.timed_somehow):
        remarks.add(f"{table.path.name}: its column {name!r} is not read: times are called time_s or time_ms")
    kind = Clock.GIVEN if given is not None else Clock.FILE if told is not None else Clock.ASSUMED
    return fps, kind, lambda frame: frame / fps


def read(table: Table, fps: float, coast_s: float, remarks: Remarks) -> tuple[Floats, int, int]:
    """Detections of a file, by how much its frame numbers rise, and how far into a gap frames are walked through.

    Raises IrtrackError, also where frames are so far apart that no track lives from one to the next.
    """
    from irtrack.track.files import read_detections
    from irtrack.track.rows import frame_step

    rows = read_detections(table, remarks)
    if not len(rows):
        remarks.add(f"{table.path.name} has no rows")
    step = frame_step(rows)
    if step / fps > coast_s:
        raise IrtrackError(
            f"{table.path}: frame numbers rise by {step} at a time, {step / fps:.3g} s at {fps:g} a second, and tracks "
            f"live {coast_s:g} s unseen: if they are milliseconds say --fps 1000, else the rate at which they count"
        )
    if step > 1:
        remarks.add(f"{table.path.name}: frame numbers rise by {step} at a time; no frame between was expected")
    return rows, step, math.ceil(min((coast_s + MEMORY_S) * fps / step, 10_000))


def described(rows: Floats, step: int = 1) -> str:
    """Which frames rows are of."""
    if not len(rows):
        return "no frames"
    first, last = rows[:, 0].min(), rows[:, 0].max()
    return f"frames {first:.0f} to {last:.0f}" + (f" by {step}" if step > 1 else "")


def score(args: argparse.Namespace) -> int:
    """`irtrack score`: tracks against truth."""
    from irtrack.metrics.tracking import left_out, placed_otherwise, score_tracks, shift_of
    from irtrack.sinks.target import claimed_all, write_output
    from irtrack.track.files import read_tracks, read_truth

    if not 0 < args.distance < math.inf:
        raise IrtrackError(f"a distance of {args.distance} px makes no sense: give one above 0")
    with claimed_all([args.json], args.force, read_by(args)):
        remarks = Remarks()
        truth, counted = read_truth(args.truth, remarks)
        tracks = read_tracks(args.tracks, remarks)
        if not len(truth):
            remarks.add(f"{args.truth.name} has no rows")
        if len(truth) and len(tracks) and not np.intersect1d(truth[:, 0], tracks[:, 0]).size:
            remarks.add("truth and tracks have no frame in common: do their frame numbers begin at the same place?")
        elif shift := shift_of(truth, tracks, args.distance):
            remarks.add(
                f"{args.tracks.name}: its tracks lie on the truth of the frame {'before' if shift < 0 else 'behind'}: "
                "does one of the files count frames from 0 and the other from 1?"
            )
        elif how := placed_otherwise(truth, tracks, args.distance):
            remarks.add(f"{args.tracks.name}: its tracks do not lie on the truth, and would {how}: are units the same?")
        tracks = where_annotated(truth, tracks, args, remarks)
        truth, tracks, dropped = left_out(truth, counted, tracks, args.distance)
        if dropped:
            remarks.add(f"{args.tracks.name}: rows on objects that are not to be counted, left out", dropped)
        figures = score_tracks(truth, tracks, args.distance)
        print(" ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items()))
        for name, rows in (("truth", truth), ("tracks", tracks)):
            print(f"  {name}: {len(rows)} rows of {len(np.unique(rows[:, 1]))} identities in {described(rows)}")
        if args.json:
            write_output(args.json, json.dumps(figures, indent=1))
    return conclude(remarks, args.strict)


def where_annotated(truth: Floats, tracks: Floats, args: argparse.Namespace, remarks: Remarks) -> Floats:
    """Tracks in the frames of which the truth knows: where it has each so many-th frame alone, nothing is known of
    those between."""
    from irtrack.track.rows import frame_step

    step = frame_step(truth)
    if step == 1 or not len(tracks) or frame_step(tracks) == step:
        return tracks
    between = (tracks[:, 0] - truth[0, 0]) % step > 0
    if between.any():
        remarks.add(
            f"{args.truth.name} has every {step}th frame alone: rows of tracks in frames between were left out",
            int(between.sum()),
        )
    return tracks[~between]
