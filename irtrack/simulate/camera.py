"""Where the camera looks: a background that drifts, pans, jerks, shake, zoom and roll; the same for every call."""

from __future__ import annotations

import numpy as np

from irtrack.core import Floats
from irtrack.simulate.settings import SceneSettings

BLUR_FROM_PX = 1.0
"""A shorter streak is lost in the blur of the optics."""

QUIET_S = 0.5
"""Between the end of one jerk and the next at least."""


def jerking(s: SceneSettings) -> bool:
    """Whether the camera is pulled aside now and then."""
    return s.jerks_per_s > 0 and s.jerk_px > 0


def reach_px(s: SceneSettings) -> float:
    """How far beyond a still camera's picture this one sees."""
    corners = ((1 + s.zoom) * np.hypot(s.width, s.height) - min(s.width, s.height)) / 2
    turns = bool(s.zoom or s.roll_deg)
    followed = 1.5 * s.speed_px_s * s.frames / s.fps * bool(s.held_px)
    return float(s.swing_px + s.jerk_px * jerking(s) + 3 * s.shake_px + corners * turns + followed)


class Camera:
    """Poses of all frames: `to_scene(i)` from the sensor to the scene, `seen(i, xy)` from a still camera to it."""

    def __init__(self, settings: SceneSettings, drift: Floats, paths_px: Floats) -> None:
        """`drift` (2,) in px/s: how fast a still camera's picture moves over the background. `paths_px` (N, frames, 2):
        of the targets, as such a camera sees them; the first may be followed.
        """
        self._s, self._drift = settings, drift
        s = settings
        self._middle = np.array([(s.width - 1) / 2, (s.height - 1) / 2])
        self.swings = bool(s.swing_px or s.shake_px or s.zoom or s.roll_deg or s.held_px or jerking(s))
        if not self.swings:
            return
        rng = np.random.default_rng([s.seed, 6])
        t = np.arange(s.frames) / s.fps
        pan = s.swing_px * (0.6 * slow(t, (6.0, 12.0), 2, rng) + 0.4 * slow(t, (4.0, 7.0), 2, rng))
        shake = s.shake_px * np.clip(rng.standard_normal((s.frames, 2)), -3, 3)
        log_zoom, roll = (slow(t, (8.0, 16.0), 1, rng)[:, 0] for _ in range(2))
        self._offset = pan + shake + (jerks(s, np.random.default_rng([s.seed, 7])) if jerking(s) else 0.0)
        self._zoom, self._roll = (1 + s.zoom) ** log_zoom, np.deg2rad(s.roll_deg) * roll
        speed = np.gradient(self._offset, axis=0) if s.frames > 1 else np.zeros((1, 2))
        self._streak = s.exposure * speed
        if s.held_px:  # what is followed is not blurred by it
            self._offset += paths_px[0] - self._middle + straying(s, t, np.random.default_rng([s.seed, 8]))

    def _turn(self, index: int) -> tuple[Floats, Floats]:
        """The sensor's axes in the scene (2, 2) and its middle there, drift left out."""
        c, r = np.cos(self._roll[index]), np.sin(self._roll[index])
        return np.array([[c, -r], [r, c]]) / self._zoom[index], self._middle + self._offset[index]

    def to_scene(self, index: int) -> Floats:
        """(2, 3): from the sensor in frame `index` to the scene."""
        shift = self._drift * (index / self._s.fps)
        if not self.swings:
            return np.column_stack([np.eye(2), shift])
        axes, middle = self._turn(index)
        return np.column_stack([axes, middle - axes @ self._middle + shift])

    def seen(self, index: int, xy: Floats) -> Floats:
        """Places (N, 2) on the sensor in frame `index` of what a camera that only drifts has at `xy`."""
        if not self.swings:
            return xy
        axes, middle = self._turn(index)
        out: Floats = (xy - middle) @ np.linalg.inv(axes).T + self._middle
        return out

    def motion(self, start: int, end: int) -> Floats:
        """(2, 3): where a point of the scene lies in frame `end` that lay on the sensor in frame `start`."""
        before, after = (np.vstack([self.to_scene(i), [0.0, 0.0, 1.0]]) for i in (start, end))
        out: Floats = (np.linalg.inv(after) @ before)[:2]
        return out

    def streak(self, index: int) -> Floats:
        """(2,) px on the sensor over which the camera moves in the exposure of a frame; 0 in a slow frame."""
        if not self.swings or np.linalg.norm(self._streak[index]) < BLUR_FROM_PX:
            return np.zeros(2)
        axes, _ = self._turn(index)
        out: Floats = np.linalg.solve(axes, self._streak[index])
        return out


def slow(t: Floats, periods_s: tuple[float, float], count: int, rng: np.random.Generator) -> Floats:
    """Waves (len(t), count) of amplitude 1 with periods of this range."""
    period, phase = rng.uniform(*periods_s, count), rng.uniform(0, 2 * np.pi, count)
    return np.sin(2 * np.pi * t[:, None] / period + phase)


def straying(s: SceneSettings, t: Floats, rng: np.random.Generator) -> Floats:
    """Offsets (frames, 2) at which a camera follows a target: near one place in the picture, early or late."""
    place = rng.uniform(-0.06, 0.06, 2) * (s.width, s.height)
    out: Floats = place + s.held_px * (slow(t, (3.0, 8.0), 2, rng) + slow(t, (0.6, 2.0), 2, rng))
    return out


def jerks(s: SceneSettings, rng: np.random.Generator) -> Floats:
    """Offsets (frames, 2) of a camera that is pulled aside now and then within one to three frames, and stays there.

    It never gets further than `jerk_px` from its middle.
    """
    steps = np.zeros((s.frames, 2))
    at, time = np.zeros(2), rng.exponential(1 / s.jerks_per_s)
    while (first := int(time * s.fps) + 1) < s.frames:
        long, angle = s.jerk_px * rng.uniform(1 / 6, 1), rng.uniform(0, 2 * np.pi)
        step = long * np.array([np.cos(angle), np.sin(angle)])
        if np.linalg.norm(at + step) > s.jerk_px:
            step = -long * at / np.linalg.norm(at)
        taken = int(rng.integers(1, 4))
        steps[first : first + taken] += step / taken
        at, time = at + step, time + taken / s.fps + QUIET_S + rng.exponential(1 / s.jerks_per_s)
    out: Floats = np.cumsum(steps, 0)
    return out
