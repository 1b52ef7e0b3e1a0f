"""What a detector carries from frame to frame, set aside while a frame of the past is looked at again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol


class Remembers(Protocol):
    """Something that changes with each frame: levels, attention, the place of a scan."""

    def remember(self) -> Any:
        """Its state, which later frames leave alone."""
        ...

    def recall(self, state: Any) -> None:
        """Go back to it."""
        ...


@contextmanager
def undisturbed(parts: Sequence[Remembers]) -> Iterator[None]:
    """Whatever is looked at inside leaves no trace in the parts."""
    states = [part.remember() for part in parts]
    try:
        yield
    finally:
        for part, state in zip(parts, states, strict=True):
            part.recall(state)
