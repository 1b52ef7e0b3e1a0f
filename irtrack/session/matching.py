"""Which tracks of two passes over one recording are the same target's, so that what was said of them stays said."""

from __future__ import annotations

import math
from collections.abc import Iterable

from irtrack.session.store import ResultStore

SAME_PX = 6.0
"""Tracks of one target are no further apart than this."""


def matched(before: ResultStore, after: ResultStore, tracks: Iterable[int]) -> dict[int, int]:
    """For each of `tracks` of one store the track of the other that was at its place in most frames, and in more than
    half of those that both have; none goes to two."""
    there = {track: after.places(track) for track in after.lives()}
    votes: list[tuple[int, int, int]] = []
    for track in tracks:
        here = before.places(track)
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
