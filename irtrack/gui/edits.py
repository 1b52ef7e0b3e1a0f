"""What the operator says of tracks: names, marks, deletions, merges; results stay as they were, edits lie on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from irtrack.core import FrameResult, IrtrackError, Track


@dataclass(frozen=True)
class Edits:
    """A state of all edits; each change gives a new one, so that undoing is going back to the one before.

    `merged`: track -> the track that it is part of; never a chain. Names and marks are those of the track that is left.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    marked: frozenset[int] = frozenset()
    deleted: frozenset[int] = frozenset()
    merged: Mapping[int, int] = field(default_factory=dict)

    def renamed(self, track: int, name: str) -> Edits:
        """With a name; an empty one takes it away."""
        others = {k: v for k, v in self.names.items() if k != track}
        return replace(self, names=others | ({track: name.strip()} if name.strip() else {}))

    def with_mark(self, track: int, on: bool) -> Edits:
        """Marked, or no longer."""
        return replace(self, marked=self.marked | {track} if on else self.marked - {track})

    def without(self, track: int) -> Edits:
        """With a track left out of picture, table and exports."""
        return replace(self, deleted=self.deleted | {track})

    def joined(self, track: int, into: int, lives: Mapping[int, tuple[int, int]]) -> Edits:
        """With one track made part of another. `lives`: first and last frame of each, as they are shown now.

        Raises IrtrackError where both live at the same time.
        """
        if track == into:
            raise IrtrackError(f"track {track} cannot be merged with itself: choose another one")
        (a, b), (c, d) = lives[track], lives[into]
        if a <= d and c <= b:
            raise IrtrackError(
                f"tracks {track} and {into} are both there in frames {max(a, c)} to {min(b, d)}: "
                "only tracks that follow one another can be one"
            )
        moved = {k: into if v == track else v for k, v in self.merged.items()} | {track: into}
        names = {k: v for k, v in self.names.items() if k != track}
        if track in self.names and into not in names:
            names[into] = self.names[track]
        marked = self.marked - {track} | ({into} if track in self.marked else set())
        return replace(self, merged=moved, names=names, marked=frozenset(marked))

    def label(self, track: int) -> str:
        """What stands beside a track: its name, or its number; with a star if it is marked."""
        return self.names.get(track, str(track)) + (" \u2605" if track in self.marked else "")

    def plain_label(self, track: int) -> str:
        """The name or number in letters that OpenCV can draw."""
        name = self.names.get(track, "")
        return name if name and name.isascii() else str(track)

    def parts(self, track: int) -> list[int]:
        """The identities that a track is made of."""
        return [track, *(k for k, v in self.merged.items() if v == track)]

    def apply(self, result: FrameResult) -> FrameResult:
        """A result as edited; the same one where nothing touches it."""
        if not (self.deleted or self.merged):
            return result
        ids = [t.id for t in result.tracks]
        if not any(i in self.deleted or i in self.merged for i in ids):
            return result
        left: dict[int, Track] = {}
        for track in map(self._applied, result.tracks):
            # Of two parts in one frame, a coast or an unconfirmed start of one of them, what was seen stays.
            if track is not None and (track.id not in left or left[track.id].detection is None):
                left[track.id] = track
        return replace(result, tracks=tuple(left.values()))

    def _applied(self, track: Track) -> Track | None:
        into = self.merged.get(track.id, track.id)
        if into in self.deleted:
            return None
        return track if into == track.id else replace(track, id=into)

    def lives(self, lives: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
        """First and last frame of each track that is left."""
        out: dict[int, tuple[int, int]] = {}
        for track, (first, last) in lives.items():
            into = self.merged.get(track, track)
            if into not in self.deleted:
                a, b = out.get(into, (first, last))
                out[into] = (min(a, first), max(b, last))
        return out
