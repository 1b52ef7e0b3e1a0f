"""Text as other people's programs write it: byte order marks, UTF-16, old code pages; names that were mistyped."""

from __future__ import annotations

import codecs
import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from irtrack.paths import bytes_of

LARGEST_BYTES = 256 << 20
"""A text of more bytes than this is none that anybody meant to give."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\v\f\r")


MOMENT = re.compile(r"\d{9,}\.\d+")
"""A name that is a moment in seconds, whose digits behind the point are a fraction and no number of their own."""

HEXADECIMAL = frozenset("0123456789abcdef")
FEW = 4
"""Of fewer names, letters among their digits tell nothing."""


def read_bytes(path: Path, largest: int = LARGEST_BYTES) -> bytes:
    """A file's bytes. Raises OSError, and ValueError where there are more than `largest`, or nobody writes them."""
    data = bytes_of(path, largest + 1)
    if len(data) > largest:
        raise ValueError(f"it is larger than {largest >> 20} MiB")
    return data


def decoded(data: bytes) -> str:
    """The text of a file's bytes: by its byte order mark, else UTF-8, else UTF-16 or Windows' code page for the West.

    Raises ValueError where it is no text.
    """
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    start = data[:4096]
    if start.count(0) * 3 > len(start):  # every other byte: UTF-16 without a mark
        return data.decode("utf-16-be" if start[0] == 0 else "utf-16-le")
    if not CONTROLS.isdisjoint(start):
        raise ValueError("it is no text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def read_text(path: Path, largest: int = LARGEST_BYTES) -> str:
    """A text file as people have them. Raises OSError, and ValueError with the reason where it is no text."""
    return decoded(read_bytes(path, largest))


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's table. Raises OSError, and ValueError with the reason where it is no TOML."""
    try:
        return tomllib.loads(read_text(path, 8 << 20).replace("\r\n", "\n"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def instead_of(head: bytes) -> str:
    """What a file is that stands in the place of the one that was meant, by its first bytes; '' where it may be it."""
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS and not the file itself: fetch it with git lfs pull"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page and not the file that was meant: the download went wrong (a login?)"
    return ""


T = TypeVar("T")

Key = tuple[list[tuple[int, int | str]], list[tuple[int, int | str]]]


def natural_key(name: str) -> Key:
    """Sorts `img2` before `img10`, and `rec.tif` before `rec-1.tif` and `rec2.tif`."""
    stem, dot, rest = name.partition(".")
    return parts_of(stem), parts_of(dot + rest)


def parts_of(text: str) -> list[tuple[int, int | str]]:
    """Numbers and what stands between them, which can be compared with those of another text."""
    return [(0, int(part)) if part.isdecimal() else (1, part.lower()) for part in re.split(r"(\d+)", text) if part]


def keys_of(stems: Sequence[str]) -> Sequence[Key | Decimal | str]:
    """By what to sort the names of pictures, without their suffixes, as they follow each other: by their numbers, which
    may be seconds with a fraction of any length, or hexadecimal ones of one length."""
    if all(MOMENT.fullmatch(stem) for stem in stems):
        return [Decimal(stem) for stem in stems]
    if are_hexadecimal(small := [stem.lower() for stem in stems]):
        return small
    return [natural_key(stem) for stem in stems]


def in_order(items: Iterable[T], stem: Callable[[T], str], name: Callable[[T], str]) -> list[T]:
    """Pictures as they follow each other by their names; `stem`: of each, without its suffix; `name`: what decides
    between those of one stem."""
    found = list(items)
    keys = dict(zip(found, keys_of([stem(item) for item in found]), strict=True))
    return sorted(found, key=lambda item: (keys[item], name(item)))


def are_hexadecimal(stems: Sequence[str]) -> bool:
    """Whether names of one length differ by hexadecimal digits alone: some have letters among them, some have none."""
    if len(stems) < FEW or len({len(stem) for stem in stems}) > 1:
        return False
    columns = [column for column in zip(*stems, strict=True) if len(set(column)) > 1]
    varying = ["".join(letters) for letters in zip(*columns, strict=True)]
    decimal = [part.isdecimal() for part in varying]
    return all(HEXADECIMAL.issuperset(part) for part in varying) and any(decimal) and not all(decimal)


def meant(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'NAME'?)` where a mistyped word is close to a known one, else nothing."""
    by_small = {name.lower(): name for name in known}
    swapped = [name for name in by_small if sorted(name) == sorted(word.lower())]
    close = swapped or difflib.get_close_matches(word.lower(), by_small, 1, 0.65)
    return f" (did you mean {by_small[close[0]]!r}?)" if close else ""


def one_line(error: object) -> str:
    """An error's text without line breaks and without codes that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(error).split()))
