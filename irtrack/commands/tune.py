"""`irtrack tune`: what tells targets from clutter, learned anew from clips of a user's own camera."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from irtrack.commands.common import conclude, read_by, settings_from
from irtrack.core import Floats, IrtrackError, Remarks, SourceInfo
from irtrack.track.rows import check_places
from irtrack.track.tables import Table

BORDER_PX, LEAST_SIDE_PX = 3.0, 9.0
"""How far from a target's box a track may lie and still be on it, and the side that a smaller box is taken to have."""


MOST_OUTSIDE = 1.1
"""How far from its middle a box may lie in a picture whose border is at 1: targets go on a little beyond."""


def tune(args: argparse.Namespace) -> int:
    """`irtrack tune CLIP...`: writes a file for `--beliefs`."""
    from irtrack.build import at_rate, load_detector, make_tracker
    from irtrack.capture.open import open_source
    from irtrack.pipeline import process
    from irtrack.sinks.target import claimed_all, write_output
    from irtrack.track.belief import beliefs, text_of
    from irtrack.track.learn import Watch, learn, told
    from irtrack.track.tracker import KalmanTracker

    settings, remarks = settings_from(args), Remarks()
    with claimed_all([args.out], args.force, (*read_by(args), *map(file_beside, args.clips))):
        clips = [(clip, boxes_of(clip)) for clip in args.clips]
        detector, watch = load_detector(settings.detector), Watch()
        for clip, boxes in clips:
            tracker = make_tracker(settings)
            assert isinstance(tracker, KalmanTracker)
            with_rows = max(boxes)
            source = open_source(str(clip))
            detector.settle(*at_rate(settings.detector, source.info.fps))
            try:
                check_boxes(clip, boxes, source.info, remarks)
                for result in process(source, detector, tracker):
                    if result.frame.index > with_rows:
                        break
                    watch(tracker, result.frame.time_s, boxes.get(result.frame.index, np.zeros((0, 4))))
            finally:
                source.close()
            remarks.take(source.info.remarks)
            if not watch.end():
                remarks.add(f"{clip.name}: none of its tracks is on a target: is {file_of(clip).name} of another clip?")
            print(f"{clip}: {watch.last}")
        samples = watch.samples()
        table = "temporal" if samples.tell("change") else "picture"
        before = beliefs(settings.tracker.beliefs, table)
        made = learn(samples, before)
        write_output(args.out, text_of(made, table, f"Learned by irtrack tune from {len(clips)} clips."))
    print(told(before, made, samples, settings.tracker.caution))
    print(f"  wrote {args.out}: use it with --beliefs {args.out}")
    return conclude(remarks, args.strict)


def check_boxes(clip: Path, boxes: Mapping[int, Floats], info: SourceInfo, remarks: Remarks) -> None:
    """Say which boxes are of no picture of the clip: its tracks there would be learned as clutter. Raises IrtrackError
    where all are so."""
    frames = np.repeat(list(boxes), [len(found) for found in boxes.values()])
    sides = np.concatenate(list(boxes.values()))
    centres = (sides[:, :2] + sides[:, 2:]) / 2
    inside = (np.abs(2 * centres / (info.width, info.height) - 1) <= MOST_OUTSIDE).all(1)
    inside &= frames < (info.frames or np.inf)
    name = file_of(clip)
    if not inside.any():
        raise IrtrackError(f"{name}: none of its boxes lies in a picture of the clip: frames count from 0, in pixels")
    if len(centres) > 1 and centres.max() <= 1 < info.width:
        raise IrtrackError(f"{name}: all its boxes lie from 0 to 1, as shares of the picture: give them in pixels")
    if not inside.all():
        remarks.add(f"{name.name}: boxes that lie in no picture of the clip", int((~inside).sum()))


def file_of(clip: Path) -> Path:
    """The file of a clip's targets. Raises IrtrackError where there is none."""
    if (path := file_beside(clip)) is None:
        raise IrtrackError(
            f"{clip}: neither {clip.stem}.gt.csv (frame,x,y,w,h) nor its track log {clip.stem}.csv lies beside it"
        )
    return path


def boxes_of(clip: Path) -> dict[int, Floats]:
    """Where the targets of a clip are (N, 4: left, top, right, bottom in px), by frame, from the file beside it.

    CLIP.gt.csv has frame,x,y,w,h (left, top, width, height), CLIP.csv is a track log of irtrack, as the window exports
    it after tracks were confirmed, added and deleted. Raises IrtrackError."""
    return read_boxes(file_of(clip))


def file_beside(clip: Path) -> Path | None:
    """The file of a clip's targets."""
    return next((path for suffix in (".gt.csv", ".csv") if (path := clip.with_suffix(suffix)).exists()), None)


def read_boxes(path: Path) -> dict[int, Floats]:
    """Boxes of a file, grown by what a track may be off. Raises IrtrackError."""
    table = Table(path)
    columns = [
        table.column(names) for names in (("frame",), ("x_px", "x"), ("y_px", "y"), ("w_px", "w"), ("h_px", "h"))
    ]
    if None in columns:
        raise IrtrackError(f"{path} has no columns frame,x,y,w,h, nor is it a track log")
    rows = table.numbers(columns)
    rows = rows[~(rows[:, 2:] == 0).all(1)]  # a target that is not there
    if not len(rows):
        raise IrtrackError(f"{path} has no rows: tune learns from targets")
    line, frame, x, y = rows[:, :4].T
    side = np.nan_to_num(rows[:, 4:])
    wrong = ~(np.isfinite(x + y) & (frame >= 0) & (frame == np.floor(frame)) & (side >= 0).all(1))
    if wrong.any():
        raise IrtrackError(
            f"{path} line {line[wrong][0]:.0f} is no box: a frame from 0 on, a place, and sides from 0 on"
        )
    centred = "x_px" in table.header
    check_places(path, rows[:, 2:4])
    low = np.column_stack([x, y]) - (side / 2 if centred else 0.5)
    more = BORDER_PX + np.maximum(LEAST_SIDE_PX - side, 0.0) / 2
    boxes = np.hstack([low - more, low + side + more])
    return {int(n): boxes[frame == n] for n in np.unique(frame)}
