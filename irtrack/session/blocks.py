"""Results as bytes and back, to the last bit: the arrays of some frames one behind the other, as numpy writes them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Detections, Frame, FrameResult
from irtrack.session.packing import columns_of, tracks_of
from irtrack.session.recipe import Recipe
from irtrack.session.store import SERIES, Stored

LARGEST = 256 << 20
"""Bytes of a block: more come of a damaged file."""

DETECTIONS = ("xy_px", "score", "area_px", "box_px", "snr")
TRACKS = ("numbers", "x", "covariance", "rest")

Arrays = dict[str, NDArray[Any]]


def to_bytes(some: Sequence[Stored], recipes: Sequence[Recipe | None]) -> bytes:
    """Results of frames, each of which was made with one of `recipes`."""
    results = [s.result for s in some]
    columns = [columns_of(r.tracks) for r in results]
    rows = [list(s.rows.items()) for s in some]
    stages = sorted({stage for r in results for stage in r.stage_ms})
    arrays: Arrays = {
        "frames": np.array(
            [(r.frame.index, r.frame.connection, r.dropped, *r.frame.image.shape, r.frame.image.itemsize)
             for r in results], np.int64
        ).reshape(-1, 6),
        "recipes": np.array([recipes.index(s.recipe) for s in some], np.int64),
        "time_s": np.array([r.frame.time_s for r in results], np.float64),
        "stages": np.array(stages, "U32"),
        "stage_ms": np.array([[r.stage_ms.get(stage, np.nan) for stage in stages] for r in results]),
        "detections": counts(r.detections for r in results),
        "tracks": counts(c["numbers"] for c in columns),
        "masks": counts(s.mask_px for s in some),
        "mask_px": np.concatenate([s.mask_px for s in some]),
        "rows": counts(rows),
        "row_tracks": np.array([track for part in rows for track, _ in part], np.int64),
        "series": np.array([row for part in rows for _, row in part], np.float64).reshape(-1, len(SERIES)),
    }  # fmt: skip
    arrays |= {name: np.concatenate([getattr(r.detections, name) for r in results]) for name in DETECTIONS}
    arrays |= {f"track_{name}": np.concatenate([c[name] for c in columns]) for name in TRACKS}
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return zlib.compress(out.getvalue(), 1)


def counts(parts: Iterator[Any] | Sequence[Any]) -> NDArray[np.int64]:
    """How much of an array belongs to each frame."""
    return np.array([len(part) for part in parts], np.int64)


def from_bytes(data: bytes, recipes: Sequence[Recipe | None]) -> list[Stored]:
    """Results again. Raises what comes of bytes that `to_bytes` did not make."""
    unpacked = zlib.decompressobj()
    plain = unpacked.decompress(data, LARGEST)
    if not unpacked.eof:
        raise ValueError("a block of results is too large, or cut")
    with np.load(io.BytesIO(plain), allow_pickle=False) as file:
        a: Arrays = {name: file[name] for name in file.files}
    ends = {name: [0, *np.cumsum(a[name]).tolist()] for name in ("detections", "tracks", "masks", "rows")}
    parts = {name: list(pairwise(end)) for name, end in ends.items()}
    stages, out = a["stages"].tolist(), []
    series, times = list(map(tuple, a["series"].tolist())), a["time_s"].tolist()
    for i, (index, connection, dropped, height, width, size) in enumerate(a["frames"].tolist()):
        d, t, m, r = (slice(*parts[name][i]) for name in ("detections", "tracks", "masks", "rows"))
        blank = np.broadcast_to(np.zeros((), np.uint8 if size == 1 else np.uint16), (height, width))
        took = {stage: ms for stage, ms in zip(stages, a["stage_ms"][i].tolist(), strict=True) if ms == ms}
        result = FrameResult(
            Frame(index, times[i], blank, connection), Detections(**{name: a[name][d] for name in DETECTIONS}),  # type: ignore[arg-type]
            tracks_of({name: a[f"track_{name}"][t] for name in TRACKS}), took, dropped,
        )  # fmt: skip
        rows = dict(zip(a["row_tracks"][r].tolist(), series[r], strict=True))
        out.append(Stored(result, a["mask_px"][m], recipes[int(a["recipes"][i])], rows))
    return out
