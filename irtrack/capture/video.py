"""Video files through PyAV, with an index of packets for exact seeking and real presentation times."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterator
from pathlib import Path

import av
import numpy as np

from irtrack.capture.grey import frame_to_grey
from irtrack.core import Frame, SourceError, SourceInfo, frozen


class VideoSource:
    """A recording. Frame numbers are presentation order; times are the file's own, from 0 at the first frame.

    What cannot be decoded is skipped and said at the end: iteration then raises SourceError after the last good frame.
    """

    live = False

    def __init__(self, path: Path) -> None:
        """Reads the index. Raises SourceError for what is not a video."""
        self._path = path
        self._open()
        try:
            self._index()
            first = self._decode_first()
        except BaseException:
            self._container.close()
            raise
        grey, bits = frame_to_grey(first)
        frames = len(self._pts)
        self.info = SourceInfo(path.name, grey.shape[1], grey.shape[0], bits, self._rate(), frames)
        self._size = grey.shape
        self._next = 0
        self._closed = False

    def _open(self) -> None:
        """Open the file and choose its first video stream. Raises SourceError."""
        self._container = open_container(self._path)
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f"{self._path} holds no video stream")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"

    def _index(self) -> None:
        """Presentation times of all packets, in order, and the number that the header promises."""
        keys, pts = [], []
        try:
            for packet in self._container.demux(self._stream):
                if packet.size and not packet.is_discard:
                    time = packet.pts if packet.pts is not None else packet.dts
                    if time is not None:
                        pts.append(time)
                        if packet.is_keyframe:
                            keys.append(time)
        except (av.FFmpegError, OSError):
            pass  # a damaged tail: what has been indexed can be read
        if not pts:
            raise SourceError(f"{self._path} holds no frames: the recording was probably not finished")
        self._timed = len(set(pts)) == len(pts)
        self._pts = sorted(pts)
        self._keys = sorted(keys)
        self._number = {t: i for i, t in enumerate(self._pts)}
        self._promised = max(self._stream.frames, 0)

    def _decode_first(self) -> av.VideoFrame:
        for frame in self._decode_from(0):
            return frame
        raise SourceError(f"{self._path}: no frame can be decoded; the file is damaged or its codec is unknown")

    def _rate(self) -> float | None:
        if len(self._pts) > 1 and self._stream.time_base is not None:
            span = float((self._pts[-1] - self._pts[0]) * self._stream.time_base)
            if span > 0:
                return (len(self._pts) - 1) / span
        return float(self._stream.average_rate) if self._stream.average_rate else None

    def _decode_from(self, index: int) -> Iterator[av.VideoFrame]:
        """Decoded frames from at or before frame `index` on.

        Some demuxers (MPEG-TS) land behind the time asked for; then an earlier time is asked for, and at last the
        file is opened afresh, which is slow and always right.
        """
        at = bisect_right(self._keys, self._pts[index]) - 1
        key = self._keys[at] if at >= 0 and self._timed else self._pts[0]
        second = int(1 / self._stream.time_base) if self._stream.time_base else 1
        for target in (key, key - second, key - 5 * second, None):
            self._bad = 0
            self._rewind(target)
            frames = self._frames()
            first = next(frames, None)
            if target is None or (
                first is not None and first.pts is not None and self._number.get(first.pts, len(self._pts)) <= index
            ):
                break
            frames.close()
        if first is not None:
            yield first
            yield from frames

    def _rewind(self, target: int | None) -> None:
        """Ask the demuxer for the key frame at or before a time; None opens the file afresh."""
        if target is not None:
            try:
                self._container.seek(target, stream=self._stream, backward=True)
                self._stream.codec_context.flush_buffers()
                return
            except (av.FFmpegError, OSError):
                pass  # a format without an index, such as a raw stream
        self._container.close()
        self._open()

    def _frames(self) -> Generator[av.VideoFrame, None, None]:
        """Decoded frames from the demuxer's position; undecodable packets are counted and skipped."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError):
                self._bad += 1
                return
            try:
                for frame in packet.decode():
                    if frame.is_corrupt:
                        self._bad += 1
                    else:
                        yield frame
            except av.FFmpegError:
                self._bad += 1

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the current position on; exact, whatever the key frame distance."""
        start = self._next
        if start >= len(self._pts):
            return
        base = self._stream.time_base
        expected, seen = (start if self._timed else 0), 0
        for decoded in self._decode_from(start):
            known = self._number.get(decoded.pts) if self._timed and decoded.pts is not None else None
            index = known if known is not None else expected
            expected = index + 1
            if index < start:
                continue
            grey, _ = frame_to_grey(decoded)
            if grey.shape != self._size:
                raise SourceError(
                    f"{self._path}: frame {index} is {grey.shape[1]}x{grey.shape[0]}, the first was "
                    f"{self._size[1]}x{self._size[0]}; a recording must keep one size"
                )
            pts = self._pts[index] if index < len(self._pts) else (decoded.pts or 0)
            time_s = float((pts - self._pts[0]) * base) if base is not None else index / (self.info.fps or 30.0)
            self._next, seen = index + 1, seen + 1
            yield Frame(index, time_s, frozen(np.ascontiguousarray(grey)))
        self._report_losses(start, seen)

    def _report_losses(self, start: int, seen: int) -> None:
        total = max(self._promised, len(self._pts))
        # A frame or two may fall to edit lists and encoder delay; that is no damage.
        missing = seen + start < total - 2
        if self._bad or missing:
            raise SourceError(
                f"{self._path} is damaged or cut short: {seen + start} of {total} frames could be read and were used"
            )

    def seek(self, index: int) -> None:
        """Continue at frame `index`. Raises SourceError outside the recording."""
        if not 0 <= index < len(self._pts):
            raise SourceError(f"frame {index} is outside {self._path.name}, which has frames 0 to {len(self._pts) - 1}")
        self._next = index

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._container.close()


def open_container(path: Path) -> av.container.InputContainer:
    """Open a file with PyAV. Raises SourceError."""
    try:
        return av.open(str(path), "r")
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise
        raise SourceError(
            f"{path} is not a video that can be read ({getattr(error, 'strerror', None) or error}): "
            "it is damaged, unfinished or of another kind"
        ) from error
