"""Pictures without targets for training: textured ground and sky with what detectors mistake for targets.

Corners of roofs, ends of poles, twigs, holes in clouds: drawn as polygons, lines and blobs larger than a small target,
under the blur and noise of an 8-bit infrared camera.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats
from irtrack.simulate import coloured_noise

Rng = np.random.Generator
Grey = NDArray[np.float32]


def background(side: int, rng: Rng) -> NDArray[np.uint8]:
    """One picture (side, side)."""
    large, fine = texture(side, 1.2, 2.4, rng), texture(side, 0.3, 1.0, rng)
    level = rng.uniform(50, 170) + rng.uniform(5, 40) * large + rng.uniform(0.5, 8) * fine
    grey: Grey = np.ascontiguousarray(level, np.float32)
    for _ in range(int(rng.integers(0, 5))):
        draw_house(grey, rng)
    for _ in range(int(rng.integers(0, 5))):
        draw_pole(grey, rng)
    for _ in range(int(rng.integers(0, 3))):
        draw_tree(grey, rng)
    seen = cv2.GaussianBlur(grey, (0, 0), float(rng.uniform(0.6, 1.6)))
    seen = seen + rng.normal(0, rng.uniform(0.5, 4), seen.shape) + rng.normal(0, rng.uniform(0, 1.5), (1, side))
    return np.clip(np.round(seen), 0, 255).astype(np.uint8)


def texture(side: int, low: float, high: float, rng: Rng) -> Floats:
    """Coloured noise (side, side) with an exponent between these."""
    return coloured_noise(1 << int(np.ceil(np.log2(side))), float(rng.uniform(low, high)), rng)[:side, :side]


def shade_of(rng: Rng) -> float:
    """A grey level of a thing that is warmer or colder than its surroundings."""
    return float(rng.uniform(150, 255) if rng.random() < 0.65 else rng.uniform(0, 90))


def draw_house(grey: Grey, rng: Rng) -> None:
    """A large polygon."""
    side = grey.shape[0]
    centre, size = rng.uniform(0, side, 2), rng.uniform(15, 80)
    angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
    corners = centre + size * np.column_stack([np.cos(angles), np.sin(angles)]) * rng.uniform(0.5, 1.0)
    cv2.fillPoly(grey, [np.round(corners).astype(np.int32)], shade_of(rng))


def draw_pole(grey: Grey, rng: Rng) -> None:
    """A thick line that ends in the picture, often with a crossbar."""
    side = grey.shape[0]
    x, y = (int(v) for v in rng.integers(0, side, 2))
    tall, width, shade = int(rng.integers(20, 120)), int(rng.integers(1, 6)), shade_of(rng)
    lean = int(rng.integers(-8, 9))
    cv2.line(grey, (x, y), (x + lean, y + tall), shade, width)
    if rng.random() < 0.5:
        arm = int(rng.integers(6, 30))
        cv2.line(grey, (x, y), (x + arm, y - int(rng.integers(-6, 7))), shade, width + 1)


def draw_tree(grey: Grey, rng: Rng) -> None:
    """Twigs that branch."""
    shade = shade_of(rng)
    ends = [(*rng.uniform(0, grey.shape[0], 2), rng.uniform(0, 2 * np.pi), rng.uniform(20, 50))]
    for _ in range(40):
        x, y, angle, length = ends.pop(0)
        to = x + length * np.cos(angle), y + length * np.sin(angle)
        thick = max(1, round(length / 12))
        cv2.line(grey, (round(x), round(y)), (round(to[0]), round(to[1])), shade, thick)
        ends += [(*to, angle + rng.uniform(-0.8, 0.8), length * rng.uniform(0.55, 0.85)) for _ in range(2)]


def write_backgrounds(folder: Path, count: int, side: int = 256, seed: int = 0) -> None:
    """`count` pictures as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"background{i:03d}.png"), background(side, np.random.default_rng([seed, i])))
