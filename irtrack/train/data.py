"""Labelled infrared images on disk, in the layouts that people have.

`images/ masks/ img_idx/LIST.txt` (BasicIRSTD, DNANet, the authors of SIRST) and `trainval/images ... test/masks` (the
authors of DATransNet) are both read; a folder with just `images/` and `masks/` is one set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import IrtrackError

SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")


class DatasetError(IrtrackError):
    """A data set on disk is incomplete or inconsistent."""


@dataclass(frozen=True)
class Sample:
    """One labelled image: `image` (H, W) uint8, `mask` (H, W) bool."""

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def by_stem(folder: Path) -> dict[str, Path]:
    """Images of a folder by their stem; a mask's `_pixels0` suffix (NUAA upstream) is dropped."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder: expected images/ and masks/ side by side")
    return {p.stem.removesuffix("_pixels0"): p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}


def read_list(root: Path, split: str) -> list[str]:
    """Names of a split: a file, or the name of a list in `img_idx/` with or without `.txt`."""
    for path in (Path(split), root / "img_idx" / split, root / "img_idx" / f"{split}.txt", root / f"{split}.txt"):
        if path.is_file():
            return [Path(n).stem if Path(n).suffix in SUFFIXES else n for n in path.read_text(encoding="utf-8").split()]
    lists = sorted(p.stem for p in (root / "img_idx").glob("*.txt"))
    raise DatasetError(f"no split list {split!r} in {root}; there are: {', '.join(lists) or 'none'}")


def read_sample(name: str, image_path: Path, mask_path: Path) -> Sample:
    """Read and check one pair. Raises DatasetError naming the file."""
    image = cv2.imread(str(image_path), cv2.IMREAD_GRAYSCALE)
    mask = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
    for path, array in ((image_path, image), (mask_path, mask)):
        if array is None:
            raise DatasetError(f"{path} cannot be read as an image")
    assert image is not None
    assert mask is not None
    if image.shape != mask.shape:
        raise DatasetError(f"{name}: the image is {image.shape}, its mask {mask.shape}; they must have one size")
    return Sample(name, image.astype(np.uint8), mask > 127)


def load_dataset(root: Path, split: str = "") -> list[Sample]:
    """All pairs of a data set, or those of a split, in the list's order, checked.

    `split` is a list's name, or `trainval` / `test` for the authors' folder layout. Raises DatasetError.
    """
    if split and (root / split / "images").is_dir():
        root, split = root / split, ""
    images, masks = by_stem(root / "images"), by_stem(root / "masks")
    names: Sequence[str] = read_list(root, split) if split else sorted(images)
    missing = [n for n in names if n not in images or n not in masks]
    if missing:
        kind = "image" if missing[0] not in images else "mask"
        raise DatasetError(
            f"{root}: {len(missing)} of {len(names)} names lack a file, first the {kind} of {missing[0]!r}"
        )
    if not names:
        raise DatasetError(f"{root} holds no images with masks")
    return [read_sample(n, images[n], masks[n]) for n in names]
