"""What the window remembers between two starts: a TOML file in the user's configuration folder."""

from __future__ import annotations

import logging
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import platformdirs
import tomli_w

from irtrack.capture.address import may_be_kept
from irtrack.config import Checked, DisplaySettings, Polygon, option, polygons, polygons_text
from irtrack.core import ConfigError
from irtrack.gui.alarms import AlarmRules
from irtrack.gui.overlays import REGION_RGB, Shown

RECENT, SOURCES = 10, 50
"""Sources kept as recent, and sources whose regions are kept."""

Regions = dict[str, tuple[Polygon, ...]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Habits(Checked):
    """Layout, overlays, display and recent sources."""

    geometry: str = option("", "place and size of the window, as Qt encodes it")
    splitter: str = option("", "widths of its parts, as Qt encodes them")
    recordings: str = option("", "folder for recordings and snapshots of cameras; empty: the home folder")
    recent: tuple[str, ...] = option((), "sources opened last, the newest first")
    cameras: tuple[str, ...] = option((), "cameras and URLs that were connected, the newest first")
    display: DisplaySettings = field(default=DisplaySettings())
    shown: Shown = field(default=Shown())
    alarms: AlarmRules = field(default=AlarmRules())
    regions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each source: the regions of each kind, as `config.polygons` reads them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for source, kinds in self.regions.items():
            if not isinstance(kinds, dict) or not kinds.keys() <= REGION_RGB.keys():
                raise ConfigError(f"regions of {source}: each is one of {', '.join(REGION_RGB)}")
            for text in kinds.values():
                polygons(text)

    def regions_of(self, source: str) -> Regions:
        """Polygons of a source by kind."""
        return {kind: polygons(text) for kind, text in self.regions.get(source, {}).items()}

    def with_regions(self, source: str, regions: Regions) -> Habits:
        """With these regions of a source, the newest last. Those of URLs with a password are not kept."""
        if not may_be_kept(source):
            return self
        texts = {kind: polygons_text(outlines) for kind, outlines in regions.items() if outlines}
        others = {k: v for k, v in self.regions.items() if k != source}
        kept = dict(list(others.items())[-(SOURCES - 1) :])
        return replace(self, regions=kept | ({source: texts} if texts else {}))

    def opened(self, source: str, camera: bool) -> Habits:
        """After a source was opened. Passwords are not kept."""
        if not may_be_kept(source):
            return self
        kept = replace(self, recent=(source, *(r for r in self.recent if r != source))[:RECENT])
        if not camera:
            return kept
        return replace(kept, cameras=(source, *(c for c in self.cameras if c != source))[:RECENT])


def habits_path() -> Path:
    """Where they are kept."""
    return Path(platformdirs.user_config_dir("irtrack", appauthor=False)) / "window.toml"


def load_habits(path: Path) -> tuple[Habits, str | None]:
    """What was kept, and a line for the user where it could not be read: the file is then set aside."""
    try:
        return Habits.from_dict(tomllib.loads(path.read_text(encoding="utf-8"))), None
    except FileNotFoundError:
        return Habits(), None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, ConfigError, TypeError) as error:
        aside = path.with_suffix(".broken.toml")
        with suppress(OSError):
            path.replace(aside)
        return Habits(), f"the window's settings could not be read ({error}); they were set aside as {aside}"


def save_habits(habits: Habits, path: Path) -> None:
    """Keep them; a failure is logged, never raised: closing must not fail."""
    values = habits.to_dict()
    values["recent"], values["cameras"] = list(habits.recent), list(habits.cameras)
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(tomli_w.dumps(values), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        log.warning("the window's settings could not be kept: %s", error)
