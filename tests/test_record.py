"""Recording raw frames: bit for bit, with times, without holding up anybody, and whole after a kill."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from irtrack.capture import open_source
from irtrack.cli import main
from irtrack.core import Frame, SinkError
from irtrack.sinks import record
from irtrack.sinks.record import Recorder, TriggeredRecorder


def frames(count: int, dtype: type, size: tuple[int, int] = (48, 64)) -> list[Frame]:
    rng = np.random.default_rng(3)
    top = np.iinfo(dtype).max
    return [
        Frame(i, 5.0 + i / 30 + (0.7 if i > 10 else 0), rng.integers(0, top, size).astype(dtype)) for i in range(count)
    ]


@pytest.mark.parametrize("ending", ["mkv", "tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_read_back_is_what_was_recorded(tmp_path: Path, dtype: type, ending: str) -> None:
    path, given = tmp_path / f"raw.{ending}", frames(25, dtype)
    recorder = Recorder(path, force=False)
    for frame in given:
        recorder(frame)
    recorder.close()
    recorder.close()
    back = list(open_source(str(path)))
    assert len(back) == 25
    assert all(np.array_equal(a.image, b.image) and a.image.dtype == dtype for a, b in zip(back, given, strict=True))
    assert np.allclose([b.time_s for b in back], [g.time_s - 5.0 for g in given], atol=1.1e-3)


def test_a_run_records_every_frame_of_its_source(tmp_path: Path) -> None:
    raw, csv = tmp_path / "raw.mkv", tmp_path / "tracks.csv"
    scene = "sim:camera16,frames=12,width=96,height=80"
    assert main(["run", scene, "--csv", str(csv), "--record", str(raw), "--quiet"]) == 0
    for a, b in zip(open_source(str(raw)), open_source(scene), strict=True):
        assert np.array_equal(a.image, b.image)
    assert main(["run", scene, "--record", str(raw), "--quiet"]) == 1  # never over what is there


def test_a_slow_encoder_costs_frames_and_never_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "WAITING", 4)
    gate, encode = threading.Event(), Recorder._encode

    def late(self: Recorder) -> None:
        gate.wait(20)
        encode(self)

    monkeypatch.setattr(Recorder, "_encode", late)
    recorder = Recorder(tmp_path / "slow.mkv", force=False)
    start = time.monotonic()
    for frame in frames(400, np.uint8):
        recorder(frame)
    assert time.monotonic() - start < 5
    gate.set()
    recorder.close()
    back = list(open_source(str(tmp_path / "slow.mkv")))
    assert len(back) + recorder.dropped == 400
    assert recorder.dropped == 396


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from irtrack.core import Frame
from irtrack.sinks.record import Recorder, TriggeredRecorder
recorder = Recorder(Path(sys.argv[1]), False)
for i in range(100000):
    recorder(Frame(i, i / 30, np.full((64, 80), i % 65536, np.uint16)))
    time.sleep(0.005)
    print(i, flush=True)
"""


@pytest.mark.parametrize("ending", ["mkv", "tiff"])
def test_what_was_recorded_opens_after_a_kill(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"killed.{ending}"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 200:
            break
    process.kill()
    process.wait()
    back = list(open_source(str(path)))
    assert len(back) > 150
    assert all((f.image == f.index).all() for f in back)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"name it \.mkv or \.tif"):
        Recorder(tmp_path / "raw.mp4", force=False)
    assert not (tmp_path / "raw.mp4").exists()


def test_only_what_lies_round_a_trigger_is_recorded(tmp_path: Path) -> None:
    """Triggers at 2 s and 2.5 s and at 6 s: a second before to a second after each, in one file, no frame twice."""
    recorder = TriggeredRecorder(Recorder(tmp_path / "raw.mkv", force=False, wait=True), 1.0)
    for i in range(300):
        recorder(Frame(i, i / 30, np.full((20, 30), i, np.uint16)))
        if i in (60, 75, 180):
            recorder.trigger(i / 30)
    recorder.close()
    got = [int(f.image[0, 0]) for f in open_source(str(tmp_path / "raw.mkv"))]
    assert got == [*range(30, 106), *range(150, 211)]


def test_what_is_held_before_a_trigger_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "HELD_BYTES", 5 * 20 * 30 * 2)
    recorder = TriggeredRecorder(Recorder(tmp_path / "raw.mkv", force=False, wait=True), 100.0)
    for i in range(50):
        recorder(Frame(i, i / 30, np.full((20, 30), i, np.uint16)))
    recorder.trigger(50 / 30)
    recorder.close()
    assert [int(f.image[0, 0]) for f in open_source(str(tmp_path / "raw.mkv"))] == [45, 46, 47, 48, 49]


def test_a_run_records_round_its_targets(tmp_path: Path) -> None:
    raw, log = tmp_path / "raw.tif", tmp_path / "t.csv"
    scene = "sim:sky,frames=40,width=160,height=128,targets=2,scr=20,seed=4"
    assert main(["run", scene, "--csv", str(log), "--record", str(raw), "--pretrigger", "0.2", "--quiet"]) == 0
    recorded, all_ = list(open_source(str(raw))), list(open_source(scene))
    assert 0 < len(recorded) <= 40
    for frame in recorded:
        index = round((frame.time_s + all_[40 - len(recorded)].time_s) * 30)
        assert np.array_equal(frame.image, all_[index].image)
    assert main(["run", scene, "--pretrigger", "1"]) == 1
