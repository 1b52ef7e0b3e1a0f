"""Alarms: which tracks call for attention, once each, with a hold-off between calls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from irtrack.config import Checked, Polygon, check_pixels, option, polygons
from irtrack.core import ConfigError, Floats, FrameResult, Track
from irtrack.imaging.regions import contain
from irtrack.text import meant


@dataclass(frozen=True)
class AlarmRules(Checked):
    """When to call."""

    on: bool = option(False, "call when a new track is confirmed; off until this is checked")
    speed_px_s: float = option(0.0, "only tracks that are at least this fast", unit="px/s", low=0.0)
    snr: float = option(0.0, "only tracks that stand out at least this much", low=0.0)
    holdoff_s: float = option(3.0, "least time between two alarms", unit="s", low=0.0)
    sound: bool = option(True, "beep at an alarm")
    snapshot: bool = option(False, "save the annotated picture at an alarm, in the folder for recordings")


@dataclass(frozen=True, slots=True)
class Alarm:
    """A call: which track, in which frame, and why."""

    track_id: int
    frame: int
    time_s: float
    text: str


WORDS = {"speed": "speed_px_s", "snr": "snr", "holdoff": "holdoff_s"}
"""Rules as they are typed."""


def alarms_from(text: str) -> Alarms:
    """`speed=PX_S,snr=S,holdoff=S,in=X,Y X,Y X,Y; ...`: any of them, `in` as the last. Raises ConfigError."""
    rules, _, inside = text.partition("in=")
    values: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in rules.split(","))):
        word, _, value = part.partition("=")
        if word not in WORDS:
            raise ConfigError(f"unknown alarm rule {part!r}{meant(word, WORDS)}: it is one of {', '.join(WORDS)}, in")
        try:
            values[WORDS[word]] = float(value)
        except ValueError:
            raise ConfigError(f"alarm rule {part!r} must be {word}=NUMBER") from None
    outlines = polygons(inside)
    check_pixels(outlines)
    return Alarms(AlarmRules.from_dict({"on": True, **values}), outlines)


class Alarms:
    """Call with each result in order; gives the alarm that it raises, if any."""

    def __init__(self, rules: AlarmRules | None = None, area: tuple[Polygon, ...] = ()) -> None:
        """`area`: if there is any, only tracks inside call."""
        self.rules, self.area = rules or AlarmRules(), area
        self.reset()

    def reset(self) -> None:
        """Another source, or another pass: nothing has been called for yet."""
        self._called: set[int] = set()
        self._quiet_until = -math.inf

    def __call__(self, result: FrameResult) -> Alarm | None:
        if not self.rules.on:
            return None
        new = {t.id: t.snr for t in result.tracks if t.confirmed and t.id not in self._called and self._calls(t)}
        return self.call(result.frame.index, result.frame.time_s, new)

    def _calls(self, track: Track) -> bool:
        speed = float(np.hypot(*track.velocity_px_s.tolist()))
        return bool(self.enough(speed, track.snr)) and self.inside(*track.xy_px.tolist())

    def enough(self, speed_px_s: Floats | float, snr: Floats | float) -> NDArray[np.bool_]:
        """Whether tracks are fast enough and stand out enough; an SNR that is not known is enough."""
        return np.greater_equal(speed_px_s, self.rules.speed_px_s) & ~np.less(snr, self.rules.snr)

    def inside(self, x: float, y: float) -> bool:
        """Whether a place is one that is called for."""
        return not self.area or contain(self.area, x, y)

    def call(self, frame: int, time_s: float, new: Mapping[int, float]) -> Alarm | None:
        """The alarm for tracks that the rules are met by for the first time in a frame, by their SNR; None where there
        are none, or it is too soon after the last one."""
        self._called |= new.keys()
        if not new or self._quiet_until - time_s >= 0:
            return None
        self._quiet_until = time_s + self.rules.holdoff_s
        first = max(new, key=lambda track: new[track] if new[track] == new[track] else 0.0)
        others = f" and {len(new) - 1} more" if len(new) > 1 else ""
        snr = f", SNR {new[first]:.0f}" if new[first] == new[first] else ""
        return Alarm(first, frame, time_s, f"track {first}{others}{snr}")
