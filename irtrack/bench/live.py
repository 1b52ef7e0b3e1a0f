"""A camera of 640x512 at 30 frames a second, simulated: how many of its frames become results, and how late."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from irtrack.bench.report import Row
from irtrack.build import make_detector, make_tracker
from irtrack.capture.sim import SimCamera
from irtrack.config import DetectorSettings, Settings
from irtrack.core import FrameResult, IrtrackError
from irtrack.pipeline import Pipeline

FPS = 30.0
SECONDS = 20.0
SETTLED_S = 3.0
"""The first frame is seen whole and the rest of the start-up with it; not counted."""


def run(seconds: float = SECONDS, mode: str = "auto") -> Iterator[Row]:
    """Interval between results, latency from capture to result, and the frames of a scan. Raises IrtrackError where
    there are too few results."""
    camera = SimCamera("clutter,width=640,height=512,targets=3,scr=12,seed=3", round(seconds * FPS))
    settings = Settings(detector=DetectorSettings(weights="datransnet-s", device="cpu", mode=mode))
    detector = make_detector(settings, camera)
    done: list[tuple[float, float]] = []

    def note(result: FrameResult) -> None:
        now = time.monotonic()
        done.append((now, 1e3 * (now - result.captured_s)))

    pipeline = Pipeline(camera, detector, make_tracker(settings), (), on_result=note)
    pipeline.start().join()
    at, latency = np.array(done).reshape(-1, 2).T
    late = at > at.min(initial=np.inf) + SETTLED_S
    if late.sum() < 2:
        raise IrtrackError(
            f"{len(at)} results in {seconds:g} s are too few to measure: this machine is too slow or busy"
        )
    interval = 1e3 * (at[late][-1] - at[late][0]) / (late.sum() - 1)
    threads, size = torch.get_num_threads(), "640x512"
    scan = f"datransnet-s {mode}, all in {detector.status().scan_frames} frames"
    yield Row("interval", detector.backend, scan, size, threads, float(interval))
    yield Row("latency p50", detector.backend, scan, size, threads, float(np.percentile(latency[late], 50)))
    yield Row("latency p95", detector.backend, scan, size, threads, float(np.percentile(latency[late], 95)))
