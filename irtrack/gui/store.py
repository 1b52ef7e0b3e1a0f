"""Results of the frames seen so far, small enough to keep: going back shows them instead of running again."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Detections, Frame, FrameResult, Image

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

    def add(self, result: FrameResult) -> None:
        """Keep a result; a later one of the same frame replaces it."""
        d = result.detections
        mask_px = np.zeros(0, np.uint32) if d.mask is None else np.flatnonzero(d.mask).astype(np.uint32)
        frame = Frame(result.frame.index, result.frame.time_s, NO_IMAGE)
        slim = Detections(d.xy_px, d.score, d.area_px, d.box_px, d.snr)
        with self._lock:
            if frame.index not in self._stored:
                insort(self._order, frame.index)
            for track in result.tracks:
                if track.confirmed:
                    first, last = self._lives.get(track.id, (frame.index, frame.index))
                    self._lives[track.id] = (min(first, frame.index), max(last, frame.index))
            self._stored[frame.index] = Stored(replace(result, frame=frame, detections=slim), mask_px)

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

    def clear(self) -> None:
        with self._lock:
            self._lives.clear()
            self._stored.clear()
            self._order.clear()
