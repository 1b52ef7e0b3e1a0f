"""From a labelled image to a training crop: geometry, then what is added, then the sensor. numpy and cv2 only.

Every function takes the generator that decides, so a crop is a pure function of (seed, step, position) and a resumed
run sees the same crops as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.config import Checked, option
from irtrack.core import Floats
from irtrack.train.data import Grey, Mask, Rng, Sample, turn
from irtrack.train.losses import UNKNOWN
from irtrack.train.marks import add_mark
from irtrack.train.paste import erased, paste_target
from irtrack.train.structures import add_structure
from irtrack.train.synthetic import add_clutter, inject_dim_targets, inject_targets

BEFORE_STRUCTURE = 0.65
"""Share of drawn structures with targets before them: the others teach that they are none."""

STRIPED = 0.35
"""Share of dim targets that lie on the stripes that a correction of columns leaves, whatever the sensor does else."""


@dataclass(frozen=True)
class AugmentSettings(Checked):
    """How strongly crops differ from the images on disk; zero chances give plain crops."""

    whole: bool = option(False, "the whole image resized to the crop's size, neither zoomed nor turned")
    target_centred: float = option(0.65, "chance that a crop is placed on a target", low=0.0, high=1.0)
    zoom: float = option(
        0.5, "chance that a crop is zoomed; the others keep their pixels as they are", low=0.0, high=1.0
    )
    scale_low: float = option(0.6, "smallest zoom", low=0.1, high=1.0)
    scale_high: float = option(2.2, "largest zoom", low=1.0, high=8.0)
    inject: float = option(0.35, "chance that synthetic targets are added", low=0.0, high=1.0)
    dim: float = option(0.0, "chance that dim synthetic targets are added", low=0.0, high=1.0)
    paste: float = option(0.0, "chance that targets of other images are added", low=0.0, high=1.0)
    erase: float = option(0.0, "chance that the image's own targets are erased", low=0.0, high=1.0)
    structure: float = option(
        0.0,
        "chance of a tower, mast, wires, wall or woods behind the targets, mostly with one before it",
        low=0.0,
        high=1.0,
    )
    invert: float = option(0.15, "chance that grey levels are inverted (dark targets)", low=0.0, high=1.0)
    clutter: float = option(0.2, "chance of burnt-in text, reticles and bars (never labelled)", low=0.0, high=1.0)
    marks: float = option(0.0, "chance of a reticle, gate or brackets, mostly round a target", low=0.0, high=1.0)
    sensor: float = option(
        0.5, "chance of each of gain, noise, blur, sharpening, stripes and compression", low=0.0, high=1.0
    )


def crop(
    sample: Sample, size: int, settings: AugmentSettings, rng: Rng, near: tuple[float, float] | None = None
) -> tuple[Grey, Mask, Mask]:
    """A zoomed, flipped square, near a place (x, y) or a target or anywhere.

    Returns float32 grey levels 0 to 255, the targets' mask, and where nothing is known.
    """
    ignore = np.zeros_like(sample.mask) if sample.ignore is None else sample.ignore
    if settings.whole:
        image = cv2.resize(sample.image.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
        label, unknown = (
            cv2.resize(m.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST) > 0
            for m in (sample.mask, ignore)
        )
        return image, label, unknown
    h, w = sample.image.shape
    zoom = 1.0
    if rng.random() < settings.zoom:
        zoom = float(np.exp(rng.uniform(np.log(settings.scale_low), np.log(settings.scale_high))))
    side = max(8, round(size / zoom))
    ys, xs = np.nonzero(sample.mask)
    if near is None and len(ys) and rng.random() < settings.target_centred:
        k = rng.integers(len(ys))
        near = float(xs[k]), float(ys[k])
    if near is not None:
        cy, cx = near[1] + rng.uniform(-0.4, 0.4) * side, near[0] + rng.uniform(-0.4, 0.4) * side
    else:
        cy, cx = rng.uniform(0, h), rng.uniform(0, w)
    top = int(np.clip(cy - side / 2, min(0, (h - side) // 2), max(h - side, (h - side) // 2)))
    left = int(np.clip(cx - side / 2, min(0, (w - side) // 2), max(w - side, (w - side) // 2)))
    rows = slice(max(top, 0), min(top + side, h))
    cols = slice(max(left, 0), min(left + side, w))
    image = sample.image[rows, cols].astype(np.float32)
    masks = [m[rows, cols].astype(np.float32) for m in (sample.mask, ignore)]
    pad = (rows.start - top, top + side - rows.stop, cols.start - left, left + side - cols.stop)
    if any(pad):
        image, *masks = (cv2.copyMakeBorder(picture, *pad, cv2.BORDER_REFLECT_101) for picture in (image, *masks))
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
    soft = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    share = 0.35 if zoom < 1 else 0.45
    image = np.clip(cv2.resize(image, (size, size), interpolation=how), 0, 255)
    label, unknown = (cv2.resize(m, (size, size), interpolation=soft) > share for m in masks)
    turned = int(rng.integers(8))
    return turn(image, turned).astype(np.float32), turn(label, turned), turn(unknown, turned)


def apply_sensor(image: Grey, chance: float, rng: Rng) -> Grey:
    """What an 8-bit infrared camera and its recorder do: gain, offset, gamma, blur, sharpening, noise, stripes,
    compression."""
    if rng.random() < chance:
        mean = image.mean()
        image = (image - mean) * float(np.exp(rng.uniform(-0.9, 0.5))) + mean + float(rng.uniform(-50, 50))
    if rng.random() < chance / 2:
        image = 255 * (np.clip(image, 0, 255) / 255) ** float(np.exp(rng.uniform(-0.4, 0.4)))
    if rng.random() < chance / 3:
        image = cv2.GaussianBlur(image, (5, 5), float(rng.uniform(0.3, 0.9)))
    if rng.random() < chance / 2:
        image = sharpened(image, rng)
    if rng.random() < chance:
        image = image + rng.normal(0, rng.uniform(0.3, 5.0), image.shape)
    if rng.random() < chance / 2:
        image = image + stripes(image.shape, rng)
    image = np.clip(image, 0, 255).astype(np.float32)
    if rng.random() < chance / 2:
        quality = int(rng.integers(25, 90))
        ok, code = cv2.imencode(".jpg", image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
        if ok:
            decoded = cv2.imdecode(code, cv2.IMREAD_GRAYSCALE)
            assert decoded is not None
            image = decoded.astype(np.float32)
    return image


def sharpened(image: Grey, rng: Rng) -> Grey:
    """Edges enhanced, as thermal cores do it for the eye: a target gets a halo of the opposite sign."""
    detail = image - cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.8, 3.0)))
    return image + float(np.exp(rng.uniform(np.log(0.3), np.log(2.5)))) * detail


def stripes(shape: tuple[int, ...], rng: Rng) -> Grey:
    """What a correction of columns, or of rows, has left (1, W) or (H, 1), in grey levels."""
    strength = np.exp(rng.uniform(np.log(0.3), np.log(8.0)))
    return rng.normal(0, strength, (1, shape[1]) if rng.random() < 0.7 else (shape[0], 1))


def training_crop(
    sample: Sample,
    size: int,
    settings: AugmentSettings,
    rng: Rng,
    near: tuple[float, float] | None = None,
    donors: Sequence[Sample] = (),
) -> tuple[Grey, Grey]:
    """One crop: image (size, size) float32 in [0, 1] on the grid of 8-bit levels, mask (size, size) float32.

    The mask is 1 on targets, 0 on background, `UNKNOWN` where the loss shall not look. `near`: where, in (x, y);
    `donors`: images whose targets are pasted.
    """
    image, mask, unknown = crop(sample, size, settings, rng, near)
    for donor in donors:
        image, mask = paste_target(image, mask, donor, rng)
    if settings.structure and rng.random() < settings.structure:
        image, there = add_structure(image, mask, rng)
        if rng.random() < BEFORE_STRUCTURE:
            image, mask = inject_targets(image, mask, rng, near=there)
    if rng.random() < settings.invert:
        image = 255 - image
    if rng.random() < settings.inject:
        image, mask = inject_targets(image, mask, rng)
    if rng.random() < settings.clutter:
        image, mask = add_clutter(image, mask, rng)
    inside = None
    if settings.marks and rng.random() < settings.marks:
        image, mask, inside = add_mark(image, mask, rng)
    image = apply_sensor(image, settings.sensor, rng)
    if settings.dim and rng.random() < settings.dim:  # above the noise that there is, or nobody could see them
        if rng.random() < STRIPED:
            image = np.clip(image + stripes(image.shape, rng), 0, 255).astype(np.float32)
        image, mask = inject_dim_targets(image, mask, rng, inside)
    known = np.where(unknown & ~mask, np.float32(UNKNOWN), mask.astype(np.float32))
    return np.round(np.clip(image, 0, 255)) / np.float32(255), known


@dataclass(frozen=True)
class Mix:
    """Where crops come from: sets with their shares, and hard spots (N, 4: set, image, x, y) with theirs."""

    sets: Sequence[Sequence[Sample]]
    shares: Sequence[float]
    spots: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    mined: float = 0.0

    def draw(self, rng: Rng) -> tuple[Sample, tuple[float, float] | None]:
        """An image, and the place to look at if it is a hard one."""
        if len(self.spots) and rng.random() < self.mined:
            k, i, x, y = self.spots[int(rng.integers(len(self.spots)))]
            return self.sets[int(k)][int(i)], (float(x), float(y))
        chosen = self.sets[int(rng.choice(len(self.sets), p=np.asarray(self.shares) / np.sum(self.shares)))]
        return chosen[int(rng.integers(len(chosen)))], None


def training_batch(
    mix: Mix, positions: Sequence[int], size: int, settings: AugmentSettings, key: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Crops and masks (N, 1, size, size) of these positions of a batch; `key` and the position seed each."""
    images = np.empty((len(positions), 1, size, size), np.float32)
    masks = np.empty_like(images)
    for row, position in enumerate(positions):
        rng = np.random.default_rng([*key, position])
        sample, near = mix.draw(rng)
        if settings.erase and rng.random() < settings.erase:
            sample = erased(sample)
        donors = []
        if settings.paste and rng.random() < settings.paste:
            drawn = [mix.draw(rng)[0] for _ in range(int(rng.integers(1, 4)))]
            donors = [donor for donor in drawn if donor.ignore is None]  # a mask from a box may hold half a target
        images[row, 0], masks[row, 0] = training_crop(sample, size, settings, rng, near, donors)
    return images, masks
