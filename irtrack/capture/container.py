"""What a video file holds: the stream of the film, what its pixels are, and how players turn it."""

from __future__ import annotations

import struct
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import av

from irtrack.capture.ends import cut_fragment
from irtrack.capture.grey import HIGH_COLOUR, are_colours, holds_counts, lacks_palette
from irtrack.core import Remarks, SourceError
from irtrack.paths import ffmpeg_url

STILLS = ("attached_pic", "timed_thumbnails", "still_image", "dependent")
"""Streams of these kinds are no film."""


FIRST_PACKETS = 1000
"""Among so many, a stream of which there is one alone is a still picture, whatever its header calls it."""

TEXT_ART = frozenset({"ansi", "bintext", "xbin", "idf", "cdgraphics"})
"""Codecs that make pictures of letters: FFmpeg takes any text for such a film."""

STRETCHED = frozenset({"fits"})
"""Codecs whose counts FFmpeg stretches anew in each picture."""


def open_container(path: Path, end: int = 0, edited: bool = True) -> av.container.InputContainer:
    """Open a file with PyAV, whatever its name and the encoding of its titles; a playlist cannot make it go online.

    `end`: where another recording begins behind the first, and so where this one ends. `edited`: only what a list of
    edits shows (MP4). Of fragments (MP4) those before one that was cut within its header are read: FFmpeg gives up all
    of them for it.
    """
    try:
        return opened(path, end, edited)
    except av.EOFError:
        if end or not (end := cut_fragment(path)):
            raise
        return opened(path, end, edited)


def opened(path: Path, end: int, edited: bool) -> av.container.InputContainer:
    """What FFmpeg reads of a file by these protocols alone; up to `end`, if that is given."""
    url, protocols = ffmpeg_url(path), "file,crypto,data"
    if end:
        url, protocols = f"subfile,,start,0,end,{end},,:{url}", f"subfile,{protocols}"
    options = {"protocol_whitelist": protocols} | ({} if edited else {"ignore_editlist": "1"})
    return av.open(url, "r", metadata_errors="ignore", options=options)


def choose_stream(container: av.container.InputContainer, path: Path, remarks: Remarks) -> int:
    """The stream of the film: no attached picture; the file's default, the largest, the longest. Raises SourceError."""
    films = [s for s in container.streams.video if not is_still(s)]
    if len(films) > 1:
        counts = {s.index: s.frames for s in films} if all(s.frames for s in films) else first_packets(path)
        films = [s for s in films if counts[s.index] > 1] or films
    stills = len(container.streams.video) - len(films)
    if not films:
        what = "only a still picture (a cover or thumbnail), no film" if stills else "no video stream"
        raise SourceError(f"{path} holds {what}")

    def worth(stream: av.VideoStream) -> tuple[bool, int, float, int]:
        context = stream.codec_context
        pixels = (context.width or 0) * (context.height or 0) if context is not None else 0
        length = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        return "default" in kinds_of(stream), pixels, length, -stream.index

    best = max(films, key=worth)
    if stills:
        remarks.add(f"{path.name}: still pictures (thumbnails) beside the film left out", stills)
    if len(films) > 1:
        context = best.codec_context
        size = f", {context.width}x{context.height}" if context is not None else ""
        remarks.add(f"{path.name}: {len(films)} video streams: stream {best.index}{size} is read, the others are not")
    return best.index


def first_packets(path: Path) -> Counter[int]:
    """How many of the first packets of a file are of which stream."""
    container = open_container(path)
    try:
        return Counter(packet.stream.index for packet in islice(container.demux(), FIRST_PACKETS) if packet.size)
    except (av.FFmpegError, OSError):
        return Counter()
    finally:
        container.close()


def check_film(path: Path, codec: str) -> None:
    """Raises SourceError where FFmpeg would make up a film, or other counts than those of the file."""
    if codec in TEXT_ART:
        raise SourceError(f"{path} is text, or damaged, and no film")
    if codec in STRETCHED:
        raise SourceError(f"{path} is of a kind whose counts would not be kept ({codec}): export it as 16-bit TIFF")


def remark_pixels(path: Path, stream: av.VideoStream, largest: int, remarks: Remarks) -> None:
    """Say how pixels are taken where that is not plain. `largest`: bytes of the largest packet.

    Raises SourceError where raw pictures are larger than their header says, so that its kind of pixels is wrong.
    """
    context, ratio = stream.codec_context, stream.sample_aspect_ratio
    if ratio and ratio != 1:
        remarks.add(
            f"{path.name}: its pixels are not square (players show them {ratio.numerator}:{ratio.denominator}): "
            "positions and speeds are in pixels as they are stored"
        )
    if context is None or context.name != "rawvideo" or context.format is None:
        return
    row = -(-context.width * context.format.padded_bits_per_pixel // 32) * 4  # rows may be filled up to four bytes
    if largest > (row * context.height + 2048) * 1.1:
        raise SourceError(
            f"{path} holds raw pictures of {largest} bytes, and its header says pixels ({context.pix_fmt}) that take "
            f"{row * context.height}: write it as FFV1 or 16-bit TIFF, whose pixels are certain"
        )
    if context.pix_fmt and context.pix_fmt.startswith(HIGH_COLOUR):
        remarks.add(
            f"{path.name}: its header says raw colours of 16 bits ({context.pix_fmt}), and so it is read: counts of a "
            "camera need a FOURCC such as Y16, FFV1 or TIFF"
        )


def check_pixels(path: Path, first: av.VideoFrame, codec: str, remarks: Remarks) -> None:
    """Say how the first picture is read where that is not plain. Raises SourceError where raw pixels are others than
    their header says."""
    if lacks_palette(first):
        remarks.add(f"{path.name}: its palette has one colour alone: its numbers are read as grey")
    if codec == "rawvideo" and holds_counts(first):
        raise SourceError(
            f"{path}: its header says colours ({first.format.name}), and its pixels are counts of 16 bits, as some "
            "thermal cameras write them: export it as 16-bit TIFF, or with the FOURCC Y16"
        )


def in_colours(picture: av.VideoFrame) -> bool:
    """Whether a decoded picture is in colours."""
    may_be = len(picture.format.components) > 2 or picture.format.has_palette
    return may_be and are_colours(picture.to_ndarray(format="rgb24"))


def video_stream(container: av.container.InputContainer, index: int) -> av.VideoStream:
    """The video stream of a number."""
    return next(s for s in container.streams.video if s.index == index)


def is_still(stream: av.VideoStream) -> bool:
    """Whether a stream holds a cover or thumbnails."""
    return any(kind in kinds_of(stream) for kind in STILLS)


def kinds_of(stream: av.VideoStream) -> list[str]:
    """FFmpeg's names of what a stream is for."""
    return (stream.disposition.name or "").split("|")


def orientation_of(frame: av.VideoFrame) -> int:
    """How players turn the picture, as EXIF numbers it (1: not at all): quarter turns and mirrors."""
    try:
        about: list[Any] = list(frame.side_data)
    except ValueError:  # of a kind that PyAV has no name for, such as the EXIF of a JPEG: it still tells quarter turns
        return {-90: 6, 90: 8, 180: 3, -180: 3}.get(frame.rotation, 1)
    data = next((bytes(s) for s in about if s.type.name == "DISPLAYMATRIX"), b"")
    if len(data) < 36:
        return 1
    a, b, _, c, d = struct.unpack_from("=5i", data)
    signs = [(value > 0) - (value < 0) if abs(value) > 1 << 12 else 0 for value in (a, b, c, d)]
    return {
        (-1, 0, 0, 1): 2, (-1, 0, 0, -1): 3, (1, 0, 0, -1): 4, (0, 1, 1, 0): 5,
        (0, 1, -1, 0): 6, (0, -1, -1, 0): 7, (0, -1, 1, 0): 8,
    }.get((signs[0], signs[1], signs[2], signs[3]), 1)  # fmt: skip
