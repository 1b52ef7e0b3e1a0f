"""What names of a sequence of images tell: their order, pictures that are there twice, kinds that are mixed, leaps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from irtrack import text
from irtrack.core import Remarks, SourceError

FEW = 4
"""Of fewer images, names tell nothing."""


def natural_key(path: Path) -> text.Key:
    """Sorts `img2` before `img10`."""
    return text.natural_key(path.name)


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Paths as their pictures follow each other, by their names."""
    return text.in_order(paths, lambda path: path.stem, lambda path: path.name)


def check_names(sequence: str, paths: Sequence[Path], remarks: Remarks) -> None:
    """Look at names of images in natural order. Raises SourceError where one picture is there in two formats: each
    would be two frames, and every speed half of what it is."""
    stems: dict[Path, Path] = {}
    for path in paths:
        other = stems.setdefault(path.with_suffix(""), path)
        if other.suffix != path.suffix:
            raise SourceError(
                f"{sequence} holds {other.name} and {path.name}, one picture in two formats: name those that are "
                f"meant, such as '{path.parent / ('*' + other.suffix)}' in quotes"
            )
    kinds = [kind for kind, count in Counter(map(kind_of, paths)).most_common() if count > 1]
    if len(kinds) > 1:
        remarks.add(f"{sequence}: names of {len(kinds)} kinds ({', '.join(kinds[:3])}) are read as one sequence")
    elif kinds and len(paths) >= FEW:
        remark_leaps(sequence, [p for p in paths if kind_of(p) == kinds[0]], remarks)


def kind_of(path: Path) -> str:
    """A name with its numbers left out."""
    return re.sub(r"\d+", "#", path.name.lower())


def remark_leaps(sequence: str, paths: Sequence[Path], remarks: Remarks) -> None:
    """Say where the one number that counts in names of one kind leaps: images are missing there."""
    rows = [[int(n) for n in re.findall(r"\d+", p.name)] for p in paths]
    varying = [column for column in zip(*rows, strict=True) if len(set(column)) > 1]
    if len(varying) != 1:  # none, or a date and a time of day
        return
    steps = [b - a for a, b in pairwise(varying[0])]
    usual, often = Counter(steps).most_common(1)[0]
    leaps = [i for i, step in enumerate(steps) if step > usual]
    if leaps and often > len(steps) / 2:
        a, b = varying[0][leaps[0]], varying[0][leaps[0] + 1]
        remarks.add(
            f"{sequence}: the numbers of its images leap (from {a} to {b}): they are taken as pictures that follow "
            "each other",
            len(leaps),
        )
