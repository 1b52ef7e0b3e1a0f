"""What the first bytes of image files say: size, whether they move, how they are to be turned, whether they end early.

Sizes are looked at before anything is decoded, since a file of a hundred bytes can ask for gigabytes.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from irtrack.capture.ifd import ORIENTATION, BrokenDirectory, Directories

PNG, JPEG, TIFF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
JP2 = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Markers of a JPEG (and JPEG-LS) that give its size."""


def jpeg_segments(code: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment up to the picture's data."""
    at = 2
    while at + 4 <= len(code) and code[at] == 0xFF:
        marker = code[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        (length,) = struct.unpack_from(">H", code, at + 2)
        yield marker, code[at + 4 : at + 2 + length]
        if marker == 0xDA:
            return
        at += 2 + max(length, 2)


def png_chunks(code: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and body of each chunk."""
    at = 8
    while at + 8 <= len(code):
        length, kind = struct.unpack_from(">I4s", code, at)
        yield kind, code[at + 8 : at + 8 + length]
        at += 12 + length


def webp_chunks(code: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and body of each chunk."""
    at = 12
    while at + 8 <= len(code):
        kind, length = struct.unpack_from("<4sI", code, at)
        yield kind, code[at + 8 : at + 8 + length]
        at += 8 + length + (length & 1)


def is_webp(code: bytes) -> bool:
    """Whether these are the first bytes of a WebP file."""
    return code[:4] == b"RIFF" and code[8:12] == b"WEBP"


def size_of(code: bytes) -> tuple[int, int] | None:
    """Width and height that an image file declares; None where its kind is not known here."""
    try:
        if code.startswith(PNG):
            return struct.unpack_from(">II", code, 16)
        if code.startswith(JPEG):
            body = next((body for marker, body in jpeg_segments(code) if marker in FRAME_HEADERS), None)
            return struct.unpack_from(">HH", body, 1)[::-1] if body else None
        if code[:3] == b"GIF":
            return struct.unpack_from("<HH", code, 6)
        if code[:2] == b"BM":
            width, height = struct.unpack_from("<ii", code, 18)
            return abs(width), abs(height)
        if is_webp(code):
            return webp_size(code)
        if code.startswith(JP2):
            at = code.find(b"\xff\x4f\xff\x51")
            right, bottom, left, top = struct.unpack_from(">IIII", code, at + 8) if at >= 0 else (0, 0, 0, 0)
            return right - left, bottom - top
        if re.match(rb"P[1-7]\s", code):
            return netpbm_size(code)
    except struct.error:
        pass
    return None


def webp_size(code: bytes) -> tuple[int, int] | None:
    """Of the canvas, or of the only picture."""
    for kind, body in webp_chunks(code):
        if kind == b"VP8X":
            return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        if kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", body, 1)
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", body, 6)
            return width & 0x3FFF, height & 0x3FFF
    return None


def netpbm_size(code: bytes) -> tuple[int, int] | None:
    """Of PBM, PGM, PPM and PAM files, with comments."""
    head = re.sub(rb"#[^\n]*", b"", code[:4096])
    if head.startswith(b"P7"):
        found = [re.search(key + rb"\s+(\d{1,9})", head) for key in (b"WIDTH", b"HEIGHT")]
        return (int(found[0][1]), int(found[1][1])) if found[0] and found[1] else None
    match = re.match(rb"P\d\s+(\d{1,9})\s+(\d{1,9})", head)
    return (int(match[1]), int(match[2])) if match else None


def pictures_of(code: bytes) -> int:
    """Pictures in a GIF, an animated PNG or WebP; 1 for every other kind."""
    if code.startswith(PNG):
        for kind, body in png_chunks(code):
            if kind == b"acTL" and len(body) >= 4:
                return max(1, int(struct.unpack_from(">I", body)[0]))
            if kind == b"IDAT":
                break
    elif is_webp(code):
        return max(1, sum(kind == b"ANMF" for kind, _ in webp_chunks(code)))
    elif code[:3] == b"GIF":
        return max(1, gif(code).pictures)
    return 1


def webp_times(code: bytes) -> list[float] | None:
    """Seconds at which the pictures of an animated WebP are shown; None where it has no times."""
    spans = [int.from_bytes(body[12:15], "little") / 1000 for kind, body in webp_chunks(code) if kind == b"ANMF"]
    return [sum(spans[:i]) for i in range(len(spans))] if all(spans) else None


class Gif(NamedTuple):
    """What blocks a GIF has: pictures, those with a time, and whether it goes on to its end mark."""

    pictures: int
    timed: int
    whole: bool


def gif(code: bytes) -> Gif:
    """Walks over the blocks of a GIF, up to where it ends or breaks."""
    flags = code[10] if len(code) > 12 else 0
    at, count, timed = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0), 0, 0
    while at < len(code):
        if code[at] == 0x3B:
            return Gif(count, timed, True)
        if code[at] == 0x21:
            timed += code[at + 1 : at + 2] == b"\xf9"
            at += 2
        elif code[at] == 0x2C and at + 10 < len(code):
            count += 1
            local = code[at + 9]
            at += 10 + (3 << (local & 7) + 1 if local & 0x80 else 0) + 1
        else:
            break
        while at < len(code) and code[at]:  # blocks of data, each behind its length
            at += 1 + code[at]
        at += 1
    return Gif(count, timed, False)


def orientation_of(code: bytes) -> int:
    """How EXIF says the picture is to be turned, 1 to 8; 1 where it says nothing."""
    exif = b""
    if code.startswith(JPEG):
        exif = next((b[6:] for m, b in jpeg_segments(code) if m == 0xE1 and b.startswith(b"Exif\0\0")), b"")
    elif code.startswith(PNG):
        exif = next((body for kind, body in png_chunks(code) if kind == b"eXIf"), b"")
    elif is_webp(code):
        exif = next((body for kind, body in webp_chunks(code) if kind == b"EXIF"), b"").removeprefix(b"Exif\0\0")
    if not exif:
        return 1
    try:
        found = Directories(io.BytesIO(exif))
        return found.number(found.at(found.first), ORIENTATION, 1)
    except (BrokenDirectory, struct.error):
        return 1


def ends_early(code: bytes) -> bool:
    """Whether a file lacks its end, where its kind says what that is: decoders fill up what is missing with grey."""
    if code.startswith(PNG):
        return not any(kind == b"IEND" for kind, _ in png_chunks(code)) or len(code) < code.rfind(b"IEND") + 8
    if code.startswith(JPEG):
        data = code.find(next((body for marker, body in jpeg_segments(code) if marker == 0xDA), b"\xff\xda"))
        return data < 0 or code.find(b"\xff\xd9", data) < 0
    if code[:3] == b"GIF":
        return not gif(code).whole
    if is_webp(code):
        return len(code) < int(struct.unpack_from("<I", code, 4)[0]) + 8 - 1
    if code[:2] == b"BM" and len(code) >= 34:
        first, _, width, height, _, bits, packing = struct.unpack_from("<IIiiHHI", code, 10)
        return packing == 0 and len(code) < first + (width * bits + 31) // 32 * 4 * abs(height)
    return False


def is_spoilt(code: bytes) -> bool:
    """Whether a part of a PNG that the picture needs has another sum than it says."""
    if not code.startswith(PNG):
        return False
    at = 8
    while at + 12 <= len(code):
        length, kind = struct.unpack_from(">I4s", code, at)
        end = at + 8 + length
        needed = not kind[0] & 0x20
        if needed and zlib.crc32(memoryview(code)[at + 4 : end]) != int.from_bytes(code[end : end + 4], "big"):
            return True
        at = end + 4
    return False
