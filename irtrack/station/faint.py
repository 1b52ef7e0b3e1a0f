"""Known faint targets put into pictures, so that it can be asked what would be seen of them.

How faint a target is, is said against the local deviation (SCR, as the field has it): of these pictures, or of those
that the camera once took in good sight. The latter is what dew, rime and lost focus show against: a target stays as
bright as it was, its light spreads as the optics spread it now, and what it stands out from is what is there now.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, Image, IrtrackError
from irtrack.detect.background import QUANTISATION_STD, REACH_PX
from irtrack.imaging.motion import STILL, moved
from irtrack.imaging.noise import noise
from irtrack.simulate import add_target
from irtrack.text import read_text

CELLS = 32
"""Of the picture, along each side, for which its deviation is kept."""

RAGGED = 3.0
"""Where the deviation is so many times the median one (burnt-in text, an edge of the horizon), no target is put: a peak
of a few times that would be no faint one."""

APART_PX = 32.0
"""Targets lie so far from each other, from tracks and from what was found; from the frame's edge half of that."""

TRIES = 200
"""For a free place."""

BINS = np.geomspace(0.01, 0.40, 26)
"""Frequencies, cycles per pixel, between which the power of a picture is summed to tell its sharpness."""

CLEAR = 1.5
"""Power counts where it is so many times that of noise."""

LEAST_BLUR_PX, SURE = 0.3, 3.0
"""A blur below that, or that many standard errors of it, is none."""

LARGEST_BYTES = 8 << 20
"""Of a file with a reference."""

SAME = 0.7
"""Correlation of two pictures from which on they show the same scene: others have other power, sharp as they are."""


@dataclass(frozen=True)
class Sight:
    """How a camera sees: `deviation` (32, 32): local standard deviation by cells of the picture, in counts; `power`
    (25,): of the picture by frequency, without that of noise, NaN where noise hides it; `look` (16, 16): the picture,
    small, of mean 0 and length 1; `noise` in counts; `kind`: height, width and bits of its pictures."""

    deviation: Floats
    power: Floats
    look: Floats
    noise: float
    kind: tuple[int, int, int]

    def to_dict(self) -> dict[str, object]:
        """Plain values for a file."""
        power = [None if v != v else v for v in self.power.tolist()]
        deviation, look = self.deviation.tolist(), self.look.tolist()
        return {"deviation": deviation, "power": power, "look": look, "noise": self.noise, "kind": list(self.kind)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Sight:
        """The way back. Raises ValueError, TypeError or KeyError where it is none."""
        power = np.array(values["power"], float)
        deviation, look = (np.array(values[name], float) for name in ("deviation", "look"))
        height, width, bits = map(int, values["kind"])
        made = Sight(deviation, power, look, float(values["noise"]), (height, width, bits))
        if (
            deviation.shape != (CELLS, CELLS)
            or look.shape != (16, 16)
            or power.shape != (len(BINS) - 1,)
            or not (made.deviation > 0).all()
        ):
            raise ValueError("it is no sight of a camera")
        return made


def read_sight(path: Path) -> Sight:
    """How a camera once saw, by the JSON of `irtrack selftest` or a station's `selftest/CAMERA.json`.

    Raises FileNotFoundError where there is none, IrtrackError with one line where it cannot be used.
    """
    try:
        return Sight.from_dict(json.loads(read_text(path, LARGEST_BYTES))["reference"])
    except FileNotFoundError:
        raise
    except OSError as error:
        raise IrtrackError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise IrtrackError(f"{path} is no reference of irtrack selftest: have one made anew") from error


def sight_of(images: Sequence[Image]) -> Sight:
    """Of some pictures, by a few of them."""
    some = [images[i] for i in sorted({0, len(images) // 2, len(images) - 1})]
    deviation = np.mean([cells(local_deviation(image)) for image in some], 0)
    power = np.mean([power_of(image) for image in some], 0)
    return Sight(deviation, power, look_of(some[0]), float(np.mean([noise(i) for i in some])), kind_of(some[0]))


def kind_of(image: Image) -> tuple[int, int, int]:
    """Height, width and bits."""
    return image.shape[0], image.shape[1], 8 * image.dtype.itemsize


def look_of(image: Image) -> Floats:
    """The picture in 16 by 16, of mean 0 and length 1."""
    small = cv2.resize(image.astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA).astype(float)
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-9)


def local_deviation(image: Image, reach_px: int = REACH_PX) -> NDArray[np.float32]:
    """Standard deviation (H, W) of each pixel's surroundings, so far to each side, in counts."""
    grey = image.astype(np.float32)
    grey -= grey.mean()
    size = (2 * reach_px + 1, 2 * reach_px + 1)
    mean, square = cv2.blur(grey, size), cv2.blur(grey * grey, size)
    out: NDArray[np.float32] = np.sqrt(np.maximum(square - mean * mean, QUANTISATION_STD**2))
    return out


def cells(values: NDArray[np.float32]) -> Floats:
    """The mean of each cell of a picture."""
    return cv2.resize(values, (CELLS, CELLS), interpolation=cv2.INTER_AREA).astype(float)


def deviation_at(sight: Sight, xy: Floats, shape: tuple[int, int]) -> Floats:
    """The local deviation (N,) of places (N, 2) in pictures of `shape`."""
    cell = np.clip((xy * CELLS / np.array([shape[1], shape[0]])).astype(int), 0, CELLS - 1)
    out: Floats = sight.deviation[cell[:, 1], cell[:, 0]]
    return out


def power_of(image: Image) -> Floats:
    """Power by frequency, without that of noise; NaN where that hides it."""
    grey = image.astype(np.float64)
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    grey = (grey - grey.mean()) * window
    power = np.abs(np.fft.rfft2(grey)) ** 2 / (window**2).sum()
    radius = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None])
    floor = float(np.median(power[radius > 0.45])) / np.log(2)  # the median of power that is noise lies below its mean
    which = np.digitize(radius, BINS)
    mean = np.array([power[which == i].mean() if (which == i).any() else np.nan for i in range(1, len(BINS))])
    return np.where(mean > CLEAR * floor, mean - floor, np.nan)


def blur_px(now: Sight, before: Sight) -> float | None:
    """Standard deviation in px of a blur that came upon the optics since; None where the scene does not tell.

    A Gaussian blur takes exp(-(2 pi sigma f)^2) of the power at frequency f; the scene may have more or less contrast
    than before, and fades by its square.
    """
    both = np.isfinite(before.power) & np.isfinite(now.power)
    f2 = ((BINS[1:] + BINS[:-1]) / 2) ** 2
    if both.sum() < 5 or float((now.look * before.look).sum()) < SAME:
        return None
    (slope, _), error = np.polyfit(f2[both], np.log(now.power[both] / before.power[both]), 1, cov=True)
    sigma = float(np.sqrt(max(-slope, 0.0)) / (2 * np.pi))
    return sigma if sigma >= LEAST_BLUR_PX and -slope > SURE * float(error[0, 0]) ** 0.5 else 0.0


@dataclass(frozen=True)
class Planted:
    """A target that was put in: `xy_px` (F, 2), its centre in each picture; `peak` in counts, as it was put in; `seen`:
    in how many pictures it was found, filled as they are looked at."""

    scr: float
    xy_px: Floats
    peak: float
    seen: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class Optics:
    """`psf_px`: standard deviation of the point spread in good sight; `blur_px`: what has come upon it."""

    psf_px: float
    blur_px: float = 0.0

    @property
    def spread_px(self) -> float:
        """Of a point by now."""
        return float(np.hypot(self.psf_px, self.blur_px))

    @property
    def kept(self) -> float:
        """Share of a point's peak that is left of it: its light stays the same."""
        return (self.psf_px / self.spread_px) ** 2


def plan(
    shape: tuple[int, int],
    count: int,
    scrs: Sequence[float],
    sight: Sight,
    taken: Floats,
    speeds_px_s: Floats,
    times_s: Floats,
    scenes: Sequence[Floats],
    rng: np.random.Generator,
) -> list[Planted]:
    """Up to `count` targets, the SCRs in turn, on straight paths through free places of pictures of `shape`.

    `taken` (M, 2): places to keep away from. `speeds_px_s`: to choose from. `scenes`: the motion of the scene in each
    picture, which targets go along with.
    """
    planted: list[Planted] = []
    most = RAGGED * float(np.median(sight.deviation))
    for scr in (scrs[i % len(scrs)] for i in range(count)):
        for _ in range(TRIES):
            path = path_in(shape, float(rng.choice(speeds_px_s)), times_s, scenes, rng)
            free = all(far(path, other.xy_px) for other in planted) and far(path, taken)
            if path.min() >= APART_PX / 2 and (path < np.array(shape)[::-1] - APART_PX / 2).all() and free:
                deviation = deviation_at(sight, path, shape)
                if deviation.max() <= most:
                    planted.append(Planted(scr, path, scr * float(np.median(deviation))))
                    break
        else:
            break  # the picture is full
    return planted


def path_in(
    shape: tuple[int, int], speed_px_s: float, times_s: Floats, scenes: Sequence[Floats], rng: np.random.Generator
) -> Floats:
    """Places (F, 2) of a target that is anywhere in the middle of the time, and flies straight on in the scene."""
    angle = rng.uniform(0, 2 * np.pi)
    middle = rng.uniform([0, 0], [shape[1], shape[0]])
    away = (times_s - times_s[len(times_s) // 2])[:, None] * speed_px_s * np.array([np.cos(angle), np.sin(angle)])
    if all(s is STILL or np.array_equal(s, scenes[0]) for s in scenes):
        return middle + away
    k = len(times_s) // 2
    back = np.linalg.inv(np.vstack([scenes[k], [0, 0, 1]]))[:2]
    fixed = moved(back, middle + away)
    return np.array([moved(scene, place[None])[0] for scene, place in zip(scenes, fixed, strict=True)])


def far(path: Floats, others: Floats) -> bool:
    """Whether a path (F, 2) keeps away from places (M, 2)."""
    if not len(others):
        return True
    some = path[:: max(len(path) // 8, 1)]
    return bool(np.linalg.norm(some[:, None] - others[None], axis=2).min() > APART_PX)


def with_targets(image: Image, planted: Sequence[Planted], k: int, optics: Optics, rng: np.random.Generator) -> Image:
    """A copy of picture `k` with the targets in it. Counts are rounded by chance, as a sensor's noise does it."""
    light = np.zeros(image.shape, np.float32)
    for target in planted:
        x, y = target.xy_px[k].tolist()
        add_target(light, x, y, target.peak * optics.kept, optics.spread_px)
    rows, columns = np.nonzero(light > 1e-3)
    value = image[rows, columns] + light[rows, columns] + rng.random(len(rows), np.float32)
    out = image.copy()
    out[rows, columns] = np.minimum(np.floor(value), np.iinfo(image.dtype).max).astype(image.dtype)
    return out
