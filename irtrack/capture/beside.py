"""What stands in an image file beside the picture that is shown: further pictures, a thermal camera's raw counts."""

from __future__ import annotations

import re

from irtrack.capture.headers import JPEG, PNG, jpeg_segments, png_chunks

KNOWN = (b"JFIF", b"JFXX", b"Exif", b"http://", b"ICC_PROFILE", b"MPF", b"FPXR", b"Photoshop", b"Adobe", b"Ducky",
         b"JP", b"AVI1")  # fmt: skip
"""How segments of a JPEG begin that say something of the picture itself."""

LUMP = 16 << 10
"""So many bytes that no program for pictures knows are data of the camera: the counts of 90 x 90 pixels."""

NETPBM = (".pgm", ".pnm", ".ppm", ".pbm")

SAMPLES = {b"P4": (1, 8), b"P5": (1, 1), b"P6": (3, 1)}
"""Of netpbm files in bytes: samples in each so many pixels."""

HEAD = rb"P\d(?:(?:\s|#[^\n]*\n)+\d+){%d}\s"


def netpbm_head(code: bytes, at: int = 0) -> tuple[list[int], int] | None:
    """Width, height and, but of PBM, the highest count of the picture that begins there, and how long its header is."""
    head = re.match(HEAD % (2 if code[at : at + 2] == b"P4" else 3), code[at : at + 4096])
    if head is None:
        return None
    return [int(n) for n in re.findall(rb"\d+", re.sub(rb"#[^\n]*\n", b" ", head[0][2:]))], head.end()


def netpbm_pictures(code: bytes) -> list[bytes]:
    """The pictures of a PBM, PGM or PPM file in bytes, which may hold several, each with its header; the last may be
    cut. Of other kinds all of it."""
    out: list[bytes] = []
    at = 0
    while (kind := code[at : at + 2]) in SAMPLES:
        head = netpbm_head(code, at)
        if head is None:
            break
        (width, height, *highest), length = head
        samples, shared = SAMPLES[kind]
        size = -(-width // shared) * height * samples * (2 if highest and highest[0] > 255 else 1)
        end = at + length + size
        out.append(code[at:end])
        at = end
        while code[at : at + 1].isspace():
            at += 1
    return out or [code]


def highest_of(code: bytes) -> int:
    """The highest count that a PGM or PPM file in bytes says it has; 0 of other kinds."""
    head = netpbm_head(code) if code[:2] in (b"P5", b"P6") else None
    return head[0][2] if head else 0


def end_of(code: bytes) -> int:
    """Where the picture ends in a JPEG, PNG or BMP file; its length where that is not known."""
    if code.startswith(JPEG):
        scan = next((body for marker, body in jpeg_segments(code) if marker == 0xDA), None)
        end = code.find(b"\xff\xd9", code.find(scan)) if scan else -1
        return end + 2 if end >= 0 else len(code)
    if code.startswith(PNG):
        at = 8
        for kind, body in png_chunks(code):
            at += 12 + len(body)
            if kind == b"IEND":
                break
        return min(at, len(code))
    if code[:2] == b"BM" and len(code) > 26:
        return min(len(code), int.from_bytes(code[2:6], "little") or len(code))
    return len(code)


def lump_of(code: bytes) -> int:
    """Bytes in the segments of a JPEG that say nothing of its picture."""
    if not code.startswith(JPEG):
        return 0
    return sum(len(body) for kind, body in jpeg_segments(code) if 0xE1 <= kind <= 0xEF and not body.startswith(KNOWN))


def beside(code: bytes) -> str:
    """What an image file holds that is not looked at, as the end of a sentence; '' where there is nothing of note."""
    behind = code[end_of(code) :].lstrip(b"\0")
    if behind.startswith(JPEG if code.startswith(JPEG) else PNG if code.startswith(PNG) else b"BM"):
        return "further pictures stand behind the first in the file, and are not read"
    lump = lump_of(code)
    unknown = behind if len(behind) >= LUMP and b"ftyp" not in behind[:64] else b""  # a phone's film
    if lump + len(unknown) < LUMP:
        return ""
    return (
        f"{(lump + len(unknown)) >> 10} kB of a camera's own data stand beside the picture, as thermal cameras keep "
        "their raw counts: only the picture is read"
    )
