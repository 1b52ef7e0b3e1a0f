"""Whether FLV, Ogg, ASF (WMV), IVF, MXF, SWF, DV, RealMedia and RoQ files end before their structure says, and what
stands behind it.

As in `irtrack.capture.ends`, which asks here: '' where nothing says that a file is cut.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from irtrack.capture.boxes import MOST_BOXES, top_boxes
from irtrack.capture.sums import remainder

ASF = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
ASF_FILE = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
KLV = bytes.fromhex("060E2B34")
PARTITION = bytes.fromhex("060E2B34020501010D01020101")
FOOTER = 4
NUT = b"nut/multimedia container\0"
IVF = b"DKIF\0\0"
SWF = b"FWS"
REAL, ROQ = b".RMF", b"\x84\x10\xff\xff\xff\xff"
DV, DV_BYTES, DV_PAL_BYTES = b"\x1f\x07\x00", 120_000, 144_000

WITHIN, UNENDED = "it ends within its data", "its end was never written"
DAMAGE = "parts of it do not follow each other as they should"
MISSING_MS = 1000
"""Times of an FLV may end so much before the length that it says, or a fiftieth of that."""


def flv_tags(f: BinaryIO, size: int) -> Iterator[tuple[int, int, int, int]]:
    """Place, kind, length and time in ms of the tags of an FLV file, up to what is no tag."""
    f.seek(5)
    at = int.from_bytes(f.read(4), "big") + 4
    while at + 11 <= size:
        f.seek(at)
        head = f.read(11)
        if head[0] & 0xDF not in (8, 9, 18) or head[:1] == b"\0":
            return
        length = int.from_bytes(head[1:4], "big")
        yield at, head[0] & 31, length, head[7] << 24 | int.from_bytes(head[4:7], "big")
        at += 11 + length + 4


def flv(f: BinaryIO, size: int) -> str:
    """FLV: tags that must fit, and the length that its first one says."""
    end, last, script = 13, 0, b""
    for at, kind, length, time in flv_tags(f, size):
        if at + 11 + length > size:
            return WITHIN
        if kind == 18 and not script:
            f.seek(at + 11)
            script = f.read(length)
        end, last = at + 11 + length + 4, max(last, time)
    f.seek(end)
    if (behind := f.read(11)) and behind[:3] != b"FLV":
        return DAMAGE if len(behind) == 11 else WITHIN
    whole, length_ms = amf_number(script, b"filesize"), 1000 * amf_number(script, b"duration")
    lacking = length_ms - last > max(MISSING_MS, length_ms / 50) if not whole else whole > size
    return "it says that it is longer" if lacking else ""


def amf_number(script: bytes, key: bytes) -> float:
    """A number in the first tag of an FLV, 0 where it is not there."""
    at = script.find(struct.pack(">H", len(key)) + key + b"\0")
    place = at + 3 + len(key)
    return float(struct.unpack_from(">d", script, place)[0]) if at >= 0 and place + 8 <= len(script) else 0.0


def ogg(f: BinaryIO, size: int) -> str:
    """Ogg: pages, each with its number and sum, and a mark on the last of each stream."""
    at = 0
    ended: dict[bytes, bool] = {}
    numbers: dict[bytes, int] = {}
    while at < size:
        f.seek(at)
        head = f.read(27)
        sizes = f.read(head[26]) if len(head) == 27 else b""
        length = 27 + len(sizes) + sum(sizes)
        if head[:4] != b"OggS" or at + length > size:
            return WITHIN if head[:4] == b"OggS" else DAMAGE
        body = f.read(sum(sizes))
        stream, number = head[14:18], int.from_bytes(head[18:22], "little")
        sum_said = int.from_bytes(head[22:26], "little")
        spoilt = remainder(head[:22] + bytes(4) + head[26:] + sizes + body) != sum_said
        if spoilt or number != numbers.get(stream, -1) + 1:
            return DAMAGE
        numbers[stream], ended[stream] = (-1 if head[5] & 4 else number), bool(head[5] & 4)
        at += length
    return "" if all(ended.values()) else UNENDED


def asf_size(f: BinaryIO) -> int:
    """Bytes that an ASF (WMV) file says it has; 0 where it does not say."""
    f.seek(0)
    code = f.read(1 << 16)
    at = code.find(ASF_FILE)
    if at < 0 or len(code) < at + 92 or code[at + 88] & 1:  # a broadcast, whose length nobody knew
        return 0
    return int(struct.unpack_from("<Q", code, at + 40)[0])


def asf(f: BinaryIO, size: int) -> str:
    """ASF: its own size."""
    said = asf_size(f)
    return "it says that it is longer" if said > size else ""


def ivf_frames(f: BinaryIO, size: int) -> tuple[int, int, int]:
    """Where the frames of an IVF file end, or should (behind its end where it is cut), their number, and the time of
    the last."""
    f.seek(6)
    at, count, last = int.from_bytes(f.read(2), "little"), 0, 0
    while at + 12 <= size:
        f.seek(at)
        head = f.read(12)
        if head.startswith(IVF):
            break
        at += 12 + int.from_bytes(head[:4], "little")
        count, last = count + 1, int.from_bytes(head[4:], "little")
    return at if at + 12 <= size or at == size else max(at, size + 1), count, last


def ivf(f: BinaryIO, size: int) -> str:
    """IVF: frames that must fit, as many or up to the time that its header says, whichever it means."""
    f.seek(24)
    said = int.from_bytes(f.read(4), "little")
    end, count, last = ivf_frames(f, size)
    if end > size:
        return WITHIN
    step = last / max(1, count - 1)
    return "it says that it is longer" if max(count, last + 1.5 * step) < said < 0xFFFFFFFF else ""


def mxf(f: BinaryIO, size: int) -> str:
    """MXF: keys and lengths that must fit, and a partition for the end."""
    at, footer = 0, False
    for _ in range(MOST_BOXES):
        f.seek(at)
        head = f.read(25)
        if len(head) < 17 or not head.startswith(KLV):
            break
        footer |= head.startswith(PARTITION) and head[13] == FOOTER
        wide = head[16] & 0x7F if head[16] & 0x80 else 0
        length = int.from_bytes(head[17 : 17 + wide], "big") if wide else head[16]
        at += 17 + wide + length
    return WITHIN if at > size or size - at in range(1, 17) else "" if footer else UNENDED


def swf(f: BinaryIO, size: int) -> str:
    """Flash: its own size."""
    f.seek(4)
    return "it says that it is longer" if int.from_bytes(f.read(4), "little") > size else ""


def dv(f: BinaryIO, size: int) -> str:
    """Raw DV: pictures of one size."""
    f.seek(3)
    return "its last picture is not whole" if size % (DV_PAL_BYTES if f.read(1)[0] & 0x80 else DV_BYTES) else ""


def real_media(f: BinaryIO, size: int) -> str:
    """RealMedia: as many packets as its data says there are. Its lengths in bytes are often wrong."""
    at = 0
    while at + 18 <= size:
        f.seek(at)
        head = f.read(18)
        kind, length = head[:4], int.from_bytes(head[4:8], "big")
        if kind == b"DATA":
            return real_packets(f, at + 18, int.from_bytes(head[10:14], "big"), size)
        if length < 8:
            return ""
        at += length
    return WITHIN


def real_packets(f: BinaryIO, at: int, count: int, size: int) -> str:
    """Packets of RealMedia from a place on, each with its length."""
    for _ in range(count):
        f.seek(at)
        version, length = struct.unpack(">HH", f.read(4).ljust(4, b"\0"))
        if at + 12 <= size and (version > 1 or length < 12):
            return ""  # a packet longer than its length can say
        at += length
        if at > size or not length:
            return WITHIN
    return ""


def roq(f: BinaryIO, size: int) -> str:
    """RoQ: chunks that must fit."""
    at = 8
    while at < size:
        f.seek(at + 2)
        at += 8 + int.from_bytes(f.read(4), "little")
    return WITHIN if at > size else ""


def second_recording(path: Path) -> int:
    """Where another recording begins behind the first in a file (files that were put together), 0 where none does: of
    these kinds FFmpeg reads the first alone, or mixes both. Raises OSError."""
    with path.open("rb") as f:
        head, size = f.read(16), f.seek(0, 2)
        at = 0
        if head[4:8] == b"ftyp":
            found = list(top_boxes(f, size))
            begun = [p for kind, p, _ in found if kind == b"ftyp"][1:] or [p for k, p, _ in found if k == b"moov"][1:]
            at = begun[0] if begun else 0
        elif head.startswith(b"FLV\x01"):
            at = max((p + 15 + length for p, _, length, _ in flv_tags(f, size)), default=0)
            f.seek(at)
            at = at if f.read(4) == head[:4] else 0
        elif head == ASF:
            at = asf_size(f)
            f.seek(at)
            at = at if f.read(16) == ASF else 0
        elif head.startswith(IVF):
            at = ivf_frames(f, size)[0]
        elif NUT.startswith(head):
            with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as code:
                at = code.find(NUT, 1)
        return at if 0 < at < size else 0
