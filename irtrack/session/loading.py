"""What takes long is done in threads of its own: opening a source, and loading a network."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from irtrack.build import make_detector
from irtrack.capture import open_source
from irtrack.capture.corrected import corrected
from irtrack.capture.tee import TeeSource
from irtrack.config import Settings
from irtrack.core import Detector, Frame, Source, SourceError
from irtrack.session import results, tracklog
from irtrack.session.reading import Kept, Unread, read_session, unread
from irtrack.session.recipe import Recipe
from irtrack.session.recordings import dates_of, fingerprint
from irtrack.session.reel import Reel
from irtrack.session.sessionfile import SessionError, check_named, is_session, own_path
from irtrack.session.store import ResultStore
from irtrack.session.viewer import frame_at
from irtrack.sinks.record import RecordSwitch

LEAVE_S = 1.5
"""Background threads have so long to end when the program closes."""


@dataclass(frozen=True)
class Opened:
    """A source that was opened, with its first picture if it is a recording, or else with what keeps its pictures."""

    text: str
    source: Source
    first: Frame | None = None
    reel: Reel | None = None
    print: str = ""
    dates: str = ""
    """Of a recording: its fingerprint, and when its files were written."""
    kept: Kept | None = None
    """What was kept of it: by the operator, or of an analysis before."""
    is_session: bool = False
    """Whether that session file is what was to be opened."""
    unread: Unread | None = None
    """What was said of it before and cannot be read, or not all of it."""

    @property
    def name(self) -> str:
        """What was opened: the session, or else the source."""
        return str(self.kept.path) if self.kept is not None and self.is_session else self.text


@dataclass(frozen=True)
class Reopened:
    """A recording, to be read once more."""

    source: Source


@dataclass(frozen=True)
class LogRead:
    """A track log for the open recording; `print`: its fingerprint. `kept`: what was said of its tracks before;
    `unread`: as of `Opened`."""

    path: Path
    store: ResultStore
    print: str
    kept: Kept | None
    unread: Unread | None


@dataclass(frozen=True)
class Failed:
    """What went wrong, and with `what`: open, again, log or load."""

    error: BaseException
    what: str


Message = Opened | Reopened | LogRead | Failed | Detector


def recording(text: str, settings: Settings) -> Source:
    """A recording, with the corrections that are asked for. Raises SourceError."""
    return corrected(open_source(text), settings.capture)


Before = tuple[Kept | None, Unread | None]
"""What was kept, and what of it cannot be read."""


def opened_recording(
    text: str, source: Source, before: Callable[[str, str], Before], is_session: bool = False
) -> Opened:
    """With its first picture, and what there is from `before` by its fingerprint and dates. Raises SourceError."""
    try:
        first = frame_at(source, 0)
        source.seek(0)
        print, dates = fingerprint(text), dates_of(text)
        kept, lost = before(print, dates)
        return Opened(text, source, first, None, print, dates, kept, is_session, lost)
    except BaseException:
        source.close()
        raise


def recording_of_session(kept: Kept, moved: str) -> str:
    """SOURCE text of what a session is of; `moved`: where that is now, as the operator says. Raises SourceError."""
    if kept.recording is None:
        raise SourceError(
            f"{kept.path} holds tracks of a camera, without its pictures: export them with irtrack run {kept.path} "
            "--csv tracks.csv"
        )
    if not moved:
        return kept.recording.found(kept.path)
    kept.recording.check(moved, kept.path)
    return moved


def known(print: str) -> Before:
    """What was said of the tracks of a recording or log before, by its fingerprint."""
    path = own_path(print)
    try:
        kept = read_session(path) if path.exists() else None
        return kept, kept.unread if kept is not None else None
    except SessionError as error:
        return None, unread(path, f"what was said of these tracks before is lost: {error}")


class Loader:
    """Opens and loads on request; a request overtakes the one before, whose outcome is closed and forgotten."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[tuple[str, int, Message]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._requests = {"open": 0, "again": 0, "log": 0, "load": 0}
        self.opening = self.loading = False
        """Whether a source, or a network, is on its way."""

    def open(self, text: str, settings: Settings, recipe: Recipe, switch: RecordSwitch, moved: str = "") -> None:
        """Open a source, or the session in a file. `settings`, `recipe`: what is to be analysed with; `switch`: of a
        recording of the camera; `moved`: where the session's recording is now."""
        self.forget()
        self.opening = True
        request = self._requests["open"]

        def work() -> Opened:
            check_named(text)
            if is_session(text):
                kept = read_session(Path(text))
                there = recording_of_session(kept, moved)
                return opened_recording(there, recording(there, kept.settings), lambda *_: (kept, kept.unread), True)
            source = open_source(text, reconnect_s=math.inf, cancelled=lambda: request != self._requests["open"])
            if source.live:
                reel = Reel()
                return Opened(text, TeeSource(corrected(TeeSource(source, switch), settings.capture), reel), None, reel)

            def before(print: str, dates: str) -> Before:
                """What was said of its tracks, with them, or else results alone."""
                kept, lost = known(print)
                return kept or results.found(text, print, dates, settings, recipe), lost

            return opened_recording(text, corrected(source, settings.capture), before)

        self._spawn("open", work)

    def load(self, settings: Settings, source: Source | None) -> None:
        """Load the network of the settings, for a source if it is known."""
        self._requests["load"] += 1
        self.loading = True
        self._spawn("load", lambda: make_detector(settings, source))

    def reopen(self, opened: Opened, settings: Settings) -> None:
        """Open a recording once more."""
        self._requests["again"] += 1

        def work() -> Reopened:
            if opened.dates and dates_of(opened.text) and fingerprint(opened.text) != opened.print:
                raise SourceError(f"{opened.text} is another recording by now: open it, and its results begin anew")
            return Reopened(recording(opened.text, settings))

        self._spawn("again", work)

    def read_log(self, path: Path, recording: tracklog.Opened) -> None:
        """Read a track log for a recording."""
        self._requests["log"] += 1

        def work() -> LogRead:
            print = fingerprint(str(path))
            return LogRead(path, tracklog.read_log(path, recording), print, *known(print))

        self._spawn("log", work)

    def forget(self) -> None:
        """What is being opened is not wanted any more."""
        for kind in ("open", "again", "log"):
            self._requests[kind] += 1
        self.opening = False

    def _spawn(self, kind: str, work: Callable[[], Message]) -> None:
        request = self._requests[kind]

        def guarded() -> None:
            message: Message
            try:
                message = work()
            except BaseException as error:
                message = Failed(error, kind)
            if request == self._requests[kind]:
                self._inbox.put((kind, request, message))
            elif isinstance(message, Opened | Reopened):  # nobody waits for it any more, or looks into the inbox
                message.source.close()

        self._threads = [t for t in self._threads if t.is_alive()]
        thread = threading.Thread(target=guarded, name=f"irtrack-{kind}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def received(self) -> Iterator[Message]:
        """What has come of the latest requests."""
        while not self._inbox.empty():
            kind, request, message = self._inbox.get()
            if request != self._requests[kind]:
                if isinstance(message, Opened | Reopened):
                    message.source.close()
                continue
            if kind == "open":
                self.opening = False
            elif kind == "load":
                self.loading = False
            yield message

    def join(self, seconds: float) -> None:
        """Wait for what is under way."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Threads that do not end soon (a library that loads, a disk) are left behind."""
        self.forget()
        self._requests["load"] += 1
        self.join(LEAVE_S)
        for _ in self.received():
            pass
