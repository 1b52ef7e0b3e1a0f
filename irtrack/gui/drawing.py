"""What is drawn, and when: the picture when it changes, tables and figures some times a second."""

from __future__ import annotations

from PySide6.QtCore import QPoint

from irtrack.core import Track
from irtrack.gui.badges import Badges
from irtrack.gui.canvas import Canvas
from irtrack.gui.side import SidePanel
from irtrack.gui.status import StatusLine
from irtrack.gui.transport import Transport
from irtrack.session.picture import Picture
from irtrack.session.session import Session
from irtrack.session.why import nearest, why_none

TABLE_S = 0.2
MANY, MANY_TABLE_S = 50, 0.5
"""With so many rows the table is renewed less often: nobody reads them faster."""

REST = 5.0
"""Between two renewals the picture has so many times what one takes: of thousands of tracks that is long."""


class Drawing:
    """Brings the session's picture and figures to the parts that show them."""

    def __init__(
        self,
        session: Session,
        canvas: Canvas,
        badges: Badges,
        transport: Transport,
        side: SidePanel,
        status: StatusLine,
    ) -> None:
        self._session, self.canvas, self.badges = session, canvas, badges
        self.transport, self.side, self.status = transport, side, status
        self._next = 0.0
        session.edits.changed.connect(lambda _: self.draw_again())
        session.selected.changed.connect(self.select)
        session.shown.changed.connect(canvas.set_shown)
        session.display.changed.connect(canvas.set_display)
        session.scores.changed.connect(self._show_scores)
        side.display.lock_changed.connect(self._lock_gain)
        side.tabs.currentChanged.connect(lambda _: self.show_side())
        canvas.hovered.connect(self._hover)
        canvas.picked.connect(self._pick)
        canvas.menu_wanted.connect(self._select_for_menu)
        canvas.dragged.connect(lambda: session.following.set(False))
        canvas.entered_key.connect(session.follow)
        session.following.changed.connect(self._follow)
        canvas.overlays.label_of = lambda track: session.edits.value.label(track)
        canvas.set_display(session.display.value)
        canvas.set_shown(session.shown.value)

    def due(self, now: float) -> bool:
        """Whether it is time for tables and figures."""
        if now < self._next:
            return False
        self._next = now + (TABLE_S if self.side.table.rowCount() < MANY else MANY_TABLE_S)
        return True

    def renewed(self, since: float, now: float) -> None:
        """Tables and figures were brought up to date between these moments."""
        self._next = max(self._next, now + REST * (now - since))

    def select(self, track: int | None) -> None:
        """Another track is selected."""
        self.canvas.selected = track
        self.canvas.redraw()
        self.show_side()

    def confirmed(self) -> list[Track]:
        """Tracks of the frame on screen."""
        result = self.canvas.result
        return [t for t in result.tracks if t.confirmed] if result else []

    def _pick(self, x: float, y: float) -> None:
        """Select the track at a place; of what is none there, say why."""
        near = nearest(self.confirmed(), x, y)
        self._session.select(near.id if near is not None else None)
        shown, session = self.canvas.result, self._session
        if near is None and shown is not None:
            said = why_none(x, y, shown, session.store, session.edits.value, bool(session.older))
            if said:
                self.status.say(said)

    def _select_for_menu(self, x: float, y: float, at: QPoint) -> None:
        """What the menu of a track is asked for at a place; tracks that are selected stay so."""
        near = nearest(self.confirmed(), x, y)
        if near is not None:
            if near.id not in self._session.selection:
                self._session.select(near.id)
            self.side.tracks.menu_wanted.emit(at)

    def draw(self, picture: Picture | None) -> None:
        """A picture, if there is another one."""
        if picture is None:
            return
        self.canvas.overlays.fps = self._session.fps
        self._follow()
        self.canvas.show_result(picture.result, picture.age_s)
        self.status.drew(picture)
        self.transport.show_position(picture.result.frame)
        if not self._session.playing:
            self.show_side()

    def _follow(self, on: bool = True) -> None:
        """Where the view keeps to the selected track, have that in the middle."""
        session = self._session
        if on and session.following.value and session.picture is not None:
            there = (t for t in session.picture.result.tracks if t.id == session.selected.value)
            if (track := next(there, None)) is not None:
                self.canvas.follow(*track.xy_px.tolist())

    def draw_again(self) -> None:
        """The frame on screen, after edits."""
        self.draw(self._session.present())
        self.show_side()
        self.transport.refresh()

    def show_side(self) -> None:
        """Table, plots and histogram; the parts that can be seen."""
        result, selected, session = self.canvas.result, self.canvas.selected, self._session
        self.side.tracks.show_tracks(self.confirmed())
        if self.side.track.isVisible():
            parts = session.series(selected) if selected is not None else []
            now_s = result.frame.time_s if result else None
            self.side.track.show_track(selected, session.edits.value, parts, now_s)
        if self.side.display.isVisible() and result is not None:
            self.side.display.histogram.show_counts(result.frame.image, self.canvas.agc.levels)

    def refresh(self, recording_s: float | None = None) -> None:
        """Where the view and the analysis stand. `recording_s`: seconds since a recording began, if one runs."""
        self.transport.refresh()
        self.badges.show_state(self._session, recording_s)
        self.status.refresh(self._session)

    def _lock_gain(self, locked: bool) -> None:
        self.canvas.agc.lock = locked
        self.canvas.redraw()

    def _show_scores(self, on: bool) -> None:
        self.canvas.show_scores = on
        self.canvas.redraw()

    def _hover(self, x: int, y: int) -> None:
        result = self.canvas.result
        self.status.point(x, y, result.frame if result is not None else None)
