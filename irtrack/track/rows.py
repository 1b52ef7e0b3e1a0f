"""Rows of detections and tracks as numbers: what they mean, and what shows that they are none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from irtrack.core import Detections, Floats, Remarks
from irtrack.track.tables import DetectionFileError

LINE, FRAME, ID, X, Y, W, H, SCORE = range(8)
"""The columns of rows as they are read."""

LARGEST_FRAME = 2.0**53

LARGEST_JUMP = 1e8
"""Frame numbers that rise by more than this from one row to the next are damaged."""

FARTHEST_PX = 1e6

FEW = 10
"""Of fewer rows, positions tell nothing."""

ALONG, CROWD = 0.1, 20
"""Of a frame with so many rows: identities that lie, one after the other, nearer than by this share of how far any two
lie apart, are the frames of one track."""

NEAR_CORNER_PX, MOST_NEAR = 1.1, 0.9
"""Where such a share of positions lies no further than this from the corner, they are no pixels."""

UNKNOWN_SCORE = -1.0
"""What MOTChallenge files and those like them write for a confidence that is not given."""

NOWHERE = (-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0)
"""As both coordinates these stand for a position that is not known."""


def check_places(path: Path, places: Floats) -> None:
    """Raises DetectionFileError where positions (N, 2), as they stand in the file, are shares of the picture. In pixels
    a few may be so near to the corner, or stand for none, but not nearly all."""
    places = places[(places != 0).any(1)]
    near = (np.abs(places) <= NEAR_CORNER_PX).all(1)
    if len(places) >= FEW and near.mean() >= MOST_NEAR and len(np.unique(places[near])) > 2:
        low = "-1" if places[near].min() < 1 - NEAR_CORNER_PX else "0"
        raise DetectionFileError(
            f"{path}: positions lie from {low} to 1, as shares of the picture: give them in pixels (from 0 to 1, "
            "multiply x and w by its width, y and h by its height)"
        )


def remark_places(path: Path, places: Floats, remarks: Remarks) -> None:
    """Say of positions (N, 2) that they may be no pixels from the upper left corner, where that looks so."""
    if len(places) < FEW:
        return
    if 2 * (places < -NEAR_CORNER_PX).any(1).sum() >= len(places):
        remarks.add(
            f"{path.name}: half of its positions or more are negative: they are taken as pixels from the upper left "
            "corner, with y down, as in all that irtrack writes"
        )
    low, high = places.min(0), places.max(0)
    if (low >= -1).all() and (high <= 100).all() and (high > 75).all() and (high - low > 40).all():
        remarks.add(
            f"{path.name}: its positions fill 0 to 100 in both directions: they are taken as pixels; if they are "
            "percent, multiply them by the size of the picture and divide by 100"
        )


def blank_absent(path: Path, rows: Floats, remarks: Remarks) -> None:
    """Take away positions that stand for a target that is not there: -1 or -9999 twice, or a box of nothing at 0, 0."""
    x, y = rows[:, X], rows[:, Y]
    origin = (x == 0) & (y == 0)
    nothing = origin & (rows[:, W : H + 1] == 0).all(1)
    rows[((x == y) & np.isin(x, NOWHERE)) | nothing, X : Y + 1] = np.nan
    if 1 < (left := int((origin & ~nothing).sum())) < len(rows):
        remarks.add(f"{path.name}: rows at exactly 0, 0, which may stand for no position, were taken as they are", left)


def remark_beginnings(path: Path, rows: Floats, remarks: Remarks) -> None:
    """Say where frame numbers of rows begin anew, as in recordings that were joined; in a table in no order they fall
    elsewhere, too."""
    frames = rows[:, FRAME]
    falls = np.flatnonzero(np.diff(frames) < 0)
    anew = falls[frames[falls + 1] == frames.min()] if len(falls) else falls
    if len(anew) and 2 * len(anew) >= len(falls):
        remarks.add(
            f"{path.name}: frame numbers begin anew at line {rows[anew[0] + 1, LINE]:.0f}: rows of one number are "
            "taken as of one frame",
            len(anew),
        )


def without_copies(path: Path, rows: Floats, remarks: Remarks) -> Floats:
    """Rows of detections, of equal ones the first: one target cannot be there twice."""
    first = np.unique(np.nan_to_num(rows[:, FRAME:], nan=-np.pi), axis=0, return_index=True)[1]
    if len(first) < len(rows):
        remarks.add(f"{path.name}: rows that are there twice were left out", len(rows) - len(first))
    return rows[np.sort(first)]


def to_centres(rows: Floats, opposite: bool) -> None:
    """Boxes by their left upper corner, and size or the `opposite` corner, as centre and size."""
    x, size = rows[:, X : Y + 1], rows[:, W : H + 1]
    absent = ((x == 0) & (size == 0)).all(1) | np.isin(x, NOWHERE).all(1)
    if opposite:
        size -= x
    x += np.maximum(size, 0) / 2
    x[absent] = np.nan


def are_corners(rows: Floats) -> bool:
    """Whether widths and heights are places of the opposite corner: they go wherever the first one goes, and as far."""
    boxes = rows[np.isfinite(rows[:, X : H + 1]).all(1), X : H + 1]
    first, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    return len(boxes) >= FEW and bool((size > 0).all() and (4 * np.ptp(size, axis=0) < np.ptp(first, axis=0)).all())


def check_frames(path: Path, rows: Floats) -> None:
    """Raises DetectionFileError where frames are no whole numbers from 0, or lie where no recording goes."""
    frames = rows[:, FRAME]
    bad = ~((frames >= 0) & (frames < LARGEST_FRAME) & (frames == np.floor(frames)))
    if bad.any():
        line = int(rows[bad][0, LINE])
        raise DetectionFileError(f"{path} line {line}: frames must be whole numbers from 0, or from 1 in MOTChallenge")
    ordered = np.unique(frames)
    jump = np.flatnonzero(np.diff(ordered) > LARGEST_JUMP)
    if len(jump):
        a, b = ordered[jump[0]], ordered[jump[0] + 1]
        line = int(rows[frames == b][0, LINE])
        raise DetectionFileError(f"{path} line {line}: no recording jumps from frame {a:.0f} to frame {b:.0f}")


def check_reach(path: Path, rows: Floats) -> None:
    """Raises DetectionFileError where a place or a size lies beyond any picture."""
    far = ~(np.abs(rows[:, X : H + 1]) <= FARTHEST_PX) & ~np.isnan(rows[:, X : H + 1])
    if far.any():
        row = rows[far.any(1)][0]
        largest = np.nanmax(np.abs(row[X : H + 1]))
        raise DetectionFileError(f"{path} line {row[LINE]:.0f}: there is no place or size of {largest:g} px")


def check_not_swapped(path: Path, rows: Floats) -> None:
    """Raises DetectionFileError where what stands for identities goes along a path in every frame, as the frames of a
    track do, and there are more of them than frames: the two columns are swapped."""
    frames = np.unique(rows[:, FRAME])
    if len(rows) < CROWD * len(frames) or len(np.unique(rows[:, ID])) <= len(frames):
        return
    order = np.lexsort((rows[:, ID], rows[:, FRAME]))
    starts = np.searchsorted(rows[order, FRAME], frames)
    crowds = [xy for xy in np.split(rows[order, X : Y + 1], starts[1:]) if len(xy) >= CROWD]
    if len(crowds) and all(goes_along(xy) for xy in crowds):
        raise DetectionFileError(
            f"{path}: in each of its {len(frames)} frames identities lie one behind the other, as the frames of a "
            "track do: are the columns of frames and identities swapped?"
        )


def goes_along(xy: Floats) -> bool:
    """Whether places (N, 2) are those of something that goes its way."""
    step = np.median(np.hypot(*np.diff(xy, axis=0).T))
    apart = np.median(np.hypot(*(xy - np.roll(xy, len(xy) // 2, axis=0)).T))
    return bool(step < ALONG * apart)


def check_identities(path: Path, rows: Floats) -> None:
    """Raises DetectionFileError where an identity is unknown or twice in a frame."""
    unknown = ~np.isfinite(rows[:, ID])
    if unknown.any():
        raise DetectionFileError(f"{path} line {rows[unknown][0, LINE]:.0f}: the row has no identity")
    large = np.abs(rows[:, ID]) > LARGEST_FRAME
    if large.any():
        raise DetectionFileError(
            f"{path} line {rows[large][0, LINE]:.0f}: identities such as {rows[large][0, ID]:.4g} have more digits "
            "than can be told apart: number them anew"
        )
    order = np.lexsort((rows[:, LINE], rows[:, ID], rows[:, FRAME]))
    pairs = rows[order][:, [FRAME, ID]]
    same = np.flatnonzero((pairs[1:] == pairs[:-1]).all(1))
    if len(same):
        row = rows[order[same[0] + 1]]
        raise DetectionFileError(
            f"{path} line {row[LINE]:.0f}: identity {row[ID]:g} is in frame {row[FRAME]:.0f} (from 0) twice; "
            "in a file of tracks each is in a frame once"
        )


def as_scores(scores: Floats, path: Path, remarks: Remarks) -> Floats:
    """Scores (N,) from 0 to 1, NaN where they are not given, of scores of any scale."""
    scores = np.where((scores == UNKNOWN_SCORE) | ~np.isfinite(scores), np.nan, scores)
    known = scores[~np.isnan(scores)]
    if not len(known) or (known.min() >= 0 and known.max() <= 1):
        return scores
    low, high = min(float(known.min()), 0.0), float(known.max())
    high = 1.0 if high <= 1 else 100.0 if high <= 100 else high
    remarks.add(f"{path.name}: scores lie between {known.min():g} and {known.max():g}, and were laid on 0 to 1")
    return (scores / high - low / high) / (1 - low / high)


def frame_step(rows: Floats) -> int:
    """By how much frame numbers of rows rise: 1, or more where only each so many-th frame has a number, or times do.

    Times rise by nearly the same from one frame to the next; frames in which something was found now and then do not.
    """
    rises = np.diff(np.unique(rows[:, 0]))
    if len(rises) < 4:
        return 1
    common, median = int(np.gcd.reduce(rises.astype(np.int64))), float(np.median(rises))
    even = float(np.mean(np.abs(rises - median) <= median / 4)) >= 0.8
    uneven = even and rises.min() > (1 if common == 1 else max(median / 2, common))
    return int(median) if uneven else common


def frames_of(rows: Floats, step: int = 1, reach: int | None = None) -> Iterator[tuple[int, Detections]]:
    """(frame, Detections) for every `step`-th frame from the first to the last, also where there are none.

    `reach`: of a longer gap only so many frames are walked through, and its last one.
    """
    numbers, starts = np.unique(rows[:, 0], return_index=True)
    ends = np.append(starts[1:], len(rows))[: len(starts)]
    before: int | None = None
    for frame, start, end in zip(numbers.astype(np.int64).tolist(), starts.tolist(), ends.tolist(), strict=True):
        if before is not None:
            empty = round((frame - before) / step) - 1
            walked = empty if reach is None else min(empty, reach)
            for k in (*range(1, walked + 1), *([empty] if empty > walked else [])):
                yield before + k * step, as_detections(rows[:0])
        yield frame, as_detections(rows[start:end])
        before = frame


def as_detections(rows: Floats) -> Detections:
    """Rows of one frame as detections without a mask. A missing score counts as certain."""
    xy, size, score = rows[:, 1:3].copy(), rows[:, 3:5], rows[:, 5]
    box = np.column_stack([xy - np.nan_to_num(size) / 2, size])
    area = size[:, 0] * size[:, 1]
    return Detections(xy, np.where(np.isnan(score), 1.0, score), area, box, np.full(len(rows), np.nan))
