"""Anybody's detections from a text file: our CSV, or a MOTChallenge det.txt."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from irtrack.core import Detections, Floats, IrtrackError


class DetectionFileError(IrtrackError):
    """A file of detections cannot be read."""


COLUMNS = "frame,x,y[,w,h][,score]"


def read_detections(path: Path) -> Floats:
    """Rows (N, 6) of frame (0-based), x, y (centre), w, h, score; NaN where the file does not say.

    CSV with header `frame,x,y[,w,h][,score]`, or MOTChallenge rows (1-based frames and pixels, top-left boxes).
    Raises DetectionFileError with the line at fault.
    """
    lines, header = read_lines(path)
    if not lines or not lines[0].strip():
        raise DetectionFileError(f"{path} is empty: expected the header {COLUMNS}, or MOTChallenge rows")
    if "frame" in header:
        rows = from_csv(path, lines, header)
    else:
        rows = from_mot(path, lines, f"neither a CSV row ({COLUMNS}) nor MOTChallenge")[:, (0, 2, 3, 4, 5, 6)]
    if rows.size and (not np.isfinite(rows[:, :3]).all() or (rows[:, 0] < 0).any() or (rows[:, 0] % 1).any()):
        raise DetectionFileError(f"{path}: frames must be whole numbers from 0 and positions finite")
    return rows[np.argsort(rows[:, 0], kind="stable")]


def read_lines(path: Path) -> tuple[list[str], list[str]]:
    """The lines of a text file, and the first one as names of columns. Raises DetectionFileError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DetectionFileError(
            f"{path} cannot be read as text: {getattr(error, 'strerror', None) or error}"
        ) from error
    return lines, [c.strip().lower() for c in lines[0].split(",")] if lines else []


def from_csv(path: Path, lines: list[str], header: list[str]) -> Floats:
    """Rows of a CSV with a header."""
    if not {"frame", "x", "y"} <= set(header):
        raise DetectionFileError(f"{path}: the header is {','.join(header)}, expected {COLUMNS}")
    names = ("frame", "x", "y", "w", "h", "score")
    table = []
    for number, row in enumerate(csv.DictReader(lines, fieldnames=header), 1):
        if number == 1 or not any(v for v in row.values() if isinstance(v, str)):
            continue
        try:
            table.append([float(row[n]) if row.get(n) else np.nan for n in names])
        except (TypeError, ValueError) as error:
            raise DetectionFileError(f"{path} line {number}: {error}") from error
    return np.array(table, float).reshape(-1, 6)


def from_mot(path: Path, lines: list[str], otherwise: str) -> Floats:
    """Rows (N, 7) of a MOTChallenge file as frame (0-based), identity, x, y (centre), w, h, confidence.

    Raises DetectionFileError with the first line that is none: `otherwise` says what it is instead.
    """
    table = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            frame, identity, left, top, w, h, *rest = (float(v) for v in line.split(","))
        except ValueError as error:
            raise DetectionFileError(f"{path} line {number} is {otherwise}: {line[:60]!r}") from error
        centre = left - 1 + w / 2, top - 1 + h / 2
        table.append([frame - 1, identity, *centre, w, h, rest[0] if rest else np.nan])
    return np.array(table, float).reshape(-1, 7)


def frames_of(rows: Floats) -> Iterator[tuple[int, Detections]]:
    """(frame, Detections) for every frame from 0 to the last one, also where there are none."""
    last = int(rows[-1, 0]) if len(rows) else -1
    starts = np.searchsorted(rows[:, 0], np.arange(last + 2))
    for frame in range(last + 1):
        yield frame, as_detections(rows[starts[frame] : starts[frame + 1]])


def as_detections(rows: Floats) -> Detections:
    """Rows of one frame as detections without a mask. A missing score counts as certain."""
    xy, size, score = rows[:, 1:3].copy(), rows[:, 3:5], rows[:, 5]
    box = np.column_stack([xy - np.nan_to_num(size) / 2, size])
    area = size[:, 0] * size[:, 1]
    return Detections(xy, np.where(np.isnan(score), 1.0, score), area, box, np.full(len(rows), np.nan))


def read_tracks(path: Path) -> Floats:
    """Rows (N, 4) of frame (0-based), identity, x, y: a track log or truth of ours, or MOTChallenge rows.

    In a CSV the columns are `frame`, `track_id` or `id`, `x_px` or `x`, `y_px` or `y`. Raises DetectionFileError.
    """
    lines, header = read_lines(path)
    if "frame" not in header:
        return from_mot(path, lines, "neither a track log's nor a MOTChallenge row")[:, :4]
    named = [next((c for c in names if c in header), None) for names in (("frame",), *TRACK_COLUMNS)]
    if None in named:
        raise DetectionFileError(f"{path}: the header is {','.join(header)}; expected frame, id, x and y columns")
    table = []
    for number, row in enumerate(csv.DictReader(lines, fieldnames=header), 1):
        if number > 1:
            try:
                table.append([float(row[str(c)]) for c in named])
            except (TypeError, ValueError) as error:
                raise DetectionFileError(f"{path} line {number}: {error}") from error
    return np.array(table, float).reshape(-1, 4)


TRACK_COLUMNS = (("track_id", "id"), ("x_px", "x"), ("y_px", "y"))
