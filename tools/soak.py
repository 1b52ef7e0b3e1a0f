#!/usr/bin/env python3
"""Ten minutes of a 640x512 16-bit camera at 30 frames a second that is lost every minute: memory, threads, frames.

    tools/soak.py [MINUTES] [SECONDS_BETWEEN_LOSSES]

The camera is a process that sends NUT over TCP on loopback and is killed and started anew; irtrack reads, detects,
tracks, logs and records all the while.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import av
import numpy as np

from irtrack.build import Outputs, make_pipeline
from irtrack.capture import open_source
from irtrack.config import Settings
from irtrack.core import SourceError
from irtrack.simulate import Scene, scene_from_text

PORT, FPS = 8731, 30


def send() -> None:
    """The camera."""
    scene = Scene(scene_from_text("camera16,width=640,height=512,targets=3,seed=1"))
    pictures = [scene.image(i) for i in range(40)]
    with av.open(f"tcp://127.0.0.1:{PORT}?listen=1", "w", format="nut") as out:
        stream = out.add_stream("rawvideo", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 640, 512, "gray16le"
        start, n = time.monotonic(), 0
        while True:
            frame = av.VideoFrame.from_ndarray(pictures[n % 40], format="gray16le")
            frame.pts = n
            out.mux(stream.encode(frame))
            n += 1
            time.sleep(max(0.0, start + n / FPS - time.monotonic()))


def memory_mib() -> float:
    """What this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def camera() -> subprocess.Popen[bytes]:
    """The camera in a process of its own."""
    return subprocess.Popen([sys.executable, __file__, "send"], stderr=subprocess.DEVNULL)


def main(minutes: float, between_s: float) -> None:
    """Run and print a row a minute."""
    threads = {t.name for t in threading.enumerate()}
    with tempfile.TemporaryDirectory() as folder:
        outputs = Outputs({"csv": Path(folder) / "t.csv", "record": Path(folder) / "raw.mkv"})
        process = camera()
        while True:
            try:
                source = open_source(f"tcp://127.0.0.1:{PORT}", reconnect_s=60)
                break
            except SourceError:
                time.sleep(0.3)
        late: list[float] = []
        pipeline = make_pipeline(
            source, Settings(), outputs, lambda r: late.append(time.monotonic() - r.captured_s)
        ).start()
        print("minute  frames  dropped  lost  memory MiB  threads  latency p50 / p95 ms", flush=True)
        start, next_row, next_loss = time.monotonic(), 60.0, between_s
        while (now := time.monotonic() - start) < 60 * minutes:
            time.sleep(0.2)
            if now >= next_loss:
                process.kill()
                process.wait()
                process, next_loss = camera(), next_loss + between_s
            if now >= next_row:
                p50, p95 = np.percentile(1e3 * np.array(late), (50, 95))
                row = (next_row / 60, pipeline.processed, pipeline.dropped, source.lost, memory_mib())  # type: ignore[attr-defined]
                print("{:6.0f} {:7d} {:8d} {:5d} {:11.1f}".format(*row), end="")
                print(f" {threading.active_count():8d}  {p50:.0f} / {p95:.0f}", flush=True)
                late.clear()
                next_row += 60
        pipeline.close()
        process.kill()
        process.wait()
        left = [t.name for t in threading.enumerate() if t.name not in threads and t.name.startswith("irtrack")]
        recorded = sum(1 for _ in open_source(str(outputs.files["record"])))
        print(f"threads left: {left or 'none'}; recorded {recorded} frames; state {pipeline.state}")


if __name__ == "__main__":
    if sys.argv[1:] == ["send"]:
        send()
    else:
        given = [float(a) for a in sys.argv[1:]]
        main(*(given + [10.0, 60.0][len(given) :]))
