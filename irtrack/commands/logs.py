"""`irtrack track` and `irtrack score`: on files of detections and tracks, without the network."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

import numpy as np

from irtrack.commands.common import common_outputs, settings_from
from irtrack.core import Frame, FrameResult, IrtrackError, Sink


def track(args: argparse.Namespace) -> int:
    """`irtrack track`: the tracker alone on a file of detections."""
    from irtrack.build import Outputs, claim, make_sinks, make_tracker
    from irtrack.track.files import frames_of, read_detections

    if not args.fps > 0:
        raise IrtrackError(f"a frame rate of {args.fps} makes no sense: give frames a second above 0")
    settings = settings_from(args)
    if args.config is None:  # other detectors' scores have a scale of their own
        settings = replace(settings, tracker=replace(settings.tracker, confirm_score=0.0, log_delay_s=60.0))
    outputs = Outputs(csv=args.out, **common_outputs(args))
    targets = claim(outputs, (args.detections, args.config))
    try:
        rows = read_detections(args.detections)
    except BaseException:
        targets.abandon()
        raise
    tracker = make_tracker(settings)
    sinks: list[Sink] = make_sinks(outputs, settings, args.fps, targets)
    blank = np.zeros((1, 1), np.uint8)
    seen: set[int] = set()
    try:
        for frame, detections in frames_of(rows):
            tracks = tracker(detections, frame / args.fps)
            seen.update(t.id for t in tracks if t.confirmed)
            result = FrameResult(Frame(frame, frame / args.fps, blank), detections, tracks, {})
            for sink in sinks:
                sink.write(result)
    finally:
        for sink in sinks:
            sink.close()
    print(f"done: {len(rows)} detections, {len(seen)} tracks\n  wrote {args.out}")
    return 0


def score(args: argparse.Namespace) -> int:
    """`irtrack score`: tracks against truth."""
    from irtrack.metrics.tracking import score_tracks
    from irtrack.sinks.target import check_target
    from irtrack.track.files import read_tracks

    if not args.distance > 0:
        raise IrtrackError(f"a distance of {args.distance} px makes no sense: give one above 0")
    if args.json:
        check_target(args.json, args.force)
    truth, tracks = read_tracks(args.truth), read_tracks(args.tracks)
    if not len(truth):
        print("note: the truth has no rows", file=sys.stderr)
    figures = score_tracks(truth, tracks, args.distance)
    print(" ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items()))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0
