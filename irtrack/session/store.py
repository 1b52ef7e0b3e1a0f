"""Results of the frames seen so far, small enough to keep: going back shows them instead of running again.

A recording's are all kept; a camera's are kept for the last `LIVE_FRAMES` frames, without trails, for export and plots.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from irtrack.core import Detections, Floats, Frame, FrameResult, Image, Remarks, Scores, Tracks
from irtrack.imaging.motion import as_it_lies
from irtrack.session.alarms import Alarm
from irtrack.session.looks import Look, look_of
from irtrack.session.packing import packed
from irtrack.session.recipe import Made, Recipe
from irtrack.session.scoremap import ScoreMap
from irtrack.session.series import SEEN, SERIES, Sums, extended, series_rows
from irtrack.session.stored import Shut, Stored

LIVE_FRAMES = 54_000
"""Half an hour of a camera at 30 frames a second."""

SCORES_BYTES = 256 << 20
"""Memory for score maps, as the pixels above the floor; those of the oldest frames go first."""


CLEARER = 1.2
"""A track's little picture is taken anew where it stands out so many times as much as before."""


class ResultStore:
    """Written by the worker thread, read by the window."""

    def __init__(self, recipe: Recipe | None = None) -> None:
        """`recipe`: what the results that come are made with; it may be set anew."""
        self.recipe = recipe
        self.made: Made | None = None
        """How they came to be; None of those of a log."""
        self.remarks = Remarks()
        """What is not quite what it seems in what they were made of."""
        self.otherwise: tuple[str, ...] = ()
        """What else is otherwise now than when they were made, in words."""
        self.whole = False
        """Whether they are those of all the recording."""
        self.lacking = False
        """Whether some of them are lost, as in a damaged file: another pass is the operator's to ask for."""
        self.alarms: list[Alarm] = []
        """Calls that were raised while they were made."""
        self._lock = threading.Lock()
        self._stored: dict[int, Stored | Shut] = {}
        self._made_with: dict[int, Recipe | None] = {}
        self._time_s: dict[int, float] = {}
        self._scene: dict[int, Floats | None] = {}
        """As `FrameResult.scene`; of frames whose scene stands, one array."""
        self._order: list[int] = []
        self._maps: dict[int, ScoreMap] = {}
        self._maps_bytes = 0
        self._shut_maps: dict[int, Shut] = {}
        """Where score maps are that are not in memory."""
        self.recallable = True
        """Whether the score maps are what the network would say now."""
        self._lives: dict[int, tuple[int, int]] = {}
        """First and last frame in which each was seen."""
        self._coasts: dict[int, tuple[list[int], Floats]] = {}
        """Frames since then, and their rows."""
        self._series: dict[int, dict[int, tuple[float, ...]]] = {}
        self._sums: dict[int, Sums] = {}
        self._looks: dict[int, Look] = {}
        self._blank: Image = np.zeros((1, 1), np.uint8)

    def as_made(self, other: ResultStore) -> bool:
        """Whether another one was made in the same way, and so has the same tracks."""
        one, two = self.made, other.made
        if one is None or two is None or self.recipe != other.recipe:
            return False
        return (one.settings, one.program) == (two.settings, two.program)

    def add(self, result: FrameResult, limit: int | None = None, network: Scores | None = None) -> None:
        """Keep a result; a later one of the same frame replaces it. `limit`: the oldest beyond that many are dropped,
        and trails are not kept. `network`: the score map before the temporal stage."""
        rows, image, tracks = series_rows(result), result.frame.image, result.tracks
        if limit is not None:
            result = replace(result, tracks=packed(tracks))
        elif isinstance(tracks, Tracks):
            result = replace(result, tracks=tracks.unmade())
        d = result.detections
        mask_px = np.zeros(0, np.uint32) if d.mask is None else np.flatnonzero(d.mask).astype(np.uint32)
        scores = None if d.scores is None else ScoreMap.of(d.scores, network)
        slim = Detections(d.xy_px, d.score, d.area_px, d.box_px, d.snr)
        result = replace(result, frame=replace(result.frame, image=self._blank_of(result.frame.image)), detections=slim)
        self.put(Stored(result, mask_px, self.recipe, rows), scores)
        self._look_at(rows, image)
        with self._lock:
            while limit is not None and len(self._order) > limit:
                self._drop(self._order.pop(0))

    def _look_at(self, rows: Mapping[int, tuple[float, ...]], image: Image) -> None:
        x, snr = SERIES.index("x_px"), SERIES.index("snr")
        for track, row in rows.items():
            before = self._looks.get(track)
            if before is None or row[snr] > CLEARER * before.snr:
                self.put_look(
                    track, Look(row[snr] if row[snr] == row[snr] else 0.0, look_of(image, row[x], row[x + 1]))
                )

    def put_look(self, track: int, look: Look) -> None:
        """How a track looks."""
        with self._lock:
            self._looks[track] = look

    def look(self, track: int) -> Look | None:
        """How a track looks where it stands out most, where that is known."""
        with self._lock:
            return self._looks.get(track)

    def looks(self) -> dict[int, Look]:
        """Of all tracks."""
        with self._lock:
            return dict(self._looks)

    def _blank_of(self, image: Image) -> Image:
        """As large as a picture, and of its kind; takes no memory."""
        if image.shape != self._blank.shape or image.dtype != self._blank.dtype:
            self._blank = np.broadcast_to(np.zeros((), image.dtype), image.shape)
        return self._blank

    def put(self, stored: Stored, scores: ScoreMap | None = None) -> None:
        """Keep what was made ready to be kept."""
        index = stored.result.frame.index
        with self._lock:
            if index not in self._stored:
                insort(self._order, index)
            if scores is not None:
                self._keep_map(index, scores)
            for track, row in stored.rows.items():
                if row[SEEN] and track not in self._coasts:
                    first, last = self._lives.get(track, (index, index))
                    self._lives[track] = (min(first, index), max(last, index))
                    self._sums[track] = Sums.of(row).joined(self._sums.get(track))
                else:
                    self._note(track, [index], np.array([row]))
                self._series.setdefault(track, {})[index] = row
            self._stored[index] = stored
            self._made_with[index], self._time_s[index] = stored.recipe, stored.result.frame.time_s
            self._scene[index] = stored.result.scene

    def put_shut(self, block: Shut) -> None:
        """Keep results of later frames than all before; their figures at once, the rest as it is asked for."""
        with self._lock:
            assert not self._order or self._order[-1] < block.numbers[0]
            self._order += block.numbers
            self._stored |= dict.fromkeys(block.numbers, block)
            self._made_with |= zip(block.numbers, block.recipes, strict=True)
            self._time_s |= zip(block.numbers, block.times_s, strict=True)
            self._scene |= zip(block.numbers, block.scenes, strict=True)
            self._shut_maps |= dict.fromkeys(block.mapped, block)
            for track, numbers, rows in block.series():
                self._note(track, numbers, rows)
                self._series.setdefault(track, {}).update(zip(numbers, map(tuple, rows.tolist()), strict=True))

    def _note(self, track: int, numbers: Sequence[int], rows: Floats) -> None:
        """Figures of a track with more frames. What it coasts counts once it is seen again, as in a log; those of an
        earlier version do not say whether it was seen."""
        seen = np.flatnonzero(rows[:, SEEN] != 0.0)
        before_numbers, before_rows = self._coasts.pop(track, ([], rows[:0]))
        end = int(seen[-1]) + 1 if len(seen) else 0
        if end:
            every = [*before_numbers, *numbers[:end]]
            first, last = self._lives.get(track, (every[0], every[-1]))
            self._lives[track] = (min(first, every[0]), max(last, every[-1]))
            self._sums[track] = extended(self._sums.get(track), np.concatenate([before_rows, rows[:end]]))
            before_numbers, before_rows = [], rows[:0]
        if end < len(numbers):
            left = [*before_numbers, *numbers[end:]], np.concatenate([before_rows, rows[end:]])
            self._coasts[track] = left

    def _opened(self, index: int) -> Stored:
        """What is kept of a frame; the caller has the lock. Raises KeyError."""
        stored = self._stored[index]
        if isinstance(stored, Stored):
            return stored
        for other in stored.opened():
            if self._stored.get(number := other.result.frame.index) is stored:
                self._stored[number] = other
        return self._opened(index)

    def numbers(self, first: int, last: int) -> list[int]:
        """The frames from `first` to `last` that are kept."""
        with self._lock:
            return self._order[bisect_left(self._order, first) : bisect_right(self._order, last)]

    def part(self, first: int, last: int) -> list[Stored]:
        """What is kept of frames `first` to `last`, in their order."""
        some = self.numbers(first, last)
        with self._lock:
            return [self._opened(i) for i in some if i in self._stored]

    def _keep_map(self, index: int, scores: ScoreMap) -> None:
        self._drop_map(index)
        self._maps[index] = scores
        self._maps_bytes += scores.nbytes
        while self._maps_bytes > SCORES_BYTES and len(self._maps) > 1:
            self._drop_map(next(iter(self._maps)))

    def _drop_map(self, index: int) -> None:
        gone = self._maps.pop(index, None)
        self._maps_bytes -= gone.nbytes if gone is not None else 0

    def _drop(self, index: int) -> None:
        self._drop_map(index)
        gone = self._opened(index)
        del self._stored[index], self._made_with[index], self._time_s[index], self._scene[index]
        for track in gone.result.tracks:
            rows = self._series.get(track.id, {})
            rows.pop(index, None)
            first = next(iter(rows), None)  # a camera's come in their order, and there may be half an hour of them
            if first is not None and track.id in self._lives and first <= self._lives[track.id][1]:
                self._lives[track.id] = (first, self._lives[track.id][1])
            else:
                self._lives.pop(track.id, None)
                self._sums.pop(track.id, None)
            if not rows:
                self._series.pop(track.id, None)
                self._coasts.pop(track.id, None)
                self._looks.pop(track.id, None)

    def __contains__(self, index: int) -> bool:
        return index in self._stored

    def __len__(self) -> int:
        return len(self._order)

    def get(self, frame: Frame) -> FrameResult:
        """The stored result of a frame, with that frame's picture, mask and, where kept, scores back in place.

        Raises KeyError.
        """
        with self._lock:
            stored, scores = self._opened(frame.index), self._map_of(frame.index)
        mask = np.zeros(frame.image.size, bool)
        mask[stored.mask_px] = True
        d = stored.result.detections
        full = Detections(d.xy_px, d.score, d.area_px, d.box_px, d.snr, mask.reshape(frame.image.shape))
        if scores is not None:
            full = replace(full, scores=scores.full())
        return replace(stored.result, frame=frame, detections=full)

    def nearest(self, index: int) -> int | None:
        """The stored frame at or before `index`."""
        with self._lock:
            at = bisect_right(self._order, index)
            return self._order[at - 1] if at else None

    def at_time(self, seconds: float) -> int | None:
        """The stored frame whose time is nearest; times may be uneven, and a camera leaves numbers out."""
        with self._lock:
            at = bisect_left(self._order, seconds, key=self.time_of)
            around = self._order[max(0, at - 1) : at + 1]
            return min(around, key=lambda i: abs(self.time_of(i) - seconds), default=None)

    def time_of(self, index: int) -> float:
        """Seconds of a stored frame. Raises KeyError."""
        return self._time_s[index]

    def scenes_of(self, numbers: Iterable[int]) -> list[Floats | None]:
        """As `FrameResult.scene`, of stored frames. Raises KeyError."""
        return [self._scene[number] for number in numbers]

    def before(self, index: int) -> FrameResult | None:
        """The last one before a frame, without its picture."""
        at = self.nearest(index - 1)
        with self._lock:
            return self._opened(at).result if at is not None and at in self._stored else None

    def reach(self) -> tuple[int, int] | None:
        """First and last frame that are stored."""
        with self._lock:
            return (self._order[0], self._order[-1]) if self._order else None

    def recipe_of(self, index: int) -> Recipe | None:
        """What the result of a frame was made with. Raises KeyError."""
        with self._lock:
            return self._made_with[index]

    def recipes(self) -> list[tuple[int, int, Recipe | None]]:
        """First and last frame of each run of results that were made with one recipe, in frame order."""
        out: list[tuple[int, int, Recipe | None]] = []
        with self._lock:
            for index in self._order:
                recipe = self._made_with[index]
                if out and out[-1][2] == recipe:
                    out[-1] = (out[-1][0], index, recipe)
                else:
                    out.append((index, index, recipe))
        return out

    def _map_of(self, index: int) -> ScoreMap | None:
        """The caller has the lock."""
        if index not in self._maps and index in self._shut_maps:
            for number, scores in self._shut_maps[index].maps().items():
                self._keep_map(number, scores)
        return self._maps.get(index)

    def scores_of(self, index: int) -> ScoreMap | None:
        """Score map of a frame, where it is kept."""
        with self._lock:
            return self._map_of(index)

    def maps_of(self, numbers: Iterable[int]) -> dict[int, ScoreMap]:
        """Those of some frames that are kept."""
        return {index: scores for index in numbers if (scores := self.scores_of(index)) is not None}

    def maps(self) -> Iterator[ScoreMap] | None:
        """Score map of every frame in order, up to results that are lost; None where one of them is not kept, or the
        network has changed since."""
        with self._lock:
            order = list(self._order)
            if self.lacking:
                order = [index for number, index in enumerate(order) if index == number]
            if not self.recallable or not (self._maps.keys() | self._shut_maps.keys()).issuperset(order):
                return None
        return (scores for index in order if (scores := self.scores_of(index)) is not None)

    def results(self) -> Iterator[FrameResult]:
        """All results in frame order, without pictures."""
        for index in self.numbers(0, 1 << 62):
            with self._lock:
                stored = self._opened(index) if index in self._stored else None
            if stored is not None:
                yield stored.result

    def lives(self) -> dict[int, tuple[int, int]]:
        """First and last frame in which each confirmed track was seen so far; what it coasts behind is none of it."""
        with self._lock:
            return dict(self._lives)

    def tracks(self) -> list[int]:
        """All that were confirmed, also those that were only ever unseen while they were."""
        with self._lock:
            return list(self._series)

    def series(self, track_id: int, first: int = 0, last: int = 1 << 62) -> Floats:
        """(T, len(SERIES)) of a track's confirmed frames from `first` to `last`, in their order."""
        with self._lock:
            rows = self._series.get(track_id, {})
            return np.array([rows[i] for i in sorted(rows) if first <= i <= last]).reshape(-1, len(SERIES))

    def trail(self, track_id: int, index: int, since_s: float) -> Floats:
        """(T, 2): where what a track was at from `since_s` on lies in a frame, in frames that follow each other without
        a gap; those before it was confirmed are with them."""
        places: list[tuple[float, ...]] = []
        scenes: list[Floats | None] = []
        with self._lock:
            at = bisect_right(self._order, index) - 1
            while at >= 0 and self._time_s[number := self._order[at]] >= since_s:
                place = self._place_of(track_id, number)
                if place is None:
                    break
                places.append(place)
                scenes.append(self._scene[number])
                at -= 1
        return as_it_lies(np.array(places[::-1]).reshape(-1, 2), scenes[::-1])

    def _place_of(self, track_id: int, index: int) -> tuple[float, ...] | None:
        """Where a track was in a frame; the caller has the lock."""
        x = SERIES.index("x_px")
        row = self._series.get(track_id, {}).get(index)
        if row is not None:
            return row[x : x + 2]
        found = self._opened(index).result.tracks
        if not isinstance(found, Tracks):
            return next((tuple(t.xy_px.tolist()) for t in found if t.id == track_id), None)
        rows = np.flatnonzero(found.id == track_id)
        return tuple(found.x[rows[0], :2].tolist()) if len(rows) else None

    def sums(self, track_id: int, first: int, last: int) -> Sums | None:
        """A track's figures over its frames from `first` to `last`; None where it has none there."""
        with self._lock:
            if self._lives.get(track_id) == (first, last):
                return self._sums.get(track_id)
            rows = self._series.get(track_id, {})
            found = [Sums.of(row) for i, row in rows.items() if first <= i <= last]
        return reduce(Sums.joined, found) if found else None

    def places(self, track_id: int) -> dict[int, tuple[float, float]]:
        """Where a track was in each of its confirmed frames."""
        x, y = SERIES.index("x_px"), SERIES.index("y_px")
        with self._lock:
            return {i: (row[x], row[y]) for i, row in self._series.get(track_id, {}).items()}
