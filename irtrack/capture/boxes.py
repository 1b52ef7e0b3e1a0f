"""Boxes of MP4 and MOV files: kinds, places and lengths; what the header of a track says."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MOST_BOXES = 1_000_000
LARGEST_HEADER = 64 << 20
KINDS = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp", b"sidx"})
"""What such files begin with."""


def top_boxes(f: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and length of the boxes of an MP4 file, up to one whose length is below 8."""
    at = 0
    for _ in range(MOST_BOXES):
        if at + 8 > size:
            return
        f.seek(at)
        length, kind = struct.unpack(">I4s", f.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", f.read(8).ljust(8, b"\0"))
        yield kind, at, length
        if length < 8:
            return
        at += length


def boxes_in(code: bytes, path: tuple[bytes, ...]) -> list[bytes]:
    """The bodies of boxes that lie in others, by the kinds on the way."""
    out, at = [], 0
    while at + 8 <= len(code):
        length, kind = struct.unpack_from(">I4s", code, at)
        if length < 8:
            break
        if kind == path[0]:
            body = code[at + 8 : at + length]
            out += [body] if len(path) == 1 else boxes_in(body, path[1:])
        at += length
    return out


def header_of(path: Path) -> bytes:
    """The box that describes all tracks; nothing where there is none, or an absurd one. Raises OSError."""
    with path.open("rb") as f:
        if f.read(8)[4:] not in KINDS:
            return b""
        place = next(((at, length) for kind, at, length in top_boxes(f, f.seek(0, 2)) if kind == b"moov"), None)
        if place is None or not 8 < place[1] <= LARGEST_HEADER:
            return b""
        f.seek(place[0])
        return f.read(place[1])


def track_of(header: bytes, stream: int) -> bytes:
    """The body of the track of a number."""
    tracks = boxes_in(header, (b"moov", b"trak"))
    return tracks[stream] if stream < len(tracks) else b""
