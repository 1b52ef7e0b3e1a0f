"""What is drawn into training crops: targets of known shape, and the text and marks that recorders burn in."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from irtrack.core import Floats
from irtrack.train.data import Grey, Mask, Rng
from irtrack.train.spots import as_one

AREA_PX, SCR, CONTRAST_LEVELS = (20.0, 0.8), (10.5, 0.75), (52.0, 0.55)
"""Medians and logarithmic spreads of real targets: pixels, signal-to-clutter ratio, grey levels of 255."""

DIM_SCR, LEAST_DIM_LEVELS, TEXTURE_PX = (3.5, 9.0), (3.0, 8.0), 9
"""Dim targets: ratio to the texture, least grey levels of 255, and what is smaller than how much is texture."""

SHAPED, POINTS = 0.35, 0.2
"""Shares of injected targets that are long, winged or of several spots, and of points; the others are blobs."""

POINT_SIGMA_PX = (0.25, 0.75)
"""Blur of a point: sharp optics before large pixels. Labelled data sets have next to no targets of 1 to 3 pixels."""

LENGTH_PX = (14.0, 0.45)
"""Median and logarithmic spread of a long target's length."""

AT_EDGES, EDGE_TRIES = 0.3, 6
"""Share of injected targets that are placed where the picture changes most, of so many places."""

BESIDE_PX, BESIDE_RATIO = 5.0, (2.0, 6.0)
"""Targets at structures: how far beside their lines, and how many times as strong as what these do in the picture."""

SUPERSAMPLED = 4

WEAKEST_SHAPE = 0.35
"""Where a drawn target has more than this of its peak, it is labelled..."""

WEAKEST_DIM_SHAPE = 0.7
"""... and where it has more than this, however faint it is."""


def spread(of: tuple[float, float], rng: Rng) -> float:
    """A log-normal value, within two spreads of its median."""
    median, width = of
    return float(median * np.exp(width * np.clip(rng.standard_normal(), -2, 2)))


def blob(rng: Rng) -> Floats:
    """A blurred point or a flat-topped blob, peak 1."""
    ratio, angle = float(rng.uniform(0.45, 1.0)), float(rng.uniform(0, np.pi))
    # A Gaussian lies above 0.35 of its peak within 2 ln(1 / 0.35) sigma^2 of its centre.
    sigma = max(0.5, float(np.sqrt(spread(AREA_PX, rng) / (2 * np.pi * np.log(1 / WEAKEST_SHAPE) * ratio))))
    reach = int(np.ceil(4 * sigma)) + 1
    yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    dx, dy = xx - rng.uniform(-0.5, 0.5), yy - rng.uniform(-0.5, 0.5)
    u, v = dx * np.cos(angle) + dy * np.sin(angle), (dy * np.cos(angle) - dx * np.sin(angle)) / ratio
    power = 2.0 if rng.random() < 0.7 else 4.0  # a flat-topped blob is a resolved target
    shape: Floats = np.exp(-0.5 * ((u / sigma) ** 2 + (v / sigma) ** 2) ** (power / 2))
    return shape


def point(rng: Rng) -> Floats:
    """What optics make of a thing far smaller than a pixel, summed over each pixel: 1 to 4 bright ones, peak 1."""
    sigma, reach = float(rng.uniform(*POINT_SIGMA_PX)), 4
    edges = np.arange(-reach, reach + 2) - 0.5
    across, down = (np.diff(ndtr((edges - rng.uniform(-0.5, 0.5)) / sigma)) for _ in range(2))
    shape: Floats = np.outer(down, across)
    return shape / float(shape.max())


def silhouette(rng: Rng) -> Floats:
    """A long thing, an aircraft with wings, a drone's arms and motors: drawn large, blurred and made small, peak 1."""
    length = spread(LENGTH_PX, rng)
    reach = int(np.ceil(0.75 * length)) + 3
    k, side = SUPERSAMPLED, 2 * reach + 1
    canvas = np.zeros((side * k, side * k), np.uint8)
    middle = np.array([side * k / 2, side * k / 2])
    angle = float(rng.uniform(0, np.pi))
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])

    def bar(at: Floats, way: Floats, long: float, wide: float, level: int) -> None:
        ends = [tuple(int(v) for v in np.round(at + e * way * long * k / 2)) for e in (-1, 1)]
        cv2.line(canvas, ends[0], ends[1], level, max(1, round(wide * k)), cv2.LINE_AA)

    kind = rng.integers(3)
    if kind == 0:
        bar(middle, along, length, length * float(rng.uniform(0.12, 0.35)), 255)
    elif kind == 1:
        body = length * float(rng.uniform(0.08, 0.2))
        bar(middle, along, length, body, 255)
        sweep = across + along * float(rng.uniform(-0.5, 0.5))
        wings = length * float(rng.uniform(0.4, 1.1))
        bar(middle, sweep, wings, body * float(rng.uniform(0.4, 0.9)), int(rng.integers(110, 256)))
        if rng.random() < 0.6:
            bar(middle - along * length * k * 0.42, across, wings * 0.35, body * 0.6, int(rng.integers(110, 256)))
    else:
        bar(middle, along, length * 0.8, length * 0.08, int(rng.integers(60, 200)))
        for at in np.linspace(-0.4, 0.4, int(rng.integers(2, 5))):
            centre = middle + (along * at + across * float(rng.uniform(-0.12, 0.12))) * length * k
            radius = max(1, round(length * k * float(rng.uniform(0.06, 0.14))))
            cv2.circle(canvas, tuple(int(v) for v in centre), radius, int(rng.integers(150, 256)), -1, cv2.LINE_AA)
    optics = cv2.GaussianBlur(canvas.astype(np.float32), (0, 0), k * float(rng.uniform(0.5, 1.1)))
    shape = cv2.resize(optics, (side, side), interpolation=cv2.INTER_AREA).astype(np.float64)
    return np.asarray(shape / max(float(shape.max()), 1e-6))


def inject_targets(image: Grey, mask: Mask, rng: Rng, near: Mask | None = None) -> tuple[Grey, Mask]:
    """Add one to three targets, bright or dark, by local signal-to-clutter ratio; at `near`, where that is given.

    Areas, ratios and contrasts follow those of real targets in SIRST-v1 (Dai et al., WACV 2021), as log-normals.
    """

    def amplitude(patch: Grey) -> float:
        """The ratio where the background has texture, the contrast where it is too flat to tell.

        At a structure's lines, which are texture, that ratio would make all of them white.
        """
        ratio = spread(SCR, rng) if near is None else float(rng.uniform(*BESIDE_RATIO))
        return max(ratio * float(patch.std()), 0.4 * spread(CONTRAST_LEVELS, rng), 8.0)

    return inject(image, mask, amplitude, rng, near)


def inject_dim_targets(image: Grey, mask: Mask, rng: Rng, near: Mask | None = None) -> tuple[Grey, Mask]:
    """Add one to three targets that are just seen, at `near` if given: a few times what the picture does from pixel to
    pixel there."""

    def amplitude(patch: Grey) -> float:
        texture = patch - cv2.blur(patch, (TEXTURE_PX, TEXTURE_PX))
        return max(float(rng.uniform(*DIM_SCR)) * float(texture.std()), float(rng.uniform(*LEAST_DIM_LEVELS)))

    return inject(image, mask, amplitude, rng, near)


def inject(
    image: Grey, mask: Mask, amplitude: Callable[[Grey], float], rng: Rng, near: Mask | None = None
) -> tuple[Grey, Mask]:
    """Add one to three targets, at `near` if given; `amplitude` tells their grey levels above a patch of the image."""
    size = image.shape[0]
    image, mask = image.copy(), mask.copy()
    for _ in range(int(rng.integers(1, 4))):
        kind = rng.random()
        shape = silhouette(rng) if kind < SHAPED else point(rng) if kind < SHAPED + POINTS else blob(rng)
        side = shape.shape[0]
        if size <= side + 2:
            continue
        window = place_for(image, side, rng) if near is None else place_at(near, side, rng)
        patch = image[window]
        levels = amplitude(patch)
        dark = rng.random() < 0.3
        level = float(patch.mean())
        room = level if dark else 255 - level
        if room < 12:
            dark, room = not dark, 255 - room
        levels = min(levels, room)
        image[window] = np.clip(patch + (-levels if dark else levels) * shape, 0, 255)
        mask[window] |= as_one(shape > max(WEAKEST_SHAPE, min(4.0 / levels, WEAKEST_DIM_SHAPE)))
    return image, mask


def place_for(image: Grey, side: int, rng: Rng) -> tuple[slice, slice]:
    """A window for a target, anywhere, or where of some places the picture changes most: along horizons and roofs."""
    windows = [
        np.s_[y : y + side, x : x + side]
        for y, x in rng.integers(0, image.shape[0] - side, (EDGE_TRIES if rng.random() < AT_EDGES else 1, 2))
    ]
    return max(windows, key=lambda window: float(image[window].std()))


def place_at(near: Mask, side: int, rng: Rng) -> tuple[slice, slice]:
    """A window for a target, its middle at one of these pixels or a little beside it; anywhere if there are none."""
    ys, xs = np.nonzero(near)
    room = near.shape[0] - side
    if not len(ys):
        y, x = (int(v) for v in rng.integers(0, room, 2))
    else:
        k = int(rng.integers(len(ys)))
        aside = rng.normal(0, BESIDE_PX, 2)
        y, x = (int(np.clip(at - side / 2 + off, 0, room - 1)) for at, off in zip((ys[k], xs[k]), aside, strict=True))
    return np.s_[y : y + side, x : x + side]


FONTS = tuple(range(8))
"""All of OpenCV's stroke fonts (FONT_HERSHEY_SIMPLEX to FONT_HERSHEY_SCRIPT_COMPLEX)."""

LETTERS = list("0123456789:.-/,()=ABCDEFGHIKLMNOPRSTVWXYZabdefghiklmnoprstuxz+%")


def write_text(
    drawn: NDArray[np.uint8], at: tuple[int, int], value: int, rng: Rng, outline: NDArray[np.uint8] | None
) -> None:
    """Some characters in some font."""
    text = "".join(rng.choice(LETTERS, int(rng.integers(1, 14))))
    font = int(rng.choice(FONTS)) | (cv2.FONT_ITALIC if rng.random() < 0.1 else 0)
    scale, width = float(rng.uniform(0.3, 1.2)), int(rng.integers(1, 3))
    if outline is not None:
        cv2.putText(outline, text, at, font, scale, value, width + 2)
    cv2.putText(drawn, text, at, font, scale, value, width)


def write_signs(drawn: NDArray[np.uint8], at: tuple[int, int], value: int, rng: Rng) -> None:
    """A row of signs of a few strokes each, as dense as Chinese ones."""
    cell = int(rng.integers(9, 26))
    for n in range(int(rng.integers(1, 7))):
        left, top = at[0] + n * (cell + 2), at[1]
        for _ in range(int(rng.integers(3, 9))):
            a, b = rng.integers(0, cell, 2), rng.integers(0, cell, 2)
            straight = rng.random()
            if straight < 0.8:  # most strokes are level or upright
                b[int(straight < 0.4)] = a[int(straight < 0.4)]
            start, end = (left + int(a[0]), top + int(a[1])), (left + int(b[0]), top + int(b[1]))
            cv2.line(drawn, start, end, value, 1 if cell < 18 else 2)


def add_clutter(image: Grey, mask: Mask, rng: Rng) -> tuple[Grey, Mask]:
    """Burnt-in text, reticles, frames and bars as recorders draw them: no targets, and they hide what they cover."""
    size = image.shape[0]
    drawn, outline = np.zeros(image.shape, np.uint8), np.zeros(image.shape, np.uint8)
    outlined = rng.random() < 0.3
    for _ in range(int(rng.integers(1, 4))):
        x, y = (int(v) for v in rng.integers(0, size, 2))
        kind = rng.integers(5)
        if kind <= 1:
            write_text(drawn, (x - 20, y), 255, rng, outline if outlined else None)
        elif kind == 2:
            write_signs(drawn, (x - 20, y), 255, rng)
        elif kind == 3:
            arm, gap, width = int(rng.integers(4, 40)), int(rng.integers(0, 6)), int(rng.integers(1, 3))
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                cv2.line(drawn, (x + dx * gap, y + dy * gap), (x + dx * arm, y + dy * arm), 255, width)
        else:
            w, h = (int(v) for v in rng.integers(6, 60, 2))
            cv2.rectangle(drawn, (x, y), (x + w, y + h), 255, -1 if rng.random() < 0.2 else 1)
    return burnt_in(image, mask, drawn, outline, rng)


def burnt_in(
    image: Grey, mask: Mask, drawn: NDArray[np.uint8], outline: NDArray[np.uint8], rng: Rng
) -> tuple[Grey, Mask]:
    """Lay what was drawn (H, W), and its outline in the opposite level, over a picture; both hide what they cover."""
    level = 255.0 if rng.random() < 0.6 else 0.0 if rng.random() < 0.5 else float(rng.uniform(0, 255))
    over, beside = drawn > 0, outline > 0
    image = np.where(beside, np.float32(255 - level), image)
    image = np.where(over, np.float32(level), image)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (3, 3), float(rng.uniform(0.3, 0.9)))
    return image.astype(np.float32), mask & ~over & ~beside
