"""Times of a recording, made to rise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from irtrack.core import Remarks, SourceError

BROKEN_CLOCK_S = 3600.0
"""A step above this is a clock that was set anew, not a pause, unless steps are usually that long."""

PAUSE_S = 10.0
"""A step above this is worth saying."""

ABSURD_S = 1e10
"""Three hundred years: no time of a recording."""


def mended(name: str, times: Sequence[float], remarks: Remarks, usual_s: float = 1 / 30) -> list[float]:
    """Seconds from 0 on, rising, of pictures in their order; what was mended is remarked.

    Where times fall (recordings that were joined, a clock set back) or leap by more than `BROKEN_CLOCK_S`, the next
    picture comes one usual step later; equal ones share the time up to the next. `usual_s`: step where none is known.
    Raises SourceError for numbers that are no times.
    """
    found = np.asarray(times, np.float64)
    if not len(found):
        return []
    if not np.ptp(found) <= ABSURD_S:  # also where it is no number
        wrong = int(np.argmax(~(np.abs(found - np.median(found[np.isfinite(found)] if len(found) else 0)) <= ABSURD_S)))
        raise SourceError(
            f"{name}: the time of picture {wrong} is {times[wrong]:g} s, which cannot be: the file is damaged; "
            "--fps F gives it times of its own"
        )
    steps = np.diff(found)
    rising = steps[steps > 0]
    usual = float(np.median(rising)) if len(rising) else usual_s
    fell, leapt = steps < 0, steps > max(BROKEN_CLOCK_S, 1000 * usual)
    paused = ~leapt & (steps > max(PAUSE_S, 20 * usual))
    for at in np.flatnonzero(fell)[:3]:
        remarks.add(f"{name}: times fall by {-steps[at]:.4g} s at picture {at + 1}: they go on from the one before")
    for at in np.flatnonzero(leapt)[:3]:
        remarks.add(f"{name}: times leap by {steps[at]:.4g} s at picture {at + 1}, taken as a clock that was set anew")
    for at in np.flatnonzero(paused)[:3]:
        remarks.add(f"{name}: a pause of {steps[at]:.4g} s before picture {at + 1}")
    more = max(0, int(fell.sum()) - 3) + max(0, int(leapt.sum()) - 3) + max(0, int(paused.sum()) - 3)
    if more:
        remarks.add(f"{name}: more such places in its times", more)
    steps[fell | leapt] = usual
    if (equal := int((steps == 0).sum())) and len(rising):
        remarks.add(f"{name}: {equal} pictures have the time of the one before: spread up to the next")
    elif equal:
        remarks.add(f"{name}: all pictures have the same time: {1 / usual_s:.4g} a second are assumed")
    out = np.concatenate([[0.0], np.cumsum(steps)])
    return spread(out, usual).tolist()


def spread(times: np.ndarray, usual: float) -> np.ndarray:  # type: ignore[type-arg]
    """Each run of equal times shared out evenly up to the next one (the last run in usual steps)."""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(times) > 0]))
    if len(starts) == len(times):
        return times
    lengths = np.diff(np.concatenate([starts, [len(times)]]))
    last = lengths[-1] / np.median(lengths[:-1]) if len(lengths) > 1 else lengths[-1]
    room = np.concatenate([np.diff(times[starts]), [usual * max(1.0, float(last))]])
    inside = np.arange(len(times)) - np.repeat(starts, lengths)
    return times + inside * np.repeat(room / lengths, lengths)


def rate_of(times: Sequence[float]) -> float | None:
    """Pictures a second, from their times."""
    span = times[-1] - times[0] if len(times) > 1 else 0.0
    return (len(times) - 1) / span if span > 0 and math.isfinite(span) else None
