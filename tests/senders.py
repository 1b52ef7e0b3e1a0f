"""Cameras in processes of their own: PyAV holds the interpreter's lock while it waits for somebody to connect.

python senders.py KIND PORT [clock]: KIND is nut (16-bit raw, TCP), mpegts (TCP) or udp (MPEG-TS, without end). With
`clock` a frame carries when it was made, in milliseconds, instead of its number.
"""

from __future__ import annotations

import sys
import time
from itertools import count

import av
import numpy as np

WIDTH, HEIGHT, FPS = 160, 128, 30.0


def picture(number: int) -> np.ndarray:  # type: ignore[type-arg]
    """A frame that carries its number as sixteen blocks of black or white, so that coding cannot hide it."""
    image = np.full((HEIGHT, WIDTH), 90, np.uint8)
    for bit in range(16):
        row, column = divmod(bit, 8)
        image[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16] = 235 if number >> bit & 1 else 20
    return image


def deep(number: int) -> np.ndarray:  # type: ignore[type-arg]
    """The same in 16 bits, with low bits in use."""
    return picture(number).astype(np.uint16) * 257 + np.uint16(number)


def clock_ms() -> int:
    """The machine's clock, as a frame carries it."""
    return int(time.monotonic() * 1000) & 0xFFFF


def main(kind: str, port: int, clock: bool) -> None:
    """Send."""
    target = f"udp://127.0.0.1:{port}?pkt_size=1316" if kind == "udp" else f"tcp://127.0.0.1:{port}?listen=1"
    # Without their length in front, nobody could know that a picture is whole before the next one begins.
    options = {} if kind == "nut" else {"omit_video_pes_length": "0"}
    with av.open(target, "w", format="nut" if kind == "nut" else "mpegts", options=options) as out:
        stream = out.add_stream("rawvideo" if kind == "nut" else "mpeg2video", rate=30)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "gray16le" if kind == "nut" else "yuv420p"
        stream.gop_size = 5
        if kind != "nut":
            stream.codec_context.flags |= av.codec.context.Flags.low_delay
        for number in count() if kind == "udp" else range(120 if clock else 60):
            shown = clock_ms() if clock else number
            image, form = (deep(shown), "gray16le") if kind == "nut" else (picture(shown), "gray")
            frame = av.VideoFrame.from_ndarray(image, format=form).reformat(format=stream.pix_fmt)
            frame.pts = number
            out.mux(stream.encode(frame))
            time.sleep(1 / FPS)
        out.mux(stream.encode(None))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), "clock" in sys.argv[3:])
