"""Anybody's detections and tracks from text files: our CSV, what `irtrack detect` writes, MOTChallenge.

What these files mean by their numbers differs: where frames begin, what stands for "not given", which rows do not
count. Each convention is read for what it means, or the file is refused; what was taken one way or left out is said in
the remarks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Remarks
from irtrack.sequences import two_sequences
from irtrack.text import in_order
from irtrack.track.rows import (
    FEW,
    FRAME,
    ID,
    LINE,
    SCORE,
    H,
    W,
    X,
    Y,
    are_corners,
    as_scores,
    blank_absent,
    check_frames,
    check_identities,
    check_not_swapped,
    check_places,
    check_reach,
    remark_beginnings,
    remark_places,
    to_centres,
    without_copies,
)
from irtrack.track.tables import FRAMES, DetectionFileError, Table

__all__ = ["DetectionFileError", "read_detections", "read_tracks", "read_truth"]

COLUMNS = "frame,x,y[,w,h][,score]"
NO_TRACKS = "neither a track log's nor a MOTChallenge row"

NAMES = {
    "frame": FRAMES,
    "id": ("track_id", "id", "object_id", "trackid", "particle"),
    "x": ("x_px", "x_center", "x_centre", "center_x", "centre_x", "cx", "x", "position_x"),
    "y": ("y_px", "y_center", "y_centre", "center_y", "centre_y", "cy", "y", "position_y"),
    "w": ("w_px", "w", "width", "bb_width", "bbox_width"),
    "h": ("h_px", "h", "height", "bb_height", "bbox_height"),
    "score": ("score", "confidence", "conf"),
    "image": ("image",),
    "left": ("bb_left", "bbox_left", "left", "xmin", "x_min", "x1"),
    "top": ("bb_top", "bbox_top", "top", "ymin", "y_min", "y1"),
    "right": ("right", "xmax", "x_max", "x2"),
    "bottom": ("bottom", "ymax", "y_max", "y2"),
    "counted": ("considered", "counted", "valid", "exist", "exists"),
    "skipped": ("ignore", "ignored", "dontcare", "dont_care"),
}
"""What the columns of a CSV are called."""

RECORDINGS = frozenset(
    f"{name}{end}"
    for name in ("camera", "cam", "sensor", "sequence", "seq", "video", "clip", "recording", "station")
    for end in ("", "_id", "_name", "_no", "_number", "id")
)
"""What columns are called that tell recordings apart."""

DIGITS_BEHIND = re.compile(r"0\d+")
"""Digits that stand behind a point, not before it."""


def read_detections(table: Path | Table, remarks: Remarks | None = None) -> Floats:
    """Rows (N, 6) of frame (0-based), x, y (centre), w, h, score, by frames; NaN where the file does not say.

    CSV with header `frame,x,y[,w,h][,score]`, what `irtrack detect` writes (images in natural order are frames), or
    MOTChallenge rows (1-based frames and pixels, top-left boxes). Raises DetectionFileError with the line at fault.
    """
    remarks = remarks if remarks is not None else Remarks()
    table = table if isinstance(table, Table) else Table(table)
    path = table.path
    rows = read_rows(table, remarks, f"neither a CSV row ({COLUMNS}) nor MOTChallenge", False)
    rows[:, SCORE] = as_scores(rows[:, SCORE], path, remarks)
    if not (rows[:, ID] >= 0).any():
        remark_beginnings(path, rows, remarks)
        rows = without_copies(path, rows, remarks)
    rows = rows[was_measured(table, rows, remarks)]
    return rows[np.argsort(rows[:, FRAME], kind="stable")][:, [FRAME, X, Y, W, H, SCORE]]


def read_tracks(path: Path, remarks: Remarks | None = None) -> Floats:
    """Rows (N, 4) of frame (0-based), identity, x, y: a track log or truth of ours, or MOTChallenge rows.

    In a CSV the columns are `frame`, `track_id` or `id`, `x_px` or `x`, `y_px` or `y`. Raises DetectionFileError, also
    where one identity is twice in a frame.
    """
    rows = read_rows(Table(path), remarks if remarks is not None else Remarks(), NO_TRACKS, True)
    check_identities(path, rows)
    return rows[:, [FRAME, ID, X, Y]]


def read_truth(path: Path, remarks: Remarks) -> tuple[Floats, NDArray[np.bool_]]:
    """`read_tracks` of a truth, and which of its rows (N,) count: MOTChallenge flags those that do not with 0."""
    table = Table(path)
    rows = read_rows(table, remarks, NO_TRACKS, True)
    check_identities(path, rows)
    flags = flags_of(table, rows)
    counted = np.ones(len(rows), bool)
    if np.isin(flags, (0.0, 1.0)).all():  # else it is a confidence
        counted = flags == 1
    if len(rows) and not counted.any():
        which = "a column" if table.header else "the seventh column"
        raise DetectionFileError(f"{path}: {which} of every row says that it does not count")
    if not counted.all():
        remarks.add(f"{path.name}: rows flagged as not to be counted", int((~counted).sum()))
    return rows[:, [FRAME, ID, X, Y]], counted


def was_measured(table: Table, rows: Floats, remarks: Remarks) -> NDArray[np.bool_]:
    """Which rows (N,) are detections: all, but for those of a track log in which the track coasts."""
    if (column := table.column(["measured"])) is None:
        return np.ones(len(rows), bool)
    found = dict(table.numbers([column]).tolist())
    measured = np.array([found[line] != 0 for line in rows[:, LINE].tolist()], bool)
    if not measured.all():
        left = int((~measured).sum())
        remarks.add(f"{table.path.name}: rows of a track log in which nothing was measured were left out", left)
    return measured


def flags_of(table: Table, rows: Floats) -> Floats:
    """What each row of a truth (N,) says of whether it counts: 1, 0, or a confidence that says nothing of it."""
    if not table.header:
        return rows[:, SCORE]
    for name, kept in (("counted", 1.0), ("skipped", 0.0)):
        if (column := table.column(NAMES[name])) is not None:
            found = dict(table.numbers([column]).tolist())
            return np.array([float(found[line] == kept) for line in rows[:, LINE].tolist()])
    flags = rows[:, SCORE]
    return flags if (flags == 0).any() else np.ones(len(rows))


def read_rows(table: Table, remarks: Remarks, otherwise: str, tracks: bool) -> Floats:
    """Rows (N, 8) of line, frame (0-based), identity, x, y (centre), w, h and score or flag, checked.

    Rows without a position are left out. Raises DetectionFileError: a line that is no row is `otherwise`.
    """
    path = table.path
    if not table.first:
        raise DetectionFileError(f"{path} is empty: expected the header {COLUMNS}, or MOTChallenge rows")
    rows = from_csv(table, remarks, tracks, otherwise) if table.header else from_mot(table, remarks, otherwise)
    if table.cut:
        remarks.add(f"{path.name}: the last row was cut off while it was written, and left out")
    if table.short:
        remarks.add(f"{path.name}: rows with fewer cells than the header, which may have been damaged", table.short)
    blank_absent(path, rows, remarks)
    size = rows[:, W : H + 1]
    size[~(size >= 0)] = np.nan  # -1: not given
    check_frames(path, rows)
    lost = np.isnan(rows[:, X : Y + 1]).any(1)
    if lost.any() and lost.all():
        raise DetectionFileError(f"{path}: positions must be finite numbers, and no row has one")
    if lost.any():
        remarks.add(f"{path.name}: rows without a position were left out", int(lost.sum()))
        rows = rows[~lost]
    check_reach(path, rows)
    check_places(path, rows[:, X : Y + 1] + counts_from_1(table))
    if (rows[:, ID] >= 0).all():
        check_not_swapped(path, rows)
    remark_places(path, rows[:, X : Y + 1], remarks)
    return rows


def counts_from_1(table: Table) -> bool:
    """Whether a table is MOTChallenge's, by having no header or by its names."""
    return not table.header or "bb_left" in table.header


def from_csv(table: Table, remarks: Remarks, tracks: bool, otherwise: str) -> Floats:
    """Rows of a CSV with a header."""
    columns = {name: table.column(names) for name, names in NAMES.items()}
    wanted = ["frame", "id", "x", "y"] if tracks else ["frame", "x", "y"]
    if columns["frame"] is None and columns["image"] is not None and not tracks:
        wanted.remove("frame")
    corners = by_corners(columns)
    if any(columns[name] is None for name in wanted):
        expected = "frame, id, x and y columns" if tracks else COLUMNS
        if not any(columns[name] is not None for name in ("frame", "x", "y")):
            raise DetectionFileError(f"{table.path} line 1 is {otherwise}: {table.first[:60]!r}")
        raise DetectionFileError(f"{table.path}: the header is {','.join(table.header)[:200]}, expected {expected}")
    if corners:
        remarks.add(f"{table.path.name}: boxes are read by their corners")
    elif "width" in table.header and columns["w"] == table.header.index("width"):
        remarks.add(f"{table.path.name}: x and y are taken as the centre of boxes of width and height")
    check_one_recording(table)
    check_points(table, [columns[name] for name in ("x", "y", "w", "h")])
    rows = table.numbers([columns[name] for name in ("frame", "id", "x", "y", "w", "h", "score")])
    if "bb_left" in table.header:  # the names of MOTChallenge, and so its way to count
        return as_mot(table, rows, remarks)
    if corners:
        to_centres(rows, opposite=columns["w"] == columns["right"])
    if columns["frame"] is None and columns["image"] is not None:
        rows[:, FRAME] = frames_of_images(table.texts(columns["image"]), table.path, remarks)
    return rows


def check_one_recording(table: Table) -> None:
    """Raises DetectionFileError where rows are of several cameras or recordings: those of one frame number would be
    taken as of one picture."""
    for name in (n for n in table.header if n in RECORDINGS):
        kinds = sorted({value for value in table.texts(table.header.index(name)) if value})
        if len(kinds) > 1:
            shown = ", ".join(kinds[:3])[:60]
            raise DetectionFileError(
                f"{table.path}: its column {name!r} tells {len(kinds)} apart ({shown}), and frames are those of "
                "one recording: give a table of each"
            )


def check_points(table: Table, columns: Sequence[int | None]) -> None:
    """Raises DetectionFileError where a column of places holds what stands behind the decimal commas of the one before:
    whole numbers with zeros before them, and none such in the first one."""
    padded = (
        [c is not None and any(DIGITS_BEHIND.fullmatch(cell) for cell in table.texts(c)) for c in columns]
        if table.delimiter == ","
        else []
    )
    if any(padded) and not padded[0]:
        raise DetectionFileError(
            f"{table.path}: numbers such as 05 in the column {table.header[columns[padded.index(True)] or 0]!r} stand "
            "behind a decimal comma: with these, cells must be separated by semicolons"
        )


def by_corners(columns: dict[str, int | None]) -> bool:
    """Whether a header gives boxes by corners, whose columns then stand for `x`, `y`, `w` and `h`; they come before
    positions, which are those in the world in MOTChallenge files."""
    if columns["right"] is not None and columns["bottom"] is not None and columns["w"] is None:
        columns["w"], columns["h"] = columns["right"], columns["bottom"]
    else:
        columns["right"] = None
    sized = columns["w"] is not None and columns["h"] is not None
    if sized and columns["left"] is not None and columns["top"] is not None:
        columns["x"], columns["y"] = columns["left"], columns["top"]
        return True
    return sized and columns["right"] is not None


def frames_of_images(images: list[str], path: Path, remarks: Remarks) -> list[int]:
    """The frame that each image is, in natural order.

    `irtrack detect` leaves a mask for each image beside its list, also for those without detections; where there are
    none, those of the list are taken to follow each other.
    """
    if (two := two_sequences([Path(name) for name in sorted(set(images))])) is not None:
        raise DetectionFileError(
            f"{path}: its images are of two sequences, such as {two[0].name} and {two[1].name}: give a table of each"
        )
    stems = [PurePosixPath(name).stem for name in images]
    masks = {p.stem for p in path.parent.glob("*.png") if not p.name.startswith(".")}
    if not masks.issuperset(stems):
        remarks.add(f"{path.name} has no frame numbers: its images were taken as frames that follow each other")
        masks = set(stems)
    order = {stem: i for i, stem in enumerate(in_order(masks, str, str))}
    return [order[stem] for stem in stems]


def from_mot(table: Table, remarks: Remarks, otherwise: str) -> Floats:
    """Rows of a MOTChallenge file."""
    rows = table.numbers(range(7), otherwise)
    short = np.isnan(rows[:, FRAME]) | (np.isnan(rows[:, W : H + 1]).any(1) & ~np.isnan(rows[:, X]))
    if short.any():
        line = int(rows[short][0, LINE])
        raise DetectionFileError(f"{table.path} line {line} is {otherwise}: it has too few numbers")
    broken = rows[:, ID] != np.rint(rows[:, ID])
    if broken.any():
        raise DetectionFileError(
            f"{table.path} line {rows[broken][0, LINE]:.0f} has an identity of {rows[broken][0, ID]:g}: without a "
            "header rows are MOTChallenge's (frame, identity, left, top, width, height); else give the header "
            f"{COLUMNS}"
        )
    check_labels(table, rows)
    return as_mot(table, rows, remarks, are_corners(rows))


def check_labels(table: Table, rows: Floats) -> None:
    """Raises DetectionFileError where identities of rows without a header are none: with six columns, `frame,x,y,w,h,
    score` in whole numbers looks like MOTChallenge's, and x, which nearly every row has another of, like an identity.
    Labels come back from frame to frame, or are counted up, or are not given."""
    ids = rows[:, ID]
    if len(rows) < FEW or not (np.isnan(rows[:, SCORE]).all() and (ids >= 0).all()):
        return
    if 2 * len(np.unique(ids)) > len(rows) and len(np.unique(rows[:, FRAME])) > 1 and not (np.diff(ids) == 1).all():
        raise DetectionFileError(
            f"{table.path}: its second column has {len(np.unique(ids))} values in {len(rows)} rows, which are no "
            "identities: without a header rows are MOTChallenge's (frame, identity, left, top, width, height); else "
            f"give the header {COLUMNS}"
        )


def as_mot(table: Table, rows: Floats, remarks: Remarks, opposite: bool = False) -> Floats:
    """Rows of MOTChallenge with frames and pixels from 0, and centres; `opposite`: of boxes by two corners."""
    if opposite:
        remarks.add(f"{table.path.name}: boxes are read by their corners: widths and heights move as they do")
    to_centres(rows, opposite)
    rows[:, X : Y + 1] -= 1
    if len(rows) and rows[:, FRAME].min() == 0:
        remarks.add(f"{table.path.name}: frames count from 0, where MOTChallenge counts from 1, and were taken so")
    else:
        rows[:, FRAME] -= 1
    return rows
