"""Recording of raw frames, 8 or 16 bits, bit for bit, with the times of the frames: FFV1 in Matroska, or BigTIFF.

A thread of its own encodes; what waits for it is bounded, so that a slow disk costs a camera's frames in the recording,
counted and said, and never holds up the capture. Frames are written as they come: after a kill, the file opens.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import tifffile

from irtrack.channel import Channel, Closed
from irtrack.core import Frame, SinkError
from irtrack.paths import ffmpeg_url
from irtrack.sinks.target import Target, claimed, reason

WAITING = 90
"""Frames that may wait for the encoder: three seconds at 30 a second."""

HELD_BYTES = 512 << 20
"""Memory that frames before a trigger may take."""

CLOCK = Fraction(1, 1000)
"""What Matroska keeps of times."""

log = logging.getLogger(__name__)


class Writer(Protocol):
    """A kind of file that frames are written to."""

    def write(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


class MatroskaWriter:
    """FFV1 in Matroska; times to a millisecond."""

    def __init__(self, path: Path) -> None:
        options = {"flush_packets": "1", "cluster_time_limit": "500"}
        self._out = av.open(ffmpeg_url(path), "w", format="matroska", options=options)
        self._stream: av.VideoStream | None = None
        self._start, self._last = 0.0, -1

    def write(self, frame: Frame) -> None:
        """Encode one."""
        pix_fmt = "gray16le" if frame.image.dtype == np.uint16 else "gray"
        if self._stream is None:
            self._start = frame.time_s
            self._stream = self._out.add_stream("ffv1", rate=30, options={"level": "3", "slices": "4"})
            self._stream.height, self._stream.width = frame.image.shape
            self._stream.pix_fmt, self._stream.time_base = pix_fmt, CLOCK
            self._stream.codec_context.time_base = CLOCK
        made = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.image), format=pix_fmt)
        self._last = max(self._last + 1, round((frame.time_s - self._start) / CLOCK))
        made.time_base, made.pts = CLOCK, self._last
        self._out.mux(self._stream.encode(made))

    def close(self) -> None:
        """Write what the encoder holds and the index."""
        if self._stream is not None:
            self._out.mux(self._stream.encode(None))
        self._out.close()


class TiffWriter:
    """BigTIFF, a page for each frame, uncompressed; its number and time stand in the page's description as JSON."""

    def __init__(self, path: Path) -> None:
        self._out = tifffile.TiffWriter(path, bigtiff=True)
        self._start: float | None = None

    def write(self, frame: Frame) -> None:
        """Add a page."""
        self._start = frame.time_s if self._start is None else self._start
        about = json.dumps({"frame": frame.index, "time_s": round(frame.time_s - self._start, 6)})
        self._out.write(frame.image, photometric="minisblack", description=about, metadata=None, contiguous=False)

    def close(self) -> None:
        """End the file."""
        self._out.close()


WRITERS: dict[str, type[MatroskaWriter] | type[TiffWriter]] = {
    ".mkv": MatroskaWriter,
    ".tif": TiffWriter,
    ".tiff": TiffWriter,
}


def check_record_name(path: Path) -> type[MatroskaWriter] | type[TiffWriter]:
    """What writes such a file. Raises SinkError."""
    if path.suffix.lower() not in WRITERS:
        raise SinkError(f"{path}: recordings are Matroska or BigTIFF files, name it .mkv or .tif")
    return WRITERS[path.suffix.lower()]


class Recorder:
    """Writes frames as they come from a source; called in the capture thread.

    Frames of another size or depth than those before go into a new file, OUT.part2.
    """

    def __init__(
        self,
        path: Path | Target,
        force: bool = False,
        wait: bool = False,
        following: Callable[[Target], Target] = Target.next_part,
    ) -> None:
        """`wait`: for the encoder rather than drop frames. `following` claims the next file.

        Raises SinkError where the file may not be written.
        """
        self._writer = check_record_name(path.path if isinstance(path, Target) else path)
        self._target, self._following = claimed(path, force), following
        try:
            self._out: Writer = self._writer(self._target.path)
        except Exception as error:
            self._target.abandon()
            raise SinkError(f"cannot write {self._target.path}: {reason(error)}") from error
        self._frames: Channel[Frame] = Channel(WAITING)
        self._error: SinkError | None = None
        self.dropped = 0
        """Frames that the encoder had no time for."""
        self._wait = wait
        self._ended = threading.Event()
        threading.Thread(target=self._encode, name="irtrack-record", daemon=True).start()

    def __call__(self, frame: Frame, held: bool = False) -> None:
        """Take a frame; returns at once. `held`: one that was in memory anyway, so that it may wait with the others.

        Raises SinkError once writing has failed.
        """
        try:
            if self._wait:
                self._frames.put(frame)
            elif not self._frames.offer(frame, beyond=held):
                if not self.dropped:
                    log.warning("recording %s is too slow for its frames: some are left out", self._target.path)
                self.dropped += 1
        except Closed:
            raise self._error or SinkError(f"the recording {self._target.path} has ended") from None

    def _encode(self) -> None:
        """The thread: it ends with the frames or with the first failure, and closes the file either way."""
        kind: tuple[object, object] | None = None
        try:
            while True:
                frame = self._frames.get()
                this = (frame.image.shape, frame.image.dtype)
                if kind not in (None, this):
                    self._out.close()
                    self._target.finish()
                    self._target = self._following(self._target)
                    self._out = self._writer(self._target.path)
                kind = this
                self._out.write(frame)
        except Closed:
            pass
        except BaseException as error:
            self._fail(error)
        finally:
            self._frames.close(discard=True)
            try:
                self._out.close()
            except BaseException as error:
                self._fail(error)
            if self._error is not None:
                self._target.release()
            elif kind is None:
                self._target.discard()
            else:
                self._target.finish()
            self._ended.set()

    def _fail(self, error: BaseException) -> None:
        where = f"cannot write {self._target.path}: {reason(error)}; what was written is kept"
        self._error = self._error or (error if isinstance(error, SinkError) else SinkError(where))

    def close(self) -> None:
        """Write what waits and end the file; may be called twice. Raises SinkError."""
        self._frames.close()
        self._ended.wait()
        if self.dropped:
            log.warning("%s lacks %d frames that the encoder had no time for", self._target.path, self.dropped)
        if self._error is not None:
            raise self._error


class TriggeredRecorder:
    """Records while something happens, from `around_s` before it to `around_s` after: the frames before are held.

    Frames come in the capture thread, `trigger` in any other.
    """

    def __init__(self, recorder: Recorder, around_s: float) -> None:
        self._recorder, self._around_s = recorder, around_s
        self._held: deque[Frame] = deque()
        self._bytes = 0
        self._until: float | None = None
        self._lock = threading.Lock()

    def trigger(self, time_s: float) -> None:
        """Something happened in the frame of that time."""
        with self._lock:
            self._until = max(time_s + self._around_s, self._until or 0.0)
            with contextlib.suppress(SinkError):  # whoever brings the next frame is told
                while self._held:
                    self._recorder(self._held.popleft(), held=True)
            self._bytes = 0

    def __call__(self, frame: Frame) -> None:
        """Record a frame, or hold it."""
        with self._lock:
            if self._until is not None and frame.time_s <= self._until:
                self._recorder(frame)
                return
            self._held.append(frame)
            self._bytes += frame.image.nbytes
            while frame.time_s - self._held[0].time_s > self._around_s or self._bytes > HELD_BYTES:
                self._bytes -= self._held.popleft().image.nbytes

    def close(self) -> None:
        """End the file. Raises SinkError."""
        self._recorder.close()


class RecordSwitch:
    """Recording that is started and stopped while a source runs; the last `before_s` seconds go into it too.

    Frames come in the capture thread, the rest is called by whoever owns the switch.
    """

    def __init__(self, before_s: float = 0.0) -> None:
        self._before_s = before_s
        self._held: deque[Frame] = deque()
        self._bytes = 0
        self._recorder: Recorder | None = None
        self._lock = threading.Lock()
        self.error: SinkError | None = None
        """Why a recording ended by itself."""

    @property
    def on(self) -> bool:
        """Whether frames are being recorded."""
        return self._recorder is not None

    def start(self, path: Path) -> None:
        """Record into a new file. Raises SinkError."""
        recorder = Recorder(path, force=False)
        with self._lock:
            self.error, self._recorder = None, recorder
            with contextlib.suppress(SinkError):  # the next frame tells
                while self._held:
                    recorder(self._held.popleft(), held=True)
            self._bytes = 0

    def stop(self) -> int:
        """End the file; returns the frames that the encoder had no time for. Raises SinkError."""
        with self._lock:
            recorder, self._recorder = self._recorder, None
        if recorder is None:
            return 0
        recorder.close()
        return recorder.dropped

    def __call__(self, frame: Frame) -> None:
        """Record a frame, or hold it for a while. A file that cannot be written on ends, not the source."""
        with self._lock:
            if self._recorder is not None:
                try:
                    self._recorder(frame)
                except SinkError as error:  # its thread has ended, and closed the file
                    self.error, self._recorder = error, None
                return
            self._held.append(frame)
            self._bytes += frame.image.nbytes
            while frame.time_s - self._held[0].time_s > self._before_s or self._bytes > HELD_BYTES:
                self._bytes -= self._held.popleft().image.nbytes

    def close(self) -> None:
        """End what is being recorded, and let go of what was held. Raises SinkError."""
        self._held.clear()
        self._bytes = 0
        self.stop()
