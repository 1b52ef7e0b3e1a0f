"""How the window keeps up: a simulated camera of 640x512 with a hundred targets, all overlays on, for some seconds.

The window is real: on the display there is, or offscreen. The detector works beside it as it always does.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from irtrack.build import make_detector
from irtrack.capture.sim import SimCamera
from irtrack.config import DetectorSettings, Settings
from irtrack.core import Detections, FrameResult, Image
from irtrack.gui.app import clean_environment
from irtrack.imaging.regions import Regions

if TYPE_CHECKING:
    from irtrack.gui.window import MainWindow

SECONDS, SETTLED_S, PATIENCE_S = 15.0, 4.0, 60.0
TRACKS = 80
"""So many are to be on screen before it begins; a few of the hundred are hidden behind others at any time."""


BEAT_MS = 5
SETTINGS = Settings(detector=DetectorSettings(weights="datransnet-s", device="cpu", mode="exact"))

Figure = tuple[str, str, str, float]
"""Stage, mode, size, milliseconds."""


class Watchdog:
    """How long the event loop kept others waiting: the time between two beats of a timer, less the timer's own.

    `wall_ms` counts all that goes by, also what other processes take; `cpu_ms` what this thread itself worked between
    two beats.
    """

    def __init__(self) -> None:
        from PySide6.QtCore import Qt, QTimer

        self.wall_ms: list[float] = []
        self.cpu_ms: list[float] = []
        self._last = (time.perf_counter(), time.thread_time())
        self._timer = QTimer(interval=BEAT_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def _beat(self) -> None:
        now = (time.perf_counter(), time.thread_time())
        self.wall_ms.append(max(0.0, 1e3 * (now[0] - self._last[0]) - BEAT_MS))
        self.cpu_ms.append(1e3 * (now[1] - self._last[1]))
        self._last = now

    def stop(self) -> None:
        """No more."""
        self._timer.stop()


class Replayed:
    """A detector that knows every picture of a simulated camera; the network runs in a thread beside it, for nothing.

    So results come at the camera's rate whatever the machine, with what detection takes of it.
    """

    threshold, min_area_px, regions = 0.5, 1, Regions()

    def __init__(self, camera: SimCamera) -> None:
        self._pictures = camera.pictures
        self._known: dict[int, Detections] = {}
        self._ready, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="irtrack-detect", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _work(self) -> None:
        detector = make_detector(SETTINGS)
        self._known = {crc32(p.tobytes()): detector(p) for p in self._pictures}
        self._ready.set()
        while not self._closing.is_set():
            for picture in self._pictures:
                detector(picture)
                if self._closing.is_set():
                    break

    def __call__(self, image: Image) -> Detections:
        return self._known[crc32(image.tobytes())]

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()


def run(seconds: float = SECONDS, scene: str = "crowd,frames=45,scr=14") -> Iterator[Figure]:
    """Figures of the display: with results at the camera's rate, and with live detection."""
    os.environ.setdefault("QT_QPA_PLATFORM", "" if os.environ.get("DISPLAY") else "offscreen")
    import cv2  # noqa: F401  # before Qt

    clean_environment()
    from PySide6.QtWidgets import QApplication

    from irtrack.gui.theme import apply_theme
    from irtrack.gui.window import MainWindow

    app = QApplication.instance() or QApplication(["irtrack"])
    assert isinstance(app, QApplication)
    apply_theme(app)
    replayed = Replayed(SimCamera(scene))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder  # the preferences of whoever runs this stay as they are
        for mode, detector in (("results at the camera's rate", replayed), ("live detection", None)):
            window = MainWindow(SETTINGS if detector else replace(SETTINGS, detector=DetectorSettings(device="cpu")))
            if detector is not None:
                window.session.use(detector)
            window.show()
            try:
                window.open(f"simcam:{scene}")
                wait(partial(many, window), PATIENCE_S)
                wait(lambda: False, SETTLED_S)
                yield from measure(window, mode, seconds)
            finally:
                window.close()
                if detector is not None:
                    detector.close()


def many(window: MainWindow) -> bool:
    """Whether the tracks are on screen."""
    return window.side.table.rowCount() >= TRACKS


def wait(condition: Callable[[], bool], patience_s: float) -> None:
    """Let events be handled until the condition holds or the time is over."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    until = time.monotonic() + patience_s
    timer = QTimer(interval=20)
    timer.timeout.connect(lambda: loop.quit() if condition() or time.monotonic() > until else None)
    timer.start()
    loop.exec()
    timer.stop()


def measure(window: MainWindow, mode: str, seconds: float) -> Iterator[Figure]:
    """The figures of a window that is showing a camera."""
    assert window.session.analysis is not None
    shown: list[float] = []
    drawing: list[float] = []
    draw = window.canvas.show_result

    def timed(result: FrameResult, age_s: float | None = 0.0) -> None:
        start = time.thread_time()
        draw(result, age_s)
        drawing.append(1e3 * (time.thread_time() - start))
        shown.append(time.monotonic())

    window.canvas.show_result = timed  # type: ignore[method-assign]
    watchdog = Watchdog()
    processed, start = window.session.analysis.pipeline.processed, time.monotonic()
    wait(lambda: False, seconds)
    elapsed = time.monotonic() - start
    watchdog.stop()
    results = window.session.analysis.pipeline.processed - processed
    mode, size = f"{mode}, {window.side.table.rowCount()} tracks", "640x512"
    yield "interval of pictures on screen", mode, size, 1e3 * elapsed / max(len(shown), 1)
    yield "interval of results", mode, size, 1e3 * elapsed / max(results, 1)
    yield "drawing a picture, CPU", mode, size, float(np.median(drawing)) if drawing else float("nan")
    for name, values in (("", watchdog.wall_ms), (", CPU", watchdog.cpu_ms)):
        yield f"event loop busy, p99{name}", mode, size, float(np.percentile(values, 99))
        yield f"event loop busy, longest{name}", mode, size, float(np.max(values))
