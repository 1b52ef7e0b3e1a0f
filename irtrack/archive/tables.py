"""The data sets of an archive: tracks, a file for each recording, and recordings, a file for each day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from irtrack.sinks.columns import COLUMNS

TYPES = {np.int64: pa.int64(), np.float64: pa.float64(), np.str_: pa.string(), np.bool_: pa.bool_()}

TRACKS = pa.schema([("recording", pa.string()), *((c.name, TYPES[c.kind]) for c in COLUMNS)])
"""The columns of the log, and the recording's key before them."""

RECORDINGS = pa.schema(
    [
        ("recording", pa.string()),
        ("path", pa.string()),
        ("copies", pa.list_(pa.string())),
        ("present", pa.bool_()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("started", pa.timestamp("us", "UTC")),
        ("started_by", pa.string()),
        ("frames", pa.int64()),
        ("duration_s", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bits", pa.int32()),
        ("fps", pa.float64()),
        ("clock", pa.string()),
        ("tracks", pa.int64()),
        ("rows", pa.int64()),
        ("log", pa.list_(pa.string())),
        ("remarks", pa.list_(pa.string())),
        ("sha256", pa.string()),
        ("model", pa.string()),
        ("irtrack", pa.string()),
        ("analysed", pa.timestamp("us", "UTC")),
    ]
)


def write_tracks(logs: Sequence[Path], key: str, path: Path) -> tuple[int, int]:
    """The rows of a recording's logs as Parquet. Returns how many there are, and of how many tracks."""
    rows, tracks = 0, set[int]()
    convert = pc.ConvertOptions(column_types={f.name: f.type for f in TRACKS if f.name != "recording"})
    with pq.ParquetWriter(path, TRACKS, compression="zstd") as writer:
        for log in logs:
            with pc.open_csv(log, convert_options=convert) as reader:
                for batch in reader:
                    table = pa.Table.from_batches([batch])
                    named = table.add_column(0, TRACKS.field(0), pa.array([key] * len(table), pa.string()))
                    writer.write_table(named.cast(TRACKS))
                    rows += len(table)
                    tracks.update(table["track_id"].unique().to_pylist())
    return rows, len(tracks)


def write_recordings(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """Rows of RECORDINGS as Parquet."""
    pq.write_table(pa.Table.from_pylist(list(rows), RECORDINGS), path, compression="zstd")


def text(value: str) -> str:
    """A name of a file as text that any program can read."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
