"""What the operator says of tracks: names, stars, verdicts, and changes of identity; results stay, edits lie on top."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field, replace
from enum import StrEnum
from typing import Any

from irtrack.core import FrameResult, IrtrackError, Track
from irtrack.session.byhand import Row, as_tracks
from irtrack.session.events import Choice
from irtrack.session.preferences import Regions
from irtrack.sinks.kinds import plain

VERDICTS = ("true", "false", "bird", "aircraft", "drone", "other")
"""What a track may be judged to be."""

MADE_FROM = 1_000_000
"""Numbers of tracks that an edit makes begin here: the tracker never comes so far."""

Lives = Mapping[int, tuple[int, int]]
"""First and last frame of each track."""


class Kind(StrEnum):
    """What a change does."""

    JOIN = "join"
    SPLIT = "split"
    SWAP = "swap"
    DROP = "drop"


@dataclass(frozen=True)
class Change:
    """One change of identities. Join: `track` is `other`; split: it is `other` from `frame` on; swap: the two change
    places from `frame` on; drop: it is left out."""

    kind: Kind
    track: int
    other: int = -1
    frame: int = 0

    def __call__(self, track: int | None, frame: int) -> int | None:
        """What a track of a frame is called afterwards; None where it is left out."""
        if track == self.track:
            if self.kind is Kind.DROP:
                return None
            return self.other if self.kind is Kind.JOIN or frame >= self.frame else track
        if self.kind is Kind.SWAP and track == self.other and frame >= self.frame:
            return self.track
        return track


@dataclass(frozen=True)
class Piece:
    """Part of a track as the tracker made it, and the track that it is now part of."""

    track: int
    first: int
    last: int
    now: int


@dataclass(frozen=True)
class Gone:
    """A track that the results do not have, of which something is said: its number where they had it, and where it was
    by frames; nowhere, where that is not known."""

    was: int
    places: Mapping[int, tuple[float, float]]

    @staticmethod
    def of(was: int, places: Mapping[int, tuple[float, float]]) -> Gone:
        """To a hundredth of a pixel."""
        return Gone(was, {frame: (round(x, 2), round(y, 2)) for frame, (x, y) in places.items()})

    @property
    def life(self) -> tuple[int, int] | None:
        """First and last frame."""
        return (min(self.places), max(self.places)) if self.places else None


@dataclass(frozen=True)
class Edits:
    """A state of all edits; each edit gives a new one, so that undoing is going back to the one before.

    Names, stars and verdicts are those of the tracks that the changes leave.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    marked: frozenset[int] = frozenset()
    verdicts: Mapping[int, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    added: Mapping[int, tuple[Row, ...]] = field(default_factory=dict)
    """Targets that were added by hand."""
    gone: Mapping[int, Gone] = field(default_factory=dict)
    """Tracks of an earlier pass that the results do not have, by the numbers that they are spoken of with."""

    def renamed(self, track: int, name: str) -> Edits:
        """With a name; an empty one takes it away."""
        others = {k: v for k, v in self.names.items() if k != track}
        return replace(self, names=others | ({track: name.strip()} if name.strip() else {}))

    def with_mark(self, track: int, on: bool) -> Edits:
        """With a star, or no longer."""
        return replace(self, marked=self.marked | {track} if on else self.marked - {track})

    def judged(self, track: int, verdict: str) -> Edits:
        """With a verdict; an empty one takes it away."""
        others = {k: v for k, v in self.verdicts.items() if k != track}
        return replace(self, verdicts=others | ({track: verdict} if verdict else {}))

    def changed(self, change: Change) -> Edits:
        """With one more change."""
        return replace(self, changes=(*self.changes, change))

    def without(self, track: int) -> Edits:
        """With a track left out of picture, table and exports."""
        return self.changed(Change(Kind.DROP, track))

    def joined(self, track: int, into: int, lives: Lives) -> Edits:
        """With one track made part of another. `lives`: of each as they are shown now.

        Raises IrtrackError where both live at the same time.
        """
        if track == into:
            raise IrtrackError(f"track {track} cannot be merged with itself: choose another one")
        self._check_there(lives, track, into)
        (a, b), (c, d) = lives[track], lives[into]
        if a <= d and c <= b:
            one, other = sorted((track, into))
            raise IrtrackError(
                f"tracks {one} and {other} are both there in frames {max(a, c)} to {min(b, d)}: only "
                "tracks that follow one another can be one"
            )
        names = {k: v for k, v in self.names.items() if k != track}
        verdicts = {k: v for k, v in self.verdicts.items() if k != track}
        for kept, before in ((names, self.names), (verdicts, self.verdicts)):
            if track in before and before[track] != self._tail_name(into):
                kept.setdefault(into, before[track])
        marked = self.marked - {track} | ({into} if track in self.marked else set())
        made = replace(self, names=names, verdicts=verdicts, marked=frozenset(marked))
        return made.changed(Change(Kind.JOIN, track, into))

    def split(self, track: int, frame: int, lives: Lives) -> tuple[Edits, int]:
        """With a track cut before a frame, and the number of what follows. Raises IrtrackError where there is nothing
        to cut off."""
        self._check_cut(track, frame, lives)
        made = self.next_number()
        return self.changed(Change(Kind.SPLIT, track, made, frame)).renamed(made, self._tail_name(track)), made

    def _tail_name(self, track: int) -> str:
        return f"{self.names.get(track, str(track))}b"

    def next_number(self) -> int:
        """Of a track that comes of an edit."""
        return 1 + max([MADE_FROM - 1, *(c.other for c in self.changes), *self.added, *self.gone])

    def with_target(self, rows: tuple[Row, ...]) -> tuple[Edits, int]:
        """With a target that was missed, and its number."""
        made = self.next_number()
        return replace(self, added={**self.added, made: rows}).renamed(made, f"by hand {1 + len(self.added)}"), made

    @property
    def by_hand(self) -> frozenset[int]:
        """Tracks, as they are called now, of which a part was added by hand."""
        now = (self.now(track, row.frame) for track, rows in self.added.items() for row in rows)
        return frozenset(track for track in now if track is not None)

    def cut(self, track: int, frame: int, lives: Lives) -> Edits:
        """Without a track's tail, from a frame on. Raises IrtrackError."""
        edits, tail = self.split(track, frame, lives)
        return edits.renamed(tail, "").without(tail)

    def _check_cut(self, track: int, frame: int, lives: Lives) -> None:
        self._check_there(lives, track)
        first, last = lives[track]
        if not first < frame <= last:
            raise IrtrackError(
                f"track {track} lives in frames {first} to {last}: go to a later frame of it to cut it there"
            )

    def _check_there(self, lives: Lives, *tracks: int) -> None:
        """Raises IrtrackError where one of them is none of the tracks that are shown."""
        no = next((track for track in tracks if track not in lives), None)
        if no is not None and no in self.gone:
            raise IrtrackError(f"track {self.label(no)} was not found by this analysis: name it, judge it or delete it")
        if no is not None:
            raise IrtrackError(f"there is no track {no} any more: select another one")

    def swapped(self, one: int, other: int, frame: int, lives: Lives) -> Edits:
        """With two tracks changing places from a frame on. Raises IrtrackError."""
        if one == other:
            raise IrtrackError(f"track {one} cannot change places with itself: choose another one")
        self._check_there(lives, one, other)
        return self.changed(Change(Kind.SWAP, one, other, frame))

    def label(self, track: int) -> str:
        """What stands beside a track: its name, or its number; with a star and its verdict, if it has them."""
        verdict = self.verdicts.get(track)
        star = " \u2605" if track in self.marked else ""
        number = f"{self.gone[track].was} before" if track in self.gone else str(track)
        return self.names.get(track, number) + star + (f" ({verdict})" if verdict else "")

    def plain_label(self, track: int) -> str:
        """The name or number in letters that OpenCV can draw."""
        return plain(self.names, track)

    def now(self, track: int, frame: int) -> int | None:
        """What a track of the tracker's is called in a frame; None where it is left out."""
        called: int | None = track
        for change in self.changes:
            called = change(called, frame)
        return called

    def apply(self, result: FrameResult) -> FrameResult:
        """A result as edited; the same one where nothing touches it."""
        for number, rows in self.added.items():
            result = as_tracks(number, rows, result)
        if not self.changes:
            return result
        frame = result.frame.index
        if all(self.now(t.id, frame) == t.id for t in result.tracks):
            return result
        left: dict[int, Track] = {}
        for track in result.tracks:
            now = self.now(track.id, frame)
            # Of two parts in one frame, a coast or an unconfirmed start of one of them, what was seen stays.
            if now is not None and (now not in left or left[now].detection is None):
                left[now] = track if now == track.id else replace(track, id=now)
        return replace(result, tracks=tuple(left.values()))

    def pieces(self, lives: Lives) -> list[Piece]:
        """What each track is made of. `lives`: of the tracks as the tracker made them."""
        out = []
        lives = {**lives, **{track: (rows[0].frame, rows[-1].frame) for track, rows in self.added.items()}}
        cuts = sorted({c.frame for c in self.changes if c.kind in (Kind.SPLIT, Kind.SWAP)})
        for track, (first, last) in lives.items():
            starts = [first, *(f for f in cuts if first < f <= last)]
            for start, end in zip(starts, [*(s - 1 for s in starts[1:]), last], strict=True):
                now = self.now(track, start)
                if now is not None:
                    out.append(Piece(track, start, end, now))
        return out

    def lives(self, lives: Lives) -> dict[int, tuple[int, int]]:
        """First and last frame of each track that is left."""
        if not self.changes and not self.added:
            return dict(lives)
        out: dict[int, tuple[int, int]] = {}
        for piece in self.pieces(lives):
            a, b = out.get(piece.now, (piece.first, piece.last))
            out[piece.now] = (min(a, piece.first), max(b, piece.last))
        return out

    @property
    def structure(self) -> tuple[Change, ...]:
        """What was joined, cut and swapped."""
        return tuple(change for change in self.changes if change.kind is not Kind.DROP)

    @property
    def dropped(self) -> frozenset[int]:
        """What was left out, as it was called then: nothing is said of it after that."""
        return frozenset(change.track for change in self.changes if change.kind is Kind.DROP)

    @property
    def missing(self) -> dict[int, Gone]:
        """Tracks of which something is said, and which these results do not have."""
        changed = self.changed_tracks()
        return {track: gone for track, gone in self.gone.items() if track not in changed}

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return {
            "names": {str(k): v for k, v in self.names.items()},
            "stars": sorted(self.marked),
            "verdicts": {str(k): v for k, v in self.verdicts.items()},
            "changes": [[str(c.kind), c.track, c.other, c.frame] for c in self.changes],
            "added_by_hand": {str(k): [list(astuple(row)) for row in rows] for k, rows in self.added.items()},
            "not_found": {
                str(k): {"was": gone.was, "places": [[frame, *at] for frame, at in sorted(gone.places.items())]}
                for k, gone in self.gone.items()
            },
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Edits:
        """As `to_dict` wrote them. Raises what comes of values that it did not write."""
        if not all(values["added_by_hand"].values()):
            raise ValueError("a target that was added by hand is nowhere")
        return Edits(
            {int(k): str(v) for k, v in values["names"].items()},
            frozenset(int(k) for k in values["stars"]),
            {int(k): str(v) for k, v in values["verdicts"].items()},
            tuple(Change(Kind(kind), int(a), int(b), int(frame)) for kind, a, b, frame in values["changes"]),
            {int(k): tuple(Row(*row) for row in rows) for k, rows in values["added_by_hand"].items()},
            {
                int(k): Gone(int(gone["was"]), {int(i): (float(x), float(y)) for i, x, y in gone["places"]})
                for k, gone in values.get("not_found", {}).items()  # files of earlier versions have none
            },
        )

    def changed_tracks(self) -> set[int]:
        """Those that were cut, joined, swapped or left out, and what came of them."""
        return {t for c in self.changes for t in (c.track, c.other) if t >= 0}


State = tuple[Edits, Regions]


class History(Choice[Edits]):
    """Edits with a way back and forth again, and on it the regions that were drawn meanwhile."""

    def __init__(self, regions: Choice[Regions] | None = None) -> None:
        super().__init__(Edits())
        self.regions: Choice[Regions] = regions or Choice({})
        self._past: list[State] = []
        self._future: list[State] = []

    def edit(self, edits: Edits) -> None:
        """Go on from here."""
        if edits != self.value:
            self._leave()
            self.set(edits)

    def draw(self, regions: Regions) -> None:
        """Go on with other regions."""
        if regions != self.regions.value:
            self._leave()
            self.regions.set(regions)

    def _leave(self) -> None:
        self._past.append((self.value, self.regions.value))
        self._future.clear()

    def undo(self) -> bool:
        """Take the last step back; whether there was one."""
        return self._go(self._past, self._future)

    def redo(self) -> bool:
        """Make again what was taken back; whether there was something."""
        return self._go(self._future, self._past)

    def _go(self, to: list[State], back: list[State]) -> bool:
        if not to:
            return False
        back.append((self.value, self.regions.value))
        edits, regions = to.pop()
        self.set(edits)
        self.regions.set(regions)
        return True

    def carry(self, carrier: Callable[[Edits], Edits]) -> None:
        """Go on with other results; what can be gone back to is carried as well."""
        self._past = [(carrier(edits), regions) for edits, regions in self._past]
        self._future = [(carrier(edits), regions) for edits, regions in self._future]
        self.set(carrier(self.value))

    @property
    def states(self) -> tuple[Edits, ...]:
        """All edits that there are, in their order."""
        return (*(edits for edits, _ in self._past), self.value, *(edits for edits, _ in reversed(self._future)))

    def reset(self, edits: Edits | None = None) -> None:
        """Begin anew, with nothing to go back to."""
        self._past.clear()
        self._future.clear()
        self.set(edits or Edits())
