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
from irtrack.pipeline import FILE_CAPACITY, Pipeline, State, process


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
    reconnects_at: int | None = None
    info: SourceInfo = field(default_factory=lambda: SourceInfo("fake", 8, 8, 8, 30.0, None))

    def __iter__(self) -> Iterator[Frame]:
        while self.next < self.count:
            i, self.next = self.next, self.next + 1
            if i == self.fail_at:
                raise SourceError("the source broke")
            if self.delay_s:
                time.sleep(self.delay_s)
            connection = int(self.reconnects_at is not None and i >= self.reconnects_at)
            yield Frame(i, i / 30, np.full((8, 8), i % 255, np.uint8), connection)

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


def test_frames_wait_for_a_detector_that_comes_later() -> None:
    source, sink = FakeSource(30), FakeSink()
    pipeline = Pipeline(source, None, FakeTracker(), [sink]).start()
    wait_for(lambda: pipeline.captured > FILE_CAPACITY)  # as many as wait, and the one that finds no room
    assert (pipeline.state, sink.frames) == (State.RUNNING, [])
    pipeline.give(FakeDetector())
    assert pipeline.join(10) is State.FINISHED
    assert sink.frames == list(range(30))
    check_closed(source, sink)


def test_stop_while_there_is_no_detector() -> None:
    for source in (FakeSource(30), FakeSource(30, live=True), FakeSource(0), FakeSource(fail_at=0)):
        sink = FakeSink()
        pipeline = Pipeline(source, None, FakeTracker(), [sink]).start()
        wait_for(lambda: pipeline.captured > 0 or source.closed > 0)  # noqa: B023
        pipeline.close()
        assert pipeline.state is (State.STOPPED if source.fail_at is None else State.FAILED)
        check_closed(source, sink)


def test_a_lost_connection_makes_identities_anew() -> None:
    source, tracker = FakeSource(30, reconnects_at=12), FakeTracker()
    assert Pipeline(source, FakeDetector(), tracker).start().join(10) is State.FINISHED
    assert tracker.resets == 1


def test_random_faults_never_hang() -> None:
    """Hundreds of random fault times, speeds and stops: no hang, no thread left, everything closed."""
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
        late = r.random() < 0.3
        pipeline = Pipeline(source, None if late else detector, FakeTracker(), sinks)
        if r.random() < 0.95:
            pipeline.start()
        if r.random() < 0.7:
            time.sleep(r.random() * 0.01)
        if late and r.random() < 0.7:
            pipeline.give(detector)
            time.sleep(r.random() * 0.01)
        pipeline.stop()
        try:
            pipeline.join(10)
        except (Boom, SourceError):
            assert pipeline.state is State.FAILED
        check_closed(source, *sinks)
