"""Events: what stands in the database is what was tracked, whoever reads, writes beside it, or kills the program."""

from __future__ import annotations

import csv
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import cv2
import numpy as np
import pytest

from irtrack.cli import main
from irtrack.core import Detections, Frame, FrameResult, SinkError, Track, TrackStatus
from irtrack.station import clock, events
from irtrack.station.clock import clock_error_s, utc_of
from irtrack.station.events import CURVE, EventSink

ROOT = Path(__file__).resolve().parent.parent
IMAGE = np.full((64, 80), 100, np.uint8)
IMAGE[20:23, 30:33] = 200


def track_at(id: int, x: float, y: float, time_s: float, seen: bool = True, snr: float = 5.0) -> Track:
    status = TrackStatus.CONFIRMED if seen else TrackStatus.COASTING
    return Track(
        id, status, np.array([x, y]), np.array([3.0, 4.0]), np.eye(4), time_s, 0, 0 if seen else None, (2.0, 2.0), 4.0,
        0.9 if seen else float("nan"), snr, np.array([[x, y]]), belief=2.5,
    )  # fmt: skip


def result_of(index: int, *tracks: Track, captured_s: float = 0.0) -> FrameResult:
    return FrameResult(Frame(index, index / 10, IMAGE), Detections.empty(), tracks, {}, captured_s=captured_s)


def rows_in(path: Path, query: str = "SELECT * FROM events ORDER BY run, track") -> list[dict[str, object]]:
    base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    base.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in base.execute(query)]
    finally:
        base.close()


def test_a_row_says_what_was_seen_of_a_track(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    sink = EventSink(path, "here", live=False, flush_s=0.0)
    for i in range(10):
        tracks = [track_at(7, 31 + i, 21, i / 10, seen=i != 4, snr=4.0 + i)]
        sink.write(result_of(i, *tracks, *([track_at(8, 5, 6, 0.0)] if i >= 6 else [])))
        (row, *_) = rows_in(path)  # by another connection, while it is written
        assert (row["track"], row["ended"], row["last_frame"]) == (7, 0, i)
    sink.write(result_of(10, track_at(8, 5, 6, 0.5)))
    seven, eight = rows_in(path)
    assert (seven["ended"], eight["ended"]) == (1, 0)
    assert (seven["first_s"], seven["last_s"], seven["first_frame"], seven["measured"]) == (0.0, 0.9, 0, 9)
    assert (seven["first_x_px"], seven["last_x_px"], seven["speed_px_s"]) == (31.0, 40.0, 5.0)
    assert (seven["snr"], seven["score"], seven["belief"]) == (13.0, 0.9, 2.5)
    assert seven["first_utc"] is seven["utc_error_s"] is seven["verdict"] is None
    curve = np.frombuffer(seven["curve"], CURVE)  # type: ignore[call-overload]
    assert len(curve) == 10
    assert curve["time_s"].tolist() == pytest.approx([i / 10 for i in range(10)])
    assert curve["brightness"][0] == 200
    assert np.isnan(curve["snr"]).tolist() == [i == 4 for i in range(10)]
    picture = cv2.imdecode(np.frombuffer(seven["thumbnail"], np.uint8), cv2.IMREAD_GRAYSCALE)  # type: ignore[call-overload]
    assert picture.shape == (48, 48)
    sink.close()
    sink.close()
    assert [row["ended"] for row in rows_in(path)] == [1, 1]


def test_a_tentative_track_is_no_event(tmp_path: Path) -> None:
    sink = EventSink(tmp_path / "e.db", "here", live=False)
    guess = track_at(1, 5, 5, 0.1)
    sink.write(
        result_of(0, Track(**{n: getattr(guess, n) for n in guess.__slots__} | {"status": TrackStatus.TENTATIVE}))
    )
    sink.close()
    assert rows_in(tmp_path / "e.db") == []
    assert len(rows_in(tmp_path / "e.db", "SELECT * FROM runs")) == 1


def test_an_event_begins_with_something_seen(tmp_path: Path) -> None:
    """With half a minute between two frames, a track may be believed in one in which it is not seen, and then end."""
    sink = EventSink(tmp_path / "e.db", "here", live=False, flush_s=0.0)
    sink.write(result_of(0, track_at(1, 5, 5, 0.1, seen=False), track_at(2, 9, 9, 0.1, seen=False)))
    assert rows_in(tmp_path / "e.db") == []
    sink.write(result_of(1, track_at(2, 10, 9, 0.2)))
    sink.write(result_of(2, track_at(2, 11, 9, 0.3, seen=False)))
    sink.close()
    (row,) = rows_in(tmp_path / "e.db")
    assert (row["track"], row["first_frame"], row["last_frame"], row["measured"]) == (2, 1, 2, 1)
    assert row["thumbnail"] is not None


def test_the_curve_of_a_track_that_stays_for_hours_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_POINTS", 16)
    sink = EventSink(tmp_path / "e.db", "here", live=False)
    for i in range(1000):
        sink.write(result_of(i, track_at(1, 5, 5, i / 10)))
    sink.close()
    (row,) = rows_in(tmp_path / "e.db")
    times = np.frombuffer(row["curve"], CURVE)["time_s"]  # type: ignore[call-overload]
    assert 8 <= len(times) <= 16
    assert np.ptp(np.diff(times)) < 1e-3, "even steps"
    assert (times[0], row["last_frame"], row["measured"]) == (0.0, 999, 1000)
    assert times[-1] > 90


def test_utc_is_that_of_the_arrival(tmp_path: Path) -> None:
    """Between what the clock showed before and after, whatever the run's own seconds say."""
    sink = EventSink(tmp_path / "e.db", "cam", live=True)
    before = datetime.now(UTC)
    sink.write(result_of(3, track_at(1, 5, 5, 0.1), captured_s=time.monotonic() - 5.0))
    after = datetime.now(UTC)
    sink.close()
    (row,) = rows_in(tmp_path / "e.db")
    moment = datetime.strptime(str(row["first_utc"]), "%Y-%m-%dT%H:%M:%S.%f%z")
    slack = timedelta(milliseconds=1)
    assert before - slack <= moment + timedelta(seconds=5) <= after + slack
    error = clock_error_s()
    assert row["utc_error_s"] is None if error is None else 0 <= float(str(row["utc_error_s"])) < 3600
    assert abs((utc_of(time.monotonic()) - datetime.now(UTC)).total_seconds()) < 60


def test_what_people_said_of_an_event_stays(tmp_path: Path) -> None:
    sink = EventSink(tmp_path / "e.db", "here", live=False, flush_s=0.0)
    sink.write(result_of(0, track_at(1, 5, 5, 0.1)))
    with sqlite3.connect(tmp_path / "e.db") as base:
        base.execute("UPDATE events SET verdict = 'clutter', starred = 1")
    base.close()
    sink.write(result_of(1, track_at(1, 6, 5, 0.2)))
    sink.close()
    (row,) = rows_in(tmp_path / "e.db")
    assert (row["verdict"], row["starred"], row["last_frame"], row["ended"]) == ("clutter", 1, 1, 1)


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from tests_of_events import *
sink = EventSink(Path(sys.argv[1]), "writer", live=False, flush_s=0.0)
print(sink.run, flush=True)
for i in range(10**9):
    sink.write(result_of(i, *(track_at(i // 5 * 10 + k, 5, 5, 0.1) for k in range(3))))
"""


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 300
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_two_writers_and_a_kill(tmp_path: Path) -> None:
    """Both write to one database, one is killed in the middle of it; the other goes on and the file stays whole."""
    path = tmp_path / "e.db"
    (tmp_path / "tests_of_events.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    words = [sys.executable, "-c", WRITER, str(path), str(tmp_path)]
    writers = [subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        dead, other = (int(writer.stdout.readline()) for writer in writers if writer.stdout is not None)

        def ended(run: int) -> int:
            return int(str(rows_in(path, f"SELECT count(*) AS n FROM events WHERE ended AND run = {run}")[0]["n"]))

        wait_for(lambda: min(ended(dead), ended(other)) >= 30)
        writers[0].send_signal(signal.SIGKILL)
        writers[0].wait()
        reached = ended(other)
        wait_for(lambda: ended(other) >= reached + 30)
        assert rows_in(path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        left = rows_in(path, f"SELECT * FROM events WHERE run = {dead} AND NOT ended")
        assert len(left) == 3, "those that were followed when it was killed, as they were then"
        assert {row["last_frame"] for row in left} == {max(int(str(row["last_frame"])) for row in left)}
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def test_a_full_disk_is_one_line_and_what_was_written_stays(tmp_path: Path) -> None:
    sink = EventSink(tmp_path / "e.db", "here", live=False, flush_s=0.0)
    sink.write(result_of(0, track_at(1, 5, 5, 0.1)))
    pages = sink._base.execute("PRAGMA page_count").fetchone()[0]
    sink._base.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(SinkError, match=r"cannot write events to .*e\.db: database or disk is full; what was written"):
        sink.write(result_of(1, *(track_at(k, 5, 5, 0.1) for k in range(2, 200))))
    (row,) = rows_in(tmp_path / "e.db")
    assert row["track"] == 1
    with pytest.raises(SinkError):
        sink.close()
    assert len(rows_in(tmp_path / "e.db")) == 1


@pytest.mark.parametrize("what", ["text", "other", "folder", "nowhere"])
def test_what_is_no_database_of_events_is_left_alone(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    if what == "text":
        path.write_text("no database, but quite a long text " * 100)
    elif what == "other":
        with sqlite3.connect(path) as base:
            base.execute("CREATE TABLE mine (x)")
        base.close()
    elif what == "folder":
        path.mkdir()
    else:
        path = tmp_path / "none" / "x.db"
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(SinkError) as raised:
        EventSink(path, "here", live=False)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)
    if what == "text":
        assert path.read_bytes() == before
    if what == "other":
        assert {row["name"] for row in rows_in(path, "SELECT name FROM sqlite_master")} == {"mine"}


def test_a_run_adds_its_tracks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the whole program, beside the log of what was known in each frame."""
    path, log = tmp_path / "e.db", tmp_path / "t.csv"
    scene = "sim:sky,width=64,height=48,frames=30,targets=2,scr=25,seed=3"
    words = ["run", scene, "--events", str(path), "--csv", str(log), "--online", "--weights", "datransnet-s", "--force"]
    for run in (1, 2):
        assert main(words) == 0
        assert f"added to {path}" in capsys.readouterr().out
        with log.open() as file:
            logged = list(csv.DictReader(file))
        found = {row["track"]: row for row in rows_in(path) if row["run"] == run}
        assert set(found) == {int(row["track_id"]) for row in logged}
        assert found
        for track, row in found.items():
            own = [each for each in logged if int(each["track_id"]) == track]
            assert (row["first_frame"], row["last_frame"]) == (int(own[0]["frame"]), int(own[-1]["frame"]))
            assert row["measured"] == sum(each["measured"] == "1" for each in own)
            assert row["last_x_px"] == pytest.approx(float(own[-1]["x_px"]), abs=1e-3)
            assert row["ended"] == 1
    assert [row["source"] for row in rows_in(path, "SELECT source FROM runs")] == [scene] * 2
    assert main(["run", scene, scene.replace("seed=3", "seed=4"), *words[2:4], "--weights", "datransnet-s"]) == 0
    tracks = {row["run"]: row["n"] for row in rows_in(path, "SELECT run, count(*) AS n FROM events GROUP BY run")}
    assert set(tracks) == {1, 2, 3, 4}, "two sources at once, each with rows of its own"
    assert main(["run", scene, "--events", str(tmp_path), "--quiet"]) == 1
    assert "cannot write events to" in capsys.readouterr().err


def test_it_tells_of_its_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each begins and ends once; one that goes on is told of once a second, by the monotonic clock."""
    now = [100.0]
    monkeypatch.setattr(events.time, "monotonic", lambda: now[0])
    told: list[tuple[int, str]] = []
    sink = EventSink(
        tmp_path / "e.db", "here", live=False, tell=lambda change, event: told.append((event.row["track"], str(change)))
    )
    for i in range(26):
        now[0] = 100.0 + i / 10
        tracks = [track_at(7, 31, 21, i / 10), *([track_at(8, 5, 6, 0.0)] if 5 <= i < 9 else [])]
        sink.write(result_of(i, *tracks))
    sink.idle(over=False)
    assert told == [(7, "started"), (8, "started"), (8, "ended"), (7, "updated"), (7, "updated")]
    sink.idle(over=True)
    sink.close()
    sink.idle(over=True)
    assert told[5:] == [(7, "ended")]


def test_what_is_due_is_written_though_no_frame_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(events.time, "monotonic", lambda: now[0])
    sink = EventSink(tmp_path / "e.db", "here", live=False)
    sink.write(result_of(0))
    sink.write(result_of(1, track_at(1, 5, 5, 0.1)))
    sink.idle(over=False)
    assert rows_in(tmp_path / "e.db") == []
    now[0] += 1.0
    sink.idle(over=False)
    assert [row["ended"] for row in rows_in(tmp_path / "e.db")] == [0]
    sink.close()


def test_a_clock_that_is_set_does_not_make_events_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour on, in the middle of an event: all its times are by the new clock, and it lasted as long as it did."""
    base, ahead = datetime(2026, 1, 1, tzinfo=UTC), [0.0]
    monkeypatch.setattr(events, "utc_of", lambda captured_s: base + timedelta(seconds=captured_s + ahead[0]))
    sink = EventSink(tmp_path / "e.db", "cam", live=True, flush_s=0.0)
    for i in range(10):
        ahead[0] = 3600.0 if i >= 5 else 0.001 * i  # and a clock that is kept drifts a little
        sink.write(result_of(i, track_at(1, 5, 5, 0.1), captured_s=i / 10))
        (row,) = rows_in(tmp_path / "e.db")
        first, last = (datetime.fromisoformat(str(row[name])) for name in ("first_utc", "last_utc"))
        assert (last - first).total_seconds() == pytest.approx(i / 10, abs=0.005)
    sink.close()
    assert first == base + timedelta(hours=1)


def test_events_that_a_full_disk_refused_are_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_LEFT", 50)
    sink = EventSink(tmp_path / "e.db", "here", live=False, flush_s=0.0)
    pages = sink._base.execute("PRAGMA page_count").fetchone()[0]
    sink._base.execute(f"PRAGMA max_page_count = {pages}")
    failed = 0
    for i in range(200):
        try:
            sink.write(result_of(i, track_at(i, 5, 5, 0.1)))
        except SinkError:
            failed += 1
    assert failed
    assert sink.waiting
    before = {row["track"] for row in rows_in(tmp_path / "e.db")}
    sink._base.execute("PRAGMA max_page_count = 1000000")
    sink.write(result_of(200))
    assert not sink.waiting
    found = {row["track"]: row["ended"] for row in rows_in(tmp_path / "e.db")}
    assert found.keys() == before | set(range(150, 200)), "the newest fifty; the others are counted"
    assert sink.lost + sum(map(int, map(str, found.values()))) == 200
    sink.close()


def test_a_database_of_the_version_before_goes_on(tmp_path: Path) -> None:
    """Its rows stay, and new ones have all columns."""
    path = tmp_path / "e.db"
    new = {"clip TEXT", *(f"{name} REAL" for name in events.DIRECTION)}
    schema = events.SCHEMA.replace(events.INDEXES, "")
    lines = [line for line in schema.splitlines() if line.strip().rstrip(",") not in new]
    with sqlite3.connect(path) as base:
        base.executescript("\n".join(lines))
        base.execute("INSERT INTO runs VALUES (1, 'old', '2026', '0.2')")
        base.execute("PRAGMA user_version = 1")
        assert "clip" not in {row[1] for row in base.execute("PRAGMA table_info(events)")}
    base.close()
    for run in (2, 3):
        sink = EventSink(path, "here", live=False)
        assert sink.run == run
        sink.write(result_of(0, track_at(1, 5, 5, 0.1)))
        sink.close()
    assert [row["source"] for row in rows_in(path, "SELECT source FROM runs")] == ["old", "here", "here"]
    assert all(row["clip"] is None for row in rows_in(path))
    assert rows_in(path, "PRAGMA user_version") == [{"user_version": events.VERSION}]


@pytest.mark.parametrize("hours", [-1.0, 1.0])
def test_a_clock_that_is_set_by_an_hour_makes_no_event_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    """Both ends of an event are by one clock, the new one, and lie as far apart as its seconds do."""
    offset = timedelta()

    class Set(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Set:
            return cls.fromtimestamp(time.time(), tz) + offset

    for module in (clock, events):
        monkeypatch.setattr(module, "datetime", Set)
    sink = EventSink(tmp_path / "e.db", "cam", live=True, flush_s=0.0)
    start, wall = time.monotonic(), datetime.now(UTC)
    for i in range(40):
        if i == 20:
            offset = timedelta(hours=hours)
        ended = [track_at(1, 5, 5, 0.1)] if i < 15 else []  # over before it
        sink.write(result_of(i, *ended, track_at(2, 9, 9, 0.1), captured_s=start + i / 10))
    sink.close()
    before, across = rows_in(tmp_path / "e.db")
    for row, lasted_s, shift in ((before, 1.4, 0.0), (across, 3.9, hours)):
        first, last = (datetime.fromisoformat(str(row[name])) for name in ("first_utc", "last_utc"))
        assert (last - first).total_seconds() == pytest.approx(lasted_s, abs=0.06)
        assert (first - wall).total_seconds() == pytest.approx(3600 * shift, abs=60)
    assert [row["ended"] for row in (before, across)] == [1, 1]
