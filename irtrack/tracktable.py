"""The rows of a track log as arrays, for whoever goes on in Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irtrack.config import TrackerSettings
from irtrack.core import FrameResult, IrtrackError, Sink, Track
from irtrack.sinks.text import CSV_HEADER, CompletedLog, OfflineLog
from irtrack.track.offline import rewritten

COLUMNS = tuple(CSV_HEADER.split(","))
KINDS: dict[str, Any] = {"frame": np.int64, "track_id": np.int64, "status": np.str_, "measured": np.bool_}
"""Of the columns that are no float64."""


class TrackTable:
    """A track log by columns: `table["x_px"]` is an array (N,), with the names and units of the CSV log.

    `score` is NaN where a track coasts. Rows stand in order of frames.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self.columns = dict(columns)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def keys(self) -> Iterable[str]:
        """Names of the columns; `dict(table)` has all of it."""
        return self.columns.keys()

    def __len__(self) -> int:
        """Rows."""
        return len(self.columns["frame"])

    @property
    def ids(self) -> NDArray[np.int64]:
        """The tracks, each once."""
        return np.unique(self.columns["track_id"])

    def track(self, id: int) -> TrackTable:
        """The rows of one track."""
        chosen = self.columns["track_id"] == id
        return TrackTable({name: column[chosen] for name, column in self.columns.items()})

    def to_pandas(self) -> Any:
        """A pandas DataFrame. Raises IrtrackError where pandas is not installed."""
        try:
            import pandas
        except ImportError:
            raise IrtrackError("a DataFrame needs pandas: pip install pandas") from None
        return pandas.DataFrame(self.columns)

    def to_arrow(self) -> Any:
        """A pyarrow Table. Raises IrtrackError where pyarrow is not installed."""
        try:
            import pyarrow
        except ImportError:
            raise IrtrackError("an Arrow table needs pyarrow: pip install pyarrow") from None
        return pyarrow.table({name: pyarrow.array(column) for name, column in self.columns.items()})

    def __repr__(self) -> str:
        frames = self.columns["frame"]
        where = f" in frames {frames.min()} to {frames.max()}" if len(self) else ""
        return f"TrackTable({len(self)} rows of {len(self.ids)} tracks{where}; columns {', '.join(self.columns)})"


class Rows:
    """A sink that keeps the values of each row."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []

    def write(self, result: FrameResult) -> None:
        """Take a frame."""
        frame = result.frame
        self.all += [row(frame.index, frame.time_s, track) for track in result.tracks if track.confirmed]

    def close(self) -> None:
        """Nothing to give back."""

    def table(self) -> TrackTable:
        """What was taken, by columns."""
        by_column = zip(*self.all, strict=True) if self.all else ((),) * len(COLUMNS)
        return TrackTable(
            {
                name: np.array(values, dtype=KINDS.get(name, np.float64))
                for name, values in zip(COLUMNS, by_column, strict=True)
            }
        )


def row(frame: int, time_s: float, track: Track) -> tuple[Any, ...]:
    """The values of one row, in the order of COLUMNS."""
    measured = track.detection is not None
    sigma = np.sqrt(track.covariance[[0, 1], [0, 1]])
    return (
        *(frame, time_s, track.id, str(track.status), *track.xy_px, *track.velocity_px_s, *sigma, *track.size_px),
        *(track.area_px, track.score if measured else np.nan, track.snr, measured),
    )


def table_of(results: Iterable[FrameResult], log: str) -> TrackTable:
    """Rows of a `completed`, `online` or `offline` log. Raises IrtrackError for another."""
    settings, rows = TrackerSettings(), Rows()
    sinks: dict[str, Sink] = {
        "completed": CompletedLog(rows, settings.log_delay_s),
        "online": rows,
        "offline": OfflineLog(rows, partial(rewritten, settings=settings)),
    }
    if log not in sinks:
        raise IrtrackError(f"there is no log {log!r}: it is one of {', '.join(sinks)}")
    for result in results:
        sinks[log].write(result)
    sinks[log].close()
    return rows.table()
