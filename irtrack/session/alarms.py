"""Alarms: which tracks call for attention, once each, with a hold-off between calls."""

from __future__ import annotations

import math
from dataclasses import dataclass

from irtrack.config import Checked, Polygon, option, polygons
from irtrack.core import ConfigError, FrameResult, Track
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
    return Alarms(AlarmRules.from_dict({"on": True, **values}), polygons(inside))


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
        new = [t for t in result.tracks if t.confirmed and t.id not in self._called and self._calls(t)]
        self._called |= {t.id for t in new}
        time_s = result.frame.time_s
        if not new or self._quiet_until - time_s >= 0:
            return None
        self._quiet_until = time_s + self.rules.holdoff_s
        first = max(new, key=lambda t: t.snr if t.snr == t.snr else 0.0)
        others = f" and {len(new) - 1} more" if len(new) > 1 else ""
        return Alarm(first.id, result.frame.index, time_s, f"track {first.id}{others}, SNR {first.snr:.0f}")

    def _calls(self, track: Track) -> bool:
        speed = math.hypot(*track.velocity_px_s.tolist())
        enough = speed >= self.rules.speed_px_s and not track.snr < self.rules.snr
        return enough and (not self.area or contain(self.area, *track.xy_px.tolist()))
