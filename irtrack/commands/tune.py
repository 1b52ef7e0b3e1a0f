"""`irtrack tune`: what tells targets from clutter, learned anew from clips of a user's own camera."""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from irtrack.commands.common import conclude, settings_from
from irtrack.core import Floats, IrtrackError, Remarks

BORDER_PX, LEAST_SIDE_PX = 3.0, 9.0
"""How far from a target's box a track may lie and still be on it, and the side that a smaller box is taken to have."""


def tune(args: argparse.Namespace) -> int:
    """`irtrack tune CLIP...`: writes a file for `--beliefs`."""
    from irtrack.build import at_rate, load_detector, make_tracker
    from irtrack.capture.open import open_source
    from irtrack.pipeline import process
    from irtrack.sinks.target import check_outputs, write_output
    from irtrack.track.belief import beliefs, text_of
    from irtrack.track.learn import Watch, learn, told
    from irtrack.track.tracker import KalmanTracker

    settings, remarks = settings_from(args), Remarks()
    check_outputs([args.out], args.force, args.clips)
    clips = [(clip, boxes_of(clip)) for clip in args.clips]
    detector, watch = load_detector(settings.detector), Watch()
    for clip, boxes in clips:
        tracker = make_tracker(settings)
        assert isinstance(tracker, KalmanTracker)
        with_rows = max(boxes)
        source = open_source(str(clip))
        detector.settle(*at_rate(settings.detector, source.info.fps))
        try:
            for result in process(source, detector, tracker):
                if result.frame.index > with_rows:
                    break
                watch(tracker, result.frame.time_s, boxes.get(result.frame.index, np.zeros((0, 4))))
        finally:
            source.close()
        watch.end()
        print(f"{clip}: {watch.last}")
    samples, before = watch.samples(), beliefs(settings.tracker.beliefs, "picture")
    made = learn(samples, before)
    write_output(args.out, text_of(made, "picture", f"Learned by irtrack tune from {len(clips)} clips."))
    print(told(before, made, samples, settings.tracker.caution))
    print(f"  wrote {args.out}: use it with --beliefs {args.out}")
    return conclude(remarks, args.strict)


def boxes_of(clip: Path) -> dict[int, Floats]:
    """Where the targets of a clip are (N, 4: left, top, right, bottom in px), by frame, from the file beside it.

    CLIP.gt.csv has frame,x,y,w,h (left, top, width, height), CLIP.csv is a track log of irtrack, as the window exports
    it after tracks were confirmed, added and deleted. Raises IrtrackError."""
    for suffix in (".gt.csv", ".csv"):
        path = clip.with_suffix(suffix)
        if path.exists():
            return read_boxes(path)
    raise IrtrackError(
        f"{clip}: neither {clip.stem}.gt.csv (frame,x,y,w,h) nor its track log {clip.stem}.csv lies beside it"
    )


def read_boxes(path: Path) -> dict[int, Floats]:
    """Boxes of a file, grown by what a track may be off. Raises IrtrackError."""
    found: dict[int, list[tuple[float, float, float, float]]] = defaultdict(list)
    try:
        with path.open(encoding="utf-8", newline="") as f:
            for row in csv.DictReader(f):
                w, h = (float(row[k] if k in row else row[f"{k}_px"] or 0.0) for k in ("w", "h"))
                if "x_px" in row:
                    left, top = float(row["x_px"]) - w / 2, float(row["y_px"]) - h / 2
                else:
                    left, top = float(row["x"]) - 0.5, float(row["y"]) - 0.5
                gx, gy = (BORDER_PX + max(LEAST_SIDE_PX - side, 0.0) / 2 for side in (w, h))
                found[int(row["frame"])].append((left - gx, top - gy, left + w + gx, top + h + gy))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise IrtrackError(f"{path} has no rows frame,x,y,w,h, nor is it a track log ({error!r})") from error
    if not found:
        raise IrtrackError(f"{path} has no rows: tune learns from targets")
    return {frame: np.array(rows) for frame, rows in found.items()}
