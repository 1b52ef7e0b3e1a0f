"""Results that nothing was said of, in the user's cache folder: a recording that was analysed is opened at once again.

A session file for each recording and each way of analysing it. All of it can be made anew, so it may go at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import platformdirs

from irtrack.config import Settings
from irtrack.session.program import program_of
from irtrack.session.reading import Kept, read_session
from irtrack.session.recipe import Recipe
from irtrack.session.recordings import is_told
from irtrack.session.said import recipe_to
from irtrack.session.sessionfile import SUFFIX, SessionError

MOST_BYTES, SHARE_FREE = 4 << 30, 0.1
"""So much is kept, and no more than this share of what the disk has left: recordings need it more."""

PRINT = 32
"""Letters of a recording's fingerprint in the names."""


def results_folder() -> Path:
    """Where they lie."""
    return Path(platformdirs.user_cache_dir("irtrack", appauthor=False)) / "results"


def results_path(print: str, settings: Settings, recipe: Recipe, program: str) -> Path:
    """The file of a recording, by its fingerprint, and of a way to analyse it."""
    how = json.dumps([settings.tracker.to_dict(), settings.capture.to_dict(), recipe_to(recipe), program])
    return results_folder() / f"{print[:PRINT]}-{hashlib.sha256(how.encode()).hexdigest()[:PRINT]}{SUFFIX}"


def in_cache(path: Path) -> bool:
    """Whether a file holds results alone."""
    return path.parent == results_folder()


def found(text: str, print: str, dates: str, settings: Settings, recipe: Recipe) -> Kept | None:
    """The results of a recording that were made in this way, or else those that were used last. `dates`: of its files;
    those of a recording that was written anew in its place are not taken."""
    if not is_told(text, dates):
        return None
    asked = results_path(print, settings, recipe, program_of(settings, recipe))
    others = newest_first(results_folder().glob(f"{print[:PRINT]}-*{SUFFIX}"))
    for path in [p for p in others if p == asked] + [p for p in others if p != asked]:
        with suppress(SessionError):  # a damaged one is as none
            kept = read_session(path)
            fits = kept.recording is not None and not kept.recording.rewritten(text, dates)
            if fits and kept.unread is None and len(kept.store):
                with suppress(OSError):
                    os.utime(path)  # it was used now
                return kept
    return None


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Those that were used last first; what is gone meanwhile is left out."""
    dated = []
    for path in paths:
        with suppress(OSError):
            dated.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(dated, reverse=True)]


def all_results() -> list[Path]:
    """The files, those that were used last first."""
    return newest_first(results_folder().glob(f"*{SUFFIX}"))


def bytes_of(paths: Iterable[Path]) -> int:
    """What files take on the disk."""
    total = 0
    for path in paths:
        with suppress(OSError):
            total += path.stat().st_size
    return total


def tidy_results(spared: Path) -> None:
    """Those that were used least lately go, until what is left is not too much; but for the one that is in use."""
    with suppress(OSError):  # whoever writes says it
        results_folder().mkdir(mode=0o700, parents=True, exist_ok=True)  # for the user's eyes alone
    files = all_results()
    most, total = MOST_BYTES, bytes_of(files)
    with suppress(OSError):
        most = min(most, int(SHARE_FREE * (shutil.disk_usage(results_folder()).free + total)))
    for path in reversed(files):
        if total <= most:
            return
        if path != spared:
            total -= bytes_of([path])
            remove(path)


def remove(path: Path) -> None:
    """Take a file away, with what a program that was killed left beside it."""
    for gone in (path, path.with_name(path.name + "-journal")):
        with suppress(OSError):
            gone.unlink(missing_ok=True)


def clear_results() -> None:
    """All of them go."""
    for path in all_results():
        remove(path)
