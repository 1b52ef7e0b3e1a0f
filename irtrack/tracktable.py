"""The rows of a track log as arrays, for whoever goes on in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irtrack.config import TrackerSettings
from irtrack.core import FrameResult, IrtrackError, Sink
from irtrack.sinks.columns import COLUMNS, values
from irtrack.sinks.text import CompletedLog, OfflineLog
from irtrack.track.offline import rewritten


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
        self.all += [values(frame.index, frame.time_s, track) for track in result.tracks if track.confirmed]

    def close(self) -> None:
        """Nothing to give back."""

    def table(self) -> TrackTable:
        """What was taken, by columns."""
        by_column = zip(*self.all, strict=True) if self.all else ((),) * len(COLUMNS)
        return TrackTable({c.name: np.array(rows, dtype=c.kind) for c, rows in zip(COLUMNS, by_column, strict=True)})


def table_of(results: Iterable[FrameResult], log: str) -> TrackTable:
    """Rows of a `completed`, `online` or `offline` log, by the settings of the tracker that made the results. Raises
    IrtrackError for another log, and for results of trackers with different settings."""
    rows = Rows()
    made: dict[str, Callable[[TrackerSettings], Sink]] = {
        "completed": lambda settings: CompletedLog(rows, settings.log_delay_s),
        "online": lambda settings: rows,
        "offline": lambda settings: OfflineLog(rows, partial(rewritten, settings=settings)),
    }
    if log not in made:
        raise IrtrackError(f"there is no log {log!r}: it is one of {', '.join(made)}")
    sink: Sink = rows
    settings: TrackerSettings | None = None
    for result in results:
        now = result.settings if isinstance(result.settings, TrackerSettings) else TrackerSettings()
        if settings is None:
            settings, sink = now, made[log](now)
        elif now != settings:
            raise IrtrackError("these results are of trackers with different settings: make a table of each")
        sink.write(result)
    sink.close()
    return rows.table()
