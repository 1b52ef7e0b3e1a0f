"""Files of FLIR cameras: FFF, SEQ and CSQ recordings, radiometric JPEG. Raw counts, as the sensor gave them.

An FFF block is a header of 64 bytes, a directory of records and the records; a recording is blocks one after the other,
and a radiometric JPEG carries one block in its APP1 segments. Layout as described by ExifTool's FLIR tags. The header
may be in either byte order, whatever the order of the pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np

from irtrack.capture.grey import is_swapped
from irtrack.capture.headers import JPEG, jpeg_segments, size_of
from irtrack.capture.reading import reading
from irtrack.capture.times import mended, rate_of
from irtrack.core import LARGEST_SIDE_PX, Clock, Frame, Image, Remarks, Source, SourceError, SourceInfo, frozen
from irtrack.imaging.radiometry import Radiometry

MAGIC = b"FFF\0"
HEADER, ENTRY, RAW_HEADER = 64, 32, 32
RAW_DATA, CAMERA_INFO = 1, 0x20
TIME_AT = 900
"""Offset of the time in a CameraInfo record: seconds since 1970 and milliseconds."""

DEFAULT_FPS = 30.0
PIECE = 1 << 20
"""Bytes that are searched at once."""

PNG, JPEG_LS = b"\x89PNG", b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block's picture and time lie: (offset, length) in the file."""

    raw: tuple[int, int]
    camera: tuple[int, int] | None


def find_blocks(file: BinaryIO) -> tuple[list[Block], bool]:
    """Every FFF block that holds a picture, in order; and whether the last block goes on behind the end of the file."""
    size = file.seek(0, 2)
    out: list[Block] = []
    cut = False
    at = find(file, MAGIC, 0)
    while at >= 0:
        records = directory(file, at)
        cut = records is None or any(offset + length > size for offset, length in records.values())
        raw, camera = ((records or {}).get(kind) for kind in (RAW_DATA, CAMERA_INFO))
        if raw is not None and raw[0] + raw[1] <= size:
            out.append(Block(raw, camera if camera is not None and camera[0] + camera[1] <= size else None))
            at = find(file, MAGIC, raw[0] + raw[1])
        else:
            at = find(file, MAGIC, at + 4)
    return out, cut


def find(file: BinaryIO, what: bytes, start: int) -> int:
    """Where `what` next stands from `start` on, -1 for nowhere."""
    file.seek(start)
    kept = b""
    while piece := file.read(PIECE):
        found = (kept + piece).find(what)
        if found >= 0:
            return start - len(kept) + found
        kept, start = (kept + piece)[1 - len(what) :], start + len(piece)
    return -1


def directory(file: BinaryIO, at: int) -> dict[int, tuple[int, int]] | None:
    """(offset, length) in the file of the first record of each type; nothing where the block is no block, None where
    the file ends within it."""
    file.seek(at)
    header = file.read(HEADER)
    if len(header) < HEADER:
        return None
    order = next((o for o in "><" if 100 <= struct.unpack_from(o + "I", header, 20)[0] < 200), None)
    if order is None:
        return {}
    start, count = struct.unpack_from(order + "II", header, 24)
    count = min(count, 256)
    file.seek(at + start)
    table = file.read(ENTRY * count)
    if len(table) < ENTRY * count:
        return None
    out: dict[int, tuple[int, int]] = {}
    for i in range(count):
        (kind,) = struct.unpack_from(order + "H", table, i * ENTRY)
        offset, length = struct.unpack_from(order + "II", table, i * ENTRY + 12)
        if kind and length:
            out.setdefault(kind, (at + offset, length))
    return out


def decode(record: bytes) -> Image:
    """Raw counts (H, W) uint16 of a RawData record. Raises ValueError where it is damaged."""
    order = "<" if record[:2] == b"\x02\x00" else ">"
    width, height = struct.unpack_from(order + "HH", record, 2)
    body = record[RAW_HEADER:]
    if body.startswith((PNG, JPEG_LS)):
        width, height = size_of(body) or (0, 0)
    if not (0 < width <= LARGEST_SIDE_PX and 0 < height <= LARGEST_SIDE_PX):
        raise ValueError(f"a picture of {width}x{height} pixels")
    if body.startswith(PNG):
        # Most of FLIR's cameras write the samples little-endian where PNG wants them big-endian.
        counts = grey(imagecodecs.png_decode(body)).byteswap()
        return counts.byteswap() if is_swapped(counts) else counts
    if body.startswith(JPEG_LS):
        return grey(imagecodecs.jpegls_decode(body))
    if len(body) < 2 * width * height:
        raise ValueError(f"{width}x{height} pixels do not fit into {len(body)} bytes")
    return np.frombuffer(body, order + "u2", width * height).reshape(height, width).astype(np.uint16)


def grey(image: np.ndarray) -> Image:  # type: ignore[type-arg]
    """A decoded picture, if it is one of counts. Raises ValueError."""
    if image.ndim != 2:
        raise ValueError("a picture in colour, which holds no counts")
    return np.ascontiguousarray(image, np.uint16)


def jpeg_block(content: bytes) -> bytes | None:
    """The FFF block of a radiometric JPEG, joined from its APP1 segments; None where there is none."""
    if not content.startswith(JPEG):
        return None
    parts = {
        body[6]: body[8:]
        for marker, body in jpeg_segments(content)
        if marker == 0xE1 and body[:5] == b"FLIR\0" and len(body) > 8
    }
    return b"".join(parts[k] for k in sorted(parts)) if parts else None


def has_counts(content: bytes) -> bool:
    """Whether a file is a radiometric JPEG: it carries a block, whole or damaged."""
    block = jpeg_block(content)
    return block is not None and MAGIC in block


def radiometry_of(record: bytes) -> Radiometry | None:
    """What a CameraInfo record says of temperatures; None where it is cut or holds no such constants."""
    order = "<" if record[:2] == b"\x02\x00" else ">"
    try:

        def value(at: int) -> float:
            return float(struct.unpack_from(order + "f", record, at)[0])

        (o,) = struct.unpack_from(order + "i", record, 0x308)
        a1, a2, b1, b2, x = (value(at) for at in range(0x70, 0x84, 4))
        made = Radiometry(
            value(0x58), value(0x30C), value(0x5C), value(0x60), float(o), value(0x20), value(0x28), value(0x2C),
            value(0x24), value(0x3C), (a1, a2, b1, b2, x), value(0x30), value(0x34),
        )  # fmt: skip
    except struct.error:
        return None
    return made if made.sound else None


def celsius_of(content: bytes) -> Radiometry | None:
    """Of a radiometric JPEG: how its counts become temperatures, where it says so."""
    block = jpeg_block(content) or b""
    blocks, _ = find_blocks(BytesIO(block))
    if not blocks or blocks[0].camera is None:
        return None
    offset, length = blocks[0].camera
    return radiometry_of(block[offset : offset + length])


def counts_of(content: bytes) -> Image:
    """Raw counts (H, W) uint16 of a radiometric JPEG. Raises ValueError where they are damaged."""
    block = jpeg_block(content) or b""
    blocks, _ = find_blocks(BytesIO(block))
    if not blocks:
        raise ValueError("its raw counts are missing or cut off")
    offset, length = blocks[0].raw
    return decode(block[offset : offset + length])


class FlirSource(Source):
    """A recording of a FLIR camera. Times are the camera's, else number over the rate."""

    live = False

    def __init__(self, path: Path, fps: float | None) -> None:
        """Reads the directory and the first picture. Raises SourceError with one line."""
        self._path, self._next = path, 0
        with reading(path, "cannot be read"):
            self._file = path.open("rb")
        try:
            with reading(path):
                self._blocks, self._cut = find_blocks(self._file)
            if not self._blocks:
                raise SourceError(f"{path} holds no FLIR picture: it is damaged, cut short or of another kind")
            first = self._read(0)
            remarks = Remarks()
            with reading(path):
                taken = None if fps else self._read_times()
        except BaseException:
            self.close()
            raise
        rate = fps or DEFAULT_FPS
        clock = Clock.GIVEN if fps else Clock.ASSUMED
        self._times = [i / rate for i in range(len(self._blocks))]
        if taken is not None:
            self._times, clock = mended(path.name, taken, remarks), Clock.FILE
            rate = rate_of(self._times) or rate
        height, width = first.shape
        self.info = SourceInfo(path.name, width, height, 16, rate, len(self._blocks), clock, remarks)
        self._celsius = self._read_radiometry()
        self._shape = first.shape

    def _read(self, index: int) -> Image:
        with reading(self._path, f"is damaged at picture {index} of {len(self._blocks)}"):
            offset, length = self._blocks[index].raw
            self._file.seek(offset)
            record = self._file.read(length)
            if len(record) < length:
                raise ValueError("the file was cut while it was read")
            return decode(record)

    def _read_radiometry(self) -> Radiometry | None:
        """Of the first picture: a recording is made with one calibration."""
        camera = self._blocks[0].camera
        if camera is None:
            return None
        with reading(self._path):
            self._file.seek(camera[0])
            return radiometry_of(self._file.read(camera[1]))

    def _read_times(self) -> list[float] | None:
        """Seconds since 1970 of every picture; None where not all have one, or all have the same."""
        times = []
        for block in self._blocks:
            if block.camera is None or block.camera[1] < TIME_AT + 8:
                return None
            self._file.seek(block.camera[0] + TIME_AT)
            seconds, thousandths = struct.unpack("<II", self._file.read(8))
            times.append(seconds + (thousandths & 0xFFFF) / 1000)
        return times if len(set(times)) > 1 else None

    def __iter__(self) -> Iterator[Frame]:
        bad, problem, total = 0, "", len(self._blocks)
        while self._next < total:
            index, self._next = self._next, self._next + 1
            try:
                image = self._read(index)
            except SourceError as error:
                bad, problem = bad + 1, problem or str(error)
                continue
            if image.shape != self._shape:
                raise SourceError(f"{self._path}: picture {index} is {image.shape}, the first was {self._shape}")
            yield Frame(index, self._times[index], frozen(image), celsius=self._celsius)
        if bad:
            raise SourceError(f"{problem}; {total - bad} of {total} pictures could be read and were used")
        if self._cut:
            raise SourceError(f"{self._path} is cut short: {total} whole pictures could be read and were used")

    def seek(self, index: int) -> None:
        """Continue at picture `index`. Raises SourceError outside the recording."""
        if not 0 <= index < len(self._blocks):
            raise SourceError(f"frame {index} is outside {self._path.name}, which has {len(self._blocks)}")
        self._next = index

    def close(self) -> None:
        """Give back the file."""
        self._file.close()
