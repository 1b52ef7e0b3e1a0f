"""Directions, Cursor on Target and self-tests as parts of a station."""

from __future__ import annotations

import json
import math
import socket
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from stations import FPS, HEIGHT, WIDTH, Cameras, Script, rows, settings_for, wait_for

from irtrack.core import ConfigError
from irtrack.station.database import Database, Wanted
from irtrack.station.news import News
from irtrack.station.plan import check
from irtrack.station.settings import CotSettings, ShadowSettings, load_station
from irtrack.station.station import Station

POSE = f"""
[lens]
width = {WIDTH}
height = {HEIGHT}
hfov_deg = 40.0
[pose]
latitude_deg = 47.0
longitude_deg = 11.0
height_m = 600.0
azimuth_deg = 90.0
elevation_deg = 0.0
fixed = true
attitude_sigma_deg = 0.1
position_sigma_m = 3.0
"""


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(60)
        yield made


def azimuth_at(x_px: float) -> float:
    """By hand: the camera looks east, level, 40 degrees wide."""
    focal_px = WIDTH / 2 / math.tan(math.radians(20.0))
    return 90.0 + math.degrees(math.atan((x_px - (WIDTH - 1) / 2) / focal_px))


def test_directions_in_events_news_and_cursor_on_target(
    tmp_path: Path, cameras: Cameras, receiver: socket.socket
) -> None:
    (tmp_path / "pose.toml").write_text(POSE)
    cameras.makers["north"] = lambda turn: Script(lambda i: 10 <= i < 70, 120)
    settings = settings_for(
        tmp_path, "north", outputs=(CotSettings(kind="cot", address=f"udp://127.0.0.1:{receiver.getsockname()[1]}"),)
    )
    aimed = replace(settings.cameras[0], pose=str(tmp_path / "pose.toml"))
    station, news = Station(replace(settings, cameras=(aimed,)), cameras.detector), list[News]()
    station._listeners.append(news.append)
    try:
        assert station.outlets == {}
        station.start()
        wait_for(lambda: station.cameras["north"].counts.frames == 120)
    finally:
        station.close()
    (row,) = rows(tmp_path)
    assert row["azimuth_deg"] == pytest.approx(azimuth_at(row["last_x_px"]), abs=0.05)
    assert 0.05 < news[0].values["sigma_azimuth_deg"] < 2.0
    assert row["sigma_azimuth_deg"] > news[0].values["sigma_azimuth_deg"], "it coasts at its end"
    assert news[-1].values["azimuth_deg"] == pytest.approx(row["azimuth_deg"], abs=1e-3)
    assert news[0].values["azimuth_deg"] == pytest.approx(azimuth_at(news[0].values["first_x_px"]), abs=0.05)
    (listed,) = Database(tmp_path / "events.db").events(Wanted(), 10)
    assert listed["elevation_deg"] == pytest.approx(row["elevation_deg"], rel=1e-5)

    received = [ET.fromstring(receiver.recv(65536)) for _ in range(3)]
    kinds = {event.get("uid"): event.get("type") for event in received}
    assert kinds["roof-north"] == "b-m-p-s-p-loc"
    line = next(event for event in received if event.get("type") == "u-rb-a")
    bearing = line.find("detail/bearing")
    assert bearing is not None
    assert 70.0 < float(str(bearing.get("value"))) < 110.0
    point = line.find("point")
    assert point is not None
    assert float(str(point.get("lat"))) == 47.0


def test_a_pose_of_another_camera_is_said(tmp_path: Path, cameras: Cameras) -> None:
    (tmp_path / "pose.toml").write_text(POSE.replace(f"width = {WIDTH}", "width = 640"))
    cameras.makers["north"] = lambda turn: Script(lambda i: True, None)
    settings = settings_for(tmp_path, "north")
    aimed = replace(settings.cameras[0], pose=str(tmp_path / "pose.toml"))
    station = Station(replace(settings, cameras=(aimed,)), cameras.detector)
    try:
        station.start()
        wait_for(lambda: "calibrate it for these" in station.cameras["north"].trouble)
    finally:
        station.close()
    assert all(source.closed for source in cameras.opened["north"])  # type: ignore[attr-defined]


def test_what_a_station_file_says_of_directions(tmp_path: Path) -> None:
    (tmp_path / "pose.toml").write_text(POSE)
    path = tmp_path / "s.toml"
    camera = '[[cameras]]\nname = "a"\nsource = "simcam:sky"\ndetector = {weights = "datransnet-s"}\n'
    output = '[[outputs]]\nkind = "cot"\naddress = "udp://127.0.0.1:4242"\n'
    path.write_text('folder = "k"\nweb = {on = false}\n' + camera + output)
    with pytest.raises(ConfigError, match="no camera has a pose"):
        check(load_station(path))
    path.write_text('folder = "k"\nweb = {on = false}\n' + camera + 'pose = "pose.toml"\n' + output)
    loaded = load_station(path)
    assert loaded.cameras[0].pose == str(tmp_path / "pose.toml")
    with pytest.raises(ConfigError, match=r"camera 'a': the camera .*s\.toml: 'folder' is not known as a section"):
        check(replace(loaded, cameras=(replace(loaded.cameras[0], pose=str(path)),)))
    assert "output: cot, address udp://127.0.0.1:4242" in check(load_station(path))
    path.write_text('folder = "k"\n' + camera + output.replace("udp", "upd"))
    with pytest.raises(ConfigError, match=r"output 1 \(cot\): 'upd://127.0.0.1:4242' is no address for CoT"):
        load_station(path)


def test_a_self_test_beside_the_camera(tmp_path: Path, cameras: Cameras) -> None:
    """By a detector that sees nothing faint, Pd is 0; how the camera sees is kept; its events are as without."""
    cameras.makers["north"] = lambda turn: Script(lambda i: i >= 10, 400)
    settings = settings_for(tmp_path, "north", selftest=ShadowSettings(on=True, period_s=5.0, pause_s=0.0))
    station = Station(settings, cameras.detector)
    try:
        station.start()
        shadow = station.cameras["north"].shadow
        assert shadow is not None
        report = wait_for(shadow.report)
        wait_for(lambda: station.cameras["north"].counts.frames == 400)
        kept = tmp_path / "selftest" / "north.json"
        wait_for(kept.exists)
    finally:
        station.close()
    assert report.frames >= 0.9 * FPS
    assert {row.pd for row in report.rows if row.targets} == {0.0}
    assert len(rows(tmp_path)) == 1
    reference = json.loads(kept.read_text())["reference"]
    again = Station(settings, cameras.detector)
    try:
        again.start()
        shadow = again.cameras["north"].shadow
        assert shadow is not None
        assert shadow._test.reference is not None
        assert shadow._test.reference.to_dict() == reference
    finally:
        again.close()
