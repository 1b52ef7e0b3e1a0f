"""Whether H.264 pictures are missing that others are made from, by the numbers that they carry.

Where one was lost on the way (a packet of a network, say), a file of those that came looks whole, and FFmpeg's decoder
puts the picture before in its place without a word. Names are those of the standard (7.3.2.1, 7.3.3, 7.4.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MISSING = "pictures are missing from which the next ones are made: these may be damaged"

PICTURE, KEY_PICTURE, SPS = 1, 5, 7
"""Kinds of parts that matter here."""

WITH_CHROMA = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244})
"""Profiles whose SPS says more of the colours."""

SLICE_BYTES = 24
"""In which the number of a picture stands."""


class Bits:
    """Reads numbers of any width from a part of a stream."""

    def __init__(self, part: bytes) -> None:
        code = part.replace(b"\0\0\3", b"\0\0")  # which keeps marks of beginnings out of the content
        self._value, self._left = int.from_bytes(code, "big"), 8 * len(code)

    def number(self, width: int) -> int:
        """A number of so many bits. Raises ValueError where there are no more."""
        if width > self._left:
            raise ValueError("no more bits")
        self._left -= width
        return self._value >> self._left & (1 << width) - 1

    def short(self) -> int:
        """A number in the code that makes small ones short (Exp-Golomb; signed ones are not told apart here)."""
        zeros = 0
        while not self.number(1):
            zeros += 1
        return (1 << zeros) - 1 + self.number(zeros)


@dataclass(frozen=True)
class Counting:
    """How a stream numbers its pictures: in so many bits; whether colours are pictures of their own."""

    bits: int
    planes: bool


def counting_of(sps: bytes) -> Counting | None:
    """By an SPS; None where numbers may be passed over. Raises ValueError."""
    read = Bits(sps)
    profile = read.number(24) >> 16
    read.short()
    planes = False
    if profile in WITH_CHROMA:
        chroma = read.short()
        planes = chroma == 3 and bool(read.number(1))
        read.short(), read.short(), read.number(1)
        if read.number(1):
            for i in range(12 if chroma == 3 else 8):
                if read.number(1):
                    pass_over_scaling(read, 16 if i < 6 else 64)
    bits = read.short() + 4
    order = read.short()
    if order == 0:
        read.short()
    elif order == 1:
        read.number(1), read.short(), read.short()
        for _ in range(read.short()):
            read.short()
    read.short()
    return None if read.number(1) else Counting(bits, planes)


def pass_over_scaling(read: Bits, count: int) -> None:
    """A list of scales, each as its difference to the one before; it ends early at one of 0."""
    last = 8
    for _ in range(count):
        code = read.short()
        last = (last + (-(code // 2) if code % 2 == 0 else code // 2 + 1)) % 256
        if last == 0:
            return


def parts_of(code: bytes, width: int) -> Iterator[bytes]:
    """Parts of a packet: each behind its length of `width` bytes, or, where that is 0, behind a mark."""
    if not width:
        marks = [m.end() for m in re.finditer(b"\0\0\1", code)]
        for start, end in zip(marks, [*marks[1:], len(code)], strict=False):
            yield code[start:end]
        return
    at = 0
    while at + width < len(code):
        length = int.from_bytes(code[at : at + width], "big")
        yield code[at + width : at + width + length]
        at += width + length


class Numbers:
    """Looks at the packets of a stream in their order, and counts places where pictures are missing in `gaps`."""

    def __init__(self, header: bytes) -> None:
        """`header`: what stands before all packets (FFmpeg's `extradata`)."""
        self.gaps = 0
        self._counting: Counting | None = None
        self._width, self._last = 0, -1
        listed = header[:1] == b"\1" and len(header) > 8
        if listed:
            self._width = (header[4] & 3) + 1
        start = int.from_bytes(header[6:8], "big") if listed else 0
        for part in [header[8 : 8 + start]] if listed else parts_of(header, 0):
            self._learn(part)

    def _learn(self, part: bytes) -> None:
        if part and part[0] & 31 == SPS:
            try:
                self._counting = counting_of(part[1:])
            except ValueError:
                self._counting = None

    def __call__(self, code: bytes, key: bool) -> None:
        """The next packet; reading may begin at `key` ones, whatever was missing before."""
        for part in parts_of(code, self._width):
            self._learn(part)
            kind = part[0] & 31 if part else 0
            if kind not in (PICTURE, KEY_PICTURE):
                continue
            if self._counting is not None:
                self._look(part, key or kind == KEY_PICTURE, self._counting)
            return

    def _look(self, part: bytes, key: bool, counting: Counting) -> None:
        read = Bits(part[1:SLICE_BYTES])
        try:
            read.short(), read.short(), read.short(), read.number(2 * counting.planes)
            number = read.number(counting.bits)
        except ValueError:
            return
        expected = (self._last, (self._last + 1) % (1 << counting.bits))
        self.gaps += not key and self._last >= 0 and number not in expected
        if part[0] & 0x60 or key or number not in expected:  # others are made from it
            self._last = number


def numbers_of(codec: str, header: bytes | None) -> Numbers | None:
    """What looks at a stream of this codec; None where its pictures carry no numbers that are read here."""
    return Numbers(header or b"") if codec == "h264" else None
