"""Libraries in C print on the terminal by themselves: none of that reaches the user, and nothing else is lost."""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from irtrack.capture import open_source
from irtrack.core import SourceError
from irtrack.hush import hushed
from irtrack.simulate import Scene, scene_from_text

ROOT = Path(__file__).resolve().parent.parent


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def odd_images(folder: Path) -> list[Path]:
    """Images that libpng and libjpeg grumble about, some of which can be read all the same."""
    picture = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    png, jpg = (cv2.imencode(suffix, picture)[1].tobytes() for suffix in (".png", ".jpg"))
    made = {
        "iccp.png": png[:33] + chunk(b"iCCP", b"x\0\0" + zlib.compress(b"garbage" * 10)) + png[33:],
        "srgb.png": png[:33] + chunk(b"sRGB", b"\x09") + png[33:],
        "trns.png": png[:33] + chunk(b"tRNS", b"\0\1\2\3\4\5") + png[33:],
        "extra.jpg": jpg[:300] + b"\xff\x00\xff" * 20 + jpg[300:],
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in made]


def odd_videos(folder: Path) -> list[Path]:
    """Videos with bytes of their pictures overwritten."""
    scene, out = Scene(scene_from_text("sky,width=96,height=80,frames=12")), []
    for name, codec, pixels in (
        ("a.ts", "libx264", "yuv420p"),
        ("m.avi", "mjpeg", "yuvj420p"),
        ("p.mov", "png", "rgb24"),
    ):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=30)
            stream.width, stream.height, stream.pix_fmt = 96, 80, pixels
            for i in range(12):
                frame = av.VideoFrame.from_ndarray(scene.image(i), format="gray").reformat(format=pixels)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        data = bytearray((folder / name).read_bytes())
        for at in np.random.default_rng(1).integers(len(data) // 5, len(data) * 9 // 10, 60):
            data[at] ^= 0x5A
        (folder / name).write_bytes(data)
        out.append(folder / name)
    return out


def read_through(path: Path) -> None:
    try:
        source = open_source(str(path))
        try:
            for _ in source:
                pass
        finally:
            source.close()
    except SourceError:
        pass


def test_the_images_do_make_the_libraries_print(tmp_path: Path) -> None:
    """Else the next test would say nothing."""
    paths = odd_images(tmp_path)
    code = "import cv2, sys; [cv2.imread(p) for p in sys.argv[1:]]"
    done = subprocess.run([sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True)
    assert "libpng warning" in done.stderr
    assert "Corrupt JPEG" in done.stderr


def test_reading_what_is_odd_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for path in [*odd_images(tmp_path), *odd_videos(tmp_path)]:
        read_through(path)
    with pytest.raises(SourceError, match="camera 77 is not there"):
        open_source("camera:77")
    assert capfd.readouterr().err == ""


def test_a_run_prints_its_own_words_only(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "1.png").write_bytes(odd_images(tmp_path)[0].read_bytes())
    words = ["detect", str(folder), "--out", str(tmp_path / "out"), "--weights", "datransnet-s", "--backend", "torch"]
    done = subprocess.run([sys.executable, "main.py", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "libpng" not in done.stderr + done.stdout


def test_what_is_not_chatter_is_passed_on(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "irtrack.hush")
    with hushed():
        os.write(2, b"libpng warning: iCCP: too short\na program's own words\n[h264 @ 0x55d0] error while decoding\n")
        with hushed():
            os.write(2, b"more of them\n")
    os.write(2, b"and after\n")
    assert capfd.readouterr().err == "a program's own words\nmore of them\nand after\n"
    assert caplog.records[0].getMessage() == "libpng warning: iCCP: too short"


def test_many_threads_at_once_leave_it_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    before = os.fstat(2).st_ino

    def work() -> None:
        for _ in range(200):
            with hushed():
                os.write(2, b"libpng error: x\n")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.fstat(2).st_ino == before
    os.write(2, b"done\n")
    assert capfd.readouterr().err == "done\n"


def test_without_a_standard_error(tmp_path: Path) -> None:
    code = "import os; os.close(2)\nfrom irtrack.hush import hushed\nwith hushed(): print('inside')\nprint('outside')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "inside\noutside\n"
