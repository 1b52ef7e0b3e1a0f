"""Positions by two stations: flights whose truth is known exactly, seen by cameras whose errors are as they say."""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from irtrack.cli import main
from irtrack.core import Floats
from irtrack.direction.calibrate import moved
from irtrack.direction.camera import Camera, axes_of, diagonal
from irtrack.direction.geodesy import enu_of, place_from_enu
from irtrack.direction.lens import Lens
from irtrack.direction.stations import Sighting, Station
from irtrack.direction.triangulate import Fix, triangulate
from irtrack.simulate import add_target
from irtrack.sinks.lossless import write_video

HOME = (48.0, 11.0, 520.0)
LENS = Lens(640, 512, 800.0, (322.0, 251.0), (-0.1, 0.02, 0.0, 0.0, 0.0))
SPREAD = diagonal(0.05, 0.5, 1.0)


def camera_at(east: float, north: float, azimuth: float) -> Camera:
    place = place_from_enu([east, north, 4.0], HOME)
    return Camera(LENS, tuple(place.tolist()), axes_of(azimuth, 12.0, 1.0), SPREAD)


A, B = camera_at(0.0, 0.0, 20.0), camera_at(400.0, 60.0, -10.0)
Path3 = Callable[[Floats], Floats]


def straight(start: tuple[float, float, float], velocity: tuple[float, float, float]) -> Path3:
    return lambda t: np.array(start) + np.outer(t, velocity)


def seen(camera: Camera, path: Path3, time_s: Floats, sigma_px: float, rng: np.random.Generator) -> Floats:
    """Pixels in which a camera sees a flight, exactly, and with noise."""
    places = place_from_enu(path(time_s), HOME)
    return camera.project(enu_of(places, camera.place)) + rng.normal(0, sigma_px, (len(time_s), 2))


def drawn(camera: Camera, rng: np.random.Generator) -> Camera:
    """A camera as it may really be, where the given one is what is believed of it."""
    return moved(camera, rng.multivariate_normal(np.zeros(14), camera.covariance), np.array(camera.place))


def station(
    name: str, believed: Camera, real: Camera, paths: list[Path3], rng: np.random.Generator, sigma_px: float = 0.3,
    time_s: Floats | None = None,
) -> Station:  # fmt: skip
    t = np.arange(0, 2.0, 0.04) if time_s is None else time_s
    tracks = []
    for i, path in enumerate(paths, 1):
        xy = seen(real, path, t, sigma_px, rng)
        tracks.append(Sighting(i, t, xy, np.full(xy.shape, max(sigma_px, 1e-3))))
    return Station(name, believed, tuple(tracks))


FLIGHT = straight((150.0, 900.0, 200.0), (15.0, -8.0, 2.0))


def truth(path: Path3, time_s: Floats, camera: Camera = A) -> Floats:
    return enu_of(place_from_enu(path(time_s), HOME), camera.place)


def test_exact_directions_give_the_exact_flight() -> None:
    rng = np.random.default_rng(0)
    turning: Path3 = lambda t: np.column_stack(  # noqa: E731
        [100 + 60 * np.cos(0.3 * t), 800 + 60 * np.sin(0.3 * t), 180 + 3 * t]
    )
    a = station("a", A, A, [turning], rng, 0.0)
    b = station("b", B, B, [turning], rng, 0.0, np.arange(0.013, 2.0, 0.04))
    shifted = replace(b.tracks[0], time_s=b.tracks[0].time_s - 5.0)
    (fix,) = triangulate(a, replace(b, tracks=(shifted,)), 5.0)
    assert len(fix.time_s) > 40
    assert np.linalg.norm(fix.enu_m - truth(turning, fix.time_s), axis=1).max() < 0.02  # of interpolation
    assert fix.place == pytest.approx(place_from_enu(turning(fix.time_s), HOME), abs=0.02)
    speed = np.linalg.norm(fix.velocity_m_s, axis=1)
    assert np.nanmedian(speed) == pytest.approx(np.hypot(18.0, 3.0), rel=0.02)
    assert fix.miss_m.max() < 0.02
    assert fix.parallel == 0


def test_errors_are_as_the_covariance_says() -> None:
    """Over many flights, each with cameras and noise of its own: NEES lies within its 95 % bounds, and so do the
    miss distances."""
    rng = np.random.default_rng(1)
    runs, total, misses = 120, 0.0, []
    for _ in range(runs):
        path = straight(tuple(rng.uniform([50, 600, 100], [300, 1500, 300])), tuple(rng.normal(0, 8, 3)))
        a = station("a", A, drawn(A, rng), [path], rng)
        b = station("b", B, drawn(B, rng), [path], rng, time_s=np.arange(0.02, 2.0, 0.04))
        (fix,) = triangulate(a, b, 0.0)
        k = len(fix.time_s) // 2
        off = fix.enu_m[k] - truth(path, fix.time_s[k : k + 1])[0]
        total += float(off @ np.linalg.solve(fix.covariance_m2[k], off))
        misses.append(fix.misses)
    low, high = chi2.ppf((0.025, 0.975), 3 * runs)
    assert low < total < high
    assert np.mean(np.array(misses) ** 2) == pytest.approx(1.0, abs=0.35)


def test_tracks_are_paired_over_the_whole_log() -> None:
    """Five flights side by side, in another order at B, one of them in parts, with one more at each station."""
    rng = np.random.default_rng(2)
    paths = [
        straight((40.0 * i, 900.0 - 25 * i, 180.0 + 15 * i), (12.0 - 5 * i, 3.0 * i - 5, i - 2.0)) for i in range(5)
    ]
    only_a, only_b = straight((-100.0, 700.0, 60.0), (3.0, 0, 0)), straight((350.0, 1200.0, 400.0), (0, -9.0, 0))
    a = station("a", A, drawn(A, rng), [*paths, only_a], rng)
    order = [3, 0, 4, 2, 1]
    b = station("b", B, drawn(B, rng), [*(paths[i] for i in order), only_b], rng)
    whole = b.tracks[0]
    parts = [
        replace(whole, id=name, time_s=whole.time_s[s], xy_px=whole.xy_px[s], sigma_px=whole.sigma_px[s])
        for name, s in ((11, slice(0, 20)), (12, slice(24, None)))
    ]
    found = triangulate(a, replace(b, tracks=(*b.tracks[1:], *parts)), 0.0)
    pairs = {(f.first, f.second) for f in found}
    assert pairs == {(4, 11), (4, 12), *((order[k] + 1, k + 1) for k in range(1, 5))}


def test_nearly_parallel_rays_give_no_position() -> None:
    rng = np.random.default_rng(3)
    far = straight((400.0, 120000.0, 16000.0), (200.0, 0, 0))
    a, b = station("a", A, A, [far], rng), station("b", B, B, [far], rng)
    (fix,) = triangulate(a, b, 0.0)
    assert len(fix.time_s) == 0
    assert fix.parallel == 50
    axis = B.place  # between the stations, in line with both
    to_b = enu_of(axis, HOME)
    inline = straight(tuple(to_b * 3 + (0, 0, 30)), (0.1, 0.1, 0.0))
    azimuth = float(np.degrees(np.arctan2(to_b[0], to_b[1])))
    look = axes_of(azimuth, 2.0, 0.0)
    found = triangulate(
        station("a", replace(A, axes=look), replace(A, axes=look), [inline], rng),
        station("b", replace(B, axes=look), replace(B, axes=look), [inline], rng), 0.0,
    )  # fmt: skip
    assert all(len(f.time_s) == 0 or np.sqrt(np.trace(f.covariance_m2[0])) > 3 for f in found)


def test_rivals_are_said() -> None:
    """Two targets in the plane of both stations: their rays meet crosswise as well."""
    rng = np.random.default_rng(4)
    plane = [straight((100.0, 600.0, 150.0), (0.0, 0, 0)), straight((130.0, 700.0, 173.5), (0.0, 0, 0))]
    a, b = (station(n, c, c, plane, rng, 1.5) for n, c in (("a", A), ("b", B)))
    found: list[Fix] = triangulate(a, b, 0.0)
    assert len(found) == 2
    assert all(f.rivals for f in found)


def log_of(path: Path, camera: Camera, station: Station, began: datetime | None, moved: int = 0) -> None:
    """A log of irtrack run --pose --jsonl."""
    lines = []
    for i, time_s in enumerate(station.tracks[0].time_s.tolist()):
        utc = {} if began is None else {"utc": (began + timedelta(seconds=time_s)).isoformat(timespec="milliseconds")}
        tracks = [
            {"id": t.id, "xy_px": t.xy_px[i].tolist(), "sigma_px": t.sigma_px[i].tolist()} for t in station.tracks
        ]
        turned = {"scene_moved_px": 9.0} if i < moved else {}
        lines.append(json.dumps({"frame": i, "time_s": time_s, **utc, **turned, "tracks": tracks}))
    path.write_text("\n".join(lines) + "\n")
    path.with_name(path.name + ".camera.toml").write_text(camera.save_text())


def test_triangulate_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(5)
    a, b, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "p.csv"
    began = datetime(2026, 11, 28, 20, 0, 0, tzinfo=UTC)
    log_of(a, A, station("a", A, A, [FLIGHT], rng), began, moved=5)
    seen_b = station("b", B, B, [FLIGHT], rng)
    early = replace(seen_b, tracks=tuple(replace(t, time_s=t.time_s + 7.0) for t in seen_b.tracks))
    log_of(b, B, early, began - timedelta(seconds=7))
    assert main(["triangulate", str(a), str(b), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "target 1: track 1 of A, 1 of B" in said.out
    assert "frames left out, since the picture had moved and the camera may have been turned (5 times)" in said.err
    rows = list(csv.DictReader(out.open()))
    assert 40 <= len(rows) <= 45
    for row in rows:
        place = [float(row[name]) for name in ("latitude_deg", "longitude_deg", "height_m")]
        time_s = np.array([float(row["time_s"])])
        off = enu_of(place, place_from_enu(FLIGHT(time_s), HOME)[0])
        sigma = np.array([float(row[f"sigma_{name}_m"]) for name in ("east", "north", "up")])
        assert (np.abs(off) < 5 * sigma).all()
        assert datetime.fromisoformat(row["utc"]) == began + timedelta(seconds=round(time_s[0], 3))
    assert float(rows[20]["speed_m_s"]) == pytest.approx(np.linalg.norm([15, 8, 2]), rel=0.3)
    assert main(["triangulate", str(a), str(b), "--out", str(out)]) == 1
    assert "exists" in capsys.readouterr().err
    before = out.read_text()
    call = ["triangulate", str(a), str(b), "--out", str(out), "--force", "--strict"]
    poses = ["--poses", f"{a}.camera.toml", f"{b}.camera.toml"]
    assert main([*call, *poses, "--offset", "-7"]) == 1  # for the note
    assert out.read_text() == before
    assert main([*call, "--offset", "0"]) == 1
    assert "no two tracks' rays meet" in capsys.readouterr().out


def test_positions_of_before_outlast_a_disk_that_is_full(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    a, b, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "p.csv"
    log_of(a, A, station("a", A, A, [FLIGHT], rng), None)
    log_of(b, B, station("b", B, B, [FLIGHT], rng), None)
    out.write_text("before")
    call = ["triangulate", str(a), str(b), "--offset", "0", "--out", str(out), "--force"]
    full = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # noqa: E731
    python = [sys.executable, "-B", "-m", "irtrack"]  # what it compiles would be cut short for all who come after
    ended = subprocess.run([*python, *call], preexec_fn=full, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "cannot write" in ended.stderr
    assert out.read_text() == "before"


def test_a_log_that_was_cut_off_is_used_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine that lost its power leaves half a line: the hours before it are as good as ever."""
    rng = np.random.default_rng(7)
    a, b, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "p.csv"
    log_of(a, A, station("a", A, A, [FLIGHT], rng), None)
    log_of(b, B, station("b", B, B, [FLIGHT], rng), None)
    b.write_text(b.read_text()[:-30])
    assert main(["triangulate", str(a), str(b), "--offset", "0", "--out", str(out)]) == 0
    assert "b.jsonl is cut off in its last line, which was left out" in capsys.readouterr().err
    assert 40 <= len(list(csv.DictReader(out.open()))) < 50


def test_from_pictures_to_positions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two cameras' recordings through the network and the tracker: the sigmas of the log hold to the end."""
    paths = [straight((120.0, 780.0, 150.0), (6.0, 4.0, 2.0)), straight((160.0, 900.0, 190.0), (-8.0, 0.0, -1.0))]
    lens, time_s = Lens.of_view(192, 160, 14.0), np.arange(40) / 25
    cameras = []
    for name, east, azimuth, seed in (("a", 0.0, 10.0, 1), ("b", 300.0, -8.0, 2)):
        rng = np.random.default_rng(seed)
        place = tuple(place_from_enu([east, 0.0, 3.0], HOME).tolist())
        believed = Camera(lens, place, axes_of(azimuth, 11.0, 0.0), diagonal(0.03, 0.5, 0.5), fixed=True)
        real = drawn(believed, rng)
        centres = [seen(real, path, time_s, 0.0, rng) for path in paths]
        frames = []
        for i in range(len(time_s)):
            grey = rng.normal(90, 2, (160, 192)).astype(np.float32)
            for xy in centres:
                add_target(grey, *xy[i].tolist(), 35.0, 0.9)
            frames.append(np.clip(np.round(grey), 0, 255).astype(np.uint8))
        write_video(tmp_path / f"{name}.mkv", iter(frames), 25.0)
        (tmp_path / f"{name}.toml").write_text(believed.save_text())
        call = ["run", f"{tmp_path}/{name}.mkv", "--pose", f"{tmp_path}/{name}.toml", "--weights", "datransnet-s"]
        assert main([*call, "--jsonl", f"{tmp_path}/{name}.jsonl", "--device", "cpu", "--quiet"]) == 0
        cameras.append(believed)
    logs = [f"{tmp_path}/a.jsonl", f"{tmp_path}/b.jsonl"]
    assert main(["triangulate", *logs, "--offset", "0", "--out", f"{tmp_path}/p.csv"]) == 0
    rows = list(csv.DictReader((tmp_path / "p.csv").open()))
    assert {row["target"] for row in rows} == {"1", "2"}
    assert len(rows) > 70
    off, speeds = [], []
    for row in rows:
        place = [float(row[name]) for name in ("latitude_deg", "longitude_deg", "height_m")]
        at = np.array([float(row["time_s"])])
        errors = [enu_of(place, cameras[0].place) - truth(path, at, cameras[0])[0] for path in paths]
        sigma = np.array([float(row[f"sigma_{name}_m"]) for name in ("east", "north", "up")])
        off.append(np.abs(min(errors, key=lambda e: float(np.linalg.norm(e)))) / sigma)
        speeds.append(float(row["speed_m_s"]))
    assert np.max(off) < 4
    assert sorted({round(v) for v in speeds[10:30] + speeds[-30:-10]}) == [7, 8]  # of 7.5 and 8.1 m/s


def test_wrong_logs_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(6)
    a, b, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "p.csv"
    log_of(a, A, station("a", A, A, [FLIGHT], rng), None)
    log_of(b, B, station("b", B, B, [FLIGHT], rng), None)
    call = ["triangulate", str(a), str(b), "--out", str(out)]
    whole = b.read_text()

    def fails(word: str, *more: str) -> None:
        assert main([*call, *more]) == 1
        said = capsys.readouterr().err.strip()
        assert word in said
        assert len(said.splitlines()) == 1
        assert not out.exists()

    fails("has no UTC: give --offset")
    fails("makes no sense", "--offset", "nan")
    for text, word in (
        (whole[:-30] + "\n", "line 50: no JSON"), ("[]\n", "line 1: no frame"),
        ('{"time_s": 0, "tracks": [{"id": 1}]}\n', "line 1"),
        ('{"time_s": 0, "tracks": []}\n', "holds no tracks"), ("\x00\xff", "no JSON"),
    ):  # fmt: skip
        b.write_text(text)
        fails(word, "--offset", "0")
    b.write_bytes(b"\xff\xfe\xff\n")
    fails("no text", "--offset", "0")
    b.write_text(whole)
    (tmp_path / "b.jsonl.camera.toml").unlink()
    fails("--poses", "--offset", "0")
    assert main([*call, "--offset", "0", "--poses", f"{a}.camera.toml", str(b)]) == 1
    assert "is not valid TOML" in capsys.readouterr().err
    b.unlink()
    assert main([*call, "--poses", f"{a}.camera.toml", f"{a}.camera.toml"]) == 1
    assert "cannot read" in capsys.readouterr().err


def test_of_two_logs_in_one_file_the_first_is_used_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both have a track 1, of two targets: their places are not those of one."""
    rng = np.random.default_rng(7)
    a, b, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "p.csv"
    log_of(a, A, station("a", A, A, [FLIGHT], rng), None)
    log_of(b, B, station("b", B, B, [straight((-150.0, 900.0, 200.0), (15.0, -8.0, 2.0))], rng), None)
    other = b.read_text()
    log_of(b, B, station("b", B, B, [FLIGHT], rng), None)
    lines = b.read_text().splitlines(keepends=True)
    b.write_text("".join(lines[:30]) + other)
    assert main(["triangulate", str(a), str(b), "--offset", "0", "--out", str(out)]) == 0
    assert "b.jsonl: its seconds begin anew at line 31" in capsys.readouterr().err
    assert 20 <= len(list(csv.DictReader(out.open()))) <= 30
