"""Interlaced recordings: each frame holds two moments, so that each becomes two pictures at twice the rate.

A moving target in a frame of two fields is a comb at two places at once. Lines that a field lacks are filled in by
FFmpeg's bwdif: from the field itself where something moves, from its neighbours where nothing does.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph

TICK = Fraction(1, 2)
ORDERS = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}
"""FFmpeg's AVFieldOrder: which field is shown first."""


def field_order(frame: av.VideoFrame, stream: av.VideoStream) -> str:
    """Of an interlaced recording, by its first frame: `auto` where frames say it, else that of the file's header; ''
    where the recording is not interlaced."""
    if frame.interlaced_frame:
        return "auto"
    return ORDERS.get(int(stream.codec_context.field_order or 0), "")


def fields_of(frames: Iterator[tuple[int, av.VideoFrame]], order: str) -> Iterator[tuple[int, av.VideoFrame]]:
    """Numbered frames as numbered fields: 2 k and 2 k + 1 of frame k. Fields of a frame depend on its neighbours."""
    graph: Graph | None = None
    pushed: list[int] = []
    given = 0
    for number, frame in frames:
        if graph is None:
            graph = Graph()
            source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=TICK)
            filled = graph.add("bwdif", f"mode=send_field:parity={order}:deint=all")
            sink = graph.add("buffersink")
            source.link_to(filled)
            filled.link_to(sink)
            graph.configure()
        frame.pts, frame.time_base = len(pushed), TICK
        pushed.append(number)
        graph.push(frame)
        for picture in pulled(graph):
            yield 2 * pushed[given // 2] + given % 2, picture
            given += 1
    if graph is not None:
        graph.push(None)
        for picture in pulled(graph):
            if given < 2 * len(pushed):
                yield 2 * pushed[given // 2] + given % 2, picture
            given += 1


def pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    """What a graph has ready."""
    while True:
        try:
            picture = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if isinstance(picture, av.VideoFrame):
            yield picture
