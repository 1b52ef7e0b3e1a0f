"""Results of the frames seen so far, small enough to keep: going back shows them instead of running again.

A recording's are all kept; a camera's are kept for the last `LIVE_FRAMES` frames, without trails, for export and plots.
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Detections, Floats, Frame, FrameResult, Image, Track, Tracks, TrackStatus

LIVE_FRAMES = 54_000
"""Half an hour of a camera at 30 frames a second."""

SERIES = ("time_s", "brightness", "snr", "speed_px_s", "x_px", "y_px", "score")
"""What is kept of a track in each frame. Brightness: mean of 3x3 pixels at its place, in counts."""

NO_IMAGE: Image = np.zeros((1, 1), np.uint8)


@dataclass(frozen=True, slots=True)
class Stored:
    """A result without its picture; the mask as the flat indices of its pixels."""

    result: FrameResult
    mask_px: NDArray[np.uint32]


class ResultStore:
    """Written by the worker thread, read by the window."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored: dict[int, Stored] = {}
        self._order: list[int] = []
        self._lives: dict[int, tuple[int, int]] = {}
        self._series: dict[int, dict[int, tuple[float, ...]]] = {}

    def add(self, result: FrameResult, limit: int | None = None) -> None:
        """Keep a result; a later one of the same frame replaces it. `limit`: the oldest beyond that many are dropped,
        and trails are not kept."""
        rows = series_rows(result)
        tracks = result.tracks
        if limit is not None:
            result = replace(result, tracks=packed(tracks))
        elif isinstance(tracks, Tracks):
            result = replace(result, tracks=tracks.unmade())
        d = result.detections
        mask_px = np.zeros(0, np.uint32) if d.mask is None else np.flatnonzero(d.mask).astype(np.uint32)
        frame = Frame(result.frame.index, result.frame.time_s, NO_IMAGE)
        slim = Detections(d.xy_px, d.score, d.area_px, d.box_px, d.snr)
        with self._lock:
            if frame.index not in self._stored:
                insort(self._order, frame.index)
            for track in tracks:
                if track.confirmed:
                    first, last = self._lives.get(track.id, (frame.index, frame.index))
                    self._lives[track.id] = (min(first, frame.index), max(last, frame.index))
            for track_id, row in rows.items():
                self._series.setdefault(track_id, {})[frame.index] = row
            self._stored[frame.index] = Stored(replace(result, frame=frame, detections=slim), mask_px)
            while limit is not None and len(self._order) > limit:
                self._drop(self._order.pop(0))

    def _drop(self, index: int) -> None:
        for track in self._stored.pop(index).result.tracks:
            rows = self._series.get(track.id, {})
            rows.pop(index, None)
            if rows and track.id in self._lives:
                self._lives[track.id] = (min(rows), self._lives[track.id][1])
            else:
                self._series.pop(track.id, None)
                self._lives.pop(track.id, None)

    def __contains__(self, index: int) -> bool:
        return index in self._stored

    def __len__(self) -> int:
        return len(self._order)

    def get(self, frame: Frame) -> FrameResult:
        """The stored result of a frame, with that frame's picture and the mask back in place. Raises KeyError."""
        with self._lock:
            stored = self._stored[frame.index]
        mask = np.zeros(frame.image.size, bool)
        mask[stored.mask_px] = True
        d = stored.result.detections
        full = Detections(d.xy_px, d.score, d.area_px, d.box_px, d.snr, mask.reshape(frame.image.shape))
        return replace(stored.result, frame=frame, detections=full)

    def nearest(self, index: int) -> int | None:
        """The stored frame at or before `index`."""
        with self._lock:
            at = bisect_right(self._order, index)
            return self._order[at - 1] if at else None

    def results(self) -> Iterator[FrameResult]:
        """All results in frame order, without pictures."""
        with self._lock:
            kept = [self._stored[i].result for i in self._order]
        yield from kept

    def lives(self) -> dict[int, tuple[int, int]]:
        """First and last frame of each confirmed track seen so far."""
        with self._lock:
            return dict(self._lives)

    def series(self, track_id: int) -> Floats:
        """(T, len(SERIES)) of a track's confirmed frames, in their order."""
        with self._lock:
            rows = self._series.get(track_id, {})
            return np.array([rows[i] for i in sorted(rows)]).reshape(-1, len(SERIES))

    def clear(self) -> None:
        with self._lock:
            self._series.clear()
            self._lives.clear()
            self._stored.clear()
            self._order.clear()


STATUSES = tuple(TrackStatus)


def packed(tracks: Sequence[Track]) -> Tracks:
    """Tracks without trails, as arrays: the garbage collector stops everything to walk through millions of objects."""
    kept = list(tracks)
    status = [STATUSES.index(t.status) for t in kept]
    x = np.array([(*t.xy_px, *t.velocity_px_s) for t in kept]).reshape(-1, 4)
    covariance = np.array([t.covariance for t in kept])
    rest = np.array([(t.age_s, t.misses, *t.size_px, t.area_px, t.score, t.snr) for t in kept])
    row = [-1 if t.detection is None else t.detection for t in kept]
    numbers = np.array([(t.id, s, r) for t, s, r in zip(kept, status, row, strict=True)], np.int64).reshape(-1, 3)

    def make(i: int) -> Track:
        age_s, misses, w, h, area, score, snr = rest[i].tolist()
        track, code, detection = numbers[i].tolist()
        return Track(
            track, STATUSES[code], x[i, :2], x[i, 2:], covariance[i], age_s, int(misses),
            None if detection < 0 else detection, (w, h), area, score, snr, x[i : i + 1, :2],
        )  # fmt: skip

    return Tracks(numbers[:, 0], numbers[:, 1] > 0, x, np.eye(2, 3), make)


def series_rows(result: FrameResult) -> dict[int, tuple[float, ...]]:
    """A row of SERIES for each confirmed track of a frame."""
    tracks = [t for t in result.tracks if t.confirmed]
    if not tracks:
        return {}
    light = brightness(result.frame.image, np.array([t.xy_px for t in tracks]))
    return {t.id: series_row(t, result.frame.time_s, b) for t, b in zip(tracks, light.tolist(), strict=True)}


def series_row(track: Track, time_s: float, light: float) -> tuple[float, ...]:
    """SERIES of one track."""
    (x, y), (vx, vy) = track.xy_px.tolist(), track.velocity_px_s.tolist()
    return time_s, light, track.snr, float(np.hypot(vx, vy)), x, y, track.score


def brightness(image: Image, xy: Floats) -> Floats:
    """Mean count (N,) of 3x3 pixels round places (N, 2); at the borders the nearest pixels stand in."""
    around = np.array([(i, j) for j in (-1, 0, 1) for i in (-1, 0, 1)])
    at = np.round(xy).astype(int)[:, None] + around
    x, y = (np.clip(at[..., k], 0, image.shape[1 - k] - 1) for k in (0, 1))
    means: Floats = image[y, x].mean(1, dtype=np.float64)
    return means
