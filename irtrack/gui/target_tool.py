"""Adding a target that was missed: a click where it is, and one where it is a little later."""

from __future__ import annotations

from irtrack.core import IrtrackError
from irtrack.gui.badges import Badges
from irtrack.gui.canvas import Canvas
from irtrack.session.byhand import Click
from irtrack.session.session import Session

LATER_S = 0.5
"""After the first click the picture goes on by this, so that the second one tells how the target flies."""


class TargetTool:
    """Takes the clicks from the canvas, and tells the session."""

    def __init__(self, session: Session, canvas: Canvas, badges: Badges) -> None:
        self._session, self._canvas, self._badges = session, canvas, badges
        self._first: Click | None = None
        canvas.placed.connect(self._placed)
        canvas.placing_ended.connect(self._end)
        session.leaving.connect(canvas.end_placing)

    def start(self) -> None:
        """Ask for the two clicks."""
        if self._canvas.result is None:
            return
        self._session.pause()
        self._canvas.end_placing()
        self._canvas.start_placing()
        self._badges.say("Click the target that was missed (Escape gives it up)")

    def _placed(self, x: float, y: float) -> None:
        result, session = self._canvas.result, self._session
        if result is None:
            return
        click = Click(result.frame.index, x, y)
        if self._first is None:
            self._first = click
            self._canvas.show_cross((x, y))
            view = session.view
            if view is not None:
                session.seek(min(click.frame + max(1, round(LATER_S * session.fps)), view.reach[1]))
            self._badges.say("Now click it here, or in any other frame: arrows and seek bar go there")
            return
        try:
            made = session.add_target(self._first, click)
        except IrtrackError as error:
            self._session.failed(str(error))
            return
        self._canvas.end_placing()
        first, last = session.lives()[made]
        self._session.said(f"added by hand in frames {first} to {last}; Ctrl+Z takes it back")

    def _end(self) -> None:
        self._first = None
        self._canvas.show_cross(None)
        self._badges.say("")
