"""The list of models that come with irtrack; reading it needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from irtrack.core import WeightsError
from irtrack.text import read_toml


def models_folder() -> Path:
    """`models/` of the source tree, or its copy inside an installed wheel."""
    inside = Path(__file__).resolve().parent.parent / "_models"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "models"


ENTRY: dict[str, tuple[type, ...]] = {"file": (str,), "sha256": (str,), "img_size": (int,), "threshold": (int, float)}
"""What each entry has, and of which kind."""


def read_manifest(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Entries of `manifest.toml` by name. Raises WeightsError."""
    path = (folder or models_folder()) / "manifest.toml"
    try:
        found = read_toml(path)
    except OSError as error:
        raise WeightsError(f"the list of models {path} cannot be read: {error.strerror}; reinstall irtrack") from error
    except ValueError as error:
        raise WeightsError(f"the list of models {path} is not valid TOML: {error}; reinstall irtrack") from error
    for name, entry in found.items():
        lacks = [k for k, kinds in ENTRY.items() if not isinstance(entry, dict) or type(entry.get(k)) not in kinds]
        if not lacks and type(entry.get("architecture", "")) is not str:
            lacks = ["architecture"]
        if lacks:
            raise WeightsError(
                f"the list of models {path} is damaged: {name[:60]!r} lacks {lacks[0]}; reinstall irtrack"
            )
    return found
