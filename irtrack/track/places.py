"""Where tracks began, and whether they have left: what stays where it is may be a lamp, a hot pixel or text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.track.assignment import Ints
from irtrack.track.bank import Bank
from irtrack.track.belief import FULL_LOOK_S
from irtrack.track.design import TrackerDesign
from irtrack.track.footage import Footage
from irtrack.track.look import Look


def anchor(bank: Bank, hit: Ints, d: Ints, look: Look, footage: Footage, design: TrackerDesign) -> None:
    """Take in the detections `d` of the tracks `hit`.

    Where a track began is the mean of its first detections; later ones lie there or away, in the scene and on the
    sensor. A detection where others have been does not count as away.
    """
    b, xy, count = bank, look.xy[d], bank.sums[:, 0]
    early = count[hit] <= np.minimum(design.anchor_hits, asked(b, design.anchor_hits + 1, look, design)[hit] - 1)
    at, share = hit[early], 1 / count[hit[early], None]
    b.anchor[at] += (xy[early] - b.anchor[at]) * share
    b.sensor[at] += (xy[early] - b.sensor[at]) * share
    late = hit[~early]
    b.anchor[late] += (xy[~early] - b.anchor[late]) * (1 - np.exp(-design.anchor_drift_hz * look.dt_s))
    squared = np.stack([((xy - b.anchor[hit]) ** 2).sum(1), ((xy - b.sensor[hit]) ** 2).sum(1)], 1)
    b.stray[hit] += (squared - b.stray[hit]) * 0.2
    far = np.sqrt(squared.min(1))
    doubtful = np.flatnonzero((far >= 1.0) & ~b.confirmed[hit])
    far[doubtful] *= ~footage.clutter.suspect(xy[doubtful], b.id[hit[doubtful]], footage.scene, footage.area_px2)
    b.recent[hit] = np.column_stack([far, b.recent[hit, :-1]])
    gone = np.where(count[hit] > design.anchor_hits, away(b, look, design)[hit], 0.0)
    b.moved[hit] = np.maximum(b.moved[hit], gone)


def away(bank: Bank, look: Look, design: TrackerDesign) -> Floats:
    """How far each track (N,) has surely gone from where it began: all its last detections lay that far off."""
    several = asked(bank, design.away_hits + 1, look, design)[:, None] - 1
    return np.asarray(np.where(np.arange(design.away_hits) < several, bank.recent, np.inf).min(1))


def asked(bank: Bank, most: int, look: Look, design: TrackerDesign) -> NDArray[np.int64]:
    """Of `most` detections, how many are asked of each track, given the time between looks at it."""
    look_s = (look.time_s - bank.born_s) / np.maximum(bank.frames - 1, 1)
    fewest = min(most, design.fewest_hits)
    share = np.minimum(FULL_LOOK_S / np.maximum(look_s, 1e-9), 1.0)
    return (fewest + np.ceil((most - fewest) * share - 1e-9)).astype(np.int64)


def stuck(bank: Bank, design: TrackerDesign) -> NDArray[np.bool_]:
    """Which tracks (N,) are fixed to the sensor, not to the scene."""
    scene, sensor = bank.stray.T
    return bank.fixed & (sensor < design.on_sensor_px**2) & (sensor <= scene)
