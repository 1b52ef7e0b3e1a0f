"""The index of a video stream: which packet holds which frame, and when it is shown.

A frame's number is its place in the order of presentation. Where packets have true presentation times that order
follows from them (`timed`), and each packet can be told before it is decoded. Bare streams and AVI files with
reordered pictures have no such times: there the decoder's output is counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

import av
import numpy as np

FORMATS_WITHOUT_TIMES = frozenset(
    "h264 hevc vvc mjpeg mjpeg_2000 m4v mpegvideo mpeg1video mpeg2video h263 h261 cavsvideo avs2 avs3 dirac dnxhd vc1 obu rawvideo".split()
)
"""FFmpeg's names of bare streams, whose times its demuxers invent."""

JUMP_STEPS = 3
"""Steps by which decoding times fall at least where a new recording begins."""


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
    discarded: int = 0
    """Packets that an edit list leaves out."""

    def __post_init__(self) -> None:
        self.key_set = frozenset(self.keys)
        self._time_of = {number: time for time, number in self.packet_at.items()}

    @property
    def frames(self) -> int:
        """How many frames there should be."""
        return len(self.packet_of)

    def time_of(self, packet: int) -> int | None:
        """By which a demuxer finds a packet; None where that is not certain."""
        return self._time_of.get(packet)

    def key_before(self, frame: int) -> int:
        """The packet from which to decode so that `frame` comes out: a key frame at or before it in both orders."""
        at = bisect_right(self.keys, self.packet_of[frame]) - 1
        while at > 0 and self.frame_of[self.keys[at]] > frame:
            at -= 1
        return self.keys[at] if at >= 0 else 0


def stamp(packet: av.Packet) -> int | None:
    """Presentation time of a packet, or its decoding time where it has none."""
    return packet.pts if packet.pts is not None else packet.dts


def is_kept(packet: av.Packet) -> bool:
    """Whether it holds a picture that is shown. Empty ones repeat the picture before (AVI); edit lists discard some."""
    return bool(packet.size) and not packet.is_discard


def is_hidden(codec: str, packet: av.Packet) -> bool:
    """Whether its picture is never shown: VP8 has such references."""
    return codec == "vp8" and not bytes(packet)[:1][0] & 0x10


def make_index(packets: Iterable[av.Packet], codec: str, format_name: str, reorders: bool) -> Index:
    """Read all packets once."""
    pts: list[int | None] = []
    dts: list[int | None] = []
    flags: list[tuple[bool, bool]] = []
    problem, discarded = "", 0
    try:
        for packet in packets:
            if not is_kept(packet):
                discarded += bool(packet.size)
                continue
            pts.append(stamp(packet))
            dts.append(packet.dts)
            flags.append((bool(packet.is_keyframe), is_hidden(codec, packet)))
    except (av.FFmpegError, OSError) as error:
        problem = str(getattr(error, "strerror", None) or error)
    n = len(pts)
    first = next((i for i, (key, _) in enumerate(flags) if key), 0)
    shown = [i for i in range(first, n) if not flags[i][1]]
    bare = format_name in FORMATS_WITHOUT_TIMES or any(pts[i] is None for i in shown)
    timed = not (bare or (format_name == "avi" and reorders))
    if bare or not timed:
        order = shown
    else:
        order = [i for part in parts(shown, pts, dts, flags) for i in sorted(part, key=lambda i: pts[i] or 0)]
    frame_of = [-1] * n
    for frame, packet_number in enumerate(order):
        frame_of[packet_number] = frame
    ticks = None if bare else [pts[i] or 0 for i in order]
    if ticks is not None and not timed:
        ticks.sort()
    known = {t: i for i, t in enumerate(pts) if t is not None}
    unique = len(known) == n and timed
    keys = [i for i in range(first, n) if flags[i][0]] or [0]
    return Index(timed, frame_of, order, ticks, keys, known if unique else {}, first, problem, discarded)


def parts(
    shown: list[int], pts: list[int | None], dts: list[int | None], flags: list[tuple[bool, bool]]
) -> list[list[int]]:
    """Packets of each recording in a file of several that were joined: times fall at a key frame."""
    clock = [d if (d := dts[i]) is not None else (pts[i] or 0) for i in shown]
    steps = np.diff(np.array(clock, np.float64))
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    cuts = [k + 1 for k in np.flatnonzero(steps < -JUMP_STEPS * usual) if flags[shown[k + 1]][0]]
    return [shown[a:b] for a, b in zip([0, *cuts], [*cuts, len(shown)], strict=True)]
