"""What the window writes: pictures plain and annotated, annotated video in the background; names that are free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import hold, newly_opened, open_and_play_to, seen_whole
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QMessageBox
from pytestqt.qtbot import QtBot
from test_session import SCENE

from irtrack.capture import open_source
from irtrack.gui.export_dialog import ExportDialog
from irtrack.gui.window import MainWindow
from irtrack.session.export import new_name
from irtrack.simulate import Scene
from irtrack.sinks.draw import identity_colour


def wait(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=60_000)


def test_annotated_video_in_the_background(qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path) -> None:
    seen_whole(qtbot, window, clip)
    out = tmp_path / "a.mkv"
    window.outputs.export_video(out)
    wait(qtbot, lambda: "wrote" in window.status.currentMessage())
    assert not window.outputs.progress.isVisible()
    source = open_source(str(out))
    assert source.info.frames == 20
    frames = [f.image for f in source]
    source.close()
    assert [f.shape for f in frames] == [(4 * 80, 4 * 96)] * 20  # small frames are enlarged
    capture = cv2.VideoCapture(str(out))
    pictures = [capture.read()[1] for _ in range(20)]
    track = window.canvas.result.tracks[0] if window.canvas.result else None
    assert track is not None
    colour = np.array(identity_colour(track.id)[::-1], float)
    x, y = (track.xy_px * 4).round().astype(int)
    part = pictures[19][max(y - 40, 0) : y + 40, max(x - 40, 0) : x + 40].astype(float)
    assert (np.abs(part - colour).max(2) < 90).sum() > 20  # the box, as far as 4:2:0 leaves its colour
    window.outputs.export_video(out)
    assert "exists" in window.banner.text()


def test_a_cancelled_video_leaves_no_file(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    window.transport.speed_box.setCurrentText("Every frame")
    window.open("sim:sky,width=320,height=256,frames=60,targets=1")
    wait(qtbot, lambda: len(window.session.store) >= 30)
    window.session.pause()
    out = tmp_path / "a.mp4"
    window.outputs.export_video(out)
    wait(qtbot, lambda: window.outputs.progress.isVisible())
    window.outputs.export_video(tmp_path / "b.mp4")
    assert "still being written" in window.banner.text()
    qtbot.mouseClick(window.outputs.progress.cancel, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: "gave up" in window.status.currentMessage())
    assert not out.exists()


def test_opening_another_file_does_not_spoil_a_video(
    qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path
) -> None:
    seen_whole(qtbot, window, clip)
    out = tmp_path / "a.mkv"
    window.outputs.export_video(out)
    window.open("sim:sky,frames=5")
    wait(qtbot, lambda: "wrote" in window.status.currentMessage())
    source = open_source(str(out))
    assert source.info.frames == 20
    source.close()


def test_closing_while_a_video_is_written_is_quick(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    window.transport.speed_box.setCurrentText("Every frame")
    window.open("sim:sky,width=320,height=256,frames=300,targets=1")
    wait(qtbot, lambda: len(window.session.store) >= 20)
    window.outputs.export_video(tmp_path / "a.mkv")
    window.close()


def test_the_plain_picture_is_the_counts(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    open_and_play_to(qtbot, window, "sim:camera16,frames=6", 2)
    hold(qtbot, window)
    result = window.canvas.result
    assert result is not None
    window.outputs.snapshot(tmp_path / "plain.png", plain=True)
    again = cv2.imread(str(tmp_path / "plain.png"), cv2.IMREAD_UNCHANGED)
    assert again.dtype == np.uint16
    assert np.array_equal(again, result.frame.image)


def test_suggested_names_are_free(
    qtbot: QtBot, window: MainWindow, clip: Path, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_whole(qtbot, window, clip)
    window.session.preferences = replace(window.session.preferences, recordings=str(tmp_path))
    asked: list[str] = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (asked.append(a[2]), (a[2], ""))[1])
    for _ in range(3):
        qtbot.keyClick(window, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(window, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    dialog = window.findChild(ExportDialog)
    asked.append(dialog.name.text())
    dialog.export.click()
    assert len(set(asked)) == 4
    assert all(Path(a).parent == tmp_path for a in asked)
    assert len([p for p in tmp_path.iterdir() if p.is_file()]) == 5  # and what the log is about
    assert not window.banner.isVisible()


def test_a_name_without_its_suffix_gets_it_and_what_is_there_then_is_asked_about(
    qtbot: QtBot, bright_window: MainWindow, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dialog asks about the name that was typed alone."""
    window = bright_window
    seen_whole(qtbot, window, clip)
    typed, answers, questions = ["", ""], list[QMessageBox.StandardButton](), list[str]()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: tuple(typed))
    monkeypatch.setattr(QMessageBox, "question", lambda *a: (questions.append(a[2]), answers.pop(0))[1])
    typed[0] = str(tmp_path / "flight.v2")
    window.outputs.ask_snapshot()
    assert (tmp_path / "flight.v2.png").exists()
    other = tmp_path / "flight.v2.irtrack"
    window.outputs.ask_session()
    wait(qtbot, other.exists)
    window.open(SCENE)
    wait(qtbot, lambda: newly_opened(window, SCENE))
    before = other.read_bytes()
    answers[:] = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    window.outputs.ask_session()
    assert window.outputs._keeping.file is None or window.outputs._keeping.file.path != other
    assert other.read_bytes() == before
    window.outputs.ask_session()
    wait(qtbot, lambda: other.read_bytes() != before)
    assert questions == 2 * [f"{other} exists. Replace it?"]
    typed[:] = [str(tmp_path / "film"), "MP4 (*.mp4)"]
    window.outputs.ask_video()
    wait(qtbot, lambda: window.outputs.video is None)
    assert (tmp_path / "film.mp4").exists()
    assert not window.banner.isVisible()


def test_several_formats_are_exported_at_once_and_replaced_where_that_is_said(
    qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path
) -> None:
    seen_whole(qtbot, window, clip)
    window.session.preferences = replace(window.session.preferences, recordings=str(tmp_path))

    def ask() -> ExportDialog:
        window.outputs.ask_export()
        (dialog,) = (d for d in window.findChildren(ExportDialog) if d.isVisible())
        dialog.name.setText(str(tmp_path / "flight"))
        return dialog

    dialog = ask()
    assert dialog.chosen == ("csv",)
    for name in ("cvat", "trackmate", "video"):
        dialog.boxes[name].setChecked(True)
    assert not dialog.replace.isVisible()
    dialog.export.click()
    names = ("flight.csv", "flight.trackmate.csv", "flight.xml", "flight.mkv")
    wait(qtbot, lambda: window.outputs.video is None)
    assert all((tmp_path / name).stat().st_size > 100 for name in names)
    written = (tmp_path / "flight.csv").read_text()
    window.session.edits.edit(window.session.edits.value.without(window.side.table.row(0).id))
    dialog = ask()
    assert dialog.chosen == ("csv", "trackmate", "cvat", "video")  # as the last time
    assert dialog.replace.isVisible()
    assert not dialog.export.isEnabled()
    dialog.boxes["video"].setChecked(False)
    dialog.replace.setChecked(True)
    dialog.export.click()
    assert len((tmp_path / "flight.csv").read_text()) < len(written)
    assert not window.banner.isVisible()
    window.session.selected.set(window.side.table.row(0).id)
    window.outputs.ask_export_selected()
    (dialog,) = (d for d in window.findChildren(ExportDialog) if d.isVisible())
    assert "video" not in dialog.boxes
    dialog.close()


def test_free_names(tmp_path: Path) -> None:
    assert not new_name(tmp_path, "snapshot", ".png").exists()
