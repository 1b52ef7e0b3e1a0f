"""A station's outputs against a real broker, a real receiver and real files, which die and come back."""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from stations import wait_for

from irtrack.core import IrtrackError
from irtrack.station import news as news_module
from irtrack.station.events import Change
from irtrack.station.files import FileOutput
from irtrack.station.news import News, Outlet, OutputError
from irtrack.station.settings import MqttSettings, WebhookSettings
from irtrack.station.webhook import WebhookOutput


def piece(number: int, change: Change = Change.STARTED, camera: str = "north", active: int = 1) -> News:
    values = {"first_utc": "2026-11-28T21:00:00.000000Z", "snr": 5.5, "active": active, "clip": None}
    return News(change, "roof", camera, f"1-{number}", values)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news_module, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(news_module, "LONGEST_WAIT_S", 0.1)


# -- the queue ------------------------------------------------------------------------------------------------------


class Stuck:
    """A receiver that does not answer until it is let go."""

    name = "stuck"

    def __init__(self) -> None:
        self.go, self.got, self.opened = threading.Event(), list[str](), 0

    def open(self) -> None:
        self.opened += 1

    def send(self, news: News) -> None:
        self.go.wait()
        self.got.append(news.event)

    def close(self) -> None:
        self.got.append("closed")


def test_a_receiver_that_does_not_answer_holds_nothing_up() -> None:
    """Putting never waits; the oldest go where too many wait, and that is counted."""
    stuck = Stuck()
    outlet = Outlet(stuck, 10)
    outlet.put(piece(0))  # before it is begun
    outlet.start()
    wait_for(lambda: stuck.opened and outlet.waiting == 1)
    wait_for(lambda: not outlet._queue._items)  # the first is under way
    for i in range(1, 1001):
        outlet.put(piece(i))
    assert outlet.dropped == 990
    assert outlet.waiting == 11
    stuck.go.set()
    wait_for(lambda: outlet.sent == 11)
    assert stuck.got == ["1-0", *(f"1-{i}" for i in range(991, 1001))]
    outlet.close()
    assert stuck.got[-1] == "closed"
    outlet.put(piece(2000))  # nobody takes it, and nothing breaks


class Failing(Stuck):
    """Fails a few times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    def send(self, news: News) -> None:
        self.left -= 1
        if self.left >= 0:
            raise OutputError("nobody is there")
        self.got.append(news.event)


def test_a_fault_of_the_program_costs_one_piece_of_news() -> None:
    class Faulty(Stuck):
        def send(self, news: News) -> None:
            if news.event == "1-1":
                raise ZeroDivisionError("no one thought of this")
            self.got.append(news.event)

    faulty = Faulty()
    outlet = Outlet(faulty, 10).start()
    for i in range(3):
        outlet.put(piece(i))
    wait_for(lambda: faulty.got == ["1-0", "1-2"])
    wait_for(lambda: outlet.waiting == 0)
    assert outlet.refused == 1
    outlet.close()


def test_what_failed_is_tried_again_in_order(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing(5)
    outlet = Outlet(failing, 100).start()
    for i in range(3):
        outlet.put(piece(i))
    wait_for(lambda: outlet.sent == 3)
    assert failing.got == ["1-0", "1-1", "1-2"]
    assert (outlet.failed, outlet.trouble) == (5, "")
    assert sum("nobody is there" in r.message for r in caplog.records) == 1, "said once, not each time"
    outlet.close()
    never = Outlet(Failing(10**9), 100).start()
    never.put(piece(1))
    wait_for(lambda: never.trouble)
    never.close()  # returns, though it never got out


# -- webhooks -------------------------------------------------------------------------------------------------------


class Receiver:
    """An HTTP server on loopback that keeps what it gets; `answers` are its codes, then 200."""

    def __init__(self, port: int = 0) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = receiver.answers.pop(0) if receiver.answers else 200
                if code == 200:
                    receiver.got.append((dict(self.headers), body))
                self.send_response(code)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def events(self) -> list[str]:
        return [json.loads(body)["event"] for _, body in self.got]


def test_webhooks_outlive_their_receiver(tmp_path: Path) -> None:
    """It is busy, refuses one, dies, and is started again: each piece of news arrives once and in order."""
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    secret.chmod(0o600)
    receiver = Receiver()
    url = f"http://127.0.0.1:{receiver.port}/hook?token=abcdef"
    outlet = Outlet(WebhookOutput(WebhookSettings(kind="webhook", url=url, secret_file=str(secret))), 100).start()
    try:
        receiver.answers = [503, 429]
        outlet.put(piece(1))
        outlet.put(piece(1, Change.UPDATED))  # not asked for
        wait_for(lambda: receiver.events() == ["1-1"])
        headers, body = receiver.got[0]
        assert headers["X-Irtrack-Signature"] == "sha256=" + hmac.new(b"hush", body, hashlib.sha256).hexdigest()
        assert headers["Content-Type"] == "application/json"
        assert json.loads(body)["snr"] == 5.5
        receiver.answers = [404, 302]
        outlet.put(piece(2))
        outlet.put(piece(3))
        wait_for(lambda: outlet.refused == 2)
        assert "abcdef" not in outlet.trouble + outlet.name, "what stands in an address may be a secret"
        receiver.close()
        for i in range(4, 8):
            outlet.put(piece(i, Change.ENDED))
        wait_for(lambda: "cannot be reached" in outlet.trouble)
        receiver = Receiver(receiver.port)
        wait_for(lambda: receiver.events() == ["1-4", "1-5", "1-6", "1-7"])
        wait_for(lambda: outlet.trouble == "")
    finally:
        outlet.close()
        receiver.close()


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    secret.chmod(0o644)
    with pytest.raises(IrtrackError, match="chmod 600"):
        WebhookOutput(WebhookSettings(kind="webhook", url="http://127.0.0.1:1/", secret_file=str(secret)))


# -- files ----------------------------------------------------------------------------------------------------------


def test_files_by_camera_and_day(tmp_path: Path) -> None:
    table, lines = FileOutput("csv", tmp_path), FileOutput("jsonl", tmp_path)
    for number, camera in ((1, "north"), (2, "north"), (3, "south")):
        for change in (Change.STARTED, Change.ENDED):
            table.send(piece(number, change, camera))
            lines.send(piece(number, change, camera))
    later = News(Change.ENDED, "roof", "north", "1-9", {"first_utc": "2026-11-29T00:00:01.000000Z"})
    table.send(later)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")) == [
        "north/2026-11-28.csv", "north/2026-11-28.jsonl", "north/2026-11-29.csv", "south/2026-11-28.csv",
        "south/2026-11-28.jsonl",
    ]  # fmt: skip
    with (tmp_path / "north" / "2026-11-28.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [(row["event"], row["snr"], row["clip"]) for row in found] == [("1-1", "5.5", ""), ("1-2", "5.5", "")]
    text = (tmp_path / "north" / "2026-11-28.jsonl").read_text()
    assert [json.loads(line)["change"] for line in text.splitlines()] == ["started", "ended"] * 2


def test_half_a_line_that_a_kill_left_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "north" / "2026-11-28.jsonl"
    lines = FileOutput("jsonl", tmp_path)
    lines.send(piece(1))
    with path.open("a") as file:
        file.write('{"change": "sta' + "x" * 100_000)
    lines.send(piece(2))
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["1-1", "1-2"]
    path.write_text('{"half')
    lines.send(piece(3))
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["1-3"]
    (tmp_path / "south").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="cannot write"):
        lines.send(piece(4, camera="south"))


# -- MQTT -----------------------------------------------------------------------------------------------------------

BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
mqtt = pytest.mark.skipif(BROKER is None, reason="mosquitto is not installed: apt install mosquitto")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """mosquitto on loopback, with a password."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        words = folder / "words"
        words.touch(mode=0o600)
        maker = shutil.which("mosquitto_passwd")
        self.password = "word" if maker else ""
        if maker:
            subprocess.run([maker, "-b", str(words), "station", "word"], check=True, capture_output=True)
        access = f"allow_anonymous false\npassword_file {words}\n" if maker else "allow_anonymous true\n"
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nuser root\n{access}")
        self.start()

    def start(self) -> None:
        assert BROKER is not None
        self.process = subprocess.Popen([BROKER, "-c", str(self._config)], stderr=subprocess.DEVNULL)

        def answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        try:
            wait_for(answers, "mosquitto does not start")
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    yield made
    made.kill()


class Subscriber:
    """Another program at the broker: what it heard, in order, and what is retained."""

    def __init__(self, broker: Broker) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.heard: list[tuple[str, str]] = []
        self.client = Client(CallbackAPIVersion.VERSION2)
        if broker.password:
            self.client.username_pw_set("station", broker.password)
        self.ready = threading.Event()
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda client, data, m: self.heard.append((m.topic, m.payload.decode()))
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert self.ready.wait(60)

    def last(self, topic: str) -> str | None:
        return next((text for t, text in reversed(self.heard) if t == topic), None)

    def events(self) -> list[tuple[str, str]]:
        said = [json.loads(text) for topic, text in self.heard if topic.endswith("/event")]
        return [(one["event"], one["change"]) for one in said]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def station_at(broker: Broker, folder: Path, cameras: list[str], **more: Any) -> Outlet:
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: pip install 'irtrack[station]'")
    from irtrack.station.mqtt import MqttOutput

    path = folder / "password"
    path.write_text("word\n")
    path.chmod(0o600)
    settings = MqttSettings(kind="mqtt", port=broker.port, user="station", password_file=str(path), **more)
    return Outlet(MqttOutput(settings, "roof", cameras), 100).start()


@mqtt
def test_news_at_a_broker_that_dies(broker: Broker, tmp_path: Path) -> None:
    """What happens while it is away is told when it is back; Home Assistant finds the cameras again, too."""
    outlet = station_at(broker, tmp_path, ["north", "south"])
    one = Subscriber(broker)
    try:
        wait_for(lambda: one.last("irtrack/roof/status") == "online")
        wait_for(lambda: one.last("irtrack/roof/south/state") == "OFF")
        topic = "homeassistant/binary_sensor/irtrack_roof_north/target/config"
        found = json.loads(wait_for(lambda: one.last(topic)))
        assert found["state_topic"] == "irtrack/roof/north/state"
        assert found["availability_topic"] == "irtrack/roof/status"
        assert found["unique_id"] == "irtrack_roof_north_target"
        outlet.put(piece(1))
        outlet.put(piece(1, Change.UPDATED))
        wait_for(lambda: one.events() == [("1-1", "started"), ("1-1", "updated")])
        wait_for(lambda: one.last("irtrack/roof/north/state") == "ON")
        assert one.last("irtrack/roof/south/state") == "OFF"
        broker.kill()
        one.close()
        outlet.put(piece(1, Change.ENDED, active=0))
        outlet.put(piece(2, active=1))
        wait_for(lambda: outlet.trouble)
        assert outlet.waiting == 2
        broker.start()
        one = Subscriber(broker)
        outlet.put(piece(3, Change.STARTED, active=2))
        wait_for(lambda: one.events()[-3:] == [("1-1", "ended"), ("1-2", "started"), ("1-3", "started")])
        assert len(set(one.events())) == len(one.events()), "nothing twice"
        wait_for(lambda: one.last("irtrack/roof/north/count") == "2")
        wait_for(lambda: one.last(topic))
        outlet.close(forget=["south"])
        wait_for(lambda: one.last("irtrack/roof/status") == "offline")
        assert one.last("homeassistant/binary_sensor/irtrack_roof_south/target/config") == ""
    finally:
        one.close()
        outlet.close()


@mqtt
def test_a_connection_that_is_lost_while_it_sends(broker: Broker, tmp_path: Path) -> None:
    """It was there a moment ago: what was handed to the library then arrives once it is there again, and once."""
    outlet = station_at(broker, tmp_path, ["north"])
    client = outlet.output._client  # type: ignore[attr-defined]
    try:
        outlet.put(piece(1))
        wait_for(lambda: outlet.sent == 1)
        broker.kill()
        wait_for(lambda: not client.is_connected())
        client.is_connected = lambda: True
        outlet.put(piece(2))
        outlet.put(piece(3))
        wait_for(lambda: "does not confirm" in outlet.trouble)
        broker.start()
        one = Subscriber(broker)
        try:
            wait_for(lambda: outlet.sent == 3)
            wait_for(lambda: one.events()[-1:] == [("1-3", "started")])
            assert one.events() in (
                [("1-2", "started"), ("1-3", "started")],
                [("1-3", "started")],
            )  # as it came in time
        finally:
            one.close()
        assert (outlet.trouble, outlet.refused) == ("", 0)
    finally:
        outlet.close()


STATION = """
import sys, time
from pathlib import Path
from irtrack.station.mqtt import MqttOutput
from irtrack.station.settings import MqttSettings
settings = MqttSettings(kind="mqtt", port=int(sys.argv[1]), user="station", password_file=sys.argv[2])
out = MqttOutput(settings, "roof", ["a"])
out.open()
time.sleep(600)
"""


@mqtt
def test_the_broker_says_when_a_station_is_gone(broker: Broker, tmp_path: Path) -> None:
    """Killed, it cannot say so itself."""
    pytest.importorskip("paho.mqtt.client")
    path = tmp_path / "password"
    path.write_text("word\n")
    path.chmod(0o600)
    one = Subscriber(broker)
    process = subprocess.Popen([sys.executable, "-c", STATION, str(broker.port), str(path)])
    try:
        wait_for(lambda: one.last("irtrack/roof/status") == "online")
        process.kill()
        process.wait()
        wait_for(lambda: one.last("irtrack/roof/status") == "offline")
    finally:
        process.kill()
        process.wait()
        one.close()


@mqtt
def test_a_wrong_password_is_said(broker: Broker, tmp_path: Path) -> None:
    if not broker.password:
        pytest.skip("mosquitto_passwd is not installed")
    outlet = station_at(broker, tmp_path, ["north"])
    outlet.close()
    (tmp_path / "password").write_text("wrong")
    from irtrack.station.mqtt import MqttOutput

    wrong = MqttSettings(kind="mqtt", port=broker.port, user="station", password_file=str(tmp_path / "password"))
    outlet = Outlet(MqttOutput(wrong, "roof", ["north"]), 10).start()
    outlet.put(piece(1))
    try:
        wait_for(lambda: "Not authorized" in outlet.trouble)
        assert "wrong" not in outlet.trouble
    finally:
        outlet.close()


def test_no_time_is_lost_by_a_dead_broker() -> None:
    """A thousand pieces of news are handed over while nobody is there, none of them waits."""
    pytest.importorskip("paho.mqtt.client")
    from irtrack.station.mqtt import MqttOutput

    outlet = Outlet(MqttOutput(MqttSettings(kind="mqtt", port=free_port()), "roof", ["north"]), 50).start()
    done = threading.Event()

    def put() -> None:
        for i in range(1000):
            outlet.put(piece(i))
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    wait_for(lambda: outlet.trouble)
    assert done.wait(60)
    thread.join()
    assert outlet.dropped >= 949
    assert outlet.sent == 0
    begun = time.monotonic()
    outlet.close()
    assert time.monotonic() - begun < 60
