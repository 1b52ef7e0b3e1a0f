"""What the window keeps: within a second, whole, beside what another window wrote, whatever names and folders are."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import conftest
import pytest
from conftest import ROOT, make_window, own_cache, shared_data
from mjpeg import Mjpeg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from irtrack.gui.window import MainWindow
from irtrack.session import preferences as keeping
from irtrack.session.preferences import (
    RECENT,
    Preferences,
    load_preferences,
    merged,
    preferences_path,
    save_preferences,
)
from irtrack.session.reading import read_session
from irtrack.stopping import Stop

SQUARE = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0))


def wait(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=60_000)


def own_folders(tmp_path: Path) -> dict[str, str]:
    folders = {"XDG_CONFIG_HOME": str(tmp_path / "c"), "XDG_DATA_HOME": str(tmp_path / "d")}
    return os.environ | folders | {"XDG_CACHE_HOME": own_cache(tmp_path)}


def kept() -> Preferences:
    return load_preferences(preferences_path())[0]


def seen_whole(qtbot: QtBot, window: MainWindow, clip: Path) -> int:
    conftest.seen_whole(qtbot, window, clip)
    track = window.side.table.row(0).id
    window.session.selected.set(track)
    return track


def test_settings_and_regions_are_kept_while_the_window_is_open(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    seen_whole(qtbot, window, clip)
    window.side.display.legend.setChecked(True)
    window.session.regions.set({"exclude": (SQUARE,)})
    wait(qtbot, lambda: kept().shown.legend and bool(kept().regions))
    assert kept().regions_of(str(clip)) == {"exclude": (SQUARE,)}
    assert kept().recent == (str(clip),)


def test_edits_are_kept_while_the_window_is_open(qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data-of-the-test" / "irtrack" / "sessions"
    track = seen_whole(qtbot, window, clip)

    def names() -> list[str]:
        return [name for path in folder.glob("*.irtrack") for name in read_session(path).edits.names.values()]

    window.editor.rename("drone A")
    wait(qtbot, lambda: names() == ["drone A"])
    window.editor.rename("drone B")
    wait(qtbot, lambda: names() == ["drone B"])
    assert len(list(folder.glob("*.irtrack"))) == 1  # a journal is beside it while more is written
    window.editor.undo()
    window.editor.undo()
    wait(qtbot, lambda: not list(folder.iterdir()))  # nothing is left of them
    window.editor.rename("drone C")
    wait(qtbot, lambda: names() == ["drone C"])
    window.close()
    assert names() == ["drone C"]
    assert track


def test_two_windows_keep_what_each_changed(qtbot: QtBot, clip: Path) -> None:
    one, two = make_window(qtbot), make_window(qtbot)
    one.session.preferences = one.session.preferences.opened("/data/one.mp4", camera=False).with_regions(
        "/data/one.mp4", {"include": (SQUARE,)}
    )
    one.side.display.legend.setChecked(True)
    two.session.preferences = two.session.preferences.opened("/data/two.mp4", camera=False).with_regions(
        "/data/two.mp4", {"alarm": (SQUARE,)}
    )
    two.side.display.ellipses.setChecked(True)
    one.close()
    two.close()
    both = kept()
    assert set(both.recent) == {"/data/one.mp4", "/data/two.mp4"}
    assert set(both.regions) == {"/data/one.mp4", "/data/two.mp4"}
    assert both.shown.legend
    assert both.shown.ellipses


def test_merging() -> None:
    base = Preferences(recent=("a", "b"), regions={"a": {"include": "0,0 9,0 9,9"}, "b": {"include": "0,0 9,0 9,9"}})
    ours = replace(base.opened("c", False), regions={"a": {"include": "0,0 8,0 8,8"}})
    theirs = replace(base.opened("d", False), recordings="/tmp", regions=base.regions | {"e": {"alarm": "0,0 9,0 9,9"}})
    out = merged(base, ours, theirs)
    assert out.recent == ("c", "a", "b", "d")
    assert out.recordings == "/tmp"
    assert out.regions == {"a": {"include": "0,0 8,0 8,8"}, "e": {"alarm": "0,0 9,0 9,9"}}  # b was cleared
    assert merged(base, base, theirs) == theirs
    assert merged(base, ours, base) == ours
    many = merged(base, replace(base, recent=tuple(map(str, range(RECENT)))), theirs)
    assert len(many.recent) == RECENT


def test_settings_are_whole_or_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills while they are written."""
    path = tmp_path / "w.toml"
    assert save_preferences(Preferences(recordings="/before"), path) is None
    written = path.read_text()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in (save_preferences(Preferences(recordings="/after"), path) or "")
    assert path.read_text() == written
    assert not list(tmp_path.glob("*.part"))


def test_a_kill_loses_nothing_older_than_a_second(clip: Path, tmp_path: Path) -> None:
    """The real program, killed once its settings say that the recording was opened."""
    environment = own_folders(tmp_path)
    path = tmp_path / "c" / "irtrack" / "window.toml"
    process = subprocess.Popen([sys.executable, str(ROOT / "main.py"), str(clip)], env=environment)
    try:
        until = time.monotonic() + 60
        while not load_preferences(path)[0].recent and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    assert tomllib.loads(path.read_text())["recent"] == [str(clip)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_closes_the_window_cleanly(clip: Path, tmp_path: Path, number: int) -> None:
    """Also on a file whose name is no text, and with a camera that is away."""
    odd = os.fsencode(tmp_path) + b"/caf\xe9.mkv"
    shutil.copy(clip, odd)
    environment = own_folders(tmp_path)
    path = tmp_path / "c" / "irtrack" / "window.toml"
    process = subprocess.Popen(
        [os.fsencode(sys.executable), os.fsencode(ROOT / "main.py"), odd],
        env=environment,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (signal.SIGINT, signal.SIGHUP)],
    )
    try:
        until = time.monotonic() + 60
        while not load_preferences(path)[0].recent and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert b"Traceback" not in err
    assert load_preferences(path)[0].recent == (os.fsdecode(odd),)
    tomllib.loads(path.read_text(encoding="utf-8"))  # for other readers too


def test_names_that_are_no_text_come_back(tmp_path: Path) -> None:
    odd = os.fsdecode(b"/data/caf\xe9.mkv")
    preferences = (
        Preferences().opened(odd, False).with_regions(odd, {"include": (SQUARE,)}).opened("/data/caf\u00e9.mkv", False)
    )
    assert save_preferences(preferences, tmp_path / "w.toml") is None
    assert load_preferences(tmp_path / "w.toml") == (preferences, None)
    assert os.fsencode(load_preferences(tmp_path / "w.toml")[0].recent[1]) == b"/data/caf\xe9.mkv"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a.a." * 3000 + b"a = 1", b"recent = 3", b"recent = [[1]]",
                                     b"regions = 1", b"[[[[", b"geometry = 1e999", b"\0"])  # fmt: skip
def test_settings_that_cannot_be_read_are_one_line_and_set_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "window.toml"
    path.write_bytes(content)
    preferences, line = load_preferences(path)
    assert preferences == Preferences()
    assert line is not None
    assert "\n" not in line
    assert len(line) < 500
    assert path.with_suffix(".broken.toml").read_bytes() == content


def test_the_case_of_broken_settings(tmp_path: Path) -> None:
    case = shared_data() / "cases" / "hostile" / "broken-preferences.toml"
    if not case.exists():
        pytest.skip("the shared cases are not here")
    path = tmp_path / "window.toml"
    path.write_bytes(case.read_bytes())
    preferences, line = load_preferences(path)
    assert preferences == Preferences()
    assert line is not None
    assert "\n" not in line


def test_closing_asks_while_a_video_is_written(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.transport.speed_box.setCurrentText("Every frame")
    window.open("sim:sky,width=96,height=80,frames=20,targets=1")
    wait(qtbot, lambda: len(window.session.store) >= 10)
    window.session.pause()
    out = tmp_path / "a.mp4"
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    asked: list[str] = []
    monkeypatch.setattr(QMessageBox, "question", lambda *a: (asked.append(a[2]), answers[len(asked) - 1])[1])
    monkeypatch.setattr("irtrack.session.export.VideoExport.running", property(lambda self: True))
    window.outputs.export_video(out)
    qtbot.keyClick(window, Qt.Key.Key_Q, Qt.KeyboardModifier.ControlModifier)
    assert window.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_Q, Qt.KeyboardModifier.ControlModifier)
    assert len(asked) == 2, asked
    assert not window.isVisible()
    assert "a.mp4 is still being written" in asked[0]


def test_a_folder_that_cannot_be_written_is_said_once(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(keeping, "preferences_path", lambda: tmp_path / "file" / "window.toml")
    monkeypatch.setattr("irtrack.session.keeper.preferences_path", lambda: tmp_path / "file" / "window.toml")
    window = make_window(qtbot)
    for legend in (True, False):
        window.side.display.legend.setChecked(legend)
        window.keeper._look()
    window.close()
    assert caplog.text.count("could not be kept") == 1


def test_the_window_ends_at_once_while_its_camera_is_away_and_it_records(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    """Closing waits for no reconnect: no wait of the reading side is longer than the guard of the fixture."""
    from irtrack.capture import open_source

    window.session.preferences = replace(window.session.preferences, recordings=str(tmp_path))
    camera = Mjpeg()
    window.open(camera.url)
    wait(qtbot, lambda: (window.session.position or 0) > 5)
    window.outputs.toggle_recording()
    at = window.session.position or 0
    wait(qtbot, lambda: (window.session.position or 0) > at + 10)
    camera.close()
    wait(qtbot, lambda: window.session.camera_state == "reconnecting")
    recorder = window.session.recording._recorder
    assert recorder is not None
    window.close()
    assert recorder._ended.is_set()
    (path,) = tmp_path.glob("irtrack-*.mkv")
    source = open_source(str(path))
    assert len(list(source)) > 10


def test_a_signal_closes_what_is_open_before_the_window(qtbot: QtBot, window: MainWindow) -> None:
    box = QMessageBox(QMessageBox.Icon.Question, "irtrack", "?", parent=window)
    box.open()
    wait(qtbot, box.isVisible)
    window.stop = Stop()
    window.stop.asked = True
    wait(qtbot, lambda: not window.isVisible())
    assert not box.isVisible()
    window.close()  # twice is once
