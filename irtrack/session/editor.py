"""What the operator does to the tracks that are selected: naming, starring, judging, joining, cutting, leaving out."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import numpy as np

from irtrack.core import IrtrackError
from irtrack.session.edits import Edits
from irtrack.session.events import Event
from irtrack.session.session import Session

NONE = "select a track first"


class Editor:
    """Every change can be undone, until another source is opened. What was done, or why not, the session tells."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.settled: Event[[str]] = Event()
        """An edit was made, or taken back: why one before could not be made need not be read any more."""
        self._refused = ""
        session.edits.changed.connect(lambda _: self._settle())

    @property
    def selected(self) -> int | None:
        """The track that is selected."""
        return self.session.selected.value

    @property
    def edits(self) -> Edits:
        """As they are now."""
        return self.session.edits.value

    @property
    def frame(self) -> int:
        """The frame on screen, where cuts are made."""
        return self.session.position or 0

    def undo(self) -> None:
        """Take the last change back."""
        self.session.edits.undo()

    def redo(self) -> None:
        """Make it again."""
        self.session.edits.redo()

    def _settle(self) -> None:
        if self._refused:
            self.settled(self._refused)
            self._refused = ""

    def _edit(self, make: Callable[[int], Edits]) -> bool:
        """Of the selected track; whether it could be done."""
        track = self.selected
        if track is None:
            self.session.said(NONE)
            return False
        try:
            edits = make(track)
        except IrtrackError as error:
            self._refused = str(error)
            self.session.failed(self._refused)
            return False
        self.session.edits.edit(edits)
        return True

    def _edit_all(self, make: Callable[[Edits, int], Edits]) -> None:
        """Of every track that is selected, in one step."""
        if not self.session.selection:
            self.session.said(NONE)
        self.session.edits.edit(reduce(make, self.session.selection, self.edits))

    def rename(self, name: str) -> None:
        """Of a field that may lose the keyboard after its track: then there is nothing to say."""
        if self.selected is not None:
            self._edit(lambda track: self.edits.renamed(track, name))

    def mark(self, on: bool) -> None:
        """Put stars, or take them away."""
        self._edit_all(lambda edits, track: edits.with_mark(track, on))

    def toggle_mark(self) -> None:
        """As is fit for the selected track."""
        self.mark(self.selected not in self.edits.marked)

    def judge(self, verdict: str) -> None:
        """Say what they are; saying the same again takes it back."""
        said = "" if self.selected is not None and self.edits.verdicts.get(self.selected) == verdict else verdict
        self._edit_all(lambda edits, track: edits.judged(track, said))

    def delete(self) -> None:
        """Leave them out of picture, table and exports."""
        gone = self.session.selection
        if not gone:
            self.session.said(NONE)
        else:
            edits = reduce(Edits.without, gone, self.edits)
            self.session.select(None)
            self.session.edits.edit(edits)
            which = f"track {self.edits.label(gone[0])} is" if len(gone) == 1 else f"{len(gone)} tracks are"
            self.session.said(f"{which} left out; Ctrl+Z brings {'it' if len(gone) == 1 else 'them'} back")

    def split(self) -> None:
        """Cut the track before the frame on screen: what follows is a track of its own."""
        if self._edit(lambda track: self.edits.split(track, self.frame, self.session.lives())[0]):
            self.session.said(f"track {self._label()} ends before this frame; what follows is another one")

    def cut_tail(self) -> None:
        """Leave out what follows from the frame on screen on."""
        if self._edit(lambda track: self.edits.cut(track, self.frame, self.session.lives())):
            self.session.said(f"track {self._label()} ends before this frame; Ctrl+Z brings its tail back")

    def swap(self, other: int) -> None:
        """Have the selected track and another one change places from the frame on screen on."""
        lives = self.session.lives()
        if self._edit(lambda track: self.edits.swapped(track, other, self.frame, lives)):
            self.session.said(f"tracks {self._label()} and {self.edits.label(other)} change places from this frame on")

    def merge(self, *others: int) -> None:
        """Make the selected track and others a single track: that which begins first."""
        lives = self.session.lives()
        into, *rest = sorted({*others, *self.session.selection}, key=lambda track: lives.get(track, (0, 0)))

        def joined(edits: Edits, track: int) -> Edits:
            return edits.joined(track, into, edits.lives(self.session.store.lives()))

        names = [self.edits.label(track) for track in (into, *rest)]
        if self._edit(lambda _: reduce(joined, rest, self.edits)):
            self.session.select(into)
            self.session.said(f"tracks {', '.join(names[:-1])} and {names[-1]} are one now, {self._label()}")

    def _label(self) -> str:
        return "" if self.selected is None else self.edits.label(self.selected)

    def apart(self) -> dict[int, str]:
        """Tracks that the selected one can be merged with, the nearest in time first, and when they live."""
        lives = self.session.lives()
        if self.selected not in lives:
            return {}
        first, last = lives[self.selected]
        gaps = {k: max(a - last, first - b) for k, (a, b) in lives.items() if a > last or b < first}
        return {k: self._life(k, lives[k]) for k in sorted(gaps, key=lambda k: gaps[k])}

    def still_there(self) -> dict[int, str]:
        """Tracks that the selected one can be swapped with from the frame on screen on, the nearest in the picture
        first, and when they live."""
        lives, picture = self.session.lives(), self.session.picture
        places = {t.id: t.xy_px for t in picture.result.tracks} if picture is not None else {}
        own = places.get(self.selected) if self.selected is not None else None

        def distance(track: int) -> float:
            return float(np.hypot(*(places[track] - own))) if own is not None and track in places else math.inf

        others = [k for k, (_, last) in lives.items() if k != self.selected and last >= self.frame]
        return {k: self._life(k, lives[k]) for k in sorted(others, key=distance)}

    def _life(self, track: int, life: tuple[int, int]) -> str:
        return f"{self.edits.label(track)}: frames {life[0]} to {life[1]}"

    def select_next(self, by: int) -> None:
        """The next or the one before in the order of their first frames; the picture goes there."""
        lives = self.session.lives()
        order = sorted(lives, key=lambda track: lives[track])
        if not order:
            return
        at = order.index(self.selected) + by if self.selected in order else (0 if by > 0 else -1)
        self.session.selected.set(order[at % len(order)])
        self.session.seek_track()
