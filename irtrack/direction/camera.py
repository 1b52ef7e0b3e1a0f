"""A camera in the world: its lens, where it stands, how it is turned, and how well all of that is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tomli_w
from numpy.typing import ArrayLike

from irtrack.core import Floats, IrtrackError
from irtrack.direction.geodesy import azimuth_elevation, unit_of
from irtrack.direction.lens import PARAMETERS as OF_LENS
from irtrack.direction.lens import Lens, unit
from irtrack.text import meant, one_line, read_toml

PARAMETERS = ("turn_x_deg", "turn_y_deg", "turn_z_deg", *OF_LENS, "east_m", "north_m", "up_m")
"""What makes a camera, in the order of its covariance: small turns about its own axes, its lens, its place."""

CAMERA_BESIDE = ".camera.toml"
"""What the name of a log ends on, where the camera stands beside it."""

TURN, LENS, PLACE = slice(0, 3), slice(3, 11), slice(11, 14)
"""Where these stand among the parameters."""


class Looked(NamedTuple):
    """Where pixels look: unit vectors (N, 3), east, north, up, what they change by with the pixels (N, 3, 2), and their
    covariances (N, 3, 3): by those of the pixels, and by what is not known of the camera."""

    unit: Floats
    of_pixel: Floats
    by_pixel: Floats
    by_camera: Floats


@dataclass(frozen=True)
class Camera:
    """A lens at a place (latitude deg, longitude deg, height in m above the ellipsoid WGS84), turned.

    `axes` (3, 3): columns are the camera's right, down and forward in east, north, up. `covariance` (14, 14) of
    `PARAMETERS`. `fixed`: it is mounted and does not move, whatever moves in its picture.
    """

    lens: Lens
    place: tuple[float, float, float]
    axes: Floats
    covariance: Floats
    fixed: bool = False
    notes: dict[str, Any] = field(default_factory=dict, compare=False)
    """What whoever made it says of that; kept in its file."""

    def units(self, xy_px: ArrayLike) -> Floats:
        """Unit vectors (N, 3), east, north, up, in which pixels (N, 2) look; NaN where the lens shows nothing."""
        out: Floats = self.lens.rays(xy_px) @ self.axes.T
        return out

    def project(self, enu: ArrayLike) -> Floats:
        """Pixels (N, 2) of vectors (N, 3), east, north, up, of any length; NaN for those behind the camera."""
        return self.lens.project(np.asarray(enu, float) @ self.axes)

    def look(self, xy_px: ArrayLike, covariance_px: ArrayLike) -> Looked:
        """Directions of pixels (N, 2) with covariances (N, 2, 2)."""
        flat = self.lens.flat(xy_px)
        of_pixel, of_lens = self.lens.slopes(flat)
        rays = unit(flat)
        # A small turn t makes d + t x d of a ray d.
        of_pixel, of_camera = self.axes @ of_pixel, self.axes @ np.concatenate([-skew(rays), of_lens], 2)
        P = self.covariance[:11, :11] * np.outer(RADIANS[:11], RADIANS[:11])
        by_pixel = of_pixel @ np.asarray(covariance_px, float) @ of_pixel.transpose(0, 2, 1)
        by_camera = of_camera @ P @ of_camera.transpose(0, 2, 1)
        return Looked(rays @ self.axes.T, of_pixel, by_pixel, by_camera)

    def spread(self, xy_px: ArrayLike) -> Floats:
        """Covariances (N, 3, 3) of `units` by what is not known of the camera."""
        return self.look(xy_px, np.zeros((len(np.asarray(xy_px)), 2, 2))).by_camera

    @property
    def azimuth_elevation_roll_deg(self) -> tuple[float, float, float]:
        """Where its optical axis looks, and how far it is turned clockwise about it, as seen from behind."""
        azimuth, elevation = (float(v[0]) for v in azimuth_elevation(self.axes[:, 2][None]))
        level = axes_of(azimuth, elevation, 0.0)
        right = self.axes[:, 0]
        return azimuth, elevation, float(np.degrees(np.arctan2(right @ level[:, 1], right @ level[:, 0])))

    def save_text(self) -> str:
        """Its file, as TOML."""
        azimuth, elevation, roll = self.azimuth_elevation_roll_deg
        used = np.flatnonzero(np.diag(self.covariance) > 0)
        lens = self.lens
        table: dict[str, Any] = {
            "lens": {
                "width": lens.width, "height": lens.height, "focal_px": lens.focal_px,
                "centre_px": list(lens.centre_px), "distortion": list(lens.distortion),
            },
            "pose": {
                "latitude_deg": self.place[0], "longitude_deg": self.place[1], "height_m": self.place[2],
                "azimuth_deg": azimuth, "elevation_deg": elevation, "roll_deg": roll, "fixed": self.fixed,
            },
            "uncertainty": {
                "parameters": [PARAMETERS[i] for i in used],
                "covariance": self.covariance[np.ix_(used, used)].tolist(),
            },
        }  # fmt: skip
        return tomli_w.dumps(table | ({"calibration": self.notes} if self.notes else {}))


RADIANS = np.ones(14)
"""What a parameter's unit is in radians, where it is a turn."""
RADIANS[TURN] = np.pi / 180


def skew(v: Floats) -> Floats:
    """Matrices (..., 3, 3) of the cross product with vectors (..., 3)."""
    x, y, z = np.moveaxis(v, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([np.stack([zero, -z, y], -1), np.stack([z, zero, -x], -1), np.stack([-y, x, zero], -1)], -2)


def axes_of(azimuth_deg: float, elevation_deg: float, roll_deg: float) -> Floats:
    """Columns (3, 3): right, down and forward of a camera that looks there, in east, north, up."""
    forward = unit_of(azimuth_deg, elevation_deg)
    azimuth, roll = np.radians([azimuth_deg, roll_deg])
    right = np.array([np.cos(azimuth), -np.sin(azimuth), 0.0])
    down = np.cross(forward, right)
    return np.column_stack(
        [np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right, forward]
    )


def diagonal(turn_deg: float, place_m: float, focal_px: float = 0.0) -> Floats:
    """A covariance (14, 14) by standard deviations of the turns, the place and the focal length."""
    sigma = np.zeros(14)
    sigma[TURN], sigma[PLACE], sigma[3] = turn_deg, place_m, focal_px
    return np.diag(sigma**2)


def load_camera(path: Path) -> Camera:
    """Read a camera's file. Raises IrtrackError, which says what is wrong with it."""
    try:
        table = read_toml(path)
    except OSError as error:
        raise IrtrackError(f"cannot read the camera {path}: {error.strerror}") from error
    except ValueError as error:
        raise IrtrackError(f"the camera {path} is not valid TOML: {error}") from error
    try:
        return camera_from(table)
    except IrtrackError as error:
        raise IrtrackError(f"the camera {path}: {error}") from error


def camera_from(table: dict[str, Any]) -> Camera:
    """By the tables of its file. Raises IrtrackError."""
    known(table, "a section", ("lens", "pose", "uncertainty", "calibration"))
    lens, pose = (part(table, name) for name in ("lens", "pose"))
    known(lens, "[lens]", ("width", "height", "focal_px", "hfov_deg", "centre_px", "distortion"))
    known(pose, "[pose]", (
        "latitude_deg", "longitude_deg", "height_m", "azimuth_deg", "elevation_deg", "roll_deg", "fixed",
        "attitude_sigma_deg", "position_sigma_m",
    ))  # fmt: skip
    place = (
        number(pose, "latitude_deg", -90, 90),
        number(pose, "longitude_deg", -180, 360),
        number(pose, "height_m", -1e4, 1e5),
    )
    axes = axes_of(
        number(pose, "azimuth_deg", -360, 360), number(pose, "elevation_deg", -90, 90),
        number(pose, "roll_deg", -360, 360, 0.0),
    )  # fmt: skip
    fixed = pose.get("fixed", False)
    if not isinstance(fixed, bool):
        raise IrtrackError("fixed in [pose] is true or false")
    made = lens_from(lens)
    return Camera(made, place, axes, covariance_from(table, pose), fixed, dict(table.get("calibration", {})))


def lens_from(table: dict[str, Any]) -> Lens:
    """Of [lens]: a focal length or a horizontal field of view."""
    width, height = (int(number(table, name, 2, 1 << 16)) for name in ("width", "height"))
    if ("focal_px" in table) == ("hfov_deg" in table):
        raise IrtrackError("[lens] has either focal_px or hfov_deg")
    if "hfov_deg" in table:
        focal = Lens.of_view(width, height, number(table, "hfov_deg", 0.01, 179)).focal_px
    else:
        focal = number(table, "focal_px", 1.0, 1e9)
    x, y = numbers(table, "centre_px", 2, [(width - 1) / 2, (height - 1) / 2])
    k1, k2, p1, p2, k3 = numbers(table, "distortion", 5, [0.0] * 5)
    return Lens(width, height, focal, (x, y), (k1, k2, p1, p2, k3))


def covariance_from(table: dict[str, Any], pose: dict[str, Any]) -> Floats:
    """Of [uncertainty], or of the standard deviations that stand in [pose] where a file was written by hand."""
    if "uncertainty" not in table:
        if not {"attitude_sigma_deg", "position_sigma_m"} <= pose.keys():
            raise IrtrackError(
                "how well is it known? Give attitude_sigma_deg and position_sigma_m in [pose], or [uncertainty] as "
                "irtrack calibrate writes it"
            )
        return diagonal(number(pose, "attitude_sigma_deg", 0, 180), number(pose, "position_sigma_m", 0, 1e6))
    about = part(table, "uncertainty")
    known(about, "[uncertainty]", ("parameters", "covariance"))
    names = about.get("parameters", [])
    if not isinstance(names, list) or len(set(map(str, names))) != len(names):
        raise IrtrackError("parameters in [uncertainty] is a list of different names")
    known(dict.fromkeys(map(str, names)), "parameters in [uncertainty]", PARAMETERS)
    try:
        given = np.array(about.get("covariance", []), float).reshape(len(names), len(names))
    except (ValueError, TypeError):
        raise IrtrackError(f"covariance in [uncertainty] is not {len(names)} rows of {len(names)} numbers") from None
    scale = np.sqrt(np.abs(np.diag(given))) + 1e-300
    sound = np.isfinite(given).all() and np.allclose(given, given.T, rtol=1e-6, atol=0)
    if not sound or (len(given) and np.linalg.eigvalsh(given / np.outer(scale, scale)).min() < -1e-6):
        raise IrtrackError("covariance in [uncertainty] is none: it is symmetric and has no negative direction")
    where = [PARAMETERS.index(name) for name in names]
    out = np.zeros((14, 14))
    out[np.ix_(where, where)] = given
    return out


def part(table: dict[str, Any], name: str) -> dict[str, Any]:
    """A section of a file. Raises IrtrackError where it is not there."""
    found = table.get(name)
    if not isinstance(found, dict):
        raise IrtrackError(f"[{name}] is missing")
    return found


def known(table: dict[str, Any], where: str, names: tuple[str, ...]) -> None:
    """Raises IrtrackError for a name that is none."""
    for name in table:
        if name not in names:
            raise IrtrackError(f"{name!r} is not known as {where}{meant(name, names)}: it is one of {', '.join(names)}")


def number(table: dict[str, Any], name: str, low: float, high: float, default: float | None = None) -> float:
    """A number of a file. Raises IrtrackError where it is missing or out of range."""
    value = table.get(name, default)
    if value is None:
        raise IrtrackError(f"{name} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise IrtrackError(f"{name} = {one_line(value)[:60]} is no number from {low:g} to {high:g}")
    return float(value)


def numbers(table: dict[str, Any], name: str, count: int, default: list[float]) -> list[float]:
    """Several numbers of a file. Raises IrtrackError."""
    value = table.get(name, default)
    if not isinstance(value, list) or len(value) != count:
        raise IrtrackError(f"{name} is a list of {count} numbers")
    return [number({name: v}, name, -1e9, 1e9) for v in value]
