"""What was said of tracks goes on to those of another pass over the recording that were at the same places.

Joins, cuts and swaps go by the tracks as the tracker made them; names, stars, verdicts and deletions by the targets
that come of those. What finds no track is kept with its places: a later pass that finds one gives it back.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace

from irtrack.session.edits import MADE_FROM, Change, Edits, Gone, Kind
from irtrack.session.matching import ByFrame, Places, Votes, by_frame, matched, votes_for
from irtrack.session.store import ResultStore


class Carrier:
    """Carries states of edits, one of which may be gone back to from another: what is gone has one number in all."""

    def __init__(self, before: ResultStore, after: ResultStore, states: Iterable[Edits]) -> None:
        """The results that they are of, and those that come in their place."""
        self._before, self._after = before, after
        self._there: dict[tuple[tuple[Change, ...], frozenset[int]], ByFrame] = {}
        """Of the other results, by how they were joined, cut and swapped, and what was added: most states have this in
        common, and there may be many tracks."""
        self._votes: dict[object, Votes] = {}
        self._free = max(edits.next_number() for edits in states)
        self._numbers: dict[tuple[bool, int], int] = {}
        """Of what is gone, by whether it is a target, and its number before."""

    def __call__(self, edits: Edits, chosen: int | None = None) -> tuple[Edits, int | None]:
        """The edits of the other results, and the number there of a track that was chosen."""
        bare = Edits(changes=edits.structure, added=edits.added)
        raw, lost = self._raw(edits)
        structure, changed = self._structure(bare.changes, raw, lost.keys()), bare.changed_tracks()
        gone = {track: gone for track, gone in edits.gone.items() if track not in changed}

        said = {*edits.names, *edits.marked, *edits.verdicts, *edits.dropped, *gone}
        alive = targets(self._before, bare, said | changed | {chosen})
        places = {track: gone[track].places for track in gone} | alive
        now = self._matched(places, bare, Edits(changes=structure, added=edits.added))
        for track in sorted((said | (alive.keys() & changed)) - now.keys()):
            now[track] = track if track in gone else self._number(True, track)
            lost[now[track]] = gone.get(track) or Gone.of(track, places.get(track, {}))
        carried = Edits(
            {now[track]: name for track, name in edits.names.items()},
            frozenset(now[track] for track in edits.marked),
            {now[track]: verdict for track, verdict in edits.verdicts.items()},
            (*structure, *(Change(Kind.DROP, now[track]) for track in sorted(edits.dropped))),
            edits.added,
            lost,
        )
        return carried, None if chosen is None else now.get(chosen)

    def _matched(self, places: Mapping[int, Places], before: Edits | None, after: Edits) -> dict[int, int]:
        """The tracks of the other results that were at these places; of tracks as edited on both sides."""
        key = after.changes, frozenset(after.added)
        votes: dict[int, Votes] = {}
        for track, here in places.items():
            one = key, before.changes if before is not None else None, track
            if one not in self._votes:
                if key not in self._there:
                    self._there[key] = by_frame(targets(self._after, after))
                self._votes[one] = votes_for(here, self._there[key])
            votes[track] = self._votes[one]
        return matched(votes)

    def _number(self, target: bool, track: int) -> int:
        """Of what is gone."""
        return self._numbers.setdefault((target, track), self._free + len(self._numbers))

    def _raw(self, edits: Edits) -> tuple[dict[int, int], dict[int, Gone]]:
        """The numbers in the other results of the tracker's tracks that were joined, cut or swapped, and what is gone
        of them."""
        here: dict[int, Places] = {}
        for track in (track for change in edits.structure for track in (change.track, change.other)):
            if track in edits.gone:
                here[track] = edits.gone[track].places
            elif 0 <= track < MADE_FROM:
                here[track] = self._before.places(track)
        raw, lost = self._matched(here, None, Edits()), dict[int, Gone]()
        for track in sorted(here.keys() - raw.keys()):
            raw[track] = track if track in edits.gone else self._number(False, track)
            lost[raw[track]] = edits.gone.get(track) or Gone.of(track, here[track])
        return raw, lost

    def _structure(self, changes: Iterable[Change], raw: dict[int, int], lost: Iterable[int]) -> tuple[Change, ...]:
        """The same joins, cuts and swaps of the other results. A track that was joined to one that is gone keeps its
        own number, and the one that is gone is joined to it once it is found."""
        called, out = dict(raw), []
        for change in changes:
            track, other = called.get(change.track, change.track), called.get(change.other, change.other)
            if change.kind is Kind.JOIN and other in lost and track not in lost:
                called[change.other] = track
                track, other = other, track
            out.append(replace(change, track=track, other=other))
        return tuple(out)


def targets(store: ResultStore, edits: Edits, only: Container[int | None] | None = None) -> dict[int, Places]:
    """Where each track was as edited; `only`: of these."""
    out: dict[int, dict[int, tuple[float, float]]] = {}
    for piece in edits.pieces(store.lives()):
        if only is None or piece.now in only:
            added = edits.added.get(piece.track)
            places = store.places(piece.track) if added is None else {r.frame: (r.x_px, r.y_px) for r in added}
            out.setdefault(piece.now, {}).update((i, at) for i, at in places.items() if piece.first <= i <= piece.last)
    return {track: places for track, places in out.items() if places}
