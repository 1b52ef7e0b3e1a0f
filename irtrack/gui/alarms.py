"""The page of alarms: their rules, and a list of the calls."""

from __future__ import annotations

from PySide6.QtWidgets import QFormLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from irtrack.gui.fields import bind, check, number
from irtrack.session.alarms import Alarm, AlarmRules
from irtrack.session.session import Session


class AlarmPanel(QWidget):
    """The rules, and a list of the calls; a click on one goes to its frame."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.on = check(AlarmRules, "on", "Alarm")
        self.sound = check(AlarmRules, "sound", "Sound")
        self.snapshot = check(AlarmRules, "snapshot", "Snapshot")
        self.speed = number(AlarmRules, "speed_px_s", "Speed from", 10_000, off=True)
        self.snr = number(AlarmRules, "snr", "SNR from", 1000, off=True)
        self.holdoff = number(AlarmRules, "holdoff_s", "Hold-off", 3600, off=True)
        self.list = QListWidget()
        self.list.setAccessibleName("Alarms so far")
        self.list.setToolTip("Alarms so far: click to go to the frame")
        self.list.setMaximumHeight(76)
        self.list.hide()
        form = QFormLayout()
        form.addRow(self.on, self.sound)
        form.addRow("Speed from", self.speed)
        form.addRow("SNR from", self.snr)
        form.addRow("Hold-off", self.holdoff)
        form.addRow(self.snapshot)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.list)
        layout.addStretch(1)
        bind(session.rules, {
            "on": self.on, "speed_px_s": self.speed, "snr": self.snr, "holdoff_s": self.holdoff, "sound": self.sound,
            "snapshot": self.snapshot,
        })  # fmt: skip
        self.list.itemClicked.connect(self._choose)
        self.list.itemActivated.connect(self._choose)  # Enter
        session.results_changed.connect(self.list_all)
        session.passes.alarms_changed.connect(self.list_all)

    def note(self, alarm: Alarm) -> None:
        """Add to the list, the newest first."""
        item = QListWidgetItem(f"{alarm.time_s:8.2f} s  {alarm.text}")
        item.setData(0x100, (alarm.frame, alarm.track_id))
        self.list.insertItem(0, item)
        self.list.show()

    def _choose(self, item: QListWidgetItem) -> None:
        frame, track = item.data(0x100)
        self._session.seek(frame)
        self._session.selected.set(track)

    def list_all(self) -> None:
        """The calls of the results that are shown."""
        self.list.clear()
        self.list.hide()
        for alarm in self._session.store.alarms:
            self.note(alarm)
