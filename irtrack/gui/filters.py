"""Kinds of files as file dialogs name them, from the tables of sources and outputs."""

from __future__ import annotations

from collections.abc import Iterable

from irtrack.capture.kinds import file_kinds
from irtrack.session.sessionfile import SUFFIX

ALL = "All files (*)"


def filter_of(title: str, suffixes: Iterable[str]) -> str:
    """A line of a dialog's list: `an image` of .png and .tif is `Image (*.png *.tif)`."""
    plain = title.removeprefix("a ").removeprefix("an ")
    return f"{plain[:1].upper()}{plain[1:]} ({' '.join(f'*{s}' for s in dict.fromkeys(suffixes))})"


def recordings() -> str:
    """What can be opened, for a dialog."""
    kinds = file_kinds()
    every = filter_of("Everything that is read", (*(s for kind in kinds for s in kind.suffixes), SUFFIX))
    lines = (filter_of(kind.form.partition(":")[0], kind.suffixes) for kind in kinds)
    return ";;".join([every, *lines, filter_of("a session", [SUFFIX]), ALL])
