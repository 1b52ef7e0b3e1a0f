"""Results as bytes and back, to the last bit: the arrays of some frames one behind the other, as numpy writes them.

A long recording is opened at once: only what plots and tables need of all frames is unpacked then.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Detections, Floats, Frame, FrameResult
from irtrack.imaging.motion import STILL
from irtrack.session.packing import columns_of, reasons_of, tracks_of
from irtrack.session.recipe import Recipe
from irtrack.session.scoremap import ScoreMap
from irtrack.session.series import SERIES
from irtrack.session.stored import Stored
from irtrack.track.belief import CLUTTER, PARTS

LARGEST = 256 << 20
"""Bytes of a block: more come of a damaged file."""

DETECTIONS = ("xy_px", "score", "area_px", "box_px", "snr")
TRACKS = ("numbers", "x", "covariance", "rest")

UNKNOWN = np.full((2, 3), np.nan)
"""The motion of a frame's scene, where that is not known."""

Arrays = dict[str, NDArray[Any]]


MARK, KIND = b"irb3", b"irb"
"""A block begins with this, the lengths of its first two parts, and the sums of the second and the third; the first is
packed with one of its own. Those of earlier versions have one sum of both, or are one part with everything, without
score maps."""

HEADER = struct.Struct("<4sIIII")
HEADERS = {MARK: HEADER, b"irb2": struct.Struct("<4sIII")}
FIRST = ("frames", "time_s", "scene", "recipes", "rows", "row_tracks", "series", "mapped")
"""Arrays of the first part, which all frames are asked for at once: times, motions, recipes, the series of tracks. The
second has detections, tracks and masks, the third score maps."""


def to_bytes(
    some: Sequence[Stored], recipes: Sequence[Recipe | None], maps: Mapping[int, ScoreMap] | None = None
) -> bytes:
    """Results of frames, each of which was made with one of `recipes`; `maps`: score maps, by frames."""
    maps = maps or {}
    results = [s.result for s in some]
    columns = [columns_of(r.tracks) | {"why": reasons_of(r.tracks)} for r in results]
    rows = [list(s.rows.items()) for s in some]
    stages = sorted({stage for r in results for stage in r.stage_ms})
    arrays: Arrays = {
        "frames": np.array(
            [(r.frame.index, r.frame.connection, r.dropped, *r.frame.image.shape, r.frame.image.itemsize)
             for r in results], np.int64
        ).reshape(-1, 6),
        "recipes": np.array([recipes.index(s.recipe) for s in some], np.int64),
        "time_s": np.array([r.frame.time_s for r in results], np.float64),
        "scene": np.array([UNKNOWN if r.scene is None else r.scene for r in results], np.float64).reshape(-1, 2, 3),
        "stages": np.array(stages, "U32"),
        "stage_ms": np.array([[r.stage_ms.get(stage, np.nan) for stage in stages] for r in results]),
        "detections": counts(r.detections for r in results),
        "tracks": counts(c["numbers"] for c in columns),
        "masks": counts(s.mask_px for s in some),
        "mask_px": np.concatenate([s.mask_px for s in some]),
        "rows": counts(rows),
        "row_tracks": np.array([track for part in rows for track, _ in part], np.int64),
        "mapped": np.array(list(maps), np.int64),
        "series": np.array([row for part in rows for _, row in part], np.float64).reshape(-1, len(SERIES)),
    }  # fmt: skip
    arrays |= {name: np.concatenate([getattr(r.detections, name) for r in results]) for name in DETECTIONS}
    arrays |= {f"track_{name}": np.concatenate([c[name] for c in columns]) for name in (*TRACKS, "why")}
    arrays |= {"why_kinds": np.array(CLUTTER), "why_parts": np.array(PARTS)}
    first, second = packed({name: arrays.pop(name) for name in FIRST}), packed(arrays)
    third = packed({
        "shapes": np.array([m.shape for m in maps.values()], np.int64).reshape(-1, 2),
        "lengths": counts(m.px for m in maps.values()),
        "px": np.concatenate([np.zeros(0, np.uint32), *(m.px for m in maps.values())]),
        "score": np.concatenate([np.zeros(0, np.float32), *(m.score for m in maps.values())]),
        "lifted": counts(m.lifted_px for m in maps.values()),
        "lifted_px": np.concatenate([np.zeros(0, np.uint32), *(m.lifted_px for m in maps.values())]),
        "lifted_from": np.concatenate([np.zeros(0, np.float32), *(m.lifted_from for m in maps.values())]),
    })  # fmt: skip
    return HEADER.pack(MARK, len(first), len(second), *map(zlib.crc32, (second, third))) + first + second + third


def counts(parts: Iterator[Any] | Sequence[Any]) -> NDArray[np.int64]:
    """How much of an array belongs to each frame."""
    return np.array([len(part) for part in parts], np.int64)


def packed(arrays: Arrays) -> bytes:
    """Arrays as compressed bytes."""
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return zlib.compress(out.getvalue(), 1)


def unpacked(data: bytes) -> Arrays:
    """The arrays again. Raises what comes of other bytes."""
    stream = zlib.decompressobj()
    plain = stream.decompress(data, LARGEST)
    if not stream.eof:
        raise ValueError("a block of results is too large, or cut")
    with np.load(io.BytesIO(plain), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def slices(lengths: NDArray[np.int64]) -> list[slice]:
    """Which part of an array belongs to each frame."""
    return [slice(a, b) for a, b in pairwise([0, *np.cumsum(lengths).tolist()])]


def scenes_of(motions: Floats) -> list[Floats | None]:
    """Of each of (N, 2, 3): None where it is not known, and one array for all scenes that stand."""
    known = ~np.isnan(motions[:, 0, 0])
    moving = (motions != STILL).any((1, 2))
    return [
        (motion if moves else STILL) if there else None
        for motion, moves, there in zip(motions, moving.tolist(), known.tolist(), strict=True)
    ]


def parts_of(data: bytes) -> tuple[bytes, bytes, bytes, bool]:
    """The parts of a block, and whether its score maps are damaged, which are left out then. Raises ValueError."""
    if not data.startswith(KIND):
        return data, b"", b"", False
    header = HEADERS.get(data[:4])
    if header is None:
        raise ValueError("a block of results was written by a newer irtrack")
    _, length, other, *sums = header.unpack_from(data)
    second = header.size + length
    third = second + other
    parts = [data[second:third], data[third:]] if len(sums) == 2 else [data[second:]]
    whole = [zlib.crc32(part) == asked for part, asked in zip(parts, sums, strict=True)]
    if not whole[0]:
        raise ValueError("a block of results is damaged")
    return data[header.size : second], data[second:third], data[third:] if whole[-1] else b"", not whole[-1]


class Block:
    """Results of some frames as a file has them; what belongs to single frames is unpacked when one is asked for."""

    def __init__(self, data: bytes, recipes: Sequence[Recipe | None] | None) -> None:
        """`recipes`: None where they are not known. Raises what comes of bytes that `to_bytes` did not make."""
        data, self._second, self._third, self.unmapped = parts_of(data)
        self._arrays = a = unpacked(data)
        lacking = len(SERIES) - a["series"].shape[1]  # an earlier version kept less
        a["series"] = np.pad(a["series"], ((0, 0), (0, lacking)), constant_values=np.nan)
        self.mapped: Collection[int] = a["mapped"].tolist() if self._third else []
        self.numbers: Sequence[int] = a["frames"][:, 0].tolist()
        self.times_s: Sequence[float] = a["time_s"].tolist()
        self.scenes: Sequence[Floats | None] = scenes_of(a["scene"]) if "scene" in a else [None] * len(self.numbers)
        self.recipes: Sequence[Recipe | None] = [None if recipes is None else recipes[i] for i in a["recipes"].tolist()]

    def series(self) -> Iterator[tuple[int, Sequence[int], Floats]]:
        """Each track with its frames and its rows (T, len(SERIES)) there, in the order in which they begin."""
        a = self._arrays
        tracks, frames = a["row_tracks"], np.repeat(a["frames"][:, 0], a["rows"])
        names, starts = np.unique(tracks, return_index=True)
        for track in names[np.argsort(starts)].tolist():
            its = tracks == track
            yield track, frames[its].tolist(), a["series"][its]

    def opened(self) -> Sequence[Stored]:
        """The results."""
        a = self._arrays | (unpacked(self._second) if self._second else {})
        names = ("detections", "tracks", "masks", "rows")
        parts = zip(*(slices(a[name]) for name in names), strict=True)
        stages, out = a["stages"].tolist(), []
        known = [name for name in (*TRACKS, "why") if f"track_{name}" in a]  # an earlier version did not keep all
        names_of = {name: a[name] for name in ("why_kinds", "why_parts") if name in a}
        series, tracks = list(map(tuple, a["series"].tolist())), a["row_tracks"].tolist()
        for i, (d, t, m, r) in enumerate(parts):
            index, connection, dropped, height, width, size = a["frames"][i].tolist()
            blank = np.broadcast_to(np.zeros((), np.uint8 if size == 1 else np.uint16), (height, width))
            took = {stage: ms for stage, ms in zip(stages, a["stage_ms"][i].tolist(), strict=True) if ms == ms}
            result = FrameResult(
                Frame(index, self.times_s[i], blank, connection),
                Detections(**{name: a[name][d] for name in DETECTIONS}),  # type: ignore[arg-type]
                tracks_of({name: a[f"track_{name}"][t] for name in known} | names_of, self.scenes[i]), took, dropped,
                scene=self.scenes[i],
            )  # fmt: skip
            rows = dict(zip(tracks[r], series[r], strict=True))
            out.append(Stored(result, a["mask_px"][m], self.recipes[i], rows))
        return out

    def maps(self) -> dict[int, ScoreMap]:
        """The score maps, by frames."""
        if not self._third:
            return {}
        a = unpacked(self._third)
        if "lifted" not in a:  # an earlier version did not tell it apart
            none = np.zeros(len(self.mapped), np.int64)
            a |= {"lifted": none, "lifted_px": a["px"][:0], "lifted_from": a["score"][:0]}
        parts = zip(self.mapped, a["shapes"].tolist(), slices(a["lengths"]), slices(a["lifted"]), strict=True)
        return {
            number: ScoreMap(tuple(shape), a["px"][m], a["score"][m], a["lifted_px"][n], a["lifted_from"][n])
            for number, shape, m, n in parts
        }
