"""A live camera that sends something else than its pictures: one of them costs one frame, a new kind a fresh start."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, shared_data
from mjpeg import Mjpeg, free_port
from senders import picture

from irtrack.capture import open_source
from irtrack.capture.limits import MOST_BYTES, bound_allocations
from irtrack.capture.reconnect import ODD, settled
from irtrack.capture.stream import BROKEN
from irtrack.core import Frame, Remarks


@pytest.fixture
def camera() -> Iterator[Mjpeg]:
    made = Mjpeg()
    yield made
    made.close()


def jpeg(width: int, height: int) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width), 90, np.uint8))[1].tobytes()


GOOD = cv2.imencode(".jpg", picture(7))[1].tobytes()
PARTS = {
    "tall": (jpeg(160, 5000), ODD),
    "tiny": (jpeg(8, 8), ODD),
    "empty": (b"", BROKEN),
    "zeros": (bytes(len(GOOD)), BROKEN),
    "cut": (GOOD[: len(GOOD) // 2], BROKEN),
    "a page of text": (b"<html><body>503 busy</body></html>", BROKEN),
    "an absurd size": (GOOD.replace(bytes((0, 128, 0, 160)), bytes((255, 220, 255, 220))), BROKEN),
}


@pytest.mark.parametrize("what", PARTS)
def test_one_odd_part_costs_one_frame(camera: Mjpeg, what: str) -> None:
    part, remark = PARTS[what]
    source = open_source(camera.url, reconnect_s=20)
    frames: list[Frame] = []
    for frame in source:
        frames.append(frame)
        if len(frames) == 5:
            camera.odd.append(part)
        if len(frames) == 40:
            break
    source.close()
    assert source.lost == 0  # type: ignore[attr-defined]
    assert {f.image.shape for f in frames} == {(128, 160)}
    assert {f.connection for f in frames} == {0}
    assert source.info.remarks.counts() == {remark: 1}


def test_another_size_inside_a_connection_is_a_fresh_start_and_no_frame_is_lost(camera: Mjpeg) -> None:
    source = open_source(camera.url)
    frames: list[Frame] = []
    for frame in source:
        frames.append(frame)
        if len(frames) == 10:
            camera.size = (320, 256)
        if frame.image.shape == (256, 320) and len([f for f in frames if f.connection]) == 10:
            break
    source.close()
    shapes = [f.image.shape for f in frames]
    at = shapes.index((256, 320))
    assert set(shapes[at:]) == {(256, 320)}
    assert [f.connection for f in frames] == [0] * at + [1] * (len(frames) - at)
    assert [f.index for f in frames] == list(range(len(frames)))
    (line,) = source.info.remarks.lines()
    assert "from 160x128 pixels of 8 bits to 320x256 pixels of 8 bits" in line
    assert "OUT.part2" in line


def frame_of(index: int, shape: tuple[int, int], dtype: type = np.uint8) -> Frame:
    return Frame(index, index / 30, np.zeros(shape, dtype))


def test_settled() -> None:
    a, b, c = (8, 8), (4, 4), (2, 2)
    for shapes, kept, odd in (
        ([a] * 4, [0, 1, 2, 3], 0),
        ([a, b, a, a], [0, 2, 3], 1),
        ([a, b, b, a], [0, 3], 2),
        ([a, b, b, b, b], [0, 1, 2, 3, 4], 0),
        ([a, b, c, c, c], [0, 2, 3, 4], 1),
        ([a, b, c, b, a], [0, 4], 3),
        ([a, a, b], [0, 1], 1),
        ([a, b, b, b, a, b], [0, 1, 2, 3, 5], 1),
        ([], [], 0),
    ):
        remarks = Remarks()
        out = [f.index for f in settled((frame_of(i, s) for i, s in enumerate(shapes)), remarks)]
        assert out == kept, shapes
        assert remarks.counts().get(ODD, 0) == odd
    deep = [frame_of(0, a), *(frame_of(i, a, np.uint16) for i in (1, 2, 3))]
    assert [f.image.dtype for f in settled(deep, Remarks())] == [np.uint8] + [np.uint16] * 3


GREEDY = """
import resource, socket, sys, threading
def serve(port):
    with socket.create_server(("127.0.0.1", port)) as server:
        print("ready", flush=True)
        while True:
            client, _ = server.accept()
            client.recv(4096)
            try:
                client.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Type: multipart/x-mixed-replace; boundary=f\\r\\n\\r\\n")
                good = open(sys.argv[2], "rb").read()
                for _ in range(5):
                    client.sendall(b"--f\\r\\nContent-Type: image/jpeg\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(good))
                    client.sendall(good + b"\\r\\n")
                client.sendall(b"--f\\r\\nContent-Type: image/jpeg\\r\\nContent-Length: %d\\r\\n\\r\\n" % (1 << 30))
                piece = bytes(1 << 22)
                for _ in range(256):
                    client.sendall(piece)
            except OSError:
                pass
            client.close()
serve(int(sys.argv[1]))
"""

READER = """
import sys
from irtrack.capture import open_source
from irtrack.core import SourceError
try:
    print(sum(1 for _ in open_source(sys.argv[1])))
except SourceError as error:
    print(error)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # maxrss has the parent's
print(int(peak.split()[1]) // 1024)
"""


def test_a_part_of_a_gigabyte_takes_no_gigabyte(tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes(GOOD)
    port = free_port()
    camera = subprocess.Popen(
        [sys.executable, "-c", GREEDY, str(port), str(tmp_path / "good.jpg")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert camera.stdout is not None
        assert camera.stdout.readline() == "ready\n"
        done = subprocess.run(
            [sys.executable, "-c", READER, f"http://127.0.0.1:{port}/v"],
            capture_output=True, text=True, timeout=120, cwd=ROOT,
        )  # fmt: skip
    finally:
        camera.kill()
        camera.wait()
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 1000  # MiB


def test_ffmpegs_library_is_found_and_bounded() -> None:
    import av

    assert bound_allocations()
    with pytest.raises((MemoryError, av.FFmpegError, OSError)):
        av.Packet(MOST_BYTES + (1 << 20))


def test_a_run_with_a_camera_that_changes_its_size(camera: Mjpeg, tmp_path: Path) -> None:
    """The whole program: each file of one size, said once, numbered on."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), "run", camera.url, "--csv", "t.csv", "--record", "r.mkv", "--strict",
         "--frames", "90"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip

    def change() -> None:
        raw = tmp_path / "r.mkv"
        while process.poll() is None and not (raw.exists() and raw.stat().st_size > 2000):
            threading.Event().wait(0.02)
        camera.size = (320, 256)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        out, err = process.communicate(timeout=200)
    finally:
        process.kill()
        changing.join()
    assert process.returncode == 1, err  # --strict
    assert "changed from 160x128 pixels of 8 bits to 320x256" in err
    assert {line.split()[-1] for line in out.splitlines() if "wrote" in line} == {
        "t.csv", "t.csv.utc.json", "t.part2.csv", "r.mkv", "r.part2.mkv"
    }  # fmt: skip
    for name, shape in (("r.mkv", (128, 160)), ("r.part2.mkv", (256, 320))):
        assert {f.image.shape for f in open_source(str(tmp_path / name))} == {shape}


def test_the_case_of_the_camera_that_changes(tmp_path: Path) -> None:
    """../shared/data/cases/live-size-change, over a connection of its own."""
    script = shared_data() / "cases" / "live-size-change" / "camera.py"
    if not script.exists():
        pytest.skip("the shared cases are not here")
    port = free_port()
    process = subprocess.Popen([sys.executable, str(script), str(port), "20"], cwd=ROOT)
    try:
        source = open_source(f"http://127.0.0.1:{port}/v.mjpg", wait_s=60)
        frames = []
        for frame in source:
            frames.append(frame)
            if frame.connection and len(frames) > 40:
                break
        source.close()
    finally:
        process.kill()
        process.wait()
    assert {(f.image.shape, f.connection) for f in frames} == {((120, 160), 0), ((240, 320), 1)}
