"""Recordings and pictures that were cut or damaged where their containers do not tell: the last picture of bare and
transport streams, and data that decoders fill up without a word."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from threading import Thread

import av
import cv2
import numpy as np
import pytest

from irtrack.capture import open_source
from irtrack.capture.numbers import MISSING
from irtrack.capture.packets import lacks_before_last
from irtrack.core import Image, SourceError

WIDTH, HEIGHT, N = 160, 128, 24
CALM = "log-level=none:keyint=8:bframes=0"

STREAMS = {
    "a.264": ("libx264", "h264", {"bf": "0", "g": "8"}),
    "b.264": ("libx264", "h264", {"bf": "2", "g": "8", "coder": "0"}),
    "a.265": ("libx265", "hevc", {"x265-params": CALM}),
    "h264.ts": ("libx264", "mpegts", {"bf": "0", "g": "8"}),
    "hevc.ts": ("libx265", "mpegts", {"x265-params": CALM}),
    "mpeg2.ts": ("mpeg2video", "mpegts", {"g": "8"}),
    "a.rm": ("rv20", "rm", {}),
    "a.roq": ("roqvideo", "roq", {}),
}


def picture(number: int) -> Image:
    """A noisy sky: what is made up of it differs."""
    noise = np.random.default_rng(number).normal(90, 12, (HEIGHT, WIDTH))
    noise[40:44, 4 * number : 4 * number + 4] = 240
    return noise.clip(0, 255).astype(np.uint8)


def film(path: Path, codec: str, container: str, options: dict[str, str] | None = None, count: int = N) -> bytes:
    """`count` pictures, as bytes."""
    roq = container == "roq"
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=30 if roq else 25, options=options or {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj444p" if roq else "yuv420p"
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else stream.pix_fmt
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number), format="gray").reformat(format=stream.pix_fmt)
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path.read_bytes()


def pictures_of(path: Path) -> tuple[list[Image], str]:
    """All that is read, and the words of its end."""
    try:
        source = open_source(str(path))
    except SourceError as error:
        return [], str(error)
    found: list[Image] = []
    try:
        found.extend(frame.image for frame in source)
    except SourceError as error:
        return found, str(error)
    finally:
        source.close()
    return found, " ".join(source.info.remarks.lines())


@pytest.mark.parametrize("name", STREAMS)
def test_a_picture_that_lacks_its_end_is_left_out_and_said(tmp_path: Path, name: str) -> None:
    """Cut within a picture everywhere: nothing made up is among what is read. Transport streams are cut between their
    packets, and between two pictures nobody can tell."""
    codec, container, options = STREAMS[name]
    code = film(tmp_path / name, codec, container, options)
    whole, words = pictures_of(tmp_path / name)
    assert (len(whole), words) == (N, "")
    for share in np.linspace(0.35, 0.95, 9):
        at = int(len(code) * share)
        if container == "mpegts":
            at = at // 188 * 188
            film_packets = [p for p in packets(code[:at]) if p[1] & 0x1F == 1 and p[2] == 0]
            if film_packets[-1][3] & 0x20 and film_packets[-1][4] > 7:  # filled up: the picture ends here
                continue
        (tmp_path / f"cut-{name}").write_bytes(code[:at])
        found, words = pictures_of(tmp_path / f"cut-{name}")
        assert len(found) < N
        assert words, share
        if "bf" not in options or options["bf"] == "0":  # else those between the last ones lack, and orders differ
            assert all(np.array_equal(a, b) for a, b in zip(found, whole, strict=False)), share


def packets(code: bytes) -> list[bytes]:
    return [code[i : i + 188] for i in range(0, len(code), 188)]


@pytest.mark.parametrize("count", [5, 9, 17, 22])
@pytest.mark.parametrize("name", STREAMS)
def test_whole_ones_are_whole(tmp_path: Path, name: str, count: int) -> None:
    codec, container, options = STREAMS[name]
    film(tmp_path / name, codec, container, options, count)
    found, words = pictures_of(tmp_path / name)
    assert (len(found), words) == (count, "")


def test_pictures_between_the_last_ones() -> None:
    even = list(range(0, 4000, 40))
    assert not lacks_before_last(even, 2)
    assert lacks_before_last([*even, 4080], 2)
    assert not lacks_before_last([*even, 4080], 0)  # nothing is held back: a pause
    assert not lacks_before_last([0, 40, 200, *range(240, 4000, 40), 4080], 2)  # pauses are usual here
    assert not lacks_before_last([0, 80], 2)


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mjpeg"), ("b.avi", "msmpeg4"), ("a.mkv", "libx264")])
def test_damage_within_pictures_is_said(tmp_path: Path, name: str, codec: str) -> None:
    """Bytes of one picture in the middle are others: it is left out, with those that refer to it where their decoder
    says so, and the run does not end as a good one."""
    code = bytearray(film(tmp_path / name, codec, "matroska" if name.endswith("mkv") else "avi", {"g": "4"}))
    with av.open(str(tmp_path / name)) as file:
        packet = [p for p in file.demux(video=0) if p.size][12]
        at = code.find(bytes(packet)[:64]) + packet.size // 2
    code[at : at + 48] = np.random.default_rng(1).integers(0, 255, 48, np.uint8).tobytes()
    (tmp_path / f"x{name}").write_bytes(code)
    found, words = pictures_of(tmp_path / f"x{name}")
    assert N - 4 <= len(found) < N
    assert f"{len(found)} of " in words
    assert "damaged or cut short" in words


def test_jpegs_that_all_lack_something_are_read_as_they_are(tmp_path: Path) -> None:
    """A camera whose pictures have fewer rows than each says is not refused for it."""
    code = film(tmp_path / "a.avi", "mjpeg", "avi")
    rows = b"\xff\xc0\x00\x11\x08" + HEIGHT.to_bytes(2, "big")
    assert code.count(rows) == N
    code = code.replace(rows, rows[:-2] + (HEIGHT + 16).to_bytes(2, "big"))
    (tmp_path / "x.avi").write_bytes(code)
    found, words = pictures_of(tmp_path / "x.avi")
    assert len(found) == N
    assert "all are read as they are" in words


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_damaged_jpeg_is_no_picture(tmp_path: Path, progressive: int) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), picture(number), options)
    assert len(pictures_of(tmp_path)[0]) == 4
    code = (tmp_path / "2.jpg").read_bytes()
    (tmp_path / "2.jpg").write_bytes(code[:4096] + code[6144:])  # blocks of a card were lost
    found, words = pictures_of(tmp_path)
    assert len(found) == 3
    assert "2.jpg is damaged" in words
    assert "1 of 4 pictures could not be read" in words


def without(packet: int, source: Path, target: Path) -> None:
    """The same recording, of which a packet was lost on the way."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as file:
        stream = file.add_stream_from_template(whole.streams.video[0])
        for number, found in enumerate(whole.demux(video=0)):
            if found.size and number != packet:
                found.stream = stream
                file.mux(found)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mkv", {"bf": "2"}), ("a.ts", {"bf": "2"}), ("a.mp4", {"bf": "0", "profile": "baseline"}),
        ("b.mp4", {"x264-params": "interlaced=1:slices=3"}), ("b.ts", {"intra-refresh": "1", "bf": "0"}),
        ("b.mkv", {"profile": "high444", "qp": "0"}), ("c.mp4", {"x264-params": "cqm=jvt:b-pyramid=strict"}),
    ],
)  # fmt: skip
def test_pictures_that_were_lost_on_the_way_are_said(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    """FFmpeg puts the picture before in the place of the one that is missing, and every container is content."""
    container = {".mkv": "matroska", ".mp4": "mp4", ".ts": "mpegts"}[name[1:]]
    film(tmp_path / name, "libx264", container, {"g": "8", "sc_threshold": "0", **options})
    assert MISSING not in pictures_of(tmp_path / name)[1]
    for packet in (8, 9):  # the first of a group, and the second: the next are made from them
        without(packet, tmp_path / name, tmp_path / f"lost-{name}")
        assert MISSING in pictures_of(tmp_path / f"lost-{name}")[1]


def test_pictures_that_a_network_lost_are_said(tmp_path: Path) -> None:
    film(tmp_path / "a.ts", "libx264", "mpegts", {"g": "8", "sc_threshold": "0", "bf": "0"}, 120)
    without(97, tmp_path / "a.ts", tmp_path / "lost.ts")  # of the first ones FFmpeg learns, and shows none
    for name, lost in (("a.ts", False), ("lost.ts", True)):
        with socket.create_server(("127.0.0.1", 0)) as server:
            camera = Thread(target=send, args=(server, (tmp_path / name).read_bytes()))
            camera.start()
            source = open_source(f"tcp://127.0.0.1:{server.getsockname()[1]}")
            with contextlib.suppress(SourceError):
                list(source)
            source.close()
            camera.join()
        assert (MISSING in source.info.remarks.counts()) == lost


def send(server: socket.socket, code: bytes) -> None:
    """All of a recording, to whoever connects."""
    with server.accept()[0] as to:
        to.sendall(code)
