"""The index of a video stream: which packet holds which frame, and when it is shown.

A frame's number is its place in the order of presentation. Where packets have true presentation times that order
follows from them (`timed`), and each packet can be told before it is decoded. Bare streams and AVI files with
reordered pictures have no such times: there the decoder's output is counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from av.packet import PacketSideData

from irtrack.capture.numbers import numbers_of

FORMATS_WITHOUT_TIMES = frozenset(
    {"h264", "hevc", "vvc", "mjpeg", "mjpeg_2000", "m4v", "mpegvideo", "h263", "h261", "cavsvideo", "avs2", "avs3",
     "dirac", "dnxhd", "vc1", "obu", "mpjpeg", "rawvideo"}
)  # fmt: skip
"""FFmpeg's names of bare streams, whose times its demuxers invent."""

JPEGS = ("mjpeg", "ljpeg", "jpegls")
"""Codecs whose pictures are JPEGs."""

JUMP_STEPS = 3
"""Steps by which times fall at least where a new recording begins; less is a key frame out of its order."""


@dataclass
class Index:
    """Packets of a stream in the file's order, by number; frames in the order of presentation.

    `frame_of`: frame of a packet (-1: none of its own); `packet_of`: packet of a frame; `ticks`: presentation time of a
    frame, None for bare streams; `keys`: packets from which decoding can start.
    """

    timed: bool
    frame_of: list[int] = field(repr=False)
    packet_of: list[int] = field(repr=False)
    ticks: list[int] | None = field(repr=False)
    keys: list[int] = field(repr=False)
    packet_at: dict[int, int] = field(repr=False)
    """Packet of a presentation time, where each has its own; else empty."""
    before_key: int = 0
    """Packets before the first from which decoding can start."""
    problem: str = ""
    """What ended the file's packets early."""
    hidden: int = 0
    """Packets whose picture is never shown."""

    last: bytes = field(default=b"", repr=False)
    """The end of the last packet."""
    largest: int = 0
    """Bytes of the largest packet."""
    unended: frozenset[int] = frozenset()
    """Packets of JPEGs that lack the mark of their end, where most have it: the decoder fills them up with grey."""
    gaps: int = 0
    """Places at which pictures are missing that others are made from."""
    palettes: list[tuple[int, PacketSideData]] = field(default_factory=list, repr=False)
    """Colours of pictures by palette, from a packet on. Demuxers hand each over once, not again after seeking."""

    def __post_init__(self) -> None:
        self.key_set = frozenset(self.keys)
        self._time_of = {number: time for time, number in self.packet_at.items()}

    @property
    def frames(self) -> int:
        """How many frames there should be."""
        return len(self.packet_of)

    def palette_at(self, packet: int) -> PacketSideData | None:
        """The palette by which a packet's picture is coloured, where it has one."""
        at = bisect_right(self.palettes, packet, key=lambda entry: entry[0]) - 1
        return self.palettes[at][1] if at >= 0 else None

    def time_of(self, packet: int) -> int | None:
        """By which a demuxer finds a packet; None where that is not certain."""
        return self._time_of.get(packet)

    def key_before(self, frame: int) -> int:
        """The packet from which to decode so that `frame` comes out: a key frame at or before it in both orders."""
        at = bisect_right(self.keys, self.packet_of[frame]) - 1
        while at > 0 and self.frame_of[self.keys[at]] > frame:
            at -= 1
        return self.keys[at] if at >= 0 else 0


def stamp(packet: av.Packet[Any]) -> int | None:
    """Presentation time of a packet, or its decoding time where it has none."""
    return packet.pts if packet.pts is not None else packet.dts


def is_hidden(codec: str, packet: av.Packet[Any]) -> bool:
    """Whether its picture is never shown, though others may refer to it: edit lists leave some out, VP8 has some."""
    return bool(packet.is_discard) or (codec == "vp8" and not bytes(packet)[:1][0] & 0x10)


def has_end(packet: av.Packet[Any]) -> bool:
    """Whether a packet of a JPEG ends with its mark, before zeros that fill it up; so many zeros say nothing."""
    tail = bytes(memoryview(packet)[-64:]).rstrip(b"\0")
    return not tail or b"\xff\xd9" in tail[-8:]


def make_index(
    packets: Iterable[av.Packet[Any]],
    codec: str,
    format_name: str,
    reorders: bool,
    may_reorder: bool = True,
    header: bytes | None = None,
) -> Index:
    """Read all packets once. Empty ones repeat the picture before (AVI) and are no packets here.

    `reorders`: pictures are known to come in another order than they are shown in; `may_reorder`: the codec can do so.
    `header`: what the stream has before its packets.
    """
    numbers = numbers_of(codec, header)
    found: list[int | None] = []
    flags: list[tuple[bool, bool]] = []
    problem, last, largest = "", None, 0
    unended: set[int] = set()
    palettes: list[tuple[int, PacketSideData]] = []
    try:
        for packet in packets:
            if packet.size:
                last, largest = packet, max(largest, packet.size)
                if packet.has_sidedata("palette"):
                    palettes.append((len(found), packet.get_sidedata("palette")))
                if codec in JPEGS and not has_end(packet):
                    unended.add(len(found))
                if numbers is not None:
                    numbers(bytes(packet), bool(packet.is_keyframe))
                found.append(stamp(packet))
                flags.append((bool(packet.is_keyframe), is_hidden(codec, packet)))
    except (av.FFmpegError, OSError) as error:
        problem = str(getattr(error, "strerror", None) or error)
    n = len(found)
    first = next((i for i, (key, _) in enumerate(flags) if key), 0)
    shown = [i for i in range(first, n) if not flags[i][1]]
    stamped = sum(time is not None for time in found)
    bare = format_name in FORMATS_WITHOUT_TIMES or format_name.endswith("_pipe") or 2 * stamped < n
    timed = not (bare or (reorders and (format_name == "avi" or stamped < n)))
    pts = filled(found)
    if not (timed and may_reorder):
        order = shown
    else:
        order = [i for part in parts(shown, pts, flags) for i in sorted(part, key=lambda i: pts[i])]
    frame_of = [-1] * n
    for frame, packet_number in enumerate(order):
        frame_of[packet_number] = frame
    ticks = None if bare else [pts[i] for i in order]
    if ticks is not None and not timed:
        ticks.sort()
    known = {t: i for i, t in enumerate(found) if t is not None}
    unique = len(known) == n and timed
    keys = [i for i in range(first, n) if flags[i][0]] or [0]
    return Index(
        timed,
        frame_of,
        order,
        ticks,
        keys,
        known if unique else {},
        first,
        problem,
        sum(hidden for _, hidden in flags),
        bytes(last)[-64:] if last is not None else b"",
        largest,
        frozenset(unended if 2 * len(unended) < n else ()),
        numbers.gaps if numbers is not None else 0,
        palettes,
    )


def lacks_before_last(ticks: Sequence[int], held: int) -> bool:
    """Whether pictures are missing between the last ones, which come before them in the file: so does a stream end that
    was cut. `ticks`: times in the order of presentation; `held`: how many pictures are held back to be put in order.
    Told of a stream of one rate alone."""
    steps = np.diff(np.asarray(ticks, np.float64))
    if not held or len(steps) <= 2 * held:
        return False
    usual = 1.5 * float(np.median(steps))
    return bool((steps[-held:] > usual).any() and (steps[:-held] <= usual).all())


def filled(times: list[int | None]) -> list[int]:
    """A missing time is that of the packet before: equal ones are spread later."""
    out, last = [], 0
    for time in times:
        last = time if time is not None else last
        out.append(last)
    return out


def parts(shown: list[int], pts: list[int], flags: list[tuple[bool, bool]]) -> list[list[int]]:
    """Packets of each recording in a file of several that were joined: at a key frame the times fall."""
    steps = np.diff(np.unique(np.array([pts[i] for i in shown], np.int64)))
    usual = int(np.median(steps)) if len(steps) else 0
    out: list[list[int]] = [[]]
    top = None
    for i in shown:
        if top is not None and flags[i][0] and pts[i] < top - JUMP_STEPS * usual:
            out.append([])
            top = None
        out[-1].append(i)
        top = pts[i] if top is None else max(top, pts[i])
    return out
