"""Cursor on Target: what is sent reaches real sockets, is what the schema allows, and nobody ever waits for it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from irtrack.core import ConfigError, Detections, Frame, FrameResult, Track, TrackStatus
from irtrack.direction.camera import Camera, axes_of, diagonal
from irtrack.direction.lens import Lens
from irtrack.station import cot_sender
from irtrack.station.cot import UNKNOWN, CotEvent, CotSink, bearing_event, checked_kind, position_event, station_event
from irtrack.station.cot_sender import CotSender

NOW = datetime(2026, 11, 28, 20, 15, 30, 123456, tzinfo=UTC)
CAMERA = Camera(Lens.of_view(640, 512, 25.0), (48.0, 11.0, 520.0), axes_of(123.0, 7.0, 0.0), diagonal(0.1, 3.0))


def valid(sent: bytes) -> ET.Element:
    """An event, if it is one by the rules of the public schema, version 2.0."""
    assert sent.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    event = ET.fromstring(sent)
    assert event.tag == "event"
    required = {"version", "type", "uid", "time", "start", "stale", "how"}
    assert required <= set(event.keys()) <= required | {"access", "qos", "opex"}
    assert Decimal(event.attrib["version"]) >= 2
    assert re.fullmatch(r"\w+(-\w+)*(;[^;]*)?", event.attrib["type"])
    assert re.fullmatch(r"\w(-\w+)*", event.attrib["how"])
    assert event.attrib["uid"]
    for name in ("time", "start", "stale"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", event.attrib[name])
    assert [child.tag for child in event] == ["point", "detail"]
    point = event[0].attrib
    assert point.keys() == {"lat", "lon", "hae", "ce", "le"}
    assert not len(event[0])
    number = {name: Decimal(text) for name, text in point.items()}  # xs:decimal has no exponent, NaN or infinity
    assert all(re.fullmatch(r"[+-]?\d+(\.\d*)?", text) for text in point.values())
    assert -90 <= number["lat"] <= 90
    assert -180 <= number["lon"] <= 180
    assert number["ce"] >= 0
    assert number["le"] >= 0
    return event


def track_at(id: int, x: float, y: float) -> Track:
    return Track(
        id, TrackStatus.CONFIRMED, np.array([x, y]), np.zeros(2), np.eye(4), 1.0, 0, 0, (2.0, 2.0), 4.0, 0.9, 5.0,
        np.array([[x, y]]),
    )  # fmt: skip


def result_of(index: int, *tracks: Track) -> FrameResult:
    frame = Frame(index, index / 10, np.zeros((512, 640), np.uint8))
    return FrameResult(frame, Detections.empty(), tracks, {}, captured_s=index / 10)


# -- events -----------------------------------------------------------------------------------------------------------


def test_a_position_with_its_errors() -> None:
    event = valid(position_event(
        "roof.7", (48.1, 191.5, 700.0), np.diag([9.0, 4.0, 16.0]), NOW, 5.0, velocity_m_s=[0.0, -3.0, 1.0]
    ).xml())  # fmt: skip
    assert event.attrib["uid"] == "roof.7"
    assert event.attrib["type"] == "a-u-A"
    assert event.attrib["time"] == event.attrib["start"] == "2026-11-28T20:15:30.123Z"
    assert event.attrib["stale"] == "2026-11-28T20:15:35.123Z"
    assert event[0].attrib == {"lat": "48.1000000", "lon": "-168.5000000", "hae": "700.00", "ce": "3.0", "le": "4.0"}
    track = event.find("detail/track")
    assert track is not None
    assert track.attrib == {"course": "180.0", "speed": "3.00"}


def test_a_direction_is_a_line_from_the_camera() -> None:
    from irtrack.direction.bearings import Bearing

    seen = Bearing(98.7654, 12.3456, 0.11, 0.12, 1.0, 0.5)
    event = valid(bearing_event("roof", 7, CAMERA, seen, NOW, 5.0, 4000.0).xml())
    assert event.attrib["type"] == "u-rb-a"
    assert event[0].attrib["lat"] == "48.0000000"
    assert event[0].attrib["ce"] == "3.0"
    values = {child.tag: child.attrib.get("value") for child in event[1]}
    assert (values["range"], values["bearing"], values["inclination"]) == ("4000.0", "98.765", "12.346")
    assert values["northRef"] == "0"
    assert "range is not known" in (event.findtext("detail/remarks") or "")
    me = valid(station_event("roof", CAMERA, NOW, 60.0).xml())
    sensor = me.find("detail/sensor")
    assert sensor is not None
    assert (sensor.attrib["azimuth"], sensor.attrib["fov"], sensor.attrib["range"]) == ("123.0", "25.0", "1000")
    link = event.find("detail/link")
    assert link is not None
    assert link.attrib["uid"] == me.attrib["uid"]


def test_whatever_names_hold_the_xml_is_sound() -> None:
    wild = 'a<b>&"\x00\x1b\ud800\n' + "\u00e9"
    event = valid(CotEvent(wild, "a-u-A", NOW, 1.0, (0.0, 180.0, -5.0), details=(("contact", {"callsign": wild}),),
                           remarks=wild).xml())  # fmt: skip
    assert event.attrib["uid"].startswith('a<b>&"')
    assert event[0].attrib["ce"] == f"{UNKNOWN:.1f}"
    for kind in ("", "a--b", "a-u-A-", "a b", "\u00e4-u"):
        with pytest.raises(ConfigError, match="no type of a CoT event"):
            checked_kind(kind)
    assert checked_kind("a-f-A-M-H-Q") == "a-f-A-M-H-Q"


# -- sockets ----------------------------------------------------------------------------------------------------------


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


@contextlib.contextmanager
def sending(address: str, **more: int) -> Iterator[CotSender]:
    sender = CotSender(address, **more)
    try:
        yield sender
    finally:
        sender.close()


def event_of(i: int) -> bytes:
    return CotEvent(f"roof.{i}", "a-u-A", NOW, 60.0, (48.0, 11.0, 0.0)).xml()


@pytest.mark.parametrize(("host", "group"), [("127.0.0.1", ""), ("239.2.3.1", "?via=127.0.0.1"), ("::1", "")])
def test_udp_to_one_and_to_a_group(host: str, group: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as ear:
        ear.settimeout(20)
        try:
            ear.bind(("" if group else host, 0))
        except OSError as error:
            pytest.skip(f"{host} is not to be had here: {error}")
        if group:
            own = socket.inet_aton("127.0.0.1")
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(host) + own)
        shown = f"[{host}]" if ":" in host else host
        with sending(f"udp://{shown}:{ear.getsockname()[1]}{group}") as sender:
            for i in range(5):
                sender.send(event_of(i))
            assert [valid(ear.recv(65536)).attrib["uid"] for _ in range(5)] == [f"roof.{i}" for i in range(5)]
        assert (sender.sent, sender.dropped) == (5, 0)


class Server:
    """A TCP server that keeps what it is sent, and can go away and come back at the same port."""

    def __init__(self, port: int = 0) -> None:
        self.heard = b""
        self._ear = socket.create_server(("127.0.0.1", port))
        self.port = self._ear.getsockname()[1]
        self._links: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._ear.accept()
                self._links.append(link)
                with contextlib.suppress(OSError):
                    link.sendall(b"<event/>" * 1000)  # servers talk, too
                    while got := link.recv(65536):
                        self.heard += got

    def uids(self) -> list[str]:
        return re.findall(r'uid="roof\.(\d+)"', self.heard.decode())

    def close(self) -> None:
        for link in (self._ear, *self._links):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
        self._thread.join()


def test_tcp_connects_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cot_sender, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(cot_sender, "LONGEST_PAUSE_S", 0.05)
    server = Server()
    with sending(f"tcp://127.0.0.1:{server.port}") as sender:
        sender.send(event_of(0))
        until(lambda: server.uids() == ["0"])
        assert sender.connected
        server.close()
        for i in (1, 2, 3):
            sender.send(event_of(i))
        until(lambda: sender.failures >= 3)
        assert not sender.connected
        assert "refused" in sender.error.lower()
        back = Server(server.port)
        try:
            until(lambda: back.uids() == ["1", "2", "3"])
            assert (sender.sent, sender.dropped, sender.error) == (4, 0, "")
            for part in back.heard.split(b"</event>\n")[:-1]:
                valid(part + b"</event>\n")
            sender.send(event_of(4))  # what waits at the end is still sent
            sender.close()
            until(lambda: back.uids()[-1] == "4")
        finally:
            back.close()


def test_nobody_waits_for_a_server_that_is_not_there() -> None:
    """The queue is bounded, its oldest events go; what was said too long ago is not sent later."""
    with socket.create_server(("127.0.0.1", 0)) as ear:
        port = ear.getsockname()[1]
    with sending(f"tcp://127.0.0.1:{port}", capacity=10) as sender:
        for i in range(1000):
            sender.send(event_of(i))
        assert sender.dropped >= 1000 - 10 - 1
        until(lambda: sender.failures > 0)
        assert sender.sent == 0
        sender.close()
        assert sender.dropped == 1000
        sender.send(event_of(0))
        assert sender.dropped == 1001


def test_what_is_stale_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cot_sender, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(cot_sender, "LONGEST_PAUSE_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as ear:
        port = ear.getsockname()[1]
    with sending(f"tcp://127.0.0.1:{port}") as sender:
        sender.send(event_of(1), 0.05)
        until(lambda: sender.dropped == 1)
        server = Server(port)
        try:
            sender.send(event_of(2))
            until(lambda: server.uids() == ["2"])
        finally:
            server.close()


def test_a_server_that_takes_nothing_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cot_sender, "SEND_S", 0.1)
    big = CotEvent("roof.1", "a-u-A", NOW, 60.0, (0, 0, 0), remarks="x" * 10_000_000).xml()
    with (
        socket.create_server(("127.0.0.1", 0)) as ear,
        sending(f"tcp://127.0.0.1:{ear.getsockname()[1]}") as sender,
    ):
        sender.send(big)
        until(lambda: sender.failures > 0)
        assert "timed out" in sender.error


def test_wrong_addresses() -> None:
    for address in ("", "tcp://", "tcp://host", "http://host:1", "udp://host:0", "udp://host:99999", "tcp://h:1/x",
                    "udp://239.2.3.1:6969?by=lo", "239.2.3.1:6969"):  # fmt: skip
        with pytest.raises(ConfigError, match="no address for CoT"):
            CotSender(address)
    with sending("udp://no.such.host.invalid:6969") as sender:
        sender.send(event_of(1))
        until(lambda: sender.failures > 0)


# -- as an output -----------------------------------------------------------------------------------------------------


class Kept:
    """What would be sent."""

    def __init__(self) -> None:
        self.events: list[ET.Element] = []
        self.closed = 0

    def send(self, event: bytes, keep_s: float = 60.0) -> None:
        assert keep_s >= 10
        self.events.append(valid(event))

    def close(self) -> None:
        self.closed += 1


def test_a_run_sends_each_track_at_a_slow_rate() -> None:
    kept = Kept()
    sink = CotSink(kept, "roof", CAMERA, utc=lambda s: NOW + timedelta(seconds=s))  # type: ignore[arg-type]
    for i in range(31):
        tracks = [track_at(1, 100 + i, 100)] + [track_at(2, 500, 300)] * (10 <= i < 25)
        sink.write(result_of(i, *tracks))
    by_uid: dict[str, list[ET.Element]] = {}
    for event in kept.events:
        by_uid.setdefault(event.attrib["uid"], []).append(event)
    assert by_uid.keys() == {"roof", "roof.1", "roof.2"}
    assert len(by_uid["roof"]) == 1
    assert len(by_uid["roof.1"]) == 4  # at 0, 1, 2 and 3 s
    two = by_uid["roof.2"]
    assert [e.attrib["time"][17:23] for e in two] == ["31.123", "32.123", "32.623"]
    assert two[-1].attrib["stale"] == two[-1].attrib["time"]  # it has ended
    bearing = by_uid["roof.1"][0].find("detail/bearing")
    assert bearing is not None
    azimuth = np.degrees(np.arctan2(*CAMERA.units(np.array([[100.0, 100.0]]))[0, :2]))
    assert float(bearing.attrib["value"]) == pytest.approx(azimuth, abs=1e-3)
    sink.close()
    assert kept.closed == 1
    assert kept.events[-1].attrib["uid"] == "roof.1"
    assert kept.events[-1].attrib["stale"] == kept.events[-1].attrib["time"]
