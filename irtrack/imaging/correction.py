"""Correction of raw sensor counts: offsets of a flat scene, bad pixels, stripes of columns."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from irtrack.core import LARGEST_SIDE_PX, Floats, Image, IrtrackError
from irtrack.paths import replacing

BAD_SIGMAS = 8.0
"""A pixel whose offset lies so many robust deviations from its neighbours' is bad."""

NOISY, QUIET = 3.5, 0.1
"""Noise in time over that of the usual pixel, from which on a pixel blinks, and up to which it is dead."""

STRIPE_REACH_PX = 15
"""Columns over which the picture is taken to be smooth, where stripes are looked for."""

STRIPE_ROWS = 64
"""Rows that are compared at most; more do not make the median surer where the scene is not flat."""


@dataclass(frozen=True)
class Correction:
    """One-point correction of a camera: counts to take off (H, W) float32, and bad pixels (H, W) bool."""

    offset: NDArray[np.float32]
    bad: NDArray[np.bool_]

    def __call__(self, image: Image) -> Image:
        """The corrected picture, of the same type. Raises IrtrackError where it has another size."""
        if image.shape != self.offset.shape:
            raise IrtrackError(
                f"the correction is for {self.offset.shape[1]}x{self.offset.shape[0]} pixels, the picture has "
                f"{image.shape[1]}x{image.shape[0]}: make one for this camera with irtrack flat"
            )
        top = np.iinfo(image.dtype).max
        flat = np.clip(np.rint(image - self.offset), 0, top).astype(image.dtype)
        return replaced(flat, self.bad)

    def save(self, path: Path) -> None:
        """Write it. Raises IrtrackError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part, part.open("wb") as f:
                np.savez_compressed(f, offset=self.offset, bad=self.bad)
        except OSError as error:
            raise IrtrackError(f"cannot write {path}: {error.strerror}") from error


def load_correction(path: Path) -> Correction:
    """What `save` wrote. Raises IrtrackError."""
    try:
        if path.exists() and not path.is_file():  # a device may be read without end
            raise ValueError("it is no file")
        with zipfile.ZipFile(path) as archive:
            offset, bad = (read_array(archive, name) for name in ("offset.npy", "bad.npy"))
        if offset.shape != bad.shape or not np.isfinite(offset).all() or np.abs(offset).max() > 65535:
            raise ValueError("offsets that no camera has")
        return Correction(offset.astype(np.float32), bad.astype(bool))
    except FileNotFoundError as error:
        raise IrtrackError(f"there is no correction {path}: make one with irtrack flat") from error
    except Exception as error:  # whatever damaged bytes make the parsers raise
        raise IrtrackError(f"{path} is no correction that irtrack flat wrote ({error})") from error


def read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """An array (H, W) of an .npz file; its size is looked at before memory is taken, and no pickle is run."""
    with archive.open(name) as f:
        version = np.lib.format.read_magic(f)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape = read_header(f)[0]
    if len(shape) != 2 or not all(0 < side <= LARGEST_SIDE_PX for side in shape):
        raise ValueError(f"{name} of shape {shape}")
    with archive.open(name) as f:
        return np.lib.format.read_array(f, allow_pickle=False)


def correction_from(frames: NDArray[np.uint8 | np.uint16]) -> Correction:
    """From pictures (N, H, W) of a shutter or a flat scene, out of focus at best. Raises IrtrackError below 8.

    Offsets are what each pixel has over the scene's own slow shading, which stays (a one-point correction; Milton,
    Barone, Kruer, Optical Engineering 24(5), 1985). Bad pixels have an offset far from their neighbours', or noise in
    time that is far above (blinking) or below (dead) the usual one's.
    """
    if len(frames) < 8:
        raise IrtrackError(f"{len(frames)} frames are too few for a correction: record 8 or more, better 60")
    mean = frames.mean(0, dtype=np.float64)
    shading = cv2.GaussianBlur(median_filter(mean, 5, mode="nearest"), (0, 0), max(mean.shape) / 16)
    offset = mean - shading
    apart = np.abs(offset - median_filter(offset, 5, mode="nearest"))
    bad: NDArray[np.bool_] = apart > BAD_SIGMAS * spread(apart)
    noise = frames.std(0, dtype=np.float64)
    usual = float(np.median(noise))
    if usual > 0:  # quantised to nothing: no noise to judge by
        bad |= (noise > NOISY * usual) | (noise < QUIET * usual)
    if bad.mean() > 0.1:
        raise IrtrackError(
            f"{100 * bad.mean():.0f} percent of the pixels look bad: the scene was not flat or moved; cover the lens"
        )
    return Correction(np.where(bad, 0.0, offset).astype(np.float32), bad)


def spread(values: Floats) -> float:
    """Robust standard deviation of absolute deviations; never 0."""
    return max(float(np.median(values)) / 0.6745, 0.25)


def replaced(image: Image, bad: NDArray[np.bool_]) -> Image:
    """Bad pixels as the median of the good ones among their neighbours (of a 5x5 where all eight are bad)."""
    rows, columns = np.nonzero(bad)
    if not len(rows):
        return image
    out = image.copy()
    for reach in (1, 2, 4):
        step = np.arange(-reach, reach + 1)
        r = np.clip(rows[:, None, None] + step[:, None], 0, image.shape[0] - 1)
        c = np.clip(columns[:, None, None] + step, 0, image.shape[1] - 1)
        good = np.where(bad[r, c], np.nan, image[r, c].astype(np.float64)).reshape(len(rows), -1)
        known = np.isfinite(good).any(1)
        out[rows[known], columns[known]] = np.rint(np.nanmedian(good[known], 1)).astype(image.dtype)
        rows, columns = rows[~known], columns[~known]
        if not len(rows):
            break
    return out


def destriped(image: Image) -> Image:
    """The picture without offsets of whole columns, which many sensors have and which drift.

    Each column's offset is the median over rows of what it has over a smooth curve along the row; targets and edges,
    which touch few rows, do not move a median.
    """
    rows = image[:: max(1, image.shape[0] // STRIPE_ROWS)].astype(np.float32)
    above = rows - cv2.blur(rows, (STRIPE_REACH_PX, 1), borderType=cv2.BORDER_REFLECT)
    stripes = np.median(above, 0)
    stripes -= cv2.blur(stripes[None], (STRIPE_REACH_PX, 1), borderType=cv2.BORDER_REFLECT)[0]
    top = np.iinfo(image.dtype).max
    return np.clip(np.rint(image - stripes), 0, top).astype(image.dtype)
