"""irtrack: real-time detection and tracking of small targets in infrared video."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from irtrack.core import Detections, Frame, FrameResult, IrtrackError, Track, Tracks
    from irtrack.library import Detector, Source, Tracker, open, process, table
    from irtrack.tracktable import TrackTable

__all__ = [
    "Detections",
    "Detector",
    "Frame",
    "FrameResult",
    "IrtrackError",
    "Source",
    "Track",
    "TrackTable",
    "Tracker",
    "Tracks",
    "open",
    "process",
    "table",
]

__version__ = "0.2.0"

_HOMES = dict.fromkeys(("Detections", "Frame", "FrameResult", "IrtrackError", "Track", "Tracks"), "irtrack.core")
_HOMES |= dict.fromkeys(("Detector", "Source", "Tracker", "open", "process", "table"), "irtrack.library")
_HOMES["TrackTable"] = "irtrack.tracktable"


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: `import irtrack` alone loads nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'irtrack' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


SPINS = "20000"
"""Turns of the loop in which an idle thread of OpenMP waits for work before it sleeps, about a millisecond.

gcc's library turns 300,000 times by default, 15 ms: beside other busy processes a thread then burns the time that the
one it waits for needs, and a frame takes up to ten times as long, by chance. Sleeping at once costs a quiet machine a
third more time. `irtrack bench neighbours` measures both. Read when torch loads, so it is set before anything else.
"""

if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = SPINS
