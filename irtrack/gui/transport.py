"""The transport: the seek bar over the whole width; under it play, step, speed, loop, part, and what is analysed."""

from __future__ import annotations

from datetime import timedelta

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from irtrack.core import Frame
from irtrack.gui.controls import small_button
from irtrack.gui.fields import Elided
from irtrack.gui.seekbar import SeekBar
from irtrack.gui.theme import pause_icon, play_icon, step_icon
from irtrack.session.course import Course, course_of
from irtrack.session.playback import Playback
from irtrack.session.session import Session
from irtrack.session.standing import clock_text, notice_of

SPEEDS: dict[str, float | None] = {
    "1/8x": 0.125, "1/4x": 0.25, "1/2x": 0.5, "1x": 1.0, "2x": 2.0, "4x": 4.0, "8x": 8.0, "Every frame": None,
}  # fmt: skip
"""Times real time; the last shows every frame as soon as it is analysed."""


class Transport(QWidget):
    """Acts on the session's view, and shows where it stands."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._from_set = self._to_set = False
        self.play_button = button(play_icon(), "Play or pause (Space)")
        self.back_button = button(step_icon(False), "One frame back (Left)")
        self.forward_button = button(step_icon(True), "One frame on (Right)")
        self.seek_bar = SeekBar()
        self.time_label = QLabel()
        self.time_label.setObjectName("time")
        self.notice = Elided()
        self.notice.setAccessibleName("Progress of the analysis")
        self.notice.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.again_button = QPushButton("Analyse again")
        self.again_button.setToolTip("Go through the recording once more with what is chosen now (Ctrl+Shift+A)")
        self.again_button.setStyleSheet("padding: 2px 8px")
        self.speed_box = QComboBox()
        self.speed_box.addItems(list(SPEEDS))
        self.speed_box.setCurrentText("1x")
        self.speed_box.setToolTip("Speed; Every frame: as soon as it is analysed")
        self.speed_box.setAccessibleName("Speed")
        self.loop_button = small_button("Loop", "Start over at the end (L)", checkable=True)
        self.from_button = small_button("A", "Play from this frame on ([)", checkable=True)
        self.to_button = small_button("B", "Play up to this frame (])", checkable=True)
        self.live_button = small_button("Live", "Back to the newest picture (End)")
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(8, 0, 8, 4)
        left: tuple[QWidget, ...] = (self.back_button, self.play_button, self.forward_button, self.time_label)
        for widget in left:
            row.addWidget(widget)
        row.addSpacing(6)
        row.addWidget(self.notice, 1)
        for widget in (
            self.again_button, self.live_button, self.from_button, self.to_button, self.loop_button, self.speed_box,
        ):  # fmt: skip
            row.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.seek_bar)
        column.addLayout(row)

    def _connect(self) -> None:
        s = self._session
        self.play_button.clicked.connect(s.toggle_play)
        self.back_button.clicked.connect(lambda: s.step(-1))
        self.forward_button.clicked.connect(lambda: s.step(1))
        self.live_button.clicked.connect(s.play)
        self.again_button.clicked.connect(s.analyse_again)
        self.seek_bar.valueChanged.connect(s.seek)
        self.seek_bar.track_picked.connect(s.selected.set)
        self.speed_box.currentTextChanged.connect(lambda _: self._set_speed())
        self.loop_button.toggled.connect(self._set_loop)
        for part in (self.from_button, self.to_button):
            part.toggled.connect(lambda _: self._set_span())
        s.opened_one.connect(lambda _: self._opened())

    # -- what is chosen here --------------------------------------------------------------------------------------

    def _opened(self) -> None:
        """Another source: its view takes over what is chosen."""
        self.from_button.setChecked(False)
        self.to_button.setChecked(False)
        self._set_speed()
        self._set_loop(self.loop_button.isChecked())
        self.refresh()

    def _set_speed(self) -> None:
        if isinstance(self._session.view, Playback):
            self._session.view.set_speed(SPEEDS[self.speed_box.currentText()])

    def change_speed(self, by: int) -> None:
        """To the next speed of the list."""
        box = self.speed_box
        box.setCurrentIndex(max(0, min(box.currentIndex() + by, box.count() - 1)))

    def _set_loop(self, on: bool) -> None:
        if isinstance(self._session.view, Playback):
            self._session.view.loop = on

    def _set_span(self) -> None:
        """A and B take the frame on screen when they are pressed and let go of it when released."""
        view = self._session.view
        if not isinstance(view, Playback):
            return
        at, before = view.position, view.span
        first = (before[0] if before and self._from_set else at) if self.from_button.isChecked() else None
        last = (before[1] if before and self._to_set else at) if self.to_button.isChecked() else None
        self._from_set, self._to_set = self.from_button.isChecked(), self.to_button.isChecked()
        view.set_span(first, last)
        self.refresh()

    def ask_time(self) -> None:
        """Go to a time."""
        session = self._session
        if session.live or session.frames is None:
            return
        longest = (session.frames - 1) / session.fps
        title = f"Seconds (0 to {longest:.2f})"
        seconds, ok = QInputDialog.getDouble(self, "To a time", title, 0.0, 0.0, longest, 2)
        if ok:
            session.seek_time(seconds)

    # -- what is shown here ---------------------------------------------------------------------------------------

    def show_position(self, frame: Frame) -> None:
        """The frame on screen."""
        session, total = self._session, self._session.frames
        with QSignalBlocker(self.seek_bar):
            if frame.index > self.seek_bar.maximum():
                self.seek_bar.setMaximum(frame.index)
            self.seek_bar.setValue(frame.index)
        self.seek_bar.update()
        of = f" / {total - 1}" if total else ""
        moment = f"{frame.time_s:8.2f} s"
        if session.started is not None:
            moment = f"{session.started + timedelta(seconds=frame.time_s):%H:%M:%S} UTC"
        self.time_label.setText(f"{frame.index}{of}   {moment}")

    def refresh(self) -> None:
        """What can be done now, and how far the analysis is."""
        session, view = self._session, self._session.view
        opened = view is not None
        self.play_button.setIcon(pause_icon() if session.playing else play_icon())
        for widget in (self.play_button, self.back_button, self.forward_button, self.seek_bar):
            widget.setEnabled(opened)
        for box in (self.speed_box, self.loop_button, self.from_button, self.to_button):
            box.setVisible(not session.live)
            box.setEnabled(opened)
        self.live_button.setVisible(session.live and not session.playing)
        self.again_button.setVisible(bool(session.changed_since) or session.before is not None)
        about = clock_text(session.again_s)
        self.again_button.setText(f"Analyse again (about {about})" if about else "Analyse again")
        self.notice.show_text(notice_of(session))
        if view is None:
            self.seek_bar.show_course(Course(), (0, 0))
            self.time_label.setText("")
            return
        self.seek_bar.show_course(course_of(session), view.reach)


def button(icon: QIcon, tip: str) -> QToolButton:
    """A button with a drawn icon."""
    made = QToolButton()
    made.setIcon(icon)
    made.setToolTip(tip)
    made.setAccessibleName(tip.split(" (")[0])
    return made
