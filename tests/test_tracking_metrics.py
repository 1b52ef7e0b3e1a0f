"""HOTA, CLEAR and identity against TrackEval on the scenarios; GOSPA by hand; the command."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from irtrack.cli import main
from irtrack.core import Floats
from irtrack.metrics.tracking import as_sequence, gospa, score_tracks
from irtrack.track.files import read_tracks


def damaged(truth: Floats, rng: np.random.Generator) -> Floats:
    """Tracks with errors of every kind: noise, misses, false rows, swapped and broken identities."""
    rows = truth[rng.random(len(truth)) > 0.1].copy()
    rows[:, 2:] += rng.normal(0, 2.0, (len(rows), 2))
    for name in np.unique(rows[:, 1])[::3]:
        own = np.flatnonzero(rows[:, 1] == name)
        rows[own[len(own) // 2 :], 1] += 0.5
    false = np.column_stack(
        [rng.integers(0, truth[:, 0].max() + 1, 300), 100 + rng.integers(0, 9, 300), rng.uniform(0, 500, (300, 2))]
    )
    both = np.concatenate([rows, false])
    return both[np.unique(both[:, :2], axis=0, return_index=True)[1]]


def by_trackeval(trackeval: ModuleType, truth: Floats, tracks: Floats) -> dict[str, float]:
    """The same figures by TrackEval, similarity 0 at 10 px."""
    s = as_sequence(truth, tracks)
    data = {
        "num_timesteps": len(s.truth),
        "gt_ids": s.truth,
        "tracker_ids": s.tracks,
        "similarity_scores": [np.maximum(0.0, 1 - d / 10) for d in s.distance],
        "num_gt_ids": s.truths,
        "num_tracker_ids": s.identities,
        "num_gt_dets": len(truth),
        "num_tracker_dets": len(tracks),
        "seq": "s",
    }
    with contextlib.redirect_stdout(io.StringIO()):
        h = trackeval.metrics.HOTA().eval_sequence(data)
        c = trackeval.metrics.CLEAR({"THRESHOLD": 0.5, "PRINT_CONFIG": False}).eval_sequence(data)
        i = trackeval.metrics.Identity({"THRESHOLD": 0.5, "PRINT_CONFIG": False}).eval_sequence(data)
    return {
        **{k: 100 * float(np.mean(h[k])) for k in ("HOTA", "DetA", "AssA")},
        "IDF1": 100 * float(i["IDF1"]),
        "MOTA": 100 * float(c["MOTA"]),
        "switches": int(c["IDSW"]),
        "false_positives": int(c["CLR_FP"]),
        "misses": int(c["CLR_FN"]),
    }


@pytest.mark.parametrize("name", ["s01_cv", "s03_crossing", "s12_enterleave", "s13_dense"])
def test_figures_equal_trackeval(data: Path, name: str) -> None:
    trackeval = pytest.importorskip("trackeval")
    folder = next(p for p in sorted((data / "scenarios" / name).iterdir()) if p.is_dir())
    truth = read_tracks(folder / "gt.csv")
    tracks = damaged(truth, np.random.default_rng(1))
    ours = score_tracks(truth, tracks, 5.0)
    for key, value in by_trackeval(trackeval, truth, tracks).items():
        assert ours[key] == pytest.approx(value, abs=1e-9), key
    assert 20 < ours["HOTA"] < 90
    assert ours["switches"] > 0


def test_formats_agree(data: Path) -> None:
    """The scenarios' truth as CSV and as MOTChallenge."""
    folder = data / "scenarios" / "s01_cv" / "seed0"
    a, b = read_tracks(folder / "gt.csv"), read_tracks(folder / "gt_mot.txt")
    assert len(a) == len(b)
    assert score_tracks(a, b)["HOTA"] > 99


def test_gospa_by_hand() -> None:
    truth = np.array([[0, 1, 10, 10], [0, 2, 50, 50], [1, 1, 10, 10]], float)
    tracks = np.array([[0, 5, 13, 14], [0, 6, 90, 90], [1, 5, 10, 10]], float)
    figures = gospa(as_sequence(truth, tracks), 5.0)
    assert figures["GOSPA_localisation"] == pytest.approx(5 / 2)
    assert figures["GOSPA_missed"] == figures["GOSPA_false"] == pytest.approx(5 / 2)
    assert figures["GOSPA"] == pytest.approx(7.5)


def test_perfect_empty_and_absent() -> None:
    truth = np.array([[f, i, 10.0 * i + f, 5.0] for f in range(9) for i in range(3)])
    best = score_tracks(truth, truth)
    assert (best["HOTA"], best["IDF1"], best["MOTA"], best["GOSPA"]) == pytest.approx((100, 100, 100, 0))
    none = score_tracks(truth, np.zeros((0, 4)))
    assert (none["HOTA"], none["IDF1"], none["MOTA"], none["misses"]) == (0, 0, 0, 27)
    assert score_tracks(np.zeros((0, 4)), truth)["false_positives"] == 27


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, tracks, out = tmp_path / "truth.csv", tmp_path / "tracks.txt", tmp_path / "out.json"
    truth.write_text("frame,id,x,y\n0,1,10,20\n1,1,11,20\n")
    tracks.write_text("1,7,9.0,19.0,4,4,1,-1,-1,-1\n2,7,10.0,19.0,4,4,1,-1,-1,-1\n")
    assert main(["score", str(truth), str(tracks), "--json", str(out)]) == 0
    assert json.loads(out.read_text())["HOTA"] == pytest.approx(100)
    assert "IDF1 100.00" in capsys.readouterr().out
    for text, line in (("a,b\n", "neither"), ("frame,x,y\n0,1,2\n", "expected frame, id"), ("1,2,3\n", "line 1")):
        tracks.write_text(text)
        assert main(["score", str(truth), str(tracks)]) == 1
        assert line in capsys.readouterr().err
    assert main(["score", str(truth), str(tmp_path / "nosuch")]) == 1
    assert main(["score", str(truth), str(truth), "--distance", "0"]) == 1
