"""What workers do: look at a recording, find in a part of it, track it. Each task can be done again at any time."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import cv2

from irtrack import __version__
from irtrack.archive.found import content_of, stamp_of
from irtrack.archive.job import Job, Unfit, check_version, input_hash
from irtrack.archive.parts import SETTLE_FRAMES, Foreseen, Looker, find_in_part
from irtrack.archive.store import SHORT, Known, Result, Store, writing
from irtrack.archive.tables import write_tracks
from irtrack.archive.thumbnail import Best
from irtrack.archive.when import started
from irtrack.build import Outputs, at_rate, claim, load_detector, make_pipeline
from irtrack.capture import open_source
from irtrack.capture.corrected import corrected
from irtrack.config import DetectorSettings
from irtrack.core import ConfigError, IrtrackError, SinkError, Source, SourceError
from irtrack.pipeline import Pipeline
from irtrack.sinks.target import reason
from irtrack.text import one_line

if TYPE_CHECKING:
    from irtrack.detect.detector import NetworkDetector

P = ParamSpec("P")
T = TypeVar("T")

GENERAL = (SinkError, ConfigError, Unfit)
"""Errors that the next recording would meet too."""


@dataclass(frozen=True)
class Failed:
    """A task's error in one line. `general`: it has nothing to do with the recording, and the next one would meet it
    too."""

    line: str
    general: bool = False


def told(task: Callable[P, T]) -> Callable[P, T | Failed]:
    """A task whose errors are its answer: another worker would meet them too, and nothing else is to stop."""

    @wraps(task)
    def done(*args: P.args, **kwargs: P.kwargs) -> T | Failed:
        try:
            return task(*args, **kwargs)
        except IrtrackError as error:
            return Failed(one_line(error), isinstance(error, GENERAL))
        except MemoryError:
            return Failed("there is not enough memory for it on a worker: crop or scale it")
        except OSError as error:
            return Failed(one_line(f"{error.filename or 'it'} cannot be read: {reason(error)}"))
        except Exception as error:
            return Failed(one_line(f"internal error: {type(error).__name__}: {error}"))

    return done


class Model:
    """The network of a worker, loaded once, for one recording at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._settings: DetectorSettings | None = None
        self._network: NetworkDetector | None = None

    def of(self, job: Job, fps: float | None = None) -> NetworkDetector:
        """The network of a job, as if it had never seen a frame, for a recording of this rate; under the lock. Raises
        Unfit where this worker cannot have the very same as the others."""
        check_version(job)
        if self._network is None or self._settings != job.settings.detector:
            cv2.setNumThreads(job.settings.detector.threads)
            self._network = None
            try:
                self._network, self._settings = load_detector(job.settings.detector), job.settings.detector
            except IrtrackError as error:
                raise Unfit(f"a worker cannot have this network: {error}") from error
        if job.model and model_of(self._network) != job.model:
            self._network = None
            raise Unfit(f"a worker has other weights {job.settings.detector.weights}: give all the same ones")
        self._network.settle(*at_rate(job.settings.detector, fps))
        return self._network

    def chosen(self, job: Job) -> Job:
        """The job with the model, device and engine that this worker takes; under the lock. Raises Unfit."""
        network, detector = self.of(job), job.settings.detector
        name = network.weights.name if "sha256" in network.weights.entry else detector.weights
        self._settings = replace(detector, weights=name, device=network.device.type, backend=network.backend)
        return replace(job, settings=replace(job.settings, detector=self._settings), model=model_of(network))


MODEL = Model()


def model_of(network: NetworkDetector) -> str:
    """SHA-256 of its weights."""
    entry = network.weights.entry
    return str(entry.get("sha256") or input_hash(Path(str(entry["file"]))))


@told
def choose(job: Job) -> Job:
    """The job with a model, a device and an engine: those that this worker takes are then everybody's."""
    with MODEL.lock:
        return MODEL.chosen(job)


@told
def look(text: str, job: Job) -> Known:
    """What is in a recording, as far as it takes to plan the work."""
    stamp, content = stamp_of(text), content_of(text)
    with closing(opened(text, job)) as source:
        frames, fps = source.info.frames, source.info.fps
    moment, by = started(text, frames / fps if frames and fps else 0.0)
    return Known(stamp, content, frames, fps, moment.isoformat(timespec="microseconds"), by)


@told
def find(text: str, key: str, first: int, end: int, job: Job) -> None:
    """Have the network look at a part of a recording, and keep what it finds."""
    store = Store(job.out)
    if store.part(key, first, end).exists():  # by a worker that ended before it could say so
        return
    with MODEL.lock, closing(opened(text, job)) as source:
        looker = Looker(MODEL.of(job, source.info.fps))
        begin = max(0, first - SETTLE_FRAMES) if source.info.bits > 8 else first
        source.seek(begin)
        found = find_in_part(source, looker, first, end)
    with store.workplace() as place:
        made = place / "part.npz"
        with writing(made):
            found.save(made)
        store.put(made, store.part(key, first, end))


@told
def track(text: str, known: Known, key: str, parts: list[tuple[int, int]], job: Job) -> Result:
    """One pass through a recording; what the network found in parts of it is taken from there."""
    store = Store(job.out)
    before = store.result(key)
    if before is not None:  # by a worker that ended before it could say so
        return before
    with MODEL.lock, store.workplace() as place:
        network = MODEL.of(job, known.fps)
        files = [store.part(key, first, end) for first, end in parts]
        foreseen = Foreseen(network, files) if files else None
        outputs, best = Outputs({"csv": place / "log.csv"}), Best()
        targets = claim(outputs)
        source = open_source(text, job.fps)
        pipeline = make_pipeline(source, job.settings, outputs, best, foreseen or network, targets)
        error = passed(pipeline)
        table, picture = place / "tracks.parquet", place / "picture.jpg"
        with writing(place):
            rows, tracks = write_tracks(targets.finished, key, table)
            shown = best.save(picture, job.settings.display)
        info = source.info
        duration_s = best.last_s + (1 / info.fps if info.fps else 0.0)
        stem = re.sub(r"[^\w.-]+", "_", Path(text).stem)[:40]  # of letters that pages can link to
        name = f"{stem}-{key[:SHORT]}"  # where pictures change their size, log.part2.csv goes on
        logs = tuple(f"logs/{name}{path.stem.removeprefix('log')}.csv" for path in targets.finished)
        thumbnail = f"thumbnails/{key[:SHORT]}.jpg" if shown else ""
        result = Result(
            key, known.content, Path(text).name, known.day, known.started, known.started_by, pipeline.processed,
            duration_s, info.width, info.height, info.bits, info.fps, info.clock.value, tracks, rows, len(parts) or 1,
            foreseen.again if foreseen is not None else 0, logs, thumbnail,
            (*info.remarks.lines(), *filter(None, [network.without])),
            job.settings.detector.weights, __version__, datetime.now(UTC).isoformat(timespec="microseconds"), error,
        )  # fmt: skip
        for made, log in zip(targets.finished, logs, strict=True):
            store.put(made, job.out / log)
        if shown:
            store.put(picture, job.out / thumbnail)
        store.put(table, job.out / result.tracks_file)
        store.finish(result)
        return result


def opened(text: str, job: Job) -> Source:
    """A recording as every task sees it. Raises SourceError."""
    return corrected(open_source(text, job.fps), job.settings.capture)


def passed(pipeline: Pipeline) -> str:
    """Run it to its end. Returns why the recording ended early, where it did. Raises IrtrackError where no frame of it
    could be read, or something else went wrong."""
    try:
        pipeline.start().join()
    except SourceError as error:
        if not pipeline.processed:
            raise
        return one_line(error)
    return ""
