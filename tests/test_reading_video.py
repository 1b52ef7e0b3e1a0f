"""Video files as others write them: streams, times, turns, fields, codecs, ends; seeking stays exact in all of them."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
from av.filter import Graph
from av.stream import Disposition
from numpy.typing import NDArray

from irtrack.capture import open_source
from irtrack.capture.packets import make_index
from irtrack.cli import main
from irtrack.core import Clock, Frame, SourceError
from irtrack.sinks.record import MatroskaWriter

N, HEIGHT, WIDTH = 20, 64, 96
RATE = 25
Picture = NDArray[np.uint8]


def numbered(i: int) -> Picture:
    """A picture that says its number in five blocks, which survive any codec."""
    out = np.full((HEIGHT, WIDTH), 90, np.uint8)
    for bit in range(5):
        out[2:14, 16 * bit + 4 : 16 * bit + 16] = 220 if i >> bit & 1 else 30
    out[30:34, 3 * i : 3 * i + 4] = 200
    return out


def number_of(image: NDArray[Any]) -> int:
    top = 128 if image.dtype == np.uint8 else 128 << 8
    return sum(int(image[4:12, 16 * b + 6 : 16 * b + 14].mean() > top) << b for b in range(5))


PICTURES = [numbered(i) for i in range(N)]


def encode(path: Path, codec: str = "libx264", pix_fmt: str = "yuv420p", pictures: Sequence[Picture] = PICTURES,
           pts: Sequence[int] | None = None, container: dict[str, str] | None = None, kind: str | None = None,
           title: str = "", **options: str) -> None:  # fmt: skip
    """A video; `pts` in milliseconds."""
    base = Fraction(1, RATE) if pts is None else Fraction(1, 1000)
    with av.open(f"file:{path}", "w", format=kind, options=container or {}) as out:
        if title:
            out.metadata["title"] = title
        stream = out.add_stream(codec, rate=RATE)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape, pix_fmt
        stream.options = options
        stream.codec_context.gop_size = 7
        if pts is not None:
            stream.time_base = stream.codec_context.time_base = base
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format=pix_fmt)
            frame.pts, frame.time_base = i if pts is None else pts[i], base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def read_all(path: Path, fps: float | None = None) -> tuple[list[Frame], str, list[str]]:
    """Frames, the words at the end, and the remarks."""
    source, frames = open_source(str(path), fps), []
    try:
        frames.extend(source)
    except SourceError as error:
        return frames, str(error), source.info.remarks.lines()
    finally:
        source.close()
    return frames, "", source.info.remarks.lines()


def check_order_and_seeking(path: Path, count: int = N) -> list[Frame]:
    """Every picture is where its number says, read through and after each of some seeks, without a word."""
    source = open_source(str(path))
    frames = list(source)
    assert [f.index for f in frames] == list(range(count)) == [number_of(f.image) for f in frames]
    assert source.info.frames == count
    assert all(a.time_s < b.time_s for a, b in pairwise(frames))
    for index in (13, 0, count - 1, 7, 8, 14, 6, 1, 15):
        source.seek(index)
        frame = next(iter(source))
        assert (frame.index, number_of(frame.image), frame.time_s) == (index, index, frames[index].time_s)
        assert np.array_equal(frame.image, frames[index].image)
    source.close()
    return frames


@pytest.mark.parametrize("name", ["a.h264", "a.hevc", "a.mjpeg", "b.avi", "m.avi", "open.h264", "open.hevc"])
def test_streams_without_times_of_their_own(tmp_path: Path, name: str) -> None:
    codec = {"h264": "libx264", "hevc": "libx265", "mjpeg": "mjpeg", "avi": "libx264"}[name.split(".")[1]]
    codec = "mpeg4" if name == "m.avi" else codec
    options = {"x265-params": "log-level=none:bframes=3"} if codec == "libx265" else {"bf": "3"}
    if name.startswith("open"):  # pictures shown before a key frame refer to what lies before it
        options = {f"{codec[3:]}-params": "log-level=none:open-gop=1:bframes=3:keyint=7:min-keyint=1:scenecut=0"}
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    encode(tmp_path / name, codec, pix_fmt, **({} if codec == "mjpeg" else options))
    frames = check_order_and_seeking(tmp_path / name)
    rate = 30 if codec == "mjpeg" else RATE  # a bare stream of JPEGs says nothing
    assert [f.time_s for f in frames] == pytest.approx([i / rate for i in range(N)])
    source = open_source(str(tmp_path / name))
    assert source.info.clock is (Clock.ASSUMED if codec == "mjpeg" else Clock.FILE)
    source.close()


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "avi", "ts", "h264", "nut", "webm"])
def test_a_given_rate_acts_on_every_recording(tmp_path: Path, suffix: str) -> None:
    codec, pix_fmt = ("libvpx", "yuv420p") if suffix == "webm" else ("libx264", "yuv420p")
    encode(tmp_path / f"a.{suffix}", codec, pix_fmt)
    source = open_source(str(tmp_path / f"a.{suffix}"), fps=9)
    assert (source.info.clock, source.info.fps) == (Clock.GIVEN, 9)
    assert [f.time_s for f in source] == pytest.approx([i / 9 for i in range(N)])
    source.seek(5)
    assert next(iter(source)).time_s == pytest.approx(5 / 9)
    source.close()


def test_pictures_that_an_edit_list_leaves_out_are_not_missing(tmp_path: Path) -> None:
    path = tmp_path / "trimmed.mp4"
    encode(path, bf="0")
    code = bytearray(path.read_bytes())
    at = code.index(b"elst") + 16  # behind version, count and duration: where the film begins in its media
    (start,) = struct.unpack_from(">I", code, at)
    with av.open(str(path)) as f:
        base = f.streams.video[0].time_base
    struct.pack_into(">I", code, at, start + int(Fraction(3, RATE) / base))
    path.write_bytes(code)
    frames, words, remarks = read_all(path)
    assert (words, remarks) == ("", [])
    assert [number_of(f.image) for f in frames] == list(range(3, N))
    assert [f.index for f in frames] == list(range(N - 3))
    assert [f.time_s for f in frames] == pytest.approx([i / RATE for i in range(N - 3)])
    source = open_source(str(path))
    for index in (9, 0, 4):
        source.seek(index)
        assert number_of(next(iter(source)).image) == index + 3
    source.close()


def test_a_playlist_does_not_go_online(tmp_path: Path) -> None:
    callers: list[object] = []

    def answer(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, caller = server.accept()
                callers.append(caller)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,), daemon=True)
        thread.start()
        (tmp_path / "list.m3u8").write_text(
            "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n"
            f"http://127.0.0.1:{server.getsockname()[1]}/a.ts\n#EXT-X-ENDLIST\n"
        )
        with pytest.raises(SourceError):
            open_source(str(tmp_path / "list.m3u8"))
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert not callers


@pytest.mark.parametrize(("suffix", "codec", "pix_fmt"), [("avi", "ffv1", "gray"), ("ts", "mpeg2video", "yuv420p")])
def test_a_video_that_is_cut_while_it_is_read_is_said(tmp_path: Path, suffix: str, codec: str, pix_fmt: str) -> None:
    path = tmp_path / f"shrinks.{suffix}"
    rng = np.random.default_rng(1)
    noise = [rng.integers(0, 255, (HEIGHT, WIDTH)).astype(np.uint8) for _ in range(60)]
    encode(path, codec, pix_fmt, noise)
    with av.open(str(path)) as f:
        places = [p.pos for p in f.demux(video=0) if p.size]
    source = open_source(str(path))
    os.truncate(path, places[30])  # between two pictures: the demuxer takes it for the end
    frames: list[Frame] = []
    with pytest.raises(SourceError, match="cut short"):
        frames.extend(source)
    source.close()
    assert 28 <= len(frames) <= 30


def put_still_before(
    film: Path, out: Path, width: int, height: int, rate: int, marked: Disposition | None = None
) -> None:
    """A film with a still picture of its own stream before it in the file, which may be marked as one."""
    with av.open(str(film)) as source, av.open(str(out), "w") as made:
        still = made.add_stream("mjpeg", rate=rate)
        still.width, still.height, still.pix_fmt = width, height, "yuvj420p"
        if marked is not None:
            still.disposition = marked
        stream = made.add_stream_from_template(source.streams.video[0])
        black = av.VideoFrame.from_ndarray(np.zeros((height, width), np.uint8), format="gray")
        picture = black.reformat(format="yuvj420p")
        picture.pts, picture.time_base = 0, Fraction(1, rate)
        made.mux(still.encode(picture))
        made.mux(still.encode(None))
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                made.mux(packet)


def test_the_film_is_read_and_not_its_thumbnail(tmp_path: Path) -> None:
    path = tmp_path / "flight.mp4"
    encode(tmp_path / "film.mp4")
    put_still_before(tmp_path / "film.mp4", path, 200, 160, 1, Disposition.attached_pic)
    check_order_and_seeking(path)
    assert read_all(path)[2] == ["flight.mp4: still pictures (thumbnails) beside the film left out"]


def test_of_several_films_the_largest_is_read_and_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("ffv1", rate=RATE) for _ in range(2)]
        for stream, (height, width) in zip(streams, ((32, 48), (HEIGHT, WIDTH)), strict=True):
            stream.height, stream.width, stream.pix_fmt = height, width, "gray"
            stream.disposition = Disposition.default
        for i in range(N):
            for stream, picture in zip(streams, (np.zeros((32, 48), np.uint8), PICTURES[i]), strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="gray")
                frame.pts, frame.time_base = i, Fraction(1, RATE)
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    check_order_and_seeking(path)
    assert read_all(path)[2] == ["two.mkv: 2 video streams: stream 1, 96x64 is read, the others are not"]


SHOWN: dict[tuple[int, int, int, int], Callable[[Picture], Picture]] = {
    (1, 0, 0, 1): lambda a: a, (-1, 0, 0, 1): np.fliplr, (-1, 0, 0, -1): lambda a: np.rot90(a, 2),
    (1, 0, 0, -1): np.flipud, (0, 1, 1, 0): lambda a: a.T, (0, 1, -1, 0): lambda a: np.rot90(a, -1),
    (0, -1, -1, 0): lambda a: np.rot90(a, 2).T, (0, -1, 1, 0): lambda a: np.rot90(a),
}  # fmt: skip


@pytest.mark.parametrize("matrix", SHOWN)
def test_pictures_are_turned_and_mirrored_as_the_header_says(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = tmp_path / "phone.mp4"
    encode(path, crf="4")
    flat = [f.image for f in read_all(path)[0]]
    code = bytearray(path.read_bytes())
    at = code.index(b"tkhd") + 4 + 40  # version 0: the matrix
    a, b, c, d = (value << 16 for value in matrix)
    code[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(code)
    frames, words, remarks = read_all(path)
    assert not words
    assert remarks == ([] if matrix == (1, 0, 0, 1) else ["phone.mp4: turned as its header says"])
    for got, want in zip(frames, flat, strict=True):
        assert np.array_equal(got.image, SHOWN[matrix](want))
    source = open_source(str(path))
    assert (source.info.height, source.info.width) == frames[0].image.shape
    source.seek(11)
    assert np.array_equal(next(iter(source)).image, frames[11].image)
    source.close()


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_joined_streams_go_on(tmp_path: Path, codec: str) -> None:
    for part in (0, 1):
        encode(tmp_path / f"{part}.ts", codec, pictures=PICTURES[10 * part : 10 * part + 10], bf="2")
    path = tmp_path / "joined.ts"
    path.write_bytes((tmp_path / "0.ts").read_bytes() + (tmp_path / "1.ts").read_bytes())
    frames = check_order_and_seeking(path)
    assert [f.time_s for f in frames] == pytest.approx([i / RATE for i in range(N)], abs=1e-3)
    _, words, remarks = read_all(path)
    assert not words
    assert len(remarks) == 1
    assert "times fall by 0.36 s at picture 10" in remarks[0]


def test_equal_times_share_the_step_and_pauses_are_kept_and_said(tmp_path: Path) -> None:
    pts = [i // 2 for i in range(N)]  # 2,000 a second in a container of milliseconds
    encode(tmp_path / "fast.mkv", "ffv1", "gray", pts=pts)
    frames = check_order_and_seeking(tmp_path / "fast.mkv")
    assert [f.time_s for f in frames] == pytest.approx([i / 2000 for i in range(N)], abs=2e-4)
    assert "have the time of the one before" in read_all(tmp_path / "fast.mkv")[2][0]
    pts = [40 * i + (60_000 if i >= 12 else 0) for i in range(N)]
    encode(tmp_path / "pause.mkv", "ffv1", "gray", pts=pts)
    frames = check_order_and_seeking(tmp_path / "pause.mkv")
    assert [f.time_s for f in frames] == pytest.approx([t / 1000 for t in pts])
    assert read_all(tmp_path / "pause.mkv")[2] == ["pause.mkv: a pause of 60.04 s before picture 12"]


def test_stamps_that_fall_do_not_reorder_pictures_of_a_codec_that_cannot(tmp_path: Path) -> None:
    path = tmp_path / "jitter.mkv"
    encode(path, "mjpeg", "yuvj420p")
    with av.open(str(path)) as f:
        place = next(p.pos for p in f.demux(video=0) if p.pts == 320) + 1
    code = bytearray(path.read_bytes())
    (within,) = struct.unpack_from(">h", code, place)  # the time of picture 8 in its cluster
    struct.pack_into(">h", code, place, within - 60)  # before picture 7
    path.write_bytes(code)
    check_order_and_seeking(path)
    assert "times fall by 0.02 s at picture 8" in read_all(path)[2][0]


def test_a_recording_that_begins_within_a_group_of_pictures_is_no_damaged_one(tmp_path: Path) -> None:
    encode(tmp_path / "whole.ts", "mpeg2video")
    code, pieces = (tmp_path / "whole.ts").read_bytes(), []
    with av.open(str(tmp_path / "whole.ts")) as f:
        places = [p.pos for p in f.demux(video=0) if p.size]
    pieces = code[: places[0]] + code[places[3] :]  # the tables, then from the fourth picture on
    (tmp_path / "tuned-in.ts").write_bytes(pieces)
    frames, words, remarks = read_all(tmp_path / "tuned-in.ts")
    assert not words
    assert [number_of(f.image) for f in frames] == list(range(7, N))
    assert "before the first that can be decoded" in remarks[0]


def avi(fourcc: bytes, chunks: Sequence[bytes], bits: int = 24) -> bytes:
    """An AVI file by hand: no library writes what grabbers write."""

    def part(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)

    main_header = struct.pack("<14I", 40000, 0, 0, 0x10, len(chunks), 0, 1, 0, WIDTH, HEIGHT, 0, 0, 0, 0)
    stream = b"vids" + fourcc + struct.pack("<10I4H", 0, 0, 0, 1, RATE, 0, len(chunks), 0, 0, 0, 0, 0, WIDTH, HEIGHT)
    form = struct.pack("<IiiHH4sIIIII", 40, WIDTH, HEIGHT, 1, bits, fourcc, WIDTH * HEIGHT * 2, 0, 0, 0, 0)
    headers = (
        b"hdrl" + part(b"avih", main_header) + part(b"LIST", b"strl" + part(b"strh", stream) + part(b"strf", form))
    )
    movi, index = b"movi", b""
    for chunk in chunks:
        index += b"00dc" + struct.pack("<III", 0x10, len(movi), len(chunk))
        movi += part(b"00dc", chunk)
    return part(b"RIFF", b"AVI " + part(b"LIST", headers) + part(b"LIST", movi) + part(b"idx1", index))


def test_empty_chunks_repeat_a_picture_and_are_no_damage(tmp_path: Path) -> None:
    encode(tmp_path / "all.mkv", "mjpeg", "yuvj420p")
    with av.open(str(tmp_path / "all.mkv")) as f:
        jpegs = [bytes(p) for p in f.demux(video=0) if p.size]
    missed = (4, 5, N - 1)
    path = tmp_path / "grabber.avi"
    path.write_bytes(avi(b"MJPG", [b"" if i in missed else jpeg for i, jpeg in enumerate(jpegs)]))
    frames, words, remarks = read_all(path)
    assert not words
    there = [i for i in range(N) if i not in missed]
    assert [number_of(f.image) for f in frames] == there
    assert [f.time_s for f in frames] == pytest.approx([i / RATE for i in there])
    assert remarks == ["grabber.avi: chunks without a picture, as of a grabber that missed one (3 times)"]


@pytest.mark.parametrize("fourcc", [b"Y16 ", b"Y16\0", b"y16 ", b"R16 "])
def test_raw_counts_of_an_avi(tmp_path: Path, fourcc: bytes) -> None:
    deep = [picture.astype("<u2") * 256 + 7 for picture in PICTURES]
    (tmp_path / "raw.avi").write_bytes(avi(fourcc, [d.tobytes() for d in deep], 16))
    frames = check_order_and_seeking(tmp_path / "raw.avi")
    assert all(f.image.dtype == np.uint16 and np.array_equal(f.image, d) for f, d in zip(frames, deep, strict=True))
    assert [f.time_s for f in frames] == pytest.approx([i / RATE for i in range(N)])


def test_raw_counts_in_the_other_order_of_bytes_are_said(tmp_path: Path) -> None:
    deep = [7900 + 3 * picture.astype(np.uint16) for picture in PICTURES]
    for order, said in (("<u2", []), (">u2", ["a.avi: its samples have the bytes of each in the other order"])):
        (tmp_path / "a.avi").write_bytes(avi(b"Y16 ", [d.astype(order).tobytes() for d in deep], 16))
        frames, words, remarks = read_all(tmp_path / "a.avi")
        assert (words, remarks) == ("", said)
        assert np.array_equal([f.image for f in frames], deep)


def test_raw_counts_of_a_matroska_file_and_names_of_unknown_codecs(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "raw.mkv"), "w", options={"allow_raw_vfw": "1"}) as out:
        stream = out.add_stream("rawvideo", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "gray16le"
        for i in range(N):
            frame = av.VideoFrame.from_ndarray(PICTURES[i].astype(np.uint16) * 256, format="gray16le")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(stream.encode(frame))
    code = bytearray((tmp_path / "raw.mkv").read_bytes())
    at = code.index(b"\x63\xa2\xa8") + 3 + 16  # FFmpeg knows no FOURCC for it and leaves it out
    code[at : at + 4] = b"Y16 "
    (tmp_path / "raw.mkv").write_bytes(code)
    check_order_and_seeking(tmp_path / "raw.mkv")
    (tmp_path / "odd.mkv").write_bytes(code.replace(b"Y16 ", b"QX7 "))
    (tmp_path / "odd.avi").write_bytes(avi(b"QX7 ", [b"abc"] * 3))
    for name in ("odd.mkv", "odd.avi"):
        with pytest.raises(SourceError, match="codec 'QX7'") as caught:
            open_source(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    (tmp_path / "short.avi").write_bytes(avi(b"Y16 ", [b"abc"] * 3, 16))
    with pytest.raises(SourceError):
        read_all(tmp_path / "short.avi")
    encode(tmp_path / "x.mov", "mjpeg", "yuvj420p")
    code = (tmp_path / "x.mov").read_bytes()
    (tmp_path / "x.mov").write_bytes(code.replace(b"jpeg", b"QX7 "))
    with pytest.raises(SourceError, match="codec 'QX7'"):
        open_source(str(tmp_path / "x.mov"))


@pytest.mark.parametrize("suffix", ["avi", "mp4", "mkv", "nut"])
def test_titles_that_are_no_utf8(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"titled.{suffix}"
    encode(path, "mpeg4", title="Qqqqqqqq")
    code = path.read_bytes()
    assert b"Qqqqqqqq" in code
    path.write_bytes(code.replace(b"Qqqqqqqq", "Fl\u00fcge \u00fc".encode("latin-1").ljust(8)))
    check_order_and_seeking(path)


def test_names_with_colons_are_read_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["12:30:00.mkv", "http:x.mkv", "a?b#c%20 d'.mkv"]
    names += [] if sys.platform == "darwin" else [os.fsdecode(b"f\xfcr.mkv")]
    for name in names:
        encode(Path("a.mkv"))
        Path("a.mkv").rename(name)
        check_order_and_seeking(Path(name))
    call = ["run", "sim:sky,width=64,height=48,targets=0,frames=3", "--weights", "datransnet-s", "--quiet"]
    for record, video in (("1:2.mkv", "3:4.mp4"), ("1:2.tif", "3:5.mkv")):
        assert main([*call, "--record", record, "--video", video]) == 0
        assert len(read_all(Path(record))[0]) == len(read_all(Path(video))[0]) == 3
    assert main(["simulate", "sky,frames=3,width=64,height=48", "--out", "5:6.mkv"]) == 0
    assert len(read_all(Path("5:6.mkv"))[0]) == 3


def woven(top_first: bool) -> list[Picture]:
    """Two moments in each frame: a bar moves by 2 px from field to field, before noise."""
    pictures, rng = [], np.random.default_rng(2)
    for i in range(N):
        picture = rng.integers(40, 80, (HEIGHT, WIDTH)).astype(np.uint8)
        for moment in (0, 1):
            x = 4 + 2 * (2 * i + moment)
            picture[(moment if top_first else 1 - moment) :: 2, x : x + 4] = 220
        pictures.append(picture)
    return pictures


def interlaced(path: Path, first: str, **options: str) -> None:
    """H.264 whose frames say which field shows first."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.options = {"crf": "6", "x264-params": f"{first}=1", **options}
        stream.codec_context.gop_size = 7
        graph = Graph()
        form = av.VideoFormat("yuv420p")
        start = graph.add_buffer(width=WIDTH, height=HEIGHT, format=form, time_base=Fraction(1, RATE))
        marked, end = graph.add("setfield", first), graph.add("buffersink")
        start.link_to(marked)
        marked.link_to(end)
        graph.configure()
        for i, picture in enumerate(woven(first == "tff")):
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            graph.push(frame)
            out.mux(stream.encode(graph.pull()))
        out.mux(stream.encode(None))


def check_fields(frames: list[Frame]) -> None:
    """One bar at one place, which moves by 2 px a picture: no comb, no going back."""
    for f in frames[2:-2]:
        above = np.clip(f.image[8:-8].astype(float).mean(0) - 80, 0, None)
        centre = float((above * np.arange(WIDTH)).sum() / above.sum())
        assert centre == pytest.approx(4 + 2 * f.index + 1.5, abs=0.8)


@pytest.mark.parametrize("order", [2, 3, 4, 5])  # FFmpeg's AVFieldOrder: top first, bottom first, and by display
def test_fields_of_a_recording_whose_header_alone_says_their_order(tmp_path: Path, order: int) -> None:
    path = tmp_path / "tv.mov"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("png", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "gray"
        stream.codec_context.field_order = order
        for i, picture in enumerate(woven(order in (2, 5))):
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    frames, words, _ = read_all(path)
    assert (len(frames), words) == (2 * N, "")
    check_fields(frames)


@pytest.mark.parametrize("first", ["tff", "bff"])
@pytest.mark.parametrize("suffix", ["mp4", "ts", "avi"])
def test_fields_of_interlaced_recordings_are_pictures_at_the_field_rate(
    tmp_path: Path, first: str, suffix: str
) -> None:
    path = tmp_path / f"tv.{suffix}"
    interlaced(path, first, bf="2")
    source = open_source(str(path))
    frames = list(source)
    assert source.info.frames == len(frames) == 2 * N
    assert source.info.fps == pytest.approx(2 * RATE, rel=0.01)
    assert source.info.remarks.lines() == [f"tv.{suffix}: interlaced: each field is a picture, at the field rate"]
    assert [f.time_s for f in frames] == pytest.approx([i / 2 / RATE for i in range(2 * N)], abs=1e-3)
    check_fields(frames)
    for index in (17, 0, 2 * N - 1, 12, 3, 24, 13):  # with key frames among them
        source.seek(index)
        got = next(iter(source))
        assert got.index == index
        assert np.array_equal(got.image, frames[index].image)
    source.close()


def test_deep_colour_keeps_its_depth(tmp_path: Path) -> None:
    path = tmp_path / "deep.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "gbrp10le"
        for i in range(3):
            colour = np.full((HEIGHT, WIDTH, 3), 20_000 + 64 * i, np.uint16)  # a step of one in ten bits
            frame = av.VideoFrame.from_ndarray(colour, format="rgb48le").reformat(format="gbrp10le")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    levels = [int(f.image[5, 5]) for f in read_all(path)[0]]
    assert read_all(path)[0][0].image.dtype == np.uint16
    assert np.diff(levels).tolist() == pytest.approx([64, 64], abs=3)
    assert levels[0] == pytest.approx(20_000, abs=70)


def test_pictures_that_are_never_shown_have_no_number() -> None:
    @dataclass
    class Packet:
        pts: int
        body: bytes
        is_keyframe: bool = False
        is_discard: bool = False
        dts: int | None = None

        @property
        def size(self) -> int:
            return len(self.body)

        def has_sidedata(self, kind: str) -> bool:
            return False

        def __bytes__(self) -> bytes:
            return self.body

    packets = [Packet(0, b"\x10", True), Packet(1, b"\x00"), Packet(40, b"\x11"), Packet(80, b"\x11")]
    index = make_index(packets, "vp8", "matroska,webm", False)  # type: ignore[arg-type]
    assert index.ticks == [0, 40, 80]
    assert index.frame_of == [0, -1, 1, 2]
    assert make_index(packets, "vp9", "matroska,webm", False).frames == 4  # type: ignore[arg-type]


def test_a_killed_recording_is_read_and_said(tmp_path: Path) -> None:
    writer = MatroskaWriter(tmp_path / "whole.mkv")
    for i, picture in enumerate(PICTURES):
        writer.write(Frame(i, i / RATE, picture))
    killed = (tmp_path / "whole.mkv").read_bytes()
    writer.close()
    (tmp_path / "killed.mkv").write_bytes(killed)
    frames, words, remarks = read_all(tmp_path / "killed.mkv")
    assert len(frames) > 5
    assert words or "its end was never written" in remarks[0]
    assert read_all(tmp_path / "whole.mkv")[1:] == ("", [])


@pytest.fixture(scope="module")
def tools() -> dict[str, ModuleType]:
    """The tools that write a file of each format and spoil them."""
    folder = Path(__file__).resolve().parent.parent / "tools"
    sys.path.insert(0, str(folder))
    try:
        import cut_files
        import fuzz_files
    finally:
        sys.path.remove(str(folder))
    return {"cut": cut_files, "fuzz": fuzz_files}


FORMATS = [
    "a.png", "a.jpg", "a.bmp", "a.pgm", "a.webp", "a.jp2", "a.tif", "deflate.tif", "imagej.tif", "block.tif", "ome.tif",
    "record.tif", "record.mkv", "a.seq", "a.csq", "radiometric.jpg", "ffv1.mkv", "h264.mkv", "ffv1.avi", "mjpeg.avi",
    "h264.avi", "ffv1.nut", "a.mp4", "fast.mp4", "a.mov", "fmp4.mp4", "a.webm", "vp9.webm", "a.ts", "a.h264", "a.mjpeg",
    "a.gif", "a.apng",
]  # fmt: skip
UNTOLD = {"a.seq": 3, "a.h264": 1}
"""Cuts between two pictures of a format that does not say how many there are."""


@pytest.mark.parametrize("name", FORMATS)
def test_files_that_were_cut_are_said(tools: dict[str, ModuleType], tmp_path: Path, name: str) -> None:
    refused, part, harmless, silent, wrong = tools["cut"].check(name, tmp_path)
    assert silent <= UNTOLD.get(name, 0), wrong
    assert refused + part + harmless + silent == 13
    assert name in UNTOLD or not wrong, wrong
    assert set(FORMATS) == set(tools["cut"].WRITERS)


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused_in_one_line(tools: dict[str, ModuleType], tmp_path: Path, name: str) -> None:
    said, quiet, wrong = tools["fuzz"].fuzz(name, tmp_path, 12, seed=4)
    assert not wrong, wrong
    assert said + quiet == 12


CASES: dict[str, tuple[str, int, tuple[int, int], float | None]] = {
    "avi-empty-chunks/grabber.avi": ("", 27, (96, 128), 28 / 30),
    "colon-name/2026-05-01T12:30:00.mkv": ("", 12, (96, 128), None),
    "imagej-interval/rec.tif": ("", 20, (72, 96), 19 * 0.111111),
    "mp4-thumbnail-first/flight.mp4": ("", 30, (96, 128), 29 / 30),
    "raw-h264/flight.h264": ("", 30, (96, 128), 29 / 30),
    "rotated-mp4/phone.mp4": ("", 30, (96, 128), 29 / 30),
    "tiff-multipage-folder/rec": ("", 24, (72, 96), None),
    "ts-joined/joined.ts": ("", 30, (96, 128), 29 / 30),
    "rjpeg-folder/rec": ("", 12, (60, 80), None),
    "shell-glob/seq": ("", 15, (72, 96), None),
    "apple-double/set/images": ("", 8, (72, 96), None),
    "name-not-utf8/rec": ("", 3, (72, 96), None),
    "y16-avi/thermal16.avi": ("", 8, (48, 64), 7 / 30),
    "hostile/cat.ts": ("", 78, (64, 96), 77 / 25),
    "hostile/back.ts": ("", 58, (64, 96), 57 / 25),
    "hostile/tif-own-16.tif": ("missing data", 7, (64, 96), None),
    "hostile/tif-ij-16.tif": ("0x64 pixels", 7, (64, 96), None),
}


@pytest.mark.parametrize("name", CASES)
def test_the_cases(data: Path, name: str) -> None:
    if not (data / "cases").is_dir():
        pytest.skip("the cases are not here")
    words, count, size, last = CASES[name]
    frames, said, _ = read_all(data / "cases" / name)
    assert len(frames) == count
    assert frames[0].image.shape == size
    assert words in said
    assert bool(words) == bool(said)
    if last is not None:
        assert frames[-1].time_s == pytest.approx(last, abs=2e-3)


@pytest.mark.parametrize("name", ["huge.tif", "inf.tif", "rgb.fff", "jlsrgb.fff", "p60000_short.png", "j65500.jpg"])
def test_the_hostile_cases_are_one_line(data: Path, name: str) -> None:
    if not (data / "cases").is_dir():
        pytest.skip("the cases are not here")
    with pytest.raises(SourceError) as caught:
        open_source(str(data / "cases" / "hostile" / name))
    assert "\n" not in str(caught.value)


def test_the_first_row_of_raw_counts_and_the_mean_of_a_negative(data: Path) -> None:
    cases = data / "cases"
    if not cases.is_dir():
        pytest.skip("the cases are not here")
    first = read_all(cases / "y16-avi" / "thermal16.avi")[0][0].image
    row = cases / "y16-avi" / "first_frame_row0.txt"
    assert first[0].tolist() == [int(n) for n in row.read_text().replace(",", " ").split()]
    assert read_all(cases / "tiff-white-is-zero" / "rec.tif")[0][0].image.mean() == pytest.approx(100.8, abs=0.1)


def test_jpegs_that_are_cut_within_an_avi_are_left_out_and_said(tmp_path: Path) -> None:
    """FFmpeg fills them up with grey. Where no picture has the mark of its end, a camera leaves it away."""
    encode(tmp_path / "all.mkv", "mjpeg", "yuvj420p")
    with av.open(str(tmp_path / "all.mkv")) as f:
        jpegs = [bytes(p) for p in f.demux(video=0) if p.size]
    cut = (5, 11)
    path = tmp_path / "camera.avi"
    path.write_bytes(avi(b"MJPG", [jpeg[: len(jpeg) // 2] if i in cut else jpeg for i, jpeg in enumerate(jpegs)]))
    frames, words, _ = read_all(path)
    assert [f.index for f in frames] == [number_of(f.image) for f in frames] == [i for i in range(N) if i not in cut]
    assert f"{N - 2} of {N} frames could be read" in words
    for chunks in ([jpeg[:-2] for jpeg in jpegs], [jpeg + bytes(100) for jpeg in jpegs]):
        path.write_bytes(avi(b"MJPG", chunks))
        frames, words, remarks = read_all(path)
        assert (len(frames), words, remarks) == (N, "", [])
