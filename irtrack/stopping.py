"""Being asked to end: Ctrl-C, SIGTERM and SIGHUP are one request, made once, whose clean-up nothing hurries."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
INTERRUPTED = 130
"""The exit code of a program that was asked to end."""

LOOK_S = 0.05
"""Whoever waits in the main thread looks so often whether the program was asked to end."""

END_S = 0.5
"""What cannot be woken is left behind after this long."""


class Stop:
    """Listens for signals while it is entered (in the main thread; elsewhere it never hears any).

    A handler runs between any two steps of the main thread, so it takes no lock and only notes the request. What waits
    polls `asked`. Commands that do not poll have KeyboardInterrupt raised in the main thread, by the first signal
    alone; `polled` says that this one does.
    """

    def __init__(self) -> None:
        self.asked = False
        self.polled = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS if not ignored(number)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self.asked:  # else the program is on its way out, and a second signal must not hurry it there
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if first and not self.polled:
            raise KeyboardInterrupt

    def instead(self, name: str, call: Callable[[int, FrameType | None], None]) -> None:
        """This signal means something else to this command, until the program has ended it: `call` is its handler."""
        number = getattr(signal, name, None)
        if number in self._before:
            signal.signal(number, call)

    def check(self) -> None:
        """Raises KeyboardInterrupt once the program was asked to end; in any thread."""
        if self.asked:
            raise KeyboardInterrupt

    def waited(self, work: Callable[[], T], end_s: float = END_S) -> T:
        """What `work` gives, done in a thread of its own, so that a request to end is noticed however long it takes.

        After a request the thread has `end_s` to end; then it is left behind, and KeyboardInterrupt is raised.
        """
        done, came = threading.Event(), list[T]()
        failed: list[BaseException] = []

        def run() -> None:
            try:
                came.append(work())
            except BaseException as error:
                failed.append(error)
            finally:
                done.set()

        threading.Thread(target=run, name="irtrack-prepare", daemon=True).start()
        until = None
        while not done.wait(LOOK_S):
            until = until or (time.monotonic() + end_s if self.asked else None)
            if until is not None and time.monotonic() > until:
                raise KeyboardInterrupt
        if failed:
            raise failed[0]
        return came[0]


def ignored(number: int) -> bool:
    """Whether whoever started the program wants a signal ignored, as nohup does with SIGHUP."""
    return signal.getsignal(number) is signal.SIG_IGN


TERMINAL_SIGNALS = tuple(number for number in SIGNALS if number != signal.SIGTERM)
"""What a terminal sends to all processes that belong to it."""


@contextlib.contextmanager
def signals_held(numbers: tuple[signal.Signals, ...] = SIGNALS) -> Iterator[None]:
    """Requests to end that come meanwhile wait: a process just started does not know yet what to do with them, and
    never hears them if it does not ask to; nor do threads started meanwhile, and their processes."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def signals_heard() -> None:
    """In a process that was started while they were held: it knows what to do with them from here on."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def end_with_parent() -> None:
    """Have this process end by SIGTERM when the one that started it is gone, however that ended."""
    from multiprocessing import parent_process  # not at each start of the program

    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="irtrack-parent", daemon=True).start()


def leave(code: int) -> None:
    """End the process, which no signal hurries any more. All is closed by now, but a thread may be left behind in a
    library: the interpreter must not be taken down under it, which ends in an abort. Nor where a signal came: one that
    interrupted code made of text, as that of dataclasses is, would have Python end by SIGINT and not with `code`."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    left = [t for t in threading.enumerate() if t is not threading.main_thread()]
    if not left and code == INTERRUPTED:
        atexit._run_exitfuncs()
    if left or code == INTERRUPTED:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # a pipe that nobody reads any more
                stream.flush()
        os._exit(code)
    raise SystemExit(code)
