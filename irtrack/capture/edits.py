"""Edit lists of MP4 and MOV files: which parts of the pictures are shown, and when, as after trimming in a player."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from irtrack.capture.boxes import boxes_in, track_of

PAUSE = -1
"""In the place of a time: nothing is shown."""


@dataclass(frozen=True)
class EditList:
    """`whole`: all pictures are shown, in their order. `odd`: it has pauses within or other speeds, which FFmpeg makes
    other pictures of than those that are meant. `parts`: how many parts of the pictures it shows."""

    whole: bool = True
    odd: bool = False
    parts: int = 1


def edit_list(header: bytes, stream: int) -> EditList:
    """Of the track of a number, by the header of the film."""
    track = track_of(header, stream)
    lists, media = boxes_in(track, (b"edts", b"elst")), boxes_in(track, (b"mdia", b"mdhd"))
    films = boxes_in(header, (b"moov", b"mvhd"))
    if not lists or not media or not films:
        return EditList()
    try:
        entries = entries_of(lists[0])
        (rate, length), (film_rate, _) = clock_of(media[0]), clock_of(films[0])
    except struct.error:
        return EditList()
    shown = [i for i, (_, start, _) in enumerate(entries) if start != PAUSE]
    odd = any(entries[i][1] == PAUSE for i in range(shown[0], len(entries) - 1)) if shown else False
    odd |= any(speed != 1 for _, _, speed in entries)
    parts = [entries[i] for i in shown]
    if len(parts) != 1 or odd or not film_rate:
        return EditList(len(parts) == 0, odd, len(parts))
    duration, start, _ = parts[0]
    lacking = length - start - (duration * rate / film_rate if duration else length)
    return EditList(whole=start <= first_shown(track) + rate / 500 and lacking <= rate / 100)


def first_shown(track: bytes) -> int:
    """When the first picture of a track is shown, in units of its media: later than it is decoded where others that
    are decoded behind it come before."""
    shifts = boxes_in(track, (b"mdia", b"minf", b"stbl", b"ctts"))
    return int(struct.unpack_from(">i", shifts[0], 12)[0]) if shifts and len(shifts[0]) >= 16 else 0


def entries_of(body: bytes) -> list[tuple[int, int, float]]:
    """Duration, start and speed of each part."""
    form = ">Qqi" if body[0] else ">Iii"
    (count,) = struct.unpack_from(">I", body, 4)
    step = struct.calcsize(form)
    found = [struct.unpack_from(form, body, 8 + i * step) for i in range(min(count, (len(body) - 8) // step))]
    return [(duration, start, speed / 65536) for duration, start, speed in found]


def clock_of(body: bytes) -> tuple[int, int]:
    """Units a second, and the duration, of a header of the film or of a track's media."""
    rate, length = struct.unpack_from(">IQ" if body[0] else ">II", body, 20 if body[0] else 12)
    return int(rate), int(length)
