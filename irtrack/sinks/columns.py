"""The one table of a track log's columns: read by the CSV log, by tables in Python and by the documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from irtrack.core import Track


@dataclass(frozen=True)
class Column:
    """A column. `value`: from the frame's number, its time and a confirmed track in it; NaN for what is unknown.

    `form`: of a value in text, as `format` has it. `kind`: of an array of values.
    """

    name: str
    unit: str
    meaning: str
    value: Callable[[int, float, Track], Any]
    form: str
    kind: Any = np.float64


def sigma(track: Track, axis: int) -> float:
    """Standard deviation of a position."""
    return float(track.covariance[axis, axis]) ** 0.5


COLUMNS = (
    Column(
        "frame", "", "number of the frame in the source, from 0; a gap is a frame that was dropped",
        lambda frame, time_s, track: frame, "d", np.int64,
    ),
    Column(
        "time_s", "s", "the file's own time, from 0; of cameras the machine's clock, see `OUT.csv.utc.json`",
        lambda frame, time_s, track: time_s, ".6f",
    ),
    Column("track_id", "", "identity of the track", lambda frame, time_s, track: track.id, "d", np.int64),
    Column(
        "status", "", "`confirmed` or `coasting`", lambda frame, time_s, track: str(track.status), "", np.str_
    ),
    Column(
        "x_px", "px", "position, to the right; 0 is the centre of the leftmost pixels",
        lambda frame, time_s, track: float(track.xy_px[0]), ".3f",
    ),
    Column(
        "y_px", "px", "position, down; 0 is the centre of the topmost pixels",
        lambda frame, time_s, track: float(track.xy_px[1]), ".3f",
    ),
    Column(
        "vx_px_s", "px/s", "velocity in the scene (the camera's own motion is taken out), to the right",
        lambda frame, time_s, track: float(track.velocity_px_s[0]), ".3f",
    ),
    Column(
        "vy_px_s", "px/s", "velocity in the scene, down",
        lambda frame, time_s, track: float(track.velocity_px_s[1]), ".3f",
    ),
    Column(
        "sigma_x_px", "px", "standard deviation of `x_px`", lambda frame, time_s, track: sigma(track, 0), ".3f"
    ),
    Column(
        "sigma_y_px", "px", "standard deviation of `y_px`", lambda frame, time_s, track: sigma(track, 1), ".3f"
    ),
    Column("w_px", "px", "width of the last detection", lambda frame, time_s, track: track.size_px[0], ".1f"),
    Column("h_px", "px", "height of the last detection", lambda frame, time_s, track: track.size_px[1], ".1f"),
    Column("area_px", "px", "pixels of the last detection", lambda frame, time_s, track: track.area_px, ".1f"),
    Column(
        "score", "0 to 1", "highest score of this frame's detection; blank while coasting",
        lambda frame, time_s, track: np.nan if track.detection is None else track.score, ".4f",
    ),
    Column(
        "snr", "", "contrast of the last detection over the standard deviation of its local background",
        lambda frame, time_s, track: track.snr, ".2f",
    ),
    Column(
        "measured", "0 or 1", "whether the track had a detection in this frame",
        lambda frame, time_s, track: track.detection is not None, "d", np.bool_,
    ),
)  # fmt: skip
"""In the order of the log; their names are a contract."""

CSV_HEADER = ",".join(column.name for column in COLUMNS)


def values(frame: int, time_s: float, track: Track) -> tuple[Any, ...]:
    """A row of the log."""
    return tuple(column.value(frame, time_s, track) for column in COLUMNS)


def csv_row(frame: int, time_s: float, track: Track) -> str:
    """A row as a line of text; blank for what is unknown."""
    row = zip(COLUMNS, values(frame, time_s, track), strict=True)
    return ",".join(["" if value != value else format(value, column.form) for column, value in row]) + "\n"
