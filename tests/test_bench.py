"""The benchmark's rows and its command; never a limit on time, for machines are noisy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from irtrack.bench import tracker
from irtrack.cli import main


def test_tracker_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tracker, "COUNTS", (5, 40))
    monkeypatch.setattr(tracker, "OTHERS", {"twice": tracker.ours, "absent": absent})
    out = tmp_path / "out.json"
    assert main(["bench", "tracker", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())
    assert len(rows) == 2 * 2 * 2
    assert {r["backend"] for r in rows} == {"irtrack", "twice"}
    assert all(r["median_ms"] > 0 and r["stage"] == "tracker" and r["threads"] == 1 for r in rows)
    assert all(r["ratio"] == 1 for r in rows if r["backend"] == "irtrack")
    assert "4096x4096" in capsys.readouterr().out
    assert main(["bench", "tracker", "--json", str(out)]) == 1


def absent() -> tracker.Step:
    raise ImportError


def test_the_scene_is_what_it_says() -> None:
    frames = list(tracker.scene(200, 640, 512, 50))
    mean = np.mean([len(d) for d in frames])
    assert mean == pytest.approx(200 * 0.95 + 4, rel=0.03)
    assert all((d.xy_px > -4).all() and (d.xy_px < (644, 516)).all() for d in frames)
    tracks = None
    step = tracker.ours()
    for i, d in enumerate(frames):
        tracks = step(d, i / 30)
    assert len(np.asarray(tracks)) > 190
