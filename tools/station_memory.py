#!/usr/bin/env python3
"""Memory of a station with some cameras of the same settings, after 30 frames of each.

tools/station_memory.py CAMERAS [MODE] [WEIGHTS] [WIDTH HEIGHT [THREADS]] [selftest]
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

from irtrack.config import DetectorSettings, Settings
from irtrack.station.settings import CameraSettings, ClipSettings, ShadowSettings, StationSettings, WebSettings
from irtrack.station.station import Station, give_back

FRAMES, LONGEST_S = 30, 300.0


def mib(name: str) -> float:
    """VmRSS: what the process has now; VmHWM: the most that it had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def main(count: int, mode: str, weights: str, width: int, height: int, threads: int, selftest: bool) -> None:
    """Print one line."""
    detector = DetectorSettings(weights=weights, threads=threads, device="cpu", mode=mode, temporal=False)
    source = f"simcam:sky,width={width},height={height},fps=2,frames=10,targets=2,scr=16,seed="
    cameras = tuple(
        CameraSettings(name=f"c{i}", source=f"{source}{i}", settings=Settings(detector=detector)) for i in range(count)
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = StationSettings(
            name="memory", folder=folder, clips=ClipSettings(kind="none"), web=WebSettings(on=False), cameras=cameras,
            selftest=ShadowSettings(on=selftest, period_s=5.0, pause_s=0.0),
        )  # fmt: skip
        station = Station(settings)
        station.start()
        until = time.monotonic() + LONGEST_S
        while any(c.counts.frames < FRAMES for c in station.cameras.values()) and time.monotonic() < until:
            station.look()
            time.sleep(0.2)
        now = mib("VmRSS")
        give_back()
        print(
            f"{count} cameras of {width}x{height}, {mode}, {weights}: {now:.0f} MiB, {mib('VmRSS'):.0f} once "
            f"what is free was given back, {mib('VmHWM'):.0f} at most; {threading.active_count()} threads"
        )
        station.close()


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if word != "selftest"]
    usual = ["2", "live", "datransnet-s", "640", "512", "0"]
    count, mode, weights, *numbers = [*given, *usual[len(given) :]]
    width, height, threads = map(int, numbers)
    main(int(count), mode, weights, width, height, threads, "selftest" in sys.argv)
