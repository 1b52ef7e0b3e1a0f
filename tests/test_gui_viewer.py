"""Pictures of a recording for going back and forth in it: the right ones, ahead of time, without holding anybody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from irtrack.capture import open_source
from irtrack.config import Settings
from irtrack.core import Frame, Source, SourceError, SourceInfo
from irtrack.session import loading
from irtrack.session import viewer as viewing
from irtrack.session.passes import Passes
from irtrack.session.session import Session
from irtrack.session.viewer import Viewer
from irtrack.simulate import Scene


class Slow:
    """A recording of a hundred frames that takes 20 ms for each, and says what it was asked for."""

    live = False
    info = SourceInfo("slow", 8, 8, 8, 30.0, 100)

    def __init__(self) -> None:
        self.read: list[int] = []
        self.seeks = 0
        self.closed = False
        self.go = threading.Event()
        self.go.set()
        self._next = 0

    def __iter__(self) -> Iterator[Frame]:
        while self._next < 100:
            index, self._next = self._next, self._next + 1
            self.go.wait()
            time.sleep(0.02)
            if index == 50:
                raise SourceError("frame 50 is damaged")
            self.read.append(index)
            yield Frame(index, index / 30, np.full((8, 8), index, np.uint8))

    def seek(self, index: int) -> None:
        self.seeks += 1
        self._next = index

    def close(self) -> None:
        self.closed = True


def wait_for(viewer: Viewer, index: int) -> Frame:
    found = viewer.get(index, 10.0)
    assert found is not None
    return found


def test_the_pictures_are_the_right_ones_in_any_order(clip: Path, scene: Scene) -> None:
    viewer = Viewer(lambda: open_source(str(clip)))
    for index in (0, 1, 2, 19, 18, 17, 5, 6, 0, 12):
        frame = wait_for(viewer, index)
        assert frame.index == index
        assert np.array_equal(frame.image, scene.image(index))
    viewer.close()


def test_it_reads_ahead_and_nobody_waits() -> None:
    slow = Slow()
    viewer = Viewer(lambda: slow)
    slow.go.clear()
    assert viewer.get(10) is None  # on its way, and cannot be here before it may
    slow.go.set()
    assert wait_for(viewer, 10).index == 10
    until = time.monotonic() + 30
    while len(slow.read) < viewing.AHEAD and time.monotonic() < until:
        time.sleep(0.01)
    for index in range(11, 10 + viewing.AHEAD):
        assert viewer.get(index) is not None
    assert slow.read[0] == 10
    assert slow.seeks == 1  # read on, not sought for each
    wait_for(viewer, 80)
    assert slow.seeks == 2
    viewer.close()
    assert slow.closed


def test_what_was_read_lately_is_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewing, "KEPT_BYTES", 20 * 64)
    viewer = Viewer(Slow)
    for index in range(40):
        wait_for(viewer, index)
    assert len(viewer._kept) <= 20
    assert viewer.get(35) is not None
    assert viewer.get(2) is None
    viewer.close()


def test_an_error_is_told_once_and_others_still_come() -> None:
    viewer = Viewer(Slow)
    wait_for(viewer, 40)
    with pytest.raises(SourceError, match="frame 50 is damaged"):
        viewer.get(50, 5.0)
    assert wait_for(viewer, 60).index == 60
    wait_for(viewer, 45)
    time.sleep(0.3)  # it meets the damage while reading ahead
    assert wait_for(viewer, 70).index == 70
    assert viewer.get(200, 0.3) is None  # there is no such picture
    assert wait_for(viewer, 3).index == 3
    viewer.close()


def test_a_source_that_cannot_be_opened(tmp_path: Path) -> None:
    def fail() -> Source:
        raise SourceError("gone")

    viewer = Viewer(fail)
    with pytest.raises(SourceError, match="gone"):
        viewer.get(0, 5.0)
    viewer.close()


def test_what_another_opening_overtook_is_closed_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that waits in the inbox when another source is asked for is not shown, and does not leak."""
    sources: dict[str, Slow] = {}

    def opened(text: str, **_: object) -> Source:
        if text == "broken":
            raise SourceError("broken cannot be read")
        return sources.setdefault(text, Slow())

    monkeypatch.setattr(loading, "open_source", opened)
    monkeypatch.setattr(Passes, "_load", lambda self, source: None)
    session, errors = Session(Settings()), []
    session.failed.connect(errors.append)
    try:
        for text in ("first", "broken", "second"):
            session.open(text)
            session.loader.join(30)
        session.tick()
        assert session.opened is not None
        assert session.opened.text == "second"
        assert not errors
        assert sources["first"].closed
        assert not sources["second"].closed
        session.open("first")
        session.loader.join(30)
        sources["first"].closed = False
        session.close()
        session.tick()
        assert session.opened is None
        assert sources["first"].closed
    finally:
        session.shutdown()
