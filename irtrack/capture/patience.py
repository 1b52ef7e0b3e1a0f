"""How long a camera may send nothing before it counts as lost: a matter of the thread that opens and reads it."""

from __future__ import annotations

from contextvars import ContextVar

SILENCE_S = 2.5
"""For cameras of a frame a second and more."""

_patience: ContextVar[float] = ContextVar("patience", default=SILENCE_S)


def silence_s() -> float:
    """In this thread."""
    return _patience.get()


def be_patient(seconds: float) -> None:
    """Have the sources that this thread opens wait for so long."""
    _patience.set(seconds)
