"""Image files: one reader for each format, whoever asks; sizes before memory; what is left out or cut is said."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from irtrack.capture import open_source
from irtrack.capture.images import image_files, is_image_name, joined
from irtrack.capture.open import as_text, grouped
from irtrack.capture.pictures import read_image
from irtrack.capture.times import mended
from irtrack.cli import main
from irtrack.core import LARGEST_SIDE_PX, Clock, Frame, IrtrackError, Remarks, SourceError
from irtrack.imaging.correction import load_correction

Picture = NDArray[np.uint8 | np.uint16]


@pytest.fixture
def ramp() -> Picture:
    """A picture without any symmetry, so that each turn of it is another."""
    return (np.arange(20)[:, None] * 11 + np.arange(30)[None] * 1).astype(np.uint8)


@pytest.fixture
def stack(rng: np.random.Generator) -> Picture:
    return rng.integers(0, 4000, (6, 20, 30)).astype(np.uint16)


def read_all(text: str | Path, fps: float | None = None) -> tuple[list[Frame], str, list[str]]:
    """Frames, the words at the end, and the remarks."""
    frames: list[Frame] = []
    source = open_source(str(text), fps)
    try:
        frames.extend(source)
    except SourceError as error:
        return frames, str(error), source.info.remarks.lines()
    finally:
        source.close()
    return frames, "", source.info.remarks.lines()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(bits: int, colour: int, rows: bytes, size: tuple[int, int], *between: bytes) -> bytes:
    """A PNG by hand: no library writes 1, 2 and 4 bits or palettes as they are wanted here."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(between) + data


def exif(orientation: int) -> bytes:
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)


SHOWN: dict[int, Callable[[Picture], Picture]] = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
    5: lambda a: a.T, 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a),
}  # fmt: skip


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tif"])
def test_pictures_are_turned_as_exif_says(tmp_path: Path, ramp: Picture, kind: str, orientation: int) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "tif":
        tifffile.imwrite(
            path, ramp, photometric="minisblack", metadata=None, extratags=[(274, 3, 1, orientation, True)]
        )
    elif kind == "png":
        code = cv2.imencode(".png", ramp)[1].tobytes()
        path.write_bytes(code[:33] + chunk(b"eXIf", exif(orientation)) + code[33:])
    elif kind == "jpg":
        code, body = imagecodecs.jpeg8_encode(ramp, level=100), b"Exif\0\0" + exif(orientation)
        path.write_bytes(code[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + code[2:])
    else:
        code = imagecodecs.webp_encode(np.dstack([ramp] * 3), lossless=True)[12:]
        size = b"".join(int(n - 1).to_bytes(3, "little") for n in ramp.shape[::-1])
        extended = b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + size + code
        extended += b"EXIF" + struct.pack("<I", len(exif(1))) + exif(orientation)
        path.write_bytes(b"RIFF" + struct.pack("<I", len(extended) + 4) + b"WEBP" + extended)
    want = SHOWN[orientation](ramp)
    for got in (read_image(path), read_all(path)[0][0].image):
        assert got.shape == want.shape
        assert np.abs(got.astype(int) - want).max() <= (2 if kind == "jpg" else 0)


def test_palettes_and_few_bits(tmp_path: Path) -> None:
    palette = bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 255, 255, 255])
    indexed = png(8, 3, b"\0\0\1\2\3", (4, 1), chunk(b"PLTE", palette))
    (tmp_path / "indexed.png").write_bytes(indexed)
    assert read_image(tmp_path / "indexed.png").tolist() == [[0, 76, 150, 255]]
    for bits, rows, want in ((1, b"\0\x50", [0, 255, 0, 255]), (2, b"\0\x1b", [0, 85, 170, 255]),
                             (4, b"\0\x0f\x5a", [0, 255, 85, 170])):  # fmt: skip
        (tmp_path / "few.png").write_bytes(png(bits, 0, rows, (4, 1)))
        assert read_image(tmp_path / "few.png").tolist() == [want]
    colours = np.zeros((3, 256), np.uint16)
    colours[:, 1:4] = np.array([[255, 0, 0], [0, 255, 0], [255, 255, 255]]).T * 257
    index = np.array([[0, 1, 2, 3]], np.uint8)
    tifffile.imwrite(tmp_path / "indexed.tif", index, photometric="palette", colormap=colours)
    assert read_image(tmp_path / "indexed.tif").tolist() == [[0, 76, 150, 255]]
    bits = np.eye(8, dtype=bool)
    tifffile.imwrite(tmp_path / "bits.tif", bits, photometric="minisblack")
    assert np.array_equal(read_image(tmp_path / "bits.tif"), bits * np.uint8(255))


def test_twelve_bits_keep_their_counts(tmp_path: Path, ramp: Picture) -> None:
    deep = ramp.astype(np.uint16) * 16
    (tmp_path / "deep.jpg").write_bytes(imagecodecs.jpeg8_encode(deep, bitspersample=12, level=100))
    got = read_image(tmp_path / "deep.jpg")
    assert got.dtype == np.uint16
    assert np.abs(got.astype(int) - deep).max() <= 8


def test_floats_are_refused_and_whole_numbers_of_other_types_read(tmp_path: Path, ramp: Picture) -> None:
    for name, value in (("plain", 20.5), ("inf", np.inf), ("nan", np.nan)):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.full((3, 8, 8), value, np.float32), photometric="minisblack")
        with pytest.raises(SourceError, match=r"float32 pixels.*16-bit counts"):
            open_source(str(tmp_path / f"{name}.tif"))
    tifffile.imwrite(tmp_path / "signed.tif", ramp.astype(np.int32) * 200, photometric="minisblack")
    assert np.array_equal(read_image(tmp_path / "signed.tif"), ramp.astype(np.uint16) * 200)
    tifffile.imwrite(tmp_path / "below.tif", ramp.astype(np.int16) - 5, photometric="minisblack")
    with pytest.raises(SourceError, match="from -5"):
        read_image(tmp_path / "below.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero(tmp_path: Path, rng: np.random.Generator, dtype: type) -> None:
    top = np.iinfo(dtype).max
    pictures = rng.integers(0, top, (4, 12, 14)).astype(dtype)
    tifffile.imwrite(tmp_path / "w.tif", top - pictures, photometric="miniswhite")
    (tmp_path / "single").mkdir()
    for i, p in enumerate(pictures):
        tifffile.imwrite(tmp_path / "single" / f"{i}.tif", top - p, photometric="miniswhite", metadata=None)
    for text in (tmp_path / "w.tif", tmp_path / "single"):
        assert np.array_equal(np.stack([f.image for f in read_all(text)[0]]), pictures)
    assert np.array_equal(read_image(tmp_path / "w.tif"), pictures[0])


def test_colour_in_planes_and_with_transparency(tmp_path: Path) -> None:
    colour = np.zeros((10, 12, 3), np.uint8)
    colour[:, :6], colour[:, 6:] = (255, 0, 0), (0, 255, 0)
    tifffile.imwrite(tmp_path / "planes.tif", np.moveaxis(colour, 2, 0), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "pixels.tif", colour, photometric="rgb")
    grey = np.dstack([colour[:, :, 0], np.full((10, 12), 128, np.uint8)])
    tifffile.imwrite(tmp_path / "alpha.tif", grey, photometric="minisblack", planarconfig="contig", extrasamples=[2])
    for name in ("planes", "pixels"):
        assert read_image(tmp_path / f"{name}.tif")[0, [0, 11]].tolist() == [76, 150]
    assert np.array_equal(read_image(tmp_path / "alpha.tif"), colour[:, :, 0])


def test_previews_and_masks_are_left_out_and_said(tmp_path: Path, stack: Picture) -> None:
    path = tmp_path / "p.tif"
    with tifffile.TiffWriter(path) as out:
        for picture in stack:
            out.write(picture[::4, ::4], photometric="minisblack", subfiletype=1, metadata=None)
            out.write(picture, photometric="minisblack", metadata=None)
    frames, words, remarks = read_all(path)
    assert np.array_equal(np.stack([f.image for f in frames]), stack)
    assert not words
    assert remarks == ["p.tif: previews, smaller copies or masks left out (6 times)"]


def test_a_raw_picture_behind_its_preview(tmp_path: Path, stack: Picture) -> None:
    path = (
        tmp_path / "camera.dng"
    )  # as DNG has it: the first page is a thumbnail, the picture lies in a directory of it
    with tifffile.TiffWriter(path) as out:
        out.write(stack[0, ::4, ::4], photometric="minisblack", subfiletype=1, subifds=1, metadata=None)
        out.write(stack[0], photometric="minisblack", metadata=None)
    assert np.array_equal(read_image(path), stack[0])
    assert np.array_equal(read_all(path)[0][0].image, stack[0])


def test_all_pages_of_all_files_of_a_folder(tmp_path: Path, stack: Picture, ramp: Picture) -> None:
    for i in range(3):
        tifffile.imwrite(tmp_path / f"rec_{i}.tif", stack[2 * i : 2 * i + 2], photometric="minisblack", metadata=None)
    for text in (tmp_path, tmp_path / "*.tif"):
        frames, words, _ = read_all(text)
        assert np.array_equal(np.stack([f.image for f in frames]), stack)
        assert not words
    source = open_source(str(tmp_path))
    assert source.info.frames == 6
    for i in (5, 0, 3, 2):
        source.seek(i)
        assert np.array_equal(next(iter(source)).image, stack[i])
    source.close()


@pytest.mark.parametrize("kind", ["png", "gif", "webp"])
def test_animated_images_give_all_their_pictures(tmp_path: Path, ramp: Picture, kind: str) -> None:
    pictures = np.stack([np.roll(ramp, 4 * i, 1) for i in range(3)])
    path = tmp_path / f"a.{kind}"
    if kind == "png":
        path.write_bytes(imagecodecs.apng_encode(pictures, delay=100))
    elif kind == "gif":
        path.write_bytes(imagecodecs.gif_encode(pictures))
    else:
        frames = b""
        for p in pictures:
            body = imagecodecs.webp_encode(np.dstack([p] * 3), lossless=True)[12:]
            head = (
                b"\0" * 6
                + b"".join(int(n - 1).to_bytes(3, "little") for n in p.shape[::-1])
                + (100).to_bytes(3, "little")
                + b"\2"
            )
            frames += b"ANMF" + struct.pack("<I", len(head + body)) + head + body
        size = b"".join(int(n - 1).to_bytes(3, "little") for n in ramp.shape[::-1])
        content = (
            b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + size + b"ANIM" + struct.pack("<I", 6) + b"\0" * 6 + frames
        )
        path.write_bytes(b"RIFF" + struct.pack("<I", len(content) + 4) + b"WEBP" + content)
    frames_read, words, _ = read_all(path)
    assert not words
    assert np.array_equal(np.stack([f.image for f in frames_read]), pictures)
    if kind != "gif":  # this one has no times
        assert [f.time_s for f in frames_read] == pytest.approx([0, 0.1, 0.2])
    cv2.imwrite(str(tmp_path / "z.png"), ramp)
    both, _, _ = read_all(tmp_path)
    assert np.array_equal(np.stack([f.image for f in both]), [*pictures, ramp])


def test_intervals_of_imagej_and_ome(tmp_path: Path, stack: Picture) -> None:
    tifffile.imwrite(tmp_path / "ij.tif", stack, imagej=True, metadata={"axes": "TYX", "finterval": 0.5})
    tifffile.imwrite(tmp_path / "ms.tif", stack, imagej=True, metadata={"axes": "TYX", "finterval": 250, "tunit": "ms"})
    about = {"axes": "TYX", "TimeIncrement": 20.0, "TimeIncrementUnit": "ms"}
    tifffile.imwrite(tmp_path / "ome.tif", stack, ome=True, photometric="minisblack", metadata=about)
    planes = {"DeltaT": [0.0, 1.0, 2.0, 4.0, 8.0, 9.0], "DeltaTUnit": ["s"] * 6}
    tifffile.imwrite(tmp_path / "planes.tif", stack, ome=True, photometric="minisblack",
                     metadata={"axes": "TYX", "Plane": planes})  # fmt: skip
    for name, want in (("ij", [0.5 * i for i in range(6)]), ("ms", [0.25 * i for i in range(6)]),
                       ("ome", [0.02 * i for i in range(6)]), ("planes", planes["DeltaT"])):  # fmt: skip
        source = open_source(str(tmp_path / f"{name}.tif"))
        assert source.info.clock is Clock.FILE
        frames = list(source)
        assert [f.time_s for f in frames] == pytest.approx(want)
        assert np.array_equal(np.stack([f.image for f in frames]), stack)
        assert source.info.fps == pytest.approx(5 / want[-1])
        source.close()
        given = open_source(str(tmp_path / f"{name}.tif"), fps=10)
        assert given.info.clock is Clock.GIVEN
        assert [f.time_s for f in given] == pytest.approx([i / 10 for i in range(6)])
        given.close()


def test_times_of_several_files_go_on(tmp_path: Path, stack: Picture) -> None:
    for i in range(3):
        tifffile.imwrite(tmp_path / f"{i}.tif", stack[2 * i : 2 * i + 2], imagej=True,
                         metadata={"axes": "TYX", "finterval": 0.25})  # fmt: skip
    source = open_source(str(tmp_path))
    assert source.info.clock is Clock.FILE
    assert [f.time_s for f in source] == pytest.approx([0.25 * i for i in range(6)])
    assert not source.info.remarks
    source.close()
    assert joined([[0.0, 1.0], [5.0, 6.0], [0.0, 1.0]]) == [0, 1, 5, 6, 7, 8]
    assert joined([[0.0], None]) is None


def test_values_that_are_not_looked_at_are_said(tmp_path: Path, stack: Picture) -> None:
    tifffile.imwrite(tmp_path / "many.tif", stack[:3], photometric="minisblack", planarconfig="separate", metadata=None)
    frames, _, remarks = read_all(tmp_path / "many.tif")
    assert np.array_equal(frames[0].image, stack[0])
    assert "the first of 3 values of each pixel is read" in remarks[0]


@pytest.mark.parametrize("value", ["Infinity", "NaN", "1e300"])
def test_times_without_end_are_refused(tmp_path: Path, ramp: Picture, value: str) -> None:
    with tifffile.TiffWriter(tmp_path / "t.tif") as out:
        for i, text in enumerate(("0", "0.1", value, "0.3")):
            about = f'{{"frame": {i}, "time_s": {text}}}'
            out.write(ramp, photometric="minisblack", description=about, metadata=None, contiguous=False)
    with pytest.raises(SourceError, match=r"time of picture 2 is .*--fps"):
        open_source(str(tmp_path / "t.tif"))
    assert len(read_all(tmp_path / "t.tif", fps=5)[0]) == 4


def test_times_are_made_to_rise() -> None:
    remarks = Remarks()
    assert mended("a", [5.0, 5.1, 5.2], remarks) == pytest.approx([0, 0.1, 0.2])
    assert not remarks
    assert mended("a", [0, 0.1, 0.2, 0.0, 0.1], remarks) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert mended("b", [0, 0.1, 99999.0, 99999.1], remarks) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert mended("c", [0, 0.1, 0.1, 0.1, 0.4], remarks) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert mended("d", [0, 0.1, 0.2, 60.2], remarks) == pytest.approx([0, 0.1, 0.2, 60.2])
    assert mended("e", [0, 0, 0], remarks, 0.5) == pytest.approx([0, 0.5, 1.0])
    said = "\n".join(remarks.lines())
    for part in (
        "a: times fall by 0.2 s at picture 3",
        "b: times leap",
        "c: 2 pictures have",
        "d: a pause of 60 s",
        "e: all",
    ):
        assert part in said
    daily = [i * 86400.0 for i in range(5)]  # a time lapse: long steps are its usual ones
    assert mended("f", daily, remarks) == pytest.approx(daily)


def test_leavings_of_systems_are_no_images(tmp_path: Path, ramp: Picture) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), ramp)
        (tmp_path / f"._{i}.png").write_bytes(b"\0\5\26\7Mac OS X")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    assert [p.name for p in image_files(tmp_path)] == ["0.png", "1.png", "2.png"]
    assert not is_image_name(Path("._1.png"))
    for text in (tmp_path, tmp_path / "*.png", tmp_path / "*"):
        frames, words, _ = read_all(text)
        assert (len(frames), words) == (3, "")


def test_images_that_the_shell_expanded_are_one_recording(tmp_path: Path, ramp: Picture) -> None:
    folder = tmp_path / "se[q]*"  # a name that looks like a pattern
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(str(folder / f"{i}.png"), ramp)
    all_ = [str(p) for p in sorted(folder.glob("*.png"))]
    (text,) = grouped(all_)
    assert len(read_all(text)[0]) == 4
    (some,) = grouped([all_[0], all_[2]])
    assert len(read_all(some)[0]) == 2
    other = tmp_path / "other.mkv"
    other.write_bytes(b"x")
    assert grouped(["sim:sky", *all_, str(other)]) == ["sim:sky", text, str(other)]
    assert grouped([all_[0]]) == [all_[0]]
    assert as_text([Path(p) for p in all_[:2]]).count("\n") == 1


def test_names_with_colons_and_patterns_are_files(
    tmp_path: Path, ramp: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("camera:0.png", "a[1]*.png", "sim:sky.png", "~nobody.png"):
        cv2.imwrite("x.png", ramp)
        Path("x.png").rename(name)
        assert len(read_all(name)[0]) == 1
    with pytest.raises(SourceError, match="there is no file"):
        open_source("~nobody-at-all/x.png")


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "webp", "jp2", "pgm", "tif"])
def test_sizes_are_looked_at_before_memory_is_taken(tmp_path: Path, kind: str) -> None:
    side, path = 30_000, tmp_path / f"big.{kind}"
    small = cv2.imencode(f".{kind}", np.zeros((32, 32), np.uint8))[1].tobytes() if kind != "gif" else b""
    if kind == "png":
        path.write_bytes(png(8, 0, bytes(100), (side, side)))
    elif kind == "jpg":
        at = small.index(b"\xff\xc0") + 5
        path.write_bytes(small[:at] + struct.pack(">HH", side, side) + small[at + 4 :])
    elif kind == "gif":
        path.write_bytes(b"GIF89a" + struct.pack("<HH", side, side) + b"\0\0\0;")
    elif kind == "bmp":
        path.write_bytes(small[:18] + struct.pack("<ii", side, side) + small[26:])
    elif kind == "webp":
        size = int(side - 1).to_bytes(3, "little")
        body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size + size + small[12:]
        path.write_bytes(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body)
    elif kind == "jp2":
        at = small.index(b"\xff\x4f\xff\x51") + 8
        path.write_bytes(small[:at] + struct.pack(">II", side, side) + small[at + 8 :])
    elif kind == "pgm":
        path.write_bytes(b"P5\n# from a camera\n30000 30000\n255\n" + bytes(100))
    else:
        data = np.zeros((1, side), np.uint8)
        tifffile.imwrite(path, data, photometric="minisblack", metadata=None)
    with pytest.raises(SourceError, match="pixels: 1 to 4096 a side"):
        read_image(path)
    with pytest.raises(SourceError, match="pixels: 1 to 4096 a side"):
        open_source(str(path))


def test_a_huge_picture_takes_little_memory(tmp_path: Path) -> None:
    rows = zlib.compress(bytes(30_001 * 30_000), 9)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0))
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    del rows
    code = (
        "import sys\nfrom irtrack.capture.pictures import read_image\nfrom irtrack.core import SourceError\n"
        "from pathlib import Path\ntry:\n    read_image(Path(sys.argv[1]))\n"
        "except SourceError as error:\n    print(error)\n"
        # Not maxrss, which a process has from the one that starts it.
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(int(peak.split()[1]) // 1024)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "b.png")], capture_output=True, text=True, timeout=120
    )
    assert "30000x30000" in out.stdout
    assert int(out.stdout.split()[-1]) < 400


def test_pages_of_other_sizes_and_depths_are_refused(tmp_path: Path, ramp: Picture) -> None:
    for name, other, why in (("size", ramp[:10], "30x10"), ("depth", ramp.astype(np.uint16), "16 bits")):
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as out:
            for page in (ramp, ramp, other):
                out.write(page, photometric="minisblack", metadata=None)
        frames, words, _ = read_all(tmp_path / f"{name}.tif")
        assert len(frames) == 2
        assert why in words


def test_an_imagej_stack_that_is_cut_gives_what_is_there(tmp_path: Path, stack: Picture) -> None:
    path = tmp_path / "ij.tif"
    tifffile.imwrite(path, stack, imagej=True, contiguous=True)
    block = path.read_bytes()
    with tifffile.TiffFile(path) as f:
        start = f.pages[0].dataoffsets[0]
    # One page header for all pictures, as ImageJ writes it: cut the chain behind the first.
    with tifffile.TiffFile(path) as f:
        first = f.pages.first.offset
    count = struct.unpack_from("<H", block, first)[0]
    after = first + 2 + 12 * count
    one = block[:after] + bytes(4) + block[after + 4 :]
    path.write_bytes(one)
    frames, words, _ = read_all(path)
    assert np.array_equal(np.stack([f.image for f in frames]), stack)
    assert not words
    size = stack[0].nbytes
    path.write_bytes(one[: start + size + 100])
    frames, words, _ = read_all(path)
    assert np.array_equal(frames[0].image, stack[0])
    assert len(frames) == 1
    assert "says that it has 6 pictures" in words


def test_images_cut_short_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    noise = rng.integers(0, 255, (40, 50)).astype(np.uint8)
    for kind in ("png", "jpg", "bmp", "webp", "pgm", "jp2"):
        code = cv2.imencode(f".{kind}", noise)[1].tobytes()
        (tmp_path / f"a.{kind}").write_bytes(code[: int(0.9 * len(code))])
        with pytest.raises(SourceError) as caught:
            read_image(tmp_path / f"a.{kind}")
        assert "\n" not in str(caught.value)


def test_pages_that_go_round_in_a_circle(tmp_path: Path, ramp: Picture) -> None:
    path = tmp_path / "circle.tif"
    tifffile.imwrite(path, np.stack([ramp] * 3), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as f:
        first, last = f.pages[0].offset, f.pages[2].offset
    code = bytearray(path.read_bytes())
    after = last + 2 + 12 * struct.unpack_from("<H", code, last)[0]
    struct.pack_into("<I", code, after, first)
    path.write_bytes(code)
    frames, words, _ = read_all(path)
    assert len(frames) == 3
    assert "circle" in words


def test_a_page_whose_data_is_cut_off_is_not_filled_up_with_grey(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "jpeg.tif"
    noise = rng.integers(0, 255, (64, 64)).astype(np.uint8)
    tifffile.imwrite(path, noise, photometric="minisblack", compression="jpeg", metadata=None, rowsperstrip=64)
    code = path.read_bytes()
    path.write_bytes(code[: len(code) * 6 // 10])  # its decoder would say nothing
    with pytest.raises(SourceError, match="cut off"):
        read_image(path)


def test_one_damaged_image_costs_one_frame(tmp_path: Path, ramp: Picture) -> None:
    for i in range(5):
        cv2.imwrite(str(tmp_path / f"{i}.png"), ramp)
    (tmp_path / "2.png").write_bytes(b"no image")
    frames, words, _ = read_all(tmp_path)
    assert [f.index for f in frames] == [0, 1, 3, 4]
    assert "2.png is not an image" in words
    assert "1 of 5 pictures" in words
    spoilt = bytearray((tmp_path / "3.png").read_bytes())
    spoilt[-20] ^= 1
    (tmp_path / "3.png").write_bytes(spoilt)
    with pytest.raises(SourceError, match="sums"):
        read_image(tmp_path / "3.png")


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
def test_detect_with_names_that_are_no_utf8_pages_and_a_damaged_image(tmp_path: Path, stack: Picture) -> None:
    folder, out = tmp_path / "rec", tmp_path / os.fsdecode(b"m\xe4sks")
    folder.mkdir()
    spot = np.full((64, 64), 90, np.uint8)
    spot[30:33, 40:43] = 250
    code = cv2.imencode(".png", spot)[1].tobytes()
    strange = os.fsdecode(b"f\xfcr.png")
    (folder / strange).write_bytes(code)
    (folder / "._x.png").write_bytes(b"x")
    tifffile.imwrite(folder / "two.tif", np.stack([spot, spot.T]), photometric="minisblack")
    assert main(["detect", str(folder), "--out", str(out), "--weights", "datransnet-s"]) == 0
    assert sorted(p.name for p in out.iterdir()) == sorted(["detections.csv", strange, "two_0000.png", "two_0001.png"])
    table = (out / "detections.csv").read_bytes()
    assert b"f\xfcr.png,41." in table
    assert b"two_0001.tif,31." in table
    (folder / "bad.png").write_bytes(b"no image")
    assert main(["detect", str(folder), "--out", str(out), "--force", "--weights", "datransnet-s"]) == 1
    assert b"two_0001.tif,31." in (out / "detections.csv").read_bytes()


def test_debug_shows_where_an_error_arose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.seq").write_bytes(b"FFF\0 nothing")
    call = ["run", str(tmp_path / "x.seq")]
    assert main(call) == 1
    assert "Traceback" not in capsys.readouterr().err
    for debug in (["--debug", *call], [*call, "--debug"]):
        with pytest.raises(SourceError):
            main(debug)


def test_the_limit_is_that_of_the_detector() -> None:
    from irtrack.detect import detector

    assert detector.LARGEST_SIDE_PX == LARGEST_SIDE_PX


def zipped(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in members.items():
            archive.writestr(f"{name}.npy", body)


def npy(array: NDArray[Any], shape: str = "") -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    code = out.getvalue()
    old = str(array.shape).encode()
    return code.replace(old, shape.encode().ljust(len(old))) if shape else code


class Planted:
    """A pickle that leaves a file behind where it is run."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_a_correction_file_runs_no_pickle(tmp_path: Path) -> None:
    objects = np.empty((4, 4), object)
    objects[:] = Planted(tmp_path / "ran")
    zipped(tmp_path / "p.npz", offset=npy(objects), bad=npy(np.zeros((4, 4), bool)))
    with pytest.raises(IrtrackError, match="no correction that irtrack flat wrote"):
        load_correction(tmp_path / "p.npz")
    assert not (tmp_path / "ran").exists()


def test_correction_files_are_bounded_and_plausible(tmp_path: Path) -> None:
    good, bad = np.zeros((4, 6), np.float32), np.zeros((4, 6), bool)
    zipped(tmp_path / "ok.npz", offset=npy(good), bad=npy(bad))
    assert load_correction(tmp_path / "ok.npz").offset.shape == (4, 6)
    wrong = {
        "large": (npy(np.zeros((90000, 1), np.float32), "(90000, 90000)"), npy(bad)),
        "flat": (npy(np.zeros(24, np.float32)), npy(bad)),
        "nan": (npy(np.full((4, 6), np.nan, np.float32)), npy(bad)),
        "inf": (npy(np.full((4, 6), 1e30, np.float32)), npy(bad)),
        "other": (npy(good), npy(np.zeros((6, 4), bool))),
        "none": (b"", b""),
    }
    for name, (offset, pixels) in wrong.items():
        zipped(tmp_path / f"{name}.npz", offset=offset, bad=pixels)
        what = "of shape" if name in ("large", "flat") else "no correction that irtrack flat wrote"
        with pytest.raises(IrtrackError, match=what) as caught:
            load_correction(tmp_path / f"{name}.npz")
        assert "\n" not in str(caught.value)


def test_the_summary_says_what_was_read(tmp_path: Path, ramp: Picture, capsys: pytest.CaptureFixture[str]) -> None:
    spot = np.full((64, 64), 90, np.uint8)
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.png"), spot)
    call = ["run", *(str(tmp_path / f"{i}.png") for i in range(4)), "--weights", "datransnet-s", "--csv"]
    assert main([*call, str(tmp_path / "a.csv"), "--fps", "5"]) == 0  # as the shell expands a pattern: one recording
    said = capsys.readouterr().out
    assert "read 4 frames of 64x64 pixels, 8 bits, 5 a second, rate from --fps" in said
    assert f"wrote {tmp_path / 'a.csv'}" in said
    (tmp_path / "2.png").write_bytes(b"no image")
    assert main([*call, str(tmp_path / "b.csv")]) == 1
    out = capsys.readouterr()
    assert "read 3 of 4 frames of 64x64 pixels, 8 bits, 30 a second, rate assumed" in out.out
    assert "2.png is not an image" in out.err


def test_the_window_opens_images_of_one_folder_as_one(
    tmp_path: Path, ramp: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str | None] = []
    monkeypatch.setattr("irtrack.gui.app.open_window", lambda source, *_: opened.append(source) or 0)
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), ramp)
    assert main([str(tmp_path / f"{i}.png") for i in range(3)]) == 0
    assert len(list(open_source(str(opened[0])))) == 3
    assert main([]) == 0
    assert opened[1] is None
    assert main(["--debug", "sim:sky"]) == 0
    assert main(["sim:sky", "sim:dim"]) == 1
    assert opened[2:] == ["sim:sky"]
