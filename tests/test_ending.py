"""How a run ends: by signals at any moment, and whatever its camera does; logs whole, recordings finished."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from conftest import ROOT
from mjpeg import Mjpeg, free_port

sys.path.insert(0, str(ROOT / "tools"))
from signals import SCENE, end_at

from irtrack.capture import open_source, reader
from irtrack.core import Frame, SourceInfo
from irtrack.stopping import Stop

GUARD_S = 30.0
"""Far above what anything here takes: only a hang gets there."""

KINDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.01)


@pytest.mark.parametrize("seed", range(8))
def test_signals_at_random_times(tmp_path: Path, seed: int) -> None:
    """One or two of them, on a file and a camera, while it starts and while it runs (200: tools/signals.py)."""
    rng = random.Random(seed)
    source = f"simcam:{SCENE.format(60)}" if seed % 2 else f"sim:{SCENE.format(4000)}"
    numbers = [rng.choice(KINDS) for _ in range(1 + seed // 2 % 2)]
    ended = end_at(tmp_path, source, 2 * rng.random(), numbers, 0.2 * rng.random(), begun=seed < 6)
    assert ended.wrong == [], ended
    assert ended.code == 130
    if seed < 6:
        assert ended.recorded > 0


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """Signals that reach the handlers from before."""
    before, out = [signal.getsignal(n) for n in KINDS], list[int]()
    for number in KINDS:
        signal.signal(number, lambda n, _: out.append(n))
    yield out
    for number, handler in zip(KINDS, before, strict=True):
        signal.signal(number, handler)


def test_a_second_signal_does_not_hurry_the_first_one(heard: list[int]) -> None:
    with Stop() as stop:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        for number in KINDS:
            os.kill(os.getpid(), number)
        assert stop.asked
    for number in KINDS:  # also on the way out
        os.kill(os.getpid(), number)
    assert heard == []


def test_what_polls_is_not_interrupted_and_what_cannot_end_is_left_behind(heard: list[int]) -> None:
    gate = threading.Event()
    with Stop() as stop:
        stop.polled = True
        assert stop.waited(lambda: 7) == 7
        with pytest.raises(ValueError, match="as it was raised"):
            stop.waited(lambda: int("as it was raised"))
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(KeyboardInterrupt):
            stop.waited(lambda: gate.wait(GUARD_S), end_s=0.1)
        with pytest.raises(KeyboardInterrupt):
            stop.check()
    gate.set()
    assert heard == []


def test_without_a_request_the_handlers_are_given_back() -> None:
    before = [signal.getsignal(n) for n in KINDS]
    with Stop():
        assert [signal.getsignal(n) for n in KINDS] != before
    assert [signal.getsignal(n) for n in KINDS] == before


@contextlib.contextmanager
def mute() -> Iterator[str]:
    """A host that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(5)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("state", ["silent", "gone", "refused", "mute http", "mute rtsp"])
def test_a_run_ends_whatever_its_camera_does(tmp_path: Path, state: str) -> None:
    """With a recording, and a minute to reconnect: the stop does not wait for that."""
    raw, lines = tmp_path / "r.mkv", tmp_path / "t.jsonl"
    camera = Mjpeg()
    with mute() as host, contextlib.closing(camera):
        url = camera.url
        if state == "refused":
            url = f"http://127.0.0.1:{free_port()}/x"
        elif state.startswith("mute"):
            url = f"{state.split()[1]}://{host}/x"
        run = subprocess.Popen(
            [sys.executable, str(ROOT / "main.py"), "run", url, "--record", raw, "--jsonl", lines, "--reconnect=600"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            if state in ("silent", "gone"):
                wait_for(lambda: lines.exists() and lines.read_text().count("\n") > 5)
                camera.silent = True
                if state == "gone":
                    camera.close()
                time.sleep(1.0)
            else:
                wait_for(raw.exists)
                time.sleep(1.0)
            run.send_signal(signal.SIGINT)
            _, err = run.communicate(timeout=GUARD_S)
        finally:
            run.kill()
            run.wait()
    assert run.returncode == 130, err
    assert err.endswith("irtrack: stopped\n")
    if state in ("silent", "gone"):
        with av.open(str(raw)) as container:
            assert container.duration
            assert sum(1 for _ in container.decode(video=0)) > 5
    else:
        assert list(tmp_path.iterdir()) == []  # nothing came, nothing is left


class Stuck:
    """A camera whose library waits, where nothing can wake it, until the test lets it go."""

    live = True

    def __init__(self, gate: threading.Event, opens: bool) -> None:
        import numpy as np

        self.info = SourceInfo("stuck", 8, 8, 8, 30.0, None)
        self._gate, self._image = gate, np.zeros((8, 8), np.uint8)
        self.closed = threading.Event()
        if not opens:
            gate.wait(GUARD_S)

    def __iter__(self) -> Iterator[Frame]:
        yield Frame(0, 0.0, self._image)
        self._gate.wait(GUARD_S)

    def seek(self, index: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.closed.set()


def test_a_library_that_cannot_be_woken_is_left_behind_and_lets_go_later() -> None:
    from irtrack.capture.reconnect import ReconnectingSource

    gate, made = threading.Event(), list[Stuck]()

    def open_() -> Stuck:
        made.append(Stuck(gate, opens=True))
        return made[0]

    source = ReconnectingSource(open_, "stuck", 0.0)
    frames = iter(source)
    assert next(frames).index == 0
    threading.Timer(0.1, source.stop).start()
    assert list(frames) == []
    source.close()
    assert not made[0].closed.is_set()
    gate.set()
    assert made[0].closed.wait(GUARD_S)


def test_silence_is_noticed_though_the_library_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from irtrack.capture.reconnect import ReconnectingSource
    from irtrack.core import SourceError

    assert reader.SILENCE_S < 3.0  # the promise
    monkeypatch.setattr(reader, "SILENCE_S", 0.2)
    gate = threading.Event()
    source = ReconnectingSource(lambda: Stuck(gate, opens=True), "stuck", 0.0)
    frames = iter(source)
    next(frames)
    with pytest.raises(SourceError, match="stuck fell silent"):
        next(frames)
    gate.set()
    source.close()


def test_a_camera_that_sends_a_picture_a_minute_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is told how long the camera may be silent; libraries are told, too."""
    from irtrack.capture.reconnect import ReconnectingSource
    from irtrack.core import SourceError

    monkeypatch.setattr(reader, "SILENCE_S", 0.05)
    gate = threading.Event()

    class Rare(Stuck):
        def __iter__(self) -> Iterator[Frame]:
            for i in range(2):
                yield Frame(i, float(i), self._image)
                gate.wait(GUARD_S)

    source = ReconnectingSource(lambda: Rare(gate, opens=True), "rare", 30.0, silence_s=GUARD_S)
    frames = iter(source)
    next(frames)
    threading.Timer(0.5, gate.set).start()
    assert next(frames).connection == 0
    assert not source.lost
    source.close()
    asked: list[object] = []

    def opened(*args: object, timeout: object, **more: object) -> None:
        asked.append(timeout)
        raise OSError("no camera")

    monkeypatch.setattr(av, "open", opened)
    for silence_s in (None, 2.0, 70.0):
        with pytest.raises(SourceError, match="cannot connect"):
            open_source("tcp://127.0.0.1:1", silence_s=silence_s)
    assert asked == [(5.0, 0.05), (5.0, 2.0), (70.0, 70.0)]


def test_opening_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it connects, and while it waits to try again."""
    from irtrack.capture.reconnect import ReconnectingSource
    from irtrack.core import SourceError

    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    gate = threading.Event()
    with pytest.raises(SourceError, match="stopped while connecting"):
        ReconnectingSource(lambda: Stuck(gate, opens=False), "stuck", 600.0, 600.0, cancelled.is_set)
    gate.set()
    cancelled.clear()
    threading.Timer(1.0, cancelled.set).start()
    with pytest.raises(SourceError, match="stopped while connecting"):
        open_source(f"http://127.0.0.1:{free_port()}/x", reconnect_s=600, wait_s=600, cancelled=cancelled.is_set)


def test_a_camera_that_is_off_at_the_start_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    port, made = free_port(), list[Mjpeg]()
    threading.Timer(1.0, lambda: made.append(Mjpeg(port))).start()
    source = open_source(f"http://127.0.0.1:{port}/video.mjpg", reconnect_s=30, wait_s=60)
    try:
        assert next(iter(source)).image.shape == (128, 160)
        assert "waiting for it, up to 60 s" in caplog.text
    finally:
        source.close()
        made[0].close()


def test_what_can_never_be_right_is_not_waited_for(tmp_path: Path) -> None:
    from irtrack.core import SourceError

    camera = Mjpeg(credentials="a:b")
    with contextlib.closing(camera):
        for text in (camera.url, camera.url.replace("video", "none"), "nonsense://x/y", "camera:0,colour=red"):
            with pytest.raises(SourceError):
                open_source(text, reconnect_s=1e6, wait_s=1e6)
