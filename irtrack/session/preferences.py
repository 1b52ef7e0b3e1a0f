"""What the window remembers between two starts: a TOML file in the user's configuration folder."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import platformdirs
import tomli_w

from irtrack.capture.address import may_be_kept
from irtrack.config import Checked, DisplaySettings, Polygon, option, polygons, polygons_text
from irtrack.core import ConfigError
from irtrack.session.alarms import AlarmRules
from irtrack.session.shown import Shown
from irtrack.sinks.target import locked, write_whole

REGION_KINDS = ("include", "exclude", "alarm")
"""What regions are drawn for: to look in, to leave out, to call for."""

MOST_DOTS = 300
"""In a line of the file before its value, names of recordings included: the parser's time grows with their square."""

LISTS = ("recent", "cameras", "models")
"""What was used last, the newest first; names of files, among others."""

RECENT, SOURCES = 10, 50
"""Of each of these lists so many are kept, and sources whose regions are kept."""

Regions = dict[str, tuple[Polygon, ...]]


@dataclass(frozen=True)
class Preferences(Checked):
    """Layout, overlays, display and recent sources."""

    geometry: str = option("", "place and size of the window, as Qt encodes it")
    splitter: str = option("", "widths of its parts, as Qt encodes them")
    recordings: str = option("", "folder for recordings and snapshots of cameras; empty: the home folder")
    recent: tuple[str, ...] = option((), "sources opened last, the newest first")
    exports: tuple[str, ...] = option(("csv",), "formats that were exported last")
    cameras: tuple[str, ...] = option((), "cameras and URLs that were connected, the newest first")
    models: tuple[str, ...] = option((), "weights of one's own that were used, the newest first")
    display: DisplaySettings = field(default=DisplaySettings())
    shown: Shown = field(default=Shown())
    alarms: AlarmRules = field(default=AlarmRules())
    regions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each source: the regions of each kind, as `config.polygons` reads them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for source, kinds in self.regions.items():
            if not isinstance(kinds, dict) or not kinds.keys() <= set(REGION_KINDS):
                raise ConfigError(f"regions of {source}: each is one of {', '.join(REGION_KINDS)}")
            for text in kinds.values():
                polygons(text)

    def regions_of(self, source: str) -> Regions:
        """Polygons of a source by kind."""
        return {kind: polygons(text) for kind, text in self.regions.get(source, {}).items()}

    def with_regions(self, source: str, regions: Regions) -> Preferences:
        """With these regions of a source, the newest last. Those of URLs with a password are not kept."""
        if not may_be_kept(source):
            return self
        texts = {kind: polygons_text(outlines) for kind, outlines in regions.items() if outlines}
        others = {k: v for k, v in self.regions.items() if k != source}
        kept = dict(list(others.items())[-(SOURCES - 1) :])
        return replace(self, regions=kept | ({source: texts} if texts else {}))

    def opened(self, source: str, camera: bool, instead: str = "") -> Preferences:
        """After a source was opened; `instead`: where it was before, with what was drawn on it there. Passwords are not
        kept."""
        if not may_be_kept(source):
            return self
        others = (r for r in self.recent if r not in (source, instead))
        kept = replace(self, recent=(source, *others)[:RECENT])
        if instead and source not in self.regions:
            kept = kept.with_regions(source, self.regions_of(instead))
        if not camera:
            return kept
        return replace(kept, cameras=(source, *(c for c in self.cameras if c != source))[:RECENT])


def preferences_path() -> Path:
    """Where they are kept."""
    return Path(platformdirs.user_config_dir("irtrack", appauthor=False)) / "window.toml"


def load_preferences(path: Path) -> tuple[Preferences, str | None]:
    """What was kept, and a line for the user where it could not be read: the file is then set aside."""
    try:
        return read_preferences(path), None
    except FileNotFoundError:
        return Preferences(), None
    except Exception as error:  # whatever a parser makes of a file that it was not made for
        aside = path.with_suffix(".broken.toml")
        why = " ".join(str(error).split())[:200]
        try:
            path.replace(aside)
        except OSError:
            return Preferences(), f"the window's settings in {path} could not be read ({why}): it starts without"
        return Preferences(), f"the window's settings could not be read ({why}); they were set aside as {aside}"


def read_preferences(path: Path) -> Preferences:
    """What a file holds. Raises what its parsers raise."""
    text = path.read_text(encoding="utf-8")
    if any(line.partition("=")[0].count(".") > MOST_DOTS for line in text.splitlines()):
        raise ConfigError("a key has too many parts")
    values = tomllib.loads(text)
    for name in LISTS:
        if name in values:
            values[name] = [from_kept(t) for t in values[name]]
    if "regions" in values:
        values["regions"] = {from_kept(k): v for k, v in values["regions"].items()}
    return Preferences.from_dict(values)


def save_preferences(preferences: Preferences, path: Path, base: Preferences | None = None) -> str | None:
    """Keep them: what changed since `base` goes into what is in the file now, which another window may have written.

    Whole or not at all, and for the user's eyes alone. A line where they could not be kept: closing must not fail.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            if base is not None:
                preferences = merged(base, preferences, load_preferences(path)[0] if path.exists() else base)
            write_whole(path, tomli_w.dumps(kept_values(preferences)), 0o600)
    except (OSError, ValueError) as error:
        return f"the window's settings could not be kept in {path}: {getattr(error, 'strerror', None) or error}"
    return None


def kept_values(preferences: Preferences) -> dict[str, Any]:
    """As they stand in the file."""
    values = preferences.to_dict()
    values |= {name: [to_kept(source) for source in values[name]] for name in LISTS}
    values["regions"] = {to_kept(k): v for k, v in preferences.regions.items()}
    return values


def merged(base: Preferences, ours: Preferences, theirs: Preferences) -> Preferences:
    """Theirs, with what differs between `base` and ours."""
    values = merge(base.to_dict(), ours.to_dict(), theirs.to_dict())
    return Preferences.from_dict(values | {name: values[name][:RECENT] for name in LISTS})


def merge(base: Any, ours: Any, theirs: Any) -> Any:
    """Of three states of one thing: tables by key, lists joined with ours in front, else ours where it changed."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        was = base if isinstance(base, dict) else {}
        out = {k: merge(was.get(k), ours.get(k), theirs.get(k)) for k in theirs | ours}
        return {k: v for k, v in out.items() if v is not None}
    if ours == base:
        return theirs
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return [*ours, *(t for t in theirs if t not in ours)]
    return ours


def to_kept(source: str) -> str:
    """A source for a file of text: a name that is no text, as old disks have them, as its file URI."""
    try:
        source.encode()
    except UnicodeEncodeError:
        return Path(source).absolute().as_uri()
    return source


def from_kept(text: str) -> str:
    """The source again."""
    if not text.startswith("file:///"):
        return text
    return os.fsdecode(unquote_to_bytes(text.removeprefix("file://")))
