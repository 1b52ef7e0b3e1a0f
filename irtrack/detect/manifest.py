"""The list of models that come with irtrack; reading it needs no torch."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from irtrack.core import WeightsError


def models_folder() -> Path:
    """`models/` of the source tree, or its copy inside an installed wheel."""
    inside = Path(__file__).resolve().parent.parent / "_models"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "models"


def read_manifest(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Entries of `manifest.toml` by name. Raises WeightsError."""
    path = (folder or models_folder()) / "manifest.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"the list of models {path} cannot be read: {error.strerror}; reinstall irtrack") from error
    except tomllib.TOMLDecodeError as error:
        raise WeightsError(f"the list of models {path} is not valid TOML: {error}") from error
