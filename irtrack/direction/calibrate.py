"""A camera's pose and lens by known points: least squares over all that they can carry.

Turns, focal length, centre, distortion and place are all free. What is known beforehand stands beside the points as
measurements of its own: the place as it was surveyed, a centre near the middle, a distortion as lenses have it. So a
few points give a pose whose covariance says what they leave open, and many give the lens as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from irtrack.core import Floats, IrtrackError
from irtrack.direction.camera import LENS, PLACE, TURN, Camera
from irtrack.direction.geodesy import enu_of, place_from_enu
from irtrack.direction.lens import Lens
from irtrack.direction.points import Points
from irtrack.direction.starts import re_axed, start

CENTRE_SHARE, DISTORTION = 0.03, (0.2, 0.1, 0.003, 0.003, 0.05)
"""Standard deviations before any point is seen: of the centre, in widths of the picture, and of k1, k2, p1, p2, k3."""

GIVEN_FOCAL = 0.02
"""The same of a focal length from a data sheet."""

WIDE = 1e3
"""Of what nothing is known of: so many times its size."""

OFF, LEAST_AGREEING = 4.0, 0.6
"""A point is wrong where it is off by so many standard deviations; and the share that must agree."""

MOST_SIGMA_SHARE, MOST_PLACE_SHARE = 0.1, 0.2
"""What is left open must be less: of directions anywhere in the picture, in fields of view; of the place, in distances
of the landmarks."""

NEAREST_M = 1.0
"""Of a landmark."""

UNTOLD = 1e-14
"""Of the information in the direction that is told best: less is none."""

BAD = 1e4
"""Residual, in standard deviations, of a point that lies behind the camera."""

RAYLEIGH_MEDIAN = 1.1774


@dataclass(frozen=True)
class Known:
    """What is known beforehand. `focal_px`: about; None: nothing. `place` (3,: deg, deg, m) with its standard deviation
    `place_m`; None: nothing. `sigma_px`: of the points in the picture. `distorted`: whether the lens may be."""

    width: int
    height: int
    focal_px: float | None = None
    place: tuple[float, float, float] | None = None
    place_m: float = 3.0
    sigma_px: float = 1.0
    distorted: bool = True

    @property
    def fewest(self) -> int:
        """Points that it takes."""
        if self.place is not None:
            return 3 if self.focal_px is None else 2
        return 6 if self.focal_px is None else 4


@dataclass(frozen=True)
class Calibration:
    """What came of it. `off_px` (N, 2), `off_deg` (N,): of each point, found minus given; `used` (N,): whether it had
    a say. `told` (14,): share of what was open of each parameter beforehand that is open still."""

    camera: Camera
    points: Points
    off_px: Floats
    off_deg: Floats
    used: NDArray[np.bool_]
    sigma_px: float
    told: Floats


def calibrate(points: Points, known: Known) -> Calibration:
    """Raises IrtrackError, which says what the points lack."""
    check_count(points, known)
    lens = Lens.plain(known.width, known.height, known.focal_px or float(known.width))
    place = None if known.place is None else np.array(known.place)
    camera = start(points, lens, place, known.focal_px is not None)
    if camera is None:
        raise IrtrackError(f"no camera sees these points as they are: {why_not(points, known)}")
    prior = prior_of(known, camera)
    used, sigma = np.ones(len(points), bool), known.sigma_px
    camera, _ = fitted(camera, points, used, prior, sigma, robust=True)
    for _ in range(10):
        off = np.linalg.norm(offsets(camera, points), axis=1)
        spread = np.median(off[used]) / RAYLEIGH_MEDIAN * freedom(known, int(used.sum()))
        sigma = max(known.sigma_px, float(min(spread, BAD)))
        agreeing = off < OFF * sigma
        if agreeing.sum() < max(known.fewest, LEAST_AGREEING * len(points)):
            raise IrtrackError(disagreement(points, off, known))
        camera, covariance = fitted(camera, points, agreeing, prior, sigma)
        if (agreeing == used).all():
            break
        used = agreeing
    off = offsets(camera, points)
    check_consistent(points, np.linalg.norm(off, axis=1), used, known)
    camera = replace(camera, covariance=covariance)
    check_carried(camera, points, used, known)
    told = np.sqrt(np.diag(covariance)) / np.where(prior.sigma > 0, prior.sigma, np.inf)
    return Calibration(camera, points, off, angles(camera, points), used, sigma, told)


@dataclass(frozen=True)
class Prior:
    """What is known of the 14 parameters beforehand: values (14,) and standard deviations (14,), 0 where they stay."""

    lens: Floats
    place: Floats
    sigma: Floats


def prior_of(known: Known, camera: Camera) -> Prior:
    """Of a camera that is begun with."""
    lens = Lens.plain(known.width, known.height, known.focal_px or camera.lens.focal_px)
    sigma = np.zeros(14)
    sigma[TURN] = 180.0 * WIDE
    sigma[3] = lens.focal_px * (WIDE if known.focal_px is None else GIVEN_FOCAL)
    sigma[4:6] = CENTRE_SHARE * known.width
    sigma[6:11] = DISTORTION if known.distorted else 0.0
    sigma[PLACE] = known.place_m if known.place is not None else 6.4e6 * WIDE
    return Prior(lens.vector, np.array(known.place or camera.place), sigma)


def moved(camera: Camera, step: Floats, place: Floats) -> Camera:
    """A camera with its parameters changed by `step` (14,); its place is `step` from `place`."""
    turn = np.asarray(cv2.Rodrigues(np.radians(step[TURN]))[0], float)
    lens = Lens.from_vector(camera.lens.width, camera.lens.height, camera.lens.vector + step[LENS])
    at = place_from_enu(step[PLACE], place)
    return replace(camera, lens=lens, axes=re_axed(camera.axes, place, at) @ turn, place=tuple(at.tolist()))


def fitted(
    camera: Camera, points: Points, used: NDArray[np.bool_], prior: Prior, sigma_px: float, robust: bool = False
) -> tuple[Camera, Floats]:
    """The camera that fits best, from one that is close, and its covariance (14, 14)."""
    free = np.flatnonzero(prior.sigma > 0)
    begun = np.array(camera.place)
    shift = enu_of(prior.place, begun)  # where the surveyed place lies
    # Steps of about the same worth: a pixel's turn, a hundredth of the focal length, ...
    unit = np.ones(14)
    unit[TURN] = np.degrees(1.0 / camera.lens.focal_px)
    unit[3], unit[6:11] = 0.01 * camera.lens.focal_px, 0.01
    unit[PLACE] = max(min(1.0, prior.sigma[11]), 1e-3)

    def wanting(x: Floats) -> Floats:
        step = np.zeros(14)
        step[free] = x * unit[free]
        try:
            now = moved(camera, step, begun)
        except IrtrackError:  # a focal length below 0
            return np.full(2 * int(used.sum()) + len(free) - 3, BAD)
        off = offsets(now, points)[used] / sigma_px
        known = np.concatenate([(now.lens.vector - prior.lens), step[PLACE] - shift])[free[3:] - 3]
        return np.concatenate([off.ravel(), known / prior.sigma[free[3:]]])

    loss: Literal["soft_l1", "linear"] = "soft_l1" if robust else "linear"
    done = least_squares(wanting, np.zeros(len(free)), loss=loss, f_scale=2.0, x_scale="jac", max_nfev=300)
    step = np.zeros(14)
    step[free] = done.x * unit[free]
    covariance = np.zeros((14, 14))
    slopes = np.asarray(done.jac, float)
    scale = np.linalg.norm(slopes, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    # What the points do not tell at all has a wide variance, not none.
    told, ways = np.linalg.eigh((slopes / scale).T @ (slopes / scale))
    inverse = (ways / np.maximum(told, UNTOLD * told[-1])) @ ways.T
    covariance[np.ix_(free, free)] = inverse * np.outer(unit[free] / scale, unit[free] / scale)
    return moved(camera, step, begun), covariance


def offsets(camera: Camera, points: Points) -> Floats:
    """Where the camera sees points minus where they were seen, (N, 2) in px; much for those behind it."""
    off = camera.project(points.vectors(np.array(camera.place))) - points.xy_px
    return np.where(np.isnan(off), BAD, off)


def angles(camera: Camera, points: Points) -> Floats:
    """The same as angles (N,) in degrees between the ray of the pixel and the known direction."""
    known = points.vectors(np.array(camera.place))
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    seen = camera.units(points.xy_px)
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(known, seen), axis=1), np.einsum("nd,nd->n", known, seen)))


def freedom(known: Known, count: int) -> float:
    """What residuals of a fit are to be multiplied by, since the fit follows the points."""
    parameters = 3 + (known.focal_px is None) + 3 * (known.place is None)
    return float(np.sqrt(2 * count / max(2 * count - parameters, 1)))


def check_count(points: Points, known: Known) -> None:
    """Raises IrtrackError where points are too few, or lie outside the picture."""
    n = len(np.unique(np.round(points.xy_px), axis=0))  # one that is there twice tells nothing more
    if known.place is None and not points.landmarks.all():
        raise IrtrackError(
            "azimuths and elevations do not tell where the camera stands: give --position LAT,LON,HEIGHT"
        )
    if n < known.fewest:
        less = [] if known.focal_px is not None else ["--hfov or --focal"]
        less += [] if known.place is not None else ["--position"]
        rest = f", or fewer with {' and '.join(less)}" if less else ""
        raise IrtrackError(
            f"{n} {'different ' * (n < len(points))}points are too few: it takes {known.fewest} or more{rest}"
        )
    if known.place is not None:
        near = np.linalg.norm(points.vectors(np.array(known.place)), axis=1) < np.where(
            points.landmarks, NEAREST_M, 0.0
        )
        if near.any():
            raise IrtrackError(f"{points.names[int(np.argmax(near))]} lies where the camera stands: it tells nothing")
    x, y = points.xy_px.T
    inside = (x > -1) & (y > -1) & (x < known.width) & (y < known.height)
    if not inside.all():
        raise IrtrackError(
            f"{points.names[int(np.argmin(inside))]} lies outside a picture of {known.width}x{known.height} pixels"
        )


def why_not(points: Points, known: Known) -> str:
    """What is the matter with the points' places in the picture, in words."""
    centred = points.xy_px - points.xy_px.mean(0)
    long, short = np.linalg.svd(centred, compute_uv=False)[:2] / np.sqrt(len(points))
    if long < 0.05 * known.width:
        return "they lie close together in the picture; take some that are far apart"
    if short < 0.02 * long:
        return "they lie on one line in the picture; take some beside it"
    return "are x and y, latitude and longitude, or azimuth and elevation exchanged, or is one of them wrong?"


def disagreement(points: Points, off: Floats, known: Known) -> str:
    """Fewer points agree than must."""
    worst = int(np.argmax(off))
    behind = " (behind the camera, if the others are right)" if off[worst] >= BAD else ""
    return (
        f"the points do not fit together: {points.names[worst]} is off by {min(off[worst], BAD):.0f} px{behind}, half "
        f"of them by {min(float(np.median(off)), BAD):.1f} px; {why_not(points, known)}"
    )


def check_consistent(points: Points, off: Floats, used: NDArray[np.bool_], known: Known) -> None:
    """Raises IrtrackError where residuals are far above what was said of the points."""
    n = int(used.sum())
    rms = float(np.sqrt((off[used] ** 2).mean() / 2)) * freedom(known, n)
    if rms > 5 * known.sigma_px:
        worst = int(np.argmax(np.where(used, off, 0.0)))
        raise IrtrackError(
            f"the points fit to {rms:.1f} px, and --sigma says {known.sigma_px:g}: one of them may be wrong "
            f"({points.names[worst]}?), and too few are there to tell which; correct it, or say a larger --sigma"
        )


def check_carried(camera: Camera, points: Points, used: NDArray[np.bool_], known: Known) -> None:
    """Raises IrtrackError where the points leave open what they were to tell."""
    some = replace(points, xy_px=points.xy_px[used], names=tuple(np.array(points.names)[used].tolist()))
    w, h = camera.lens.width, camera.lens.height
    xy = np.array([[x, y] for x in (0.0, (w - 1) / 2, w - 1.0) for y in (0.0, (h - 1) / 2, h - 1.0)])
    shown = xy[np.isfinite(camera.lens.rays(xy)).all(1)]
    open_deg = float(np.degrees(np.sqrt(np.trace(camera.spread(shown), axis1=1, axis2=2).max(initial=0.0))))
    most_deg = MOST_SIGMA_SHARE * camera.lens.hfov_deg
    if not open_deg < most_deg:
        raise IrtrackError(
            f"the points cannot carry it: directions stay open by {open_deg:.2g} degrees, {most_deg:.2g} are allowed; "
            f"{why_not(some, known)}"
        )
    if known.place is None:
        far = np.median(np.linalg.norm(points.vectors(np.array(camera.place))[used], axis=1))
        open_m = float(np.sqrt(np.linalg.eigvalsh(camera.covariance[PLACE, PLACE]).max()))
        if not open_m < MOST_PLACE_SHARE * far:
            raise IrtrackError(
                f"the points cannot carry it: the camera's place stays open by {open_m:.0f} m; give --position, or "
                f"points at several distances"
            )
