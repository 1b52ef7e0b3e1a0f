"""Shared fixtures: where third-party data lies, small recordings made by the simulator, and a watch on threads."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
if "PYTEST_XDIST_WORKER" in os.environ:  # beside others: one core for it and for what it starts, or they wait in turn
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(threads, "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # of more threads in a test, none waits in a loop
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # programs that tests start would compile irtrack anew each time

import cv2  # noqa: F401  # before Qt and av
import numpy as np
import platformdirs
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from irtrack import build
from irtrack.config import DetectorSettings, Settings
from irtrack.gui.app import clean_environment
from irtrack.gui.theme import apply_theme
from irtrack.gui.window import MainWindow
from irtrack.session import results
from irtrack.simulate import Scene, scene_from_text
from irtrack.sinks.lossless import write_video

if TYPE_CHECKING:
    from stations import Cameras

    from irtrack.station.station import Station

clean_environment()

# A shell starts jobs in the background with Ctrl-C ignored, and the programs that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


def shared_data() -> Path:
    return Path(os.environ.get("IRTRACK_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the settings of whoever runs it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config-of-the-test"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-of-the-test"))
    monkeypatch.setattr(results, "results_folder", lambda: tmp_path / "results-of-the-test")


def own_cache(folder: Path) -> str:
    """A cache folder for another program, with what was compiled in this one's, and no results."""
    made = folder / "cache-of-the-test"
    (made / "irtrack").mkdir(parents=True)
    for path in Path(platformdirs.user_cache_dir("irtrack", appauthor=False)).glob("*"):
        if path.is_file():
            shutil.copy2(path, made / "irtrack" / path.name)  # a library that is a link is not loaded
    return str(made)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for what tests compile, one for all processes that share the files: kernels take seconds."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "compiled"


@pytest.fixture(autouse=True)
def slim_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """With weights `auto` a camera gets the slim network, however fast and free this machine is."""
    monkeypatch.setattr(build, "full_if_it_keeps_up", lambda *_: (None, ""))


@pytest.fixture(scope="session")
def data() -> Path:
    """Third-party data; the test skips, visibly, where it is absent."""
    folder = shared_data()
    if not folder.is_dir():
        pytest.skip(f"third-party data is not at {folder} (set IRTRACK_DATA)")
    return folder


@pytest.fixture(scope="session")
def golden(data: Path) -> Path:
    return data / "golden"


@pytest.fixture(scope="session")
def sample() -> Path:
    return ROOT / "assets" / "sample.mkv"


@pytest.fixture(scope="session")
def scene() -> Scene:
    """A small scene: 20 frames of 96x80 with three clear targets."""
    return Scene(scene_from_text("sky,width=96,height=80,frames=20,targets=3,scr=14,seed=5,speed_px_s=45"))


@pytest.fixture(scope="session")
def clip(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene as a lossless video."""
    path = tmp_path_factory.mktemp("clip") / "scene.mkv"
    write_video(path, (scene.image(i) for i in range(scene.settings.frames)), scene.settings.fps)
    return path


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fails a test that leaves one of our threads running."""
    yield
    deadline = time.monotonic() + 30  # what loads a library may be left behind, and ends when that has loaded
    while time.monotonic() < deadline:
        ours = [t.name for t in threading.enumerate() if t.name.startswith("irtrack") and t.is_alive()]
        if not ours:
            return
        time.sleep(0.02)
    pytest.fail(f"threads left running: {ours}")


LONG = (
    "archive", "train", "belief_scenes", "training_machine", "native", "backends", "cli", "library", "outputs", "gui",
    "ending", "sessionfile", "native_training", "native_half", "network", "archive_parts", "train_data",
    "architecture", "serve", "direction", "video_mode",
)  # fmt: skip
"""Files that take longest: processes that share the files begin with them, so that both end at the same time.

Those that need the kernels of all processors stand apart, so that the first of them has compiled them for the others.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_collection_finish() -> None:
    """All is imported now and stays: the search for garbage passes over it, which else takes a fifth of a second."""
    gc.collect()
    gc.freeze()


GROWN_BYTES = 64 << 20


class Memory:
    """Of this process. A detector tells malloc to keep large blocks; those of hundreds of tests would be gigabytes."""

    def __init__(self) -> None:
        self._after = 0

    def _bytes(self) -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def give_back(self, grown: int = 0) -> None:
        """Where it has grown by so much since the last time."""
        if sys.platform == "linux" and self._bytes() >= self._after + grown:
            gc.collect()
            with contextlib.suppress(OSError, AttributeError):
                ctypes.CDLL("libc.so.6").malloc_trim(0)
            self._after = self._bytes()


MEMORY = Memory()


@pytest.fixture(autouse=True, scope="module")
def memory_of_a_file_given_back() -> Iterator[None]:
    """Set up before other fixtures, and so behind them: what they held is free now."""
    yield
    MEMORY.give_back()


@pytest.fixture(autouse=True)
def memory_of_a_test_given_back() -> Iterator[None]:
    yield
    MEMORY.give_back(GROWN_BYTES)


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """torch's threads, set back at the end."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[MainWindow]:
    """A real window, offscreen, with the slim network."""
    made = make_window(qtbot)
    yield made
    made.close()


def opened(window: MainWindow, source: str) -> bool:
    """Whether a source is the one on screen."""
    session = window.session
    return session.opened is not None and session.opened.text == source and session.position is not None


def newly_opened(window: MainWindow, source: str) -> bool:
    """The same, and nothing is on its way any more: where it was open before, it was opened once more."""
    return opened(window, source) and not window.session.loader.opening


def open_and_play_to(qtbot: QtBot, window: MainWindow, source: Path | str, frame: int) -> None:
    """Open a recording; its picture is at a frame or behind it."""
    window.open(str(source))

    def there() -> bool:
        return newly_opened(window, str(source)) and (window.session.position or 0) >= frame

    qtbot.waitUntil(there, timeout=120_000)


def hold(qtbot: QtBot, window: MainWindow) -> int:
    """Pause, and wait until the picture on screen is analysed; its number."""
    window.session.pause()
    settled(qtbot, window)
    return window.session.position or 0


def settled(qtbot: QtBot, window: MainWindow) -> None:
    """The picture that was gone to is on screen, and analysed."""

    def there() -> bool:
        picture, result = window.session.picture, window.canvas.result
        at = picture is not None and picture.result.frame.index == window.session.position
        return (
            at
            and picture is not None
            and picture.analysed
            and result is not None
            and result.frame.index == (window.session.position)
        )

    qtbot.waitUntil(there, timeout=240_000)


def go(qtbot: QtBot, window: MainWindow, frame: int) -> None:
    """To a frame that is analysed; paused."""
    window.session.pause()
    window.session.seek(frame)
    settled(qtbot, window)
    assert window.session.position == frame


def seen_whole(qtbot: QtBot, window: MainWindow, source: Path | str, frames: int = 20) -> None:
    """Open a recording and wait until it was analysed and played to its end."""
    window.transport.speed_box.setCurrentText("Every frame")
    window.open(str(source))

    def whole() -> bool:
        return newly_opened(window, str(source)) and window.session.store.whole and not window.session.playing

    qtbot.waitUntil(whole, timeout=60_000)
    assert len(window.session.store) == frames
    settled(qtbot, window)
    window.drawing.show_side()


SLIM = Settings(detector=DetectorSettings(weights="datransnet-s", backend="torch"))


def make_window(qtbot: QtBot, settings: Settings = SLIM) -> MainWindow:
    """A window that is shown; whoever makes it closes it."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    apply_theme(app)
    made = MainWindow(settings)
    if not made.session.preferences.geometry:
        made.resize(1280, 760)  # the screen of the offscreen platform is small
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def bright_window(qtbot: QtBot) -> Iterator[MainWindow]:
    """A window whose detector needs no network."""
    from test_session import SETTINGS, Bright

    made = make_window(qtbot, SETTINGS)
    made.session.use(Bright())
    yield made
    made.close()


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> Cameras:
    """What the cameras of a station are here."""
    from stations import Cameras

    return Cameras.installed(monkeypatch)


@pytest.fixture
def stations() -> Iterator[list[Station]]:
    """Those that a test puts in are closed after it."""
    made: list[Station] = []
    yield made
    for station in made:
        station.close()
