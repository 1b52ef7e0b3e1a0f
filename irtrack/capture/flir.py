"""Files of FLIR cameras: FFF, SEQ and CSQ recordings, radiometric JPEG. Raw counts, as the sensor gave them.

An FFF block is a header of 64 bytes, a directory of records and the records; a recording is blocks one after the other,
and a radiometric JPEG carries one block in its APP1 segments. Layout as described by ExifTool's FLIR tags. The header
may be in either byte order, whatever the order of the pixels.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import imagecodecs
import numpy as np

from irtrack.core import Frame, Image, SourceError, SourceInfo, frozen

MAGIC = b"FFF\0"
HEADER, ENTRY, RAW_HEADER = 64, 32, 32
RAW_DATA, CAMERA_INFO = 1, 0x20
TIME_AT = 900
"""Offset of the time in a CameraInfo record: seconds since 1970 and milliseconds."""

PNG, JPEG_LS = b"\x89PNG", b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block's picture and time lie: (offset, length) in the file."""

    raw: tuple[int, int]
    camera: tuple[int, int] | None


def find_blocks(content: bytes | mmap.mmap) -> list[Block]:
    """Every FFF block that holds a picture, in order."""
    out, at = [], content.find(MAGIC)
    while at >= 0:
        records = directory(content, at)
        raw, camera = records.get(RAW_DATA), records.get(CAMERA_INFO)
        if raw is not None:
            out.append(Block(raw, camera))
        at = content.find(MAGIC, raw[0] + raw[1] if raw is not None else at + 4)
    return out


def directory(content: bytes | mmap.mmap, at: int) -> dict[int, tuple[int, int]]:
    """(offset, length) in the file of the first record of each type; nothing where the block is no block or cut off."""
    header = content[at : at + HEADER]
    if len(header) < HEADER:
        return {}
    order = next((o for o in "><" if 100 <= struct.unpack_from(o + "I", header, 20)[0] < 200), None)
    if order is None:
        return {}
    start, count = struct.unpack_from(order + "II", header, 24)
    table = content[at + start : at + start + ENTRY * min(count, 256)]
    out: dict[int, tuple[int, int]] = {}
    for i in range(len(table) // ENTRY):
        (kind,) = struct.unpack_from(order + "H", table, i * ENTRY)
        offset, length = struct.unpack_from(order + "II", table, i * ENTRY + 12)
        if kind and length and at + offset + length <= len(content):
            out.setdefault(kind, (at + offset, length))
    return out


def decode(record: bytes) -> Image:
    """Raw counts (H, W) uint16 of a RawData record. Raises ValueError where it is damaged."""
    order = "<" if record[:2] == b"\x02\x00" else ">"
    width, height = struct.unpack_from(order + "HH", record, 2)
    body = record[RAW_HEADER:]
    if body.startswith(PNG):
        # FLIR writes the samples little-endian where PNG wants them big-endian.
        return np.ascontiguousarray(imagecodecs.png_decode(body), np.uint16).byteswap()
    if body.startswith(JPEG_LS):
        return np.ascontiguousarray(imagecodecs.jpegls_decode(body), np.uint16)
    if len(body) < 2 * width * height or not width * height:
        raise ValueError(f"{width}x{height} pixels do not fit into {len(body)} bytes")
    return np.frombuffer(body, order + "u2", width * height).reshape(height, width).astype(np.uint16)


def jpeg_block(content: bytes) -> bytes | None:
    """The FFF block of a radiometric JPEG, joined from its APP1 segments; None where there is none."""
    parts: dict[int, bytes] = {}
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", content, at + 2)
        segment = content[at + 4 : at + 2 + length]
        if content[at + 1] == 0xE1 and segment[:5] == b"FLIR\0" and len(segment) > 8:
            parts[segment[6]] = segment[8:]
        at += 2 + length
    return b"".join(parts[k] for k in sorted(parts)) if parts else None


class FlirSource:
    """A recording or picture of a FLIR camera. Times are the camera's where they rise, else number over `fps`."""

    live = False

    def __init__(self, path: Path, fps: float, content: bytes | None = None) -> None:
        """Reads the directory and the first picture. Raises SourceError with one line."""
        self._path, self._next = path, 0
        self._file = path.open("rb") if content is None else None
        self._content = content if self._file is None else mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        assert self._content is not None
        try:
            self._blocks = find_blocks(self._content)
            if not self._blocks:
                raise SourceError(f"{path} holds no FLIR picture: it is damaged or of another kind")
            first = self._read(0)
        except BaseException:
            self.close()
            raise
        self._times = self._read_times(fps)
        rate = (len(self._times) - 1) / self._times[-1] if len(self._times) > 1 else fps
        self.info = SourceInfo(path.name, first.shape[1], first.shape[0], 16, rate, len(self._blocks))
        self._shape = first.shape

    def _read(self, index: int) -> Image:
        assert self._content is not None
        offset, length = self._blocks[index].raw
        try:
            return decode(self._content[offset : offset + length])
        except (ValueError, struct.error, RuntimeError) as error:
            raise SourceError(f"{self._path}: picture {index} of {len(self._blocks)} is damaged ({error})") from error

    def _read_times(self, fps: float) -> list[float]:
        assert self._content is not None
        times = []
        for block in self._blocks:
            if block.camera is not None and block.camera[1] >= TIME_AT + 8:
                seconds, thousandths = struct.unpack_from("<II", self._content, block.camera[0] + TIME_AT)
                times.append(seconds + (thousandths & 0xFFFF) / 1000)
        rising = len(times) == len(self._blocks) and all(a < b for a, b in pairwise(times))
        return [t - times[0] for t in times] if rising else [i / fps for i in range(len(self._blocks))]

    def __iter__(self) -> Iterator[Frame]:
        while self._next < len(self._blocks):
            index = self._next
            image = self._read(index)
            if image.shape != self._shape:
                raise SourceError(f"{self._path}: picture {index} is {image.shape}, the first was {self._shape}")
            self._next += 1
            yield Frame(index, self._times[index], frozen(image))

    def seek(self, index: int) -> None:
        """Continue at picture `index`. Raises SourceError outside the recording."""
        if not 0 <= index < len(self._blocks):
            raise SourceError(f"frame {index} is outside {self._path.name}, which has {len(self._blocks)}")
        self._next = index

    def close(self) -> None:
        """Give back the file."""
        if isinstance(self._content, mmap.mmap):
            self._content.close()
        if self._file is not None:
            self._file.close()


def open_radiometric(path: Path, fps: float) -> FlirSource | None:
    """A radiometric JPEG as a sequence of one; None for any other JPEG."""
    block = jpeg_block(path.read_bytes())
    return FlirSource(path, fps, block) if block is not None and find_blocks(block) else None
