"""A station's cameras, clips and disk: one that dies or is away is nobody else's trouble, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from stations import FPS, Bright, Cameras, Script, died, number_of, picture, rows, settings_for, wait_for

from irtrack.capture.open import open_source
from irtrack.config import DetectorSettings, DisplaySettings, Settings
from irtrack.core import ConfigError, Detections, Frame, FrameResult, SinkError
from irtrack.pipeline import process
from irtrack.station.camera import Watch
from irtrack.station.clips import ClipSink
from irtrack.station.database import Database
from irtrack.station.disk import Disk
from irtrack.station.events import Change, EventSink
from irtrack.station.news import News
from irtrack.station.settings import CameraSettings, ClipSettings, DiskSettings, StationSettings
from irtrack.station.station import Station
from irtrack.track.tracker import KalmanTracker


def begin(stations: list[Station], cameras: Cameras, settings: StationSettings) -> tuple[Station, list[News]]:
    station, news = Station(settings, cameras.detector), list[News]()
    stations.append(station)
    station._listeners.append(news.append)
    station.start()
    return station, news


def test_deaths_are_nobody_elses(tmp_path: Path, cameras: Cameras, stations: list[Station]) -> None:
    """One camera is well, one dies each time, one is away at first, the detector of one fails once."""
    cameras.makers["well"] = lambda turn: Script(lambda i: 20 <= i < 70 or i >= 120, None)
    cameras.makers["dying"] = lambda turn: Script(lambda i: i >= 10, 60, died())
    cameras.makers["faulty"] = lambda turn: Script(lambda i: True, None)
    station, news = begin(stations, cameras, settings_for(tmp_path, "well", "dying", "late", "faulty"))
    wait_for(lambda: len([n for n in news if n.camera == "dying" and n.change is Change.ENDED]) >= 3)
    wait_for(lambda: station.cameras["dying"].counts.deaths >= 3)
    assert station.cameras["late"].watch in (Watch.WAITING, Watch.CONNECTING)
    assert "late is away" in station.cameras["late"].trouble
    assert any("late is away" in text for text in station.troubles())
    cameras.makers["late"] = lambda turn: Script(lambda i: True, None)
    wait_for(lambda: any(n.camera == "late" for n in news))
    wait_for(lambda: not station.cameras["late"].trouble, "it is there now")
    wait_for(lambda: station.cameras["faulty"].active)
    faulty = next(d for d in cameras.detectors if d._seen is cameras.opened["faulty"][0].seen)  # type: ignore[attr-defined]
    faulty.failing = RuntimeError("no memory left on the device")
    wait_for(lambda: len(cameras.opened["faulty"]) == 2 and station.cameras["faulty"].active)
    assert station.cameras["faulty"].counts.deaths == 1
    wait_for(lambda: station.cameras["well"].counts.events >= 2)
    assert station.cameras["well"].counts.deaths == 0
    assert len(cameras.opened["well"]) == 1
    station.close()
    stations.clear()
    assert all(source.closed for every in cameras.opened.values() for source in every)  # type: ignore[attr-defined]
    found = rows(tmp_path)
    assert all(row["ended"] for row in found)
    told = [(n.event, n.change) for n in news if n.change is not Change.UPDATED]
    assert {event for event, change in told if change is Change.STARTED} == {f"{r['run']}-{r['track']}" for r in found}
    assert sorted(e for e, c in told if c is Change.STARTED) == sorted(e for e, c in told if c is Change.ENDED)
    assert len({row["run"] for row in found if row["source"] == "dying"}) >= 3, "identities are not mixed up"


def frames_of(path: Path) -> list[int]:
    """Numbers of the pictures in a raw clip."""
    source = open_source(str(path))
    try:
        return [number_of(frame.image) for frame in source]
    finally:
        source.close()


def test_a_clip_reaches_from_before_its_event_to_after_it(
    tmp_path: Path, cameras: Cameras, stations: list[Station]
) -> None:
    cameras.makers["a"] = lambda turn: Script(lambda i: 60 <= i < 100 or 300 <= i < 420, 500)
    settings = settings_for(tmp_path, "a", clips=ClipSettings(kind="raw", before_s=1.0, after_s=0.5, longest_s=5.0))
    station, _ = begin(stations, cameras, settings)
    wait_for(lambda: station.cameras["a"].counts.frames == 500)
    station.close()
    stations.clear()
    short, long = sorted((r for r in rows(tmp_path) if r["clip"]), key=lambda r: r["first_frame"])[:2]
    numbers = frames_of(tmp_path / short["clip"])
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "every frame, once"
    assert numbers[0] == pytest.approx(short["first_frame"] - FPS, abs=1)
    assert numbers[-1] == pytest.approx(short["last_frame"] + 0.5 * FPS, abs=2)
    numbers = frames_of(tmp_path / long["clip"])
    assert long["last_frame"] - long["first_frame"] > 5.0 * FPS
    assert numbers[-1] - numbers[0] == pytest.approx(5.0 * FPS, abs=2), "no longer than longest_s"
    assert station.disk.clips_folder / "a" == (tmp_path / long["clip"]).parent.parent


def result_of(number: int, connection: int = 0) -> FrameResult:
    frame = Frame(number, number / FPS, picture(number, False), connection)
    return FrameResult(frame, Detections.empty(), (), {}, captured_s=number / FPS)


@pytest.mark.parametrize("kind", ["raw", "video"])
def test_events_that_overlap_share_a_clip(tmp_path: Path, kind: str) -> None:
    disk = Disk(DiskSettings(), tmp_path, tmp_path / "events.db")
    sink = ClipSink("a", ClipSettings(kind=kind, before_s=0.5, after_s=0.5), tmp_path, disk, DisplaySettings(), FPS)
    clips: dict[int, str | None] = {}
    for i in range(120):
        for track, (first, last) in {1: (20, 30), 2: (35, 50), 3: (90, 95)}.items():
            if i == first:
                clips[track] = sink.begin(track, i / FPS, i / FPS)
            if i == last:
                sink.end(track)
        sink.write(result_of(i))
    sink.close()
    assert sink.failed == 0
    assert clips[1] == clips[2] != clips[3], "the second began within the half second after the first"
    lengths = []
    for name in (clips[1], clips[3]):
        assert name is not None
        source = open_source(str(tmp_path / name))
        lengths.append(len(list(source)))
        source.close()
    assert lengths == pytest.approx([50 - 20 + 20, 95 - 90 + 20], abs=3)
    assert sink.dropped == 0
    assert sink.written == 2


def test_the_memory_before_events_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk(DiskSettings(), tmp_path, tmp_path / "events.db")
    settings = ClipSettings(kind="raw", before_s=100.0, memory_mb=1)
    sink = ClipSink("a", settings, tmp_path, disk, DisplaySettings(), FPS)
    for i in range(400):
        sink.write(result_of(i))
    most = 1e6 // picture(0, False).nbytes
    assert most - 2 <= len(sink._ring) <= most
    assert sum("memory_mb = 1 holds less" in record.message for record in caplog.records) == 1
    sink.write(result_of(400, connection=1))
    assert len(sink._ring) == 1, "what another connection showed belongs to no clip of this one"
    sink.close()


def test_the_oldest_clips_without_a_star_go_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = Database(tmp_path / "events.db")
    base.prepare()
    disk = Disk(DiskSettings(clips_gb=4e-6, free_gb=0.0), tmp_path, base.path)
    paths = []
    for i in range(6):
        path = disk.clips_folder / "a" / "2026-01-01" / f"20260101T00000{i}.000Z-a.mkv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
        paths.append(path)
    with base._connected(write=True) as connection:
        connection.execute("INSERT INTO runs VALUES (1, 'a', '', '')")
        values = (paths[0].relative_to(tmp_path).as_posix(),)
        connection.execute(
            "INSERT INTO events (run, track, ended, first_s, last_s, before_s, updated_utc, first_frame, last_frame, "
            "measured, first_x_px, first_y_px, last_x_px, last_y_px, speed_px_s, starred, clip) "
            "VALUES (1, 1, 1, 0, 0, 0, '', 0, 0, 0, 0, 0, 0, 0, 0, 1, ?)",
            values,
        )
    disk.begin(paths[1])  # this one is being written
    disk.sweep()
    assert [path.exists() for path in paths] == [True, True, False, False, True, True]
    assert (disk.clips, disk.clips_bytes, disk.removed, disk.full) == (4, 4000, 2, "")
    disk.settings = DiskSettings(clips_gb=1e-6, free_gb=0.0)
    disk.sweep()
    assert [path.exists() for path in paths] == [True, True, False, False, False, False]
    assert "clips with a star take more" in disk.full
    sink = ClipSink("a", ClipSettings(kind="raw"), tmp_path, disk, DisplaySettings(), FPS)
    assert sink.begin(1, 0.0, 0.0) is None, "no clip where there is no room"
    sink.close()
    disk.end(paths[1])
    disk.sweep()
    assert [path.exists() for path in paths] == [True, *[False] * 5]
    assert disk.full == ""
    assert sum("no more are kept" in record.message for record in caplog.records) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def open_clips(folder: Path) -> int:
    """Files of clips that this process has open, those that are removed already among them."""
    files = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            files.append(os.readlink(f"/proc/self/fd/{number}"))
    return len({file for file in files if file.startswith(str(folder / "clips"))})


def test_a_full_disk_is_said_and_outlived(
    small_disk: Path, cameras: Cameras, stations: list[Station], caplog: pytest.LogCaptureFixture
) -> None:
    """Events that end while it is full are written when there is room again, and told all the while."""
    cameras.makers["a"] = lambda turn: Script(lambda i: i % 60 >= 30, None)
    clips = ClipSettings(kind="video", before_s=1.0, after_s=0.5)
    settings = settings_for(small_disk, "a", clips=clips, disk=DiskSettings(clips_gb=1.0, free_gb=0.0))
    station, news = begin(stations, cameras, settings)
    ended = lambda: [n.event for n in news if n.change is Change.ENDED]  # noqa: E731
    wait_for(ended)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    wait_for(lambda: station.cameras["a"].events_trouble)
    assert "database or disk is full" in station.cameras["a"].events_trouble
    while_full = len(ended())
    wait_for(lambda: len(ended()) >= while_full + 3, "tracking and news go on")
    wait_for(lambda: station.cameras["a"].counts.clips_failed >= 3)
    assert open_clips(small_disk) <= 1, "those that failed are let go of"
    filler.unlink()
    shutil.rmtree(small_disk / "clips", ignore_errors=True)
    wait_for(lambda: not station.cameras["a"].events_trouble)
    station.close()
    stations.clear()
    assert {f"{r['run']}-{r['track']}" for r in rows(small_disk) if r["ended"]} == set(ended())
    assert station.cameras["a"].counts.deaths == 0
    assert any("events are written again" in record.message for record in caplog.records)


def test_whoever_locks_the_database_holds_no_camera_up(
    tmp_path: Path, cameras: Cameras, stations: list[Station]
) -> None:
    """Another program writes to it for long: frames and news go on, and what ended meanwhile is written behind it."""
    cameras.makers["a"] = lambda turn: Script(lambda i: i % 60 >= 30, None)
    station, news = begin(stations, cameras, settings_for(tmp_path, "a"))
    ended = lambda: [n.event for n in news if n.change is Change.ENDED]  # noqa: E731
    wait_for(ended)
    other = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        wait_for(lambda: "database is locked" in station.cameras["a"].events_trouble)
        before = len(ended())
        wait_for(lambda: len(ended()) >= before + 2)
        other.execute("COMMIT")
    finally:
        other.close()
    wait_for(lambda: not station.cameras["a"].events_trouble)
    station.close()
    stations.clear()
    assert {f"{r['run']}-{r['track']}" for r in rows(tmp_path) if r["ended"]} == set(ended())
    assert station.cameras["a"].counts.deaths == 0


def test_a_hang_is_seen(tmp_path: Path, cameras: Cameras, stations: list[Station]) -> None:
    cameras.makers["a"] = lambda turn: Script(lambda i: True, None)
    cameras.makers["b"] = lambda turn: Script(lambda i: True, None)
    station, _ = begin(stations, cameras, settings_for(tmp_path, "a", "b", hang_s=1.0))
    wait_for(lambda: len(cameras.detectors) == 2 and all(c.counts.frames > 3 for c in station.cameras.values()))
    assert station.hanging == []
    one = cameras.detectors[0]
    one.held.clear()
    (hanging,) = wait_for(lambda: station.hanging)
    assert station.troubles() == [f"camera {hanging}: hangs"]
    one.held.set()
    wait_for(lambda: not station.hanging)


def test_a_camera_that_sends_nothing_does_not_hang(tmp_path: Path, cameras: Cameras, stations: list[Station]) -> None:
    cameras.makers["a"] = lambda turn: Script(lambda i: True, 5)
    station, _ = begin(stations, cameras, settings_for(tmp_path, "a", hang_s=1.0))
    wait_for(lambda: station.cameras["a"].counts.frames == 5)
    done = threading.Event()
    assert not done.wait(2.0)
    assert station.hanging == []


def test_events_end_when_their_camera_is_lost(tmp_path: Path, cameras: Cameras, stations: list[Station]) -> None:
    """At once, and not when it comes back."""
    source = Script(lambda i: True, 40)
    cameras.makers["a"] = lambda turn: source
    station, news = begin(stations, cameras, settings_for(tmp_path, "a"))
    wait_for(lambda: station.cameras["a"].counts.frames == 40)
    wait_for(lambda: rows(tmp_path), "what is due is written though no frame comes")
    assert [n.change for n in news if n.change is not Change.UPDATED] == [Change.STARTED]
    source.lost = True
    wait_for(lambda: news[-1].change is Change.ENDED)
    wait_for(lambda: station.cameras["a"].watch is Watch.LOST)
    assert news[-1].values["active"] == 0
    wait_for(lambda: rows(tmp_path)[0]["ended"])
    assert station.troubles() == ["camera a: lost, and connected again when it is there"]


def test_a_camera_off_its_schedule_is_not_opened(tmp_path: Path, cameras: Cameras, stations: list[Station]) -> None:
    later = datetime.now(UTC) + timedelta(hours=6)
    schedule = f"{later:%H:%M}-{later + timedelta(hours=1):%H:%M}"
    off = CameraSettings(name="off", source="off", schedule=schedule)
    cameras.makers["on"] = lambda turn: Script(lambda i: True, None)
    settings = settings_for(tmp_path, "on", timezone="UTC")
    station, _ = begin(stations, cameras, replace(settings, cameras=(*settings.cameras, off)))
    wait_for(lambda: station.cameras["on"].counts.frames)
    wait_for(lambda: station.cameras["off"].watch is Watch.OFF)
    assert "off" not in cameras.asked
    station.cameras["on"]._schedule = station.cameras["off"]._schedule  # its time is over
    wait_for(lambda: station.cameras["on"].watch is Watch.OFF)
    assert station.cameras["on"].counts.deaths == 0


def test_settings_are_taken_over_without_touching_the_rest(
    tmp_path: Path, cameras: Cameras, stations: list[Station]
) -> None:
    for name in "abc":
        cameras.makers[name] = lambda turn: Script(lambda i: True, None)
    old = settings_for(tmp_path, "a", "b")
    station, _ = begin(stations, cameras, old)
    wait_for(lambda: all(c.counts.frames for c in station.cameras.values()))
    a, b = station.cameras["a"], station.cameras["b"]
    changed = replace(old.cameras[1], settings=Settings(detector=DetectorSettings(threshold=0.3)))
    new = replace(old, cameras=(old.cameras[0], changed, CameraSettings(name="c", source="c")))
    assert station.take_over(new) == ["camera b", "camera c"]
    wait_for(lambda: all(c.counts.frames for c in station.cameras.values()))
    assert station.cameras["a"] is a
    assert len(cameras.opened["a"]) == 1
    assert b.watch is Watch.ENDED
    assert b._detector is None, "its network is not kept"
    with pytest.raises(ConfigError, match="that needs a restart"):
        station.take_over(replace(new, folder=str(tmp_path / "other")))
    assert station.settings is new
    assert station.take_over(replace(new, cameras=new.cameras[:1])) == ["camera b removed", "camera c removed"]
    assert station.take_over(replace(new, cameras=new.cameras[:1])) == []
    assert station.cameras == {"a": a}
    assert a.watch is Watch.RUNNING


def test_two_stations_in_one_folder(tmp_path: Path, cameras: Cameras, stations: list[Station]) -> None:
    begin(stations, cameras, settings_for(tmp_path))
    with pytest.raises(SinkError, match=r"another station runs in .*: give each a folder of its own"):
        Station(settings_for(tmp_path), cameras.detector)


def test_what_went_on_when_a_station_was_killed_ends(tmp_path: Path, cameras: Cameras, stations: list[Station]) -> None:
    source = Script(lambda i: True, 40)
    detector = Bright(source)
    sink = EventSink(tmp_path / "events.db", "a", live=True)
    for i, result in enumerate(process(source, detector, KalmanTracker())):
        sink.write(result)
        if i == 39:
            break
    sink._put()
    sink._base.close()  # and no more
    (row,) = rows(tmp_path)
    assert not row["ended"]
    _, news = begin(stations, cameras, settings_for(tmp_path))
    assert [(n.camera, n.event, n.change) for n in news] == [("a", f"{row['run']}-{row['track']}", Change.ENDED)]
    assert news[0].values["last_s"] == pytest.approx(row["last_s"])
    assert np.all([r["ended"] for r in rows(tmp_path)])


def test_a_run_that_goes_on_beside_a_station_is_left_alone(
    tmp_path: Path, cameras: Cameras, stations: list[Station]
) -> None:
    """`irtrack run --events` writes into the station's database while that begins: its events are not ended."""
    foreign = EventSink(tmp_path / "events.db", "rtsp://10.0.0.1/...", live=True, flush_s=0.0)
    source = Script(lambda i: True, 40)
    for i, result in enumerate(process(source, Bright(source), KalmanTracker())):
        foreign.write(result)
        if i == 39:
            break
    (row,) = rows(tmp_path)
    assert not row["ended"]
    _, news = begin(stations, cameras, settings_for(tmp_path))
    assert news == []
    assert not rows(tmp_path)[0]["ended"]
    foreign.close()
    assert rows(tmp_path)[0]["ended"]


def test_two_stations_at_one_database_by_a_link(tmp_path: Path, cameras: Cameras, stations: list[Station]) -> None:
    begin(stations, cameras, settings_for(tmp_path / "one"))
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "events.db").symlink_to(tmp_path / "one" / "events.db")
    with pytest.raises(SinkError, match=r"another station runs in .*one: give each a folder of its own"):
        Station(settings_for(tmp_path / "two"), cameras.detector)
    stations.pop().close()
    stations.append(Station(settings_for(tmp_path / "two"), cameras.detector))
    with pytest.raises(SinkError, match="another station runs in"):
        Station(settings_for(tmp_path / "one"), cameras.detector)
