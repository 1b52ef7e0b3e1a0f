"""A station's pages over real HTTP and WebSocket, and in a real browser."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra is not installed: pip install 'irtrack[station]'")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")
pytest.importorskip("websockets")

from browser import CHROMIUM, Browser
from prometheus_client.parser import text_string_to_metric_families
from stations import HEIGHT, WIDTH, Cameras, Script, rows, settings_for, wait_for
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from irtrack.core import ConfigError, SinkError
from irtrack.station.settings import ClipSettings, WebSettings
from irtrack.station.station import Station
from irtrack.station.web.live import Live
from irtrack.station.web.server import WebServer


class Client:
    """A person with the token, or without."""

    def __init__(self, station: Station, token: str | None) -> None:
        assert station.web is not None
        self.url, self.port, self._token = station.web.url, station.web.port, token

    def ask(
        self, path: str, body: Any = None, method: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def json(self, path: str, body: Any = None, method: str | None = None) -> Any:
        code, _, data = self.ask(path, body, method)
        assert code == 200, (code, data)
        return json.loads(data)


@pytest.fixture
def station(tmp_path: Path, cameras: Cameras) -> Iterator[Station]:
    """Two cameras, one of which is away, that had three events: one short, two that go on."""
    cameras.makers["north"] = lambda turn: Script(lambda i: 20 <= i < 60 or i >= 100, 160)
    cameras.makers["south"] = lambda turn: Script(lambda i: i >= 10, 60)
    clips = ClipSettings(before_s=1.0, after_s=0.5, longest_s=4.0)
    settings = settings_for(tmp_path, "north", "south", "gone", clips=clips, web=WebSettings(port=0, fps=50.0))
    made = Station(settings, cameras.detector, WebServer)
    try:
        made.start()
        wait_for(lambda: made.cameras["north"].counts.frames == 160 and made.cameras["south"].counts.frames == 60)
        wait_for(lambda: len(rows(tmp_path)) == 3)
        yield made
    finally:
        made.close()


@pytest.fixture
def client(station: Station) -> Client:
    return Client(station, (station.folder / "token").read_text().strip())


def test_the_token_is_kept_from_others(station: Station, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    token = station.folder / "token"
    assert stat.S_IMODE(os.stat(token).st_mode) == 0o600
    stranger = Client(station, None)
    guesser = Client(station, "x" * 43)
    paths = [
        "/api/cameras",
        "/api/events",
        "/metrics",
        "/api/cameras/north/live",
        "/api/schema",
        "/api/nowhere",
        "/docs",
    ]
    for path in paths:
        assert stranger.ask(path)[0] == guesser.ask(path)[0] == 401, path
    for path in ("/api/live", "/nowhere"):
        with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{client.port}{path}"):
            pass
    assert stranger.ask("/login", {"token": "wrong"})[0] == 403
    assert json.loads(stranger.ask("/health")[2]) == {"status": "trouble"}, "no more than that"
    code, headers, page = stranger.ask("/")
    assert code == 200
    assert b"page.js" in page
    assert "default-src 'self'" in headers["content-security-policy"]
    for path in ("/static/page.js", "/static/page.css", "/static/icon.svg"):
        assert stranger.ask(path)[0] == 200
    assert stranger.ask("/static/../access.py")[0] in (401, 404)
    whole = token.read_text().strip()
    assert not any(whole in record.getMessage() for record in caplog.records)


def test_the_cookie_of_the_page(station: Station, client: Client) -> None:
    stranger = Client(station, None)
    token = (station.folder / "token").read_text().strip()
    code, headers, _ = stranger.ask("/login", {"token": token})
    assert code == 204
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    cookie = cookie.split(";")[0]
    assert stranger.ask("/api/cameras", Cookie=cookie)[0] == 200
    event = client.json("/api/events")["events"][0]["event"]
    theirs = stranger.ask(
        f"/api/events/{event}", {"starred": True}, "PATCH", Cookie=cookie, Origin="http://evil.example"
    )
    assert theirs[0] == 401, "another site's page cannot use it"
    own = stranger.ask(f"/api/events/{event}", {"starred": True}, "PATCH", Cookie=cookie, Origin=client.url)
    assert own[0] == 200
    headers = {"Cookie": cookie, "Origin": "http://evil.example"}
    with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{client.port}/api/live", additional_headers=headers):
        pass


def test_events_by_page_and_filter(client: Client, station: Station) -> None:
    every = client.json("/api/events")["events"]
    assert len(every) == 3
    assert [e["id"] for e in every] == sorted((e["id"] for e in every), reverse=True)
    first = client.json("/api/events?limit=2")
    second = client.json(f"/api/events?limit=2&before={first['next']}")
    assert [*first["events"], *second["events"]] == every
    assert second["next"] is None
    assert {e["camera"] for e in client.json("/api/events?camera=north")["events"]} == {"north"}
    assert client.json("/api/events?camera=nobody")["events"] == []
    middle = every[1]["first_utc"]
    later = client.json(f"/api/events?since={middle}")["events"]
    assert later == [e for e in every if e["last_utc"] >= middle]
    assert client.json("/api/events?until=2020-01-01T00:00:00Z")["events"] == []
    assert client.json("/api/events?snr=100000")["events"] == []
    for wrong in ("limit=0", "limit=x", "since=yesterday", "verdict=maybe"):
        assert client.ask(f"/api/events?{wrong}")[0] == 422
    for wrong in ("999-1", "x", "1-1'--", "1"):
        assert client.ask(f"/api/events/{urllib.request.quote(wrong)}")[0] == 404


def test_verdicts_and_stars_reach_the_database(client: Client, station: Station) -> None:
    one = client.json("/api/events?camera=north")["events"][-1]["event"]
    said = client.json(f"/api/events/{one}", {"verdict": "target"}, "PATCH")
    assert (said["verdict"], said["starred"]) == ("target", False)
    client.json(f"/api/events/{one}", {"starred": True}, "PATCH")
    (row,) = [r for r in rows(station.folder) if f"{r['run']}-{r['track']}" == one]
    assert (row["verdict"], row["starred"]) == ("target", 1), "the verdict stays where only the star is said"
    assert [e["event"] for e in client.json("/api/events?starred=true&verdict=target")["events"]] == [one]
    assert len(client.json("/api/events?verdict=none")["events"]) == 2
    assert client.json(f"/api/events/{one}", {"verdict": None}, "PATCH")["verdict"] is None
    for wrong in ({"verdict": "maybe"}, {"stared": True}, {"starred": "perhaps"}, []):
        assert client.ask(f"/api/events/{one}", wrong, "PATCH")[0] == 422
    assert client.ask("/api/events/999-9", {"starred": True}, "PATCH")[0] == 404


def test_what_is_kept_of_an_event(client: Client, station: Station, tmp_path: Path) -> None:
    ended = next(e for e in client.json("/api/events?camera=north")["events"] if e["ended"])
    code, headers, data = client.ask(f"/api/events/{ended['event']}/thumbnail")
    assert (code, headers["content-type"]) == (200, "image/png")
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE).shape == (48, 48)
    curve = client.json(f"/api/events/{ended['event']}/curve")
    assert set(curve) == {"time_s", "x_px", "y_px", "brightness", "snr"}
    assert len(curve["time_s"]) >= ended["measured"]
    wait_for(lambda: station.cameras["north"].counts.clips)
    assert ended["clip"] == "mp4"
    code, headers, data = client.ask(f"/api/events/{ended['event']}/clip")
    assert (code, headers["content-type"], data[4:8]) == (200, "video/mp4", b"ftyp")
    code, headers, part = client.ask(f"/api/events/{ended['event']}/clip", Range="bytes=4-7")
    assert (code, part) == (206, b"ftyp"), "browsers ask for parts"
    (clip,) = {r["clip"] for r in rows(station.folder) if f"{r['run']}-{r['track']}" == ended["event"]}
    (station.folder / clip).unlink()
    assert client.json(f"/api/events/{ended['event']}")["clip"] is None
    assert client.ask(f"/api/events/{ended['event']}/clip")[0] == 404
    secret = tmp_path / "secret.mp4"
    secret.write_text("not yours")
    with station.database._connected(write=True) as base:
        base.execute("UPDATE events SET clip = '../secret.mp4'")
    assert client.ask(f"/api/events/{ended['event']}/clip")[0] == 404, "nothing outside the folder of clips"
    assert client.ask("/api/events/999-9/curve")[0] == 404


def test_how_it_stands(client: Client, station: Station) -> None:
    said = client.json("/api/cameras")
    north, south, gone = said["cameras"]
    assert (north["name"], north["watch"], north["frames"], north["active"]) == ("north", "running", 160, 1)
    assert (south["width"], south["height"]) == (WIDTH, HEIGHT)
    assert "gone is away" in gone["trouble"]
    code, _, data = client.ask("/health")
    assert code == 200
    assert json.loads(data)["troubles"] == ["camera gone: gone is away"]
    families = {f.name: f for f in text_string_to_metric_families(client.ask("/metrics")[2].decode())}
    frames = {s.labels["camera"]: s.value for s in families["irtrack_frames"].samples}
    assert frames == {"north": 160.0, "south": 60.0, "gone": 0.0}
    up = {s.labels["camera"]: s.value for s in families["irtrack_camera_up"].samples}
    assert up == {"north": 1.0, "south": 1.0, "gone": 0.0}
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6
    station.cameras["south"]._deadline = 0.0
    station.cameras["south"]._ended.clear()
    codes = set()
    wait_for(
        lambda: (
            codes.add((setattr(station.cameras["south"], "_deadline", 0.0), client.ask("/health")[0])[1])
            or 503 in codes
        )
    )


def test_live_pictures(client: Client, station: Station) -> None:
    picture = client.ask("/api/cameras/north/picture")
    assert picture[1]["content-type"] == "image/jpeg"
    shown = cv2.imdecode(np.frombuffer(picture[2], np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (HEIGHT * 4, WIDTH * 4, 3)
    coloured = np.ptp(shown.astype(int), axis=2) > 60
    assert coloured.sum() > 100, "outlines are drawn"
    assert client.ask("/api/cameras/gone/picture")[0] == 200, "a picture that says why there is none"
    assert client.ask("/api/cameras/nobody/live")[0] == 404
    token = (station.folder / "token").read_text().strip()
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as raw:
        raw.sendall(f"GET /api/cameras/north/live HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        data = b""
        while data.count(b"--frame") < 2:  # the first picture's end comes with it
            data += raw.recv(65536)
    assert b"multipart/x-mixed-replace; boundary=frame" in data
    start = data.index(b"\xff\xd8")
    length = int(data[:start].rpartition(b"Content-Length: ")[2].split()[0])
    assert cv2.imdecode(np.frombuffer(data[start : start + length], np.uint8), cv2.IMREAD_COLOR).shape == shown.shape
    assert station.web is not None
    wait_for(lambda: station.web is not None and station.web._pages._viewers == 0, "who has gone is noticed")


def test_viewers_that_take_nothing_are_cut_off_without_an_error(
    client: Client, station: Station, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Live, "jpeg", lambda self: bytes(1 << 25))  # more than all buffers on the way
    token = (station.folder / "token").read_text().strip()
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as raw:
        raw.sendall(f"GET /api/cameras/north/live HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        data = b""
        while b"Content-Length" not in data:
            data += raw.recv(4096)
        station.close()
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == []


def test_tracks_and_news_over_a_websocket(client: Client, station: Station, cameras: Cameras) -> None:
    token = (station.folder / "token").read_text().strip()
    said: dict[str, Any] = {}
    with connect(
        f"ws://127.0.0.1:{client.port}/api/live", additional_headers={"Authorization": f"Bearer {token}"}
    ) as live:
        cameras.makers["gone"] = lambda turn: Script(lambda i: i >= 5, None)  # it comes now
        while not (said.get("news") and said.get("tracks") and said.get("cameras")):
            message = json.loads(live.recv(120))
            if message.get("camera") in (None, "gone") and message.get("tracks") != []:
                said.setdefault(message["type"], message)
    assert said["news"]["change"] == "started"
    (track,) = said["tracks"]["tracks"]
    assert said["tracks"]["width"] == WIDTH
    assert 0 <= track["x_px"] < WIDTH
    assert f"{said['news']['event']}".endswith(f"-{track['id']}")
    assert [c["name"] for c in said["cameras"]["cameras"]] == ["north", "south", "gone"]
    wait_for(lambda: not station._listeners, "whoever has gone is told nothing more")


def test_a_port_that_is_taken_and_pages_that_move(station: Station, client: Client) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"the pages cannot be at 127.0.0.1:{taken}: Address already in use"):
            station.take_over(replace(station.settings, web=WebSettings(port=taken)))
        assert client.ask("/api/cameras")[0] == 200, "all is as before"
    token = (station.folder / "token").read_text().strip()
    assert station.take_over(replace(station.settings, web=WebSettings(port=0, fps=5.0))) == ["pages"]
    assert client.ask("/api/cameras")[0] == 200, "at the same place"
    assert station.take_over(replace(station.settings, web=WebSettings(host="localhost", port=0))) == ["pages"]
    assert Client(station, token).ask("/api/cameras")[0] == 200
    with pytest.raises(OSError):
        client.ask("/api/cameras")
    station.take_over(replace(station.settings, web=WebSettings(on=False)))
    assert station.web is None


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt install chromium")
def test_the_page_in_a_browser(station: Station, tmp_path: Path, cameras: Cameras) -> None:
    """Log in, look at a live picture, tracks and events, judge one, play its clip; a new event comes by itself."""
    assert station.web is not None
    token = (station.folder / "token").read_text().strip()
    browser = Browser(tmp_path / "profile")
    try:
        browser.go(station.web.url)
        browser.until("!document.getElementById('login').hidden")
        log_in = "document.getElementById('token').value = '{}'; document.querySelector('#login button').click()"
        browser.run(log_in.format("wrong"))
        browser.until("document.getElementById('refused').textContent === 'That is not the token.'")
        browser.run(log_in.format(token))
        browser.until("document.querySelectorAll('#events li').length === 3")
        browser.until(f"document.getElementById('live').naturalWidth === {WIDTH * 4}")
        browser.until("document.querySelectorAll('#tracks tr').length === 1")
        assert browser.run("document.getElementById('troubles').textContent") == "camera gone: gone is away"
        browser.until("[...document.querySelectorAll('.look')].every(i => i.complete && i.naturalWidth === 48)")
        cookie = browser.run("document.cookie")
        assert cookie == "", "scripts cannot read it"

        ended = "document.querySelector('#events li:not(.going)')"
        browser.run(f"{ended}.querySelector('[data-say=target]').click()")
        browser.until("!!document.querySelector('#events li.target')")
        assert [r["verdict"] for r in rows(station.folder)].count("target") == 1
        browser.run("document.querySelector('#events li.target .open').click()")
        browser.until("document.getElementById('detail').open")
        browser.until("document.querySelectorAll('#curve path').length >= 1")
        browser.until("document.querySelector('#clip video').videoWidth > 0")
        browser.run("document.querySelector('#verdicts [data-say=star]').click()")
        wait_for(lambda: [r["starred"] for r in rows(station.folder)].count(1) == 1)
        browser.run("document.getElementById('close').click()")
        with closing(sqlite3.connect(station.folder / "events.db")) as base, base:
            base.execute("DELETE FROM events WHERE verdict = 'target'")
        browser.run("document.querySelector('#events li.target .open').click()")
        browser.until("document.querySelectorAll('#events li.target').length === 0")  # it was too old
        assert browser.run("document.getElementById('detail').open") is False
        browser.until("document.querySelectorAll('#events li').length === 2")

        cameras.makers["gone"] = lambda turn: Script(lambda i: i >= 5, None)
        browser.until("document.querySelectorAll('#events li').length >= 3")
        browser.until("document.getElementById('troubles').textContent === ''")
        browser.run("document.querySelectorAll('#cameras button')[2].click()")
        browser.until("document.getElementById('facts').textContent.startsWith('gone')")
        assert [
            said for said in browser.said if said.startswith(("error", "Error", "TypeError")) and "40" not in said
        ] == []
    finally:
        browser.close()


def test_the_same_token_after_a_restart(tmp_path: Path, cameras: Cameras) -> None:
    from irtrack.station.web.access import token_in

    first = token_in(tmp_path)
    assert len(first) >= 40
    (tmp_path / "token").chmod(0o644)
    assert token_in(tmp_path) == first
    assert stat.S_IMODE(os.stat(tmp_path / "token").st_mode) == 0o600
    assert time.time() - os.stat(tmp_path / "token").st_mtime < 600


def test_a_new_token_is_taken_over(station: Station, client: Client) -> None:
    """Written anew, or removed: whoever has the old one is out. One that is none is refused."""
    path = station.folder / "token"
    assert station.take_over(station.settings) == []
    path.write_text("a" * 40)
    assert client.ask("/api/cameras")[0] == 200
    assert station.take_over(station.settings) == ["pages (another token)"]
    new = Client(station, "a" * 40)
    assert [c.ask("/api/cameras")[0] for c in (client, new)] == [401, 200]
    path.write_text("short")
    with pytest.raises(SinkError, match="no token of 20 letters"):
        station.take_over(station.settings)
    assert new.ask("/api/cameras")[0] == 200
    path.unlink()
    assert station.take_over(station.settings) == ["pages (another token)"]
    assert new.ask("/api/cameras")[0] == 401
    assert Client(station, path.read_text().strip()).ask("/api/cameras")[0] == 200
