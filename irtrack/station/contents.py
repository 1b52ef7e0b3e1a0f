"""What the files hold that a station file names: one that was written anew under its name is another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from irtrack.core import WeightsError
from irtrack.detect.manifest import models_folder, read_manifest
from irtrack.paths import sha256_of
from irtrack.station.settings import CameraSettings, OutputSettings, StationSettings

Hashes = Mapping[str, str]
"""SHA-256 by the setting that names the file; empty where it cannot be read."""


@dataclass(frozen=True)
class Contents:
    """Of all files of a station. `cameras` by their names, `outputs` by their settings."""

    credentials: Hashes
    cameras: Mapping[str, Hashes]
    outputs: Mapping[OutputSettings, Hashes]

    @staticmethod
    def of(settings: StationSettings) -> Contents:
        """As the files are now."""
        return Contents(
            hashes({"credentials": settings.credentials}),
            {camera.name: hashes(files_of_camera(camera)) for camera in settings.cameras},
            {one: hashes({n: getattr(one, n, "") for n in OUTPUT_FILES}) for one in settings.outputs},
        )


OUTPUT_FILES = ("password_file", "secret_file", "ca_file")


def files_of_camera(camera: CameraSettings) -> dict[str, str]:
    """Paths by the settings that name them; those of its settings file stand in its settings."""
    settings = camera.settings
    correction = settings.capture.correction
    return {
        "weights": weights_file(settings.detector.weights),
        "correction": "" if correction == "camera" else correction,
        "beliefs": settings.tracker.beliefs,
        "pose": camera.pose,
    }


def weights_file(name: str) -> str:
    """Of a model by name, or the path itself; "" where it is chosen later."""
    try:
        entry = read_manifest().get(name)
    except WeightsError:
        return ""  # said by whoever loads them
    return str(models_folder() / str(entry["file"])) if entry is not None else "" if name == "auto" else name


def hashes(files: Mapping[str, str]) -> dict[str, str]:
    """Of those that are named."""
    return {name: hash_now(Path(path)) for name, path in files.items() if path}


def hash_now(path: Path) -> str:
    """SHA-256 of a file as it is now; empty where it cannot be read, which whoever opens it says."""
    try:
        return sha256_of(path)
    except OSError:
        return ""


def changed(before: Hashes | None, now: Hashes) -> list[str]:
    """Which files of the same settings are other ones."""
    return [name for name, value in now.items() if before is not None and before.get(name, value) != value]
