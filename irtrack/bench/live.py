"""A camera of 640x512 at 30 frames a second, simulated: how many of its frames become results, and how late."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from irtrack.bench.report import Row
from irtrack.build import make_detector, make_tracker
from irtrack.config import DetectorSettings, Settings
from irtrack.core import Frame, FrameResult, SourceInfo
from irtrack.pipeline import Pipeline
from irtrack.simulate import Scene, scene_from_text

FPS = 30.0
SECONDS = 20.0
SETTLED_S = 3.0
"""The first frame is seen whole and the rest of the start-up with it; not counted."""


class Camera:
    """A live source that delivers a frame when it is due, never earlier, whether or not anybody is ready."""

    live = True

    def __init__(self, scene: str, seconds: float) -> None:
        made = Scene(scene_from_text(scene))
        self._images = [made.image(i) for i in range(made.settings.frames)]
        self._count = round(seconds * FPS)
        height, width = self._images[0].shape
        self.info = SourceInfo(scene, width, height, 8, FPS, None)

    def __iter__(self) -> Iterator[Frame]:
        """Frames at their times; the pictures go forth and back, so that nothing jumps."""
        start, n = time.monotonic(), len(self._images)
        for i in range(self._count):
            time.sleep(max(0.0, start + i / FPS - time.monotonic()))
            k = i % (2 * n)
            yield Frame(i, i / FPS, self._images[k if k < n else 2 * n - 1 - k])

    def seek(self, index: int) -> None:
        """A camera cannot."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to give back."""


def run(seconds: float = SECONDS, mode: str = "auto") -> Iterator[Row]:
    """Interval between results, latency from capture to result, and the frames of a scan."""
    camera = Camera("clutter,width=640,height=512,targets=3,scr=12,seed=3", seconds)
    settings = Settings(detector=DetectorSettings(weights="datransnet-s", device="cpu", mode=mode))
    detector = make_detector(settings, camera)
    done: list[tuple[float, float]] = []

    def note(result: FrameResult) -> None:
        now = time.monotonic()
        done.append((now, 1e3 * (now - result.captured_s)))

    pipeline = Pipeline(camera, detector, make_tracker(settings), (), on_result=note)
    pipeline.start().join()
    at, latency = (np.array(v) for v in zip(*done, strict=True))
    late = at > at[0] + SETTLED_S
    interval = 1e3 * (at[late][-1] - at[late][0]) / (late.sum() - 1)
    threads, size = torch.get_num_threads(), "640x512"
    scan = f"datransnet-s {mode}, all in {getattr(detector, 'scan_frames', 1)} frames"
    yield Row("interval", "torch", scan, size, threads, float(interval))
    yield Row("latency p50", "torch", scan, size, threads, float(np.percentile(latency[late], 50)))
    yield Row("latency p95", "torch", scan, size, threads, float(np.percentile(latency[late], 95)))
