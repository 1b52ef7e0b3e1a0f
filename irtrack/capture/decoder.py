"""How FFmpeg's decoders are set up so that they tell which pictures are damaged, as far as they can."""

from __future__ import annotations

import av

ONE_THREAD = ("h264", "mpeg1video", "mpeg2video")
"""Codecs whose decoders, in several threads, hand over damaged pictures as good ones, some or all of the time."""

CHECKS = "crccheck+bitstream+buffer"
"""What decoders check beyond what they need."""

STRICT = ("mjpeg",)
"""Codecs whose decoders say nothing of damage unless they may refuse a picture for it."""


MADE_UP = {"gif": {"trans_color": "0"}}
"""Options of codecs whose decoders make something up: white where a GIF is transparent, among dark scenes."""


def set_up(context: av.VideoCodecContext, strict: bool = True) -> None:
    """Before the first picture is decoded. Not `strict`: pictures that are not quite as they should be are read, too.

    Threads are for the parts of a picture: where each takes a picture, it is handed over before it is known whether it
    is damaged.
    """
    refuse = "+explode" if strict and context.name in STRICT else ""
    context.options = {**context.options, "err_detect": CHECKS + refuse, **MADE_UP.get(context.name, {})}
    context.thread_type = "SLICE"
    if context.name in ONE_THREAD:
        context.thread_count = 1


def refuses_jpeg(code: bytes) -> bool:
    """Whether FFmpeg finds a JPEG's data damaged, which other decoders fill up with grey without a word."""
    context = av.CodecContext.create("mjpeg", "r")
    assert isinstance(context, av.VideoCodecContext)
    set_up(context)
    try:
        context.decode(av.Packet(code))
    except av.InvalidDataError:
        return True
    except (av.FFmpegError, ValueError):  # of a kind that it does not read
        return False
    return False
