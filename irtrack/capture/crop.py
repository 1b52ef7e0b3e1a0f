"""What a file's header cuts off its pictures before they are shown: Matroska's PixelCrop, `clap` of MP4 and MOV.

FFmpeg's library hands both over as a note, for players to act on.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from irtrack.capture.boxes import boxes_in, track_of
from irtrack.capture.raw import elements, inside, number
from irtrack.core import Image

SEGMENT, TRACKS, TRACK, VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
PIXEL_CROP = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
"""Of Matroska: left, top, right, bottom."""

EBML = b"\x1aE\xdf\xa3"


@dataclass(frozen=True)
class Crop:
    """Pixels that are cut off at each side."""

    left: int
    top: int
    right: int
    bottom: int

    def __bool__(self) -> bool:
        return any((self.left, self.top, self.right, self.bottom))

    def of(self, picture: Image) -> Image:
        """The part of a picture that is shown."""
        height, width = picture.shape
        return picture[self.top : height - self.bottom, self.left : width - self.right] if self else picture


def crop_of(path: Path, header: bytes, stream: int, width: int, height: int) -> Crop:
    """Of the pictures of a stream, by its number; what leaves nothing of them is none. `header`: that of an MP4 file.
    Raises OSError."""
    with path.open("rb") as f:
        if f.read(4) == EBML:
            found = matroska(f, f.seek(0, 2), stream)
        else:
            found = clap(track_of(header, stream), width, height)
    fits = min(found.left, found.top, found.right, found.bottom) >= 0
    return (
        found if fits and found.left + found.right < width and found.top + found.bottom < height else Crop(0, 0, 0, 0)
    )


def matroska(f: BinaryIO, size: int, stream: int) -> Crop:
    """Of the track of a number."""
    track = next(islice(inside(f, 0, size, (SEGMENT, TRACKS, TRACK)), stream, None), None)
    if track is None:
        return Crop(0, 0, 0, 0)
    video = next((body for kind, *body in elements(f, track[0], sum(track)) if kind == VIDEO), None)
    fields = {kind: body for kind, *body in elements(f, video[0], sum(video))} if video is not None else {}
    return Crop(*(number(f, *fields[kind]) if kind in fields else 0 for kind in PIXEL_CROP))


def clap(track: bytes, width: int, height: int) -> Crop:
    """Of the first sample description of a track: size and centre of what is shown, as fractions."""
    described = boxes_in(track, (b"mdia", b"minf", b"stbl", b"stsd"))
    entry = described[0][8:] if described else b""  # behind version and count
    found = boxes_in(entry[86 : int.from_bytes(entry[:4], "big")], (b"clap",))
    if not found or len(found[0]) < 32:
        return Crop(0, 0, 0, 0)
    n = struct.unpack(">iIiIiIiI", found[0][:32])
    if not all(n[1::2]):
        return Crop(0, 0, 0, 0)
    wide, high, right, down = (n[i] / n[i + 1] for i in (0, 2, 4, 6))
    left, top = round(right + (width - wide) / 2), round(down + (height - high) / 2)
    return Crop(left, top, width - left - round(wide), height - top - round(high))
