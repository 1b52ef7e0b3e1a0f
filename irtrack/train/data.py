"""Labelled infrared images on disk, in the layouts that people have.

`images/ masks/ img_idx/LIST.txt` (BasicIRSTD, DNANet, the authors of SIRST) and `trainval/images ... test/masks` (the
authors of DATransNet; IRSTD-1K) are both read; a folder with just `images/` and `masks/` is one set, a folder of images
alone a set of backgrounds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import IrtrackError

Rng = np.random.Generator
Grey = NDArray[Any]
Mask = NDArray[np.bool_]

SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")

SLICE = re.compile(r"(.*)\[(-?\d*):(-?\d*)\]")


class DatasetError(IrtrackError):
    """A data set on disk is incomplete or inconsistent."""


@dataclass(frozen=True)
class Sample:
    """One labelled image: `image` (H, W) uint8, `mask` (H, W) bool."""

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]

    @property
    def digest(self) -> bytes:
        """Equal for equal pictures, whatever their names."""
        return hashlib.blake2b(self.image.tobytes(), digest_size=16).digest()


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
    lists += [p.parent.name for p in sorted(root.glob("*/images"))]
    raise DatasetError(f"no split list {split!r} in {root}; there are: {', '.join(lists) or 'none'}")


def read_grey(path: Path) -> NDArray[np.uint8]:
    """An image as 8-bit grey (H, W). Raises DatasetError."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise DatasetError(f"{path} cannot be read as an image")
    return image.astype(np.uint8)


def read_sample(name: str, image_path: Path, mask_path: Path) -> Sample:
    """Read and check one pair. Raises DatasetError naming the file."""
    image, mask = read_grey(image_path), read_grey(mask_path)
    if image.shape != mask.shape:
        raise DatasetError(f"{name}: the image is {image.shape}, its mask {mask.shape}; they must have one size")
    return Sample(name, image, mask > 127)


def load_dataset(root: Path, split: str = "") -> list[Sample]:
    """All pairs of a data set, or those of a split, in the list's order, checked.

    `split` is a list's name, or `trainval` / `test` for the authors' folder layout; a slice behind it, as in
    `train[:-60]`, takes a part. Raises DatasetError.
    """
    first, last = None, None
    if found := SLICE.fullmatch(split):
        split, first, last = found[1], *(int(v) if v else None for v in found.groups()[1:])
    if split and (root / split / "images").is_dir():
        root, split = root / split, ""
    if not split and not (root / "images").is_dir() and (folders := sorted(root.glob("*/images"))):
        raise DatasetError(
            f"{root} has parts, {', '.join(p.parent.name for p in folders)}: say which, as in {root}:test"
        )
    images, masks = by_stem(root / "images"), by_stem(root / "masks")
    names: Sequence[str] = (read_list(root, split) if split else sorted(images))[first:last]
    twice = sorted({n for n in names if names.count(n) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DatasetError(f"{root}: the list {split!r} names {twice[0]!r} twice")
    missing = [n for n in names if n not in images or n not in masks]
    if missing:
        kind = "image" if missing[0] not in images else "mask"
        raise DatasetError(
            f"{root}: {len(missing)} of {len(names)} names lack a file, first the {kind} of {missing[0]!r}"
        )
    if not names:
        raise DatasetError(f"{root} holds no images with masks")
    return [read_sample(n, images[n], masks[n]) for n in names]


def load_backgrounds(folder: Path) -> list[Sample]:
    """Images without targets: every image of a folder (or of its `images/`), with empty masks. Raises DatasetError."""
    paths = by_stem(folder / "images" if (folder / "images").is_dir() else folder)
    if not paths:
        raise DatasetError(f"{folder} holds no images")
    images = {name: read_grey(path) for name, path in paths.items()}
    return [Sample(name, image, np.zeros(image.shape, bool)) for name, image in images.items()]


def check_apart(training: Mapping[str, Sequence[Sample]], validation: Mapping[str, Sequence[Sample]]) -> None:
    """Raises DatasetError where one picture is in two sets.

    The lists of NUAA-SIRST come in two families (341 : 86 and 213 : 214 images) that overlap when mixed.
    """
    seen: dict[bytes, tuple[str, str]] = {}
    for group in (training, validation):
        for name, samples in group.items():
            own: dict[bytes, tuple[str, str]] = {}
            for s in samples:
                if s.digest in seen and (group is validation or seen[s.digest][0] != name):
                    other, there = seen[s.digest]
                    raise DatasetError(
                        f"{s.name!r} of {name} is also {there!r} of {other}: sets must not share images "
                        "(are the lists of one family of splits?)"
                    )
                own[s.digest] = (name, s.name)
            seen |= own
