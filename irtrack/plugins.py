"""Parts that other packages bring: sources, sinks, networks and backends, found by their entry points.

A package that declares, say, `[project.entry-points."irtrack.sources"] mykind = "mypackage:KIND"` adds to what irtrack
opens. It is imported when it is needed, and never before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from irtrack.core import IrtrackError

log = logging.getLogger(__name__)

T = TypeVar("T")

SOURCES, SINKS, NETWORKS, BACKENDS = "irtrack.sources", "irtrack.sinks", "irtrack.networks", "irtrack.backends"


@cache
def declared() -> dict[str, dict[str, EntryPoint]]:
    """What other packages offer, by group and name; all packages are looked through once."""
    every = entry_points()
    return {g: {entry.name: entry for entry in every.select(group=g)} for g in (SOURCES, SINKS, NETWORKS, BACKENDS)}


def found(group: str) -> dict[str, EntryPoint]:
    """What other packages offer in a group, by name."""
    return declared()[group]


def load(group: str, name: str, kind: type | None = None) -> Any:
    """One of them, imported. Raises IrtrackError where that fails, or it is no `kind`."""
    entry = found(group)[name]
    try:
        value = entry.load()
    except Exception as error:  # another package's code may fail in any way
        raise IrtrackError(f"{name} ({entry.value}) cannot be loaded: {type(error).__name__}: {error}") from error
    if kind is not None and not isinstance(value, kind):
        raise IrtrackError(f"{name} ({entry.value}) is no {kind.__name__}: mend or remove the package that brings it")
    return value


def every(group: str, kind: type[T]) -> Iterator[T]:
    """All of them in a group, imported; one that is broken is said, once, and passed over."""
    for name in found(group):
        try:
            yield load(group, name, kind)
        except IrtrackError as error:
            warn_once(str(error))


@cache
def warn_once(text: str) -> None:
    """Dialogs ask each time that they are opened."""
    log.warning("%s", text)
