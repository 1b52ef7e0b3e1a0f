"""Old events: which of them go, which stay, and what those see who read meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from stations import Cameras, Script, rows, settings_for, wait_for
from test_events import result_of, track_at

from irtrack.station import retention as module
from irtrack.station.database import Database, NoSuchEvent, Wanted
from irtrack.station.disk import Disk
from irtrack.station.events import EventSink, text_of
from irtrack.station.retention import Retention, beyond
from irtrack.station.settings import DiskSettings, RetentionSettings
from irtrack.station.station import Station

TODAY = datetime(2028, 6, 1, 12, tzinfo=UTC)


class Clocks:
    """One that may be set, and one that never is."""

    def __init__(self) -> None:
        self.utc, self.s = TODAY, 1000.0

    def go(self, hours: float) -> None:
        self.utc, self.s = self.utc + timedelta(hours=hours), self.s + 3600 * hours


class Kept:
    """A station's folder with events of a run, a day apart, the newest of today."""

    def __init__(self, folder: Path, count: int, keep_days: float = 400.0, most: int = 10**6) -> None:
        self.folder, self.path = folder, folder / "events.db"
        self.sink = EventSink(self.path, "north", live=True, flush_s=0.0)
        self.add(count)
        self.disk = Disk(DiskSettings(), folder, self.path)
        self.clocks = Clocks()
        settings = RetentionSettings(keep_days=keep_days, most=most)
        self.retention = Retention(settings, self.path, self.disk, lambda: self.clocks.utc, lambda: self.clocks.s)

    def add(self, count: int) -> None:
        """Events that have ended."""
        first = max((row["track"] for row in self.rows), default=0) + 1
        for i in range(first, first + count):
            for k in range(3):
                self.sink.write(result_of(3 * i + k, track_at(i, 31, 21, k / 10)))
        self.sink.idle(over=True)
        for back, row in enumerate(reversed(self.rows)):
            self.date(row["track"], TODAY - timedelta(days=back))

    @property
    def rows(self) -> list[dict[str, object]]:
        return rows(self.folder, "SELECT * FROM events ORDER BY id")  # type: ignore[return-value]

    @property
    def tracks(self) -> list[object]:
        return [row["track"] for row in self.rows]

    def sql(self, text: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as base:
            base.execute(text, values)

    def date(self, track: object, moment: datetime) -> None:
        self.sql("UPDATE events SET updated_utc = ?, first_utc = ? WHERE track = ?", *[text_of(moment)] * 2, track)

    def clip(self, name: str, *tracks: int) -> Path:
        """A clip that these events are in."""
        path = self.disk.clips_folder / "north" / f"{name}.mkv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
        for track in tracks:
            self.sql("UPDATE events SET clip = ? WHERE track = ?", path.relative_to(self.folder).as_posix(), track)
        return path

    def all_steps(self) -> int:
        """Until there is nothing to do."""
        steps = 1
        while self.retention.step():
            steps += 1
            assert steps < 1000
        return steps


def old(folder: Path, count: int = 10, **bounds: float) -> Kept:
    """Whose clock has run long enough to be asked."""
    made = Kept(folder, count, **bounds)  # type: ignore[arg-type]
    made.retention.step()
    made.clocks.go(1.1)
    return made


def test_by_age_but_for_those_that_somebody_said_something_of(tmp_path: Path) -> None:
    kept = old(tmp_path, keep_days=4.5)
    kept.sql("UPDATE events SET starred = 1 WHERE track = 2")
    kept.sql("UPDATE events SET verdict = 'clutter' WHERE track = 4")
    kept.all_steps()
    assert kept.tracks == [2, 4, 6, 7, 8, 9, 10]
    assert kept.retention.removed == 3
    kept.clocks.go(48)
    kept.all_steps()
    assert kept.tracks == [2, 4, 8, 9, 10]
    kept.sql("UPDATE events SET starred = 0, verdict = NULL")
    kept.all_steps()
    assert kept.tracks == [8, 9, 10]
    assert rows(tmp_path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_by_number_whatever_the_clock_says(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 60, most=8)
    kept.sql("UPDATE events SET starred = 1 WHERE track IN (1, 2)")
    assert kept.all_steps() > 50 / module.STEP_ROWS, "in small steps"
    assert kept.tracks == [1, 2, *range(53, 61)], "those with a star do not count"
    kept.retention.settings = RetentionSettings(most=2)
    kept.all_steps()
    assert kept.tracks == [1, 2, 59, 60]


def test_an_event_that_goes_on_stays(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 5, most=1)
    kept.sink.write(result_of(100, track_at(99, 5, 5, 0.1)))
    kept.date(99, TODAY - timedelta(days=3000))
    kept.all_steps()
    kept.clocks.go(2)
    kept.all_steps()
    assert kept.tracks == [5, 99]
    kept.sink.write(result_of(101, track_at(99, 6, 5, 0.2)))
    assert kept.rows[-1]["measured"] == 2


def test_a_clip_goes_with_the_last_of_its_events(tmp_path: Path) -> None:
    kept = old(tmp_path, keep_days=4.5)
    one, shared, starred, written = (
        kept.clip("one", 1), kept.clip("shared", 2, 9), kept.clip("starred", 3, 4), kept.clip("written", 5)
    )  # fmt: skip
    kept.sql("UPDATE events SET starred = 1 WHERE track = 4")
    kept.disk.begin(written)
    kept.all_steps()
    assert kept.tracks == [4, 5, 6, 7, 8, 9, 10]
    assert [path.exists() for path in (one, shared, starred, written)] == [False, True, True, True]
    kept.disk.end(written)
    kept.all_steps()
    assert kept.tracks == [4, 6, 7, 8, 9, 10]
    assert not written.exists()
    kept.clocks.go(24 * 30)
    kept.all_steps()
    assert kept.tracks == [4, 10]
    assert not shared.exists()
    assert starred.exists()


def test_a_name_in_the_database_removes_no_file_but_clips(tmp_path: Path) -> None:
    kept = old(tmp_path, keep_days=4.5)
    precious = tmp_path / "precious"
    precious.write_text("x")
    kept.sql("UPDATE events SET clip = 'clips/../precious' WHERE track = 1")
    kept.sql("UPDATE events SET clip = ? WHERE track = 2", str(precious))
    kept.all_steps()
    assert kept.tracks == [6, 7, 8, 9, 10]
    assert precious.exists()


def test_a_clip_that_cannot_be_removed_keeps_its_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = old(tmp_path, keep_days=8.5)
    clip = kept.clip("folder", 1)
    clip.unlink()
    clip.mkdir()  # not even root removes it as a file
    for _ in range(3):
        assert not kept.retention.attempt()
    assert 1 in kept.tracks
    assert "old events cannot be removed" in kept.retention.trouble
    assert len(caplog.records) == 1
    clip.rmdir()
    while kept.retention.attempt():
        pass
    assert kept.tracks == list(range(2, 11))
    assert kept.retention.trouble == ""


def test_a_clock_that_is_wrong_for_a_while_removes_nothing(tmp_path: Path) -> None:
    kept = old(tmp_path, keep_days=400)
    kept.all_steps()
    kept.clocks.utc += timedelta(days=4000)
    for _ in range(50):
        assert not kept.retention.step()
        kept.clocks.go(0.017)
    kept.clocks.utc -= timedelta(days=4000)
    for _ in range(100):
        assert not kept.retention.step()
        kept.clocks.go(0.017)
    assert kept.tracks == list(range(1, 11))
    kept.clocks.go(24 * 395.5)
    kept.all_steps()
    assert kept.tracks == [6, 7, 8, 9, 10], "years that really went by count"


def test_of_an_event_of_1970_the_age_is_not_known(tmp_path: Path) -> None:
    kept = old(tmp_path, keep_days=4.5)
    kept.date(10, datetime(1970, 1, 1, 0, 5, tzinfo=UTC))
    kept.date(9, datetime(1970, 1, 1, 0, 5, tzinfo=UTC))
    kept.all_steps()
    assert kept.tracks == [6, 7, 8, 9, 10]
    kept.retention.settings = RetentionSettings(most=1)
    kept.all_steps()
    assert kept.tracks == [10], "the number bounds it: by its place, not by its date"


def test_no_number_is_given_twice(tmp_path: Path) -> None:
    """A reader that goes on from the last id that it saw misses nothing."""
    kept = old(tmp_path, keep_days=1.0)
    newest = max(row["id"] for row in kept.rows)  # type: ignore[type-var]
    kept.clocks.go(24 * 1000)
    kept.all_steps()
    assert [row["id"] for row in kept.rows] == [newest]
    kept.add(1)
    assert [row["id"] for row in kept.rows] == [newest, newest + 1]  # type: ignore[operator]


def test_runs_without_events_go_and_one_that_goes_on_comes_back(tmp_path: Path) -> None:
    kept = old(tmp_path, 1, keep_days=1.0)
    for _ in range(50):
        EventSink(kept.path, "flapping", live=True).close()
    quiet = EventSink(kept.path, "quiet", live=True)
    last = EventSink(kept.path, "last", live=True)
    kept.sql("UPDATE runs SET begun_utc = '2027-01-01T00:00:00.000000Z'")
    kept.all_steps()
    sources = "SELECT source FROM runs ORDER BY id"
    assert [row["source"] for row in rows(tmp_path, sources)] == ["north", "last"]
    quiet.write(result_of(0, track_at(1, 5, 5, 0.1)))
    quiet.close()
    assert [row["source"] for row in rows(tmp_path, sources)] == ["north", "quiet", "last"]
    assert Database(kept.path).events(Wanted(camera="quiet"), 5)[0]["event"] == f"{quiet.run}-1"
    assert EventSink(kept.path, "new", live=True).run > last.run


def test_the_file_gets_smaller_in_small_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLACK_PAGES", 8)
    monkeypatch.setattr(module, "STEP_PAGES", 32)
    kept = Kept(tmp_path, 200, most=20)
    kept.sql("UPDATE events SET thumbnail = randomblob(9000)")

    def pages() -> int:
        return int(rows(tmp_path, "PRAGMA page_count")[0]["page_count"])

    before, sizes = pages(), [pages()]
    while kept.retention.step():
        sizes.append(pages())
    kept.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert before > 400
    assert pages() < 0.25 * before
    assert max(a - b for a, b in pairwise(sizes)) <= 34  # and pages of the map of pages
    assert kept.path.stat().st_size < 0.25 * before * 4096 + 4096
    assert rows(tmp_path, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_room_of_what_went_is_used_again(tmp_path: Path) -> None:
    """Also where the file never gets smaller: ten times as many events do not make it larger."""
    kept = Kept(tmp_path, 40, most=20)
    kept.all_steps()
    for _ in range(3):
        kept.add(20)
        kept.all_steps()
    size = rows(tmp_path, "PRAGMA page_count")[0]["page_count"]
    for _ in range(20):
        kept.add(20)
        kept.all_steps()
    assert len(kept.rows) == 20
    assert rows(tmp_path, "PRAGMA page_count")[0]["page_count"] <= 1.1 * size


def test_pages_of_a_list_that_is_turned_over_meanwhile(tmp_path: Path) -> None:
    """Whoever turns pages sees each event that stays once, in order, and comes to an end."""
    kept = Kept(tmp_path, 100, most=100)
    database, seen, before = Database(kept.path), list[int](), None
    while page := database.events(Wanted(), 7, before):
        seen += [int(one["event"].split("-")[1]) for one in page]
        before = page[-1]["id"]
        kept.retention.settings = RetentionSettings(most=kept.retention.settings.most - 5)
        kept.retention.step()
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen))
    assert set(kept.tracks) <= set(seen)
    assert len(kept.tracks) < 70
    gone = f"{kept.sink.run}-1"
    for ask in (database.event, database.curve, database.thumbnail):
        with pytest.raises(NoSuchEvent, match="there is no"):
            ask(gone)
    with pytest.raises(NoSuchEvent):
        database.judge(gone, {"starred": True})


def test_whoever_reads_in_one_go_sees_what_was_there(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 50, most=5)
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        half = reader.execute("SELECT track, curve FROM events ORDER BY id")
        first = half.fetchmany(10)
        kept.all_steps()
        assert len(kept.rows) == 5
        rest = half.fetchall()
        assert [track for track, _ in (*first, *rest)] == list(range(1, 51))
        assert all(curve for _, curve in rest)
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (5,)


def test_whoever_writes_long_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept(tmp_path, 50, most=5)
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert not kept.retention.attempt()
        assert kept.retention.trouble == ""
        assert not caplog.records
        writer.execute("COMMIT")
    assert kept.retention.attempt()


def test_no_thumbnail_is_read_to_find_what_goes(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 3)
    asked: list[str] = []
    with closing(sqlite3.connect(kept.path)) as base:
        base.set_trace_callback(asked.append)
        module.passing(base, 1, "2028-01-01", 5)
        module.passing(base, 100, "2028-01-01", 5)
        base.set_trace_callback(None)
        plans = [[row[3] for row in base.execute(f"EXPLAIN QUERY PLAN {text}")] for text in asked]
    assert len(plans) == 5
    assert all(any("COVERING INDEX events_passing" in line for line in lines) for lines in plans), plans


def test_a_database_of_before_is_taken_over(tmp_path: Path, cameras: Cameras, stations: list[Station]) -> None:
    kept = Kept(tmp_path, 5)
    kept.sink.close()
    for text in ("DROP INDEX events_passing", "DROP INDEX events_by_clip", "PRAGMA user_version = 2"):
        kept.sql(text)
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as base:
        base.execute("PRAGMA auto_vacuum = 0")
        base.execute("VACUUM")
        assert base.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    before = kept.rows
    stations.append(Station(settings_for(tmp_path), cameras.detector))
    assert kept.rows == before
    assert rows(tmp_path, "PRAGMA auto_vacuum") == [{"auto_vacuum": 2}]
    assert rows(tmp_path, "PRAGMA journal_mode") == [{"journal_mode": "wal"}]
    names = {row["name"] for row in rows(tmp_path, "SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert names >= {"events_passing", "events_by_clip"}


def test_check_says_what_would_go(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 30)
    assert beyond(RetentionSettings(most=10), tmp_path / "none.db") == ""
    said = beyond(RetentionSettings(most=10), kept.path)
    assert said == "of 30 events there, 20 are beyond these bounds and will be removed"
    now = datetime.now(UTC)
    for row in kept.rows:
        kept.date(row["track"], now - timedelta(days=30 - int(str(row["track"])) + 0.5))
    assert beyond(RetentionSettings(keep_days=25), kept.path).startswith("of 30 events there, 5 are")
    assert beyond(RetentionSettings(), kept.path) == ""
    (tmp_path / "text.db").write_text("no database")
    assert beyond(RetentionSettings(), tmp_path / "text.db") == ""


def test_a_station_keeps_its_bounds_while_it_watches(
    tmp_path: Path, cameras: Cameras, stations: list[Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEP_S", 0.01)
    monkeypatch.setattr(module, "CHECK_S", 0.01)
    cameras.makers["a"] = lambda turn: Script(lambda i: i % 60 >= 30, None)
    settings = settings_for(tmp_path, "a", retention=RetentionSettings(most=4))
    station = Station(settings, cameras.detector)
    stations.append(station)
    station.start()
    wait_for(lambda: station.retention.removed >= 6)
    assert station.cameras["a"].counts.deaths == 0
    assert station.take_over(settings_for(tmp_path, "a", retention=RetentionSettings(most=2))) == ["retention"]
    first = station.cameras["a"]
    removed = station.retention.removed
    wait_for(lambda: station.retention.removed >= removed + 4)
    assert station.cameras["a"] is first, "cameras go on untouched"
    station.close()
    stations.clear()
    left = rows(tmp_path)
    assert len(left) <= 2 + 3, "and those that ended since the last step"
    clips = {str(row["clip"]) for row in left}
    there = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "clips").rglob("*.mkv")}
    assert there <= clips


def test_a_clip_that_a_kill_left_without_a_row_goes_with_its_time(tmp_path: Path) -> None:
    kept = old(tmp_path, keep_days=4.5)
    folder = kept.disk.clips_folder / "north"
    strays = [folder / day / "x.mkv" for day in ("2028-05-20", "2028-05-30", "1970-01-01", "mine")]
    known = folder / "2028-05-20" / "known.mkv"
    for path in (*strays, known):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    kept.sql("UPDATE events SET clip = ?, starred = 1 WHERE track = 1", known.relative_to(tmp_path).as_posix())
    kept.all_steps()
    assert [path.exists() for path in strays] == [False, True, True, True]
    assert known.exists()
    kept.clocks.go(24 * 5)
    kept.all_steps()
    assert [path.exists() for path in strays] == [False, False, True, True]
