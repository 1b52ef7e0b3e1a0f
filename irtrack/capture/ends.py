"""Whether a file ends before its own structure says it does: players show such files without a word.

Only what the structure promises can be told. Where a bare or a transport stream ends within a picture its decoder tells
(`irtrack.capture.last`); one that was cut between two pictures looks whole.
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from irtrack.capture import tails
from irtrack.capture.boxes import KINDS, MOST_BOXES, top_boxes
from irtrack.capture.headers import gif

UNKNOWN = -1
SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
NUT_INDEX = b"NX" + bytes.fromhex("DD672F23E64E")
MOST_LISTED = 1 << 20
"""Bytes of a list of an MP4 file's fragments."""

RIFF_SLACK = 8
"""Bytes by which lengths in AVI files may be wrong: some writers count the header."""


def end_of(path: Path) -> tuple[str, bool]:
    """Why a video file is not whole, '' where nothing says so; and whether a recorder never wrote its end (killed,
    streamed), so that what is missing is not known. Raises OSError."""
    with path.open("rb") as f:
        size = f.seek(0, 2)
        f.seek(0)
        head = f.read(32)
        reader = next((reader for mark, reader in MARKS.items() if head.startswith(mark)), None)
        if reader is not None:
            found = reader(f, size)
            return ("", True) if found == tails.UNENDED else (found, False)
        return ends_early(f, head, size), never_ended(f, head, size)


def ends_early(f: BinaryIO, head: bytes, size: int) -> str:
    """Why a file of the other kinds is not whole. `f`: behind its first bytes, `head`."""
    if head[:4] == b"RIFF":
        return riff(f, size)
    if head[4:8] in KINDS:
        return boxes(f, size)
    if head[:4] == b"\x1aE\xdf\xa3":
        return matroska(f, size)
    if head.startswith(b"nut/multimedia container"):
        return nut(f, size)
    if head.startswith(b"YUV4MPEG2 "):
        return y4m(f, size)
    if head[:3] == b"GIF":
        return "" if gif(head + f.read()).whole else "its end mark is missing"
    if step := transport(f):
        return "its last packet is not whole" if size % step else ""
    return ""


MARKS = {
    b"FLV\x01": tails.flv, b"OggS": tails.ogg, tails.ASF: tails.asf, tails.IVF: tails.ivf, tails.KLV: tails.mxf,
    tails.DV: tails.dv, tails.SWF: tails.swf,
    tails.REAL: tails.real_media, tails.ROQ: tails.roq,
}  # fmt: skip
"""First bytes of some kinds of files, and who knows their ends."""


def riff(f: BinaryIO, size: int) -> str:
    """AVI: RIFF chunks one behind the other, each with its length."""
    at = 0
    while at + 8 <= size:
        f.seek(at)
        kind, length = struct.unpack("<4sI", f.read(8))
        if kind != b"RIFF" or not length:  # 0: never filled in
            break
        inside = at + 12
        while inside + 8 <= min(at + length, size):
            f.seek(inside)
            kind, part = struct.unpack("<4sI", f.read(8))
            if kind == b"\0\0\0\0":  # a power cut
                return "its end was never written"
            inside += 8 + part + (part & 1)
        at += 8 + length + (length & 1)
    return "it ends within its data" if at > size + RIFF_SLACK else ""


def boxes(f: BinaryIO, size: int) -> str:
    """MP4 and MOV: boxes one behind the other."""
    end = 0
    announced = False
    for kind, at, length in top_boxes(f, size):
        if length < 8:  # 0: up to the end
            return ""
        announced = kind == b"moof" or (announced and kind != b"mdat")
        end = max(end, at + length, listed(f, at, length) if kind == b"sidx" else 0)
    f.seek(min(end, size))
    whole = end <= size and not announced and not f.read(8).strip(b"\0")
    return "" if whole else "it ends within its data"


def listed(f: BinaryIO, at: int, length: int) -> int:
    """Where the fragments end that a `sidx` box of an MP4 file lists."""
    f.seek(at + 8)
    body = f.read(min(length - 8, MOST_LISTED))
    wide = 8 if body[:1] == b"\1" else 4
    first, count = 12 + wide, 12 + 2 * wide + 2
    sizes = np.frombuffer(body[count + 2 :][: 12 * int.from_bytes(body[count : count + 2], "big")], ">u4")[::3]
    return at + length + int.from_bytes(body[first : first + wide], "big") + int((sizes & 0x7FFFFFFF).sum())


def cut_fragment(path: Path) -> int:
    """Where the fragment begins in whose header an MP4 file ends; 0 where it does not. Raises OSError."""
    with path.open("rb") as f:
        size = f.seek(0, 2)
        last = max(top_boxes(f, size), key=lambda box: box[1], default=(b"", 0, 0))
    return last[1] if last[0] == b"moof" and last[1] + last[2] > size else 0


def never_ended(f: BinaryIO, head: bytes, size: int) -> bool:
    """Whether the header of a file of the other kinds lacks what is written at its end."""
    if head[:4] == b"RIFF":
        return head[4:8] == b"\0\0\0\0"
    top = element(f, 0, size) if head[:4] == b"\x1aE\xdf\xa3" else None
    segment = element(f, top[1] + top[2], size) if top is not None and top[2] != UNKNOWN else None
    return segment is not None and segment[0] == SEGMENT and segment[2] == UNKNOWN


def element(f: BinaryIO, at: int, size: int) -> tuple[int, int, int] | None:
    """Of an EBML element: kind, where its body begins, and its length (UNKNOWN); None where there is none whole."""
    f.seek(at)
    head = f.read(12)
    if not head or at >= size:
        return None
    width = 9 - head[0].bit_length() if head[0] else 9
    if width > 4 or len(head) <= width:
        return None
    kind = int.from_bytes(head[:width], "big")
    first = head[width]
    wide = 9 - first.bit_length() if first else 9
    if wide > 8 or len(head) < width + wide:
        return None
    length = int.from_bytes(head[width : width + wide], "big") & (1 << 7 * wide) - 1
    return kind, at + width + wide, UNKNOWN if length == (1 << 7 * wide) - 1 else length


def matroska(f: BinaryIO, size: int) -> str:
    """Matroska and WebM: a segment of known length, or elements that must fit."""
    at = 0
    for _ in range(MOST_BOXES):
        found = element(f, at, size)
        if found is None:
            return "" if at == size else "it ends within its data"
        kind, body, length = found
        if length == UNKNOWN:
            if kind not in (SEGMENT, CLUSTER):
                return ""
            at = body  # look inside
            continue
        if body + length > size:
            return "it ends within its data"
        at = body if kind == SEGMENT else body + length  # a power cut leaves zeros in a segment of the right length
    return ""


def nut(f: BinaryIO, size: int) -> str:
    """NUT: FFmpeg ends such files with an index."""
    f.seek(max(0, size - (1 << 20)))
    return "" if NUT_INDEX in f.read() else "its index is missing: it was cut or not finished"


def lost_places(path: Path) -> int:
    """At how many places packets of the film are missing in a transport stream, by the counter that they carry."""
    with path.open("rb") as f:
        if not (step := transport(f)):
            return 0
        f.seek(0)
        counters: dict[int, list[NDArray[np.uint8]]] = defaultdict(list)
        while code := f.read(step << 12):
            packets = np.frombuffer(code[: len(code) // step * step], np.uint8).reshape(-1, step)[:, step - 188 :]
            packets = packets[(packets[:, 0] == ord("G")) & (packets[:, 3] & 0x10 > 0)]  # those with a payload
            kinds = (packets[:, 1].astype(np.uint16) & 0x1F) << 8 | packets[:, 2]
            for kind in np.unique(kinds).tolist():
                found = packets[kinds == kind]
                meant = (found[:, 3] & 0x20 > 0) & (found[:, 4] > 0) & (found[:, 5] & 0x80 > 0)  # a break that is said
                counters[kind].append(found[:, 3] & 15 | meant << 7)
    counters.pop(0x1FFF, None)  # stuffing
    if not counters:
        return 0
    film = max((np.concatenate(found) for found in counters.values()), key=len)
    return int(((np.diff(film & 15) & 15 > 1) & (film[1:] & 0x8F > 0) & (film[1:] < 0x80)).sum())  # 0: joined on


CHROMA = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "411": (4, 1), "mono": (0, 0)}
"""Of the colours of Y4M pictures: how many pixels across and down share one; 0: there are none."""


def y4m(f: BinaryIO, size: int) -> str:
    """Y4M: a line for each picture, and its bytes."""
    f.seek(0)
    words = f.readline(4096).decode("latin-1").split()
    sides = [int(w[1:]) for key in "WH" for w in words if w[0] == key and w[1:].isdecimal()]
    kind = next((w[1:] for w in words if w[0] == "C"), "420")
    shared = next((CHROMA[name] for name in CHROMA if kind.startswith(name)), None)
    if len(sides) != 2 or shared is None or kind.startswith("444alpha"):
        return ""
    width, height = sides
    pixels = width * height
    if shared[0]:
        pixels += 2 * -(-width // shared[0]) * -(-height // shared[1])
    deep = re.search(r"(?:p|mono)(9|1\d)$", kind) is not None
    for _ in range(MOST_BOXES):
        line = f.readline(4096)
        if not line:
            return ""
        if f.seek(pixels * (1 + deep), 1) > size:
            return "its last picture is not whole"
    return ""


def transport(f: BinaryIO) -> int:
    """Bytes from one packet to the next of an MPEG transport stream, plain or with times (M2TS); 0 for others."""
    for step in (188, 192):
        f.seek(step - 188)
        head = f.read(2 * step + 1)
        if len(head) > 2 * step and head[0] == head[step] == head[2 * step] == ord("G"):
            return step
    return 0
