"""Clips round events: the last seconds are held in memory, and written with what follows once an event begins."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from irtrack.channel import Channel, Closed
from irtrack.config import DisplaySettings
from irtrack.core import FrameResult, SinkError, Tracks
from irtrack.sinks.record import WAITING, MatroskaWriter
from irtrack.sinks.target import Target, reason
from irtrack.sinks.video import VideoSink
from irtrack.station.clock import utc_of
from irtrack.station.disk import Disk
from irtrack.station.settings import ClipSettings

FIRST_BYTES = 1 << 16
"""More than the head of a file, and its first frame."""

SUFFIXES = {"video": ".mp4", "raw": ".mkv"}

log = logging.getLogger(__name__)


class Writing(Protocol):
    """A clip's file."""

    def write(self, result: FrameResult) -> None: ...

    def close(self) -> None: ...


class RawClip:
    """The frames as they came: FFV1 in Matroska."""

    def __init__(self, target: Target) -> None:
        self._target = target
        try:
            self._out = MatroskaWriter(target.path)
        except Exception as error:
            target.abandon()
            raise SinkError(f"cannot write {target.path}: {reason(error)}") from error

    def write(self, result: FrameResult) -> None:
        """Add a frame. Raises SinkError."""
        try:
            self._out.write(result.frame)
        except Exception as error:
            raise SinkError(f"cannot write on to {self._target.path}: {reason(error)}") from error

    def close(self) -> None:
        """End it. Raises SinkError."""
        try:
            self._out.close()
            self._target.finish()
        except Exception as error:
            self._target.release()
            raise SinkError(f"cannot finish {self._target.path}: {reason(error)}") from error


class ClipSink:
    """An output of a camera's pipeline; `begin` and `end` are called in its worker, before a frame is written.

    Never raises: a clip that cannot be written is said, counted and left as far as it is. A thread of its own encodes.
    """

    def __init__(
        self, camera: str, settings: ClipSettings, folder: Path, disk: Disk, display: DisplaySettings, fps: float | None
    ) -> None:
        """`folder`: of the station; a clip is `clips/CAMERA/DAY/TIME-CAMERA.mp4` in it."""
        self._camera, self._settings, self._folder, self._disk = camera, settings, folder, disk
        self._display, self._fps = display, fps
        self._ring: deque[FrameResult] = deque()
        self._ring_bytes = 0
        self._going: set[int] = set()
        self._from_s = 0.0
        self._until_s: float | None = None
        self._path: Path | None = None
        self._short = False
        self.written = self.dropped = self.failed = 0
        """Clips that are whole, frames that the encoder had no time for, clips that could not be written."""
        self._jobs: Channel[FrameResult | Path | None] = Channel(WAITING)
        self._ended = threading.Event()
        threading.Thread(target=self._encode, name=f"irtrack-clips-{camera}", daemon=True).start()

    # -- in the worker --------------------------------------------------------------------------------------------

    def begin(self, track: int, time_s: float, captured_s: float) -> str | None:
        """An event begins with the frame of that time: the clip that it is in, as the database names it, or None."""
        if self._path is not None and time_s - self._from_s > self._settings.longest_s:
            self._finish()
        if self._path is None:
            if self._disk.full:
                return None
            self._start(time_s, captured_s)
        self._going.add(track)
        self._until_s = time_s + self._settings.after_s
        assert self._path is not None
        return self._path.relative_to(self._folder).as_posix()

    def end(self, track: int) -> None:
        """An event is over."""
        self._going.discard(track)

    def _start(self, time_s: float, captured_s: float) -> None:
        if self._ring:
            time_s, captured_s = self._ring[0].frame.time_s, self._ring[0].captured_s
        utc = utc_of(captured_s)
        name = f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond // 1000:03d}Z-{self._camera}{SUFFIXES[self._settings.kind]}"
        self._path = self._disk.clips_folder / self._camera / f"{utc:%Y-%m-%d}" / name
        self._from_s = time_s
        self._disk.begin(self._path)
        self._offer(self._path, beyond=True)
        for held in self._ring:
            self._offer(held, beyond=True)

    def _finish(self) -> None:
        self._path, self._until_s = None, None
        self._going.clear()  # one that goes on has the clip in which it began
        self._offer(None, beyond=True)

    def write(self, result: FrameResult) -> None:
        """Take a frame: into the clip that is open, and into the memory of the last seconds."""
        if self._ring and result.frame.connection != self._ring[-1].frame.connection:
            self._forget()
        result, now_s = slim(result), result.frame.time_s
        if self._path is not None:
            if self._going:
                self._until_s = now_s + self._settings.after_s
            over = self._until_s is not None and now_s > self._until_s
            if over or now_s - self._from_s > self._settings.longest_s:
                self._finish()
            else:
                self._offer(result)
        self._hold(result)

    def _hold(self, result: FrameResult) -> None:
        """In memory, no more seconds and bytes than is set."""
        self._ring.append(result)
        self._ring_bytes += result.frame.image.nbytes
        while self._ring and result.frame.time_s - self._ring[0].frame.time_s > self._settings.before_s:
            self._ring_bytes -= self._ring.popleft().frame.image.nbytes
        while len(self._ring) > 1 and self._ring_bytes > self._settings.memory_mb * 1e6:
            if not self._short:
                self._short = True
                log.warning(
                    "camera %s: memory_mb = %d holds less than the %g s before an event",
                    self._camera, self._settings.memory_mb, self._settings.before_s,
                )  # fmt: skip
            self._ring_bytes -= self._ring.popleft().frame.image.nbytes

    def _forget(self) -> None:
        """Another connection: the seconds before it, and the clip of it, end."""
        self._ring.clear()
        self._ring_bytes = 0
        if self._path is not None:
            self._finish()

    def _offer(self, job: FrameResult | Path | None, beyond: bool = False) -> None:
        try:
            if not self._jobs.offer(job, beyond):
                self.dropped += 1
        except Closed:
            return

    def close(self) -> None:
        """End the clip that is open; what waits for the encoder is written."""
        if self._path is not None:
            self._finish()
        self._jobs.close()
        self._ended.wait()
        self._forget()

    # -- in the encoder's thread ----------------------------------------------------------------------------------

    def _encode(self) -> None:
        clip: Clip | None = None
        try:
            while True:
                job = self._jobs.get()
                if isinstance(job, Path):
                    clip = Clip(job, self._open)
                elif clip is not None and job is not None:
                    clip.write(job)
                elif clip is not None:
                    self._let_go(clip)
                    clip = None
        except Closed:
            pass
        finally:
            if clip is not None:
                self._let_go(clip)
            self._ended.set()

    def _open(self, path: Path) -> Writing:
        """Raises SinkError, OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try_room(path)
        if self._settings.kind == "raw":
            return RawClip(Target(path, force=True))
        return VideoSink(path, force=True, fps=self._fps, display=self._display, threads=1)

    def _let_go(self, clip: Clip) -> None:
        """It is over, and may be removed now; what is empty goes at once."""
        clip.close()
        self._disk.end(clip.path)
        if clip.error is None:
            self.written += 1
            return
        self.failed += 1
        log.warning("camera %s: a clip is incomplete: %s", self._camera, clip.error)
        with contextlib.suppress(OSError):
            if clip.path.stat().st_size == 0:
                clip.path.unlink()


class Clip:
    """One clip while it is written; with the first error it is left as far as it is. Its times begin at 0."""

    def __init__(self, path: Path, open_: Callable[[Path], Writing]) -> None:
        self.path = path
        self.error: Exception | None = None
        self._start_s: float | None = None
        self._out: Writing | None = None
        try:
            self._out = open_(path)
        except Exception as error:
            self.error = error

    def write(self, result: FrameResult) -> None:
        """Add a frame."""
        if self._out is None or self.error is not None:
            return
        frame = result.frame
        self._start_s = frame.time_s if self._start_s is None else self._start_s
        try:
            self._out.write(replace(result, frame=replace(frame, time_s=frame.time_s - self._start_s)))
        except Exception as error:
            self.error = error

    def close(self) -> None:
        """End the file."""
        try:
            if self._out is not None:
                self._out.close()
        except Exception as error:
            self.error = self.error or error


def try_room(path: Path) -> None:
    """Make the file of a clip, where there is room to begin one: FFmpeg never lets go of a file whose first bytes it
    cannot write. Raises OSError."""
    with path.open("xb", buffering=0) as file:
        block = memoryview(bytes(FIRST_BYTES))
        while block:
            block = block[file.write(block) :]
        file.truncate(0)


def slim(result: FrameResult) -> FrameResult:
    """A result with its picture, but without what only the live picture needs."""
    tracks = result.tracks.unmade() if isinstance(result.tracks, Tracks) else result.tracks
    return replace(result, tracks=tracks, detections=replace(result.detections, mask=None, scores=None))
