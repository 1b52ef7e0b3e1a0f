"""The analysis of a source: one pass in the background, from its first frame to its last, whatever the viewer does."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from irtrack.core import (
    Detections,
    Detector,
    DetectorStatus,
    Forgetful,
    FrameResult,
    Image,
    Scores,
    Source,
    Track,
    Tracker,
    TrackStatus,
    status_of,
)
from irtrack.detect.extraction import extract
from irtrack.imaging.regions import Regions
from irtrack.pipeline import Pipeline, State
from irtrack.session.recipe import Recipe
from irtrack.session.scoremap import ScoreMap
from irtrack.session.store import LIVE_FRAMES, ResultStore
from irtrack.temporal.stage import TemporalStage, sought


@runtime_checkable
class Scoring(Protocol):
    """A detector whose network can be asked alone."""

    def scores(self, image: Image) -> Scores:
        """Score map (H, W) of a frame; of the last one without running again."""
        ...


@runtime_checkable
class Recalling(Detector, Scoring, Forgetful, Protocol):
    """A detector that can be told what its network said of a frame."""

    def recall(self, image: Image, scores: Scores) -> None:
        """The score map (H, W) of the frame that comes next, from an earlier pass."""
        ...


class Analysis:
    """A pass with one recipe, into a store of its own.

    Its tracks depend on the recording and the recipe alone. A camera's goes on until it is closed, and takes another
    recipe over from the frame in which it comes; its detector may come later than its pictures.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector | None,
        tracker: Tracker,
        recipe: Recipe,
        on_result: Callable[[FrameResult], object] = lambda result: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_result` is called in the worker's thread, with each frame's result and its picture."""
        self.recipe, self.live = recipe, source.live
        self.store = ResultStore(recipe)
        self.store.remarks = source.info.remarks
        self.pipeline = Pipeline(source, None, tracker, on_result=self._take)
        self.latest: FrameResult | None = None
        """The last result, with its picture."""
        self.latency_ms: deque[float] = deque(maxlen=120)
        """From the arrival of a camera's picture to its result, of the last ones."""
        self.detect_ms: deque[float] = deque(maxlen=120)
        """Of detection, of the last frames."""
        self.noted = False
        """Whether its end was taken note of."""
        self.recalled = isinstance(detector, Recalled)
        """Whether it goes by the scores of an earlier pass."""
        self._on_result = on_result
        self._clock = clock
        self._since: float | None = None
        self._until: float | None = None
        if detector is not None:
            self.use(detector)
        self.pipeline.start()

    def use(self, detector: Detector) -> None:
        """Detect with this from now on."""
        self._since = self._clock()
        self.recipe.use_in(detector)
        if self.pipeline.detector is None and isinstance(detector, Forgetful):
            detector.forget()
        self.pipeline.give(detector)

    def note_end(self) -> None:
        """It is over, and that is known."""
        self.noted, self._until = True, self._clock()

    def take_over(self, recipe: Recipe) -> None:
        """Of a camera: go on with another recipe."""
        self.recipe = self.store.recipe = recipe
        if self.pipeline.detector is not None:
            recipe.use_in(self.pipeline.detector)

    def _take(self, result: FrameResult) -> None:
        detector = self.pipeline.detector
        if self.live:
            self.store.add(result, LIVE_FRAMES)
        else:  # another pass may come back to what the network said
            network = detector.scores(result.frame.image) if isinstance(detector, Scoring) else None
            self.store.add(result, network=network)
        self.latest = result
        self.latency_ms.append(1e3 * (self._clock() - result.captured_s))
        self.detect_ms.append(result.stage_ms["detect"])
        self._on_result(result)

    @property
    def done(self) -> int:
        """Frames that have results."""
        return self.pipeline.processed

    @property
    def over(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.pipeline.state in (State.FINISHED, State.STOPPED, State.FAILED)

    @property
    def whole(self) -> bool:
        """Whether it has come to the end of the recording."""
        return self.pipeline.state is State.FINISHED

    @property
    def error(self) -> BaseException | None:
        """Why it broke off."""
        return self.pipeline.error

    @property
    def frame_s(self) -> float | None:
        """Seconds that a frame takes; None where that cannot be said yet."""
        if self._since is None or not self.done:
            return None
        return ((self._until or self._clock()) - self._since) / self.done

    @property
    def rest_s(self) -> float | None:
        """Those of them that are not detection."""
        each = self.frame_s
        return None if each is None or not self.detect_ms else max(0.0, each - 1e-3 * float(np.mean(self.detect_ms)))

    def left_s(self, frames: int | None) -> float | None:
        """Seconds that it will still take for a recording of so many frames; None where that cannot be said yet."""
        each = self.frame_s
        return None if each is None or frames is None or self.over else each * max(0, frames - self.done)

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self.pipeline.stop()

    def close(self) -> None:
        """End it, and wait until it has."""
        self.pipeline.close()


class Recalled:
    """Detects on score maps that an earlier pass has kept: what acts behind the network needs no network. What it finds
    is what the network would find, to the last bit."""

    def __init__(self, maps: Iterator[ScoreMap], recipe: Recipe, detector: Detector) -> None:
        """maps: of every frame of the recording, in order. `detector`: where they came from, or one as that."""
        self._maps = maps
        self._scores: Scores = np.zeros((0, 0), np.float32)
        self._temporal = TemporalStage() if getattr(detector, "temporal", False) else None
        self._status = status_of(detector)
        self.threshold, self.min_area_px, self.regions = 0.0, 0, Regions()
        self._recipe = recipe

    def status(self) -> DetectorStatus:
        """As where the score maps came from, but that every frame is seen whole."""
        return replace(self._status, scan_frames=1)

    def scores(self, image: Image) -> Scores:
        """Those of the last frame that was asked for."""
        return self._scores

    def __call__(self, image: Image) -> Detections:
        scores = self._scores = next(self._maps).network()
        if self._temporal is None:
            return self._extracted(scores, image)
        return sought(self._temporal, scores, image, self._recipe.detector.threshold, self._extracted)

    def _extracted(self, scores: Scores, image: Image) -> Detections:
        return found_in(scores, image, self._recipe)


class Resumed:
    """A detector that goes on where an earlier pass was broken off: of the frames before, the network's scores are
    known. What it finds is what the network would find, to the last bit."""

    def __init__(self, maps: Iterator[ScoreMap], detector: Recalling) -> None:
        """maps: of the first frames of the recording, in order."""
        self._maps, self._detector = maps, detector
        self.threshold, self.min_area_px, self.regions = detector.threshold, detector.min_area_px, detector.regions

    def status(self) -> DetectorStatus:
        """As of the detector."""
        return status_of(self._detector)

    def forget(self) -> None:
        """The next frame is the first."""
        self._detector.forget()

    def scores(self, image: Image) -> Scores:
        """Those of the last frame that was asked for."""
        return self._detector.scores(image)

    def __call__(self, image: Image) -> Detections:
        d = self._detector
        d.threshold, d.min_area_px, d.regions = self.threshold, self.min_area_px, self.regions
        if (known := next(self._maps, None)) is not None:
            d.recall(image, known.network())
        return d(image)


def found_in(scores: Scores, image: Image, recipe: Recipe) -> Detections:
    """What a recipe finds in a frame (H, W) with this score map."""
    d, allowed = recipe.detector, recipe.regions.allowed(image.shape)
    return extract(scores, image, d.threshold, d.min_area_px, d.max_area_px, allowed)


def looked_again(result: FrameResult, recipe: Recipe, scores: Scores | None = None) -> FrameResult:
    """A result as another recipe finds it in the frame's score map, if that is kept, or in this one; tracks stay where
    they are."""
    scores = result.detections.scores if scores is None else scores
    if scores is None:
        return result
    found = found_in(scores, result.frame.image, recipe)
    return replace(result, detections=found, tracks=relinked(result.tracks, found))


RELINK_PX = 4.0
"""A track keeps its detection where one of those that were made again is no further away than this."""


def relinked(tracks: Sequence[Track], detections: Detections) -> tuple[Track, ...]:
    """Tracks with the rows of detections that were made again; one whose detection is gone coasts."""
    return tuple(t if t.detection is None else linked(t, nearest(t, detections)) for t in tracks)


def linked(track: Track, row: int | None) -> Track:
    """A track with another detection, or none."""
    coasts = row is None and track.confirmed
    return replace(track, detection=row, status=TrackStatus.COASTING if coasts else track.status)


def nearest(track: Track, detections: Detections) -> int | None:
    """The row of the detection at a track's place."""
    if not len(detections):
        return None
    away = ((detections.xy_px - track.xy_px) ** 2).sum(1)
    row = int(away.argmin())
    return row if away[row] <= RELINK_PX**2 else None
