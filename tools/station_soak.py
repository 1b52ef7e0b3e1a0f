#!/usr/bin/env python3
"""A station for MINUTES whose cameras, broker and disk die again and again: memory, threads, descriptors, and whether
any news or row was lost.

    tools/station_soak.py [MINUTES] [FPS]

Two cameras are processes that send NUT over TCP on loopback and are killed in turn; a third is simulated. The broker is
mosquitto, the receiver of webhooks is here, the disk is a file system in memory of 48 MB that is filled to its last
byte (as root; else the disk stays as it is). Somebody looks at the live picture all the while. Of
events the newest 30 are kept, so that rows and clips go all the time.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import closing, suppress
from fractions import Fraction
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from irtrack.simulate import Scene, scene_from_text

ROOT = Path(__file__).resolve().parent.parent
FPS = float(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[1] != "send" else 10.0
BROKER = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")

COLUMNS = (
    "minute", "MiB", "threads", "Python", "fds", "frames", "lost", "deaths", "events", "clips", "failed", "waiting",
    "removed", "db kB",
)  # fmt: skip

STATION = """
name = "soak"
folder = "{folder}"
hang_s = 120
[clips]
before_s = 2
after_s = 2
longest_s = 20
memory_mb = 16
[disk]
clips_gb = 0.02
free_gb = 0.004
[retention]
most = 30
[web]
port = {web}
[selftest]
on = true
period_s = 60
[[cameras]]
name = "first"
source = "tcp://127.0.0.1:{first}"
detector = {{weights = "datransnet-s", threads = 1}}
[[cameras]]
name = "second"
source = "tcp://127.0.0.1:{second}"
detector = {{weights = "datransnet-s", threads = 1}}
[[cameras]]
name = "third"
source = "simcam:sky,width=128,height=96,frames=100,targets=2,scr=16,seed=5,fps={fps:g}"
detector = {{weights = "datransnet-s", threads = 1}}
[[outputs]]
kind = "mqtt"
port = {broker}
waiting = 100000
[[outputs]]
kind = "webhook"
url = "http://127.0.0.1:{hook}/"
waiting = 100000
[[outputs]]
kind = "jsonl"
waiting = 100000
"""


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send(port: int, seed: int, fps: float) -> None:
    """A camera."""
    scene = Scene(scene_from_text(f"camera16,width=128,height=96,targets=2,scr=16,seed={seed},frames=100"))
    pictures = [scene.image(i) for i in range(100)]
    pictures += pictures[::-1]
    with av.open(f"tcp://127.0.0.1:{port}?listen=1", "w", format="nut") as out:
        stream = out.add_stream("rawvideo", rate=Fraction(fps))
        stream.width, stream.height, stream.pix_fmt = 128, 96, "gray16le"
        start, n = time.monotonic(), 0
        while True:
            frame = av.VideoFrame.from_ndarray(pictures[n % len(pictures)], format="gray16le")
            frame.pts = n
            out.mux(stream.encode(frame))
            n += 1
            time.sleep(max(0.0, start + n / fps - time.monotonic()))


class Heard:
    """What receivers got: (event, change) in order."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, str]] = []

    def add(self, text: bytes) -> None:
        """A piece of news."""
        said = json.loads(text)
        self.pieces.append((said["event"], said["change"]))

    def ended(self) -> set[str]:
        """Events that it heard the end of."""
        return {event for event, change in self.pieces if change == "ended"}

    @property
    def twice(self) -> int:
        """Starts and ends that came more than once."""
        once = [p for p in self.pieces if p[1] != "updated"]
        return len(once) - len(set(once))


def receiver(port: int, heard: Heard) -> ThreadingHTTPServer:
    """Of webhooks."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.add(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def subscriber(port: int, heard: Heard) -> Client:
    """Of the broker; asks it to keep what comes while it is away."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="soak-listener", clean_session=False)
    client.on_connect = lambda client, *_: client.subscribe("irtrack/soak/+/event", qos=1)
    client.on_message = lambda client, data, message: heard.add(message.payload)
    client.reconnect_delay_set(1, 1)
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    return client


class Soak:
    """The processes, and what is done to them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kept = folder, folder / "kept"
        self.ports = {name: free_port() for name in ("first", "second", "broker", "hook", "web")}
        self.hook, self.mqtt = Heard(), Heard()
        self.kept.mkdir()
        self.small = (
            os.geteuid() == 0
            and not subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(self.kept)], capture_output=True
            ).returncode
        )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("broker", "first", "second"):
            self.begin(name)
        receiver(self.ports["hook"], self.hook)
        subscriber(self.ports["broker"], self.mqtt)
        path = folder / "soak.toml"
        path.write_text(STATION.format(folder=self.kept, fps=FPS, **self.ports))
        self.log = (folder / "log").open("wb")
        words = [sys.executable, "-m", "irtrack", "serve", str(path)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.station = subprocess.Popen(words, stdout=self.log, stderr=self.log, env=environment)
        until = time.monotonic() + 300
        while not (self.kept / "token").exists() or not self.asked("/health"):
            if self.station.poll() is not None or time.monotonic() > until:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.2)

    def begin(self, name: str) -> None:
        """A camera or the broker."""
        if name == "broker":
            data = self.folder / "broker"
            data.mkdir(exist_ok=True)
            config = self.folder / "mosquitto.conf"
            config.write_text(
                f"listener {self.ports[name]} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
                f"persistence_location {data}/\nautosave_interval 1\nmax_queued_messages 0\n"
            )
            words = [str(BROKER), "-c", str(config)]
        else:
            words = [sys.executable, __file__, "send", str(self.ports[name]), "3" if name == "first" else "4", str(FPS)]
        self.processes[name] = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self, name: str) -> None:
        """Kill it; the broker may write down what it holds for others."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM if name == "broker" else signal.SIGKILL)
        process.wait()

    def asked(self, path: str) -> str:
        """What the station's pages say; empty where nothing."""
        token = (self.kept / "token").read_text().strip()
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports['web']}{path}")
        request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def watch(self) -> None:
        """Somebody who looks at the live picture, and goes, and comes again."""
        token = (self.kept / "token").read_text().strip()
        while self.station.poll() is None:
            request = urllib.request.Request(f"http://127.0.0.1:{self.ports['web']}/api/cameras/third/live")
            request.add_header("Authorization", f"Bearer {token}")
            with suppress(OSError, HTTPException), urllib.request.urlopen(request, timeout=60) as answer:
                until = time.monotonic() + 20
                while time.monotonic() < until and answer.read(65536):
                    pass
            time.sleep(1)

    def fill(self) -> None:
        """Every byte of the disk is taken; only of the small one."""
        if self.small:
            with suppress(OSError), (self.kept / "filler").open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)

    def free(self) -> None:
        """It has room again."""
        (self.kept / "filler").unlink(missing_ok=True)

    def row(self, minute: float) -> str:
        """How it stands."""
        values: dict[str, float] = {}
        for line in self.asked("/metrics").splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                name = name.partition("{")[0]
                values[name] = values.get(name, 0.0) + float(value)
        status = Path(f"/proc/{self.station.pid}/status").read_text()
        threads = next(line.split()[1] for line in status.splitlines() if line.startswith("Threads"))
        shown = [values.get(f"irtrack_{name}_total", -1) for name in ("frames", "lost", "deaths", "events", "clips")]
        python = values.get("irtrack_threads", -1)
        memory = values.get("process_resident_memory_bytes", -1) / 2**20
        base = self.kept / "events.db"
        rest = [values.get("irtrack_clips_failed_total", -1), values.get("irtrack_output_waiting", -1)]
        rest += [values.get("irtrack_events_removed_total", -1), base.stat().st_size / 1024]
        first = (minute, memory, float(threads), python, values.get("process_open_fds", -1))
        return " ".join(f"{v:7.0f}" for v in (*first, *shown, *rest))

    def close(self) -> None:
        """End the station, and look at what was lost."""
        removed = self.asked("/metrics").partition("\nirtrack_events_removed_total ")[2].partition("\n")[0]
        self.station.terminate()
        print(f"ended with {self.station.wait(120)}")
        time.sleep(3)
        with closing(sqlite3.connect(self.kept / "events.db")) as base:
            rows = {f"{run}-{track}" for run, track in base.execute("SELECT run, track FROM events WHERE ended")}
            open_ = base.execute("SELECT count(*) FROM events WHERE NOT ended").fetchone()[0]
            whole = base.execute("PRAGMA integrity_check").fetchone()[0]
        lines = [json.loads(t) for p in self.kept.glob("logs/*/*.jsonl") for t in p.read_text().splitlines()]
        told = {line["event"] for line in lines if line["change"] == "ended"}
        print(f"{len(rows)} events in the database, {open_} of them open, integrity {whole}; {removed} were too old")
        for name, heard in (("webhook", self.hook.ended()), ("mqtt", self.mqtt.ended()), ("jsonl", told)):
            print(f"{name}: {len(heard)} ends, {len(rows - heard)} missing, {len(heard - rows)} that have no row now")
        print(f"twice: webhook {self.hook.twice}, mqtt {self.mqtt.twice}")
        for process in self.processes.values():
            process.kill()
            process.wait()
        if self.small:
            subprocess.run(["umount", "-l", str(self.kept)], check=False)


def main(minutes: float) -> None:
    """Run, and print a row a minute."""
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder))
        print(f"disk of 48 MB that is filled: {'yes' if soak.small else 'no (not root)'}")
        threading.Thread(target=soak.watch, daemon=True).start()
        print(" ".join(f"{name:>7}" for name in COLUMNS), flush=True)
        steps = {
            8: lambda n: soak.end("first"), 14: lambda n: soak.begin("first"), 20: lambda n: soak.end("broker"),
            30: lambda n: soak.begin("broker"), 34: lambda n: soak.fill(), 44: lambda n: soak.free(),
            46: lambda n: soak.end("second"), 50: lambda n: soak.begin("second"),
        }  # fmt: skip
        begun = time.monotonic()
        for minute in range(int(minutes)):
            for at, act in steps.items():
                time.sleep(max(0.0, begun + 60 * minute + at - time.monotonic()))
                # A camera is away for 46 s in each fifth minute: longer than the pipeline that has its tracks waits.
                if not (at == 14 and minute % 5 == 4):
                    act(minute)
                if at == 50 and minute % 5 == 4:
                    soak.begin("first")
            time.sleep(max(0.0, begun + 60 * (minute + 1) - time.monotonic()))
            print(soak.row(minute + 1), flush=True)
        time.sleep(10)
        soak.close()
        print((Path(folder) / "log").read_text()[-1500:])


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
