"""Text as other people's programs write it: byte order marks, UTF-16, old code pages; names that were mistyped."""

from __future__ import annotations

import codecs
import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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


def read_bytes(path: Path, largest: int = LARGEST_BYTES) -> bytes:
    """A file's bytes. Raises OSError, and ValueError where there are more than `largest`."""
    with path.open("rb") as file:
        data = file.read(largest + 1)
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


Key = tuple[list[tuple[int, int | str]], list[tuple[int, int | str]]]


def natural_key(name: str) -> Key:
    """Sorts `img2` before `img10`, and `rec.tif` before `rec-1.tif` and `rec2.tif`."""
    stem, dot, rest = name.partition(".")
    return parts_of(stem), parts_of(dot + rest)


def parts_of(text: str) -> list[tuple[int, int | str]]:
    """Numbers and what stands between them, which can be compared with those of another text."""
    return [(0, int(part)) if part.isdecimal() else (1, part.lower()) for part in re.split(r"(\d+)", text) if part]


def meant(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'NAME'?)` where a mistyped word is close to a known one, else nothing."""
    by_small = {name.lower(): name for name in known}
    swapped = [name for name in by_small if sorted(name) == sorted(word.lower())]
    close = swapped or difflib.get_close_matches(word.lower(), by_small, 1, 0.65)
    return f" (did you mean {by_small[close[0]]!r}?)" if close else ""


def one_line(error: object) -> str:
    """An error's text without line breaks and without codes that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(error).split()))
