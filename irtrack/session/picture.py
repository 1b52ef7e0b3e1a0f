"""What is shown of a moment: its picture, with what is known of it by now."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from irtrack.core import Detections, Frame, FrameResult, Track
from irtrack.session.analysis import looked_again
from irtrack.session.recipe import Recipe
from irtrack.session.store import ResultStore

OLDEST_S = 5.0
"""Tracks are predicted so far and no further."""

MASK_S = 0.15
"""A mask older than this lies beside its target."""


@dataclass(frozen=True)
class Picture:
    """A frame with its result. `age_s`: 0 where it was analysed itself, or since when its tracks are predicted; None
    where nothing is known of it yet."""

    result: FrameResult
    age_s: float | None

    @property
    def analysed(self) -> bool:
        """Whether the result is this frame's own."""
        return self.age_s == 0.0


def known(
    frame: Frame, store: ResultStore, latest: FrameResult | None, recipe: Recipe | None, trail_s: float
) -> Picture:
    """A frame with what is known of it by now. `latest`: a camera's last result; `recipe`: of a recording, what its
    frame is to be looked at with, where that differs from what results were made with."""
    if latest is not None and latest.frame.index == frame.index:
        return Picture(latest, 0.0)
    if frame.index in store:
        result = with_trails(store.get(frame), store, trail_s)
        if recipe is not None and store.recipe not in (None, recipe):
            alone = None if recipe.detector.temporal else store.scores_of(frame.index)
            result = looked_again(result, recipe, alone.network() if alone is not None else None)
        return Picture(result, 0.0)
    if latest is None:
        return plain(frame)
    if latest.frame.index < frame.index:
        return predicted(latest, frame)
    before = store.before(frame.index)
    return predicted(with_trails(before, store, trail_s) if before is not None else None, frame)


def plain(frame: Frame) -> Picture:
    """A picture of which nothing is known yet."""
    return Picture(FrameResult(frame, Detections.empty(), (), {}), None)


def predicted(before: FrameResult | None, frame: Frame) -> Picture:
    """A picture that was not analysed, with the tracks of an earlier one moved to where they should be by now."""
    if before is None or before.frame.connection != frame.connection:
        return plain(frame)
    age_s = frame.time_s - before.frame.time_s
    if not 0.0 <= age_s <= OLDEST_S:
        return plain(frame)
    mask = before.detections.mask if age_s <= MASK_S else None
    if mask is not None and mask.shape != frame.image.shape:
        mask = None
    tracks = tuple(moved(t, age_s) for t in before.tracks if t.confirmed)
    return Picture(
        replace(before, frame=frame, detections=Detections.empty(mask), tracks=tracks, captured_s=0.0), age_s
    )


def moved(track: Track, seconds: float) -> Track:
    """A track flown straight on."""
    xy = track.xy_px + seconds * track.velocity_px_s
    return replace(track, xy_px=xy, detection=None, trail=np.concatenate([track.trail, xy[None]]))


def with_trails(result: FrameResult, store: ResultStore, seconds: float) -> FrameResult:
    """A stored result with the trails that were not kept with it, of so many seconds, from where its tracks were."""
    if not any(t.confirmed and len(t.trail) < 2 for t in result.tracks):
        return result
    index, since_s = result.frame.index, result.frame.time_s - seconds
    tracks = []
    for track in result.tracks:
        places = store.trail(track.id, index, since_s)
        tracks.append(replace(track, trail=places) if len(places) else track)
    return replace(result, tracks=tuple(tracks))
