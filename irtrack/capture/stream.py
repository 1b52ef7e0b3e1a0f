"""Network streams through PyAV. Times are monotonic arrival times."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import av
import numpy as np

from irtrack.capture.grey import frame_to_grey
from irtrack.capture.open import redact
from irtrack.core import Clock, Frame, SourceError, SourceInfo, frozen

OPEN_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 2.5
SCHEMES = ("rtsp", "rtsps", "udp", "tcp", "http", "https", "rtmp", "srt", "rtp")


class StreamSource:
    """A network stream. A silent one ends with SourceError after READ_TIMEOUT_S."""

    live = True

    def __init__(self, url: str) -> None:
        """Connects and decodes the first frame. Raises SourceError; credentials never appear in it."""
        self._name = redact(url)
        scheme = url.split("://", 1)[0].lower()
        if scheme not in SCHEMES:
            raise SourceError(f"{self._name}: unknown kind of stream {scheme!r}; known are {', '.join(SCHEMES)}")
        options = {"fflags": "nobuffer"} | ({"rtsp_transport": "tcp"} if scheme.startswith("rtsp") else {})
        try:
            self._container = av.open(url, options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))
        except (av.FFmpegError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no answer"
            raise SourceError(
                f"cannot connect to {self._name}: {redact(str(why))}; check the address and the camera"
            ) from error
        try:
            if not self._container.streams.video:
                raise SourceError(f"{self._name} sends no video")
            self._stream = self._container.streams.video[0]
            self._stream.thread_count = 1  # each further thread would add a frame of latency
            self._decoded = self._container.decode(self._stream)
            self._first = next(self._decoded)
        except (av.FFmpegError, OSError, StopIteration) as error:
            self._container.close()
            raise SourceError(f"{self._name} connects but sends no picture") from error
        except SourceError:
            self._container.close()
            raise
        grey, bits = frame_to_grey(self._first)
        rate = float(self._stream.average_rate) if self._stream.average_rate else None
        self.info = SourceInfo(self._name, grey.shape[1], grey.shape[0], bits, rate, None, Clock.ARRIVAL)
        self._closed, self._reading = False, threading.Lock()

    def __iter__(self) -> Iterator[Frame]:
        index, frame = 0, self._first
        while not self._closed:
            grey, _ = frame_to_grey(frame)
            yield Frame(index, time.monotonic(), frozen(np.ascontiguousarray(grey)))
            index += 1
            try:
                with self._reading:
                    if self._closed:
                        return
                    frame = next(self._decoded)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                why = getattr(error, "strerror", None) or "it fell silent"
                raise SourceError(f"{self._name} was lost after {index} frames: {why}") from error

    def seek(self, index: int) -> None:
        raise SourceError("a live stream cannot be sought")

    def close(self) -> None:
        """Give the connection back; from another thread than the reader's this waits for the picture being read."""
        if not self._closed:
            self._closed = True
            with self._reading:  # FFmpeg's memory must not go away under a thread that decodes into it
                self._container.close()
