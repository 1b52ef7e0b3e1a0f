#!/usr/bin/env python3
"""Ends runs of irtrack by signals at random times, one or two, on a file and a camera, and looks at what is left.

    tools/signals.py [TIMES] [SEED]

Each run must end with 130, or with 0 where it had finished; its text logs must have whole lines, its recording an index
and a duration. A row is printed for each run that does not, and the counts at the end. With SIGKILL (one run in eight)
the log may lack the last second.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av

ROOT = Path(__file__).resolve().parent.parent
CSV_COLUMNS = 16
SCENE = "sky,width=96,height=80,frames={},targets=3,scr=14,seed=5,speed_px_s=45"


@dataclass
class Ended:
    """What came of a run."""

    code: int
    wait_s: float
    rows: int
    recorded: int
    wrong: list[str]
    error: str


def end_at(folder: Path, source: str, delay_s: float, numbers: list[int], gap_s: float, begun: bool = True) -> Ended:
    """Run SOURCE into `folder`, and send the signals `delay_s` after the first results are there (or, without `begun`,
    from when on it hears them)."""
    csv, lines, raw = folder / "t.csv", folder / "t.jsonl", folder / "r.mkv"
    command = [sys.executable, str(ROOT / "main.py"), "run", source, "--csv", str(csv), "--jsonl", str(lines)]
    process = subprocess.Popen(
        [*command, "--record", str(raw), "--weights", "datransnet-s", "--threads", "1", "--force"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        if (lines.exists() and lines.stat().st_size) if begun else hears(process.pid):
            break
        time.sleep(0.01)
    time.sleep(delay_s)
    sent = time.monotonic()
    for number in numbers:
        if process.poll() is None:
            process.send_signal(number)
        time.sleep(gap_s)
    try:
        _, error = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Ended(-1, 60.0, 0, 0, ["never ended"], "")
    wait_s = time.monotonic() - sent
    wrong: list[str] = []
    killed = signal.SIGKILL in numbers
    if process.returncode not in ((-signal.SIGKILL, 0) if killed else (0, 130)):
        wrong.append(f"exit code {process.returncode}")
    if "Traceback" in error or "terminate" in error:
        wrong.append("a traceback or an abort")
    rows = whole_rows(csv, wrong)
    frames = whole_lines(lines, wrong)
    recorded = 0
    young = killed and delay_s < 1  # its first second may be lost
    if raw.exists() and raw.stat().st_size and frames and not young:
        recorded = length_of(raw, killed, wrong)
    return Ended(process.returncode, wait_s, rows, recorded, wrong, error.strip()[-300:])


def hears(process: int) -> bool:
    """Whether a process has taken the signals over, as Linux tells; before, the system ends it, and nothing is lost."""
    try:
        caught = int((Path("/proc") / str(process) / "status").read_text().split("SigCgt:")[1].split()[0], 16)
    except (OSError, IndexError):
        return True
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def whole_rows(path: Path, wrong: list[str]) -> int:
    """Rows of a track log."""
    text = path.read_text() if path.exists() else ""
    if text and not text.endswith("\n"):
        wrong.append("the CSV ends in the middle of a row")
    rows = text.splitlines()[1:]
    if any(row.count(",") != CSV_COLUMNS - 1 for row in rows):
        wrong.append("the CSV has broken rows")
    frames = [int(row.split(",")[0]) for row in rows]
    if frames != sorted(frames):
        wrong.append("the CSV has rows out of order")
    return len(rows)


def whole_lines(path: Path, wrong: list[str]) -> int:
    """Objects of a JSON log."""
    text = path.read_text() if path.exists() else ""
    try:
        return len([json.loads(line) for line in text.splitlines()])
    except ValueError:
        wrong.append("the JSON log has a broken line")
        return 0


def length_of(path: Path, killed: bool, wrong: list[str]) -> int:
    """Frames of a recording, which has a duration unless it was killed."""
    try:
        with av.open(str(path)) as container:
            if container.duration is None and not killed:
                wrong.append("the recording has no duration")
            return sum(1 for _ in container.decode(video=0))
    except av.FFmpegError as error:
        wrong.append(f"the recording cannot be read: {error.strerror}")
        return 0


def main(times: int, seed: int) -> int:
    """Run them all."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background and nohup have them ignored
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    rng = random.Random(seed)
    bad, slowest = 0, 0.0
    for i in range(times):
        live = rng.random() < 0.5
        source = f"{'simcam' if live else 'sim'}:{SCENE.format(60 if live else 400)}"
        killed = i % 8 == 7
        kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        numbers = [signal.SIGKILL] if killed else [rng.choice(kinds) for _ in range(rng.choice((1, 2)))]
        begun, delay_s, gap_s = rng.random() < 0.7, rng.random() * 3, rng.random() * 0.3
        with tempfile.TemporaryDirectory() as folder:
            ended = end_at(Path(folder), source, delay_s if begun else 2 * delay_s, numbers, gap_s, begun)
        slowest = max(slowest, ended.wait_s)
        if ended.wrong:
            bad += 1
            print(i, source.split(":")[0], numbers, f"{delay_s:.2f}", begun, ended, flush=True)
    print(f"{times - bad} of {times} ended as they should; the slowest took {slowest:.1f} s")
    return bad > 0


if __name__ == "__main__":
    given = [int(a) for a in sys.argv[1:]]
    raise SystemExit(main(*(given + [200, 1][len(given) :])))
