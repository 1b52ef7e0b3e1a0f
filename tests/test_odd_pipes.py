"""Pipes as inputs, rates that tracks cannot live with, and signals while others' code is at work."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from training_sets import GUARD_S, environment, marked, started, wait_for

from irtrack import paths
from irtrack.archive.found import find_recordings
from irtrack.capture import open_source
from irtrack.capture.address import credentials_in
from irtrack.cli import main
from irtrack.core import IrtrackError, SourceError
from irtrack.detect.weights import read_tensors
from irtrack.paths import bytes_of
from irtrack.track.tables import Table

ROWS = "frame,x,y\n" + "".join(f"{i},{20 + i},{30 + i / 2}\n" for i in range(60))
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Into which nobody writes."""
    monkeypatch.setattr(paths, "PIPE_S", 0.1)
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@needs_pipes
@pytest.mark.parametrize(
    "words",
    [
        ["track", "PIPE", "--out", "OUT"], ["score", "PIPE", "PIPE"],
        ["calibrate", "PIPE", "--size", "64x48", "--out", "OUT"],
        ["track", "ROWS", "--config", "PIPE", "--out", "OUT"], ["track", "ROWS", "--beliefs", "PIPE", "--out", "OUT"],
        ["run", "sim:sky", "--frames", "1", "--credentials", "PIPE", "--csv", "OUT"], ["serve", "PIPE"],
        ["train", "--recipe", "PIPE", "--out", "OUT"],
    ],
)  # fmt: skip
def test_a_pipe_into_which_nobody_writes_is_said(
    tmp_path: Path, pipe: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    names = {"PIPE": str(pipe), "OUT": str(tmp_path / "out.csv"), "ROWS": str(tmp_path / "rows.csv")}
    assert main([names.get(word, word) for word in words]) == 1
    said = capsys.readouterr().err
    assert "it is a pipe, and nobody writes into it" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


@needs_pipes
def test_what_is_read_more_than_once_is_no_pipe(tmp_path: Path, pipe: Path) -> None:
    with pytest.raises(IrtrackError, match="is a pipe, and a checkpoint is read more than once"):
        read_tensors(pipe)
    (tmp_path / "set").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "set" / f"{number}.png"), np.full((8, 9), 50 + number, np.uint8))
    os.mkfifo(tmp_path / "set" / "3.png")
    source, found = open_source(str(tmp_path / "set")), []
    with pytest.raises(SourceError, match=r"3\.png is a pipe.*1 of 4 pictures"):
        found.extend(source)
    assert len(found) == 3
    os.mkfifo(tmp_path / "set" / "film.mkv")
    recordings = find_recordings(tmp_path / "set", tmp_path / "out")
    assert recordings.recordings == [str(tmp_path / "set")]
    assert recordings.remarks.lines() == ["pipes, which no recording is read from, were left out (2 times)"]


@needs_pipes
@pytest.mark.parametrize("late", [False, True])
def test_what_another_program_writes_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    """Also of one that has opened its end, and takes its time."""
    monkeypatch.setattr(paths, "PIPE_S", GUARD_S)
    pipe, goes = tmp_path / "rows.csv", threading.Event()
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("w") as file:
            if late:
                goes.wait(GUARD_S)
            file.write(ROWS)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    threading.Timer(0.2, goes.set).start()
    assert len(Table(pipe).numbers([0, 1, 2])) == 60
    writer.join()


@needs_pipes
def test_secrets_may_come_through_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PIPE_S", GUARD_S)
    os.mkfifo(tmp_path / "secret")
    writer = threading.Thread(target=lambda: (tmp_path / "secret").write_text("user:word\n"), daemon=True)
    writer.start()
    assert credentials_in(tmp_path / "secret") == "user:word"
    writer.join()
    (tmp_path / "plain").write_bytes(b"0123456789")
    assert bytes_of(tmp_path / "plain", 4) == b"0123"


@pytest.mark.parametrize(
    ("fps", "code", "words"),
    [
        ("30", 0, ""), ("12000", 0, "at 12000 frames a second targets are expected to move"),
        ("1e6", 1, "makes no sense"), ("1e-5", 1, "makes no sense"), ("nan", 1, "makes no sense"),
    ],
)  # fmt: skip
def test_a_rate_at_which_nothing_is_followed_is_said(
    tmp_path: Path, fps: str, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    out = tmp_path / "out.csv"
    assert main(["track", str(tmp_path / "rows.csv"), "--out", str(out), "--fps", fps]) == code
    assert words in capsys.readouterr().err
    assert out.exists() == (code == 0)
    tracks = len(out.read_text().splitlines()) - 1 if out.exists() else 0
    assert (tracks > 0) == (fps == "30")


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("timestamp_ns", lambda i: f"{i * 40_000_000}", "read at 25 frames a second"),
        ("ts_ms", lambda i: f"{i * 40}", "read at 25 frames a second"),
        ("recorded_date", lambda i: f"2026-10-25T02:59:{i:02d}+02:00", "its column 'recorded_date' is not read"),
        ("ns", lambda i: f"{i}", "its column 'ns' is not read"),
    ],
)
def test_columns_of_times_are_read_or_named(
    tmp_path: Path, column: str, cell: object, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(cell)
    rows = "".join(f"{i},{cell(i)},{20 + i},{30 + i / 2}\n" for i in range(60))
    (tmp_path / "rows.csv").write_text(f"frame,{column},x,y\n{rows}")
    assert main(["track", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "out.csv")]) == 0
    said = capsys.readouterr()
    assert words in said.out + said.err


def test_frames_further_apart_than_tracks_live_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((32, 32), 60 + number, np.uint8))
    words = ["run", str(tmp_path), "--csv", str(tmp_path / "out.csv"), "--fps", "0.1", "--weights", "datransnet-s"]
    assert main(words) == 0
    assert "frames are 10 s apart, and tracks live 0.8 s unseen" in capsys.readouterr().err


def test_a_signal_within_code_made_of_text_ends_with_130() -> None:
    """Python notes such an interruption for good, and would end by SIGINT instead of with the code given."""
    code = (
        "import atexit; from irtrack.stopping import leave\n"
        "atexit.register(lambda: print('closed'))\n"
        "try:\n    exec('raise KeyboardInterrupt')\nexcept KeyboardInterrupt:\n    leave(130)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (130, "closed\n")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signals")
def test_an_archive_is_ended_by_its_terminal_while_workers_start(tmp_path: Path) -> None:
    """All processes of a terminal get its signals: one line, nothing left, and the same command could go on."""
    pytest.importorskip("distributed")
    (tmp_path / "in").mkdir()
    for name in ("a.avi", "b.avi"):
        writer = cv2.VideoWriter(str(tmp_path / "in" / name), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
        for number in range(5):
            writer.write(np.full((48, 64, 3), 60 + number, np.uint8))
        writer.release()
    mark, out = f"archive-{tmp_path.name}-{os.getpid()}", tmp_path / "out"
    words = [sys.executable, "-m", "irtrack", "archive", str(tmp_path / "in"), "--out", str(out), "--workers", "2"]
    with started(words, mark) as process:
        wait_for(lambda: len(marked(mark)) > 2 or process.poll() is not None)  # the first worker is there
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGHUP)
            os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=GUARD_S)[1].decode()
    assert (process.returncode, said) == (130, "irtrack: stopped\n")
    wait_for(lambda: not marked(mark))
    assert not list(out.rglob("*.parquet"))
