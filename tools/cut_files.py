"""Are files that were cut short said to be so? Writes whole files of each format, cuts each at many lengths, reads it.

    python tools/cut_files.py [--only NAME]

For each format: `whole` must be read without a word; each cut must be refused or, with what could be read, said. A cut
that is not said, a wrong picture or a traceback is printed. What no reader can tell: bare streams, transport streams
and SEQ files that were cut between two pictures.
"""

from __future__ import annotations

import argparse
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from irtrack.capture import open_source
from irtrack.core import Frame, SourceError
from irtrack.sinks.record import MatroskaWriter, TiffWriter

N, HEIGHT, WIDTH = 12, 60, 80
SHARES = (0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95, 0.99)
Images = list[NDArray[np.uint8]]


def pictures() -> Images:
    """Noise, so that every byte of a file matters."""
    rng = np.random.default_rng(3)
    return [rng.integers(0, 255, (HEIGHT, WIDTH)).astype(np.uint8) for _ in range(N)]


def video(codec: str, pix_fmt: str, **options: str) -> Callable[[Path, Images], None]:
    """A writer of videos; options of the container begin with `c_`."""

    def write(path: Path, images: Images) -> None:
        of_container = {k[2:]: v for k, v in options.items() if k.startswith("c_")}
        with av.open(f"file:{path}", "w", options=of_container) as out:
            stream = out.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pix_fmt
            stream.options = {k: v for k, v in options.items() if not k.startswith("c_")}
            for i, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, format="gray").reformat(format=pix_fmt)
                frame.pts, frame.time_base = i, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))

    return write


def recorded(writer: type[MatroskaWriter] | type[TiffWriter]) -> Callable[[Path, Images], None]:
    """irtrack's own recordings."""

    def write(path: Path, images: Images) -> None:
        out = writer(path)
        for i, image in enumerate(images):
            out.write(Frame(i, i / 25, image))
        out.close()

    return write


def stack(**options: object) -> Callable[[Path, Images], None]:
    """A writer of TIFF stacks."""
    return lambda path, images: tifffile.imwrite(path, np.stack(images).astype(np.uint16) * 7, **options)


def block(pixels: NDArray[np.uint16], payload: bytes | None = None) -> bytes:
    """An FFF block with one picture."""
    body = pixels.astype("<u2").tobytes() if payload is None else payload
    raw = (b"\x02\x00" + struct.pack("<HH", *pixels.shape[::-1])).ljust(32, b"\0") + body
    header = b"FFF\0" + b"test".ljust(16, b"\0") + struct.pack("<III", 100, 64, 1)
    return header.ljust(64, b"\0") + struct.pack("<HHIIII", 1, 0, 100, 0, 96, len(raw)).ljust(32, b"\0") + raw


def seq(path: Path, images: Images) -> None:
    """A recording of plain samples."""
    path.write_bytes(b"".join(block(i.astype(np.uint16) * 9) for i in images))


def csq(path: Path, images: Images) -> None:
    """A recording in JPEG-LS."""
    path.write_bytes(
        b"".join(block(i.astype(np.uint16), imagecodecs.jpegls_encode(i.astype(np.uint16))) for i in images)
    )


def radiometric(path: Path, images: Images) -> None:
    """A JPEG with counts in its APP1 segments."""
    counts, plain = block(images[0].astype(np.uint16) * 9), imagecodecs.jpeg8_encode(images[0])
    parts = [counts[i : i + 4000] for i in range(0, len(counts), 4000)]
    segments = [
        b"\xff\xe1" + struct.pack(">H", len(p) + 10) + b"FLIR\0\x01" + bytes([i, len(parts) - 1]) + p
        for i, p in enumerate(parts)
    ]
    path.write_bytes(plain[:2] + b"".join(segments) + plain[2:])


def image(path: Path, images: Images) -> None:
    """One image, in the format of the name."""
    path.write_bytes(cv2.imencode(path.suffix, images[0])[1].tobytes())


WRITERS: dict[str, Callable[[Path, Images], None]] = {
    "a.png": image, "a.jpg": image, "a.bmp": image, "a.pgm": image, "a.webp": image, "a.jp2": image,
    "a.tif": stack(photometric="minisblack", metadata=None),
    "deflate.tif": stack(photometric="minisblack", compression="zlib"),
    "imagej.tif": stack(imagej=True),
    "block.tif": stack(photometric="minisblack", metadata={"axes": "TYX"}, truncate=True),
    "ome.tif": stack(photometric="minisblack", ome=True, metadata={"axes": "TYX", "TimeIncrement": 0.04}),
    "record.tif": recorded(TiffWriter),
    "record.mkv": recorded(MatroskaWriter),
    "a.seq": seq, "a.csq": csq, "radiometric.jpg": radiometric,
    "ffv1.mkv": video("ffv1", "gray"), "h264.mkv": video("libx264", "yuv420p"),
    "ffv1.avi": video("ffv1", "gray"), "mjpeg.avi": video("mjpeg", "yuvj420p"), "h264.avi": video("libx264", "yuv420p"),
    "ffv1.nut": video("ffv1", "gray"), "a.mp4": video("libx264", "yuv420p"),
    "fast.mp4": video("libx264", "yuv420p", c_movflags="faststart"),
    "a.mov": video("mjpeg", "yuvj420p"),
    "fmp4.mp4": video("libx264", "yuv420p", g="3", c_movflags="frag_keyframe+empty_moov"),
    "a.webm": video("libvpx", "yuv420p"), "vp9.webm": video("libvpx-vp9", "yuv420p"),
    "a.ts": video("mpeg2video", "yuv420p"), "a.h264": video("libx264", "yuv420p"),
    "a.mjpeg": video("mjpeg", "yuvj420p"),
    "a.gif": video("gif", "gray"), "a.apng": video("apng", "gray"),
}  # fmt: skip


def read(path: Path) -> tuple[list[Frame], str]:
    """Frames that can be read, and what is said."""
    frames: list[Frame] = []
    try:
        source = open_source(str(path))
        try:
            frames.extend(source)
        finally:
            source.close()
    except SourceError as error:
        return frames, str(error)
    return frames, ""


def cuts(path: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """The file cut at each of SHARES, and by its last 1, 5 and 40 bytes."""
    whole = path.read_bytes()
    lengths = {f"{100 * s:.0f} %": int(len(whole) * s) for s in SHARES}
    lengths |= {f"-{n}": len(whole) - n for n in (1, 5, 40)}
    for name, length in lengths.items():
        target = folder / f"cut-{path.name}"
        target.write_bytes(whole[: max(1, length)])
        yield name, target


def check(name: str, folder: Path) -> tuple[int, int, int, int, list[str]]:
    """Cuts of one format that were refused, read in part and said, lost nothing, and were not said; what was wrong."""
    path = folder / name
    WRITERS[name](path, pictures())
    frames, words = read(path)
    wrong = [f"whole, but: {words}"] if words else []
    refused = part = silent = harmless = 0
    for how, target in cuts(path, folder):
        got, words = read(target)
        refused += bool(words) and not got
        part += bool(words) and bool(got)
        true = {f.index: f.image for f in frames}
        whole = len(got) == len(frames) and all(np.array_equal(f.image, true[f.index]) for f in got)
        silent += not words and not whole
        harmless += not words and whole
        if not words and not whole:
            wrong.append(f"{how}: nothing is said, {len(got)} of {len(frames)} pictures")
        other = [f.index for f in got if f.index not in true or not np.array_equal(f.image, true[f.index])]
        if other:
            wrong.append(f"{how}: pictures {other} of {len(frames)} are others ({len(got)} read)")
    return refused, part, harmless, silent, wrong


def main() -> int:
    """Print a line for each format; 1 where a cut is not said that its format could tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    only = parser.parse_args().only
    total = said = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in (n for n in WRITERS if only in n):
            refused, part, harmless, silent, wrong = check(name, Path(folder))
            total, said = total + refused + part + silent, said + refused + part
            print(f"{name:16s} refused {refused:2d}  part {part:2d}  nothing lost {harmless:2d}  not said {silent:2d}")
            for line in wrong:
                print(f"    {line}")
    print(f"{said} of {total} cuts said")
    return 0 if said == total else 1


if __name__ == "__main__":
    sys.exit(main())
