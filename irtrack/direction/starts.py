"""Where to begin: poses and focal lengths that most of the known points agree with, found without a guess.

With the camera's place known each point is a direction: two of them give the focal length (by the angle between them)
and the attitude (Kabsch 1976). Without it, OpenCV's SQPnP gives the pose by four landmarks or more, for each of some
focal lengths. The candidate with the least sum of bounded residuals wins, so that wrong points have no say.
"""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np

from irtrack.core import Floats
from irtrack.direction.camera import Camera
from irtrack.direction.geodesy import enu_axes, enu_of, place_from_enu
from irtrack.direction.lens import Lens
from irtrack.direction.points import Points

MOST_SETS = 300
"""Sets of points that are tried."""

FOCALS = np.geomspace(0.2, 60.0, 36)
"""Focal lengths that are tried where nothing is known of it, in widths of the picture: from 136 degrees to one."""

MOST_TRIALS = 1000
"""Of SQPnP, over all focal lengths."""

LOOSE = 0.02
"""Residuals count up to this share of the picture's width: the distortion is still unknown."""

NONE = np.zeros((14, 14))


def start(points: Points, lens: Lens, place: Floats | None, focal_known: bool) -> Camera | None:
    """A camera that most points agree with; None where there is none. `lens` has no distortion yet."""
    cameras = by_directions(points, lens, place, focal_known) if place is not None else by_places(
        points, lens, focal_known
    )  # fmt: skip
    scored = [(score(camera, points), i) for i, camera in enumerate(cameras)]
    return cameras[min(scored)[1]] if scored else None


def score(camera: Camera, points: Points) -> float:
    """Sum of squared residuals, each bounded."""
    seen = camera.project(points.vectors(np.array(camera.place)))
    off = np.linalg.norm(seen - points.xy_px, axis=1) / (LOOSE * camera.lens.width)
    return float((np.minimum(np.nan_to_num(off, nan=10.0), 1.0) ** 2).sum())


def sets(count: int, size: int) -> list[tuple[int, ...]]:
    """Sets of so many of the points: all, or some of them."""
    rng = np.random.default_rng(0)
    total = int(np.prod([count - k for k in range(size)], dtype=float)) // [1, 1, 2, 6, 24, 120, 720][size]
    if total <= MOST_SETS:
        return list(combinations(range(count), size))
    return [tuple(rng.choice(count, size, replace=False).tolist()) for _ in range(MOST_SETS)]


def by_directions(points: Points, lens: Lens, place: Floats, focal_known: bool) -> list[Camera]:
    """By pairs of points, seen from a known place."""
    vectors = points.vectors(place)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    out = []
    for pair in map(list, sets(len(points), 2)):
        focal = lens.focal_px if focal_known else focal_of(points.xy_px[pair], units[pair], lens)
        if focal is not None:
            made = Lens.plain(lens.width, lens.height, focal)
            out.append(Camera(made, tuple(place.tolist()), turned(made.rays(points.xy_px[pair]), units[pair]), NONE))
    return out


def focal_of(xy: Floats, units: Floats, lens: Lens) -> float | None:
    """The focal length at which two pixels (2, 2) are as far apart as two directions (2, 3); None where there is none.

    The angle between pixels falls with the focal length, but for pairs that are far from the centre on one side.
    """
    wanted = float(units[0] @ units[1])
    across = xy - lens.centre_px
    aa, bb, ab = (float(across[i] @ across[k]) for i, k in ((0, 0), (1, 1), (0, 1)))

    def excess(focal: float) -> float:
        f2 = focal * focal
        return (ab + f2) / ((aa + f2) * (bb + f2)) ** 0.5 - wanted

    low, high = (float(lens.width * FOCALS[i]) for i in (0, -1))
    if excess(low) > 0 or excess(high) < 0:
        return None
    for _ in range(40):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    return (low * high) ** 0.5


def turned(rays: Floats, units: Floats) -> Floats:
    """The rotation (3, 3) that takes rays (N, 3) closest to directions (N, 3) (Kabsch 1976)."""
    if len(rays) == 2:  # the cross product holds the turn about the pair
        rays, units = (np.vstack([v, np.cross(v[0], v[1])]) for v in (rays, units))
    u, _, vt = np.linalg.svd(units.T @ rays)
    out: Floats = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return out


def by_places(points: Points, lens: Lens, focal_known: bool) -> list[Camera]:
    """By sets of landmarks, seen from nobody knows where."""
    here = points.places[points.landmarks].mean(0)
    enu, xy = enu_of(points.places, here), points.xy_px
    focals = [lens.focal_px] if focal_known else (lens.width * FOCALS).tolist()
    rows = np.flatnonzero(points.landmarks)
    some_of = (rows[list(some)].tolist() for some in sets(len(rows), min(5, len(rows) - 1)))
    chosen = [rows.tolist(), *some_of][: 1 + MOST_TRIALS // len(focals)]
    out = []
    for focal in focals:
        made = Lens.plain(lens.width, lens.height, focal)
        matrix = np.array([[focal, 0, made.centre_px[0]], [0, focal, made.centre_px[1]], [0, 0, 1.0]])
        for some in chosen:
            if len(some) < 4:
                continue
            try:
                ok, turn, shift = cv2.solvePnP(enu[some], xy[some], matrix, np.zeros(4), flags=cv2.SOLVEPNP_SQPNP)
            except cv2.error:
                continue
            if not ok or not np.isfinite(shift).all():
                continue
            axes = np.asarray(cv2.Rodrigues(turn)[0], float).T
            at = place_from_enu(-axes @ shift.ravel(), here)
            # From the landmarks' east, north, up to the camera's own: over a few km they differ by the Earth's curve.
            out.append(Camera(made, tuple(at.tolist()), re_axed(axes, here, at), NONE))
    return out


def re_axed(axes: Floats, old: Floats, new: Floats) -> Floats:
    """Axes (3, 3) in east, north, up of one place, in those of another."""
    out: Floats = enu_axes(new[0], new[1]) @ enu_axes(old[0], old[1]).T @ axes
    return out
