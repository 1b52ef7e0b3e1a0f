"""What is asked of the operator who edits tracks: which other one, what name."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtWidgets import QInputDialog, QWidget

from irtrack.session.editor import Editor
from irtrack.session.session import Session


class TrackEditor(Editor):
    """Asks where more is to be known than what is selected."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(session)
        self._parent = parent

    def _ask_other(self, title: str, question: str, others: Mapping[int, str], none: str) -> int | None:
        if not others:
            self.session.said(none)
            return None
        chosen, ok = QInputDialog.getItem(self._parent, title, question, list(others.values()), 0, False)
        return next(track for track, text in others.items() if text == chosen) if ok else None

    def ask_merge(self) -> None:
        """Those that are selected, or the only one with another."""
        if len(self.session.selection) > 1:
            self.merge()
            return
        none = "no other track lives before or after this one"
        into = self._ask_other("Merge tracks", f"Track {self._label()} and this one are one:", self.apart(), none)
        if into is not None:
            self.merge(into)

    def ask_swap(self) -> None:
        """Of two that are selected with each other, of one with another."""
        beside = self.session.beside.value
        if self.selected is None:
            return
        if len(beside) == 1:
            self.swap(*beside)
            return
        none = "no other track lives from this frame on"
        question = f"From this frame on, track {self._label()} changes places with"
        other = self._ask_other("Swap tracks", question, self.still_there(), none)
        if other is not None:
            self.swap(other)

    def ask_name(self) -> None:
        if self.selected is not None:
            before = self.edits.names.get(self.selected, "")
            name, ok = QInputDialog.getText(self._parent, "Rename track", f"Name of track {self.selected}", text=before)
            if ok:
                self.rename(name)
