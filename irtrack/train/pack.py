"""What the recipes train on, in one folder to carry to another machine: `python -m irtrack.train.pack DATA OUT`.

DATA holds `drone_train/` and `irstd/` (NUAA-SIRST, NUDT-SIRST, IRSTD-1k, AntiUAV-stills, HIT-UAV-half, backgrounds);
what is missing there is left out and said. OUT gets the training lists' images and masks, never a test image. Sets
with boxes get masks made from these (`boxes.py`), are split by clip, and have lists `train` and `val`. With
`--quality N` images are WebP, except NUAA's and NUDT's.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from irtrack.capture import open_source
from irtrack.capture.pictures import read_image
from irtrack.core import Floats, IrtrackError, Remarks
from irtrack.train.backgrounds import write_backgrounds
from irtrack.train.boxes import from_boxes
from irtrack.train.data import Grey, Mask, by_stem, read_list
from irtrack.train.masks import read_mask

LISTS = {
    "NUAA-SIRST": ("trainval_idx427", "train_idx427", "val_idx427"),
    "NUDT-SIRST": ("train_NUDT-SIRST",),
    "IRSTD-1k": ("train_IRSTD-1K",),
}
RENDERED = 64
VALIDATES = {"drone": (10, 3), "uav": (4, 2), "empty": (8, 3)}
"""By set: one clip in how many validates, beginning with which."""

NONE: Floats = np.zeros((0, 4))


def write_image(stem: Path, image: Grey, quality: int) -> None:
    """As WebP of that quality, or as PNG where it is 0. Raises IrtrackError."""
    if quality:
        save(stem, ".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])
    else:
        save(stem, ".png", image, [])


def write_mask(stem: Path, mask: Mask) -> None:
    """As a PNG of one bit a pixel. Raises IrtrackError."""
    save(stem, ".png", mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 9])


def save(stem: Path, suffix: str, picture: Grey, how: list[int]) -> None:
    """Encode and write; names may have dots."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    ok, code = cv2.imencode(suffix, picture, how)
    if not ok:
        raise IrtrackError(f"{stem} cannot be encoded as {suffix}")
    stem.with_name(stem.name + suffix).write_bytes(code.tobytes())


@dataclass
class Writer:
    """One set in the making: images, masks, open pixels, lists."""

    folder: Path
    quality: int
    lists: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, image: Grey, mask: Mask, ignore: Mask, split: str) -> None:
        """Write one labelled image."""
        write_image(self.folder / "images" / name, image, self.quality)
        write_mask(self.folder / "masks" / name, mask)
        if ignore.any():
            write_mask(self.folder / "ignore" / name, ignore)
        self.lists[split].append(name)

    def close(self) -> None:
        """Write the lists."""
        (self.folder / "img_idx").mkdir(parents=True, exist_ok=True)
        for split, names in self.lists.items():
            text = "\n".join(sorted(names)) + "\n"
            (self.folder / "img_idx" / f"{split}.txt").write_text(text, encoding="utf-8")


def split_of(kind: str, group: int) -> str:
    """Whether the group-th clip trains or validates."""
    every, first = VALIDATES[kind]
    return "val" if group % every == first else "train"


def boxes_by(path: Path, key: str, wanted: Callable[[dict[str, str]], bool] = lambda row: True) -> dict[str, Floats]:
    """Boxes (N, 4) of a table by one of its columns."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if wanted(row):
                found[row[key]].append([float(row[k]) for k in "xywh"])
    return {name: np.array(rows) for name, rows in found.items()}


def copy_lists(root: Path, out: Path, name: str, quality: int) -> None:
    """A set with masks drawn by people: its training lists. Raises IrtrackError where a file is missing."""
    known = {kind: by_stem(root / name / kind) for kind in ("images", "masks")}
    wanted = {n for split in LISTS[name] for n in read_list(root / name, split, known["images"])}
    for kind, files in known.items():
        (out / name / kind).mkdir(parents=True, exist_ok=True)
        lost = sorted(wanted - files.keys())
        if lost:
            raise IrtrackError(f"{root / name / kind} lacks {lost[0]!r} and {len(lost) - 1} more")
        for stem in sorted(wanted):
            if kind == "images" and quality and name == "IRSTD-1k":
                write_image(out / name / kind / stem, read_image(files[stem]), quality)
            elif kind == "masks":
                write_mask(out / name / kind / stem, read_mask(files[stem], Remarks()))
            else:
                shutil.copyfile(files[stem], out / name / kind / files[stem].name)
    (out / name / "img_idx").mkdir(exist_ok=True)
    for split in LISTS[name]:
        shutil.copyfile(root / name / "img_idx" / f"{split}.txt", out / name / "img_idx" / f"{split}.txt")


def frames_of(clip: Path, every: int) -> Iterator[tuple[int, Grey]]:
    """Every so manieth frame of a clip, as the detector will see it."""
    source = open_source(str(clip))
    try:
        for frame in source:
            if frame.index % every == 0:
                yield frame.index, frame.image
    finally:
        source.close()


def drone(root: Path, writer: Writer, every: int) -> None:
    """Frames of the training clips."""
    for group, path in enumerate(sorted(root.glob("*.gt.csv"))):
        name = path.name.removesuffix(".gt.csv")
        boxes = boxes_by(path, "frame")
        for index, image in frames_of(root / f"{name}.mp4", every):
            mask, ignore = from_boxes(image, boxes.get(str(index), NONE), NONE)
            writer.add(f"{name}_{index:04d}", image, mask, ignore, split_of("drone", group))


def uav(root: Path, writer: Writer) -> None:
    """Stills of UAVs with boxes and those without any, by video."""
    boxes = boxes_by(root / "boxes.csv", "image")
    videos = sorted({(int(stem) - 1) // 100 for stem in boxes})
    for folder in ("images", "empty"):
        for stem, path in by_stem(root / folder).items():
            video = (int(stem) - 1) // 100
            split = split_of("uav", videos.index(video)) if video in videos else "train"
            image = read_image(path)
            writer.add(stem, image, *from_boxes(image, boxes.get(stem, NONE), NONE), split)


def persons(root: Path, writer: Writer) -> None:
    """Persons seen from a drone; all else that has a box is left open."""
    mine = boxes_by(root / "boxes.csv", "image", lambda row: row["class"] == "Person")
    others = boxes_by(root / "boxes.csv", "image", lambda row: row["class"] != "Person")
    for stem, path in by_stem(root / "images").items():
        image = read_image(path)
        writer.add(stem, image, *from_boxes(image, mine.get(stem, NONE), others.get(stem, NONE)), "train")


def empty(root: Path, writer: Writer, stills: Writer) -> None:
    """Backgrounds without targets; those that validate go with the stills, whose figures count false objects."""
    for group, (stem, path) in enumerate(by_stem(root).items()):
        image = read_image(path)
        nothing = np.zeros(image.shape, bool)
        if split_of("empty", group) == "val":
            stills.add(f"background-{stem}", image, nothing, nothing, "val")
        else:
            writer.add(stem, image, nothing, nothing, "train")


def pack(root: Path, out: Path, quality: int = 0, every: int = 25) -> int:
    """Returns the size in bytes. `quality` of WebP, 0 for lossless; `every`: which frames of clips are taken.

    Raises IrtrackError where a list or an image is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    sets = {name: Writer(out / name, quality) for name in ("drone", "uav", "hit", "empty")}
    stills = root / "irstd"
    steps: list[tuple[Path, Callable[[Path], None]]] = [
        *((stills / name, lambda path: copy_lists(stills, out, path.name, quality)) for name in LISTS),
        (root / "drone_train", lambda path: drone(path, sets["drone"], every)),
        (stills / "AntiUAV-stills", lambda path: uav(path, sets["uav"])),
        (stills / "HIT-UAV-half", lambda path: persons(path, sets["hit"])),
        (stills / "backgrounds", lambda path: empty(path, sets["empty"], sets["uav"])),
    ]
    if not any(path.is_dir() for path, _ in steps):
        raise IrtrackError(f"{root} has none of " + ", ".join(str(path.relative_to(root)) for path, _ in steps))
    for path, step in steps:
        if path.is_dir():
            step(path)
        else:
            print(f"note: no {path.relative_to(root)}, so it is left out")
    for writer in sets.values():
        writer.close()
    write_backgrounds(out / "rendered", RENDERED)
    return sum(p.stat().st_size for p in out.rglob("*") if p.is_file())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quality", type=int, default=0, help="of WebP, 0 (the default) keeps every grey level")
    parser.add_argument("--every", type=int, default=25, help="which frames of the clips are taken")
    args = parser.parse_args()
    try:
        print(f"{args.out}: {pack(args.root, args.out, args.quality, args.every) / 2**20:.1f} MiB")
    except IrtrackError as error:
        raise SystemExit(f"irtrack: {error}") from error


if __name__ == "__main__":
    main()
