"""What the operator does to tracks: naming, marking, deleting, merging, and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QInputDialog, QMenu

from irtrack.core import IrtrackError
from irtrack.gui.edits import Edits

if TYPE_CHECKING:
    from irtrack.gui.window import MainWindow


class TrackEditor:
    """Acts on the marked track of the window. Every change can be undone, until another source is opened."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._past: list[Edits] = []
        panel = window.side.track
        panel.renamed.connect(self.rename)
        panel.marked.connect(self.mark)
        panel.merge_wanted.connect(self.ask_merge)
        panel.deleted.connect(self.delete)
        panel.export_wanted.connect(window.ask_export_marked)
        window.side.menu_wanted.connect(self.show_menu)

    @property
    def marked(self) -> int | None:
        """The track that is marked on screen."""
        return self._window.canvas.selected

    def reset(self) -> None:
        """Another source."""
        self._past.clear()

    def _set(self, edits: Edits) -> None:
        player = self._window.player
        if edits != player.edits:
            self._past.append(player.edits)
            player.edits = edits
            self._window.show_again()

    def undo(self) -> None:
        """Take the last change back."""
        if self._past:
            self._window.player.edits = self._past.pop()
            self._window.show_again()

    def rename(self, name: str) -> None:
        if self.marked is not None:
            self._set(self._window.player.edits.renamed(self.marked, name))

    def mark(self, on: bool) -> None:
        if self.marked is not None:
            self._set(self._window.player.edits.with_mark(self.marked, on))

    def delete(self) -> None:
        if self.marked is not None:
            track = self.marked
            self._window.canvas.selected = None
            self._set(self._window.player.edits.without(track))
            self._window.status.say(f"track {track} is left out; Ctrl+Z brings it back")

    def merge(self, into: int) -> None:
        """Make the marked track and another one a single track, under the other's number."""
        if self.marked is None:
            return
        player = self._window.player
        try:
            edits = player.edits.joined(self.marked, into, player.edits.lives(player.store.lives()))
        except IrtrackError as error:
            self._window.show_error(str(error))
            return
        self._window.canvas.selected = into
        self._set(edits)

    def others(self) -> list[tuple[str, int]]:
        """Tracks that the marked one can be merged with, the nearest in time first."""
        player = self._window.player
        lives = player.edits.lives(player.store.lives())
        if self.marked not in lives:
            return []
        first, last = lives[self.marked]
        apart = {k: max(a - last, first - b) for k, (a, b) in lives.items() if a > last or b < first}
        return [
            (f"{player.edits.label(k)}: frames {lives[k][0]} to {lives[k][1]}", k)
            for k in sorted(apart, key=lambda k: apart[k])
        ]

    def ask_merge(self) -> None:
        others = self.others()
        if not others:
            self._window.status.say("no other track lives before or after this one")
            return
        texts = [text for text, _ in others]
        chosen, ok = QInputDialog.getItem(
            self._window, "Merge tracks", f"Track {self.marked} goes on in, or follows", texts, 0, False
        )
        if ok:
            self.merge(dict(others)[chosen])

    def ask_name(self) -> None:
        if self.marked is not None:
            before = self._window.player.edits.names.get(self.marked, "")
            name, ok = QInputDialog.getText(self._window, "Rename track", f"Name of track {self.marked}", text=before)
            if ok:
                self.rename(name)

    def toggle_mark(self) -> None:
        if self.marked is not None:
            self.mark(self.marked not in self._window.player.edits.marked)

    def show_menu(self, at: QPoint) -> None:
        """On a right click."""
        if self.marked is None:
            return
        menu = QMenu(self._window)
        for text, action in (
            ("Rename ...", self.ask_name), ("Mark with a star", self.toggle_mark), ("Merge ...", self.ask_merge),
            ("Delete", self.delete), ("To its start", self._window.seek_track),
            ("Export ...", self._window.ask_export_marked),
        ):  # fmt: skip
            menu.addAction(text).triggered.connect(lambda _=False, run=action: run())
        menu.popup(at)
