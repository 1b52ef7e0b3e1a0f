"""What the window remembers between two starts: a TOML file in the user's configuration folder."""

from __future__ import annotations

import logging
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import platformdirs
import tomli_w

from irtrack.config import Checked, DisplaySettings, option
from irtrack.core import ConfigError
from irtrack.gui.alarms import AlarmRules

RECENT = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Habits(Checked):
    """Layout, overlays, display and recent sources."""

    geometry: str = option("", "place and size of the window, as Qt encodes it")
    splitter: str = option("", "widths of its parts, as Qt encodes them")
    masks: bool = option(True, "show masks")
    trails: bool = option(True, "show trails")
    boxes: bool = option(True, "show boxes")
    labels: bool = option(True, "show numbers")
    opacity: int = option(55, "of the masks", unit="%", low=5, high=100)
    recordings: str = option("", "folder for recordings and snapshots of cameras; empty: the home folder")
    recent: tuple[str, ...] = option((), "sources opened last, the newest first")
    cameras: tuple[str, ...] = option((), "cameras and URLs that were connected, the newest first")
    display: DisplaySettings = field(default=DisplaySettings())
    alarms: AlarmRules = field(default=AlarmRules())

    def opened(self, source: str, camera: bool) -> Habits:
        """After a source was opened. Passwords are not kept."""
        from irtrack.capture.open import redact

        if redact(source) != source:
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
