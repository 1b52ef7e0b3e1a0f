"""What the operator does to tracks: naming, marking, judging, joining, cutting, and taking it back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QInputDialog, QMenu, QWidget

from irtrack.core import IrtrackError
from irtrack.gui.words import Words
from irtrack.session.edits import VERDICTS, Edits
from irtrack.session.session import Session


class TrackEditor:
    """Acts on the selected track. Every change can be undone, until another source is opened."""

    def __init__(self, session: Session, parent: QWidget, words: Words) -> None:
        self._session, self._parent, self._words = session, parent, words

    @property
    def selected(self) -> int | None:
        """The track that is selected."""
        return self._session.selected.value

    @property
    def edits(self) -> Edits:
        """As they are now."""
        return self._session.edits.value

    @property
    def frame(self) -> int:
        """The frame on screen, where cuts are made."""
        return self._session.position or 0

    def undo(self) -> None:
        """Take the last change back."""
        self._session.edits.undo()

    def redo(self) -> None:
        """Make it again."""
        self._session.edits.redo()

    def _edit(self, make: Callable[[int], Edits]) -> bool:
        """Of the selected track; whether it could be done."""
        track = self.selected
        if track is None:
            return False
        try:
            edits = make(track)
        except IrtrackError as error:
            self._words.error(str(error))
            return False
        self._session.edits.edit(edits)
        return True

    def rename(self, name: str) -> None:
        self._edit(lambda track: self.edits.renamed(track, name))

    def _edit_all(self, make: Callable[[Edits, int], Edits]) -> None:
        """Of every track that is selected, in one step."""
        self._session.edits.edit(reduce(make, self._session.selection, self.edits))

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
        gone = self._session.selection
        if gone:
            edits = reduce(Edits.without, gone, self.edits)
            self._session.select(None)
            self._session.edits.edit(edits)
            which = f"track {gone[0]} is" if len(gone) == 1 else f"{len(gone)} tracks are"
            self._words.say(f"{which} left out; Ctrl+Z brings {'it' if len(gone) == 1 else 'them'} back")

    def split(self) -> None:
        """Cut the track before the frame on screen: what follows is a track of its own."""
        if self._edit(lambda track: self.edits.split(track, self.frame, self._session.lives())[0]):
            self._words.say(f"track {self.selected} ends before this frame; what follows is another one")

    def cut_tail(self) -> None:
        """Leave out what follows from the frame on screen on."""
        if self._edit(lambda track: self.edits.cut(track, self.frame, self._session.lives())):
            self._words.say(f"track {self.selected} ends before this frame; Ctrl+Z brings its tail back")

    def swap(self, other: int) -> None:
        """Have the selected track and another one change places from the frame on screen on."""
        self._edit(lambda track: self.edits.swapped(track, other, self.frame))

    def merge(self, into: int) -> None:
        """Make the selected track and another one a single track, under the other's number."""
        if self._edit(lambda track: self.edits.joined(track, into, self._session.lives())):
            self._session.selected.set(into)

    def others(self) -> list[tuple[str, int]]:
        """Tracks that the selected one can be merged with, the nearest in time first."""
        lives = self._session.lives()
        if self.selected not in lives:
            return []
        first, last = lives[self.selected]
        apart = {k: max(a - last, first - b) for k, (a, b) in lives.items() if a > last or b < first}
        return [(self._life(k, lives[k]), k) for k in sorted(apart, key=lambda k: apart[k])]

    def _life(self, track: int, life: tuple[int, int]) -> str:
        return f"{self.edits.label(track)}: frames {life[0]} to {life[1]}"

    def _ask_other(self, title: str, question: str, others: list[tuple[str, int]], none: str) -> int | None:
        if not others:
            self._words.say(none)
            return None
        texts = [text for text, _ in others]
        chosen, ok = QInputDialog.getItem(self._parent, title, question, texts, 0, False)
        return dict(others)[chosen] if ok else None

    def _merge_selected(self) -> None:
        """All that are selected, into the one that begins first."""
        lives = self._session.lives()
        into, *others = sorted(self._session.selection, key=lambda track: lives.get(track, (0, 0)))

        def joined(edits: Edits, track: int) -> Edits:
            return edits.joined(track, into, edits.lives(self._session.store.lives()))

        if self._edit(lambda _: reduce(joined, others, self.edits)):
            self._session.select(into)

    def ask_merge(self) -> None:
        """Those that are selected, or the only one with another."""
        if len(self._session.selection) > 1:
            self._merge_selected()
            return
        none = "no other track lives before or after this one"
        into = self._ask_other("Merge tracks", f"Track {self.selected} goes on in, or follows", self.others(), none)
        if into is not None:
            self.merge(into)

    def ask_swap(self) -> None:
        """Of two that are selected with each other, of one with another."""
        lives, beside = self._session.lives(), self._session.beside.value
        if self.selected is None:
            return
        if len(beside) == 1:
            self.swap(*beside)
            return
        others = [(self._life(k, v), k) for k, v in lives.items() if k != self.selected and v[1] >= self.frame]
        none = "no other track lives from this frame on"
        other = self._ask_other("Swap tracks", f"From this frame on, track {self.selected} is", others, none)
        if other is not None:
            self.swap(other)

    def ask_name(self) -> None:
        if self.selected is not None:
            before = self.edits.names.get(self.selected, "")
            name, ok = QInputDialog.getText(self._parent, "Rename track", f"Name of track {self.selected}", text=before)
            if ok:
                self.rename(name)

    def select_next(self, by: int) -> None:
        """The next or the one before in the order of their first frames; the picture goes there."""
        lives = self._session.lives()
        order = sorted(lives, key=lambda track: lives[track])
        if not order:
            return
        at = order.index(self.selected) + by if self.selected in order else (0 if by > 0 else -1)
        self._session.selected.set(order[at % len(order)])
        self._session.seek_track()

    def show_menu(self, at: QPoint, export: Callable[[], None]) -> None:
        """On a right click."""
        if self.selected is None:
            return
        menu = QMenu(self._parent)
        for text, action in (
            ("Rename ...", self.ask_name), ("Star", self.toggle_mark), ("Merge ...", self.ask_merge),
            ("Split here", self.split), ("Cut the tail from here", self.cut_tail),
            ("Swap from here ...", self.ask_swap),
            ("Delete", self.delete), ("To its start", self._session.seek_track), ("Export ...", export),
        ):  # fmt: skip
            menu.addAction(text).triggered.connect(lambda _=False, run=action: run())
        judged = menu.addMenu("It is")
        for verdict in VERDICTS:
            entry = judged.addAction(verdict)
            entry.setCheckable(True)
            entry.setChecked(self.edits.verdicts.get(self.selected) == verdict)
            entry.triggered.connect(partial(self._judge, verdict))
        menu.popup(at)

    def _judge(self, verdict: str, checked: bool = False) -> None:
        self.judge(verdict)
