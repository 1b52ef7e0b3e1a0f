"""From frames to results: `process` as a pure generator, `Pipeline` with its two threads, pause, step and seek.

Capture thread: iterates the source into `frames`. Worker thread: detects, tracks, writes sinks, publishes to `latest`.
Back-pressure comes from the source's `live` attribute alone.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum

from irtrack.channel import Channel, Closed
from irtrack.core import (
    Attentive,
    Detections,
    Detector,
    Forgetful,
    Frame,
    FrameResult,
    Remembering,
    Sink,
    Source,
    Stoppable,
    Track,
    Tracker,
    TrackStatus,
)

log = logging.getLogger(__name__)

FILE_CAPACITY = 4
JOIN_DEADLINE_S = 10.0
LEAVE_S = 1.5
"""A capture thread that is stuck in its source is left behind so long after a stop."""


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
    return FrameResult(frame, detections, tracks, stage_ms, dropped, captured_s)


def process(frames: Iterable[Frame], detector: Detector, tracker: Tracker) -> Iterator[FrameResult]:
    """The whole chain without threads; lazy."""
    for frame in frames:
        yield process_frame(frame, detector, tracker)


class State(StrEnum):
    """Where a pipeline stands; the last three are final."""

    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


class Pipeline:
    """Runs a source through detector, tracker and sinks in two threads.

    With `hold`, the end of a recording is not the end of the run: the pipeline waits for a seek or a stop. Without a
    detector, frames are captured and wait for one to be given. With `speed`, recordings are shown no faster than that
    multiple of real time. Closes the source and the sinks however it ends. A sink that fails is closed and left out;
    the others go on, and its error is the run's.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector | None,
        tracker: Tracker,
        sinks: Sequence[Sink] = (),
        *,
        hold: bool = False,
        paused: bool = False,
        speed: float | None = None,
        on_result: Callable[[FrameResult], None] | None = None,
    ) -> None:
        self.source, self.detector, self.tracker, self.sinks = source, detector, tracker, tuple(sinks)
        self.hold, self.speed = hold and not source.live, speed
        self.latest: Channel[FrameResult] = Channel(1, drop_oldest=True)
        self.captured = self.processed = 0
        self.last_captured_s = 0.0
        """When the newest frame came in, on the monotonic clock."""
        self._frames: Channel[tuple[int, Frame, float]] = Channel(1 if source.live else FILE_CAPACITY, source.live)
        self._on_result = on_result
        self._control = threading.Condition()
        self._paused, self._steps = paused and not source.live, 0
        self._again: FrameResult | None = None
        self._epoch, self._target = 0, 0
        self._at_end = self._stopping = False
        self._final: State | None = None
        self._error: BaseException | None = None
        self._last: FrameResult | None = None
        self._clock: tuple[float, float] | None = None
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
            if not self._started:
                return State.READY
            return State.PAUSED if self._paused else State.RUNNING

    @property
    def at_end(self) -> bool:
        """Whether every frame up to the end of the recording has been processed (only with `hold`)."""
        return self._at_end

    @property
    def last_index(self) -> int | None:
        """Number of the frame processed last."""
        return self._last.frame.index if self._last is not None else None

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

    def pause(self) -> None:
        """Stop after the frame being processed; a live source goes on (freeze its display instead)."""
        with self._control:
            self._paused = not self.source.live
            self._control.notify_all()

    def resume(self) -> None:
        with self._control:
            self._paused, self._steps, self._clock = False, 0, None
            self._control.notify_all()

    def set_speed(self, speed: float | None) -> None:
        """Pace recordings anew; None: as fast as they go."""
        with self._control:
            self.speed, self._clock = speed, None
            self._control.notify_all()

    def step(self) -> None:
        """Process one more frame while paused."""
        with self._control:
            self._steps += 1
            self._control.notify_all()

    def refresh(self, result: FrameResult | None = None) -> None:
        """Detect the last frame, or that of `result`, again with the detector's present settings; tracks stay.

        Only while paused or at the end of a recording; what comes of it is shown and goes into no log.
        """
        with self._control:
            self._again = result or self._last
            self._control.notify_all()

    def seek(self, index: int) -> None:
        """Go on at frame `index` of a recording; identities start afresh. While paused, that one frame is shown."""
        with self._control:
            self._epoch += 1
            self._target, self._at_end, self._clock = index, False, None
            self._steps = 1 if self._paused else 0
            self._frames.clear()
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
        epoch = 0
        try:
            while not self._stopping:
                self._read(epoch)
                if self._stopping or not self.hold:
                    break
                with self._control:
                    while not self._stopping and self._epoch == epoch:
                        self._control.wait()
                    epoch, target = self._epoch, self._target
                if not self._stopping:
                    self.source.seek(target)
        except BaseException as error:
            if not isinstance(error, Closed):
                self._fail(error)
        finally:
            self._frames.close()  # frames already read are still processed
            self._read_out.set()
            self._close_source()

    def _read(self, epoch: int) -> None:
        """Read on until the end, a seek or a stop."""
        iterator = iter(self.source)
        try:
            for frame in iterator:
                if self._stopping or self._epoch != epoch:
                    return
                self.captured += 1
                self.last_captured_s = time.monotonic()
                self._frames.put((epoch, frame, self.last_captured_s))
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
        if self.hold and not self._stopping and self._epoch == epoch:
            self._frames.put((epoch, END, 0.0))

    # -- worker thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        epoch = 0
        try:
            while True:
                if not self._wait_for_turn():
                    break
                try:
                    of_epoch, frame, captured_s = self._frames.get(timeout=0.05)
                except TimeoutError:
                    continue
                with self._control:
                    if of_epoch != self._epoch:
                        continue
                    if frame is END:
                        self._at_end = True
                        continue
                    # Taken before the work, so that a frame in flight cannot use up a step or seek asked for later.
                    self._steps = max(0, self._steps - 1)
                if of_epoch != epoch:
                    epoch = of_epoch
                    self.tracker.reset()
                if frame.connection != self._connection:
                    self._connection = frame.connection
                    self.tracker.reset()
                    if isinstance(self.detector, Forgetful):
                        self.detector.forget()
                assert self.detector is not None
                result = process_frame(frame, self.detector, self.tracker, self._frames.dropped, captured_s)
                self._publish(result, of_epoch)
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
            self.latest.close()

    def _wait_for_turn(self) -> bool:
        """Wait while paused; serve refreshes. False when stopping."""
        while True:
            with self._control:
                self._control.wait_for(
                    lambda: (
                        self._stopping
                        or (self.detector is not None and (self._again or not self._paused or self._steps > 0))
                    )
                )
                if self._stopping:
                    return False
                again, self._again = self._again, None
                if again is None:
                    return True
            self._redetect(again)

    def _redetect(self, before: FrameResult) -> None:
        start = time.perf_counter()
        assert self.detector is not None
        look = self.detector.again if isinstance(self.detector, Remembering) else self.detector
        detections = look(before.frame.image)
        stage_ms = before.stage_ms | {"detect": 1e3 * (time.perf_counter() - start)}
        again = replace(before, detections=detections, tracks=relinked(before.tracks, detections), stage_ms=stage_ms)
        if self._last is not None and self._last.frame.index == before.frame.index:
            self._last = again
            self._show(again)
        else:  # a frame gone back to: what the tracker made of the frames since stands
            self.latest.put(again)

    def _publish(self, result: FrameResult, epoch: int) -> None:
        for sink in tuple(self._open_sinks):
            try:
                sink.write(result)
            except Exception as error:
                self._drop(sink, error)
        self.processed += 1
        self._pace(result.frame.time_s)
        self._last = result
        if self._epoch == epoch:
            self._show(result)

    def _show(self, result: FrameResult) -> None:
        if self._on_result is not None:
            self._on_result(result)
        self.latest.put(result)

    def _pace(self, time_s: float) -> None:
        """Wait until a recorded frame is due; after a late one the clock starts afresh, it never hurries."""
        if self.speed is None or self.source.live:
            return
        with self._control:
            now = time.monotonic()
            if self._clock is None or self._paused:
                self._clock = (now, time_s)
                return
            due = self._clock[0] + (time_s - self._clock[1]) / self.speed
            if due < now - 0.1 or due > now + 5:
                self._clock = (now, time_s)
                return
            epoch, speed = self._epoch, self.speed
            self._control.wait_for(
                lambda: self._stopping or self._paused or self._epoch != epoch or self.speed != speed,
                timeout=max(0.0, due - now),
            )

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


END = Frame(-1, 0.0, None)  # type: ignore[arg-type]
"""Put into the channel behind the last frame of a recording whose pipeline waits at the end."""


RELINK_PX = 4.0
"""A track keeps its detection where one of those that were made again is no further away than this."""


def relinked(tracks: Sequence[Track], detections: Detections) -> tuple[Track, ...]:
    """Tracks with the rows of detections that were made again; one whose detection is gone coasts."""
    return tuple(t if t.detection is None else linked(t, nearest(t, detections)) for t in tracks)


def linked(track: Track, row: int | None) -> Track:
    """A track with another detection, or none."""
    coasts = row is None and track.confirmed
    return replace(track, detection=row, status=TrackStatus.COASTING if coasts else track.status)


def nearest(track: Track, detections: Detections) -> int | None:
    """The row of the detection at a track's place."""
    if not len(detections):
        return None
    away = ((detections.xy_px - track.xy_px) ** 2).sum(1)
    row = int(away.argmin())
    return row if away[row] <= RELINK_PX**2 else None
