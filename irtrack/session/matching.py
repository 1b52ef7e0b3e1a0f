"""Which tracks of two passes over one recording are the same target's, so that what was said of them stays said."""

from __future__ import annotations

import math
from collections.abc import Mapping

from irtrack.session.store import ResultStore

SAME_PX = 6.0
"""Tracks of one target are no further apart than this."""

Places = Mapping[int, tuple[float, float]]
"""Where a track was, by frames."""


def matched(before: Mapping[int, Places], after: ResultStore) -> dict[int, int]:
    """For each track of one pass, by its places, the track of the other that was there in most frames, and in more than
    half of those that both have; none goes to two."""
    there = {track: after.places(track) for track in after.lives()}
    votes: list[tuple[int, int, int]] = []
    for track, here in before.items():
        for other, places in there.items():
            common = here.keys() & places.keys()
            same = sum(math.dist(here[i], places[i]) < SAME_PX for i in common)
            if 2 * same > len(common):
                votes.append((same, track, other))
    out: dict[int, int] = {}
    for _, track, other in sorted(votes, key=lambda vote: (-vote[0], vote[1], vote[2])):
        if track not in out and other not in out.values():
            out[track] = other
    return out
