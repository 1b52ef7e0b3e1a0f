"""Which program makes results: irtrack, its models, and the files that settings name. Others may find others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from irtrack import __version__
from irtrack.config import Settings
from irtrack.detect.manifest import models_folder
from irtrack.paths import sha256_of
from irtrack.session.recipe import Recipe

PARTS = ("capture", "detect", "imaging", "temporal", "track")
"""Of the package: what results depend on."""

LETTERS = 16
"""Of a hash: enough to tell files apart."""


def program_of(settings: Settings, recipe: Recipe) -> str:
    """As it is now, for these settings of tracker and capture."""
    named = (recipe.detector.weights, settings.capture.correction, settings.tracker.beliefs)
    return " ".join(["irtrack", __version__, code_print(), models_print(), *prints_of(map(Path, named))])


def prints_of(paths: Iterable[Path]) -> Iterator[str]:
    """Of those that are files and can be read: whoever needs the others says what is wrong."""
    for path in paths:
        with suppress(OSError):
            if path.is_file():
                yield file_print(path, path.stat().st_mtime_ns)


@cache
def file_print(path: Path, mtime_ns: int) -> str:
    """Of the content of a file, which is read once for each date."""
    return sha256_of(path)[:LETTERS]


@cache
def code_print() -> str:
    """Of the code that reads, finds and follows, with what it has learned: between two versions it changes, too."""
    digest, package = hashlib.sha256(), Path(__file__).parent.parent
    for part in PARTS:
        for path in sorted(path for path in (package / part).rglob("*") if path.is_file() and path.suffix != ".pyc"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:LETTERS]


@cache
def models_print() -> str:
    """Of the models that come with irtrack."""
    return sha256_of(models_folder() / "manifest.toml")[:LETTERS]
