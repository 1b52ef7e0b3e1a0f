"""From a labelled image to a training crop: geometry, injected targets, clutter, sensor. numpy and cv2 only.

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
from irtrack.train.data import Grey, Mask, Rng, Sample
from irtrack.train.paste import erased, paste_target


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
    paste: float = option(0.0, "chance that targets of other images are added", low=0.0, high=1.0)
    erase: float = option(0.0, "chance that the image's own targets are erased", low=0.0, high=1.0)
    invert: float = option(0.15, "chance that grey levels are inverted (dark targets)", low=0.0, high=1.0)
    clutter: float = option(0.2, "chance of burnt-in text, reticles and bars (never labelled)", low=0.0, high=1.0)
    sensor: float = option(0.5, "chance of each of gain, noise, blur, stripes and compression", low=0.0, high=1.0)


def crop(
    sample: Sample, size: int, settings: AugmentSettings, rng: Rng, near: tuple[float, float] | None = None
) -> tuple[Grey, Mask]:
    """A zoomed, flipped square, near a place (x, y) or a target or anywhere; float32 grey levels 0 to 255."""
    if settings.whole:
        label = cv2.resize(sample.mask.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST) > 0
        return cv2.resize(sample.image.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR), label
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
    image, mask = sample.image[rows, cols].astype(np.float32), sample.mask[rows, cols].astype(np.float32)
    pad = (rows.start - top, top + side - rows.stop, cols.start - left, left + side - cols.stop)
    if any(pad):
        image = cv2.copyMakeBorder(image, *pad, cv2.BORDER_REFLECT_101)
        mask = cv2.copyMakeBorder(mask, *pad, cv2.BORDER_REFLECT_101)
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
    soft = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    image = np.clip(cv2.resize(image, (size, size), interpolation=how), 0, 255)
    label = soft > 0.45 if zoom >= 1 else soft > 0.35
    turn = int(rng.integers(8))
    image, label = np.rot90(image, turn % 4), np.rot90(label, turn % 4)
    if turn >= 4:
        image, label = image[:, ::-1], label[:, ::-1]
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(label)


AREA_PX, SCR, CONTRAST_LEVELS = (20.0, 0.8), (10.5, 0.75), (52.0, 0.55)
"""Medians and logarithmic spreads of real targets: pixels, signal-to-clutter ratio, grey levels of 255."""


def spread(of: tuple[float, float], rng: Rng) -> float:
    """A log-normal value, within two spreads of its median."""
    median, width = of
    return float(median * np.exp(width * np.clip(rng.standard_normal(), -2, 2)))


def inject_targets(image: Grey, mask: Mask, rng: Rng) -> tuple[Grey, Mask]:
    """Add one to three blurred points or small blobs, bright or dark, by local signal-to-clutter ratio.

    Areas, ratios and contrasts follow those of real targets in SIRST-v1 (Dai et al., WACV 2021), as log-normals.
    """
    size = image.shape[0]
    image, mask = image.copy(), mask.copy()
    for _ in range(int(rng.integers(1, 4))):
        ratio, angle = float(rng.uniform(0.45, 1.0)), float(rng.uniform(0, np.pi))
        # A Gaussian lies above 0.35 of its peak within 2 ln(1 / 0.35) sigma^2 of its centre.
        sigma = max(0.5, float(np.sqrt(spread(AREA_PX, rng) / (2 * np.pi * np.log(1 / 0.35) * ratio))))
        reach = int(np.ceil(4 * sigma)) + 1
        if size <= 2 * reach + 2:
            continue
        cx, cy = rng.uniform(reach, size - reach - 1, 2)
        x0, y0 = round(cx) - reach, round(cy) - reach
        window = np.s_[max(y0, 0) : y0 + 2 * reach + 1, max(x0, 0) : x0 + 2 * reach + 1]
        yy, xx = np.mgrid[window]
        dx, dy = xx - cx, yy - cy
        u, v = dx * np.cos(angle) + dy * np.sin(angle), (dy * np.cos(angle) - dx * np.sin(angle)) / ratio
        power = 2.0 if rng.random() < 0.7 else 4.0  # a flat-topped blob is a resolved target
        shape = np.exp(-0.5 * ((u / sigma) ** 2 + (v / sigma) ** 2) ** (power / 2)).astype(np.float32)
        patch = image[window]
        # The ratio where the background has texture, the contrast where it is too flat to tell.
        amplitude = max(spread(SCR, rng) * float(patch.std()), 0.4 * spread(CONTRAST_LEVELS, rng), 8.0)
        dark = rng.random() < 0.3
        level = float(patch.mean())
        room = level if dark else 255 - level
        if room < 12:
            dark, room = not dark, 255 - room
        amplitude = min(amplitude, room)
        image[window] = np.clip(patch + (-amplitude if dark else amplitude) * shape, 0, 255)
        mask[window] |= shape > max(0.35, 4.0 / amplitude)
    return image, mask


def add_clutter(image: Grey, mask: Mask, rng: Rng) -> tuple[Grey, Mask]:
    """Burnt-in text, reticles, frames and bars as recorders draw them: no targets, and they hide what they cover."""
    size = image.shape[0]
    drawn = np.zeros(image.shape, np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        x, y = (int(v) for v in rng.integers(0, size, 2))
        kind = rng.integers(4)
        if kind <= 1:
            text = "".join(rng.choice(list("0123456789:.-/ABCEFHIKLMNORSTVWXZ+%"), int(rng.integers(1, 12))))
            font = int(rng.choice([cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX]))
            cv2.putText(drawn, text, (x - 20, y), font, float(rng.uniform(0.3, 1.1)), 255, int(rng.integers(1, 3)))
        elif kind == 2:
            arm, gap, width = int(rng.integers(4, 40)), int(rng.integers(0, 6)), int(rng.integers(1, 3))
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                cv2.line(drawn, (x + dx * gap, y + dy * gap), (x + dx * arm, y + dy * arm), 255, width)
        else:
            w, h = (int(v) for v in rng.integers(6, 60, 2))
            cv2.rectangle(drawn, (x, y), (x + w, y + h), 255, -1 if rng.random() < 0.2 else 1)
    level = 255.0 if rng.random() < 0.6 else 0.0 if rng.random() < 0.5 else float(rng.uniform(0, 255))
    over = drawn > 0
    image = np.where(over, np.float32(level), image)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (3, 3), float(rng.uniform(0.3, 0.9)))
    return image.astype(np.float32), mask & ~over


def apply_sensor(image: Grey, chance: float, rng: Rng) -> Grey:
    """Gain, offset, gamma, blur, noise, stripes and compression of an 8-bit infrared camera and its recorder."""
    if rng.random() < chance:
        mean = image.mean()
        image = (image - mean) * float(np.exp(rng.uniform(-0.9, 0.5))) + mean + float(rng.uniform(-50, 50))
    if rng.random() < chance / 2:
        image = 255 * (np.clip(image, 0, 255) / 255) ** float(np.exp(rng.uniform(-0.4, 0.4)))
    if rng.random() < chance / 3:
        image = cv2.GaussianBlur(image, (5, 5), float(rng.uniform(0.3, 0.9)))
    if rng.random() < chance:
        image = image + rng.normal(0, rng.uniform(0.3, 5.0), image.shape)
    if rng.random() < chance / 4:
        image = image + rng.normal(0, rng.uniform(0.3, 3.0), (1, image.shape[1]))
    image = np.clip(image, 0, 255).astype(np.float32)
    if rng.random() < chance / 2:
        quality = int(rng.integers(25, 90))
        ok, code = cv2.imencode(".jpg", image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
        if ok:
            decoded = cv2.imdecode(code, cv2.IMREAD_GRAYSCALE)
            assert decoded is not None
            image = decoded.astype(np.float32)
    return image


def training_crop(
    sample: Sample,
    size: int,
    settings: AugmentSettings,
    rng: Rng,
    near: tuple[float, float] | None = None,
    donors: Sequence[Sample] = (),
) -> tuple[Grey, Mask]:
    """One crop: image (size, size) float32 in [0, 1] on the grid of 8-bit levels, mask (size, size) bool.

    `near`: where, in (x, y); `donors`: images whose targets are pasted.
    """
    image, mask = crop(sample, size, settings, rng, near)
    for donor in donors:
        image, mask = paste_target(image, mask, donor, rng)
    if rng.random() < settings.invert:
        image = 255 - image
    if rng.random() < settings.inject:
        image, mask = inject_targets(image, mask, rng)
    if rng.random() < settings.clutter:
        image, mask = add_clutter(image, mask, rng)
    image = apply_sensor(image, settings.sensor, rng)
    return np.round(np.clip(image, 0, 255)) / np.float32(255), mask


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
            donors = [mix.draw(rng)[0] for _ in range(int(rng.integers(1, 4)))]
        images[row, 0], masks[row, 0] = training_crop(sample, size, settings, rng, near, donors)
    return images, masks
