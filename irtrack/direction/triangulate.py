"""Positions by two stations' directions, with their covariance, for tracks that are the same target.

At each time of the one station the other's direction is interpolated; the position is the one that both directions are
likeliest from (weighted least squares), its covariance holds the trackers' sigmas, both poses' and the geometry. Which
tracks belong together is told by how far their rays miss each other over all the time that both were seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from irtrack.core import Floats
from irtrack.direction.camera import PLACE, Camera
from irtrack.direction.geodesy import ecef_of, enu_axes, place_from_enu
from irtrack.direction.stations import Sighting, Station

LONGEST_GAP_S = 0.5
"""A direction is not interpolated between sightings that are further apart."""

FEWEST, SHORTEST_S = 5, 0.3
"""Times, and seconds from the first to the last, that two tracks must both be seen to be paired."""

MOST_MISS = 3.0
"""Root mean square of the miss distances, in standard deviations, up to which two tracks may be one target."""

MOST_RANGE_SHARE = 0.15
"""A position whose standard deviation is more than this share of its distance is none: the rays are nearly parallel."""

SPEED_S = 1.0
"""Positions within so long are taken for the velocity at a time."""

STEPS = 6


class Rays(NamedTuple):
    """Directions of a track at some times: `unit` (T, 3) and its covariance (T, 3, 3) in axes that both stations share;
    `origin` (3,) and its covariance (3, 3), in m."""

    unit: Floats
    covariance: Floats
    origin: Floats
    origin_covariance: Floats


@dataclass(frozen=True)
class Fix:
    """Positions of a target: `time_s` (T,) of the first station, `enu_m` (T, 3) from it and `covariance_m2` (T, 3, 3),
    `velocity_m_s` (T, 3), NaN where there is none; `miss_m` (T,): how far the rays miss each other; `angle_deg` (T,)
    between them; `place` (T, 3): latitude, longitude, height. `misses`: root mean square in standard deviations.
    `parallel`: times without a position. `rivals`: other tracks that would fit as well."""

    first: int
    second: int
    time_s: Floats
    enu_m: Floats
    covariance_m2: Floats
    velocity_m_s: Floats
    miss_m: Floats
    angle_deg: Floats
    place: Floats
    misses: float
    parallel: int
    rivals: tuple[tuple[int, int], ...] = ()


class Pair(NamedTuple):
    """Two tracks that may be one target, at the times `time_s` at which both were seen."""

    first: Sighting
    second: Sighting
    time_s: Floats
    a: Rays
    b: Rays
    misses: float


def triangulate(a: Station, b: Station, offset_s: float) -> list[Fix]:
    """Targets that both stations saw. `offset_s`: what is added to the seconds of `b` to have those of `a`."""
    frames = frame_of(a.camera, a.camera), frame_of(b.camera, a.camera)
    found = [
        pair
        for first in a.tracks
        for second in b.tracks
        if (pair := paired(a.camera, b.camera, frames, first, second, offset_s)) is not None
    ]
    chosen, rivals = assigned(found)
    return [fixed(a.camera, pair, rivals[i]) for i, pair in enumerate(chosen)]


def frame_of(camera: Camera, main: Camera) -> tuple[Floats, Floats]:
    """Where a camera stands, and its east, north and up as rows, in the main camera's east, north, up."""
    axes = enu_axes(main.place[0], main.place[1])
    return axes @ (ecef_of(camera.place) - ecef_of(main.place)), enu_axes(camera.place[0], camera.place[1]) @ axes.T


def paired(
    a: Camera,
    b: Camera,
    frames: tuple[tuple[Floats, Floats], tuple[Floats, Floats]],
    first: Sighting,
    second: Sighting,
    offset_s: float,
) -> Pair | None:
    """Two tracks as a pair; None where they were not seen together for long enough, or their rays do not meet."""
    clock = second.time_s + offset_s
    if first.time_s[0] > clock[-1] or clock[0] > first.time_s[-1] or len(clock) < 2:
        return None
    inside = np.flatnonzero((first.time_s >= clock[0]) & (first.time_s <= clock[-1]))
    left = np.clip(np.searchsorted(clock, first.time_s[inside], "right") - 1, 0, len(clock) - 2)
    close = clock[left + 1] - clock[left] <= LONGEST_GAP_S
    inside, left = inside[close], left[close]
    time_s = first.time_s[inside]
    if len(time_s) < FEWEST or time_s[-1] - time_s[0] < SHORTEST_S:
        return None
    share = ((time_s - clock[left]) / (clock[left + 1] - clock[left]))[:, None]
    # In pixels, where paths are as straight as in angles, and sigmas are at home.
    xy = (1 - share) * second.xy_px[left] + share * second.xy_px[left + 1]
    sigma = np.sqrt(((1 - share) * second.sigma_px[left]) ** 2 + (share * second.sigma_px[left + 1]) ** 2)
    rays_a = rays_of(a, frames[0], first.xy_px[inside], first.sigma_px[inside])
    rays_b = rays_of(b, frames[1], xy, sigma)
    shown = np.isfinite((rays_a.unit + rays_b.unit).sum(1))
    if shown.sum() < FEWEST:
        return None
    rays_a, rays_b = kept(rays_a, shown), kept(rays_b, shown)
    miss, sigma_m, ahead = missing(rays_a, rays_b)
    if not ahead.mean() > 0.5:
        return None
    misses = float(np.sqrt(np.mean((miss / sigma_m) ** 2)))
    return Pair(first, second, time_s[shown], rays_a, rays_b, misses) if misses <= MOST_MISS else None


def rays_of(camera: Camera, frame: tuple[Floats, Floats], xy: Floats, sigma_px: Floats) -> Rays:
    """Rays of pixels (T, 2) with their standard deviations, in the axes shared."""
    origin, turn = frame
    looked = camera.look(xy, sigma_px[:, :, None] ** 2 * np.eye(2))
    P = camera.covariance[PLACE, PLACE]
    return Rays(looked.unit @ turn, turn.T @ (looked.by_pixel + looked.by_camera) @ turn, origin, turn.T @ P @ turn)


def kept(rays: Rays, rows: NDArray[np.bool_]) -> Rays:
    """Some of the times."""
    return rays._replace(unit=rays.unit[rows], covariance=rays.covariance[rows])


def missing(a: Rays, b: Rays) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """How far rays pass each other (T,) in m, the standard deviation of that, and whether they meet ahead of both."""
    base = b.origin - a.origin
    normal = np.cross(a.unit, b.unit)
    sine = np.linalg.norm(normal, axis=1)
    normal /= np.maximum(sine, 1e-12)[:, None]
    # Along each ray to where it is closest to the other.
    r_a = np.einsum("nd,nd->n", np.cross(base[None], b.unit), normal) / np.maximum(sine, 1e-12)
    r_b = np.einsum("nd,nd->n", np.cross(base[None], a.unit), normal) / np.maximum(sine, 1e-12)
    place = a.origin_covariance + b.origin_covariance
    spread = r_a[:, None, None] ** 2 * a.covariance + r_b[:, None, None] ** 2 * b.covariance + place
    variance = np.einsum("ni,nij,nj->n", normal, spread, normal)
    return normal @ base, np.sqrt(np.maximum(variance, 1e-12)), (r_a > 0) & (r_b > 0)


def assigned(pairs: list[Pair]) -> tuple[list[Pair], list[tuple[tuple[int, int], ...]]]:
    """Those pairs that go together with the least sum of misses, and what else each of their tracks would fit.

    Each track has one partner at a time: where it is one target's and the other station saw that in parts, each part.
    """
    left, chosen = list(pairs), list[Pair]()
    while left:
        firsts, seconds = sorted({p.first.id for p in left}), sorted({p.second.id for p in left})
        cost = np.full((len(firsts), len(seconds)), 1e6)
        for p in left:
            # Long ones first: a miss over seconds says less than one over minutes.
            worth = p.misses**2 - MOST_MISS**2 - np.log(len(p.time_s))
            cost[firsts.index(p.first.id), seconds.index(p.second.id)] = worth
        rows, columns = linear_sum_assignment(cost)
        took = {(firsts[i], seconds[j]) for i, j in zip(rows, columns, strict=True) if cost[i, j] < 1e6}
        new = [p for p in left if (p.first.id, p.second.id) in took]
        chosen += new
        left = [p for p in left if p not in new and not any(clash(p, q) for q in chosen)]
    rivals = []
    for p in chosen:
        others = [q for q in pairs if q is not p and clash(p, q)]
        rivals.append(tuple((q.first.id, q.second.id) for q in others if q.misses < 2 * max(p.misses, 0.5)))
    return chosen, rivals


def clash(p: Pair, q: Pair) -> bool:
    """Whether two pairs claim one track at the same time."""
    share = p.first is q.first or p.second is q.second
    return share and bool(p.time_s[0] <= q.time_s[-1] and q.time_s[0] <= p.time_s[-1])


def fixed(main: Camera, pair: Pair, rivals: tuple[tuple[int, int], ...]) -> Fix:
    """The positions of a pair."""
    position, covariance = intersected(pair.a, pair.b)
    miss, _, ahead = missing(pair.a, pair.b)
    far = np.linalg.norm(position, axis=1)
    with np.errstate(invalid="ignore"):
        widest = np.sqrt(np.linalg.eigvalsh(np.where(np.isfinite(covariance), covariance, 0.0))[:, -1])
    good = ahead & np.isfinite(covariance).all((1, 2)) & (widest < MOST_RANGE_SHARE * far)
    angle = np.degrees(np.arccos(np.clip(np.einsum("nd,nd->n", pair.a.unit, pair.b.unit), -1.0, 1.0)))
    time_s, position, covariance = pair.time_s[good], position[good], covariance[good]
    return Fix(
        pair.first.id, pair.second.id, time_s, position, covariance, velocities(time_s, position),
        np.abs(miss[good]), angle[good], place_from_enu(position, main.place), pair.misses,
        int(np.count_nonzero(~good)), rivals,
    )  # fmt: skip


def intersected(a: Rays, b: Rays) -> tuple[Floats, Floats]:
    """Positions (T, 3) likeliest by both rays, and their covariances (T, 3, 3); NaN where rays are parallel."""
    at = closest(a, b)
    covariance = np.full((len(at), 3, 3), np.nan)
    for _ in range(STEPS):
        whole, pull = np.zeros((len(at), 3, 3)), np.zeros((len(at), 3))
        for rays in (a, b):
            away = at - rays.origin
            far = np.linalg.norm(away, axis=1)[:, None]
            # The direction as seen, against the direction of the position, across it: two numbers each.
            across = tangents(rays.unit)
            off = -np.einsum("nij,nj->ni", across, away / far)
            spread = rays.covariance + rays.origin_covariance / far[:, :, None] ** 2
            R = across @ spread @ across.transpose(0, 2, 1)
            J = across / far[:, :, None]
            weighted = J.transpose(0, 2, 1) @ np.linalg.inv(R)
            whole += weighted @ J
            pull += np.einsum("nij,nj->ni", weighted, off)
        sound = np.linalg.cond(whole) < 1e13
        covariance = np.full_like(whole, np.nan)
        covariance[sound] = np.linalg.inv(whole[sound])
        at = at + np.einsum("nij,nj->ni", np.nan_to_num(covariance), pull)
    return at, covariance


def closest(a: Rays, b: Rays) -> Floats:
    """Points (T, 3) midway where the rays pass each other."""
    base = b.origin - a.origin
    cosine = np.einsum("nd,nd->n", a.unit, b.unit)
    sine2 = np.maximum(1 - cosine**2, 1e-12)
    r_a = (a.unit @ base - cosine * (b.unit @ base)) / sine2
    r_b = (cosine * (a.unit @ base) - b.unit @ base) / sine2
    out: Floats = (a.origin + r_a[:, None] * a.unit + b.origin + r_b[:, None] * b.unit) / 2
    return out


def tangents(unit: Floats) -> Floats:
    """Two unit vectors across each of some (T, 3), as rows (T, 2, 3)."""
    least = np.eye(3)[np.argmin(np.abs(unit), axis=1)]
    first = np.cross(unit, least)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(unit, first)], 1)


def velocities(time_s: Floats, position: Floats) -> Floats:
    """In m/s (T, 3): of a line through the positions within half a second to both sides; NaN where there are few."""
    out = np.full(position.shape, np.nan)
    low = np.searchsorted(time_s, time_s - SPEED_S / 2, "left")
    high = np.searchsorted(time_s, time_s + SPEED_S / 2, "right")
    for i, (j, k) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        t = time_s[j:k] - time_s[j:k].mean() if k > j else time_s[j:k]
        if k - j >= FEWEST and t[-1] - t[0] >= SHORTEST_S:
            out[i] = (t @ (position[j:k] - position[j:k].mean(0))) / (t @ t)
    return out
