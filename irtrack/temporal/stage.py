"""Dim targets by what changes over time: a stage between the score map and the threshold.

A frame is compared with what is expected of it (`background.py`), what stands out is found as points (`points.py`) and
strung together over frames (`chains.py`). Where a chain is surely a target's, its score is raised, and the threshold
finds it as it finds others. What hovers is not seen here; that is the network's part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Detections, Floats, Image, Scores
from irtrack.imaging.registration import Registration
from irtrack.temporal.background import Background, Picture
from irtrack.temporal.bodies import body_at
from irtrack.temporal.chains import LOWEST, STRAIGHT, Chains, Ends
from irtrack.temporal.jumps import Jumps
from irtrack.temporal.points import Sensor, filtered, points_of, real, unrest

SURE_NATS, FEWEST = 10.0, 6
"""Worth from which on a chain is a target's, and the fewest points of one."""

GONE_PX, STOOD, FREE = 2.5, 12, 0.95
"""How far it has gone at least, in the scene and on the sensor, the points at one place there from which on it goes no
more, and the share of its points that are surely not fixed there: lamps flicker, text and bad pixels stay where they
are, and the figures of a clock jump and stand again."""

CREPT_PX, CREPT_STOOD, CREPT_NATS, CREPT_POINTS, CREPT_FREE = 1.0, 20, 12.0, 30, 0.25
"""The same for what creeps, which is seen in the sensor's mean itself, where many points show that it goes straight."""

UNREST_GAIN, RESTLESS, STANDS_OUT = 0.1, 1.05, 5.0
"""Share of a new frame in the mean unrest, and the unrest from which on places say little, since misjudged scenes move
as one: from there on a target's points must be so many times as strong as the unrest."""

REACH, HALF = 2, 0.5
"""Pixels to each side of a point that may belong to it, and the share of its strength from which on they do."""

TAKEN_PX = 16
"""So near to what the network finds by itself, and to bodies, nothing is added: in compressed video the blocks round
what moves change, too, and what is large leaves traces where it was."""

HIGHEST_SCORE = 0.95
"""The most that a chain can be scored: the network has not seen it."""


class Targets(NamedTuple):
    """Places (N, 2), pixels (N, 2: row, column), worths (N,) in nats above what is asked, and the filtered map (H, W)
    that they were found in; `motion` (2, 3): of the scene since the last frame; and its `unrest` (`points.py`)."""

    xy: Floats
    pixel: np.ndarray[tuple[int, int], np.dtype[np.intp]]
    worth: Floats
    found: Picture | None
    motion: Floats
    unrest: float = 1.0


class TemporalStage:
    """Call with each frame in order."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """The next frame has nothing to do with the last one."""
        self._register, self._background = Registration(), Background()
        self._sensor, self._jumps, self._chains = Sensor(), Jumps(), Chains()
        self._unrest = 1.0

    def __call__(self, image: Image) -> Targets:
        """The moving targets of a frame (H, W)."""
        motion = self._register(image)
        expected, fixed = self._background(image, motion), self._sensor(image, motion)
        none = Targets(np.zeros((0, 2)), np.zeros((0, 2), np.intp), np.zeros(0), None, motion)
        if expected is None:
            self._chains = Chains()
            return none
        found = filtered(expected.difference)
        points = points_of(found)
        there, free = real(points, image, expected, fixed, self._sensor.marked)
        there &= ~self._jumps(image, expected.picture, points.pixel)
        unrest_now = unrest(points.only(there & free), image.size)
        self._unrest += UNREST_GAIN * (unrest_now - self._unrest)
        points = points._replace(strength=points.strength / unrest_now)
        there &= np.abs(points.strength) > LOWEST
        points, free = points.only(there), free[there]
        ends = self._chains(points.xy, np.abs(points.strength), free, expected.motion, float(image.size))
        sure = (ends.worth >= SURE_NATS) & (ends.scene.count >= FEWEST) & under_way(ends)
        unrest_here = max(self._unrest, unrest_now)
        if unrest_here > RESTLESS:
            sure &= ends.strength >= STANDS_OUT
        return Targets(points.xy[sure], points.pixel[sure], ends.worth[sure] - SURE_NATS, found, motion, unrest_here)


def under_way(ends: Ends) -> NDArray[np.bool_]:
    """Which chains (N,) have surely gone somewhere, both in the scene and on the sensor."""
    ways = ends.scene, ends.sensor
    length, nats, straight = (
        np.minimum(*values)
        for values in ([w.length_px for w in ways], [w.nats for w in ways], [w.straight for w in ways])
    )
    crept = (length >= CREPT_PX) & (nats >= CREPT_NATS) & (straight >= STRAIGHT) & (ends.free >= CREPT_FREE)
    stood = np.maximum(*(w.stood for w in ways))
    crept &= (ends.scene.count >= CREPT_POINTS) & (stood < CREPT_STOOD)
    return np.asarray(crept | ((length >= GONE_PX) & (ends.free >= FREE) & (stood < STOOD)))


def raised(scores: Scores, image: Image, targets: Targets, threshold: float) -> tuple[Scores, Floats]:
    """The score map of a frame (both (H, W)) with targets that it does not show above `threshold`; where points were
    added (N, 2)."""
    if targets.found is None or not len(targets.xy):
        return scores, np.zeros((0, 2))
    out, taken, added = scores.copy(), scores > threshold, []
    for k in np.argsort(-targets.worth, kind="stable").tolist():
        row, column = targets.pixel[k].tolist()
        near = np.s_[max(row - TAKEN_PX, 0) : row + TAKEN_PX + 1, max(column - TAKEN_PX, 0) : column + TAKEN_PX + 1]
        if taken[near].any():
            continue
        body = body_at(image, targets.found, row, column)
        if body is None:
            part = np.s_[row - REACH : row + REACH + 1, column - REACH : column + REACH + 1]
            mine = targets.found[part] / targets.found[row, column] >= HALF
            added.append(k)
        else:
            part, mine, whole = body
            if not whole or taken[part][mine].any():
                continue
            taken[part] |= mine
        score = np.float32(min(1 / (1 + np.exp(-targets.worth[k])), HIGHEST_SCORE))
        out[part] = np.where(mine, np.maximum(out[part], score), out[part])
    return out, targets.xy[sorted(added)]


def placed(detections: Detections, added: Floats) -> Floats:
    """Places of detections (N, 2): of those that were `added` (M, 2), where they differ from what is expected, which is
    surer than where they stand out of clutter."""
    xy = detections.xy_px.copy()
    for place in added:
        away = np.abs(xy - place).max(1) if len(xy) else np.zeros(0)
        if len(away) and away.min() <= REACH + 1:
            xy[away.argmin()] = place
    return xy


def changes(detections: Detections, targets: Targets) -> Floats:
    """How far the picture differs at each detection (N,) from what is expected there, in standard deviations of what it
    does by itself; NaN where nothing is expected yet. What stands there for long, such as a lamp, differs by nothing.
    """
    out = np.full(len(detections), np.nan)
    if targets.found is None:
        return out
    low = np.maximum(np.floor(detections.box_px[:, :2]).astype(int), 0)
    high = np.ceil(detections.box_px[:, :2] + detections.box_px[:, 2:]).astype(int) + 1
    for k, ((left, top), (right, bottom)) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        most = float(np.abs(targets.found[top:bottom, left:right]).max(initial=0.0))
        out[k] = most / targets.unrest if most else np.nan
    return out


def sought(
    stage: TemporalStage,
    scores: Scores,
    image: Image,
    threshold: float,
    extracted: Callable[[Scores, Image], Detections],
) -> Detections:
    """Detections of a frame (H, W) from its score map, which `extracted` gives, and what a stage shows beside them."""
    targets = stage(image)
    lifted, added = raised(scores, image, targets, threshold)
    found = extracted(lifted, image)
    return replace(found, xy_px=placed(found, added), motion=targets.motion, change=changes(found, targets))
