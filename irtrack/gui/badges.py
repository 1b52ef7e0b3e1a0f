"""Words on the picture that must not be overlooked: recording, and a picture that is no longer live."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from irtrack.session.session import Session

ALARM_MS = 4000
NAMES = {"connecting": "CONNECTING", "stalled": "NO NEW PICTURE", "reconnecting": "CAMERA LOST, CONNECTING AGAIN",
         "closed": "CAMERA CLOSED"}  # fmt: skip


class Badges(QWidget):
    """In the top left corner of the picture."""

    def __init__(self, picture: QWidget) -> None:
        super().__init__(picture)
        self._picture = picture
        self.record, self.stale, self.alarm, self.task = QLabel(), QLabel(), QLabel(), QLabel()
        self.task.setObjectName("stale")
        self.task.setAccessibleName("What to click")
        self.alarm.setObjectName("record")
        self.alarm.setAccessibleName("Alarm")
        self._silence = QTimer(self, singleShot=True, interval=ALARM_MS)
        self._silence.timeout.connect(self._end_call)
        self.record.setObjectName("record")
        self.record.setAccessibleName("Recording")
        self.stale.setObjectName("stale")
        self.stale.setAccessibleName("State of the camera")
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 10, 10, 10)
        for label in (self.record, self.stale, self.alarm, self.task):
            row.addWidget(label)
            label.hide()
        self._fit()

    def _fit(self) -> None:
        """As wide as its words, or as the picture: then the words go on in further lines."""
        labels, room = (self.record, self.stale, self.alarm, self.task), self._picture.width()
        for label in labels:
            label.setWordWrap(False)
        if self.sizeHint().width() <= room:
            self.adjustSize()
            return
        for label in labels:
            label.setWordWrap(True)
        self.resize(room, self.heightForWidth(room))

    def say(self, text: str) -> None:
        """What is to be clicked next; nothing takes it away."""
        self.task.setText(text)
        self.task.setVisible(bool(text))
        self._fit()

    def call(self, text: str) -> None:
        """An alarm, for some seconds."""
        self.alarm.setText(f"ALARM: {text}")
        self.alarm.show()
        self._silence.start()
        self._fit()

    def _end_call(self) -> None:
        self.alarm.hide()
        self._fit()

    def show_state(self, session: Session, recording_s: float | None) -> None:
        """`recording_s`: seconds since a recording began, None where none runs."""
        self.record.setVisible(recording_s is not None)
        if recording_s is not None:
            minutes, seconds = divmod(int(recording_s), 60)
            self.record.setText(f"\u25cf REC {minutes:02d}:{seconds:02d}")
        state, age = session.camera_state, session.stale_s
        name = NAMES.get(state) if session.live else None
        if session.live and not session.playing and name is None:
            name, age = "HELD", None
        self.stale.setVisible(name is not None)
        if name is not None:
            self.stale.setText(f"{name}, {age:.0f} s old" if age is not None else name)
        self._fit()
