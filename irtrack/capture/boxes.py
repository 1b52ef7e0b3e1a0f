"""Boxes of MP4 and MOV files: kinds, places and lengths."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

MOST_BOXES = 1_000_000


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
