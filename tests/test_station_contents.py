"""Files that a station file names, written anew under the same name: what is taken over, and what is refused."""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from stations import Cameras, Script, settings_for, wait_for
from test_serve import CAMERA, STATION, Served
from test_station_outputs import Broker, Receiver, Subscriber, broker, mqtt, piece, quick  # noqa: F401

from irtrack.config import CaptureSettings, DetectorSettings, Settings, TrackerSettings
from irtrack.core import IrtrackError
from irtrack.detect.manifest import models_folder
from irtrack.station.contents import Contents, changed
from irtrack.station.plan import check
from irtrack.station.settings import CameraSettings, FileSettings, MqttSettings, OutputSettings, WebhookSettings
from irtrack.station.station import Station


@pytest.fixture
def cameras(cameras: Cameras) -> Cameras:
    for name in ("a", "b"):
        cameras.makers[name] = lambda turn: Script(lambda i: True, None)
    return cameras


def secret(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def test_a_file_that_was_written_anew_under_its_name_is_another_one(
    tmp_path: Path, cameras: Cameras, stations: list[Station]
) -> None:
    """Each of the kinds of files that a camera has; the other camera does not notice."""
    names = ("weights", "beliefs", "pose", "correction")
    files = {name: tmp_path / name for name in names}
    for path in files.values():
        path.write_text("one")
    made = Settings(
        detector=DetectorSettings(weights=str(files["weights"])),
        tracker=TrackerSettings(beliefs=str(files["beliefs"])),
        capture=CaptureSettings(correction=str(files["correction"])),
    )
    settings = settings_for(tmp_path, "a", "b")
    one = CameraSettings(name="a", source="a", settings=made)
    settings = replace(settings, cameras=(one, settings.cameras[1]))
    station = Station(settings, cameras.detector)
    stations.append(station)
    station.start()
    before = Contents.of(replace(settings, cameras=(replace(one, pose=str(files["pose"])), settings.cameras[1])))
    for name, path in files.items():
        os.utime(path, (1, 1))
        path.write_text("two")
        now = Contents.of(replace(settings, cameras=(replace(one, pose=str(files["pose"])), settings.cameras[1])))
        assert changed(before.cameras["a"], now.cameras["a"]) == [name]
        path.write_text("one")
    other = station.cameras["b"]
    assert station.take_over(settings) == []
    os.utime(files["weights"], (1, 1))
    assert station.take_over(settings) == [], "it holds what it held"
    first = station.cameras["a"]
    files["weights"].write_text("two")  # as long as before
    os.utime(files["weights"], (1, 1))
    assert station.take_over(settings) == ["camera a (another weights)"]
    assert station.cameras["a"] is not first
    assert station.cameras["b"] is other
    assert station.take_over(settings) == []


def test_models_by_name_are_files_too() -> None:
    settings = settings_for(Path("x"), "a")
    hashes = Contents.of(replace(settings, cameras=(CameraSettings(name="a", source="a"),))).cameras["a"]
    assert "weights" not in hashes, "it is chosen later"
    named = Settings(detector=DetectorSettings(weights="datransnet-s"))
    hashes = Contents.of(replace(settings, cameras=(CameraSettings(name="a", source="a", settings=named),))).cameras[
        "a"
    ]
    path = models_folder() / "datransnet-s.safetensors"
    assert hashes == {"weights": hashlib.sha256(path.read_bytes()).hexdigest()}


def told_to(
    tmp_path: Path, stations: list[Station], cameras: Cameras, output: OutputSettings, more: OutputSettings
) -> Station:
    station = Station(settings_for(tmp_path, outputs=(output, more)), cameras.detector)
    stations.append(station)
    station.start()
    return station


def test_news_that_wait_go_out_with_the_new_secret(tmp_path: Path, cameras: Cameras, stations: list[Station]) -> None:
    receiver = Receiver()
    receiver.answers = [503] * 10_000
    url = f"http://127.0.0.1:{receiver.port}/"
    hook = WebhookSettings(kind="webhook", url=url, secret_file=secret(tmp_path / "secret", "old"))
    lines = FileSettings(kind="jsonl")
    station = told_to(tmp_path, stations, cameras, hook, lines)
    try:
        untouched = station.outlets[lines]
        for i in range(5):
            station.tell(piece(i))
        wait_for(lambda: "answers 503" in station.outlets[hook].trouble)
        assert station.take_over(station.settings) == []
        secret(tmp_path / "secret", "new")
        assert station.take_over(station.settings) == [
            f"output webhook-http://127.0.0.1:{receiver.port} (another secret_file)"
        ]
        assert station.outlets[lines] is untouched
        station.tell(piece(5))
        assert station.outlets[hook].waiting == 6
        receiver.answers = []
        wait_for(lambda: receiver.events() == [f"1-{i}" for i in range(6)])
        for headers, body in receiver.got:
            assert headers["X-Irtrack-Signature"] == "sha256=" + hmac.new(b"new", body, hashlib.sha256).hexdigest()
        os.chmod(tmp_path / "secret", 0o644)
        secret(tmp_path / "secret", "third")
        with pytest.raises(IrtrackError, match="chmod 600"):
            check(station.settings)
        with pytest.raises(IrtrackError, match="chmod 600"):
            station.take_over(station.settings)
        station.tell(piece(6))
        wait_for(lambda: receiver.events()[-1] == "1-6")
        assert station.outlets[lines] is untouched
        wait_for(lambda: untouched.sent == 7)
    finally:
        receiver.close()


@mqtt
def test_a_password_that_was_set_right(
    broker: Broker,  # noqa: F811
    tmp_path: Path,
    cameras: Cameras,
    stations: list[Station],
) -> None:
    pytest.importorskip("paho.mqtt.client")
    if not broker.password:
        pytest.skip("mosquitto_passwd is not installed")
    path = secret(tmp_path / "password", "wrong")
    one = MqttSettings(kind="mqtt", port=broker.port, user="station", password_file=path)
    station = told_to(tmp_path, stations, cameras, one, FileSettings(kind="jsonl"))
    for i in range(3):
        station.tell(piece(i))
    wait_for(lambda: "Not authorized" in station.outlets[one].trouble)
    subscriber = Subscriber(broker)
    try:
        secret(tmp_path / "password", broker.password)
        assert station.take_over(station.settings) == ["output mqtt-127.0.0.1 (another password_file)"]
        wait_for(lambda: [event for event, _ in subscriber.events()] == ["1-0", "1-1", "1-2"])
        wait_for(lambda: not station.outlets[one].trouble)
    finally:
        subscriber.close()


def test_weights_that_are_replaced_under_a_running_station(tmp_path: Path) -> None:
    """The real program: garbage is refused in one line and all goes on, another network is taken over."""
    weights = tmp_path / "net.safetensors"
    shutil.copy(models_folder() / "datransnet-s.safetensors", weights)
    path = tmp_path / "s.toml"
    south = CAMERA.format(name="south", seed=4)
    path.write_text(STATION + CAMERA.format(name="north", seed=3).replace("datransnet-s", str(weights)) + south)
    served = Served(path)
    try:
        wait_for(lambda: "watches 2 cameras" in served.said(), served.said())
        whole = weights.read_bytes()
        weights.write_bytes(whole[:5000])
        served.send(signal.SIGHUP)
        wait_for(lambda: "not taken over, all goes on as before: camera 'north'" in served.said())
        weights.write_bytes(whole)
        served.send(signal.SIGHUP)
        wait_for(lambda: "taken over: nothing changed" in served.said())
        shutil.copy(models_folder() / "datransnet-s-still.safetensors", weights)
        served.send(signal.SIGHUP)
        wait_for(lambda: "taken over: camera north (another weights)" in served.said())
        served.send(signal.SIGTERM)
        assert served.ended() == 0
        assert "Traceback" not in served.said()
    except subprocess.TimeoutExpired:
        pytest.fail(served.said())
    finally:
        served.close()
