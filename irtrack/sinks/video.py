"""Annotated H.264 video, written so that a killed run leaves a file that plays."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av

from irtrack.config import DisplaySettings
from irtrack.core import FrameResult, SinkError
from irtrack.imaging.agc import Agc
from irtrack.paths import ffmpeg_url
from irtrack.sinks.draw import annotate
from irtrack.sinks.target import Target, claimed, reason

TIME_BASE = Fraction(1, 90_000)


FORMATS = {".mkv": "matroska", ".mp4": "mp4", ".mov": "mov"}


def check_video_name(path: Path) -> str:
    """FFmpeg's name of the kind of file. Raises SinkError."""
    if path.suffix.lower() not in FORMATS:
        raise SinkError(f"{path}: annotated video is written as .mkv or .mp4")
    return FORMATS[path.suffix.lower()]


class VideoSink:
    """H.264 in Matroska (.mkv) or fragmented MP4 (.mp4, .mov): real presentation times, flushed as it goes.

    Small frames are enlarged by a whole factor so that outlines and numbers can be read.
    """

    def __init__(
        self,
        path: Path | Target,
        force: bool = False,
        fps: float | None = None,
        display: DisplaySettings | None = None,
        label: Callable[[int], str] = str,
        trail: int | None = None,
        threads: int = 0,
    ) -> None:
        """`label` and `trail` as of `annotate`. `threads`: of the encoder; 0: as many as it likes."""
        display = display or DisplaySettings()
        self._agc, self._palette = Agc(display), display.palette
        self._label, self._trail, self._threads = label, trail, threads
        name = check_video_name(path.path if isinstance(path, Target) else path)
        self._target = claimed(path, force)
        self.path = self._target.path
        # A killed plain mp4 has no index and loses everything; fragments and clusters of a second do not.
        options = {"flush_packets": "1"}
        if name == "matroska":
            options |= {"cluster_time_limit": "500"}
        else:
            options |= {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}
        try:
            self._container = av.open(ffmpeg_url(self.path), "w", format=name, options=options)
        except (OSError, av.FFmpegError) as error:
            self._target.abandon()
            raise SinkError(f"cannot write {self.path}: {reason(error)}") from error
        self._fps = fps or 30.0
        self._stream: av.VideoStream | None = None
        self._scale, self._last_pts = 1, -1
        self._closed = False

    def _open_stream(self, height: int, width: int) -> av.VideoStream:
        self._scale = max(1, min(4, 720 // max(height, 1)))
        rate = Fraction(self._fps).limit_denominator(1000)
        stream = self._container.add_stream("libx264", rate=rate)
        stream.width, stream.height = width * self._scale // 2 * 2, height * self._scale // 2 * 2
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = TIME_BASE
        # Zero latency keeps no frames in the encoder, so what was processed is in the file.
        stream.options = {"preset": "veryfast", "crf": "20", "tune": "zerolatency"}
        stream.codec_context.thread_count = self._threads
        stream.codec_context.gop_size = max(1, round(self._fps / 2))
        return stream

    def write(self, result: FrameResult) -> None:
        """Encode one annotated frame. Raises SinkError; what was written stays."""
        try:
            if self._stream is None:
                self._stream = self._open_stream(*result.frame.image.shape)
            picture = annotate(result, self._scale, self._agc, self._palette, self._label, self._trail)[
                : self._stream.height, : self._stream.width
            ]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            pts = max(self._last_pts + 1, round(result.frame.time_s / TIME_BASE))
            frame.pts, frame.time_base = pts, TIME_BASE
            self._last_pts = pts
            self._container.mux(self._stream.encode(frame))
        except Exception as error:  # also a time beyond what the file can hold
            self._abandon()
            raise SinkError(f"cannot write on to {self.path}: {reason(error)}; what was written is kept") from error

    def _abandon(self) -> None:
        """After a failed write: let go of the file without trying to write to it again, as far as FFmpeg allows."""
        self._closed = True
        with contextlib.suppress(OSError, av.FFmpegError):
            self._container.close()
        self._target.release()

    def close(self) -> None:
        """Finish the file; may be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
            self._target.finish()
        except (OSError, av.FFmpegError) as error:
            self._abandon()
            raise SinkError(f"cannot finish {self.path}: {reason(error)}; what was written is kept") from error
