"""A track log over its recording: rows of a file as results that are shown, edited and exported."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from irtrack.core import Detections, Floats, Frame, FrameResult, IrtrackError, Remarks, Track, TrackStatus
from irtrack.session.packing import packed
from irtrack.session.series import series_row
from irtrack.session.store import ResultStore
from irtrack.session.stored import Stored
from irtrack.sinks.columns import CSV_HEADER
from irtrack.track.files import read_tracks
from irtrack.track.tables import Table

COLUMNS = tuple(CSV_HEADER.split(","))
NUMBERS = tuple(name for name in COLUMNS if name != "status")
"""Columns of the arrays here: those of the log without its status, which `measured` tells."""

FRAME, TIME, TRACK, X, Y, VX, VY, SIGMA_X, SIGMA_Y, W, H, AREA, SCORE, SNR, MEASURED = range(len(NUMBERS))
SUFFIXES = (".csv", ".txt", ".tsv")


@dataclass(frozen=True)
class Opened:
    """The open recording, as far as a log must fit it."""

    frames: int | None
    fps: float
    shape: tuple[int, int]


def is_log(text: str) -> bool:
    """Whether a SOURCE text names a file that is a track log by its name."""
    return Path(text).suffix.lower() in SUFFIXES and not os.path.isdir(text)


def read_log(path: Path, recording: Opened) -> ResultStore:
    """Results of every frame of a recording, as a log has them: ours with all it holds, any other kind that
    `irtrack score` reads with its places. Raises IrtrackError."""
    rows, remarks = own_rows(path), Remarks()
    if rows is None:
        rows = other_rows(path, recording.fps, remarks)
    check(path, rows, recording)
    rows = rows[np.lexsort((rows[:, TRACK], rows[:, FRAME]))]
    times = times_of(rows, max(int(rows[-1, FRAME]) + 1, recording.frames or 0), recording.fps)
    starts = np.searchsorted(rows[:, FRAME], np.arange(len(times) + 1))
    store, blank = ResultStore(), np.broadcast_to(np.zeros((), np.uint8), recording.shape)
    born: dict[int, float] = {}
    for index, time_s in enumerate(times.tolist()):
        store.put(stored_of(Frame(index, time_s, blank), rows[starts[index] : starts[index + 1]], born))
    store.whole, store.remarks = True, remarks
    return store


def check(path: Path, rows: Floats, recording: Opened) -> None:
    """Raises IrtrackError where rows are none of tracks, or not of this recording."""
    if not len(rows):
        raise IrtrackError(f"{path} holds no tracks")
    known = np.isfinite(rows[:, [FRAME, TIME, TRACK, X, Y]]).all(1) & (rows[:, [FRAME, TRACK]] >= 0).all(1)
    if not known.all():
        raise IrtrackError(f"{path}: row {int(np.argmin(known)) + 1} lacks its frame, time, track or place")
    if len(np.unique(rows[:, [FRAME, TRACK]], axis=0)) < len(rows):
        raise IrtrackError(f"{path}: one track is twice in a frame")
    last, (h, w) = int(rows[:, FRAME].max()), recording.shape
    if recording.frames is not None and last >= recording.frames:
        raise IrtrackError(
            f"{path.name} has tracks up to frame {last}, and the recording has {recording.frames} frames: open the "
            "recording that they are of"
        )
    inside = (rows[:, [X, Y]] > -1).all(1) & (rows[:, X] < w + 1) & (rows[:, Y] < h + 1)
    if not inside.any():
        raise IrtrackError(f"no track of {path.name} lies in a picture of {w}x{h} pixels: open its own recording")


def own_rows(path: Path) -> Floats | None:
    """Rows (N, len(NUMBERS)) of a log of ours; None where it is another file. Raises IrtrackError."""
    table = Table(path)
    if tuple(table.header[: len(COLUMNS)]) != COLUMNS:
        return None
    rows: Floats = table.numbers([table.header.index(name) for name in NUMBERS])[:, 1:]
    return rows


def other_rows(path: Path, fps: float, remarks: Remarks) -> Floats:
    """Rows of another program's log: places, and speeds from one to the next. Raises IrtrackError."""
    found = read_tracks(path, remarks)
    found = found[np.lexsort((found[:, 0], found[:, 1]))]
    rows = np.full((len(found), len(NUMBERS)), np.nan)
    rows[:, [FRAME, TRACK, X, Y]] = found
    rows[:, TIME], rows[:, [SIGMA_X, SIGMA_Y, MEASURED]] = found[:, 0] / fps, 1.0
    rows[:, [VX, VY]] = 0.0
    on = np.flatnonzero(np.diff(found[:, 1]) == 0)  # rows that another of the same track follows
    rows[on, VX : VY + 1] = np.diff(found[:, 2:], axis=0)[on] / np.diff(found[:, 0])[on, None] * fps
    ends = np.setdiff1d(on + 1, on)
    rows[ends, VX : VY + 1] = rows[ends - 1, VX : VY + 1]
    return rows


def times_of(rows: Floats, frames: int, fps: float) -> Floats:
    """Seconds of every frame: those of the log, and between and beside them by the rate."""
    known, at = np.unique(rows[:, FRAME], return_index=True)
    every = np.arange(frames, dtype=float)
    out: Floats = np.interp(every, known, rows[at, TIME])
    out += np.minimum(every - known[0], 0.0) / fps + np.maximum(every - known[-1], 0.0) / fps
    return out


def stored_of(frame: Frame, rows: Floats, born: dict[int, float]) -> Stored:
    """The result of a frame. `born`: time of each track's first row."""
    seen = rows[rows[:, MEASURED] > 0]
    corner = seen[:, [X, Y]] - np.nan_to_num(seen[:, [W, H]]) / 2
    detections = Detections(
        seen[:, [X, Y]], seen[:, SCORE], seen[:, AREA], np.column_stack([corner, seen[:, [W, H]]]), seen[:, SNR]
    )
    tracks: list[Track] = []
    detection = 0
    for row in rows:
        _, _, track, x, y, vx, vy, sx, sy, w, h, area, score, snr, measured = row.tolist()
        age_s = frame.time_s - born.setdefault(int(track), frame.time_s)
        status = TrackStatus.CONFIRMED if measured else TrackStatus.COASTING
        tracks.append(Track(
            int(track), status, np.array([x, y]), np.array([vx, vy]), np.diag([sx**2, sy**2, 0.0, 0.0]), age_s, 0,
            detection if measured else None, (w, h), area, score, snr, np.array([[x, y]]),
        ))  # fmt: skip
        detection += bool(measured)
    series = {t.id: series_row(t, frame.time_s) for t in tracks}
    return Stored(FrameResult(frame, detections, packed(tracks), {}), np.zeros(0, np.uint32), None, series)
