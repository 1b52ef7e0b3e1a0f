"""One network for several cameras, in threads of its own.

Each camera has a `view`: a detector whose limits, regions, levels, temporal stage and, in mode live, whose scan and
kept attention are its own. Only the passes through the network are made in its threads; where whole frames wait at the
same time, they may go through together.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections import deque
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
from irtrack.detect.network import DATransNet

ANSWER_S = 120.0
"""Longest wait for an answer; more than the largest frames take on a slow machine."""


END_S = 20.0
"""Threads are waited for so long, which is a pass of a slow machine."""


@dataclass(eq=False)
class Job:
    """A frame for the network: its input (H, W), or the raw frame where `view` says what of it to look at."""

    image: NDArray[Any]
    view: LiveView | None
    answer: Future[Scores]


class SharedDetector:
    """Runs a detector in threads of its own, which end with `close`, or when all views are closed or gone.

    One thread, whose engine uses all cores or is a GPU's. Where the settings say how many CPU `threads` a pass takes,
    as many passes as the cores can do are made at the same time, of the same weights: threads of one pass that wait
    for each other on busy cores would make it slow.

    The first of the frames that wait says which size goes next; others of that size, up to `most`, go with it.
    """

    def __init__(self, detector: NetworkDetector, most: int = 16) -> None:
        self.detector, self._most = detector, most
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._views: weakref.WeakSet[View] = weakref.WeakSet()
        self.batches: deque[int] = deque(maxlen=100)
        """Frames of the last passes through the network, for reports."""
        threads = detector.settings.threads
        self._lanes = max(1, usable_cores() // threads) if threads and most == 1 and detector.can_be_twice else 1
        self._threads: list[threading.Thread] = []
        self._closing, self._control = False, threading.Lock()
        self._begin(detector)
        weakref.finalize(self, self._jobs.put, None)

    def _begin(self, detector: NetworkDetector) -> None:
        work = Lane(self._jobs, detector, self._most, self.batches).work  # not of self, which is to go with its views
        self._threads.append(thread := threading.Thread(target=work, name="irtrack-detect", daemon=True))
        thread.start()

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
        with self._control:
            self._views.add(made)
            if len(self._threads) < min(len(self._views), self._lanes) and not self._closing:
                self._begin(self.detector.beside())
        return made

    @property
    def closed(self) -> bool:
        """Whether nobody is answered any more."""
        return self._closing

    def leave(self, view: View) -> None:
        """A camera needs it no more; with the last one the threads end. A thread that is in a library when the process
        ends would make that crash: so they are waited for."""
        with self._control:
            self._views.discard(view)
            if self._views or self._closing:
                return
            self._closing = True
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(END_S)

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
        """End the threads; what waits is still answered."""
        self._closing = True
        self._jobs.put(None)
        for thread in self._threads:
            thread.join()


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

    def pass_through(self, image: Image, network: DATransNet) -> Scores:
        """In a thread of the network: what this camera's frames left in it comes into it, and leaves it again."""
        start = time.perf_counter()
        self.use(network)
        self.memory.enter(network)
        try:
            return LiveDetector._score(self, image)
        finally:
            self.memory.leave(network)
            self._passed_s = time.perf_counter() - start

    def look_at(self, tracks: Tracks, spent_s: float) -> None:
        """As of `LiveDetector`."""
        super().look_at(tracks, spent_s + self._waited_s)


class Lane:
    """What a thread does. It does not hold the shared detector, so that it ends with the last view."""

    def __init__(
        self, jobs: queue.SimpleQueue[Job | None], detector: NetworkDetector, most: int, batches: deque[int]
    ) -> None:
        self._jobs, self._detector, self._most, self._batches = jobs, detector, most, batches

    def work(self) -> None:
        """Until a None comes and nothing waits."""
        threads = self._detector.settings.threads
        if threads and self._detector.device.type == "cpu":
            torch.set_num_threads(threads)
        waiting: list[Job] = []
        open_ = True
        while open_ or waiting:
            if open_ and not waiting:
                open_ = self._take(waiting, block=True)
            while open_ and self._most > 1 and not self._jobs.empty():
                open_ = self._take(waiting, block=False)
            if not waiting:
                continue
            batch = self._next(waiting)
            waiting = [job for job in waiting if not any(job is b for b in batch)]
            self._answer(batch)
            del batch  # what it holds may be the last view

    def _take(self, waiting: list[Job], block: bool) -> bool:
        """Add a job to those that wait; False at the end of all."""
        job = self._jobs.get(block)
        if job is None:
            self._jobs.put(None)  # for the other threads
            return False
        waiting.append(job)
        return True

    def _next(self, waiting: Sequence[Job]) -> list[Job]:
        first = waiting[0]
        if first.view is not None:
            return [first]
        same = [job for job in waiting if job.view is None and job.image.shape == first.image.shape]
        return same[: self._most]

    def _answer(self, batch: Sequence[Job]) -> None:
        self._batches.append(len(batch))
        try:
            for job, scores in zip(batch, self._scores(batch), strict=True):
                job.answer.set_result(scores)
        except Exception as error:
            for job in batch:
                if not job.answer.done():
                    job.answer.set_exception(error)

    def _scores(self, batch: Sequence[Job]) -> Sequence[Scores]:
        first, detector = batch[0], self._detector
        if first.view is None:
            return detector.batch([job.image for job in batch])
        assert isinstance(detector, LiveDetector)
        with torch.inference_mode():
            return [first.view.pass_through(first.image, detector.network)]
