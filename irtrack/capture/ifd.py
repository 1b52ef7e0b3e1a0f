"""Directories of TIFF files (also inside EXIF): which there are and what their entries say, without any pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

SUBFILE, OLD_SUBFILE, BITS, COMPRESSION, DESCRIPTION, ORIENTATION, SUB_IFDS = 254, 255, 258, 259, 270, 274, 330
METAMORPH = 33629
"""UIC2: a MetaMorph stack has one directory for all its planes, and here three fractions for each of them. The count
of the entry is that of planes."""
WANTED = frozenset({METAMORPH, SUBFILE, OLD_SUBFILE, BITS, COMPRESSION, DESCRIPTION, ORIENTATION, SUB_IFDS})
"""Tags that are kept: a recording may have a hundred thousand pages."""

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
WHOLE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Types of whole numbers from 0 on, as struct names them."""

MOST_ENTRIES, MOST_PLANES, LONGEST = 4096, 1_000_000, 64 << 20


class BrokenDirectory(Exception):
    """A directory lies outside the file, or is none."""


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory: where it lies, where the next one does (0: nowhere), entries as tag: (type, count, place)."""

    at: int
    next: int
    entries: dict[int, tuple[int, int, int]]


class Directories:
    """The directories of an open TIFF file, classic or Big."""

    def __init__(self, file: BinaryIO) -> None:
        """Reads the header. Raises BrokenDirectory where there is none."""
        self._file = file
        self.size = file.seek(0, 2)
        self.cut = False
        """Whether the value of an entry goes on behind the end of the file."""
        head = self._read(0, min(16, self.size))
        self._order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        if not self._order or len(head) < 8:
            raise BrokenDirectory("no TIFF header")
        (version,) = struct.unpack_from(self._order + "H", head, 2)
        self._big = version == 43
        if version not in (42, 43) or (self._big and len(head) < 16):
            raise BrokenDirectory(f"version {version} is not known")
        self.first: int = struct.unpack_from(self._order + ("Q" if self._big else "I"), head, 8 if self._big else 4)[0]

    def _read(self, at: int, length: int) -> bytes:
        """Bytes of the file. Raises BrokenDirectory where they lie outside."""
        if at + length > self.size or length > LONGEST:
            raise BrokenDirectory(f"{length} bytes at {at} lie outside the file")
        self._file.seek(at)
        found = self._file.read(length)
        if len(found) < length:
            raise BrokenDirectory("the file was cut while it was read")
        return found

    def at(self, place: int) -> Directory:
        """The directory at a place. Raises BrokenDirectory."""
        short, form, head, word = ("Q", "HHQQ", 8, 8) if self._big else ("H", "HHII", 2, 4)
        (count,) = struct.unpack(self._order + short, self._read(place, head))
        if not 0 < count <= MOST_ENTRIES:
            raise BrokenDirectory(f"{count} entries at {place}")
        entry = 4 + 2 * word
        table = self._read(place + head, count * entry + word)
        entries: dict[int, tuple[int, int, int]] = {}
        for i, (tag, kind, number, value) in enumerate(struct.iter_unpack(self._order + form, table[: count * entry])):
            inside = SIZES.get(kind, 1) * number <= word  # small values stand in the entry itself
            length = SIZES.get(kind, 1) * number
            self.cut |= not inside and value <= self.size < value + length <= self.size + LONGEST
            if tag in WANTED:
                entries[tag] = (kind, number, place + head + i * entry + 4 + word if inside else value)
        (following,) = struct.unpack(self._order + form[-1], table[count * entry :])
        return Directory(place, following, entries)

    def chain(self) -> tuple[list[Directory], str]:
        """All directories from the first on, and what broke the chain ('' where nothing did)."""
        out: list[Directory] = []
        seen: set[int] = set()
        place = self.first
        try:
            while place:
                if place in seen:
                    raise BrokenDirectory("its pages go round in a circle")
                seen.add(place)
                out.append(self.at(place))
                place = out[-1].next
        except BrokenDirectory as error:
            return out, str(error)
        return out, "its end is missing" if self.cut else ""

    def numbers(self, directory: Directory, tag: int, most: int = 1024) -> list[int]:
        """Whole numbers of an entry, at most `most`; none where it is missing, of another type or outside the file."""
        kind, count, place = directory.entries.get(tag, (0, 0, 0))
        if kind not in WHOLE or not count:
            return []
        count = min(count, most)
        try:
            return list(struct.unpack(f"{self._order}{count}{WHOLE[kind]}", self._read(place, count * SIZES[kind])))
        except BrokenDirectory:
            return []

    def number(self, directory: Directory, tag: int, default: int = 0) -> int:
        """The first number of an entry."""
        return next(iter(self.numbers(directory, tag, 1)), default)

    def rationals(self, directory: Directory, tag: int) -> list[tuple[int, int]]:
        """Pairs of whole numbers of MetaMorph's entry; none where it is missing or outside the file."""
        kind, count, place = directory.entries.get(tag, (0, 0, 0))
        if kind != 5 or not 0 < count <= MOST_PLANES:
            return []
        try:
            return list(struct.iter_unpack(f"{self._order}II", self._read(place, 24 * count)))
        except BrokenDirectory:
            return []

    def text(self, directory: Directory, tag: int) -> str:
        """Text of an entry, '' where there is none."""
        kind, count, place = directory.entries.get(tag, (0, 0, 0))
        if kind not in (1, 2, 7) or not count:
            return ""
        try:
            return self._read(place, count).split(b"\0")[0].decode("utf-8", "replace")
        except BrokenDirectory:
            return ""

    def reduced(self, directory: Directory) -> bool:
        """Whether it is a smaller copy (thumbnail, preview, level of a pyramid) or a mask of another picture."""
        return bool(self.number(directory, SUBFILE) & 5) or self.number(directory, OLD_SUBFILE) == 2
