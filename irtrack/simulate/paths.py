"""How targets move: positions (N, frames, 2) in px, as a camera sees them that neither swings nor shakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irtrack.core import Floats
from irtrack.simulate.settings import SceneSettings

EASE_S = 0.2
"""Time in which a target that arrives comes to a stop."""


@dataclass(frozen=True, slots=True)
class Paths:
    """`xy_px` (N, frames, 2), `contrast` (N,) signed, `wave` (N, 2): period in s and phase of its slow change."""

    xy_px: Floats
    contrast: Floats
    wave: Floats

    def contrasts(self, time_s: float, waver: float) -> Floats:
        """Signed peaks (N,) at a time."""
        return self.contrast * (1 + waver * np.sin(2 * np.pi * time_s / self.wave[:, 0] + self.wave[:, 1]))


def make_paths(s: SceneSettings, drift: Floats) -> Paths:
    """The targets of a scene: first those that hover, then those that arrive, those that creep, those that move.

    `drift` (2,) px/s is the background's: what hovers or creeps stands in the scene, and goes along with it.
    """
    rng = np.random.default_rng([s.seed, 2])
    path = wandering(s, s.speed_px_s, rng)
    sign = np.where(rng.random(s.targets) < s.dark, -1.0, 1.0)
    contrast = sign * s.scr * s.clutter * rng.uniform(1.0, 2.0, s.targets)

    # Further generators, so that what moves does so as if nothing else was there.
    still, waves = np.random.default_rng([s.seed, 4]), np.random.default_rng([s.seed, 5])
    hover, arrive, creep = (round(s.targets * share) for share in np.cumsum([s.hovering, s.arriving, s.creeping]))
    if creep:
        t = np.arange(s.frames) / s.fps
        place = still.uniform((0.1 * s.width, 0.1 * s.height), (0.9 * s.width, 0.9 * s.height), (s.targets, 1, 2))
        path[:arrive] = (place + swaying(s, t, still))[:arrive]
        path[hover:arrive] += coming_and_going(s, t, still)[hover:arrive]
        path[arrive:creep] = wandering(s, s.creep_px_s, still)[arrive:creep]
        path[:creep] -= drift * (t - t[s.frames // 2])[:, None]
    return Paths(path, contrast, waves.uniform((3.0, 0.0), (9.0, 2 * np.pi), (s.targets, 2)))


def wandering(s: SceneSettings, typical: float, rng: np.random.Generator) -> Floats:
    """Smooth turns at half to one and a half of a typical speed, inside the frame at the middle of the scene."""
    t = np.arange(s.frames) / s.fps
    n = s.targets
    middle = rng.uniform((0.2 * s.width, 0.2 * s.height), (0.8 * s.width, 0.8 * s.height), (n, 2))
    speed = typical * rng.uniform(0.5, 1.5, n)
    heading, turn = rng.uniform(0, 2 * np.pi, n), s.turn_rad_s * rng.standard_normal(n)
    swing, phase = s.turn_rad_s * rng.standard_normal(n), rng.uniform(0, 2 * np.pi, n)
    angle = heading[:, None] + turn[:, None] * t + swing[:, None] * np.sin(1.3 * t + phase[:, None])
    velocity = speed[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    path = np.cumsum(velocity, 1) / s.fps
    path += (middle - path[:, s.frames // 2])[:, None]
    return path


def swaying(s: SceneSettings, t: Floats, rng: np.random.Generator) -> Floats:
    """What wind and control do to a target that hovers, about its place: three slow waves an axis."""
    rate, phase = rng.uniform((0.2, 0.0), (2.0, 2 * np.pi), (3, s.targets, 1, 2, 2)).transpose(4, 0, 1, 2, 3)
    waves = np.sin(2 * np.pi * rate * t[:, None] + phase)
    return s.hover_jitter_px * (2 / 3) ** 0.5 * waves.sum(0)


def coming_and_going(s: SceneSettings, t: Floats, rng: np.random.Generator) -> Floats:
    """From afar to its place in the first third of the scene, away from it in the last, each on a straight line."""
    last = t[-1]
    stop = last * rng.uniform(0.12, 0.3, (s.targets, 1))
    start = last * rng.uniform(0.7, 0.88, (s.targets, 1))
    speed = s.speed_px_s * rng.uniform(0.5, 1.5, (s.targets, 1))
    angle = rng.uniform(0, 2 * np.pi, (2, s.targets, 1))
    # The softplus is a ramp with a rounded foot: constant speed far off, and a gentle stop.
    before, after = (speed * EASE_S * np.logaddexp(0.0, gone / EASE_S) for gone in (stop - t, t - start))
    return sum(
        (
            away[..., None] * np.stack([np.cos(a), np.sin(a)], -1)
            for away, a in zip((before, after), angle, strict=True)
        ),
        np.zeros(2),
    )
