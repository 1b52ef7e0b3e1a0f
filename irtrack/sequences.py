"""What names of a sequence of images tell: their order, pictures that are there twice, mixed sequences, leaps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

from irtrack import text
from irtrack.core import Remarks, SourceError

FEW = 4
"""Of fewer images, names tell nothing."""

COPY = re.compile(r"( \(\d+\)| - copy( \(\d+\))?|[ _]copy([ _]?\d+)?)$", re.IGNORECASE)
"""What systems put behind the name of a copy."""

CAMERA = re.compile(
    r"(?<![a-z])(cam|camera|ch|chan|channel|sensor|lens|view|port|stream)[ _.-]?(\d{1,3}|[a-z])(?![a-z0-9])",
    re.IGNORECASE,
)
"""A camera's number or letter in a name."""

PART = re.compile(r"^([a-z][a-z _-]*?)[ _.-]?(\d{1,3})(?!\d)", re.IGNORECASE)
"""A word and a small number at the beginning of a name, such as of a part."""

Numbers = tuple[int, ...]
Group = Mapping[Numbers, Path]


def natural_key(path: Path) -> text.Key:
    """Sorts `img2` before `img10`."""
    return text.natural_key(path.name)


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Paths as their pictures follow each other, by their names."""
    return text.in_order(paths, lambda path: path.stem, lambda path: path.name)


def check_names(sequence: str, paths: Sequence[Path], remarks: Remarks) -> None:
    """Look at names of images in natural order. Raises SourceError where one picture is there in two formats, or two
    sequences lie side by side: their pictures would take turns, with leaps of everything in them and half its speed."""
    stems: dict[Path, Path] = {}
    names: dict[str, Path] = {}
    for path in paths:
        other = stems.setdefault(path.with_suffix(""), path)
        if other.suffix != path.suffix:
            raise SourceError(
                f"{sequence} holds {other.name} and {path.name}, one picture in two formats: name those that are "
                f"meant, such as '{path.parent / ('*' + other.suffix)}' in quotes"
            )
        other = names.setdefault(path.name, path)
        if other.parent != path.parent:
            raise SourceError(
                f"{sequence} holds {other} and {path}: images of one name in two folders are two sequences: name one "
                "of the folders, or number the images through"
            )
    check_side_by_side(sequence, paths, remarks)
    kinds = [kind for kind, count in Counter(map(kind_of, paths)).most_common() if count > 1]
    if len(kinds) > 1:
        remarks.add(f"{sequence}: names of {len(kinds)} kinds ({', '.join(kinds[:3])}) are read as one sequence")
    elif kinds and len(paths) >= FEW:
        alike = [p for p in paths if kind_of(p) == kinds[0]]
        remark_leaps(sequence, alike, remarks)
        remark_parts(sequence, alike, remarks)


def check_side_by_side(sequence: str, paths: Sequence[Path], remarks: Remarks) -> None:
    """Raises SourceError where names are of two sequences with the same numbers, such as those of two cameras or of
    pictures and masks; says which single ones are copies."""
    if text.are_hexadecimal([p.stem.lower() for p in paths]):  # whose letters are numbers
        return
    copies = copies_among(paths)
    if len(copies) == 1:
        copy, of = copies[0]
        remarks.add(f"{sequence}: by its name {copy.name} is a copy of {of.name}, and is read as another picture")
    elif copies:
        copy, of = copies[0]
        raise SourceError(
            f"{sequence} holds {len(copies)} images that by their names are copies of others, such as {copy.name} of "
            f"{of.name}: move them to a folder of their own"
        )
    if (two := two_sequences(paths)) is not None:
        first, other, group = two
        pattern = pattern_of(first, paths, group)
        way = (
            f"name one, such as '{first.parent / pattern}' in quotes" if pattern else "move one to a folder of its own"
        )
        raise SourceError(
            f"{sequence} holds two sequences, such as {first.name} and {other.name}: {way}; if they are one, number "
            "all its images"
        )


def two_sequences(paths: Sequence[Path]) -> tuple[Path, Path, set[Path]] | None:
    """An image of each of two sequences with the same numbers, or of two cameras, and all those of the first; None
    where names are of one sequence, as far as they tell."""
    if text.are_hexadecimal([p.stem.lower() for p in paths]):  # whose letters are numbers
        return None
    cameras = pairs_of(by_camera(paths))  # whatever their other numbers, which may be times
    kinds = [
        (first, other)
        for first, other in pairs_of(by_kind(paths))
        if 2 * len(first.keys() & other.keys()) >= max(len(other), FEW)
    ]
    for first, other in (*cameras, *kinds):
        same = min(first.keys() & other.keys(), default=None)
        a, b = (min(group.items())[1] if same is None else group[same] for group in (first, other))
        return a, b, set(first.values())
    return None


def pairs_of(groups: Mapping[str, Group]) -> list[tuple[Group, Group]]:
    """The largest of some groups of several images with each of the others; none where there are many groups, as of
    names with digits of sums in them."""
    several = sorted((group for group in groups.values() if len(group) > 1), key=len, reverse=True)
    return [(several[0], other) for other in several[1:]] if len(several) <= FEW else []


def by_kind(paths: Sequence[Path]) -> Mapping[str, Group]:
    """Images by what their names are without numbers, and then by these."""
    groups: dict[str, dict[Numbers, Path]] = {}
    for path in paths:
        if numbers := numbers_of(path.name):
            groups.setdefault(kind_of(path), {})[numbers] = path
    return groups


def by_camera(paths: Sequence[Path]) -> Mapping[str, Group]:
    """Images by the camera whose number is in their names, and then by the other numbers."""
    groups: dict[str, dict[Numbers, Path]] = {}
    for path in paths:
        if found := CAMERA.search(path.name):
            name = path.name[: found.start()] + path.name[found.end() :]
            if numbers := numbers_of(name):
                groups.setdefault(found.group().lower(), {})[numbers] = path
    return groups


def pattern_of(path: Path, paths: Sequence[Path], group: set[Path]) -> str:
    """A pattern that of all names matches those of a group alone; '' where none was found."""
    stem = re.sub(r"([*?[])", "[\\1]", path.stem)
    camera = CAMERA.search(stem)
    forms = [re.sub(r"\d+", "*[0-9]", stem)]
    if camera is not None:
        head, tail = stem[: camera.end()], stem[camera.end() :]
        forms = [f"{head}{re.sub(r'[0-9]+', '*', tail)}", f"*{camera.group()}{re.sub(r'[0-9]+', '*', tail)}", *forms]
    for form in forms:
        pattern = form + path.suffix
        if all(fnmatchcase(p.name, pattern) == (p in group) for p in paths):
            return pattern
    return ""


def copies_among(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Images that by their names are copies of others, with these. One image of which there are many is the first of a
    sequence that a browser or a system has numbered."""
    stems = {p.with_suffix(""): p for p in paths}
    found = [
        (path, of)
        for path in paths
        if (end := COPY.search(path.stem)) and (of := stems.get(path.parent / path.stem[: end.start()])) is not None
    ]
    originals = Counter(of for _, of in found)
    return found if originals and max(originals.values()) == 1 else []


def numbers_of(name: str) -> Numbers:
    """The numbers in a name, in their order."""
    return tuple(int(n) for n in re.findall(r"\d+", Path(name).stem))


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


def remark_parts(sequence: str, paths: Sequence[Path], remarks: Remarks) -> None:
    """Say where, behind a word and a number such as those of a part, the other numbers of names begin anew."""
    seen: set[Numbers] = set()
    found = [match for p in paths if (match := PART.match(p.stem)) is not None]
    parts = [int(match[2]) for match in found]
    if len(parts) < len(paths) or not 1 < len(set(parts)) <= len(paths) / 2:
        return
    rests = [numbers_of(p.stem[match.end() :]) for p, match in zip(paths, found, strict=True)]
    if any(len(rest) != 1 for rest in rests):  # dates and times of day have more
        return
    for i in range(1, len(paths)):
        seen.add(rests[i - 1])
        if parts[i] != parts[i - 1] and rests[i] in seen:
            remarks.add(
                f"{sequence}: the numbers of its images begin anew (after {paths[i - 1].name} with {paths[i].name}): "
                "they are taken as one recording; if they are several, give each as a source of its own"
            )
            return
