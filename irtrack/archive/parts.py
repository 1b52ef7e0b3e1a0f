"""Parts of a long recording: the network looks at them anywhere and at the same time, and one tracker goes through what
it found, so that the tracks are those of one pass.

What the network finds in a frame follows from the frame and the levels of its scaling alone. A part's scaling begins
some frames early, until it no longer knows where it began. Each frame is kept with a sum of its pixels and its levels,
and what was found counts only where the one pass comes to the same; where it does not, the network looks again.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Detections, Detector, Floats, Frame, Image, Scores, SourceError, Tracks
from irtrack.imaging.scaling import Levels, Scaling, network_input

if TYPE_CHECKING:
    from irtrack.detect.detector import NetworkDetector

SETTLE_FRAMES = 200
"""Levels go a fifth of the way to each frame's own: after so many frames, 4e-20 of the difference is left."""


class Looker:
    """A network on frames in order, with what its answer follows from."""

    def __init__(self, network: NetworkDetector) -> None:
        self.network = network
        self._scaling = Scaling(network.fixed_levels)

    def follow(self, image: Image) -> Levels | None:
        """Take a frame in, and say at which levels it is looked at."""
        return self._scaling.follow(image)

    def look(self, image: Image, levels: Levels | None) -> Detections:
        """What is found at these levels."""
        scores: Scores = self.network.batch([network_input(image, levels)])[0]
        return self.network.extracted(scores, image)


def sum_of(image: Image) -> int:
    """CRC-32 of the pixels (H, W)."""
    return zlib.crc32(np.ascontiguousarray(image).data)


def ends_of(frames: int, length: int) -> list[tuple[int, int]]:
    """First frames and ends of parts of about this length each; one where the recording is not much longer than one."""
    count = max(1, round(frames / max(length, 1)))
    edges = [frames * i // count for i in range(count + 1)]
    return list(pairwise(edges))


def find_in_part(frames: Iterable[Frame], looker: Looker, first: int, end: int) -> Findings:
    """What is found in frames from `first` to `end` (exclusive); those before only move the levels. Where the source
    ends early, up to there: whoever reads all of it says why."""
    rows: list[tuple[Frame, int, Levels | None, Detections]] = []
    try:
        for frame in frames:
            if frame.index >= end:
                break
            levels = looker.follow(frame.image)
            if frame.index >= first:
                rows.append((frame, sum_of(frame.image), levels, light(looker.look(frame.image, levels))))
    except SourceError:
        pass
    return Findings.of(rows)


def light(found: Detections) -> Detections:
    """Without mask and map, which no log has."""
    return Detections(found.xy_px, found.score, found.area_px, found.box_px, found.snr)


@dataclass(frozen=True)
class Findings:
    """Of F frames: their times, sums of pixels, levels (F, 2; NaN without), and where the rows of each begin (F + 1).

    `rows` (N, 9): x, y, score, area, SNR, left, top, width, height of each detection.
    """

    time_s: Floats
    sums: NDArray[np.uint32]
    levels: Floats
    begin: NDArray[np.int64]
    rows: Floats

    @staticmethod
    def of(rows: Sequence[tuple[Frame, int, Levels | None, Detections]]) -> Findings:
        """Of frames with their sums, levels and detections."""
        found = [d for *_, d in rows]
        tables = [np.column_stack([d.xy_px, d.score, d.area_px, d.snr, d.box_px]) for d in found]
        return Findings(
            np.array([frame.time_s for frame, *_ in rows], float),
            np.array([s for _, s, _, _ in rows], np.uint32),
            np.array([levels or (np.nan, np.nan) for _, _, levels, _ in rows], float).reshape(-1, 2),
            np.cumsum([0, *map(len, found)]),
            np.concatenate([np.zeros((0, 9)), *tables]),
        )

    def save(self, path: Path) -> None:
        """Raises OSError."""
        with path.open("wb") as file:
            np.savez_compressed(file, **vars(self))

    @staticmethod
    def load(path: Path) -> Findings:
        """Of no frames where the file cannot be read: they are looked at again."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                return Findings(**{name: kept[name] for name in ("time_s", "sums", "levels", "begin", "rows")})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
            return Findings.of([])

    def at(self, time_s: float, image: Image, levels: Levels | None) -> Detections | None:
        """What was found in this very picture at these levels; None where it was another one."""
        i = int(np.searchsorted(self.time_s, time_s))
        if i == len(self.time_s) or self.time_s[i] != time_s or self.sums[i] != sum_of(image):
            return None
        if not np.array_equal(self.levels[i], levels or (np.nan, np.nan), equal_nan=True):
            return None
        rows = self.rows[self.begin[i] : self.begin[i + 1]]
        return Detections(rows[:, :2], rows[:, 2], rows[:, 3], rows[:, 5:9], rows[:, 4])


class Foreseen(Detector):
    """A detector for the one pass through a recording whose parts were looked at before. `again`: frames in which that
    was of no use."""

    def __init__(self, network: NetworkDetector, parts: Sequence[Path]) -> None:
        """`parts`: files of `Findings`, in order."""
        self._looker, self._waiting = Looker(network), list(parts)
        self.threshold, self.min_area_px = network.threshold, network.min_area_px
        self.regions: Any = network.regions
        self._time_s = 0.0
        self._part: Findings | None = None
        self.again = 0

    def expect(self, time_s: float) -> None:
        """The next picture is of this time."""
        self._time_s = time_s

    def look_at(self, tracks: Tracks, spent_s: float) -> None:
        """Every picture is looked at as a whole."""

    def __call__(self, image: Image) -> Detections:
        levels = self._looker.follow(image)
        while self._waiting and (self._part is None or not self._time_s <= last_time(self._part)):
            self._part = Findings.load(self._waiting.pop(0))
        found = self._part.at(self._time_s, image, levels) if self._part is not None else None
        if found is not None:
            return found
        self.again += 1
        return self._looker.look(image, levels)


def last_time(part: Findings) -> float:
    """Of its frames; before all others where it has none."""
    return float(part.time_s[-1]) if len(part.time_s) else -np.inf
