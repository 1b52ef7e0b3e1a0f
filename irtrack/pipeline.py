"""From frames to results: `process` as a pure generator, `Pipeline` with its two threads.

Capture thread: iterates the source into a channel. Worker thread: detects, tracks, writes sinks. Back-pressure comes
from the source's `live` attribute alone.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

from irtrack.channel import Channel, Closed
from irtrack.config import TrackerSettings
from irtrack.core import (
    Attentive,
    Detector,
    Forgetful,
    Frame,
    FrameResult,
    Sink,
    Source,
    Stoppable,
    Tracker,
    Tracks,
)

log = logging.getLogger(__name__)

FILE_CAPACITY = 4
JOIN_DEADLINE_S = 10.0
LEAVE_S = 1.5
"""A capture thread that is stuck in its source is left behind so long after a stop."""


@runtime_checkable
class Configured(Protocol):
    """A tracker that says its settings."""

    settings: TrackerSettings


def process_frame(
    frame: Frame, detector: Detector, tracker: Tracker, dropped: int = 0, captured_s: float = 0.0
) -> FrameResult:
    """Detect and track one frame, with the milliseconds of each stage."""
    start = time.perf_counter()
    if isinstance(detector, Attentive):
        detector.expect(frame.time_s)
    detections = detector(frame.image)
    detected = time.perf_counter()
    tracks = tracker(detections, frame.time_s, frame.image)
    tracked = time.perf_counter()
    stage_ms = {"detect": 1e3 * (detected - start), "track": 1e3 * (tracked - detected)}
    if isinstance(detector, Attentive):
        detector.look_at(tracks, tracked - detected)
    settings = tracker.settings if isinstance(tracker, Configured) else None
    scene = tracks.scene if isinstance(tracks, Tracks) else None
    return FrameResult(frame, detections, tracks, stage_ms, dropped, captured_s, settings, scene)


def process(frames: Iterable[Frame], detector: Detector, tracker: Tracker) -> Iterator[FrameResult]:
    """The whole chain without threads; lazy."""
    for frame in frames:
        yield process_frame(frame, detector, tracker)


class State(StrEnum):
    """Where a pipeline stands; the last three are final."""

    READY = "ready"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


class Pipeline:
    """Runs a source through detector, tracker and sinks in two threads.

    Without a detector, frames are captured and wait for one to be given. Closes the source and the sinks however it
    ends. A sink that fails is closed and left out; the others go on, and its error is the run's.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector | None,
        tracker: Tracker,
        sinks: Sequence[Sink] = (),
        on_result: Callable[[FrameResult], None] | None = None,
    ) -> None:
        self.source, self.detector, self.tracker, self.sinks = source, detector, tracker, tuple(sinks)
        self.captured = self.processed = 0
        self.last_captured_s = 0.0
        """When the newest frame came in, on the monotonic clock."""
        self._frames: Channel[tuple[Frame, float]] = Channel(1 if source.live else FILE_CAPACITY, source.live)
        self._on_result = on_result
        self._control = threading.Condition()
        self._stopping = False
        self._final: State | None = None
        self._error: BaseException | None = None
        self.failures: list[BaseException] = []
        """Of the sinks, while the run goes on: when it ends, it has failed."""
        self._open_sinks = list(sinks)
        self._connection = 0
        # Set when nothing is read any more, and when the threads are at their end, whatever became of them. A join that
        # a signal breaks off is of no use: Python 3.11 then takes a live thread for one that has ended.
        self._read_out, self._captured, self._worked = threading.Event(), threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._to_the_end, args=a, name=f"irtrack-{name}", daemon=True)
            for name, *a in (("capture", self._capture, self._captured), ("worker", self._work, self._worked))
        ]
        self._started = False

    # -- what the owner calls -------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        with self._control:
            if self._final is not None:
                return self._final
            return State.RUNNING if self._started else State.READY

    @property
    def error(self) -> BaseException | None:
        """The first error of any thread."""
        return self._error

    @property
    def dropped(self) -> int:
        """Frames that a live source delivered and the worker never saw."""
        return self._frames.dropped

    def start(self) -> Pipeline:
        self._started = True
        for thread in self._threads:
            thread.start()
        return self

    def give(self, detector: Detector) -> None:
        """Detect with this from the next frame on."""
        with self._control:
            self.detector = detector
            self._control.notify_all()

    def stop(self) -> None:
        """Ask both threads to end; returns at once. What waits in the channel is not processed."""
        with self._control:
            self._stopping = True
            self._control.notify_all()
        self._frames.close(discard=True)
        if isinstance(self.source, Stoppable):
            self.source.stop()

    def join(self, timeout: float | None = None) -> State:
        """Wait for the end. Re-raises the first error; raises TimeoutError where it has not come by then."""
        if self._started:
            if not self._worked.wait(timeout):
                raise TimeoutError(f"still running after {timeout} s")
            for thread, ended in zip(self._threads, (self._captured, self._worked), strict=True):
                if ended.is_set():
                    thread.join(1.0)  # what is left of it is a step or two
        if not self._started and self._final is None:
            self._close_source()
            for sink in self._open_sinks:
                self._close_sink(sink)
            self._final = State.FAILED if self._error else State.STOPPED
        if self._error is not None:
            raise self._error
        assert self._final is not None
        return self._final

    def close(self) -> None:
        """Stop and wait, without raising the error of the run."""
        self.stop()
        try:
            self.join(JOIN_DEADLINE_S)
        except TimeoutError as error:
            log.error("%s", error)
        except BaseException as error:
            log.debug("closed after %r", error)

    def _to_the_end(self, work: Callable[[], None], ended: threading.Event) -> None:
        """What a thread does: its error is kept, and that it has ended is told, whatever happens."""
        try:
            work()
        except Closed:
            pass
        except BaseException as error:
            self._fail(error)
        finally:
            ended.set()

    # -- capture thread -------------------------------------------------------------------------------------------

    def _capture(self) -> None:
        try:
            self._read()
        except BaseException as error:
            if not isinstance(error, Closed):
                self._fail(error)
        finally:
            self._frames.close()  # frames already read are still processed
            self._read_out.set()
            self._close_source()

    def _read(self) -> None:
        """Read on until the end or a stop."""
        iterator = iter(self.source)
        try:
            for frame in iterator:
                if self._stopping:
                    return
                self.captured += 1
                self.last_captured_s = time.monotonic()
                self._frames.put((frame, self.last_captured_s))
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    # -- worker thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            with self._control:
                self._control.wait_for(lambda: self._stopping or self.detector is not None)
            while not self._stopping:
                frame, captured_s = self._frames.get()
                if frame.connection != self._connection:
                    self._connection = frame.connection
                    self.tracker.reset()
                    if isinstance(self.detector, Forgetful):
                        self.detector.forget()
                assert self.detector is not None
                self._publish(process_frame(frame, self.detector, self.tracker, self._frames.dropped, captured_s))
        except BaseException as error:
            if not isinstance(error, Closed):
                self._fail(error)
        finally:
            self._end()

    def _end(self) -> None:
        """The worker's last acts: no more frames are wanted, the logs are closed, the capture thread is waited for."""
        with self._control:
            self._stopping = self._stopping or self._error is not None
            stopped = self._stopping
            self._control.notify_all()
        if stopped:
            self.stop()
        try:
            for sink in self._open_sinks:
                self._close_sink(sink)
            if self._read_out.wait(LEAVE_S if stopped else JOIN_DEADLINE_S):
                self._captured.wait()  # a recording is finished, however much of it waits
            else:
                log.warning("%s does not let go: it is left behind", self.source.info.name)
        finally:
            if self._error is None and self.failures:
                self._error = self.failures[0]
            with self._control:
                self._final = State.FAILED if self._error else State.STOPPED if stopped else State.FINISHED

    def _publish(self, result: FrameResult) -> None:
        for sink in tuple(self._open_sinks):
            try:
                sink.write(result)
            except Exception as error:
                self._drop(sink, error)
        self.processed += 1
        if self._on_result is not None:
            self._on_result(result)

    # -- ends -----------------------------------------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        with self._control:
            if self._error is None:
                self._error = error
            else:
                log.error("a later error: %s", error)

    def _drop(self, sink: Sink, error: Exception) -> None:
        """A sink that failed is closed; the others go on."""
        self._open_sinks.remove(sink)
        self.failures.append(error)
        with contextlib.suppress(Exception):
            sink.close()

    def _close_sink(self, sink: Sink) -> None:
        try:
            sink.close()
        except BaseException as error:
            self._fail(error)

    def _close_source(self) -> None:
        try:
            self.source.close()
        except BaseException as error:
            self._fail(error)
