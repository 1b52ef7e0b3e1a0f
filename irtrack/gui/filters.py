"""Kinds of files as file dialogs name them, from the tables of sources and outputs."""

from __future__ import annotations

from collections.abc import Iterable

from irtrack.capture.kinds import file_kinds
from irtrack.sinks.kinds import SinkKind, log_kinds

ALL = "All files (*)"


def filter_of(title: str, suffixes: Iterable[str]) -> str:
    """A line of a dialog's list: `an image` of .png and .tif is `Image (*.png *.tif)`."""
    plain = title.removeprefix("a ").removeprefix("an ")
    return f"{plain[:1].upper()}{plain[1:]} ({' '.join(f'*{s}' for s in dict.fromkeys(suffixes))})"


def recordings() -> str:
    """What can be opened, for a dialog."""
    kinds = file_kinds()
    every = filter_of("Everything that is read", (s for kind in kinds for s in kind.suffixes))
    return ";;".join([every, *(filter_of(kind.form.partition(":")[0], kind.suffixes) for kind in kinds), ALL])


def logs() -> dict[str, SinkKind]:
    """The lines of a dialog for track logs, and the kind of each."""
    return {filter_of(kind.title, kind.suffixes): kind for kind in log_kinds()}
