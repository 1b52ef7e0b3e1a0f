"""The tracker's CPU time a frame for many targets, beside other trackers where they are installed.

Targets drift and turn back at the borders; 5 % of the detections are missing, 2 % more are clutter. Every tracker gets
the same frames, a few in turn, and the positions of its confirmed tracks are read after each. roboflow's `trackers`
comes with the extra `bench`; norfair asks for numpy 1 and works beside numpy 2: `pip install --no-deps norfair`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from irtrack.bench.report import Row, median_ms
from irtrack.config import TrackerSettings
from irtrack.core import Detections, Floats
from irtrack.track.tracker import KalmanTracker

FPS = 30.0
SIZES = ((4096, 4096), (640, 512))
COUNTS = (10, 100, 1000, 5000)

Step = Callable[[Detections, float], object]


def scene(targets: int, width: int, height: int, frames: int, seed: int = 0) -> Iterator[Detections]:
    """Detections of each frame."""
    rng, size = np.random.default_rng(seed), np.array([width, height], float)
    xy, velocity = rng.uniform(0, 1, (targets, 2)) * size, rng.normal(0, 30, (targets, 2))
    for _ in range(frames):
        xy = xy + velocity / FPS
        velocity[(xy < 0) | (xy > size)] *= -1
        xy = np.clip(xy, 0, size)
        seen = xy[rng.random(targets) > 0.05]
        clutter = rng.uniform(0, 1, (rng.poisson(0.02 * targets), 2)) * size
        z = np.concatenate([seen + rng.normal(0, 0.5, seen.shape), clutter])
        rng.shuffle(z)
        n = len(z)
        box = np.column_stack([z - 1.5, np.full((n, 2), 3.0)])
        yield Detections(z, np.ones(n), np.full(n, 9.0), box, np.full(n, 9.0))


def ours() -> Step:
    """irtrack's tracker with its defaults."""
    tracker = KalmanTracker(TrackerSettings())

    def step(detections: Detections, time_s: float) -> Floats:
        tracks = tracker(detections, time_s)
        return tracks.x[tracks.confirmed]

    return step


def norfair() -> Step:
    """norfair with Euclidean distance. Raises ImportError where it is not installed."""
    from norfair import Detection, Tracker

    tracker = Tracker(distance_function="euclidean", distance_threshold=15)

    def step(detections: Detections, time_s: float) -> object:
        return [t.estimate for t in tracker.update([Detection(xy[None]) for xy in detections.xy_px])]

    return step


def roboflow() -> Step:
    """SORT of roboflow's `trackers`. Raises ImportError where it is not installed."""
    import supervision
    from trackers import SORTTracker

    tracker = SORTTracker(frame_rate=FPS)

    def step(detections: Detections, time_s: float) -> object:
        xyxy = np.column_stack([detections.xy_px - 3, detections.xy_px + 3])
        found = supervision.Detections(xyxy, confidence=detections.score, class_id=np.zeros(len(xyxy), int))
        return tracker.update(found)

    return step


OTHERS: dict[str, Callable[[], Step]] = {"norfair": norfair, "roboflow SORT": roboflow}
SLOW_ABOVE = 1000
"""Targets beyond which the others, which need seconds a frame, are left out."""


TURN = 4
"""Frames that a tracker gets at a time; the first, which finds the caches full of another's data, is not counted."""


def timed(step: Step, detections: Detections, time_s: float) -> float:
    """CPU seconds of one frame."""
    start = time.process_time()
    step(detections, time_s)
    return time.process_time() - start


def run(frames_at_most: int = 120) -> Iterator[Row]:
    """A row for each size, number of targets and tracker."""
    for width, height in SIZES:
        for targets in COUNTS:
            frames = max(24, min(frames_at_most, 40_000 // targets))
            steps = {"irtrack": ours()}
            for name, make in OTHERS.items():
                if targets <= SLOW_ABOVE:
                    try:
                        steps[name] = make()
                    except ImportError:
                        continue
            taken: dict[str, list[float]] = {name: [] for name in steps}
            shown = list(enumerate(scene(targets, width, height, frames)))
            for first in range(0, frames, TURN):
                for name, step in steps.items():
                    seconds = [timed(step, detections, i / FPS) for i, detections in shown[first : first + TURN]]
                    taken[name] += seconds[1:]
            settled = {name: median_ms(t[len(t) // 2 :]) for name, t in taken.items()}
            for name, value in settled.items():
                ratio = None if len(settled) == 1 else value / settled["irtrack"]
                yield Row("tracker", name, f"{targets} targets", f"{width}x{height}", 1, value, ratio)
