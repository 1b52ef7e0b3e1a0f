"""One network for several cameras: frames that wait at the same time go through it together."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future

from irtrack.core import Detections, DetectorStatus, Image, IrtrackError
from irtrack.detect.detector import NetworkDetector
from irtrack.imaging.regions import Regions
from irtrack.imaging.scaling import Scaling
from irtrack.temporal.stage import TemporalStage

ANSWER_S = 120.0
"""Longest wait for an answer; more than the largest frames take on a slow machine."""

Job = tuple[Image, Scaling, TemporalStage | None, "Future[Detections]"]


class SharedDetector:
    """Runs a detector in a thread of its own; `view` gives each camera a detector of the same settings.

    The first of the frames that wait says which size goes next; others of that size, up to `most`, go with it.
    """

    def __init__(self, detector: NetworkDetector, most: int = 16) -> None:
        self._detector, self._most = detector, most
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.batches: list[int] = []
        """Frames of the last passes through the network, for reports; the newest hundred."""
        self._thread = threading.Thread(target=self._work, name="irtrack-detect", daemon=True)
        self._thread.start()

    def view(self) -> View:
        """A detector for one camera."""
        return View(self)

    def ask(self, image: Image, scaling: Scaling, temporal: TemporalStage | None = None) -> Detections:
        """Detections of a frame; waits for its turn. Raises what the detector raises, or IrtrackError once closed."""
        answer: Future[Detections] = Future()
        if not self._thread.is_alive():
            raise IrtrackError("the detector was closed")
        self._jobs.put((image, scaling, temporal, answer))
        return answer.result(ANSWER_S)

    def close(self) -> None:
        """End the thread; what waits is still answered."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        waiting: list[Job] = []
        open_ = True
        while open_ or waiting:
            if open_ and not waiting:
                open_ = self._take(waiting, block=True)
            while open_ and not self._jobs.empty():
                open_ = self._take(waiting, block=False)
            if not waiting:
                continue
            size = waiting[0][0].shape
            batch = [job for job in waiting if job[0].shape == size][: self._most]
            waiting = [job for job in waiting if not any(job is b for b in batch)]
            self._answer(batch)

    def _take(self, waiting: list[Job], block: bool) -> bool:
        """Add a job to those that wait; False at the end of all."""
        job = self._jobs.get(block)
        if job is None:
            return False
        waiting.append(job)
        return True

    def _answer(self, batch: Sequence[Job]) -> None:
        self.batches = [*self.batches[-99:], len(batch)]
        d = self._detector
        try:
            maps = d.batch([scaling(image) for image, scaling, *_ in batch])
            for (image, _, temporal, answer), scores in zip(batch, maps, strict=True):
                answer.set_result(d.found(scores, image, temporal))
        except Exception as error:
            for *_, answer in batch:
                if not answer.done():
                    answer.set_exception(error)


class View:
    """The shared detector as one camera sees it: 16-bit levels and the temporal stage follow that camera's frames."""

    def __init__(self, shared: SharedDetector) -> None:
        self._shared = shared
        self.forget()

    def forget(self) -> None:
        """The next frame has nothing to do with the last one."""
        detector = self._shared._detector
        self._scaling = Scaling(detector.fixed_levels)
        self._temporal = TemporalStage() if detector.temporal else None

    @property
    def threshold(self) -> float:
        """Of all cameras."""
        return self._shared._detector.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self._shared._detector.threshold = value

    @property
    def min_area_px(self) -> int:
        """Of all cameras."""
        return self._shared._detector.min_area_px

    @min_area_px.setter
    def min_area_px(self, value: int) -> None:
        self._shared._detector.min_area_px = value

    @property
    def regions(self) -> Regions:
        """Of all cameras."""
        return self._shared._detector.regions

    @regions.setter
    def regions(self, value: Regions) -> None:
        self._shared._detector.regions = value

    def status(self) -> DetectorStatus:
        """Of all cameras."""
        return self._shared._detector.status()

    def __call__(self, image: Image) -> Detections:
        return self._shared.ask(image, self._scaling, self._temporal)
