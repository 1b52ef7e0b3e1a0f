"""What people open in the window by mistake, damaged or twice: one line, and the recording that was there stays."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from conftest import open_and_play_to, opened, seen_whole, shared_data
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot
from test_gui_session import quick as quick
from test_gui_session import wait

from irtrack.capture.open import as_text
from irtrack.gui.dialogs import TextDialog
from irtrack.gui.window import MainWindow
from irtrack.session.reading import read_session
from irtrack.session.sessionfile import is_session
from irtrack.simulate import Scene
from irtrack.sinks.lossless import write_video

Maker = Callable[[], MainWindow]
LOG = "frame,id,x,y\n0,1,10,10\n1,1,11,11\n2,1,12,12\n"


def drop(window: MainWindow, *dropped: Path | QUrl) -> None:
    mime = QMimeData()
    mime.setUrls([url if isinstance(url, QUrl) else QUrl.fromLocalFile(str(url)) for url in dropped])
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, mime, left, none))


def pictures(folder: Path, scene: Scene, count: int = 5) -> list[Path]:
    folder.mkdir()
    for i in range(count):
        assert cv2.imwrite(str(folder / f"im{i:03d}.png"), scene.image(i))
    return sorted(folder.iterdir())


@pytest.fixture
def seen(qtbot: QtBot, quick: Maker, clip: Path, monkeypatch: pytest.MonkeyPatch) -> MainWindow:
    """A window with a recording that was analysed; nobody answers its questions."""
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: ("", ""))
    window = quick()
    seen_whole(qtbot, window, clip)
    return window


def refused(qtbot: QtBot, window: MainWindow, clip: Path, act: Callable[[], object], words: str) -> None:
    """A line says why, and what was open is as it was."""
    window.banner.hide()
    act()
    wait(qtbot, window.banner.isVisible)
    text = window.banner.text()
    assert words in text, text
    assert "\n" not in text
    assert "internal error" not in text
    assert opened(window, str(clip))
    assert window.session.store.whole
    assert window.windowTitle() == f"{clip.name} - irtrack"
    assert window.width() <= 1280


def test_what_cannot_be_opened_leaves_what_is_open(qtbot: QtBot, seen: MainWindow, clip: Path, tmp_path: Path) -> None:
    window = seen
    (tmp_path / "empty.mkv").touch()
    (tmp_path / "noise.mkv").write_bytes(os.urandom(50_000))
    (tmp_path / "text.irtrack").write_text("hello")
    (tmp_path / "nothing").mkdir()
    os.mkfifo(tmp_path / "pipe.mkv")
    (tmp_path / "dangling.mkv").symlink_to(tmp_path / "nowhere")
    with sqlite3.connect(tmp_path / "other.irtrack") as other:
        other.execute("CREATE TABLE a(b)")
    other.close()
    for text, words in (
        ("", "the source is empty"), ("none.mkv", "there is no file"), ("*.zzz", "there is no file"),
        ("a\0b", "there is no file"), ("x" * 5000, "xxx ... xxx"), ("/dev/null", "is empty"),
        ("camera:x", "there is no camera"), ("sim:unknown", "there is no scene"), ("ftp://h/x", "no source of"),
        ("sim:sky,frames=0", "out of range"), ("rtsp:/oops", "lacks scheme://"), ("file:///none.mkv", "/none.mkv"),
        ("rtsp://u:S3cret@127.0.0.1:9/x", "cannot connect to rtsp://127.0.0.1:9"),
        (str(tmp_path / "empty.mkv"), "is empty"), (str(tmp_path / "noise.mkv"), "is not a video"),
        (str(tmp_path / "nothing"), "holds no images"), (str(tmp_path / "pipe.mkv"), "is a pipe"),
        (str(tmp_path / "dangling.mkv"), "there is no file"),
        (str(tmp_path / "text.irtrack"), "is no session of irtrack"),
        (str(tmp_path / "other.irtrack"), "is no session of irtrack"), ("none.mkv", "there is no file"),
        ("none.mkv", "there is no file"),
    ):  # fmt: skip
        refused(qtbot, window, clip, lambda t=text: window.open(t), words)  # type: ignore[misc]
        assert "S3cret" not in window.banner.text()
    window.close()


def test_the_hostile_cases(qtbot: QtBot, seen: MainWindow, clip: Path) -> None:
    cases = shared_data() / "cases" / "hostile"
    if not cases.is_dir():
        pytest.skip("the shared cases are not here")
    for name, words in (
        ("rgb.fff", "holds no counts"), ("huge.tif", "which cannot be"), ("p60000_short.png", "4096 a side"),
        ("j65500.jpg", "4096 a side"), ("det-7.csv", "expected frame, id, x and y"), ("tracks-7.csv", "jumps"),
        ("npz-5.npz", "TIFF stack"), ("broken-preferences.toml", "is not a video"),
    ):  # fmt: skip
        refused(qtbot, seen, clip, lambda n=name: drop(seen, cases / n), words)  # type: ignore[misc]
    seen.close()


def test_logs_that_are_none(qtbot: QtBot, seen: MainWindow, clip: Path, tmp_path: Path) -> None:
    contents = {"empty.csv": b"", "head.csv": b"frame,id,x,y\n", "noise.csv": os.urandom(3000),
                "long.csv": LOG.encode() + b"99,1,3,3\n"}  # fmt: skip
    for (name, content), words in zip(
        contents.items(), ("is empty", "holds no tracks", "it is no text", "has 20 frames"), strict=True
    ):
        (tmp_path / name).write_bytes(content)
        refused(qtbot, seen, clip, lambda n=name: drop(seen, tmp_path / n), words)  # type: ignore[misc]
    refused(qtbot, seen, clip, lambda: drop(seen, tmp_path / "none.csv"), "No such file")
    seen.close()


def test_nothing_open_stays_nothing(qtbot: QtBot, quick: Maker, tmp_path: Path) -> None:
    """And the title does not go on naming what could not be opened."""
    window = quick()
    (tmp_path / "t.csv").write_text(LOG)
    for name, words in (("none.irtrack", "there is no file"), ("t.csv", "open the recording that they are of first")):
        window.open(str(tmp_path / name))
        wait(qtbot, lambda w=words: w in window.banner.text())  # type: ignore[misc]
        assert window.windowTitle() == "irtrack"
    window.close()


def test_several_at_once(qtbot: QtBot, seen: MainWindow, clip: Path, scene: Scene, tmp_path: Path) -> None:
    """Images of one folder are a recording, in their order; a log that comes with a recording goes over it."""
    images = pictures(tmp_path / "pictures", scene)
    drop(seen)
    drop(seen, *images[1:4])
    wait(qtbot, lambda: opened(seen, as_text(images[1:4])) and seen.session.store.whole)
    assert seen.session.frames == 3
    assert seen.windowTitle() == "im001.png and 2 more - irtrack"
    assert as_text(images[1:4]).splitlines() == [str(path) for path in images[1:4]]
    other = shutil.copy(clip, tmp_path / "flight.mkv")
    (tmp_path / "flight.csv").write_text(LOG)
    drop(seen, tmp_path / "flight.csv", Path(other))
    wait(qtbot, lambda: opened(seen, str(other)) and list(seen.session.lives()) == [1])
    drop(seen, clip, Path(other))
    wait(qtbot, lambda: opened(seen, str(clip)))
    assert seen.status.currentMessage().startswith("of several the first is opened")
    named = tmp_path / "named.csv"
    pictures(named, scene)
    drop(seen, named)
    wait(qtbot, lambda: opened(seen, str(named)))
    seen.close()


def test_ways_of_naming_files_are_one(qtbot: QtBot, seen: MainWindow, clip: Path, scene: Scene, tmp_path: Path) -> None:
    """A file by its URL, and images by FFmpeg's pattern, are known by what is in them, not by their text."""
    pictures(tmp_path / "pictures", scene)
    pattern = str(tmp_path / "pictures" / "im%03d.png")
    seen.open(pattern)
    wait(qtbot, lambda: opened(seen, pattern) and seen.session.store.whole)
    first = seen.session.opened
    assert first is not None
    assert cv2.imwrite(str(tmp_path / "pictures" / "im004.png"), scene.image(19))
    seen.open(str(clip))
    wait(qtbot, lambda: opened(seen, str(clip)))
    seen.open(pattern)
    wait(qtbot, lambda: opened(seen, pattern) and seen.session.store.whole)
    assert seen.session.opened is not None
    assert seen.session.opened.print != first.print
    assert seen.session.before is None, "it was analysed anew"
    seen.open(clip.as_uri())
    wait(qtbot, lambda: opened(seen, str(clip)))
    seen.close()


def test_sessions_that_are_damaged(qtbot: QtBot, seen: MainWindow, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.irtrack"
    seen.outputs.save_session(path)
    seen.open(str(clip))  # it is written, and let go of
    wait(qtbot, lambda: opened(seen, str(clip)) and seen.session.store.whole)
    whole = path.read_bytes()
    for length in (0, 10, 72, 100, 4096):
        path.write_bytes(whole[:length])
        words = "cannot be read" if length > 71 else "is no session of irtrack"
        refused(qtbot, seen, clip, lambda: window_open(seen, path), words)
    path.write_bytes(whole)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    refused(qtbot, seen, clip, lambda: window_open(seen, path), "newer irtrack")
    path.write_bytes(whole)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE said SET value = '{\"include\": [[[0, 0], [1, 1]]]}' WHERE name = 'regions'")
        edits = '{"names": {}, "stars": [], "verdicts": {}, "changes": [], "added_by_hand": {"1000000": []}}'
        database.execute("UPDATE said SET value = ? WHERE name = 'edits'", (edits,))
    database.close()
    window_open(seen, path)
    wait(qtbot, lambda: seen.session.opened is not None and seen.session.opened.is_session)
    wait(qtbot, seen.banner.isVisible)
    text = seen.banner.text()
    assert "names, verdicts and edits of tracks and regions cannot be read" in text
    assert "stays in s-damaged.irtrack" in text
    wait(qtbot, lambda: (tmp_path / "s-damaged.irtrack").exists() and is_session(str(path)))
    assert read_session(path).unread is None
    seen.close()


def test_what_is_gone_is_located(
    qtbot: QtBot, seen: MainWindow, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the line that says so; what is open stays until then."""
    there = Path(shutil.copy(clip, tmp_path / "flight.mkv"))
    refused(qtbot, seen, clip, lambda: window_open(seen, tmp_path / "none.mkv"), "there is no file")
    assert seen.banner.action.isVisible()
    asked: list[str] = []
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (asked.append(a[1]), (str(there), ""))[1])
    seen.banner.action.click()
    wait(qtbot, lambda: opened(seen, str(there)))
    assert asked == ["Where is none.mkv?"]
    assert not seen.banner.isVisible()
    seen.banner.show_error("something else")
    assert not seen.banner.action.isVisible()
    seen.close()


def window_open(window: MainWindow, path: Path) -> None:
    window.open(str(path))


def test_a_recording_that_is_another_one_by_now_is_not_analysed_under_the_old_name(
    qtbot: QtBot, quick: Maker, clip: Path, scene: Scene, tmp_path: Path
) -> None:
    there = Path(shutil.copy(clip, tmp_path / "flight.mkv"))
    window = quick()
    seen_whole(qtbot, window, there)
    write_video(tmp_path / "other.mkv", (scene.image(i)[::-1] for i in range(20)), 30.0)
    shutil.copy(tmp_path / "other.mkv", there)
    window.session.choose(threshold=0.6)
    refused(qtbot, window, there, window.session.analyse_again, "is another recording by now")
    there.unlink()
    refused(qtbot, window, there, window.session.analyse_again, "there is no file")
    window.close()


def test_what_is_not_quite_what_it_seems_is_said_and_kept(
    qtbot: QtBot, quick: Maker, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run without a window says it at its end; with results that are opened again too."""
    images = pictures(tmp_path / "pictures", scene, 8)
    images[5].unlink()
    path = tmp_path / "pictures"
    window = quick()
    seen_whole(qtbot, window, path, 7)
    wait(qtbot, window.status.notes.isVisible)
    told = window.status.notes.toolTip()
    assert "the numbers of its images leap" in told
    assert "is not known: times and speeds are those of 30" in told
    assert window.status.notes.text() == "2 notes"
    window.status.notes.click()
    (box,) = window.findChildren(TextDialog)
    assert box.label.text() == told
    box.close()
    window.outputs.save_session(tmp_path / "s.irtrack")
    window.close()
    assert any("leap" in text for text in read_session(tmp_path / "s.irtrack").store.remarks.counts())
    again = quick()
    again.open("sim:sky,frames=3,width=96,height=80")
    wait(qtbot, lambda: again.session.opened is not None and again.session.store.whole)
    assert not again.status.notes.isVisible()
    again.open(str(tmp_path / "s.irtrack"))
    wait(qtbot, again.status.notes.isVisible)
    assert again.status.notes.toolTip() == told
    again.close()


def test_a_camera_that_never_answers_holds_nobody_up(qtbot: QtBot, seen: MainWindow, clip: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        seen.open(f"http://127.0.0.1:{server.getsockname()[1]}/video")
        qtbot.wait(200)
        assert opened(seen, str(clip))
        seen.open(str(clip))
        wait(qtbot, lambda: opened(seen, str(clip)) and not seen.session.loader.opening)
        seen.close()


def test_others_after_others(qtbot: QtBot, seen: MainWindow, clip: Path, tmp_path: Path) -> None:
    """The last one that was asked for is the one that is open."""
    other = str(shutil.copy(clip, tmp_path / "other.mkv"))
    for text in (other, "none.mkv", str(clip), "sim:sky,frames=5,width=96,height=80", other, str(clip)) * 2:
        seen.open(text)
    open_and_play_to(qtbot, seen, other, 0)
    wait(qtbot, lambda: seen.session.store.whole and not seen.session.loader.opening)
    assert opened(seen, other)
    seen.close()
