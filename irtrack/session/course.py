"""What the seek bar shows beside the position: what has results, when each track lives, the part that is played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from irtrack.session.session import Session

LANES = 6
"""Lives of tracks are drawn in so many rows."""


def lanes(lives: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """A lane for each track so that lives that overlap lie in different ones, as far as `LANES` go."""
    ends: list[int] = []
    out = {}
    for track, (first, last) in sorted(lives.items(), key=lambda item: item[1]):
        lane = next((i for i, end in enumerate(ends) if end < first), len(ends))
        if lane == len(ends) and lane < LANES:
            ends.append(last)
        lane = min(lane, LANES - 1)
        ends[lane] = max(ends[lane], last)
        out[track] = lane
    return out


@dataclass(frozen=True)
class Course:
    """What the bar shows beside the position: first and last frame that has results, whether these are of older
    settings, how far a new pass is, the lives of tracks, and the part that is played."""

    analysed: tuple[int, int] | None = None
    older: bool = False
    again: float | None = None
    lives: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    span: tuple[int, int] | None = None
    selected: int | None = None


def course_of(session: Session) -> Course:
    """Of what is open."""
    again = session.analysing if session.anew else None
    return Course(
        session.store.reach(), bool(session.older) or again is not None, again, session.lives(),
        session.view.span if session.view is not None else None, session.selected.value,
    )  # fmt: skip
