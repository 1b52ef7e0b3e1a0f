"""`irtrack serve` as a process: what systemd hears, signals, kills, and files that cannot be run."""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from stations import rows, wait_for

from irtrack.cli import main
from irtrack.station import systemd
from irtrack.station.systemd import Notifier

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signals")

CAMERA = """
[[cameras]]
name = "{name}"
source = "simcam:sky,width=64,height=48,fps=8,frames=60,targets=2,scr=25,seed={seed}"
detector = {{weights = "datransnet-s", threads = 1}}
"""
STATION = """
name = "roof"
folder = "kept"
clips = {before_s = 0.5, after_s = 0.5}
web = {on = false}
[[outputs]]
kind = "jsonl"
"""


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What systemd would hear."""
    path = tmp_path / "notify"
    lines: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd_socket:
        systemd_socket.bind(str(path))

        def listen() -> None:
            with contextlib.suppress(OSError):
                while data := systemd_socket.recv(4096):
                    lines.extend(data.decode().splitlines())

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "600000")
        yield lines
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last, contextlib.suppress(OSError):
            last.sendto(b"", str(path))
        thread.join(10)


class Served:
    """The program, and what it said."""

    def __init__(self, path: Path) -> None:
        self.log = path.with_name("log").open("ab")
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-m", "irtrack", "serve", str(path)]
        self.process = subprocess.Popen(words, env=environment, cwd=ROOT, stdout=self.log, stderr=self.log)

    def said(self) -> str:
        return Path(self.log.name).read_text()

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        return self.process.wait(240)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


def test_a_life_of_a_station(tmp_path: Path, heard: list[str]) -> None:
    """Ready, pinged, changed while it runs (and not by what is wrong), killed, begun again, and ended."""
    path, kept = tmp_path / "s.toml", tmp_path / "kept"
    first = CAMERA.format(name="north", seed=3)
    path.write_text(STATION + first)
    served = Served(path)
    try:
        wait_for(lambda: "READY=1" in heard, served.said())
        wait_for(lambda: heard.count("WATCHDOG=1") >= 3)
        wait_for(lambda: rows(kept), served.said())

        path.write_text(STATION + first + "colour = 3\n")
        served.send(signal.SIGHUP)
        wait_for(lambda: "not taken over, all goes on as before" in served.said())
        assert "unknown setting 'colour'" in served.said()
        path.write_text(STATION + first.replace("datransnet-s", "datransnet-x"))
        served.send(signal.SIGHUP)
        wait_for(lambda: "camera 'north': there are no weights" in served.said() or "datransnet-x" in served.said())
        path.write_text(STATION + first + CAMERA.format(name="south", seed=4))
        served.send(signal.SIGHUP)
        wait_for(lambda: "taken over: camera south" in served.said())
        assert "RELOADING=1" in heard
        wait_for(lambda: heard.count("READY=1") == 4)
        wait_for(lambda: any(row["source"] == "south" for row in rows(kept)), served.said())
        (north,) = {row["run"] for row in rows(kept) if row["source"] == "north"}  # one run: it went on untouched

        second = Served(path)
        try:
            assert second.ended() == 1
            assert "another station runs in" in second.said()
        finally:
            second.close()

        def going() -> list[int]:
            return [row["last_frame"] for row in rows(kept) if not row["ended"] and row["run"] == north]

        wait_for(lambda: max(going(), default=0) > 20)
        served.send(signal.SIGKILL)
        served.ended()
        dead = going()
        assert dead
        newest = max(row["last_utc"] for row in rows(kept))
        age = time.time() - time.mktime(time.strptime(newest[:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone
        assert age < 600, "it was written while it was followed"
        served.close()

        served = Served(path)
        wait_for(lambda: len({row["run"] for row in rows(kept)}) >= 4, served.said())
        assert not going(), "what went on has ended"
        wait_for(lambda: [row for row in rows(kept) if row["run"] > north + 1], served.said())
        served.send(signal.SIGTERM)
        assert served.ended() == 0
        assert "STOPPING=1" in heard
        assert all(row["ended"] for row in rows(kept))
        assert rows(kept, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        news = [json.loads(line) for file in kept.glob("logs/*/*.jsonl") for line in file.read_text().splitlines()]
        ended = {one["event"] for one in news if one["change"] == "ended"}
        assert ended == {f"{row['run']}-{row['track']}" for row in rows(kept)}, "also of what the kill broke off"
        assert "Traceback" not in served.said()
    finally:
        served.close()


def test_while_a_camera_hangs_systemd_hears_nothing(
    tmp_path: Path, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop of `serve` with a station that hangs, and is well again."""
    serve = import_module("irtrack.commands.serve")

    class Hanging:
        hanging: tuple[str, ...] = ()
        cameras = ("a",)

        def look(self) -> None:
            turns.append(len(heard))

    class Stop:
        asked = False

    class Reload:
        asked = False

    monkeypatch.setattr(serve, "LOOK_S", 0.01)
    turns: list[int] = []
    station, stop = Hanging(), Stop()
    loop = threading.Thread(
        target=serve.watch,
        args=(station, Notifier(), stop, Reload(), tmp_path / "s.toml"),  # type: ignore[arg-type]
    )
    loop.start()
    try:
        wait_for(lambda: heard.count("WATCHDOG=1") >= 2)
        station.hanging = ("a",)
        wait_for(lambda: "STATUS=hangs: a" in heard)
        pings, seen = heard.count("WATCHDOG=1"), len(turns)
        wait_for(lambda: len(turns) > seen + 80)  # in which there would have been some
        assert heard.count("WATCHDOG=1") == pings
        station.hanging = ()
        wait_for(lambda: heard.count("WATCHDOG=1") > pings)
    finally:
        stop.asked = True
        loop.join()


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    notifier = Notifier()
    notifier.say("READY=1")
    notifier.ping()
    assert notifier.watchdog_s == 0.0, "that is another process's watchdog"
    monkeypatch.setattr(systemd.time, "monotonic", lambda: 5.0)
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    Notifier().say("READY=1")


def test_check_says_what_it_would_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.toml"
    text = STATION + CAMERA.format(name="north", seed=3)
    source = 'source = "rtsp://user:word@10.0.0.1/ir"'
    path.write_text(
        text.replace('source = "simcam:sky,width=64,height=48,fps=8,frames=60,targets=2,scr=25,seed=3"', source)
    )
    path.chmod(0o644)
    assert main(["serve", str(path), "--check"]) == 0
    both = capsys.readouterr()
    assert both.err == f"irtrack: note: {path} holds a password, and may be read by others: chmod 600\n"
    path.chmod(0o600)
    assert main(["serve", str(path), "--check"]) == 0
    assert capsys.readouterr().err == ""
    said = both.out
    assert "camera north: rtsp://10.0.0.1/..., always, weights datransnet-s" in said
    assert "output: jsonl" in said
    assert "this can be run" in said
    assert "word" not in said
    assert not (tmp_path / "kept").exists(), "nothing is made"
    for change, wrong in (
        (("datransnet-s", "datransnet-q"), "camera 'north'"),
        (('folder = "kept"', 'folder = "s.toml"'), "is no folder that can be written to"),
        (('name = "roof"', 'name = "roof"\ncredentials = "none"'), "none cannot be read"),
    ):
        path.write_text(text.replace(*change))
        assert main(["serve", str(path), "--check"]) == 1
        said = capsys.readouterr().err
        assert wrong in said
        assert said.count("\n") == 1
    assert main(["serve", str(tmp_path / "no.toml")]) == 1
    assert "cannot read station" in capsys.readouterr().err


def test_the_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    """By systemd's own check; type, watchdog and reload fit what the program does."""
    text = (ROOT / "assets" / "irtrack@.service").read_text()
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read_string(text)
    service = unit["Service"]
    assert (service["Type"], service["ProtectSystem"]) == ("notify", "strict")
    assert service["ExecReload"].endswith("-HUP $MAINPID")
    assert "serve /etc/irtrack/%i.toml" in service["ExecStart"]
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: systemd's own check is left out")
    path = tmp_path / "irtrack@roof.service"
    path.write_text(text.replace("/opt/irtrack/bin/irtrack", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert path.name not in done.stderr, "no line of it is passed over"
