"""What names of a sequence of images tell: their order, pictures that are there twice, kinds that are mixed, leaps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from irtrack.core import Remarks, SourceError
from irtrack.text import Key
from irtrack.text import natural_key as key

HEXADECIMAL = frozenset("0123456789abcdef")

FEW = 4
"""Of fewer images, names tell nothing."""


MOMENT = re.compile(r"\d{9,}\.\d+")
"""A name that is a moment in seconds, whose digits behind the point are a fraction and no number of their own."""


def natural_key(path: Path) -> Key:
    """Sorts `img2` before `img10`."""
    return key(path.name)


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Paths as the pictures follow each other: by the numbers in their names, which may be seconds with a fraction of
    any length, or hexadecimal ones of one length."""
    found = list(paths)
    if len({path.parent for path in found}) == 1 and found:
        if all(MOMENT.fullmatch(path.stem) for path in found):
            return sorted(found, key=lambda path: (Decimal(path.stem), path.name))
        if are_hexadecimal([path.stem.lower() for path in found]):
            return sorted(found, key=lambda path: path.name.lower())
    return sorted(found, key=natural_key)


def are_hexadecimal(stems: Sequence[str]) -> bool:
    """Whether names of one length differ by hexadecimal digits alone: some have letters among them, some have none."""
    if len(stems) < FEW or len({len(stem) for stem in stems}) > 1:
        return False
    varying = [
        "".join(letters) for letters in zip(*(c for c in zip(*stems, strict=True) if len(set(c)) > 1), strict=True)
    ]
    return (
        all(HEXADECIMAL.issuperset(part) for part in varying)
        and any(part.isdecimal() for part in varying)
        and not all(part.isdecimal() for part in varying)
    )


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
