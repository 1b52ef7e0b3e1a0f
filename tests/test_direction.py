"""Directions: geodesy against published numbers, the lens against OpenCV's, calibration against cameras made up."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from irtrack.cli import main
from irtrack.core import Detections, Floats, Frame, FrameResult, IrtrackError, Remarks, Track, TrackStatus
from irtrack.direction.bearings import MOVED, RESIZED, Bearings
from irtrack.direction.calibrate import Known, calibrate
from irtrack.direction.camera import Camera, axes_of, camera_from, diagonal, load_camera
from irtrack.direction.geodesy import azimuth_elevation, ecef_of, enu_of, place_from_enu, place_of, unit_of
from irtrack.direction.lens import Lens
from irtrack.direction.points import Points, points_of, read_points

LENS = Lens(640, 512, 900.0, (325.0, 250.0), (-0.2, 0.05, 0.0005, -0.0005, 0.0))
CAMERA = Camera(LENS, (48.0, 11.0, 520.0), axes_of(123.0, 7.0, 2.0), np.zeros((14, 14)))
GRID = np.array([[x, y] for x in (20.0, 320.0, 620.0) for y in (20.0, 256.0, 490.0)])


def angle_deg(a: Floats, b: Floats) -> Floats:
    cross = np.linalg.norm(np.cross(a, b), axis=-1)
    return np.degrees(np.arctan2(cross, (a * b).sum(-1)))


# -- geodesy ----------------------------------------------------------------------------------------------------------


def test_places_are_those_of_the_published_examples() -> None:
    """The worked examples of the IOGP's guidance note 7-2, of geocentric and topocentric coordinates in WGS84."""
    place = [53 + 48 / 60 + 33.820 / 3600, 2 + 7 / 60 + 46.380 / 3600, 73.0]
    assert ecef_of(place) == pytest.approx([3771793.968, 140253.342, 5124304.349], abs=6e-4)
    assert enu_of(place, [55.0, 5.0, 200.0]) == pytest.approx([-189013.869, -128642.040, -4220.171], abs=6e-4)
    assert place_of([3771793.968, 140253.342, 5124304.349]) == pytest.approx(place, abs=1e-3)
    assert ecef_of([[0, 0, 0], [90, 0, 0], [0, 90, 10]]) == pytest.approx(
        np.array([[6378137.0, 0, 0], [0, 0, 6356752.3142], [0, 6378147.0, 0]]), abs=1e-4
    )


@given(
    st.lists(st.tuples(st.floats(-90, 90), st.floats(-179.9, 180), st.floats(-5000, 50000)), min_size=1, max_size=20)
)
def test_there_and_back_is_the_same_place(places: list[tuple[float, float, float]]) -> None:
    given_ = np.array(places)
    back = place_of(ecef_of(given_))
    assert np.linalg.norm(ecef_of(back) - ecef_of(given_), axis=1).max() < 1e-6
    assert np.abs(back[:, [0, 2]] - given_[:, [0, 2]]).max() < 1e-6


def test_azimuth_goes_from_north_over_east() -> None:
    azimuth, elevation = azimuth_elevation(np.array([[0, 1, 0], [1, 0, 0], [0, -1, 0], [-1, 0, 1], [0, 0, 1.0]]))
    assert azimuth.tolist() == [0, 90, 180, 270, 0]
    assert elevation == pytest.approx([0, 0, 0, 45, 90])
    assert np.allclose(unit_of(azimuth, elevation)[3], np.array([-1, 0, 1]) / 2**0.5)
    place = place_from_enu([1000.0, 0.0, 0.0], [48.0, 11.0, 500.0])  # a kilometre east
    assert place[1] > 11
    assert abs(place[0] - 48) < 1e-5
    assert place[2] == pytest.approx(500 + 1000**2 / 2 / 6.39e6, abs=1e-3)  # the ground curves away


# -- lens and camera --------------------------------------------------------------------------------------------------


def test_the_lens_is_opencvs() -> None:
    xy = np.random.default_rng(0).uniform([-0.5, -0.5], [639.5, 511.5], (300, 2))
    lens = Lens(640, 512, 700.0, (310.0, 260.0), (-0.25, 0.1, 0.001, -0.002, 0.01))
    rays = lens.rays(xy)
    matrix = np.array([[700.0, 0, 310], [0, 700, 260], [0, 0, 1]])
    seen, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), matrix, np.array(lens.distortion))
    assert np.abs(seen[:, 0] - xy).max() < 1e-9
    assert np.abs(lens.project(7 * rays) - xy).max() < 1e-9


def test_slopes_of_the_lens_are_those_of_small_steps() -> None:
    xy, e = GRID, 1e-5
    of_pixel, of_lens = LENS.slopes(LENS.flat(xy))
    for i, step in enumerate(e * np.eye(2)):
        assert np.abs((LENS.rays(xy + step) - LENS.rays(xy - step)) / 2 / e - of_pixel[:, :, i]).max() < 1e-9
    for i, step in enumerate(e * np.eye(8)):
        up, down = (Lens.from_vector(640, 512, LENS.vector + sign * step) for sign in (1, -1))
        assert np.abs((up.rays(xy) - down.rays(xy)) / 2 / e - of_lens[:, :, i]).max() < 1e-8


def test_what_the_lens_does_not_show_is_nothing() -> None:
    assert np.isnan(LENS.project(np.array([[0.1, 0.1, -1.0]]))).all()  # behind
    barrel = Lens(640, 512, 300.0, (319.5, 255.5), (-0.4, 0.0, 0.0, 0.0, 0.0))
    assert np.isnan(barrel.rays(np.array([[0.0, 0.0]]))).all()  # it folds back before that corner
    assert np.isnan(barrel.project(np.array([[2.0, 0.0, 1.0]]))).all()
    assert np.isfinite(barrel.rays(np.array([[319.5, 255.5], [400.0, 200.0]]))).all()


def test_a_field_of_view_is_from_edge_to_edge() -> None:
    lens = Lens.of_view(640, 512, 25.0)
    left, right = lens.rays(np.array([[-0.5, 255.5], [639.5, 255.5]]))
    assert angle_deg(left, right) == pytest.approx(25.0)
    assert lens.hfov_deg == pytest.approx(25.0)
    with pytest.raises(IrtrackError, match="between 0 and 180"):
        Lens.of_view(640, 512, 190.0)


@settings(max_examples=50)
@given(st.floats(0, 359.9), st.floats(-89, 89), st.floats(-179, 179))
def test_attitude_there_and_back(azimuth: float, elevation: float, roll: float) -> None:
    axes = axes_of(azimuth, elevation, roll)
    assert np.allclose(axes.T @ axes, np.eye(3))
    assert np.linalg.det(axes) == pytest.approx(1.0)
    back = replace(CAMERA, axes=axes).azimuth_elevation_roll_deg
    assert np.allclose(axes_of(*back), axes)


def test_where_a_level_camera_looks() -> None:
    """To the north, level: right of the middle is east, above it is up; rolled clockwise, its right side sinks."""
    lens = Lens.plain(641, 513, 1000.0)
    camera = Camera(lens, (48.0, 11.0, 0.0), axes_of(0.0, 0.0, 0.0), np.zeros((14, 14)))
    azimuth, elevation = azimuth_elevation(camera.units(np.array([[320.0, 256], [420, 256], [320, 156]])))
    assert azimuth == pytest.approx([0, np.degrees(np.arctan(0.1)), 0])
    assert elevation == pytest.approx([0, 0, np.degrees(np.arctan(0.1))])
    rolled = replace(camera, axes=axes_of(0.0, 0.0, 10.0))
    assert azimuth_elevation(rolled.units(np.array([[420.0, 256]])))[1][0] < -0.9


def test_a_camera_file_there_and_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(14, 14)) * 0.1
    camera = replace(CAMERA, covariance=root @ root.T, fixed=True, notes={"points": 7})
    path = tmp_path / "c.toml"
    path.write_text(camera.save_text())
    back = load_camera(path)
    assert np.allclose(back.axes, camera.axes, atol=1e-12)
    assert np.allclose(back.covariance, camera.covariance)
    assert (back.lens, back.place, back.fixed, back.notes) == (camera.lens, camera.place, True, {"points": 7})


WRITTEN = {
    "lens": {"width": 640, "height": 512, "hfov_deg": 25.0},
    "pose": {
        "latitude_deg": 48.0, "longitude_deg": 11.0, "height_m": 500.0, "azimuth_deg": 10.0, "elevation_deg": 5.0,
        "attitude_sigma_deg": 0.5, "position_sigma_m": 3.0,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("pose", {"latitude_deg": 95.0}, "latitude_deg = 95.0 is no number from -90 to 90"),
        ("pose", {"latitud_deg": 9.0}, "did you mean 'latitude_deg'"),
        ("pose", {"height_m": None}, "height_m is missing"),
        ("pose", {"attitude_sigma_deg": None}, "how well is it known"),
        ("pose", {"fixed": "yes"}, "true or false"),
        ("lens", {"focal_px": 900.0}, "either focal_px or hfov_deg"),
        ("lens", {"distortion": [0.1]}, "list of 5 numbers"),
        ("lens", {"width": True}, "width = True"),
        ("pose", {"azimuth_deg": float("nan")}, "azimuth_deg = nan"),
    ],
)
def test_a_wrong_camera_file_is_told_in_one_line(section: str, change: dict[str, object], said: str) -> None:
    assert camera_from(WRITTEN).covariance[0, 0] == 0.25
    table = {name: dict(values) for name, values in WRITTEN.items()}
    table[section] = {k: v for k, v in (table[section] | change).items() if v is not None}
    with pytest.raises(IrtrackError, match=said):
        camera_from(table)


def test_a_wrong_covariance_is_refused() -> None:
    for matrix in ([[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.1, 1.0]], [[1.0]], "no", [[-1.0, 0.0], [0.0, 1.0]]):
        table = WRITTEN | {"uncertainty": {"parameters": ["turn_x_deg", "focal_px"], "covariance": matrix}}
        with pytest.raises(IrtrackError, match="covariance"):
            camera_from(table)


# -- calibration ------------------------------------------------------------------------------------------------------


def seen_points(n: int, sigma_px: float, rng: np.random.Generator, bearings: bool = False) -> Points:
    """Points that `CAMERA` sees, with noise."""
    xy = rng.uniform([20, 20], [620, 490], (n, 2))
    units, nothing = CAMERA.units(xy), np.full((n, 3), np.nan)
    places = place_from_enu(units * rng.uniform(300, 6000, (n, 1)), CAMERA.place)
    noisy = np.clip(xy + rng.normal(0, sigma_px, (n, 2)), 0, [639, 511])
    names = tuple(f"p{i}" for i in range(n))
    return Points(noisy, nothing if bearings else places, units if bearings else nothing, names)


@pytest.mark.parametrize(("place", "bearings"), [(True, False), (True, True), (False, False)])
def test_many_exact_points_give_lens_and_pose(place: bool, bearings: bool) -> None:
    points = seen_points(60, 0.0, np.random.default_rng(0), bearings)
    made = calibrate(points, Known(640, 512, None, CAMERA.place if place else None, 1e-3, 1e-3))
    camera = made.camera
    assert made.used.all()
    assert angle_deg(camera.units(GRID), CAMERA.units(GRID)).max() < 1e-4
    assert camera.lens.focal_px == pytest.approx(900.0, abs=0.02)
    assert camera.lens.centre_px == pytest.approx((325.0, 250.0), abs=0.05)
    assert camera.lens.distortion[:2] == pytest.approx((-0.2, 0.05), abs=5e-3)
    assert np.linalg.norm(enu_of(camera.place, CAMERA.place)) < 0.02


@pytest.mark.parametrize(
    ("n", "focal", "place"), [(2, 910.0, True), (3, None, True), (8, None, True), (6, 895.0, False), (12, None, False)]
)
def test_the_covariance_tells_how_wrong_directions_are(n: int, focal: float | None, place: bool) -> None:
    """Each run its own points, noise and surveyed place: the errors across a ray are as the covariance says."""
    rng = np.random.default_rng(n)
    runs, total, count = (15 if place else 6), 0.0, 0
    for _ in range(runs):
        points = seen_points(n, 0.7, rng)
        surveyed = tuple(place_from_enu(rng.normal(0, 1.0, 3), CAMERA.place).tolist()) if place else None
        try:
            camera = calibrate(points, Known(640, 512, focal, surveyed, 1.0, 0.7)).camera
        except IrtrackError as error:
            if "carry" not in str(error):
                raise
            continue  # some points lie too close together: that is said
        xy = np.array([[320.0, 256.0]])
        # Amid the picture, from where it stands: two numbers across the ray.
        off = camera.axes.T @ (CAMERA.units(xy) - camera.units(xy))[0]
        spread = camera.spread(xy)
        local = camera.axes.T @ spread[0] @ camera.axes
        total += float(off[:2] @ np.linalg.solve(local[:2, :2], off[:2]))
        count += 1
    assert count > 0.8 * runs
    low, high = chi2.ppf((0.001, 0.999), 2 * count)
    # The distortion of CAMERA is one draw of what is expected beforehand, not many: no tighter than that.
    assert 0.6 * low < total < 1.3 * high


def test_wrong_points_are_named_and_have_no_say() -> None:
    rng = np.random.default_rng(4)
    for place in (CAMERA.place, None):
        points = seen_points(14, 0.5, rng)
        xy = points.xy_px.copy()
        xy[3] += (25.0, -10.0)
        places = points.places.copy()
        places[9] = place_from_enu(-enu_of(places[9], CAMERA.place), CAMERA.place)  # on the other side: behind
        made = calibrate(replace(points, xy_px=xy, places=places), Known(640, 512, None, place, 0.5, 0.5))
        assert np.flatnonzero(~made.used).tolist() == [3, 9]
        assert angle_deg(made.camera.units(GRID), CAMERA.units(GRID)).max() < 0.3
        assert np.linalg.norm(made.off_px[3]) > 15
        assert np.abs(made.off_px[9]).max() >= 1e4


def test_points_that_cannot_carry_it_are_said_to() -> None:
    rng = np.random.default_rng(2)
    known = Known(640, 512, None, CAMERA.place, 1.0, 0.5)
    with pytest.raises(IrtrackError, match="2 points are too few: it takes 3 or more, or fewer with --hfov"):
        calibrate(seen_points(2, 0.1, rng), known)
    with pytest.raises(IrtrackError, match=r"6 or more.*--position"):
        calibrate(seen_points(5, 0.1, rng), replace(known, place=None))
    with pytest.raises(IrtrackError, match="give --position"):
        calibrate(seen_points(8, 0.1, rng, bearings=True), replace(known, place=None))

    def at(xy: Floats) -> Points:
        places = place_from_enu(CAMERA.units(xy) * 2000, CAMERA.place)
        noisy = xy + rng.normal(0, 0.5, xy.shape)
        return Points(noisy, places, np.full(places.shape, np.nan), tuple(f"p{i}" for i in range(len(xy))))

    close = np.array([300.0, 200.0]) + rng.uniform(-1.5, 1.5, (6, 2))
    with pytest.raises(IrtrackError, match="close together"):
        calibrate(at(close), known)
    twice = seen_points(3, 0.1, rng)
    for which, focal in (([0, 0], 900.0), ([0, 0, 1], None), ([0, 0, 0], None)):
        some = Points(twice.xy_px[which], twice.places[which], twice.units[which], tuple("abc"[: len(which)]))
        with pytest.raises(IrtrackError, match="different points are too few"):
            calibrate(some, replace(known, focal_px=focal))
    here = twice.places.copy()
    here[1] = CAMERA.place
    with pytest.raises(IrtrackError, match="p1 lies where the camera stands"):
        calibrate(replace(twice, places=here), known)
    line = np.linspace([100.0, 100.0], [500.0, 400.0], 8)
    with pytest.raises(IrtrackError, match=r"line|carry|distances"):
        calibrate(at(line), replace(known, place=None))
    mixed = seen_points(6, 0.5, rng)
    swapped = mixed.places[[3, 5, 4, 0, 2, 1]]
    with pytest.raises(IrtrackError, match=r"do not fit together|fit to|no camera"):
        calibrate(replace(mixed, places=swapped), known)
    outside = replace(mixed, xy_px=mixed.xy_px + np.array([400.0, 0.0]))
    with pytest.raises(IrtrackError, match="outside a picture of 640x512"):
        calibrate(outside, known)


def test_too_few_to_tell_which_is_wrong() -> None:
    points = seen_points(3, 0.2, np.random.default_rng(8))
    xy = points.xy_px.copy()
    xy[1] = (xy[1] + (160.0, 120.0)) % (640, 512)
    with pytest.raises(IrtrackError, match="fit"):
        calibrate(replace(points, xy_px=xy), Known(640, 512, 900.0, CAMERA.place, 1.0, 0.5))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("x,y\n1,2\n", "its header must name"),
        ("x,y,latitud,lon,height\n", "did you mean 'latitude'"),
        ("x,y,lat,lon,height\n1,2,3,4\n", "line 2: a point has x and y"),
        ("x,y,lat,lon,height\n1,2,93,4,5\n", "line 2: latitude 93 does not lie"),
        ("x,y,lat,lon,height\n1,2,a,4,5\n", "line 2: latitude 'a' is no number"),
        ("x,y,az,el\n1,2,3,nan\n", "line 2: elevation nan"),
        ("x,y,az,el\n1,2,3,4,5\n", "5 cells under 4 columns"),
        ("x,y,az,azimuth,el\n", "two columns mean the same"),
    ],
)
def test_a_wrong_table_of_points_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(IrtrackError, match=said):
        read_points(path)


def test_tables_of_points_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("﻿name;x_px;y_px;lat;lon;height_m;az;el\n# a note\nmast;1;2;48;11;500;;\n;3;4;;;;90;0\n\n")
    points = read_points(path)
    assert points.names == ("mast", "point 2")
    assert points.landmarks.tolist() == [True, False]
    assert points.units[1] == pytest.approx([1, 0, 0])
    assert len(points_of([])) == 0
    path.write_text("x;y;lat;lon;height\n1,5;2;48,25;11;500,5\n")
    points = read_points(path)
    assert (points.xy_px.tolist(), points.places.tolist()) == ([[1.5, 2.0]], [[48.25, 11.0, 500.5]])
    path.write_text("x,y,lat,lon,height\n1,5,2,48,25,11,500,5\n")
    with pytest.raises(IrtrackError, match="8 cells under 5 columns"):
        read_points(path)


def test_calibrate_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = seen_points(9, 0.5, np.random.default_rng(5))
    table, out = tmp_path / "p.csv", tmp_path / "camera.toml"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "x", "y", "latitude", "longitude", "height"])
        for i, (name, xy, place) in enumerate(zip(points.names, points.xy_px, points.places, strict=True)):
            writer.writerow([name, *(xy + np.array([40.0 * (i == 4), 0.0])), *place])
    call = ["calibrate", str(table), "--size", "640x512", "--position", "48,11,520", "--sigma", "0.5"]
    assert main([*call, "--out", str(out), "--fixed"]) == 0
    said = capsys.readouterr().out
    assert "p4" in said
    assert said.count("wrong? left out") == 1
    assert "looks to azimuth 12" in said
    camera = load_camera(out)
    assert camera.fixed
    assert camera.notes["left_out"] == ["p4"]
    assert angle_deg(camera.units(GRID), CAMERA.units(GRID)).max() < 0.5
    assert main([*call, "--out", str(out)]) == 1
    assert "exists" in capsys.readouterr().err
    for wrong, word in (
        (["--size", "640"], "WIDTHxHEIGHT"), (["--position", "48,11"], "LAT,LON,HEIGHT"), (["--sigma", "0"], "--sigma"),
        (["--hfov", "200"], "between 0 and 180"), (["--position", "148,11,0"], "no place on the Earth"),
    ):  # fmt: skip
        assert main([*call, *wrong, "--out", str(tmp_path / "no.toml")]) == 1
        assert word in capsys.readouterr().err
    assert not (tmp_path / "no.toml").exists()


def test_the_example_of_the_documents_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parent.parent / "docs" / "direction.md").read_text(encoding="utf-8")
    points = tmp_path / "points.csv"
    points.write_text(page.split("```csv\n")[1].split("```")[0])
    call = page.split("```sh\nirtrack ")[1].split("\n")[0].replace("camera.toml", str(tmp_path / "camera.toml"))
    assert main(call.replace("points.csv", str(points)).split()) == 0
    shown, said = page.split("```text\n")[1].split("```")[0], capsys.readouterr().out
    number = re.compile(r"-?\d+(?:\.(\d+))?")
    assert len(said.splitlines()) >= len(shown.splitlines()) > 10
    for line, now in zip(shown.splitlines(), said.splitlines(), strict=False):
        assert number.sub("#", line).split() == number.sub("#", now).split()
        for a, b in zip(number.finditer(line), number.finditer(now), strict=True):
            # Processors differ in the last digits of what a solver ends with.
            assert abs(float(a[0]) - float(b[0])) < (3 * 0.1 ** len(a[1]) if a[1] else 0.5)
    hand = tmp_path / "hand.toml"
    hand.write_text(page.split("```toml\n")[1].split("```")[0])
    assert load_camera(hand).fixed


# -- directions of tracks ---------------------------------------------------------------------------------------------


def track_at(xy: Floats, velocity: Floats, covariance: Floats) -> Track:
    return Track(
        1, TrackStatus.CONFIRMED, xy, velocity, covariance, 1.0, 0, 0, (2.0, 2.0), 4.0, 0.9, 5.0, xy[None]
    )  # fmt: skip


def result_of(index: int, track: Track, scene: Floats | None = None) -> FrameResult:
    frame = Frame(index, index / 10, np.zeros((512, 640), np.uint8))
    return FrameResult(frame, Detections.empty(), (track,), {}, scene=scene)


def test_directions_and_sigmas_are_those_of_many_draws() -> None:
    rng = np.random.default_rng(0)
    camera = replace(CAMERA, covariance=diagonal(0.05, 3.0, 2.0))
    covariance = np.diag([0.5, 0.2, 4.0, 4.0])
    covariance[0, 1] = covariance[1, 0] = 0.2
    xy, velocity = np.array([500.0, 100.0]), np.array([30.0, -10.0])
    seen = Bearings(camera)(result_of(0, track_at(xy, velocity, covariance)))[1]
    azimuth, elevation = azimuth_elevation(camera.units(xy[None]))
    assert (seen.azimuth_deg, seen.elevation_deg) == pytest.approx((azimuth[0], elevation[0]))
    later = azimuth_elevation(camera.units((xy + 1e-4 * velocity)[None]))
    assert seen.azimuth_deg_s == pytest.approx((later[0] - azimuth)[0] / 1e-4, rel=1e-3)
    assert seen.elevation_deg_s == pytest.approx((later[1] - elevation)[0] / 1e-4, rel=1e-3)
    draws = []
    for _ in range(800):
        turn = np.asarray(cv2.Rodrigues(np.radians(rng.normal(0, 0.05, 3)))[0])
        lens = replace(LENS, focal_px=900.0 + rng.normal(0, 2.0))
        made = replace(camera, lens=lens, axes=camera.axes @ turn)
        draws.append(made.units(rng.multivariate_normal(xy, covariance[:2, :2])[None])[0])
    a, e = azimuth_elevation(np.array(draws))
    assert seen.sigma_azimuth_deg == pytest.approx(a.std(), rel=0.12)
    assert seen.sigma_elevation_deg == pytest.approx(e.std(), rel=0.12)


def test_directions_are_left_out_once_the_picture_has_moved() -> None:
    track = track_at(np.array([300.0, 200.0]), np.zeros(2), np.eye(4))
    shift = [np.array([[1, 0, 4.0 * i], [0, 1, 0.0]]) for i in range(4)]
    remarks = Remarks()
    bearings = Bearings(CAMERA, remarks)
    assert [len(bearings(result_of(i, track, s))) for i, s in enumerate(shift)] == [1, 0, 0, 0]
    assert bearings.moved_px == 12.0
    assert len(bearings(result_of(1, track, shift[1]))) == 0  # asked for again
    assert remarks.counts() == {MOVED: 3}
    fixed = Bearings(replace(CAMERA, fixed=True), remarks)
    found = [fixed(result_of(i, track, s))[1] for i, s in enumerate(shift)]
    assert fixed.moved_px == 12.0
    assert remarks.counts() == {MOVED: 3}
    # It stands still among clouds that move by 40 px/s: so it moves with them.
    still = Bearings(CAMERA)(result_of(0, replace(track, velocity_px_s=np.array([40.0, 0.0]))))[1]
    assert found[3].azimuth_deg_s == pytest.approx(still.azimuth_deg_s)
    assert found[0].azimuth_deg_s == 0.0


def test_directions_are_left_out_of_pictures_of_another_size() -> None:
    """A camera that was set to another size is not the one of the file, and plausible directions would be wrong."""
    remarks, lens = Remarks(), CAMERA.lens
    bearings = Bearings(CAMERA, remarks)
    track = track_at(np.array([10.0, 12.0]), np.zeros(2), np.eye(4))
    own, seen = (lens.height, lens.width), []
    for number, shape in enumerate([own, (128, 160), (128, 160), own]):
        result = result_of(number, track)
        frame = replace(result.frame, image=np.zeros(shape, np.uint8), connection=(0, 1, 1, 2)[number])
        seen.append(bool(bearings(replace(result, frame=frame))))
    assert seen == [True, False, False, True]
    assert remarks.counts() == {RESIZED: 1}


def test_a_run_with_a_pose_has_directions(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pose = tmp_path / "pose.toml"
    camera = Camera(Lens.of_view(96, 80, 12.0), (48.0, 11.0, 500.0), axes_of(200.0, 10.0, 0.0), diagonal(0.01, 1.0))
    pose.write_text(replace(camera, fixed=True).save_text())
    log = tmp_path / "t.jsonl"
    table = tmp_path / "t.csv"
    call = ["run", str(clip), "--pose", str(pose)]
    assert main([*call, "--jsonl", str(log), "--csv", str(table), "--quiet"]) == 0
    tracks = [t for line in log.read_text().splitlines() for t in json.loads(line)["tracks"]]
    assert len(tracks) > 20
    for t in tracks:
        azimuth, elevation = azimuth_elevation(camera.units(np.array([t["xy_px"]])))
        assert (t["azimuth_deg"], t["elevation_deg"]) == pytest.approx((azimuth[0], elevation[0]), abs=1e-3)
        assert 0.01 < t["sigma_azimuth_deg"] < 1
    assert table.read_text().splitlines()[0].endswith("measured")
    assert load_camera(tmp_path / "t.jsonl.camera.toml").place == camera.place
    small = tmp_path / "small.toml"
    small.write_text(replace(camera, lens=Lens.of_view(64, 64, 12.0)).save_text())
    for wrong, word in (
        (call, "--jsonl"), ([*call, "--pose", str(pose), "--jsonl", str(tmp_path / "u.jsonl")], "1 sources take 1"),
        (["run", str(clip), "--pose", str(small), "--jsonl", str(tmp_path / "u.jsonl")], "64x64 pixels, and"),
    ):  # fmt: skip
        capsys.readouterr()
        assert main(wrong) == 1
        assert word in capsys.readouterr().err
    assert not (tmp_path / "u.jsonl").exists()
