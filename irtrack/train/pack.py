"""What the recipes train on, in one small folder to carry to another machine: `python -m irtrack.train.pack ROOT OUT`.

ROOT holds NUAA-SIRST and NUDT-SIRST; OUT gets their training lists' images and masks, the lists, and backgrounds
without targets. Test images are left out.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from irtrack.core import IrtrackError
from irtrack.train.backgrounds import write_backgrounds
from irtrack.train.data import by_stem, read_list

LISTS = {"NUAA-SIRST": ("trainval_idx427", "train_idx427", "val_idx427"), "NUDT-SIRST": ("train_NUDT-SIRST",)}
BACKGROUNDS = 64


def pack(root: Path, out: Path) -> int:
    """Returns the size in bytes. Raises DatasetError where a list or an image is missing."""
    for name, lists in LISTS.items():
        (out / name / "img_idx").mkdir(parents=True, exist_ok=True)
        known = by_stem(root / name / "images")
        wanted = {n for split in lists for n in read_list(root / name, split, known)}
        for kind in ("images", "masks"):
            (out / name / kind).mkdir(exist_ok=True)
            files = by_stem(root / name / kind)
            lost = sorted(wanted - files.keys())
            if lost:
                raise IrtrackError(f"{root / name / kind} lacks {lost[0]!r} and {len(lost) - 1} more")
            for stem in sorted(wanted):
                shutil.copyfile(files[stem], out / name / kind / files[stem].name)
        for split in lists:
            shutil.copyfile(root / name / "img_idx" / f"{split}.txt", out / name / "img_idx" / f"{split}.txt")
    write_backgrounds(out / "backgrounds", BACKGROUNDS)
    return sum(p.stat().st_size for p in out.rglob("*") if p.is_file())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    try:
        print(f"{args.out}: {pack(args.root, args.out) / 2**20:.1f} MiB")
    except IrtrackError as error:
        raise SystemExit(f"irtrack: {error}") from error


if __name__ == "__main__":
    main()
