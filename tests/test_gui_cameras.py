"""The camera dialog, the state of a live camera on the picture, and recording from the window, with a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mjpeg import Mjpeg
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from irtrack.capture import open_source
from irtrack.capture import reconnect as reconnecting
from irtrack.capture.camera import FoundCamera
from irtrack.core import Frame
from irtrack.gui.cameras import CameraDialog
from irtrack.gui.window import MainWindow


@pytest.fixture
def camera() -> Iterator[Mjpeg]:
    made = Mjpeg()
    yield made
    made.close()


def wait(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=60_000)


def dialog_of(qtbot: QtBot, remembered: tuple[str, ...] = ()) -> CameraDialog:
    found = [FoundCamera("camera:0", "Thermal", ("Y16", "YUYV"))]
    made = CameraDialog(None, remembered, lambda: found)
    qtbot.addWidget(made)
    made.show()
    wait(qtbot, lambda: made.search.isEnabled())
    return made


def test_the_dialog_lists_tests_and_connects(qtbot: QtBot, camera: Mjpeg) -> None:
    dialog = dialog_of(qtbot, (camera.url, "camera:0"))
    texts = [dialog.list.item(i).text() for i in range(dialog.list.count())]
    assert [t.split()[-1] for t in texts] == ["camera:0", "camera:0,format=Y16", camera.url]
    assert not dialog.connect_button.isEnabled()
    qtbot.mouseClick(
        dialog.list.viewport(), Qt.MouseButton.LeftButton, pos=dialog.list.visualItemRect(dialog.list.item(2)).center()
    )
    assert dialog.field.text() == camera.url
    qtbot.mouseClick(dialog.test_button, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: "160x128, 8 bits" in dialog.state.text())
    assert dialog.picture.pixmap().width() > 100
    qtbot.mouseClick(dialog.connect_button, Qt.MouseButton.LeftButton)
    assert dialog.source == camera.url
    assert not dialog.isVisible()


def test_the_dialog_begins_in_the_address_and_says_that_nothing_was_found(qtbot: QtBot) -> None:
    dialog = CameraDialog(None, ("camera:7",), find=list)
    qtbot.addWidget(dialog)
    dialog.show()
    wait(qtbot, dialog.search.isEnabled)
    assert dialog.focusWidget() is dialog.field
    qtbot.keyClicks(dialog.focusWidget(), "camera:9")
    assert dialog.connect_button.isEnabled()
    texts = [dialog.list.item(i).text() for i in range(dialog.list.count())]
    assert texts[0].startswith("no camera was found")
    assert texts[1:] == ["used before   camera:7"]
    assert not dialog.list.item(0).flags() & Qt.ItemFlag.ItemIsSelectable
    qtbot.mouseDClick(
        dialog.list.viewport(), Qt.MouseButton.LeftButton, pos=dialog.list.visualItemRect(dialog.list.item(0)).center()
    )
    assert dialog.isVisible()
    assert dialog.field.text() == "camera:9"
    dialog.close()


def test_what_cannot_be_connected_is_said_in_the_dialog(qtbot: QtBot, camera: Mjpeg, clip: Path) -> None:
    dialog = dialog_of(qtbot)
    for text, expected in (
        (camera.url.replace("video", "none").replace("//", "//me:hidden@"), "cannot connect"),
        (str(clip), "is a recording"),
        ("nonsense://x", "unknown kind of stream"),
    ):
        dialog.field.setText(text)
        qtbot.mouseClick(dialog.test_button, Qt.MouseButton.LeftButton)
        wait(qtbot, lambda e=expected: e in dialog.state.text())  # type: ignore[misc]
        assert "hidden" not in dialog.state.text()
    dialog.reject()


def test_a_camera_that_stalls_and_comes_back_is_shown(
    qtbot: QtBot, window: MainWindow, camera: Mjpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnecting, "FIRST_WAIT_S", 0.2)
    window.open(camera.url)
    wait(qtbot, lambda: window.session.camera_state == "live" and (window.session.position or 0) > 5)
    assert not window.badges.stale.isVisible()
    assert window.session.preferences.cameras == (camera.url,)
    camera.silent = True
    wait(qtbot, lambda: window.badges.stale.isVisible())
    assert "NO NEW PICTURE" in window.badges.stale.text()
    wait(qtbot, lambda: "CONNECTING AGAIN" in window.badges.stale.text())
    camera.silent = False
    wait(qtbot, lambda: not window.badges.stale.isVisible())
    assert window.session.camera_state == "live"


def test_recording_a_camera(qtbot: QtBot, window: MainWindow, camera: Mjpeg, tmp_path: Path) -> None:
    from dataclasses import replace

    window.session.preferences = replace(window.session.preferences, recordings=str(tmp_path))
    assert not window.menus.record.isEnabled()
    window.open(camera.url)
    wait(qtbot, lambda: (window.session.position or 0) > 20)
    window._refresh()
    qtbot.keyClick(window, "r", Qt.KeyboardModifier.ControlModifier)
    wait(qtbot, window.badges.record.isVisible)
    assert window.menus.record.isChecked()
    wait(qtbot, lambda: "00:01" in window.badges.record.text())
    qtbot.keyClick(window, "r", Qt.KeyboardModifier.ControlModifier)
    wait(qtbot, lambda: not window.badges.record.isVisible())
    (path,) = tmp_path.glob("irtrack-*.mkv")
    frames: list[Frame] = list(open_source(str(path)))
    assert len(frames) > 40  # what was held before the key and a second or more after it
    window.outputs.toggle_recording()
    at = window.session.position or 0
    wait(qtbot, lambda: (window.session.position or 0) > at + 5)
    window.close()
    assert len(list(tmp_path.glob("irtrack-*.mkv"))) == 2


def test_a_recording_that_cannot_be_written_is_said(
    qtbot: QtBot, window: MainWindow, camera: Mjpeg, tmp_path: Path
) -> None:
    from dataclasses import replace

    window.session.preferences = replace(window.session.preferences, recordings=str(tmp_path / "nowhere"))
    window.open(camera.url)
    wait(qtbot, lambda: (window.session.position or 0) > 2)
    window.outputs.toggle_recording()
    assert window.banner.isVisible()
    assert "nowhere" in window.banner.text()
    assert not window.session.recording.on


def test_a_simulated_camera_has_latency_plots_and_a_log(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    window.side.tabs.setCurrentWidget(window.side.track)
    window.open("simcam:sky,width=160,height=128,targets=3,scr=14,frames=90")
    wait(qtbot, lambda: window.side.table.rowCount() >= 1)
    window.session.selected.set(window.side.table.row(0).id)
    wait(qtbot, lambda: "latency" in window.status._rates.text())
    wait(qtbot, lambda: len(window.side.track.plots.curves["snr"].getData()[0]) > 5)
    assert window.transport.live_button.isHidden()
    assert window.transport.seek_bar.maximum() > 0  # back through what is kept
    window.outputs.export(tmp_path / "live.csv")
    assert len((tmp_path / "live.csv").read_text().splitlines()) > 5
    assert not window.menus.needs_recording[0].isEnabled()  # a camera cannot be read a second time for a video
    assert window.session.preferences.cameras[0].startswith("simcam:")


def test_a_camera_that_changes_its_size_goes_on_in_the_window_and_in_a_second_recording(
    qtbot: QtBot, window: MainWindow, camera: Mjpeg, tmp_path: Path
) -> None:
    from dataclasses import replace

    window.session.preferences = replace(window.session.preferences, recordings=str(tmp_path))
    window.open(camera.url)
    wait(qtbot, lambda: (window.session.position or 0) > 5)
    window.outputs.toggle_recording()
    camera.size = (320, 256)
    wait(qtbot, lambda: window.canvas.result is not None and window.canvas.result.frame.image.shape == (256, 320))
    at = window.session.position or 0
    wait(qtbot, lambda: (window.session.position or 0) > at + 10)
    assert window.grab().save(str(tmp_path / "changed.png"))
    window.outputs.toggle_recording()
    assert not window.banner.isVisible()
    assert any("from 160x128 pixels" in text for text in window.status._said)
    names = sorted(p.name.partition("irtrack-")[2][15:] for p in tmp_path.glob("irtrack-*.mkv"))
    assert names == [".mkv", ".part2.mkv"]
    shapes = [{f.image.shape for f in open_source(str(p))} for p in sorted(tmp_path.glob("irtrack-*.mkv"))]
    assert shapes == [{(128, 160)}, {(256, 320)}]
