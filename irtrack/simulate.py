"""Synthetic infrared scenes with exact sub-pixel truth, seeded: for the demo, the tests and training.

A frame is: a structured background that drifts, targets as a point-spread function integrated over pixels, then the
sensor: gain and offset non-uniformity, column pattern, dead and hot pixels, temporal noise, rounding. Any frame can be
made by itself, so a scene can be sought like a file.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from irtrack.config import Checked, option
from irtrack.core import ConfigError, Floats, Image
from irtrack.text import meant

MASK_LEVEL = 0.35
"""Share of its peak from which a pixel belongs to a target's label."""

MOST_PLACES = 10_000_000
"""Targets times frames: the paths of all targets are made at once."""


@dataclass(frozen=True)
class SceneSettings(Checked):
    """What a scene looks like. Levels are in fractions of full scale unless a unit is given."""

    width: int = option(320, "columns", unit="px", low=16, high=4096)
    height: int = option(256, "rows", unit="px", low=16, high=4096)
    frames: int = option(150, "length", low=1, high=1_000_000)
    fps: float = option(30.0, "frames a second", low=0.1, high=10_000.0)
    bits: int = option(8, "8 or 16: sample size of the camera", low=8, high=16)
    seed: int = option(0, "seed of everything random", low=0)
    targets: int = option(4, "how many", low=0, high=10_000)
    scr: float = option(10.0, "peak contrast of the dimmest target over the local standard deviation", low=0.0)
    psf_sigma_px: float = option(0.9, "standard deviation of the optical blur", unit="px", low=0.2, high=20.0)
    speed_px_s: float = option(30.0, "typical speed", unit="px/s", low=0.0)
    turn_rad_s: float = option(0.3, "typical rate of turn", unit="rad/s", low=0.0)
    dark: float = option(0.0, "share of targets colder than their background", low=0.0, high=1.0)
    structure: float = option(0.05, "standard deviation of the background's large structure", low=0.0, high=0.5)
    texture: float = option(0.008, "standard deviation of its fine texture", low=0.0, high=0.5)
    drift_px_s: float = option(4.0, "drift of the background", unit="px/s", low=0.0)
    netd: float = option(0.006, "temporal noise", low=0.0, high=0.5)
    fixed_pattern: float = option(0.002, "offset of pixels that stays", low=0.0, high=0.5)
    column_pattern: float = option(0.001, "offset of columns that stays", low=0.0, high=0.5)
    bad_pixels: float = option(0.0, "share of dead and hot pixels", low=0.0, high=0.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits not in (8, 16):
            raise ConfigError(f"bits = {self.bits}: a camera of a scene has 8 or 16")
        if self.frames * self.targets > MOST_PLACES:
            raise ConfigError(
                f"{self.targets} targets in {self.frames} frames are too many: {MOST_PLACES:,} places at most"
            )


SCENES: dict[str, SceneSettings] = {
    "sky": SceneSettings(),
    "clutter": SceneSettings(structure=0.09, texture=0.02, scr=8.0, drift_px_s=8.0),
    "crossing": SceneSettings(targets=6, turn_rad_s=0.0, speed_px_s=45.0),
    "dim": SceneSettings(scr=4.0, targets=3),
    "dark": SceneSettings(dark=1.0),
    "camera16": SceneSettings(bits=16, bad_pixels=0.0005, fixed_pattern=0.004, column_pattern=0.003),
    "crowd": SceneSettings(width=640, height=512, targets=100, speed_px_s=20.0),
    "empty": SceneSettings(targets=0),
}


def scene_from_text(text: str) -> SceneSettings:
    """`NAME` or `NAME,key=value,...`. Raises ConfigError for an unknown name or key."""
    name, *pairs = text.split(",")
    if name not in SCENES:
        raise ConfigError(f"there is no scene {name!r}{meant(name, SCENES)}")
    known = {f.name: type(getattr(SCENES[name], f.name)) for f in fields(SceneSettings)}
    values: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in known:
            raise ConfigError(f"unknown setting {key!r}{meant(key, known)}: it is one of {', '.join(known)}")
        try:
            values[key] = known[key](value)
        except ValueError as error:
            raise ConfigError(
                f"{key} needs a number{', a whole one' * (known[key] is int)}, not {value[:40]!r}"
            ) from error
    return replace(SCENES[name], **values)


@dataclass(frozen=True, slots=True)
class Truth:
    """Targets inside one frame: `id` (N,), `xy_px` (N, 2) exact centres, `contrast` (N,) signed peak, fraction."""

    id: NDArray[np.int64]
    xy_px: Floats
    contrast: Floats


class Scene:
    """A scene with its truth. `image(i)` and `truth(i)` agree for every i, in any order."""

    def __init__(self, settings: SceneSettings) -> None:
        self.settings = s = settings
        rng = np.random.default_rng([s.seed, 1])
        # Periodic textures from filtered noise: drift is a shift, without edges.
        self._side = 1 << int(np.ceil(np.log2(max(s.width, s.height, 64))))
        self._backdrop = (
            0.4 + s.structure * coloured_noise(self._side, 2.0, rng) + s.texture * coloured_noise(self._side, 0.7, rng)
        ).astype(np.float32)
        angle = rng.uniform(0, 2 * np.pi)
        self._drift = s.drift_px_s * np.array([np.cos(angle), np.sin(angle)])
        self._offset = s.fixed_pattern * rng.standard_normal((s.height, s.width))
        self._offset = (self._offset + s.column_pattern * rng.standard_normal(s.width)).astype(np.float32)
        self._gain = (1 + s.fixed_pattern * rng.standard_normal((s.height, s.width))).astype(np.float32)
        bad = rng.random((s.height, s.width)) < s.bad_pixels
        self._bad = np.flatnonzero(bad)
        self._bad_level = np.where(rng.random(len(self._bad)) < 0.5, 0.98, 0.02).astype(np.float32)
        self._paths = self._make_paths(np.random.default_rng([s.seed, 2]))

    def _make_paths(self, rng: np.random.Generator) -> Floats:
        """Positions (targets, frames, 2): smooth turns, inside the frame at the middle of the scene."""
        s = self.settings
        t = np.arange(s.frames) / s.fps
        n = s.targets
        middle = rng.uniform((0.2 * s.width, 0.2 * s.height), (0.8 * s.width, 0.8 * s.height), (n, 2))
        speed = s.speed_px_s * rng.uniform(0.5, 1.5, n)
        heading, turn = rng.uniform(0, 2 * np.pi, n), s.turn_rad_s * rng.standard_normal(n)
        swing, phase = s.turn_rad_s * rng.standard_normal(n), rng.uniform(0, 2 * np.pi, n)
        angle = heading[:, None] + turn[:, None] * t + swing[:, None] * np.sin(1.3 * t + phase[:, None])
        velocity = speed[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
        path = np.cumsum(velocity, 1) / s.fps
        path += (middle - path[:, s.frames // 2])[:, None]
        sign = np.where(rng.random(n) < s.dark, -1.0, 1.0)
        noise = np.hypot(np.hypot(s.netd, s.texture), s.fixed_pattern)
        self._contrast = sign * s.scr * noise * rng.uniform(1.0, 2.0, n)
        return path

    def truth(self, index: int) -> Truth:
        """Targets whose centre lies inside frame `index`."""
        s = self.settings
        xy = self._paths[:, index] if s.targets else np.zeros((0, 2))
        inside = (xy > -0.5).all(1) & (xy < np.array([s.width, s.height]) - 0.5).all(1)
        return Truth(np.flatnonzero(inside).astype(np.int64), xy[inside], self._contrast[inside])

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Pixels of frame `index` (H, W) where a target shows more than `MASK_LEVEL` of its peak: its label."""
        s = self.settings
        mask = np.zeros((s.height, s.width), bool)
        for x, y in self._paths[:, index] if s.targets else ():
            alone = np.zeros(mask.shape, np.float32)
            add_target(alone, float(x), float(y), 1.0, s.psf_sigma_px)
            mask |= alone > MASK_LEVEL
        return mask

    def image(self, index: int) -> Image:
        """Frame `index` (H, W) in counts, uint8 or uint16."""
        s = self.settings
        shift = self._drift * (index / s.fps)
        grid = np.array([[1, 0, shift[0] % self._side], [0, 1, shift[1] % self._side]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        grey = cv2.warpAffine(self._backdrop, grid, (s.width, s.height), flags=flags, borderMode=cv2.BORDER_WRAP)
        for (x, y), contrast in zip(self._paths[:, index] if s.targets else (), self._contrast, strict=True):
            add_target(grey, float(x), float(y), float(contrast), s.psf_sigma_px)
        grey = grey * self._gain + self._offset
        rng = np.random.default_rng([s.seed, 3, index])
        grey += s.netd * rng.standard_normal(grey.shape, dtype=np.float32)
        grey.ravel()[self._bad] = self._bad_level
        if s.bits == 8:
            return np.clip(np.round(grey * 255), 0, 255).astype(np.uint8)
        # A 14-bit camera in 16-bit words, as most thermal cores send it.
        return np.clip(np.round(grey * 4000 + 6000), 0, 16383).astype(np.uint16)


def coloured_noise(side: int, slope: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Periodic noise (side, side) whose amplitude falls as frequency^-slope; mean 0, standard deviation 1."""
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    radius = np.hypot(fy, fx)
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) * radius**-slope
    noise = np.fft.irfft2(spectrum, (side, side))
    return (noise - noise.mean()) / noise.std()


def add_target(grey: NDArray[np.float32], x: float, y: float, peak: float, sigma: float) -> None:
    """Add a Gaussian point-spread function at (x, y), integrated over each pixel; `peak` is its centre value."""
    reach = int(np.ceil(4 * sigma)) + 1
    x0, y0 = round(x), round(y)
    cols = np.arange(max(x0 - reach, 0), min(x0 + reach + 1, grey.shape[1]))
    rows = np.arange(max(y0 - reach, 0), min(y0 + reach + 1, grey.shape[0]))
    if not len(cols) or not len(rows):
        return

    def profile(pixels: NDArray[np.int64], centre: float) -> Floats:
        edges = np.concatenate([pixels - 0.5, pixels[-1:] + 0.5]) - centre
        integral: Floats = np.diff(erf(edges / (sigma * 2**0.5))) / 2 * sigma * (2 * np.pi) ** 0.5
        return integral

    grey[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1] += peak * np.outer(profile(rows, y), profile(cols, x))


def write_truth(scene: Scene, path: Path) -> None:
    """Truth as CSV: frame,id,x_px,y_px,contrast."""
    with path.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["frame", "id", "x_px", "y_px", "contrast"])
        for index in range(scene.settings.frames):
            truth = scene.truth(index)
            for i, (x, y), c in zip(truth.id.tolist(), truth.xy_px.tolist(), truth.contrast.tolist(), strict=True):
                writer.writerow([index, i, f"{x:.4f}", f"{y:.4f}", f"{c:.5f}"])
