"""Alarms: who calls, how often, and what the window does then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_window
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from test_gui_picture import track

from irtrack.core import Detections, Frame, FrameResult, Track
from irtrack.gui.window import MainWindow
from irtrack.session.alarms import AlarmRules, Alarms


def result(time_s: float, *tracks: Track) -> FrameResult:
    image = np.zeros((64, 80), np.uint8)
    frame = Frame(round(time_s * 30), time_s, image)
    return FrameResult(frame, Detections.empty(np.zeros(image.shape, bool)), tracks, {})


def test_each_track_calls_once_and_not_too_often() -> None:
    alarms = Alarms()
    assert alarms(result(0.0, track(1, 5, 5))) is None
    alarms.rules = AlarmRules(on=True, holdoff_s=2.0)
    first = alarms(result(1.0, track(1, 5, 5), track(2, 9, 9)))
    assert first is not None
    assert first.text == "track 1 and 1 more, SNR 8"
    assert alarms(result(1.5, track(1, 5, 5))) is None
    assert alarms(result(2.0, track(3, 5, 5))) is None  # held off, and not made up for
    assert alarms(result(4.0, track(3, 5, 5))) is None
    later = alarms(result(5.0, track(3, 5, 5), track(4, 5, 5)))
    assert later is not None
    assert (later.track_id, later.frame) == (4, 150)
    alarms.reset()
    assert alarms(result(0.5, track(1, 5, 5))) is not None


def test_rules_on_speed_and_brightness() -> None:
    alarms = Alarms()
    alarms.rules = AlarmRules(on=True, speed_px_s=50.0, snr=7.0, holdoff_s=0.0)
    assert alarms(result(0, track(1, 5, 5, (20, 20)))) is None
    assert alarms(result(1, replace(track(2, 5, 5, (90, 0)), snr=5.0))) is None
    assert alarms(result(2, track(1, 5, 5, (60, 20)))) is not None  # it has become fast enough
    assert alarms(result(3, replace(track(3, 5, 5, (90, 0)), snr=float("nan")))) is not None  # not known


def test_an_alarm_in_the_window(
    qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beeps: list[int] = []
    monkeypatch.setattr(QApplication, "beep", lambda: beeps.append(1))
    window.session.preferences = replace(window.session.preferences, recordings=str(tmp_path))
    panel = window.side.alarms
    window.side.tabs.setCurrentWidget(panel)
    assert not panel.list.isVisible()
    assert [field.text() for field in (panel.speed, panel.snr, panel.holdoff)] == ["off", "off", "3.0 s"]
    panel.on.setChecked(True)
    panel.snapshot.setChecked(True)
    panel.holdoff.setValue(1.0)
    window.transport.speed_box.setCurrentText("Every frame")
    window.open(str(clip))
    qtbot.waitUntil(lambda: panel.list.count() >= 1, timeout=60_000)
    assert window.badges.alarm.isVisible()
    assert "ALARM: track" in window.badges.alarm.text()
    assert len(beeps) == panel.list.count()
    assert len(list(tmp_path.glob("alarm-*.png"))) == panel.list.count()
    qtbot.waitUntil(lambda: not window.session.playing, timeout=60_000)
    qtbot.waitUntil(lambda: window.session.analysis is not None and window.session.analysis.whole, timeout=60_000)
    item = panel.list.item(panel.list.count() - 1)
    frame, number = item.data(0x100)
    panel.list.scrollToItem(item)
    qtbot.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=panel.list.visualItemRect(item).center())
    qtbot.waitUntil(lambda: window.session.position == frame, timeout=60_000)
    assert window.canvas.selected == number
    window.close()
    again = make_window(qtbot)
    assert again.session.rules.value == AlarmRules(on=True, holdoff_s=1.0, snapshot=True)
    assert again.side.alarms.on.isChecked()
    again.close()
