"""Completed logs: what enters them, what never does, and when."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from irtrack.config import TrackerSettings
from irtrack.core import Detections, Frame, FrameResult, TrackStatus
from irtrack.sinks import text
from irtrack.sinks.text import CompletedLog, CsvSink
from irtrack.track.tracker import KalmanTracker


def seen(*points: tuple[float, float]) -> Detections:
    n = len(points)
    xy = np.array(points, float).reshape(n, 2)
    return Detections(xy, np.ones(n), np.full(n, 4.0), np.column_stack([xy - 1, np.full((n, 2), 2.0)]), np.full(n, 9.0))


def log_of(
    path: Path, frames: int, world: Callable[[int], Detections], delay_s: float | None, ended: bool = True
) -> tuple[list[dict[str, str]], list[int]]:
    """The rows, and how many were in the file after each frame. `ended` False: the log is never closed."""
    sink = CsvSink(path)
    log = CompletedLog(sink, delay_s) if delay_s else sink
    tracker, sizes = KalmanTracker(TrackerSettings()), []
    blank = np.zeros((8, 8), np.uint8)
    for i in range(frames):
        found = world(i)
        log.write(FrameResult(Frame(i, i / 30, blank), found, tracker(found, i / 30), {}))
        sizes.append(len(path.read_text().splitlines()) - 1)
    if ended:
        log.close()
    with path.open() as f:
        return list(csv.DictReader(f)), sizes


def flight(i: int) -> Detections:
    """Seen from the start, hidden in frames 40 to 47, gone from frame 80."""
    return seen() if 40 <= i < 48 or i >= 80 else seen((20 + 1.5 * i, 30))


def test_a_completed_log_has_the_beginning_and_the_gap_but_no_guess_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "TAIL_S", 0.0)
    rows, sizes = log_of(tmp_path / "a.csv", 140, flight, 2.0)
    assert [int(r["frame"]) for r in rows] == list(range(80))
    assert len({r["track_id"] for r in rows}) == 1
    assert [r["measured"] for r in rows] == ["1"] * 40 + ["0"] * 8 + ["1"] * 32
    assert {r["status"] for r in rows[40:48]} == {"coasting"}
    assert all(r["score"] == "" for r in rows[40:48])
    assert sizes[8:40] == list(range(9, 41))  # what is still held is there as it would be if the run ended now
    assert sizes[41:47] == [40] * 6
    assert sizes[-1] == 80


def test_a_log_that_is_never_closed_is_what_it_would_be_if_the_run_had_ended_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill leaves, at several moments: every row that is known, no half one, and nothing twice."""
    monkeypatch.setattr(text, "TAIL_S", 0.0)
    for frames in (1, 5, 39, 45, 49, 79, 100, 140):
        killed, _ = log_of(tmp_path / f"killed-{frames}.csv", frames, flight, 2.0, ended=False)
        whole, _ = log_of(tmp_path / f"whole-{frames}.csv", frames, flight, 2.0)
        assert killed == whole


def test_an_online_log_is_what_was_known(tmp_path: Path) -> None:
    rows, sizes = log_of(tmp_path / "a.csv", 140, flight, None)
    frames = [int(r["frame"]) for r in rows]
    assert frames[0] > 2
    assert max(frames) > 80
    assert sizes[-1] == len(rows)


@pytest.mark.parametrize("tail_s", [0.0, 1e9])
def test_a_track_begins_in_a_log_where_it_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail_s: float
) -> None:
    """Seen once, then missed for longer than rows are held, seen again and believed: the wait is no part of it."""
    monkeypatch.setattr(text, "TAIL_S", tail_s)
    log, blank = CompletedLog(CsvSink(tmp_path / "a.csv"), 0.5), np.zeros((8, 8), np.uint8)
    (track,) = KalmanTracker(TrackerSettings())(seen((20, 30)), 0.0)
    for i in range(60):
        there = i == 0 or 21 <= i < 40 or i >= 43
        status = TrackStatus.TENTATIVE if i < 30 else TrackStatus.CONFIRMED if there else TrackStatus.COASTING
        now = replace(track, status=status, detection=track.detection if there else None)
        log.write(FrameResult(Frame(i, i / 30, blank), seen((20, 30)), (now,), {}))
    log.close()
    with (tmp_path / "a.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [int(r["frame"]) for r in rows] == list(range(21, 60))
    assert [int(r["frame"]) for r in rows if r["status"] == "coasting"] == [40, 41, 42]


def test_a_long_wait_for_confirmation_is_completed(tmp_path: Path) -> None:
    """A target that creeps is confirmed late; its rows still begin where it was first seen."""
    rows, _ = log_of(tmp_path / "a.csv", 90, lambda i: seen((20 + 0.12 * i, 30)), 2.0)
    assert [int(r["frame"]) for r in rows] == list(range(90))


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from test_logs import seen
from irtrack.config import TrackerSettings
from irtrack.core import Frame, FrameResult
from irtrack.sinks.text import CompletedLog, CsvSink
from irtrack.track.tracker import KalmanTracker
log, tracker, blank = CompletedLog(CsvSink(Path(sys.argv[1])), 2.0), KalmanTracker(TrackerSettings()), np.zeros((8, 8))
for i in range(100000):
    found = seen((20 + 1.5 * i, 30))
    log.write(FrameResult(Frame(i, i / 30, blank), found, tracker(found, i / 30), {}))
    print(i, time.monotonic(), flush=True)
    time.sleep(0.03)
"""


def test_a_kill_loses_less_than_a_second_of_the_default_log(tmp_path: Path) -> None:
    """By the clock of the process that was killed: what it was given a second before its last word is in the file."""
    path = tmp_path / "killed.csv"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), str(ROOT)))},
    )
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(float(line.split()[1]))
        if len(told) > 20 and told[-1] - told[0] > 2.7:
            break
    process.kill()
    process.wait()
    content = path.read_text()
    assert content.endswith("\n")
    frames = [int(line.split(",")[0]) for line in content.splitlines()[1:]]
    assert frames == list(range(len(frames)))
    assert len(frames) >= sum(t < told[-1] - 1.0 for t in told)
