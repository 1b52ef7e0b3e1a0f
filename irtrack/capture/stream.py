"""Network streams through PyAV. Times are monotonic arrival times."""

from __future__ import annotations

import time
from collections.abc import Iterator

import av
import numpy as np

from irtrack.capture.address import address_of, redact
from irtrack.capture.decoder import set_up
from irtrack.capture.grey import frame_to_grey
from irtrack.capture.limits import bound_allocations
from irtrack.capture.numbers import MISSING, numbers_of
from irtrack.capture.patience import silence_s
from irtrack.core import AwayError, Clock, Frame, Image, Source, SourceError, SourceInfo, frozen

OPEN_TIMEOUT_S = 5.0
SCHEMES = ("rtsp", "rtsps", "udp", "tcp", "http", "https", "rtmp", "srt", "rtp")
REFUSED = (av.HTTPUnauthorizedError, av.HTTPForbiddenError, av.HTTPNotFoundError, av.HTTPBadRequestError)
BROKEN = "a picture could not be decoded and was left out"
MOST_PIXELS = 1 << 26
"""Of a stream's picture: far more than any thermal camera has."""


def reason_of(error: Exception, text: str) -> str:
    """Why there is no connection; `text`: FFmpeg's words, which do not always tell."""
    if isinstance(error, av.ExitError):
        return "no answer in time"
    if isinstance(error, av.InvalidDataError):
        return "what it sends is no video (a page, perhaps)"
    return text


class StreamSource(Source):
    """A network stream; a picture that cannot be decoded is left out and counted.

    Used by one thread. A silent stream ends with SourceError after `silence_s`, or when FFmpeg notices.
    """

    live = True

    def __init__(self, url: str) -> None:
        """Connects and decodes the first picture. Raises SourceError, which tells the host alone."""
        bound_allocations()
        self._name, address = redact(url), address_of(url)
        if address is None or address.scheme not in SCHEMES:
            scheme = "" if address is None else f" {address.scheme!r}"
            raise SourceError(f"{self._name}: unknown kind of stream{scheme}; known are {', '.join(SCHEMES)}")
        options = {"fflags": "nobuffer"} | ({"rtsp_transport": "tcp"} if address.scheme.startswith("rtsp") else {})
        try:
            self._container = av.open(
                address.opened, options=options, timeout=(max(OPEN_TIMEOUT_S, silence_s()), silence_s())
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            why = reason_of(error, address.scrubbed(str(getattr(error, "strerror", None) or "no answer")))
            kind = SourceError if isinstance(error, REFUSED) else AwayError
            raise kind(f"cannot connect to {self._name}: {why}; check the address and the camera") from None
        try:
            if not self._container.streams.video:
                raise SourceError(f"{self._name} sends no video")
            if address.scheme.startswith("http") and self._container.duration:
                raise SourceError(
                    f"{self._name} is a recording, and no live stream: download it and open the file, so that each "
                    "frame is read at its time"
                )
            self._stream = self._container.streams.video[0]
            self._stream.thread_count = 1  # each further thread would add a frame of latency
            self._stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            set_up(self._stream.codec_context, strict=False)
            self._numbers = numbers_of(self._stream.codec_context.name, self._stream.codec_context.extradata)
            self._broken = 0
            self._pictures = self._decoded()
            self._first, bits = next(self._pictures)
        except (av.FFmpegError, OSError, StopIteration):
            one = self._container.format.name.endswith("_pipe")
            self._container.close()
            if one:
                raise SourceError(
                    f"{self._name} sends a single picture: give the address of the camera's stream"
                ) from None
            raise AwayError(f"{self._name} connects but sends no picture") from None
        except SourceError:
            self._container.close()
            raise
        height, width = self._first.shape
        rate = float(self._stream.average_rate) if self._stream.average_rate else None
        self.info = SourceInfo(self._name, width, height, bits, rate, None, Clock.ARRIVAL, key=address.key)
        self._closed = False

    def _decoded(self) -> Iterator[tuple[Image, int]]:
        """Pictures that can be decoded, with their bits. Raises FFmpeg's errors of the connection."""
        for packet in self._container.demux(self._stream):
            if self._numbers is not None:
                self._numbers(bytes(packet), bool(packet.is_keyframe))
            try:
                found = packet.decode()
                pictures = [frame_to_grey(frame) for frame in found if not frame.is_corrupt]
            except (av.FFmpegError, ValueError, MemoryError):
                self._broken += 1
                continue
            self._broken += len(found) - len(pictures)
            yield from pictures

    def __iter__(self) -> Iterator[Frame]:
        index, image = 0, self._first
        while not self._closed:
            yield Frame(index, time.monotonic(), frozen(np.ascontiguousarray(image)))
            index += 1
            try:
                image, _ = next(self._pictures)
            except StopIteration:
                return
            except (av.FFmpegError, OSError, MemoryError) as error:
                why = getattr(error, "strerror", None) or "it fell silent"
                raise SourceError(f"{self._name} was lost after {index} frames: {why}") from None
            finally:
                if self._broken:
                    self.info.remarks.add(BROKEN, self._broken)
                    self._broken = 0
                if self._numbers is not None and self._numbers.gaps:
                    self.info.remarks.add(MISSING, self._numbers.gaps)
                    self._numbers.gaps = 0

    def seek(self, index: int) -> None:
        raise SourceError("a live stream cannot be sought")

    def close(self) -> None:
        """Give the connection back."""
        if not self._closed:
            self._closed = True
            self._container.close()
