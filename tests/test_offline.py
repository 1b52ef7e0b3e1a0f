"""Tracks seen from the end: smoothing against filterpy, gaps that are closed, and the gain on a real scenario."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter

from irtrack.cli import main
from irtrack.config import TrackerSettings
from irtrack.metrics.tracking import score_tracks
from irtrack.track.files import read_tracks
from irtrack.track.kalman import transition
from irtrack.track.offline import ACCELERATION_PX_S2, smooth


def test_smoother_equals_filterpys(rng: np.random.Generator) -> None:
    settings, time_s = TrackerSettings(), np.arange(40) / 25
    path = np.cumsum(rng.normal(0, 1, (40, 2)), 0)
    done = smooth(list(range(40)), list(path), time_s, settings)
    k = KalmanFilter(dim_x=4, dim_z=2)
    k.x = np.array([*path[0], 0, 0])
    k.P = np.diag([settings.measurement_sigma_px**2] * 2 + [settings.speed_sigma_px_s**2] * 2)
    k.H, k.R = np.eye(2, 4), np.eye(2) * settings.measurement_sigma_px**2
    k.F, k.Q = transition(1 / 25, ACCELERATION_PX_S2)
    xs, Ps = [k.x.copy()], [k.P.copy()]
    for z in path[1:]:
        k.predict()
        k.update(z)
        xs.append(k.x.copy())
        Ps.append(k.P.copy())
    x, P, _, _ = k.rts_smoother(np.array(xs), np.array(Ps))
    assert np.allclose(done.x, x, atol=1e-7)
    assert np.allclose(done.P, P, atol=1e-7)


def detections(path: Path, gap: tuple[int, int], rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    """Two targets unseen in the gap and one that is always seen; returns the truth (frame, id, x, y)."""
    truth = np.array([[f, i, 30 + 2.0 * f, 50 + 80.0 * i + 0.5 * f] for f in range(120) for i in range(3)])
    seen = truth[(truth[:, 0] < gap[0]) | (truth[:, 0] >= gap[1]) | (truth[:, 1] == 2)]
    seen = seen[:, [0, 2, 3]] + np.column_stack([np.zeros(len(seen)), rng.normal(0, 0.5, (len(seen), 2))])
    path.write_text("frame,x,y\n" + "".join(f"{f:.0f},{x:.3f},{y:.3f}\n" for f, x, y in seen))
    return truth


def test_a_gap_longer_than_a_coast_is_closed(tmp_path: Path, rng: np.random.Generator) -> None:
    truth = detections(tmp_path / "det.csv", (50, 85), rng)
    figures = {}
    for mode in ("", "--offline"):
        out = tmp_path / f"tracks{mode}.csv"
        assert main(["track", str(tmp_path / "det.csv"), "--out", str(out), *([mode] if mode else [])]) == 0
        figures[mode] = read_tracks(out)
    assert len(np.unique(figures[""][:, 1])) == 5
    assert len(np.unique(figures["--offline"][:, 1])) == 3
    assert len(figures["--offline"]) == 360  # every frame, the gap too
    assert score_tracks(truth, figures["--offline"])["IDF1"] == pytest.approx(100)
    for name in (0, 1):
        own = truth[truth[:, 1] == name]
        errors = [
            np.sqrt(np.mean([np.min(np.hypot(*(t[t[:, 0] == f, 2:] - (x, y)).T)) ** 2 for f, _, x, y in own[:50]]))
            for t in (figures[""], figures["--offline"])
        ]
        assert errors[1] < errors[0]


def test_modes_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "det.csv").write_text("frame,x,y\n0,1,1\n")
    out = tmp_path / "out.csv"
    assert main(["track", str(tmp_path / "det.csv"), "--out", str(out), "--online", "--offline"]) == 1
    assert "choose one" in capsys.readouterr().err


def test_an_empty_recording_has_an_empty_log(tmp_path: Path) -> None:
    (tmp_path / "det.csv").write_text("frame,x,y\n")
    out = tmp_path / "out.csv"
    assert main(["track", str(tmp_path / "det.csv"), "--out", str(out), "--offline"]) == 0
    assert len(out.read_text().splitlines()) == 1


def test_smoothing_is_nearer_the_truth(data: Path, tmp_path: Path) -> None:
    folder = data / "scenarios" / "s06_drop30" / "seed0"
    truth, figures = read_tracks(folder / "gt.csv"), []
    for mode in ([], ["--offline"]):
        out = tmp_path / f"{len(mode)}.csv"
        assert main(["track", str(folder / "det.csv"), "--out", str(out), *mode]) == 0
        figures.append(score_tracks(truth, read_tracks(out)))
    assert figures[1]["HOTA"] > figures[0]["HOTA"]
    assert figures[1]["GOSPA_localisation"] < figures[0]["GOSPA_localisation"]
