"""Live streams from real servers on loopback: frames, latency, death and return."""

from __future__ import annotations

import contextlib
import csv
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from mjpeg import Mjpeg, free_port, number_of
from senders import HEIGHT, deep

from irtrack.capture import open_source
from irtrack.capture import reconnect as reconnecting
from irtrack.capture.reconnect import Connection, ReconnectingSource
from irtrack.core import Frame, Source, SourceError
from irtrack.pipeline import Pipeline

SYSTEM_PYTHON = "/usr/bin/python3"
RTSP = (
    Path(SYSTEM_PYTHON).exists()
    and subprocess.run(
        [SYSTEM_PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"], capture_output=True
    ).returncode
    == 0
)


@pytest.fixture
def camera() -> Iterator[Mjpeg]:
    made = Mjpeg()
    yield made
    made.close()


def take(source: object, count: int) -> list[Frame]:
    out = []
    for frame in source:  # type: ignore[attr-defined]
        out.append(frame)
        if len(out) == count:
            break
    return out


def test_mjpeg_over_http_arrives_in_order_and_at_once(camera: Mjpeg) -> None:
    """At once: each picture is here before the camera sends the next, which it does only then."""
    source = open_source(camera.url)
    assert source.live
    camera.wanted = camera.number + 3
    late, numbers = [], []
    for frame in source:
        numbers.append(number_of(frame.image))
        late.append(frame.time_s + source._start_s - camera.sent[numbers[-1]])
        assert numbers[-1] <= camera.wanted
        camera.wanted = max(camera.wanted, numbers[-1] + 1)
        if len(numbers) == 60:
            break
    source.close()
    assert np.array_equal(np.diff(numbers), np.ones(59))
    print(f"mjpeg: median {1e3 * np.median(late[10:]):.1f} ms, 95 % {1e3 * np.percentile(late[10:], 95):.1f} ms")


@contextlib.contextmanager
def sender(kind: str, *more: str) -> Iterator[int]:
    """`senders.py` in its own process, or `rtsp_server.py` in the system's Python; gives the port."""
    port = free_port()
    if kind == "rtsp":
        if not RTSP:
            pytest.skip("the system lacks GStreamer's RTSP server (gir1.2-gst-rtsp-server-1.0)")
        script = [SYSTEM_PYTHON, str(Path(__file__).with_name("rtsp_server.py"))]
    else:
        script = [sys.executable, str(Path(__file__).with_name("senders.py")), kind]
    process = subprocess.Popen([*script, str(port), *more])
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def connected(url: str) -> Source:
    """Tries until the sender listens."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return open_source(url)
        except SourceError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_16_bit_raw_video_over_tcp_is_bit_for_bit_what_was_sent() -> None:
    with sender("nut") as port:
        source = connected(f"tcp://127.0.0.1:{port}")
        frames = take(source, 30)
        source.close()
    assert source.info.bits == 16
    first = int(frames[0].image[HEIGHT - 1, 0]) - 90 * 257
    assert all(np.array_equal(f.image, deep(first + i)) for i, f in enumerate(frames))


@pytest.mark.parametrize("kind", ["mpegts", "udp"])
def test_mpegts_over_tcp_and_udp(kind: str) -> None:
    with sender(kind) as port:
        source = connected(f"{'udp' if kind == 'udp' else 'tcp'}://127.0.0.1:{port}")
        numbers = [number_of(f.image) for f in take(source, 30)]
        source.close()
    steps = np.diff(numbers)
    assert (steps > 0).all()
    assert steps.mean() < 1.5


@pytest.mark.parametrize("kind", ["nut", "mpegts", "udp", "rtsp"])
def test_latency(kind: str) -> None:
    """From the picture's making, its encoding included, to the mailbox: frames carry the clock of their making.

    Printed, for what it is depends on the machine (measured: 2, 47, 47 and 35 ms); asserted is that it does not grow
    by a frame for each frame, as it does where a reader holds them back.
    """
    scheme, path = {"udp": ("udp", ""), "rtsp": ("rtsp", "/ir")}.get(kind, ("tcp", ""))
    with sender(kind, "clock") as port:
        source = connected(f"{scheme}://127.0.0.1:{port}{path}")
        number = number_of if source.info.bits == 8 else lambda image: int(image[-1, 0]) - 90 * 257
        start_s = source._start_s
        late = [(int((start_s + f.time_s) * 1000) - number(f.image)) & 0xFFFF for f in take(source, 75)][15:]
        source.close()
    print(f"{kind}: median {np.median(late)} ms, 95 % {np.percentile(late, 95)} ms")
    assert min(late[-20:]) < min(late[:20]) + 1000


def test_rtsp_with_a_password() -> None:
    """Frames with the right one; with a wrong one, a line that does not tell it."""
    with sender("rtsp", "locked") as port:
        source = connected(f"rtsp://ir:secret@127.0.0.1:{port}/ir")
        assert len(take(source, 10)) == 10
        assert "secret" not in source.info.name
        source.close()
        with pytest.raises(SourceError, match="401 Unauthorized") as refused:
            open_source(f"rtsp://ir:wrongpass@127.0.0.1:{port}/ir")
    assert "wrongpass" not in str(refused.value)


@pytest.mark.parametrize("death", ["killed", "silent"])
def test_a_stream_that_dies_is_noticed_and_comes_back(camera: Mjpeg, death: str) -> None:
    source = open_source(camera.url, reconnect_s=30)
    assert isinstance(source, ReconnectingSource)
    seen: list[Frame] = []
    arrived: list[float] = []
    reader = threading.Thread(target=lambda: [(seen.append(f), arrived.append(time.monotonic())) for f in source])
    reader.start()
    wait_for(lambda: len(seen) > 20)
    second = None
    if death == "silent":
        camera.silent = True
    else:
        camera.close()
    wait_for(lambda: source.state is Connection.RECONNECTING)
    before = len(seen)
    if death == "silent":
        camera.silent = False
    else:
        second = Mjpeg(camera.port)
    wait_for(lambda: len(seen) > before + 20)
    source.close()
    reader.join(10)
    assert not reader.is_alive()
    if second is not None:
        second.close()
    numbers, times = np.array([f.index for f in seen]), np.array([f.time_s for f in seen])
    assert (np.diff(numbers) > 0).all()
    assert (np.diff(times) >= 0).all()
    assert np.diff(numbers).max() > 5  # the gap shows
    assert source.lost == 1
    assert source.state is Connection.LIVE


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.01)


def exhaust(iterator: Iterator[Frame]) -> None:
    for _ in iterator:
        pass


def test_a_camera_that_stays_away_is_given_up(camera: Mjpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnecting, "FIRST_WAIT_S", 0.05)
    source = open_source(camera.url, reconnect_s=0.5)
    iterator = iter(source)
    next(iterator)
    camera.close()
    with pytest.raises(SourceError, match=r"given up after 0\.5 s"):
        exhaust(iterator)


def test_another_size_after_the_return_is_said_and_starts_afresh(camera: Mjpeg) -> None:
    source = open_source(camera.url, reconnect_s=20)
    iterator = iter(source)
    first = next(iterator)
    camera.close()
    other = Mjpeg(camera.port, size=(320, 256))
    try:
        changed = next(f for f in iterator if f.image.shape == (256, 320))
    finally:
        source.close()
        other.close()
    assert (first.connection, changed.connection) == (0, 1)
    assert any("from 160x128 pixels of 8 bits to 320x256" in line for line in source.info.remarks.lines())


@pytest.mark.parametrize("what", ["refused", "missing"])
def test_what_is_not_there_is_one_line_without_credentials(camera: Mjpeg, what: str) -> None:
    where = f"127.0.0.1:{free_port()}" if what == "refused" else f"127.0.0.1:{camera.port}/none"
    with pytest.raises(SourceError) as caught:
        open_source(f"http://user:secret@{where}")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_garbage_is_no_picture_and_no_crash() -> None:
    class Garbage(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.sendall(np.random.default_rng(0).bytes(200_000))

    with socketserver.TCPServer(("127.0.0.1", 0), Garbage) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            with pytest.raises(SourceError):
                open_source(f"tcp://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()


def test_pictures_that_turn_to_garbage_are_survived(camera: Mjpeg) -> None:
    source = open_source(camera.url, reconnect_s=20)
    seen: list[int] = []
    reader = threading.Thread(target=lambda: [seen.append(number_of(f.image)) for f in source])
    reader.start()
    wait_for(lambda: len(seen) > 10)
    camera.garbage = True
    time.sleep(0.5)
    camera.garbage = False
    before = len(seen)
    wait_for(lambda: len(seen) > before + 20)
    source.close()
    reader.join(10)
    assert not reader.is_alive()


def test_a_slow_detector_adds_no_latency(camera: Mjpeg) -> None:
    """A detector that takes the time of several frames is always given the newest that was captured."""
    from irtrack.build import make_tracker
    from irtrack.config import Settings
    from irtrack.core import Detections, Image

    pipeline: Pipeline

    class Slow:
        """Waits until five more frames are captured; notes how many there were at its end, and what it is given."""

        threshold = 0.5

        def __init__(self) -> None:
            self.captured: list[int] = []

        def __call__(self, image: Image) -> Detections:
            enough = pipeline.captured + 5
            wait_for(lambda: pipeline.captured >= enough or camera.stopping, 60)
            self.captured.append(pipeline.captured)
            return Detections.empty(np.zeros(image.shape, bool))

    given: list[int] = []
    slow = Slow()
    pipeline = Pipeline(
        open_source(camera.url),
        slow,  # type: ignore[arg-type]
        make_tracker(Settings()),
        (),
        on_result=lambda result: given.append(result.frame.index),
    )
    pipeline.start()
    wait_for(lambda: len(given) >= 40, 120)
    dropped = pipeline.dropped
    camera.close()
    with contextlib.suppress(SourceError):
        pipeline.join(60)
    # A frame is counted before it is handed over, so the newest may be on its way.
    behind = [captured - 1 - index for captured, index in zip(slow.captured, given[1:], strict=False)]
    assert max(behind[:38]) <= 1
    assert dropped >= 4 * 39


def test_logs_go_on_in_the_same_file_after_a_reconnect(camera: Mjpeg, tmp_path: Path) -> None:
    log, lines = tmp_path / "tracks.csv", tmp_path / "all.jsonl"
    command = [sys.executable, "-m", "irtrack", "run", camera.url.replace("//", "//me:hidden@"), "--csv", str(log)]
    run = subprocess.Popen([*command, "--jsonl", str(lines)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: lines.exists() and lines.read_text().count("\n") > 20, 60)
        camera.close()
        time.sleep(1.0)
        second = Mjpeg(camera.port)
        before = lines.read_text().count("\n")
        wait_for(lambda: lines.read_text().count("\n") > before + 20, 60)
        second.close()
        run.terminate()
        out, err = run.communicate(timeout=60)
    finally:
        run.kill()
    assert "hidden" not in out + err
    assert "Traceback" not in err
    with log.open() as f:
        assert next(csv.reader(f))[:3] == ["frame", "time_s", "track_id"]
