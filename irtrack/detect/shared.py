"""One network for several cameras, in a thread of its own.

Each camera has a `view`: a detector whose limits, regions, levels, temporal stage and, in mode live, whose scan and
kept attention are its own. Only the passes through the network are made in the thread, one after the other; where
whole frames wait at the same time, they go through together.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from irtrack.config import DetectorSettings
from irtrack.core import Image, IrtrackError, Scores, Tracks
from irtrack.detect.detector import NetworkDetector, usable_cores
from irtrack.detect.live import LiveDetector, Memory

ANSWER_S = 120.0
"""Longest wait for an answer; more than the largest frames take on a slow machine."""


@dataclass(eq=False)
class Job:
    """A frame for the network: its input (H, W), or the raw frame where `view` says what of it to look at."""

    image: NDArray[Any]
    view: LiveView | None
    answer: Future[Scores]


class SharedDetector:
    """Runs a detector in a thread of its own, which ends with `close`, or when all views are closed or gone.

    The first of the frames that wait says which size goes next; others of that size, up to `most`, go with it.
    """

    def __init__(self, detector: NetworkDetector, most: int = 16) -> None:
        self.detector = detector
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._worker = Worker(self._jobs, detector, most)
        self._thread = threading.Thread(target=self._worker.work, name="irtrack-detect", daemon=True)
        self._closing = False
        self._thread.start()
        weakref.finalize(self, self._jobs.put, None)

    @property
    def batches(self) -> list[int]:
        """Frames of the last passes through the network, for reports; the newest hundred."""
        return self._worker.batches

    def view(
        self, settings: DetectorSettings | None = None, without: str = "", interval_s: float | None = None
    ) -> View:
        """A detector for one camera; `settings`: limits, regions, levels and stages, those of the detector by itself.

        `without`: what they leave out, and why. `interval_s`: between two frames, in mode live.
        """
        settings = settings or self.detector.settings
        made: View | LiveView
        if isinstance(self.detector, LiveDetector):
            made = LiveView(self, settings, without, interval_s or self.detector.interval_s)
        else:
            made = View(self, settings, without)
        self._worker.views.add(made)
        return made

    @property
    def closed(self) -> bool:
        """Whether nobody is answered any more."""
        return self._closing or not self._thread.is_alive()

    def leave(self, view: View) -> None:
        """A camera needs it no more; with the last one the thread ends."""
        self._worker.views.discard(view)
        if not self._worker.views:
            self._closing = True
            self._jobs.put(None)

    def ask(self, image: NDArray[Any], view: LiveView | None = None) -> Scores:
        """The score map of a frame; waits for its turn. Raises what the detector raises, or IrtrackError once
        closed."""
        if self.closed:
            raise IrtrackError("the detector was closed")
        job = Job(image, view, Future())
        self._jobs.put(job)
        try:
            return job.answer.result(ANSWER_S)
        except TimeoutError:
            raise IrtrackError(f"the network gives no answer for {ANSWER_S:g} s") from None

    def close(self) -> None:
        """End the thread; what waits is still answered."""
        self._closing = True
        self._jobs.put(None)
        self._thread.join()


class View(NetworkDetector):
    """The shared detector as one camera sees it."""

    def __init__(self, shared: SharedDetector, settings: DetectorSettings, without: str) -> None:
        vars(self).update(vars(shared.detector))
        self._shared, self.without = shared, without
        self.settle(settings)

    def close(self) -> None:
        """The camera needs it no more; may be called twice."""
        self._shared.leave(self)

    def _score(self, image: Image) -> Scores:
        return self._shared.ask(self._scaling(image))


class LiveView(LiveDetector, View):
    """The same of one that keeps up with cameras: waiting for the others is time in which nothing can be looked at."""

    def __init__(self, shared: SharedDetector, settings: DetectorSettings, without: str, interval_s: float) -> None:
        View.__init__(self, shared, settings, without)
        self.memory = Memory()
        self.begin(interval_s, settings)
        self._waited_s = self._passed_s = 0.0

    def _score(self, image: Image) -> Scores:
        start = time.perf_counter()
        scores = self._shared.ask(image, self)
        self._waited_s = time.perf_counter() - start - self._passed_s
        return scores

    def pass_through(self, image: Image) -> Scores:
        """In the network's thread."""
        start = time.perf_counter()
        scores = LiveDetector._score(self, image)
        self._passed_s = time.perf_counter() - start
        return scores

    def look_at(self, tracks: Tracks, spent_s: float) -> None:
        """As of `LiveDetector`."""
        super().look_at(tracks, spent_s + self._waited_s)


class Worker:
    """What the thread does. It does not hold the shared detector, so that it ends with the last view."""

    def __init__(self, jobs: queue.SimpleQueue[Job | None], detector: NetworkDetector, most: int) -> None:
        self._jobs, self._detector, self._most = jobs, detector, most
        self.batches: list[int] = []
        self.views: weakref.WeakSet[View] = weakref.WeakSet()
        self._threads = 0

    def work(self) -> None:
        """Until a None comes and nothing waits."""
        waiting: list[Job] = []
        open_ = True
        while open_ or waiting:
            if open_ and not waiting:
                open_ = self._take(waiting, block=True)
            while open_ and not self._jobs.empty():
                open_ = self._take(waiting, block=False)
            if not waiting:
                continue
            batch = self._next(waiting)
            waiting = [job for job in waiting if not any(job is b for b in batch)]
            self._spread()
            self._answer(batch)
            del batch  # what it holds may be the last view

    def _take(self, waiting: list[Job], block: bool) -> bool:
        """Add a job to those that wait; False at the end of all."""
        job = self._jobs.get(block)
        if job is None:
            return False
        waiting.append(job)
        return True

    def _next(self, waiting: Sequence[Job]) -> list[Job]:
        first = waiting[0]
        if first.view is not None:
            return [first]
        same = [job for job in waiting if job.view is None and job.image.shape == first.image.shape]
        return same[: self._most]

    def _spread(self) -> None:
        """As many CPU threads as all cameras together would have had."""
        each = self._detector.settings.threads
        if not each or self._detector.device.type != "cpu":
            return
        wanted = max(1, min(usable_cores(), each * len(self.views)))
        if wanted != self._threads:
            self._threads = wanted
            torch.set_num_threads(wanted)

    def _answer(self, batch: Sequence[Job]) -> None:
        self.batches = [*self.batches[-99:], len(batch)]
        try:
            maps = [self._live(job.view, job.image)] if (job := batch[0]).view else self._whole(batch)
            for job, scores in zip(batch, maps, strict=True):
                job.answer.set_result(scores)
        except Exception as error:
            for job in batch:
                if not job.answer.done():
                    job.answer.set_exception(error)

    def _whole(self, batch: Sequence[Job]) -> Sequence[Scores]:
        return self._detector.batch([job.image for job in batch])

    def _live(self, view: LiveView, image: Image) -> Scores:
        """Its attention comes into the network, and that of the one before leaves it."""
        with torch.inference_mode():
            view.memory.enter(view.network)
            try:
                return view.pass_through(image)
            finally:
                view.memory.leave(view.network)
