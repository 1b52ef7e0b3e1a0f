"""Videos of codecs that FFmpeg does not know: raw 16-bit samples are read, every other one is named.

FFmpeg gives such a stream's packets but not its size, so that is read from the header here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from irtrack.capture.ends import element
from irtrack.capture.grey import is_swapped
from irtrack.capture.reading import check_size
from irtrack.core import Image, SourceError

SAMPLES = {"Y16": "<u2", "Y14": "<u2", "Y12": "<u2", "Y10": "<u2", "R16": "<u2", "L16": "<u2", "GR16": "<u2",
           "RAW16": "<u2", "Y16L": "<u2", "Y16B": ">u2", "B16G": ">u2"}  # fmt: skip
"""FOURCCs of grey samples in 16-bit words."""

SEARCHED = 8 << 20
"""Bytes in which a header lies."""


@dataclass(frozen=True)
class RawFormat:
    """FOURCC and size that a header names."""

    fourcc: str
    width: int
    height: int


@dataclass(frozen=True)
class RawPictures:
    """Packets of raw samples as pictures."""

    format: RawFormat
    sample: str

    def picture(self, code: bytes) -> Image:
        """(H, W) uint16. Raises ValueError where the packet is too short."""
        width, height = self.format.width, self.format.height
        stride = len(code) // height
        stride = stride if len(code) % height == 0 and 2 * width <= stride <= 2 * width + 64 else 2 * width
        if len(code) < stride * height:
            raise ValueError(f"{len(code)} bytes for {width}x{height} samples")
        rows = np.frombuffer(code, np.uint8, stride * height).reshape(height, stride)[:, : 2 * width]
        return np.ascontiguousarray(rows).view(self.sample).astype(np.uint16)

    def fitting(self, code: bytes) -> RawPictures:
        """The same, or with the bytes of each sample in the other order, whichever the first packet speaks for."""
        other = {"<": ">", ">": "<"}[self.sample[0]] + self.sample[1:]
        return RawPictures(self.format, other) if is_swapped(self.picture(code)) else self


def raw_pictures(path: Path) -> RawPictures:
    """How to read a stream that no decoder of FFmpeg takes. Raises SourceError, naming the codec, where that is not
    known either."""
    found = header_of(path)
    name = found.fourcc.replace("\0", " ").strip() if found is not None else ""
    sample = SAMPLES.get(name.upper())
    if found is None or sample is None:
        named = f"codec {name!r}" if name else "an unknown codec"
        raise SourceError(
            f"{path} holds video of {named}, which cannot be decoded here: convert it to FFV1, H.264 or 16-bit TIFF"
        )
    check_size(path, found.width, found.height)
    return RawPictures(found, sample)


def header_of(path: Path) -> RawFormat | None:
    """FOURCC and size of the first video stream of an AVI, Matroska or MOV file."""
    with path.open("rb") as f:
        head = f.read(12)
        f.seek(0)
        if head[:4] == b"RIFF":
            return avi(f.read(SEARCHED))
        if head[:4] == b"\x1aE\xdf\xa3":
            return matroska(f)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
            return mov(f)
    return None


def avi(code: bytes) -> RawFormat | None:
    """From the stream header of the first stream of type vids."""
    at = code.find(b"strh")
    while at >= 0 and code[at + 8 : at + 12] != b"vids":
        at = code.find(b"strh", at + 4)
    form = code.find(b"strf", at) if at >= 0 else -1
    if form < 0 or len(code) < form + 28:
        return None
    width, height, _, _, fourcc = struct.unpack_from("<iiHH4s", code, form + 12)
    if fourcc == b"\0\0\0\0":
        fourcc = code[at + 12 : at + 16]
    return RawFormat(fourcc.decode("latin-1"), width, abs(height))


def matroska(f: BinaryIO) -> RawFormat | None:
    """From the track entry of the first video track: its codec, or the FOURCC that it carries."""
    size = f.seek(0, 2)
    for track in inside(f, 0, size, (0x18538067, 0x1654AE6B, 0xAE)):
        fields = {kind: (body, length) for kind, body, length in elements(f, track[0], track[0] + track[1])}
        if 0xE0 not in fields:
            continue
        f.seek(fields[0x86][0])
        codec = f.read(fields[0x86][1])
        video = {kind: (body, length) for kind, body, length in elements(f, fields[0xE0][0], sum(fields[0xE0]))}
        width, height = (number(f, *video[kind]) for kind in (0xB0, 0xBA))
        fourcc = codec
        if codec == b"V_MS/VFW/FOURCC" and 0x63A2 in fields:
            f.seek(fields[0x63A2][0] + 16)
            fourcc = f.read(4)
        elif codec == b"V_UNCOMPRESSED" and 0x2EB524 in video:
            f.seek(video[0x2EB524][0])
            fourcc = f.read(4)
        return RawFormat(fourcc.decode("latin-1"), width, height)
    return None


def elements(f: BinaryIO, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Kind, place and length of the elements in a part of a Matroska file."""
    while at < end and (found := element(f, at, end)) is not None:
        kind, body, length = found
        length = end - body if length < 0 else length
        yield kind, body, length
        at = body + length


def inside(f: BinaryIO, at: int, end: int, kinds: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Place and length of elements that lie in others, by the kinds on the way."""
    for kind, body, length in elements(f, at, end):
        if kind == kinds[0]:
            if len(kinds) == 1:
                yield body, length
            else:
                yield from inside(f, body, min(body + length, end), kinds[1:])


def number(f: BinaryIO, body: int, length: int) -> int:
    """An unsigned number."""
    f.seek(body)
    return int.from_bytes(f.read(min(length, 8)), "big")


def mov(f: BinaryIO) -> RawFormat | None:
    """From the first sample description of a video track."""
    size, at = f.seek(0, 2), 0
    while at + 8 <= size:
        f.seek(at)
        length, kind = struct.unpack(">I4s", f.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", f.read(8).ljust(8, b"\0"))
        if length < 8:
            return None
        if kind == b"moov":
            f.seek(at)
            code = f.read(min(length, SEARCHED))
            handler = code.find(b"vide")
            entry = code.find(b"stsd", max(handler, 0))
            if entry < 0 or len(code) < entry + 48:
                return None
            fourcc = code[entry + 16 : entry + 20]
            width, height = struct.unpack_from(">HH", code, entry + 44)
            return RawFormat(fourcc.decode("latin-1"), width, height)
        at += length
    return None
