"""Which tracks of two passes over one recording are the same target's, by where they were."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

SAME_PX = 6.0
"""Tracks of one target are no further apart than this."""

Places = Mapping[int, tuple[float, float]]
"""Where a track was, by frames."""


ByFrame = Mapping[int, Sequence[tuple[int, tuple[float, float]]]]
"""Which tracks were where, in each frame."""


def by_frame(tracks: Mapping[int, Places]) -> ByFrame:
    """The same places, to be looked at by frames."""
    there: dict[int, list[tuple[int, tuple[float, float]]]] = defaultdict(list)
    for track, places in tracks.items():
        for frame, place in places.items():
            there[frame].append((track, place))
    return there


Votes = Sequence[tuple[int, int]]
"""Tracks that were at the places of one in more than half of the frames that both have, and in how many."""


def votes_for(here: Places, there: ByFrame) -> Votes:
    """The tracks of another pass that were where one was."""
    common, same = Counter[int](), Counter[int]()
    for frame, place in here.items():
        for other, at in there.get(frame, ()):
            common[other] += 1
            same[other] += math.dist(place, at) < SAME_PX
    return [(other, n) for other, n in same.items() if 2 * n > common[other]]


def matched(votes: Mapping[int, Votes]) -> dict[int, int]:
    """For each track of one pass the track of the other that was there in most frames; none goes to two. Of equals the
    one that has its number."""
    order = sorted((-n, track != other, track, other) for track, some in votes.items() for other, n in some)
    out: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, track, other in order:
        if track not in out and other not in taken:
            out[track] = other
            taken.add(other)
    return out
