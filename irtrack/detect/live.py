"""Keeping up with a camera: when a whole frame does not fit the time of one, part of it is looked at.

Tiles round the tracks are looked at in every frame, and a band of rows of the rest in turn, so that every place is
looked at once in `scan_frames` frames. Attention and the other properties of the whole frame are kept from the first
frame, seen whole; while the bands pass, the sums that attention is made of add up, and after each scan one block gets a
new one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from irtrack.config import DetectorSettings
from irtrack.core import Detections, Floats, Image, Scores, Track, Tracks
from irtrack.detect.cuda import upload
from irtrack.detect.detector import NetworkDetector
from irtrack.detect.inference import FastGFEM
from irtrack.detect.network import MULTIPLE_PX
from irtrack.detect.scoring import pad_to_multiple
from irtrack.detect.video import VideoNetwork
from irtrack.detect.weights import Weights

MARGIN_PX = 32
"""What a part needs around it to come out nearly as in the whole frame."""

OVERLAP_PX = 8
"""So much of the margin is kept, so that a target on the seam of two bands is whole in one of them."""

TILE_PX = 96
"""Side of the tile around a track, margin included; the track is at least a third of it from its borders."""

PASS_S = 0.002
"""Time of a pass through the network however small."""

SHARE = 0.8
"""Part of the time between two frames that is spent."""


class LiveDetector(NetworkDetector):
    """A detector that spends at most most of `interval_s` on a frame; `look_at` tells it where the tracks are."""

    def __init__(
        self, weights: Weights, settings: DetectorSettings, device: torch.device, interval_s: float, bands: int = 0
    ) -> None:
        """`bands`: look at that many bands in turn whatever the time; 0 fits them to the time there is."""
        super().__init__(weights, replace(settings, mode="live"), device)
        self._tiles_turn = False
        self._looked: list[tuple[int, int, int, int]] = []
        self.scan_frames = 1
        """Frames in which every place is looked at once; 1: every frame is seen whole."""
        self._interval_s, self._bands = interval_s, bands
        self._video = VideoNetwork(self._network, settings.refresh_every)
        self._gfem = next(m for m in self._network.modules() if isinstance(m, FastGFEM))
        self._expected: Floats = np.zeros((0, 2))
        self._elsewhere_s = 0.0
        self._s_per_px: float | None = None
        self._next_row, self._turn = 0, 0

    def look_at(self, tracks: Sequence[Track], spent_s: float) -> None:
        """Where the tracks of the last frame will be in the next; `spent_s` went into other things than detecting."""
        x = tracks.x if isinstance(tracks, Tracks) else np.array([(*t.xy_px, *t.velocity_px_s) for t in tracks])
        x = x.reshape(-1, 4)
        self._expected = x[:, :2] + x[:, 2:] * self._interval_s
        self._elsewhere_s += 0.1 * (spent_s - self._elsewhere_s)

    def _score(self, image: Image) -> Scores:
        start = time.perf_counter()
        self._looked = []
        x = upload(pad_to_multiple(torch.from_numpy(self._scaling(image))[None, None]), self.device)
        height, width = x.shape[-2:]
        scores = np.zeros((height, width), np.float32)
        if self._video.begins_scene(x):
            scores[:] = self._whole(x)
            return scores[: image.shape[0], : image.shape[1]]
        count = len(self._tiles(height, width))
        rows = self._rows_in_time(height, width, count)
        if rows >= height:
            self._video.renew_next()
            scores[:] = self._whole(x)
            looked_px, passes, self.scan_frames = height * width, 1, 1
        else:
            turns = count > 0 and self._too_much(rows, width, count)
            self._tiles_turn = turns and not self._tiles_turn
            tiles = self._tiles(height, width, 0 if turns else rows) if self._tiles_turn or not turns else []
            looked_px = passes = 0
            if not (tiles and turns):
                looked_px, passes = self._part(x, rows, scores), 1
            if tiles:
                looked_px, passes = looked_px + self._look_closely(x, tiles, scores), passes + 1
            self.scan_frames = -(-height // rows) * (1 + turns)
        taken = (time.perf_counter() - start - PASS_S * passes) / looked_px
        self._s_per_px = taken if self._s_per_px is None else self._s_per_px + 0.1 * (taken - self._s_per_px)
        return scores[: image.shape[0], : image.shape[1]]

    def _whole(self, x: Tensor) -> Scores:
        """All of the frame; a scan that was under way begins anew behind it."""
        self._gfem.place, self._next_row = None, 0
        out: Scores = self._network(x)[0, 0].sigmoid().cpu().numpy()
        return out

    def __call__(self, image: Image) -> Detections:
        found = super().__call__(image)
        return replace(found, looked=np.array(self._looked, float) - (0.5, 0.5, 0, 0)) if self._looked else found

    def _too_much(self, rows: int, width: int, tiles: int) -> bool:
        """Whether band and tiles together take longer than there is: then they take turns, a frame each."""
        if self._bands or self._s_per_px is None:
            return False
        px = (rows + 2 * MARGIN_PX) * width + tiles * TILE_PX**2
        return 2 * PASS_S + px * self._s_per_px > SHARE * self._interval_s - self._elsewhere_s

    def _rows_in_time(self, height: int, width: int, tiles: int) -> int:
        """Rows of the band that fit into the time left beside the tiles; the height where the whole frame does."""
        if self._bands:
            return up_to_multiple(height / self._bands)
        if self._s_per_px is None:
            return height
        budget = SHARE * self._interval_s - self._elsewhere_s
        left = budget - PASS_S - (tiles > 0) * PASS_S - tiles * TILE_PX**2 * self._s_per_px
        rows = int(left / (self._s_per_px * width)) - 2 * MARGIN_PX
        whole = PASS_S + height * width * self._s_per_px
        rows = max(MULTIPLE_PX, rows // MULTIPLE_PX * MULTIPLE_PX)
        parts = budget - left + PASS_S + (rows + 2 * MARGIN_PX) * width * self._s_per_px
        return height if whole <= max(budget, parts) else rows

    def _part(self, x: Tensor, rows: int, scores: Scores) -> int:
        """The next band; returns the number of pixels that went through the network."""
        height = x.shape[2]
        top = self._next_row
        bottom = min(top + rows, height)
        first, last = max(0, top - MARGIN_PX), min(height, bottom + MARGIN_PX)
        level = self._turn % len(self._video.blocks)
        block, step = self._video.blocks[level], 2**level
        if top == 0:
            block.collected = None
        block.collect = slice((top - first) // step, (bottom - first) // step)
        self._gfem.place, self._gfem.update = first // 16, slice((top - first) // 16, (bottom - first) // 16)
        out = self._network(x[:, :, first:last])[0, 0].sigmoid().cpu().numpy()
        block.collect = self._gfem.update = None
        upper, lower = max(first, top - OVERLAP_PX), min(last, bottom + OVERLAP_PX)
        scores[upper:lower] = out[upper - first : lower - first]
        self._looked.append((0, top, x.shape[3], bottom - top))
        self._next_row = bottom
        if bottom == height:
            block.renew()
            self._next_row, self._turn = 0, self._turn + 1
        return (last - first) * x.shape[3]

    def _tiles(self, height: int, width: int, rows: int = 0) -> list[tuple[int, int]]:
        """Corners (row, column) of the tiles that hold the expected places outside the next band."""
        if min(height, width) < TILE_PX:
            return []
        corner = np.round((self._expected[:, ::-1] - TILE_PX / 2) / MULTIPLE_PX).astype(int) * MULTIPLE_PX
        corner = np.clip(corner, 0, [height - TILE_PX, width - TILE_PX])
        y = self._expected[:, 1]
        wanted = ((self._expected >= 0) & (self._expected < [width, height])).all(1)
        wanted &= (y < self._next_row) | (y >= self._next_row + rows)
        return [(int(r), int(c)) for r, c in np.unique(corner[wanted], axis=0)]

    def _look_closely(self, x: Tensor, tiles: list[tuple[int, int]], scores: Scores) -> int:
        """The tiles, all in one pass; returns the number of pixels."""
        cut = torch.cat([x[:, :, r : r + TILE_PX, c : c + TILE_PX] for r, c in tiles])
        self._gfem.place = 0
        out = self._network(cut.contiguous(memory_format=torch.channels_last))[:, 0].sigmoid().cpu().numpy()
        height, width = scores.shape
        for (r, c), tile in zip(tiles, out, strict=True):
            rows = inner(r, height)
            columns = inner(c, width)
            scores[r + rows.start : r + rows.stop, c + columns.start : c + columns.stop] = tile[rows, columns]
            self._looked.append(
                (c + columns.start, r + rows.start, columns.stop - columns.start, rows.stop - rows.start)
            )
        return len(tiles) * TILE_PX**2


def inner(corner: int, size: int) -> slice:
    """What of a tile is kept: all but its margin, but for the frame's own borders."""
    margin = MARGIN_PX - OVERLAP_PX
    return slice(0 if corner == 0 else margin, TILE_PX if corner + TILE_PX >= size else TILE_PX - margin)


def up_to_multiple(rows: float) -> int:
    """Rows as the next multiple of 32."""
    return int(-(-rows // MULTIPLE_PX)) * MULTIPLE_PX
