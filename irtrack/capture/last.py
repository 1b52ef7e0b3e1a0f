"""Whether the last picture of a stream is whole, where its container does not tell.

A decoder that runs out of bytes makes up the rest of a picture, and many say nothing of it. But what stands behind a
whole picture is never looked at: where the picture changes with bytes put behind it, it had none of its own there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
import numpy as np

from irtrack.core import Image

WITHOUT_ENDS = frozenset({"h264", "hevc", "vvc", "mpegts", "mpeg"})
"""FFmpeg's names of kinds of files that say nowhere how long their pictures are."""

SILENT = ("h264", "hevc", "vvc")
"""Codecs whose decoders say nothing of pictures that lack their end, or not always."""

MOST_PACKETS = 1000
"""From the last key frame on: more are not decoded again."""

MORE = b"\x55" * 256
"""No mark of anything in any codec."""


def is_unfinished(context: av.VideoCodecContext, packets: Sequence[av.Packet[Any]]) -> bool:
    """Whether the picture of the last of some packets, from a key frame on, lacks its end. False where that cannot be
    told. Packets have times of their own."""
    last = packets[-1]
    more = av.Packet(bytes(last) + MORE)
    more.pts = last.pts
    found = picture_of(context, packets)
    other = picture_of(context, [*packets[:-1], more])
    return found is not None and other is not None and not np.array_equal(found, other)


def picture_of(context: av.VideoCodecContext, packets: Sequence[av.Packet[Any]]) -> Image | None:
    """The picture of the last packet, by a decoder of its own; None where it comes out damaged or not at all."""
    decoder = av.CodecContext.create(context.name, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata = context.extradata
    decoder.thread_count = 1
    for packet in [*packets, None]:
        try:
            pictures = decoder.decode(packet)
        except (av.FFmpegError, ValueError):
            continue
        for picture in pictures:
            if picture.pts == packets[-1].pts:
                return picture.to_ndarray()
    return None
