"""Order, back-pressure, faults and shutdown: each asserts that threads are gone and that everything is closed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from irtrack.core import Detections, Frame, FrameResult, Image, SourceError, SourceInfo, Track
from irtrack.pipeline import Pipeline, State, process


class Boom(Exception):
    """The fault that tests inject."""


@dataclass
class FakeSource:
    count: int = 30
    live: bool = False
    fail_at: int | None = None
    delay_s: float = 0.0
    closed: int = 0
    next: int = 0
    fail_close: bool = False
    info: SourceInfo = field(default_factory=lambda: SourceInfo("fake", 8, 8, 8, 30.0, None))

    def __iter__(self) -> Iterator[Frame]:
        while self.next < self.count:
            i, self.next = self.next, self.next + 1
            if i == self.fail_at:
                raise SourceError("the source broke")
            if self.delay_s:
                time.sleep(self.delay_s)
            yield Frame(i, i / 30, np.full((8, 8), i % 255, np.uint8))

    def seek(self, index: int) -> None:
        self.next = index

    def close(self) -> None:
        self.closed += 1
        if self.fail_close:
            raise Boom


@dataclass
class FakeDetector:
    threshold: float = 0.5
    delay_s: float = 0.0
    fail_at: int | None = None
    seen: list[int] = field(default_factory=list)

    def __call__(self, image: np.ndarray) -> Detections:  # type: ignore[type-arg]
        if self.fail_at is not None and int(image[0, 0]) >= self.fail_at:
            raise Boom
        self.seen.append(int(image[0, 0]))
        if self.delay_s:
            time.sleep(self.delay_s)
        return Detections.empty()


class FakeTracker:
    def __init__(self) -> None:
        self.resets = 0

    def __call__(self, detections: Detections, time_s: float, image: Image | None = None) -> tuple[Track, ...]:
        return ()

    def reset(self) -> None:
        self.resets += 1


@dataclass
class FakeSink:
    fail_at: int | None = None
    fail_close: bool = False
    frames: list[int] = field(default_factory=list)
    closed: int = 0

    def write(self, result: FrameResult) -> None:
        if result.frame.index == self.fail_at:
            raise Boom
        self.frames.append(result.frame.index)

    def close(self) -> None:
        self.closed += 1
        if self.fail_close:
            raise Boom


def ours() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name in ("irtrack-capture", "irtrack-worker")]


def check_closed(source: FakeSource, *sinks: FakeSink) -> None:
    assert ours() == []
    assert source.closed >= 1
    assert all(s.closed >= 1 for s in sinks)


def wait_for(condition: Callable[[], bool], timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.002)


def test_process_is_lazy_and_in_order() -> None:
    source = FakeSource(count=10**9)
    results = process(source, FakeDetector(), FakeTracker())
    assert [next(results).frame.index for _ in range(3)] == [0, 1, 2]
    assert source.next == 3


def test_every_frame_in_order() -> None:
    source, sink = FakeSource(200), FakeSink()
    assert Pipeline(source, FakeDetector(), FakeTracker(), [sink]).start().join(10) is State.FINISHED
    assert sink.frames == list(range(200))
    check_closed(source, sink)


def test_live_with_a_slow_detector_drops_and_stays_current() -> None:
    source, sink = FakeSource(200, live=True, delay_s=0.003), FakeSink()
    pipeline = Pipeline(source, FakeDetector(delay_s=0.03), FakeTracker(), [sink]).start()
    assert pipeline.join(10) is State.FINISHED
    assert sink.frames == sorted(sink.frames)
    assert sink.frames[-1] == 199  # the latest frame always wins
    assert pipeline.dropped == 200 - len(sink.frames) > 50
    check_closed(source, sink)


def test_stop_mid_file() -> None:
    source, sink = FakeSource(10**6), FakeSink()
    pipeline = Pipeline(source, FakeDetector(delay_s=0.001), FakeTracker(), [sink]).start()
    wait_for(lambda: len(sink.frames) > 5)
    pipeline.stop()
    assert pipeline.join(5) is State.STOPPED
    check_closed(source, sink)


def test_detector_raises() -> None:
    source, sink = FakeSource(), FakeSink()
    pipeline = Pipeline(source, FakeDetector(fail_at=7), FakeTracker(), [sink]).start()
    with pytest.raises(Boom):
        pipeline.join(5)
    assert pipeline.state is State.FAILED
    assert sink.frames == list(range(7))
    check_closed(source, sink)


def test_source_raises_after_frames_that_are_still_processed() -> None:
    source, sink = FakeSource(fail_at=20), FakeSink()
    pipeline = Pipeline(source, FakeDetector(delay_s=0.002), FakeTracker(), [sink]).start()
    with pytest.raises(SourceError):
        pipeline.join(5)
    assert sink.frames == list(range(20))
    check_closed(source, sink)


def test_a_sink_that_fails_is_closed_and_the_others_go_on_to_the_end() -> None:
    source, broken, other = FakeSource(60), FakeSink(fail_at=4), FakeSink()
    pipeline = Pipeline(source, FakeDetector(), FakeTracker(), [broken, other]).start()
    with pytest.raises(Boom):
        pipeline.join(5)
    assert pipeline.state is State.FAILED
    assert (broken.frames, broken.closed) == (list(range(4)), 1)
    assert other.frames == list(range(60))
    check_closed(source, broken, other)


def test_close_raises() -> None:
    for source, sink in ((FakeSource(fail_close=True), FakeSink()), (FakeSource(), FakeSink(fail_close=True))):
        with pytest.raises(Boom):
            Pipeline(source, FakeDetector(), FakeTracker(), [sink, FakeSink()]).start().join(5)
        assert sink.frames == list(range(30))
        check_closed(source, sink)


def test_first_error_is_the_one_raised() -> None:
    source, sink = FakeSource(fail_close=True), FakeSink(fail_close=True)
    source.fail_at = 0
    pipeline = Pipeline(source, FakeDetector(), FakeTracker(), [sink]).start()
    with pytest.raises(SourceError):
        pipeline.join(5)


def test_empty_source() -> None:
    source, sink = FakeSource(0), FakeSink()
    assert Pipeline(source, FakeDetector(), FakeTracker(), [sink]).start().join(5) is State.FINISHED
    check_closed(source, sink)


def test_stop_before_the_first_frame() -> None:
    source, sink = FakeSource(delay_s=0.2), FakeSink()
    pipeline = Pipeline(source, FakeDetector(), FakeTracker(), [sink]).start()
    pipeline.stop()
    assert pipeline.join(5) is State.STOPPED
    check_closed(source, sink)


def test_never_started() -> None:
    source, sink = FakeSource(), FakeSink()
    pipeline = Pipeline(source, FakeDetector(), FakeTracker(), [sink])
    pipeline.close()
    check_closed(source, sink)


def test_pause_step_resume() -> None:
    source, sink = FakeSource(1000), FakeSink()
    pipeline = Pipeline(source, FakeDetector(), FakeTracker(), [sink], hold=True, paused=True).start()
    time.sleep(0.1)
    assert sink.frames == []
    for n in (1, 2, 3):
        pipeline.step()
        wait_for(lambda n=n: len(sink.frames) == n)  # type: ignore[misc]
    time.sleep(0.05)
    assert sink.frames == [0, 1, 2]
    assert pipeline.state is State.PAUSED
    pipeline.resume()
    wait_for(lambda: pipeline.at_end)
    assert sink.frames == list(range(1000))
    pipeline.close()
    check_closed(source, sink)


def test_seek_goes_on_there_with_fresh_identities() -> None:
    source, sink, tracker = FakeSource(100), FakeSink(), FakeTracker()
    pipeline = Pipeline(source, FakeDetector(), tracker, [sink], hold=True, paused=True).start()
    pipeline.step()
    wait_for(lambda: sink.frames == [0])
    pipeline.seek(60)
    wait_for(lambda: sink.frames == [0, 60])
    assert tracker.resets == 1
    pipeline.seek(5)
    pipeline.resume()
    wait_for(lambda: pipeline.at_end)
    assert sink.frames[2:] == list(range(5, 100)) or sink.frames[3:] == list(range(6, 100))
    pipeline.seek(98)  # also from the end
    wait_for(lambda: sink.frames[-2:] == [98, 99] and pipeline.at_end)
    pipeline.close()
    check_closed(source, sink)


def test_a_frame_in_flight_does_not_use_up_a_seek_or_step() -> None:
    source, sink, detector = FakeSource(100), FakeSink(), FakeDetector(delay_s=0.1)
    pipeline = Pipeline(source, detector, FakeTracker(), [sink], hold=True).start()
    wait_for(lambda: len(detector.seen) == 2)  # the second frame is being worked on now
    pipeline.pause()
    pipeline.seek(60)
    wait_for(lambda: sink.frames == [0, 1, 60])
    pipeline.resume()
    wait_for(lambda: len(detector.seen) == 4)
    pipeline.pause()
    pipeline.step()
    wait_for(lambda: sink.frames == [0, 1, 60, 61, 62])
    time.sleep(0.3)
    assert sink.frames == [0, 1, 60, 61, 62]
    pipeline.close()
    check_closed(source, sink)


def test_refresh_detects_again_without_logging_twice() -> None:
    source, sink, detector = FakeSource(100), FakeSink(), FakeDetector()
    pipeline = Pipeline(source, detector, FakeTracker(), [sink], hold=True, paused=True).start()
    pipeline.step()
    wait_for(lambda: sink.frames == [0])
    pipeline.refresh()
    wait_for(lambda: detector.seen == [0, 0])
    assert sink.frames == [0]
    pipeline.close()
    check_closed(source, sink)


def test_paced_to_real_time_and_never_hurries() -> None:
    source, sink = FakeSource(16), FakeSink()
    start = time.monotonic()
    Pipeline(source, FakeDetector(), FakeTracker(), [sink], speed=1.0).start().join(10)
    assert time.monotonic() - start > 0.45  # 15 intervals of 1/30 s
    assert sink.frames == list(range(16))


def test_random_faults_never_hang() -> None:
    """Hundreds of random fault times, speeds and commands: no hang, no thread left, everything closed."""
    for seed in range(300):
        r = random.Random(seed)

        def perhaps(chance: float, high: int, r: random.Random = r) -> int | None:
            return r.randrange(high) if r.random() < chance else None

        source = FakeSource(
            r.choice([0, 1, 5, 40]),
            r.random() < 0.4,
            perhaps(0.2, 40),
            r.choice([0, 0, 0.0005]),
            fail_close=r.random() < 0.1,
        )
        sinks = [FakeSink(perhaps(0.15, 40), r.random() < 0.1) for _ in range(r.randrange(3))]
        detector = FakeDetector(delay_s=r.choice([0, 0, 0.001]), fail_at=perhaps(0.2, 40))
        hold = r.random() < 0.5
        pipeline = Pipeline(source, detector, FakeTracker(), sinks, hold=hold, paused=r.random() < 0.2)
        if r.random() < 0.95:
            pipeline.start()
        for _ in range(r.randrange(6)):
            act = r.choice((pipeline.pause, pipeline.resume, pipeline.step, pipeline.refresh, None))
            if act is None:
                pipeline.seek(r.randrange(40))
                continue
            act()
            if r.random() < 0.5:
                time.sleep(r.random() * 0.004)
        if r.random() < 0.5:
            pipeline.resume()
            time.sleep(r.random() * 0.01)
        pipeline.stop()
        try:
            pipeline.join(10)
        except (Boom, SourceError):
            assert pipeline.state in (State.FAILED, State.STOPPED)
        check_closed(source, *sinks)
