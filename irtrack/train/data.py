"""Labelled infrared images on disk, in the layouts that people have.

`images/ masks/ img_idx/LIST.txt` (BasicIRSTD, DNANet, the authors of SIRST) and `trainval/images ... test/masks` (the
authors of DATransNet; IRSTD-1K) are both read; a folder with just `images/` and `masks/` is one set, a folder of images
alone a set of backgrounds. A folder `ignore/` beside `masks/` marks pixels of which nothing is known: neither the loss
nor the figures look there.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irtrack.capture.pictures import read_image
from irtrack.core import Image, IrtrackError, Remarks
from irtrack.imaging.scaling import network_input
from irtrack.text import meant, read_text
from irtrack.train.masks import read_mask

Rng = np.random.Generator
Grey = NDArray[Any]
Mask = NDArray[np.bool_]

SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg", ".jp2", ".pgm", ".webp")

SLICE = re.compile(r"(.*)\[(-?\d*):(-?\d*)\]")

LOST_LEVELS = (8, 12)
"""A labelled image of no more grey levels than the first has lost its depth, and one of no more than the second where
they lie close together: of 4,600 published infrared images two have 16 or fewer, 12 over 181 counts and 16 over 39."""


class DatasetError(IrtrackError):
    """A data set on disk is incomplete or inconsistent."""


@dataclass(frozen=True)
class Sample:
    """One labelled image: `image` (H, W) uint8 or uint16, as it lies on disk, `mask` (H, W) bool.

    `ignore` (H, W) bool: pixels that are neither known as target nor as background; None where all are known.
    """

    name: str
    image: Image
    mask: NDArray[np.bool_]
    ignore: NDArray[np.bool_] | None = None

    @property
    def digest(self) -> bytes:
        """Equal for equal pictures, whatever their names."""
        return hashlib.blake2b(self.image.tobytes(), digest_size=16).digest()

    @property
    def grey(self) -> NDArray[np.float32]:
        """(H, W) in [0, 1], as the detector gives such a picture to the network."""
        return network_input(self.image)

    @property
    def levels(self) -> NDArray[np.uint8]:
        """(H, W), the same as 8-bit levels, to draw and to train on."""
        return self.image if self.image.dtype == np.uint8 else np.round(255 * self.grey).astype(np.uint8)

    def in_levels(self) -> Sample:
        """The sample with its image in `levels`."""
        return replace(self, image=self.levels)


def turn(picture: NDArray[Any], k: int) -> NDArray[Any]:
    """One of a picture's eight turns, k of 0 to 7: so many quarters, and from 4 on mirrored then."""
    turned = np.rot90(picture, k % 4)
    return np.ascontiguousarray(turned[:, ::-1] if k >= 4 else turned)


def plain_name(name: str) -> str:
    """A file's name as text, one for all the ways in which systems and archives write the same letters."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # bytes on disk that are no UTF-8
        name = os.fsencode(name).decode("cp1252", "replace")
    return unicodedata.normalize("NFC", name)


def by_stem(folder: Path, remarks: Remarks | None = None) -> dict[str, Path]:
    """Images of a folder by their stem; a mask's `_pixels0` suffix (NUAA upstream) is dropped.

    Hidden files, such as the `._NAME` of a Mac, are no images. Raises DatasetError.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder: expected images/ and masks/ side by side")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.name.startswith("."):
            if remarks is not None:
                remarks.add(f"hidden files in {folder.name}/, such as the ._NAME of a Mac, were left out")
            continue
        stem = plain_name(path.stem).removesuffix("_pixels0")
        if stem in found:
            raise DatasetError(f"{folder} has both {found[stem].name} and {path.name}: which is {stem!r}?")
        found[stem] = path
    return found


def folders_of(root: Path) -> list[Path]:
    """Folders of a set, or of its parts, with files that are read."""
    return [path for path in root.rglob("*") if path.name in ("images", "masks", "ignore", "img_idx") and path.is_dir()]


def read_list(root: Path, split: str, known: Mapping[str, object]) -> list[str]:
    """Names of a split: a file, or the name of a list in `img_idx/` with or without `.txt`.

    A line is a name, which may hold spaces, have a folder before it and an image's suffix behind it, or several names
    of `known` with spaces, tabs or commas between. Raises DatasetError.
    """
    for path in (Path(split), root / "img_idx" / split, root / "img_idx" / f"{split}.txt", root / f"{split}.txt"):
        if path.is_file():
            try:
                lines = read_text(path).splitlines()
            except (OSError, ValueError) as error:
                raise DatasetError(f"the list {path} cannot be read: {error}") from error
            return [name for line in lines for name in names_of(line.strip(), known)]
    lists = sorted(p.stem for p in (root / "img_idx").glob("*.txt") if not p.name.startswith("."))
    lists += [p.parent.name for p in sorted(root.glob("*/images"))]
    raise DatasetError(
        f"no split list {split!r} in {root}{meant(split, lists)}; there are: {', '.join(lists) or 'none'}"
    )


def names_of(line: str, known: Mapping[str, object]) -> list[str]:
    """Names in a line of a list."""
    whole = listed_name(line)
    if whole in known:
        return [whole]
    if not line or line.startswith("#"):
        return []
    parts = [listed_name(part) for part in re.split(r"[\s,;]+", line) if part]
    if len(set(parts)) == 1:  # an image and its mask
        return parts[:1]
    return parts if all(part in known for part in parts) else [whole]


def listed_name(text: str) -> str:
    """A name without its folder and an image's suffix."""
    name = text.strip("\"'").replace("\\", "/").rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return plain_name(stem if dot + suffix.lower() in SUFFIXES else name).removesuffix("_pixels0")


def read_sample(name: str, image_path: Path, mask_path: Path, ignore_path: Path | None, remarks: Remarks) -> Sample:
    """Read and check an image and its masks. Raises IrtrackError naming the file."""
    image, mask = read_image(image_path, remarks), read_mask(mask_path, remarks)
    if mask.any() and image_path.read_bytes() == mask_path.read_bytes():
        raise DatasetError(f"{name}: its mask {mask_path} is the image itself")
    ignore = read_mask(ignore_path, remarks) if ignore_path else None
    for kind, other in (("mask", mask), ("ignore mask", ignore)):
        if other is not None and image.shape != other.shape:
            raise DatasetError(f"{name}: the image is {image.shape}, its {kind} {other.shape}; they must have one size")
    if mask.any():
        check_depth(image, image_path)
    return Sample(name, image, mask, None if ignore is None else ignore & ~mask)


def check_depth(image: Image, path: Path) -> None:
    """Raises DatasetError where an image has so few grey levels that its others were lost when it was written."""
    levels = np.unique(image)
    few, close = LOST_LEVELS
    if len(levels) <= few or (len(levels) <= close and levels[-1] - levels[0] <= 2 * close):
        raise DatasetError(
            f"{path} has only {len(levels)} grey levels ({levels[0]} to {levels[-1]}): it lost its depth when it was "
            "written; write the images of a 16-bit camera with 16 bits"
        )


def load_dataset(root: Path, split: str = "", remarks: Remarks | None = None) -> list[Sample]:
    """All pairs of a data set, or those of a split, in the list's order, checked.

    `split` is a list's name, or `trainval` / `test` for the authors' folder layout; a slice behind it, as in
    `train[:-60]`, takes a part. Raises IrtrackError.
    """
    remarks = remarks if remarks is not None else Remarks()
    first, last = None, None
    if found := SLICE.fullmatch(split):
        split, first, last = found[1], *(int(v) if v else None for v in found.groups()[1:])
    if split and (root / split / "images").is_dir():
        root, split = root / split, ""
    if not split and not (root / "images").is_dir() and (folders := sorted(root.glob("*/images"))):
        raise DatasetError(
            f"{root} has parts, {', '.join(p.parent.name for p in folders)}: say which, as in {root}:test"
        )
    images, masks = by_stem(root / "images", remarks), by_stem(root / "masks", remarks)
    names: Sequence[str] = (read_list(root, split, images) if split else sorted(images))[first:last]
    twice = sorted({n for n in names if names.count(n) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DatasetError(f"{root}: the list {split!r} names {twice[0]!r} twice")
    missing = [n for n in names if n not in images or n not in masks]
    if missing:
        kind = "image" if missing[0] not in images else "mask"
        raise DatasetError(
            f"{root}: {len(missing)} of {len(names)} names lack a file, first the {kind} of {missing[0][:200]!r}"
        )
    if not names:
        raise DatasetError(f"{root} holds no images with masks")
    if not split and (more := len(masks.keys() - images.keys())):
        remarks.add(f"masks without an image in {root.name}", more)
    unknown = by_stem(root / "ignore", remarks) if (root / "ignore").is_dir() else {}
    samples = [read_sample(n, images[n], masks[n], unknown.get(n), remarks) for n in names]
    if not any(s.mask.any() for s in samples):
        raise DatasetError(f"{root / 'masks'}: none of {len(samples)} masks marks a target")
    return samples


def load_backgrounds(folder: Path, remarks: Remarks | None = None) -> list[Sample]:
    """Images without targets: every image of a folder (or of its `images/`), with empty masks. Raises IrtrackError."""
    paths = by_stem(folder / "images" if (folder / "images").is_dir() else folder, remarks)
    if not paths:
        raise DatasetError(f"{folder} holds no images")
    images = {name: read_image(path) for name, path in paths.items()}
    return [Sample(name, image, np.zeros(image.shape, bool)) for name, image in images.items()]


def described(samples: Sequence[Sample]) -> str:
    """How many images there are, of which sizes and depths."""
    sizes = sorted({s.image.shape[::-1] for s in samples}, key=lambda size: size[0] * size[1])
    bits = sorted({8 * s.image.dtype.itemsize for s in samples})
    between = "x".join(map(str, sizes[0])) + (f" to {sizes[-1][0]}x{sizes[-1][1]}" if len(sizes) > 1 else "")
    targets = sum(bool(s.mask.any()) for s in samples)
    return f"{len(samples)} images of {between} pixels, {' and '.join(map(str, bits))} bits, {targets} with targets"


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


def check_without_targets(negatives: Mapping[str, Sequence[Sample]], labelled: Mapping[str, Sequence[Sample]]) -> None:
    """Raises DatasetError where an image that is given as one without targets has some in a labelled set."""
    if not negatives:
        return
    marked = {s.digest: (name, s.name) for name, samples in labelled.items() for s in samples if s.mask.any()}
    for name, samples in negatives.items():
        for s in samples:
            if s.digest in marked:
                there, other = marked[s.digest]
                raise DatasetError(
                    f"{s.name!r} of the negatives {name} is also {other!r} of {there}, with targets: negatives are "
                    "images without any"
                )
