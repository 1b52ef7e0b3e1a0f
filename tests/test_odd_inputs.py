"""Inputs that look like others: palettes, wrong headers, text that FFmpeg takes for films, folders with too much."""

from __future__ import annotations

import json
import os
import shutil
import struct
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from irtrack.build import check_fit
from irtrack.capture import open_source
from irtrack.capture.grey import frame_to_grey
from irtrack.cli import main
from irtrack.commands.tune import boxes_of, check_boxes, read_boxes
from irtrack.config import DetectorSettings
from irtrack.core import Clock, Frame, IrtrackError, Remarks, SourceError, SourceInfo, WeightsError
from irtrack.detect.weights import load_weights
from irtrack.direction.camera import Camera
from irtrack.direction.lens import Lens
from irtrack.direction.stations import read_station
from irtrack.imaging.correction import correction_from, load_correction
from irtrack.paths import replacing
from irtrack.simulate import scene_from_text
from irtrack.sinks.lossless import write_video

HEIGHT, WIDTH, N = 32, 48, 8
Picture = NDArray[np.uint8]
GREYS = bytes(b for i in range(256) for b in (i, i, i, 0))


def picture(i: int) -> Picture:
    """A ramp with a spot that moves."""
    out = (np.arange(HEIGHT)[:, None] * 2 + np.arange(WIDTH)[None] * 3 + 20).astype(np.uint8)
    out[10:13, 4 * i + 2 : 4 * i + 5] = 250
    return out


PICTURES = [picture(i) for i in range(N)]


def read_all(text: str | Path, fps: float | None = None) -> tuple[list[Frame], str, str]:
    """Frames, the words at the end, and the remarks."""
    frames: list[Frame] = []
    source = open_source(str(text), fps)
    try:
        frames.extend(source)
    except SourceError as error:
        return frames, str(error), "\n".join(source.info.remarks.lines())
    finally:
        source.close()
    return frames, "", "\n".join(source.info.remarks.lines())


def refusal(path: Path | str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    return str(caught.value)


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def avi(path: Path, pictures: Sequence[bytes], bits: int, palette: bytes = b"", fourcc: bytes = b"\0\0\0\0") -> None:
    """A raw AVI as grabbers and ImageJ write it, of WIDTH x HEIGHT pixels."""
    size = len(pictures[0])
    head = (
        b"vids"
        + b"DIB "
        + struct.pack("<IHHIIIIIIIi4h", 0, 0, 0, 0, 1, 25, 0, N, 0, -1 % 2**32, 0, 0, 0, WIDTH, HEIGHT)
    )
    form = struct.pack("<IiiHH4sIiiII", 40, WIDTH, HEIGHT, 1, bits, fourcc, size, 0, 0, len(palette) // 4, 0) + palette
    main_head = struct.pack("<14I", 40_000, 0, 0, 16, N, 0, 1, size, WIDTH, HEIGHT, 0, 0, 0, 0)
    stream = chunk(b"LIST", b"strl" + chunk(b"strh", head) + chunk(b"strf", form))
    lists = chunk(b"LIST", b"hdrl" + chunk(b"avih", main_head) + stream)
    movie, index = b"", b""
    for code in pictures:
        index += b"00db" + struct.pack("<III", 16, 4 + len(movie), len(code))
        movie += chunk(b"00db", code)
    path.write_bytes(chunk(b"RIFF", b"AVI " + lists + chunk(b"LIST", b"movi" + movie) + chunk(b"idx1", index)))


# -- pixels of videos -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inverted", [False, True])
def test_pictures_with_a_palette_keep_it_from_the_first_to_the_last(tmp_path: Path, inverted: bool) -> None:
    """Demuxers hand a palette over once: read again, or from the middle on, such pictures were black."""
    palette = b"".join(bytes([255 - i] * 3 + [0]) for i in range(256)) if inverted else GREYS
    avi(tmp_path / "a.avi", [p[::-1].tobytes() for p in PICTURES], 8, palette)
    shown = [255 - p if inverted else p for p in PICTURES]
    frames, problem, said = read_all(tmp_path / "a.avi")
    assert (problem, said) == ("", "")
    assert all(np.array_equal(f.image, p) for f, p in zip(frames, shown, strict=True))
    source = open_source(str(tmp_path / "a.avi"))
    for i in (5, 1, 7, 0):
        source.seek(i)
        assert np.array_equal(next(iter(source)).image, shown[i])
    source.close()


@pytest.mark.parametrize("codec", ["rawvideo", "qtrle"])
def test_grey_films_of_quicktime(tmp_path: Path, codec: str) -> None:
    with av.open(str(tmp_path / "a.mov"), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray"
        for p in PICTURES:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(p, format="gray")))
        out.mux(stream.encode(None))
    frames, problem, _ = read_all(tmp_path / "a.mov")
    assert not problem
    assert all(np.array_equal(f.image, p) for f, p in zip(frames, PICTURES, strict=True))


def test_grey_is_taken_as_it_is_stored_whatever_range_it_is_marked_with() -> None:
    """FFmpeg's grey is full; marked as limited by the film that it was made from, its ends would be cut off."""
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    frame = av.VideoFrame.from_ndarray(image, format="gray")
    frame.color_range = 1
    assert np.array_equal(frame_to_grey(frame)[0], image)
    grey, bits = frame_to_grey(frame.reformat(format="gray16be"))
    assert (bits, grey.dtype) == (16, np.uint16)
    assert np.array_equal(grey, image.astype(np.uint16) * 257)


@pytest.mark.parametrize("packed", ["yuyv422", "uyvy422", "yvyu422"])
def test_luma_of_packed_colours_is_that_of_planar_ones(packed: str) -> None:
    planar = av.VideoFrame.from_ndarray(picture(0), format="gray").reformat(format="yuv422p")
    assert np.array_equal(frame_to_grey(planar.reformat(format=packed))[0], frame_to_grey(planar)[0])


@pytest.mark.parametrize("name", ["ya16le", "ya16be"])
def test_grey_with_opacity_keeps_its_depth(name: str) -> None:
    frame = av.VideoFrame(4, 2, name)
    counts = np.array([[1, 258, 4660, 65535], [7, 8, 9, 10]], np.uint16)
    both = np.stack([counts, np.full_like(counts, 3)], 2).astype(">u2" if name.endswith("be") else "<u2")
    plane = frame.planes[0]
    rows = np.zeros((2, plane.line_size), np.uint8)
    rows[:, :16] = both.reshape(2, 8).view(np.uint8)
    plane.update(rows.tobytes())
    grey, bits = frame_to_grey(frame)
    assert bits == 16
    assert grey.tolist() == counts.tolist()


def test_raw_counts_that_a_header_calls_colours_are_said(tmp_path: Path) -> None:
    counts = [(p.astype(np.uint16) << 4).tobytes() for p in PICTURES]
    avi(tmp_path / "a.avi", counts, 16)  # by the format's rules: five bits for each colour
    frames, problem, said = read_all(tmp_path / "a.avi")
    assert (len(frames), problem) == (N, "")
    assert "Y16" in said
    avi(tmp_path / "b.avi", [c * 2 for c in counts], 16)
    assert "raw pictures of 6144 bytes" in refusal(tmp_path / "b.avi")


def test_pixels_that_are_not_square_are_said(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)
        for p in PICTURES:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(p, format="gray")))
        out.mux(stream.encode(None))
    frames, problem, said = read_all(tmp_path / "a.mkv")
    assert (len(frames), problem) == (N, "")
    assert "not square (players show them 16:15)" in said


def fits(counts: NDArray[Any]) -> bytes:
    """A FITS file of 16-bit counts."""
    cards = ["SIMPLE  =                    T", "BITPIX  =                   16", "NAXIS   =                    2",
             f"NAXIS1  = {counts.shape[1]:20d}", f"NAXIS2  = {counts.shape[0]:20d}", "END"]  # fmt: skip
    head = "".join(c.ljust(80) for c in cards).encode()
    body = counts.astype(">i2").tobytes()
    return head.ljust(2880) + body.ljust(-(-len(body) // 2880) * 2880, b"\0")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"Flight log of 12 May\nwind 3 m/s\n" * 200, "is text"),
        ("read.nfo", b"made by me\n" * 100, "is text"),
        ("junk.cdg", bytes(range(256)) * 400, "or damaged, and no film"),
        ("sky.fits", fits(picture(0).astype(np.int16) * 20), "counts would not be kept"),
        ("film.pfm", b"PF\n48 32\n-1.0\n" + np.full((32, 48, 3), 99, "<f4").tobytes(), "may mean anything"),
        ("lost.mkv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        ("flight.mp4", b"\n<!DOCTYPE html><html>Sign in</html>", "is a web page"),
        ("cube.npy", b"\x93NUMPY\x01\x00" + bytes(5000), "TIFF stack"),
        ("cube.raw", np.stack(PICTURES).astype("<u2").tobytes(), "TIFF stack"),
    ],
)
def test_what_ffmpeg_would_make_up_is_refused(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert words in refusal(tmp_path / name)


def test_a_jpeg_without_a_suffix_is_turned_as_it_says(tmp_path: Path) -> None:
    turned = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x112, 3, 1, 6, 0, 0)
    code = cv2.imencode(".jpg", picture(0))[1].tobytes()
    (tmp_path / "photo").write_bytes(code[:2] + b"\xff\xe1" + struct.pack(">H", len(turned) + 2) + turned + code[2:])
    frames, problem, said = read_all(tmp_path / "photo")
    assert (problem, len(frames)) == ("", 1)
    assert frames[0].image.shape == (WIDTH, HEIGHT)
    assert "turned" in said


# -- ends -----------------------------------------------------------------------------------------------------------


def stream(path: Path, codec: str = "libx264", pix_fmt: str = "yuv420p", count: int = N, **container: str) -> bytes:
    """The bytes of a film of pictures that do not refer to each other."""
    with av.open(str(path), "w", options=container) as out:
        made = out.add_stream(codec, rate=25)
        made.width, made.height, made.pix_fmt = WIDTH, HEIGHT, pix_fmt
        made.codec_context.gop_size = 1
        for i in range(count):
            out.mux(made.encode(av.VideoFrame.from_ndarray(picture(i % N), format="gray").reformat(format=pix_fmt)))
        out.mux(made.encode(None))
    return path.read_bytes()


def test_packets_that_are_missing_in_a_transport_stream_are_said(tmp_path: Path) -> None:
    whole = stream(tmp_path / "a.ts", count=40)
    assert not read_all(tmp_path / "a.ts")[2]
    packets = [whole[i : i + 188] for i in range(0, len(whole), 188)]
    (tmp_path / "lost.ts").write_bytes(b"".join(packets[:60] + packets[65:]))
    assert "packets of its stream are missing" in read_all(tmp_path / "lost.ts")[2]
    (tmp_path / "joined.ts").write_bytes(whole + whole)
    assert "missing" not in read_all(tmp_path / "joined.ts")[2]


def test_a_second_recording_in_an_mp4_is_said(tmp_path: Path) -> None:
    whole = stream(tmp_path / "a.mp4")
    assert not read_all(tmp_path / "a.mp4")[2]
    (tmp_path / "two.mp4").write_bytes(whole + whole)
    frames, problem, said = read_all(tmp_path / "two.mp4")
    assert (len(frames), problem) == (N, "")
    assert "another recording stands behind the first" in said


@pytest.mark.parametrize("kind", ["mkv", "avi"])
def test_zeros_of_a_power_cut_are_no_end(tmp_path: Path, kind: str) -> None:
    """The size of the file was kept, and what had not reached the disk reads as zeros."""
    if kind == "mkv":
        whole = stream(tmp_path / "a.mkv", "ffv1", "gray")
    else:
        avi(tmp_path / "a.avi", [p[::-1].tobytes() for p in PICTURES], 8, GREYS)
        whole = (tmp_path / "a.avi").read_bytes()
    half = len(whole) // 2
    (tmp_path / f"b.{kind}").write_bytes(whole[:half] + bytes(len(whole) - half))
    frames, problem, _ = read_all(tmp_path / f"b.{kind}")
    assert 0 < len(frames) < N
    assert "cut short" in problem


def test_a_fragment_that_was_cut_anywhere_is_said(tmp_path: Path) -> None:
    """Within its header, behind it, within its pictures; only between two fragments nothing can be known."""
    whole = stream(tmp_path / "a.mp4", movflags="frag_keyframe+empty_moov")
    at = -1
    for _ in range(6):
        at = whole.index(b"moof", at + 1)
    (header,) = struct.unpack(">I", whole[at - 4 : at])
    for cut in (4, 8, header // 2, header - 1, header, header + 4, header + 8, header + 50):
        (tmp_path / "b.mp4").write_bytes(whole[: at - 4 + cut])
        frames, problem, _ = read_all(tmp_path / "b.mp4")
        assert 0 < len(frames) < N, cut
        assert "cut short" in problem, cut
    (tmp_path / "b.mp4").write_bytes(whole[: at - 4])
    assert read_all(tmp_path / "b.mp4")[1] == ""


@pytest.mark.parametrize("kind", ["mono", "420jpeg", "mono16"])
def test_a_y4m_that_is_cut_is_said(tmp_path: Path, kind: str) -> None:
    body = {"mono": lambda p: p.tobytes(), "mono16": lambda p: p.astype("<u2").tobytes(),
            "420jpeg": lambda p: p.tobytes() + bytes([128]) * (p.size // 2)}[kind]  # fmt: skip
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1 Ip A1:1 C{kind}\n".encode()
    whole = head + b"".join(b"FRAME\n" + body(p) for p in PICTURES)
    (tmp_path / "a.y4m").write_bytes(whole)
    frames, problem, said = read_all(tmp_path / "a.y4m")
    assert (len(frames), problem, said) == (N, "", "")
    (tmp_path / "b.y4m").write_bytes(whole[:-100])
    frames, problem, _ = read_all(tmp_path / "b.y4m")
    assert len(frames) == N - 1
    assert "its last picture is not whole" in problem


def test_channels_and_depth_of_a_stack_are_said(tmp_path: Path) -> None:
    stack = np.stack(PICTURES[:6])
    for axes, shape, words in (
        ("TCYX", (3, 2), "2 channels"),
        ("TZYX", (3, 2), "2 planes of depth"),
        ("ZYX", (6,), ""),
    ):
        path = tmp_path / f"{axes}.ome.tif"
        tifffile.imwrite(path, stack.reshape(*shape, HEIGHT, WIDTH), metadata={"axes": axes}, photometric="minisblack")
        frames, problem, said = read_all(path)
        assert (len(frames), problem) == (6, "")
        assert words in said if words else not said


def test_another_depth_is_another_recording(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(stream(tmp_path / "8.ts") + stream(tmp_path / "10.ts", pix_fmt="yuv420p10le"))
    frames, problem, _ = read_all(tmp_path / "a.ts")
    assert len(frames) == N
    assert "has 10 bits, the first 8" in problem


# -- addresses ------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server with a page, a photo, a film and a text, as people name them instead of a stream."""
    (tmp_path / "page.html").write_text("<html><body>No such camera</body></html>")
    assert cv2.imwrite(str(tmp_path / "photo.jpg"), picture(0))
    stream(tmp_path / "film.mkv")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("page.html", "what it sends is no video (a page, perhaps)"),
        ("photo.jpg", "sends a single picture: give the address of the camera's stream"),
        ("film.mkv", "is a recording, and no live stream: download it"),
        ("nothing", "Not Found"),
    ],
)
def test_what_is_no_stream_is_told(server: str, name: str, words: str) -> None:
    for address in (server, server.replace("http", "HTTP")):
        assert words in refusal(f"{address}/{name}")


@pytest.mark.parametrize("source", ["sim:sky,frames=2", "simcam:sky,frames=2"])
def test_a_rate_that_does_nothing_is_said(source: str) -> None:
    for fps in (None, 9.0):
        opened = open_source(source, fps)
        said = "\n".join(opened.info.remarks.lines())
        opened.close()
        assert ("a rate of 9 frames a second does nothing" in said) == (fps is not None)


# -- names and places -----------------------------------------------------------------------------------------------


@pytest.fixture
def film(tmp_path: Path) -> Path:
    write_video(tmp_path / "flight.mkv", PICTURES, 25.0)
    return tmp_path / "flight.mkv"


def test_file_urls_are_files(film: Path) -> None:
    named = film.with_name("über 100%.mkv")
    shutil.copy(film, named)
    for url in (film.as_uri(), named.as_uri(), f"file://localhost{film}"):
        assert len(read_all(url)[0]) == N


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.mkv")
    assert "is a pipe" in refusal(tmp_path / "pipe.mkv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert main(["run", str(film), "--csv", str(tmp_path / "pipe.csv"), "--force"]) == 1
    assert "from which no program reads" in capsys.readouterr().err


def test_a_pipe_that_is_read_gets_the_log(tmp_path: Path) -> None:
    table = tmp_path / "det.csv"
    table.write_text("frame,x,y\n" + "".join(f"{i},{i},{2 * i}\n" for i in range(30)))
    os.mkfifo(tmp_path / "pipe.csv")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe.csv").read_text()))
    reader.start()
    while True:  # until the reader has opened it
        try:
            os.close(os.open(tmp_path / "pipe.csv", os.O_WRONLY | os.O_NONBLOCK))
            break
        except OSError:
            pass
    reader.join()
    got.clear()
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe.csv").read_text()))
    reader.start()
    code = 1
    while code:  # refused as long as nobody reads
        code = main(["track", str(table), "--out", str(tmp_path / "pipe.csv"), "--force"])
    reader.join()
    assert got[0].startswith("frame,time_s,")
    assert len(got[0].splitlines()) > 20


def images(folder: Path, names: Sequence[str]) -> Path:
    folder.mkdir()
    for i, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), PICTURES[i % N])
    return folder


def test_one_picture_in_two_formats_is_no_sequence(tmp_path: Path) -> None:
    folder = images(tmp_path / "both", ["1.jpg", "1.png", "2.jpg", "2.png"])
    assert "one picture in two formats" in refusal(folder)
    assert len(read_all(folder / "*.png")[0]) == 2


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([f"{i:04d}.png" for i in (0, 1, 2, 7, 8, 12)], "the numbers of its images leap (from 2 to 7)"),
        ([f"IR_{i}.png" for i in range(3)] + ["vis_3.png", "vis_4.png"], "ir_#.png, vis_#.png"),
        ([f"{10 * i:04d}.png" for i in range(6)], ""),
        ([f"2026-05-01_12-30-{s:02d}.{ms}.png" for s in range(3) for ms in (12, 480)], ""),
        (["a.png", "b.png", "c.png", "d.png", "mean.png"], ""),
    ],
)
def test_names_that_tell_that_something_is_amiss(tmp_path: Path, names: list[str], words: str) -> None:
    frames, problem, said = read_all(images(tmp_path / "seq", names))
    assert (len(frames), problem) == (len(names), "")
    assert words in said if words else not said


def test_patterns_of_ffmpeg_are_sequences(tmp_path: Path) -> None:
    folder = images(tmp_path / "seq", [f"fr{i:04d}.png" for i in range(4)])
    assert [int(f.index) for f in read_all(folder / "fr%04d.png")[0]] == [0, 1, 2, 3]
    assert len(read_all(folder / "fr%d.png")[0]) == 4


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path, film: Path) -> None:
    assert f"such as {film}" in refusal(tmp_path)
    (tmp_path / "outer").mkdir()
    inner = images(tmp_path / "outer" / "inner", ["1.png"])
    assert str(inner) in refusal(tmp_path / "outer")


def test_a_recording_is_not_for_detect(tmp_path: Path, film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", str(film), "--out", str(tmp_path / "out")]) == 1
    assert "use irtrack run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["lost.pt", "lost.safetensors"])
def test_weights_that_were_not_fetched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(WeightsError, match="git lfs pull"):
        load_weights(str(tmp_path / name))


def test_a_setting_of_a_scene_stands_once() -> None:
    with pytest.raises(IrtrackError, match="frames is set twice"):
        scene_from_text("sky,frames=2,frames=3")


# -- outputs --------------------------------------------------------------------------------------------------------


def test_figures_never_replace_what_was_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "frame,track_id,x_px,y_px\n" + "".join(f"{i},1,{i},{i}\n" for i in range(5))
    for name in ("truth.csv", "tracks.csv"):
        (tmp_path / name).write_text(rows)
    files = [str(tmp_path / "truth.csv"), str(tmp_path / "tracks.csv")]
    for path in files:
        assert main(["score", *files, "--json", path, "--force"]) == 1
        assert Path(path).read_text() == rows
    assert "is read by this run" in capsys.readouterr().err
    assert main(["score", *files, "--json", "/dev/full", "--force"]) == 1
    assert "No space left on device" in capsys.readouterr().err


def test_a_database_of_events_is_no_log(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["run", str(film), "--events", out, "--csv", out]) == 1
    assert "named for two outputs" in capsys.readouterr().err
    assert not Path(out).exists()


def test_a_file_without_beliefs_is_not_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "det.csv").write_text("frame,x,y\n0,10,20\n")
    det, out = str(tmp_path / "det.csv"), str(tmp_path / "out.csv")
    assert main(["track", det, "--out", out, "--beliefs", det]) == 1
    assert "holds no table of beliefs" in capsys.readouterr().err
    assert not Path(out).exists()


def test_what_replaces_a_file_is_whole_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("before")

    def fail() -> None:
        with replacing(path) as part:
            part.write_text("ha")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert path.read_text() == "before"
    with replacing(path) as part:
        part.write_text("after")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert path.read_text() == "after"


def test_a_correction_replaces_nothing_but_a_correction(film: Path, tmp_path: Path) -> None:
    before = film.read_bytes()
    assert main(["flat", str(film), "--out", str(film)]) == 1
    assert film.read_bytes() == before
    made = correction_from(np.stack(PICTURES)[:, ::-1])
    made.save(tmp_path / "flat.npz")
    assert main(["flat", str(film), "--frames", "8", "--out", str(tmp_path / "flat.npz")]) == 0
    assert not np.array_equal(load_correction(tmp_path / "flat.npz").offset, made.offset)


@pytest.mark.parametrize("frames", ["0", "-5", "1.5", "many"])
def test_numbers_of_frames_are_whole_and_above_0(film: Path, frames: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", str(film), "--frames", frames])
    assert caught.value.code == 2
    assert "must be a whole number from 1 on" in capsys.readouterr().err


# -- settings and tables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "bits", "words"),
    [
        (
            DetectorSettings(exclude="700,700 800,700 800,800"),
            8,
            "regions that lie outside of pictures of 48x32 pixels",
        ),
        (DetectorSettings(include="0,0 40,0 40,30; 700,700 800,700 800,800"), 8, "drawn for another size"),
        (DetectorSettings(levels="7000,9000"), 8, "does nothing with pictures of 8 bits"),
        (DetectorSettings(levels="7000,9000"), 16, ""),
        (DetectorSettings(threshold=0.0), 8, "every pixel belongs to a target"),
        (DetectorSettings(threshold=1.0), 8, "no pixel belongs to a target"),
        (DetectorSettings(exclude="0,0 10,0 10,10"), 8, ""),
    ],
)
def test_settings_that_do_nothing_are_said(settings: DetectorSettings, bits: int, words: str) -> None:
    info = SourceInfo("a", WIDTH, HEIGHT, bits, 25.0, N, Clock.FILE, Remarks())
    check_fit(settings, info)
    said = "\n".join(info.remarks.lines())
    assert words in said if words else not said


@pytest.mark.parametrize("option", ["--include=700,700 800,700 800,800", "--exclude=-1,-1 99,-1 99,99 -1,99"])
def test_regions_that_leave_nothing_are_refused(
    film: Path, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(film), "--csv", str(tmp_path / "t.csv"), option]) == 1
    assert "the regions leave nothing of pictures of 48x32 pixels" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize(
    "option",
    ["--include=0,0 0.5,0 0.5,1", "--exclude=0,0 90,0 90,20; 0.2,0.2 1,0.2 1,1", "--alarm=in=0.1,0.1 0.9,0.1 0.9,0.9"],
)
def test_regions_in_shares_of_the_picture_are_refused(
    film: Path, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(film), "--csv", str(tmp_path / "t.csv"), option]) == 1
    said = capsys.readouterr().err
    assert "lies from 0 to 1, as shares of the picture" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "t.csv").exists()


def test_a_region_of_alarms_of_another_size_is_said(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", str(film), "--csv", str(tmp_path / "t.csv"), "--force", "--weights", "datransnet-s", "--frames", "2"]
    for region, said in (("300,300 400,300 400,400", True), ("2,2 40,2 40,30", False)):
        assert main([*run, f"--alarm=in={region}"]) == 0
        assert ("regions that lie outside of pictures of 48x32" in capsys.readouterr().err) == said


def test_boxes_to_tune_by_are_read_as_other_tables(tmp_path: Path) -> None:
    path, plain = tmp_path / "a.gt.csv", "frame,x,y,w,h\n0,10.5,20,4,4\n0,30,20,12,2\n3,11,20,4,4\n"
    path.write_text(plain)
    want = read_boxes(path)
    assert want[0][0].tolist() == [10.5 - 0.5 - 5.5, 20 - 0.5 - 5.5, 10.5 - 0.5 + 9.5, 20 - 0.5 + 9.5]
    assert (want.keys(), len(want[0])) == ({0, 3}, 2)
    for text in ("\ufeff" + plain, plain.replace(",", ";").replace(".", ",")):
        path.write_text(text, encoding="utf-8")
        assert {k: v.tolist() for k, v in read_boxes(path).items()} == {k: v.tolist() for k, v in want.items()}
    path.write_text(plain + "5,0,0,0,0\n")  # a target that is not there
    assert read_boxes(path).keys() == {0, 3}
    for old, new, words in (
        ("10.5", "nan", "line 2 is no box"),
        ("\n3", "\n-3", "line 4"),
        ("frame", "time", "columns"),
    ):
        path.write_text(plain.replace(old, new))
        with pytest.raises(IrtrackError, match=words):
            read_boxes(path)


def test_boxes_of_another_clip_are_said(tmp_path: Path) -> None:
    """What lies where no box is would be learned as clutter."""
    info, clip = SourceInfo("a.mkv", 96, 64, 8, 30.0, 40), tmp_path / "a.mkv"

    def said(head: str, rows: list[str]) -> str:
        (tmp_path / "a.gt.csv").write_text("\n".join([head, *rows]))
        check_boxes(clip, boxes_of(clip), info, remarks := Remarks())
        return " ".join(remarks.lines())

    head = "frame,x,y,w,h"
    assert said(head, [f"{k},{2 * k},{k},5,5" for k in range(40)]) == ""
    assert said(head, ["0,-2.5,60,5,5", "39,93,-2.5,5,5"]) == ""  # at the border
    for other in ("40,10,10,5,5", "1,120,10,5,5"):
        assert said(head, ["0,10,10,5,5", other]) == "a.gt.csv: boxes that lie in no picture of the clip"
    shares = [f"{k},0.{k},0.5,0.01,0.01" for k in range(10, 20)]
    for rows, words in ((["1000,10,10,5,5"], "none"), (["0,900,10,5,5"], "none"), (shares, "from 0 to 1")):
        with pytest.raises(IrtrackError, match=words):
            said(head, rows)


def test_a_log_of_another_camera_is_said(tmp_path: Path) -> None:
    camera = Camera(Lens.of_view(640, 512, 25.0), (48.0, 11.0, 500.0), np.eye(3), np.zeros((14, 14)))
    (tmp_path / "camera.toml").write_text(camera.save_text())
    for x, said in ((300.0, False), (1100.0, True)):
        rows = ({"time_s": i / 25, "tracks": [{"id": 1, "xy_px": [x, 200.0], "sigma_px": [1, 1]}]} for i in range(3))
        text = "\n".join(map(json.dumps, rows))
        (tmp_path / "log.jsonl").write_text("\ufeff" + text, encoding="utf-8")
        read_station(tmp_path / "log.jsonl", tmp_path / "camera.toml", remarks := Remarks())
        assert ("640x512 pixels: is it the log of another?" in "\n".join(remarks.lines())) == said
