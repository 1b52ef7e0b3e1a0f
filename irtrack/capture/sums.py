"""The check sum of FFV1 and Ogg, which FFmpeg takes note of and passes over: a damaged picture looks like any other."""

from __future__ import annotations

import zlib

REVERSED = bytes(int(f"{n:08b}"[::-1], 2) for n in range(256))
TRAILER = 8
"""Bytes behind a slice of FFV1: its length (3), whether it is damaged (1), and its sum (4)."""

MOST_SLICES = 1024


def remainder(code: bytes) -> int:
    """CRC-32 of the polynomial of Ethernet, highest bit first, from 0 on: 0 where a sum stands at the end and is right.

    zlib's runs the other way, and so do its bits.
    """
    return int(f"{zlib.crc32(code.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)


def slices(packet: bytes) -> list[tuple[int, int]]:
    """Where each slice of an FFV1 packet begins and ends, sums included; none where slices have no sums."""
    out: list[tuple[int, int]] = []
    end = len(packet)
    while end >= TRAILER and len(out) < MOST_SLICES:
        start = end - TRAILER - int.from_bytes(packet[end - TRAILER : end - TRAILER + 3], "big")
        if start < 0:
            return []
        out.append((start, end))
        end = start
    return out[::-1] if end == 0 else []


def are_sound(packet: bytes, found: list[tuple[int, int]]) -> bool:
    """Whether every slice of an FFV1 packet, as `slices` finds them, has the sum that it says."""
    return bool(found) and not any(remainder(packet[start:end]) for start, end in found)
