"""The alarms of results that are there already: those that would have been raised as they were made."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from irtrack.config import Polygon
from irtrack.session.alarms import Alarm, AlarmRules, Alarms
from irtrack.session.series import SERIES
from irtrack.session.store import ResultStore


def alarms_in(store: ResultStore, rules: AlarmRules, area: tuple[Polygon, ...]) -> list[Alarm]:
    """What `Alarms` gives, frame by frame; by the first frame of each track that meets the rules, which is quick."""
    alarms = Alarms(rules, area)
    speed, snr, x, y = (SERIES.index(name) for name in ("speed_px_s", "snr", "x_px", "y_px"))
    new: dict[int, dict[int, float]] = defaultdict(dict)
    for track in sorted(store.tracks()) if rules.on else ():
        rows = store.series(track)
        frames = sorted(store.places(track))
        for i in np.flatnonzero(alarms.enough(rows[:, speed], rows[:, snr])).tolist():
            if alarms.inside(float(rows[i, x]), float(rows[i, y])):
                new[frames[i]][track] = float(rows[i, snr])
                break
    called = (alarms.call(frame, store.time_of(frame), new[frame]) for frame in sorted(new))
    return [alarm for alarm in called if alarm is not None]
