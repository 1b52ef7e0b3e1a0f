"""What clips may take of the disk: the oldest whose events have no star go first."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from irtrack.station.settings import DiskSettings

GB = 10**9

log = logging.getLogger(__name__)


class Disk:
    """The folder of clips, kept within its bounds by `sweep`. Used by several threads."""

    def __init__(self, settings: DiskSettings, folder: Path, events: Path) -> None:
        """`folder`: of the station; clips lie in `clips/`. `events`: the database that knows their stars."""
        self.settings, self._folder, self._events = settings, folder, events
        self._lock = threading.Lock()
        self._written: set[Path] = set()
        self.full = ""
        """Why no more clips are kept; empty while there is room."""
        self.clips = self.clips_bytes = self.free_bytes = self.removed = 0

    @property
    def clips_folder(self) -> Path:
        """Where clips lie, by camera and day."""
        return self._folder / "clips"

    def begin(self, path: Path) -> None:
        """A clip will be written: it stays until `end`. Never waits, whatever `sweep` is at."""
        self._written.add(path)

    def end(self, path: Path) -> None:
        """It is no longer written."""
        self._written.discard(path)

    def path_of(self, clip: str | None) -> Path | None:
        """Of a clip, as the database names it; None where it names none in the folder of clips."""
        if not clip:
            return None
        path = self._folder / clip
        return path if path.resolve().is_relative_to(self.clips_folder.resolve()) else None

    def remove(self, path: Path) -> bool:
        """A clip goes with its events, unless it is still written; whether it is gone. Raises OSError."""
        if path in self._written:
            return False
        self._remove(path)
        return True

    def sweep(self) -> None:
        """Count, and remove what is too much; a disk that is full is said, once, and so is that it has room again."""
        with self._lock:
            try:
                self._sweep()
            except (OSError, sqlite3.Error) as error:
                log.warning("the disk of %s cannot be looked at: %s", self._folder, error)

    def _sweep(self) -> None:
        found = sorted(clips_in(self.clips_folder))
        sizes = {path: size for _, path, size in found}
        total, self.free_bytes = sum(sizes.values()), shutil.disk_usage(self._folder).free
        before = total
        most, least = self.settings.clips_gb * GB, self.settings.free_gb * GB
        if total > most or self.free_bytes < least:
            starred = self._starred()
            for _, path, size in found:
                if total <= most and self.free_bytes >= least:
                    break
                if path in self._written or path in starred:
                    continue
                self._remove(path)
                del sizes[path]
                total, self.free_bytes = total - size, shutil.disk_usage(self._folder).free
        self.clips, self.clips_bytes = len(sizes), total
        if before != total:
            log.info("%.1f MB of old clips removed", (before - total) / 1e6)
        self._say(total > most, self.free_bytes < least)

    def _say(self, over: bool, scarce: bool) -> None:
        why = ""
        if over:
            why = f"clips with a star take more than clips_gb = {self.settings.clips_gb:g}"
        elif scarce:
            why = f"less than free_gb = {self.settings.free_gb:g} is free on the disk of {self._folder}"
        if why and not self.full:
            log.warning("%s, and no clip may be removed: no more are kept until there is room", why)
        if self.full and not why:
            log.warning("the disk has room again: clips are kept")
        self.full = why

    def _starred(self) -> set[Path]:
        """Clips that stay."""
        if not self._events.exists():
            return set()
        with closing(sqlite3.connect(f"file:{self._events}?mode=ro", uri=True, timeout=5.0)) as base:
            rows = base.execute("SELECT DISTINCT clip FROM events WHERE starred AND clip IS NOT NULL").fetchall()
        return {self._folder / clip for (clip,) in rows}

    def _remove(self, path: Path) -> None:
        """One clip, and its folder where it was the last in it."""
        try:
            path.unlink()
        except FileNotFoundError:
            return
        self.removed += 1
        try:
            path.parent.rmdir()
        except OSError:
            return  # others are in it


def clips_in(folder: Path) -> list[tuple[str, Path, int]]:
    """Name, which begins with its time, path and bytes of each clip."""
    found: list[tuple[str, Path, int]] = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            try:
                found.append((name, path, path.stat().st_size))
            except FileNotFoundError:
                continue
    return found
