"""Recording of raw frames: FFV1 in Matroska, 8 or 16 bits, bit for bit, with the times of the frames.

A thread of its own encodes; what waits for it is bounded, so that a slow disk costs a camera's frames in the recording,
counted and said, and never holds up the capture. Packets are written as they come: after a kill, the file opens.
"""

from __future__ import annotations

import logging
import queue
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from irtrack.core import Frame, SinkError
from irtrack.sinks.text import check_target, reason

WAITING = 90
"""Frames that may wait for the encoder: three seconds at 30 a second."""

CLOCK = Fraction(1, 1000)
"""What Matroska keeps of times."""

log = logging.getLogger(__name__)


class Recorder:
    """Writes frames as they come from a source; called in the capture thread."""

    def __init__(self, path: Path, force: bool, wait: bool = False) -> None:
        """`wait`: for the encoder rather than drop frames. Raises SinkError where the file may not be written."""
        check_target(path, force)
        if path.suffix.lower() != ".mkv":
            raise SinkError(f"{path}: recordings are Matroska files, name it .mkv")
        self._path = path
        try:
            options = {"flush_packets": "1", "cluster_time_limit": "500"}
            self._out = av.open(str(path), "w", format="matroska", options=options)
        except (OSError, av.FFmpegError) as error:
            raise SinkError(f"cannot write {path}: {reason(error)}") from error
        self._frames: queue.Queue[Frame | None] = queue.Queue(WAITING)
        self._error: SinkError | None = None
        self.dropped = 0
        """Frames that the encoder had no time for."""
        self._closed, self._wait = False, wait
        self._thread = threading.Thread(target=self._encode, name="irtrack-record")
        self._thread.start()

    def __call__(self, frame: Frame) -> None:
        """Take a frame; returns at once. Raises SinkError once writing has failed."""
        if self._error is not None:
            raise self._error
        try:
            self._frames.put(frame, block=self._wait)
        except queue.Full:
            if not self.dropped:
                log.warning("recording %s is too slow for its frames: some are left out", self._path)
            self.dropped += 1

    def _encode(self) -> None:
        stream: av.VideoStream | None = None
        start, last = 0.0, -1
        try:
            while (frame := self._frames.get()) is not None:
                if self._error is not None:
                    continue
                deep = frame.image.dtype == np.uint16
                pix_fmt = "gray16le" if deep else "gray"
                if stream is None:
                    start = frame.time_s
                    stream = self._out.add_stream("ffv1", rate=30, options={"level": "3", "slices": "4"})
                    stream.height, stream.width = frame.image.shape
                    stream.pix_fmt, stream.time_base = pix_fmt, CLOCK
                    stream.codec_context.time_base = CLOCK
                made = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.image), format=pix_fmt)
                last = max(last + 1, round((frame.time_s - start) / CLOCK))
                made.time_base, made.pts = CLOCK, last
                self._out.mux(stream.encode(made))
            if stream is not None and self._error is None:
                self._out.mux(stream.encode(None))
        except (OSError, av.FFmpegError, ValueError) as error:
            self._error = SinkError(f"cannot write {self._path}: {reason(error)}")
            while self._frames.get() is not None:
                pass

    def close(self) -> None:
        """Write what waits and end the file; may be called twice. Raises SinkError."""
        if self._closed:
            return
        self._closed = True
        self._frames.put(None)
        self._thread.join()
        try:
            self._out.close()
        except (OSError, av.FFmpegError) as error:
            self._error = self._error or SinkError(f"cannot write {self._path}: {reason(error)}")
        if self.dropped:
            log.warning("%s lacks %d frames that the encoder had no time for", self._path, self.dropped)
        if self._error is not None:
            raise self._error
