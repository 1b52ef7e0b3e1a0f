"""Alarms: which tracks call for attention, once each, with a hold-off between calls."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from irtrack.config import Checked, Polygon, option
from irtrack.core import FrameResult, Track
from irtrack.imaging.regions import contain

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AlarmRules(Checked):
    """When to call."""

    on: bool = option(False, "call for new confirmed tracks")
    speed_px_s: float = option(0.0, "that fly at least this fast", unit="px/s", low=0.0)
    snr: float = option(0.0, "and stand out at least this much", low=0.0)
    holdoff_s: float = option(3.0, "not more often than this", unit="s", low=0.0)
    sound: bool = option(True, "with a sound")
    snapshot: bool = option(False, "and a snapshot in the folder for recordings")


@dataclass(frozen=True, slots=True)
class Alarm:
    """A call: which track, in which frame, and why."""

    track_id: int
    frame: int
    time_s: float
    text: str


class Alarms:
    """Call with each result that is shown; gives the alarm that it raises, if any."""

    def __init__(self) -> None:
        self.rules = AlarmRules()
        self.area: tuple[Polygon, ...] = ()
        """If there are any, only tracks inside call."""
        self.reset()

    def reset(self) -> None:
        """Another source: nothing has been called for yet."""
        self._called: set[int] = set()
        self._quiet_until = -math.inf

    def __call__(self, result: FrameResult) -> Alarm | None:
        if not self.rules.on:
            return None
        new = [t for t in result.tracks if t.confirmed and t.id not in self._called and self._calls(t)]
        self._called |= {t.id for t in new}
        time_s = result.frame.time_s
        if not new or self._quiet_until - time_s >= 0:
            return None
        self._quiet_until = time_s + self.rules.holdoff_s
        first = max(new, key=lambda t: t.snr if t.snr == t.snr else 0.0)
        others = f" and {len(new) - 1} more" if len(new) > 1 else ""
        log.info("alarm at %.2f s: track %d%s", time_s, first.id, others)
        return Alarm(first.id, result.frame.index, time_s, f"track {first.id}{others}, SNR {first.snr:.0f}")

    def _calls(self, track: Track) -> bool:
        speed = math.hypot(*track.velocity_px_s.tolist())
        enough = speed >= self.rules.speed_px_s and not track.snr < self.rules.snr
        return enough and (not self.area or contain(self.area, *track.xy_px.tolist()))


class AlarmPanel(QWidget):
    """The rules, and a list of the calls; a click on one goes to its frame."""

    rules_changed = Signal(AlarmRules)
    chosen = Signal(int, int)

    def __init__(self, rules: AlarmRules) -> None:
        super().__init__()
        self.on = QCheckBox("New track")
        self.on.setToolTip("Call when a new track is confirmed")
        self.sound = QCheckBox("Sound")
        self.sound.setToolTip("Beep at an alarm")
        self.snapshot = QCheckBox("Snapshot")
        self.snapshot.setToolTip("Save the annotated picture at an alarm, in the folder for recordings")
        self.speed = self._number("Only tracks at least this fast, px/s", 10_000)
        self.snr = self._number("Only tracks that stand out at least this much (SNR)", 1000)
        self.holdoff = self._number("Seconds between two alarms", 3600)
        self.list = QListWidget()
        self.list.setAccessibleName("Alarms so far")
        self.list.setToolTip("Alarms so far: click to go to the frame")
        self.list.setMaximumHeight(76)
        self.list.hide()
        form = QFormLayout()
        form.addRow(self.on, self.sound)
        form.addRow("Speed from", self.speed)
        form.addRow("SNR from", self.snr)
        form.addRow("Hold-off s", self.holdoff)
        form.addRow(self.snapshot)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.list)
        layout.addStretch(1)
        self.show_rules(rules)
        for box in (self.on, self.sound, self.snapshot):
            box.toggled.connect(self._tell)
        for field in (self.speed, self.snr, self.holdoff):
            field.valueChanged.connect(self._tell)
        self.list.itemClicked.connect(self._choose)

    def _number(self, tip: str, most: float) -> QDoubleSpinBox:
        made = QDoubleSpinBox()
        made.setRange(0, most)
        made.setDecimals(1)
        made.setToolTip(tip)
        made.setAccessibleName(tip)
        return made

    def show_rules(self, rules: AlarmRules) -> None:
        """Take over rules."""
        self.on.setChecked(rules.on)
        self.sound.setChecked(rules.sound)
        self.snapshot.setChecked(rules.snapshot)
        self.speed.setValue(rules.speed_px_s)
        self.snr.setValue(rules.snr)
        self.holdoff.setValue(rules.holdoff_s)

    def rules(self) -> AlarmRules:
        """As the widgets say."""
        return AlarmRules(
            self.on.isChecked(), self.speed.value(), self.snr.value(), self.holdoff.value(), self.sound.isChecked(),
            self.snapshot.isChecked(),
        )  # fmt: skip

    def _tell(self) -> None:
        self.rules_changed.emit(self.rules())

    def note(self, alarm: Alarm) -> None:
        """Add to the list, the newest first."""
        item = QListWidgetItem(f"{alarm.time_s:8.2f} s  {alarm.text}")
        item.setData(0x100, (alarm.frame, alarm.track_id))
        self.list.insertItem(0, item)
        self.list.show()

    def _choose(self, item: QListWidgetItem) -> None:
        self.chosen.emit(*item.data(0x100))

    def clear(self) -> None:
        """Another source."""
        self.list.clear()
        self.list.hide()
