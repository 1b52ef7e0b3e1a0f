"""The client: which recordings there are to do, in which parts, and what came of each."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from irtrack.archive import tasks
from irtrack.archive.found import files_in, stamp_of
from irtrack.archive.job import Job
from irtrack.archive.parts import ends_of
from irtrack.archive.publish import publish
from irtrack.archive.store import Known, Result, Store, refreshed
from irtrack.archive.tasks import Failed
from irtrack.archive.when import changed
from irtrack.build import at_rate
from irtrack.core import IrtrackError
from irtrack.sinks.target import reason
from irtrack.text import one_line

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 256
"""Recordings that are under way at once: enough for a cluster to see that it should grow."""

LOOK_S = 0.1
KEEP_S = 10.0
"""What was looked at is noted so often: a kill costs no more than looking again."""

ALONE_S = 10.0
"""Without any answer for so long, it is asked whether there are workers at all."""

DEFAULT_FPS = 30.0

Then = Callable[[Any], None]


@dataclass
class Counts:
    """Of a run. `before`: recordings that were done before; `copies`: those with the content of another; `ended`: all
    of which no more is to come. `parts`: of long recordings, so far, and those that were looked at."""

    done: int = 0
    before: int = 0
    copies: int = 0
    ended: int = 0
    parts: int = 0
    parts_done: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    """SOURCE text and line of each; those that were read in part count as done too."""


class Lost(IrtrackError):
    """The cluster is gone."""


class Archive:
    """One run over recordings. What has ended is in files; whatever ends this run, the next one goes on there."""

    def __init__(
        self,
        client: Client,
        store: Store,
        job: Job,
        texts: Sequence[str],
        watch: Callable[[Counts], None] = lambda counts: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`watch` is called whenever the counts have changed, `say` with what the user should know at once."""
        self._client, self._store, self._job, self._watch = client, store, job, watch
        self._waiting_texts: Iterator[str] = iter(texts)
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._tasks: dict[str, tuple[Future[Any], Then]] = {}
        self._number = 0
        self._open = 0
        self._keys: dict[str, str] = {}
        """SOURCE text of each content that is done or under way."""
        self.known: dict[str, Known] = refreshed(store.known())
        self.counts = Counts()
        self._noted = self._last = time.monotonic()
        self._alone = self._taken = False
        self._say = say

    def run(self, asked: Callable[[], bool]) -> None:
        """Do all there is. `asked`: whether to stop. Raises KeyboardInterrupt then, Lost where the cluster is gone, and
        IrtrackError where no recording could be done."""
        self._job = self._store.as_before(self._job)
        self._job = self._chosen(asked)
        self._store.take_job(self._job)
        self._taken = True
        try:
            while self._fill() or self._tasks:
                self._answer(asked)
                if time.monotonic() > self._noted + KEEP_S:
                    self._note()
        finally:
            self._note()

    def publish(self) -> None:
        """Write the data set of recordings and the pages, if this job may be done here. Raises SinkError."""
        if self._taken:
            publish(self._store, self._job, self.known)

    def sweep(self) -> None:
        """Remove what kills left behind; after the end of everything."""
        self._store.sweep(self._store.all_results())

    def _note(self) -> None:
        self._store.remember(self.known)
        self._noted = time.monotonic()

    def _chosen(self, asked: Callable[[], bool]) -> Job:
        """The job with what the first worker that answers takes."""
        came: list[Job | Failed] = []
        self._submit(tasks.choose, self._job, then=came.append)
        while not came:
            self._answer(asked)
        if isinstance(came[0], Failed):
            raise IrtrackError(came[0].line)
        return came[0]

    # -- tasks ------------------------------------------------------------------------------------------------------

    def _submit(self, task: Callable[..., Any], *args: Any, then: Then, urgent: bool = False) -> None:
        """Have a task done; `then` gets its answer."""
        self._number += 1
        key = f"irtrack-{task.__name__}-{id(self):x}-{time.time_ns():x}-{self._number}"
        try:
            future = self._client.submit(task, *args, key=key, pure=False, priority=1 if urgent else 0)
        except Exception as error:  # whatever Dask raises where its connection has just been closed
            if self._client.status == "running":
                raise
            raise lost() from error
        self._tasks[key] = (future, then)
        future.add_done_callback(lambda done: self._answers.put(done.key))

    def _answer(self, asked: Callable[[], bool]) -> None:
        """Take one answer, or wait a moment for one."""
        if asked():
            raise KeyboardInterrupt
        try:
            key = self._answers.get(timeout=LOOK_S)
        except queue.Empty:
            if self._client.status != "running":
                raise lost() from None
            self._wait_for_workers()
            return
        self._last = time.monotonic()
        future, then = self._tasks.pop(key)
        answer = answer_of(future)
        if isinstance(answer, Failed) and answer.general:
            raise IrtrackError(answer.line)
        then(answer)

    def _wait_for_workers(self) -> None:
        """Say it, once, where nobody is there to do anything; a cluster that grows by itself may take minutes."""
        if self._alone or time.monotonic() < self._last + ALONE_S:
            return
        self._last = time.monotonic()
        with suppress(OSError, CancelledError, TimeoutError):
            self._alone = not self._client.nthreads()
            if self._alone:
                self._say("the cluster has no workers yet: waiting for them")

    def _fill(self) -> bool:
        """Begin recordings while there is room; whether any is open."""
        while self._open < AHEAD:
            text = next(self._waiting_texts, None)
            if text is None:
                break
            self._open += 1
            self._begin(text)
        return self._open > 0

    # -- a recording, step by step ----------------------------------------------------------------------------------

    def _begin(self, text: str) -> None:
        known = self.known.get(text)
        try:
            fresh = known is not None and not known.error and known.stamp == stamp_of(text)
        except OSError as error:
            self._fail(text, f"{text} cannot be read: {reason(error)}")
            return
        if fresh and known is not None:
            self._looked(text, known)
        else:
            self._submit(tasks.look, text, self._job, then=lambda answer: self._looked(text, answer))

    def _looked(self, text: str, known: Known | Failed) -> None:
        """It is known what is in it: it was done before, or is done now, in one go or in parts."""
        if isinstance(known, Failed):
            self._fail(text, known.line)
            return
        self.known[text] = known
        key = self._job.key(known.content)
        if key in self._keys:
            self.counts.copies += 1
            self._end()
            return
        self._keys[key] = text
        before = self._store.result(key)
        if before is not None:
            self.counts.before += 1
            self._take(text, before)
            return
        parts = self._parts(known)
        missing = [part for part in parts if not self._store.part(key, *part).exists()]
        failed: list[Failed] = []
        left = len(missing)

        def found(answer: Failed | None) -> None:
            nonlocal left
            left -= 1
            self.counts.parts_done += 1
            self._watch(self.counts)
            failed.extend([answer] if answer is not None else [])
            if left == 0 and failed:
                self._done(text, key, failed[0])
            elif left == 0:
                track()

        def track() -> None:
            then: Then = lambda answer: self._done(text, key, answer)  # noqa: E731
            self._submit(tasks.track, text, known, key, parts, self._job, then=then, urgent=bool(parts))

        self.counts.parts += len(missing)
        for part in missing:
            self._submit(tasks.find, text, key, *part, self._job, then=found)
        if not missing:
            track()

    def _parts(self, known: Known) -> list[tuple[int, int]]:
        """Of a recording that is long enough to be cut. In mode video and with the temporal stage the detector
        remembers what it saw, and has to see all of it in order."""
        detector, _ = at_rate(self._job.settings.detector, known.fps)
        if not known.frames or detector.mode != "exact" or detector.temporal:
            return []
        parts = ends_of(known.frames, round(self._job.part_s * (known.fps or DEFAULT_FPS)))
        return parts if len(parts) > 1 else []

    def _done(self, text: str, key: str, answer: Result | Failed) -> None:
        if isinstance(answer, Failed):
            del self._keys[key]  # another file with that content may be whole where this one cannot be read
            self._fail(text, answer.line)
            return
        self.counts.done += 1
        self._take(text, answer)

    def _take(self, text: str, result: Result) -> None:
        if result.error:
            self.counts.failed.append((text, result.error))
        self._end()

    def _fail(self, text: str, line: str) -> None:
        self.counts.failed.append((text, line))
        known = self.known.get(text) or Known("")
        if not known.started:
            with suppress(OSError):
                moment = changed(files_in(text))
                known = replace(known, started=moment.isoformat(timespec="microseconds"), started_by="file")
        self.known[text] = replace(known, error=line, present=True)
        self._end()

    def _end(self) -> None:
        self._open -= 1
        self.counts.ended += 1
        self._watch(self.counts)


def answer_of(future: Future[Any]) -> Any:
    """A task's answer; a task that ended its workers, or broke otherwise, has Failed. Raises Lost."""
    try:
        if future.status == "finished":
            return future.result()
        if future.status != "error":
            raise lost()
        error = future.exception()
    except (OSError, CancelledError, TimeoutError):  # the connection broke while the answer was on its way
        raise lost() from None
    if type(error).__name__ == "KilledWorker":
        return Failed("every worker that took it ended, four in a row: it may need more memory than they have")
    return Failed(f"internal error: {type(error).__name__}: {one_line(error)}")


def lost() -> Lost:
    """What is said when the cluster is gone."""
    return Lost("the cluster is gone: what is done is kept, and the same command goes on once it is there again")
