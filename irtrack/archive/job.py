"""What is done to every recording of an archive, the same on every worker: settings, model, and what they name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from irtrack import __version__
from irtrack.capture.open import check_rate
from irtrack.config import Settings
from irtrack.core import ConfigError, IrtrackError
from irtrack.paths import sha256_of

FORMAT = 1
"""Of the files in an archive's folder."""

NOT_OF_RESULTS = ("display",)
"""Sections of the settings that change no track."""


class Unfit(IrtrackError):
    """A worker that cannot do what the others do."""


@dataclass(frozen=True)
class Job:
    """`settings` leave nothing to choose once `model` is set, the SHA-256 of the weights: a worker takes these or says
    that it cannot. `fps`: the rate that all recordings are given, or None. `inputs`: SHA-256 of the files that the
    settings name. `part_s`: how long the parts of a long recording are; no part of the result.
    """

    out: Path
    settings: Settings
    fps: float | None = None
    part_s: float = 600.0
    model: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """What results depend on, as plain values."""
        settings = {name: table for name, table in self.settings.to_dict().items() if name not in NOT_OF_RESULTS}
        return {
            "format": FORMAT, "settings": settings, "fps": self.fps, "model": self.model, "inputs": dict(self.inputs)
        }  # fmt: skip

    def key(self, content: str) -> str:
        """Names the result of a recording with this content."""
        text = json.dumps(self.to_dict(), sort_keys=True) + content
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def job_of(out: Path, settings: Settings, fps: float | None, part_s: float) -> Job:
    """A job whose model is still to be chosen. Raises IrtrackError for what makes no sense for an archive."""
    detector = settings.detector
    if detector.mode == "live":
        raise ConfigError("--mode live is for cameras, which do not wait: leave it out")
    check_rate(fps)
    if settings.capture.correction == "camera":
        raise ConfigError("--correct needs a FILE here: workers do not know which camera made a recording")
    if not 1.0 <= part_s < 1e6:
        raise ConfigError(f"--part {part_s / 60:g} makes no sense: give minutes, such as 10")
    named = (settings.capture.correction, settings.tracker.beliefs)
    inputs = {path: input_hash(Path(path)) for path in named if path}
    # One thread, unless told otherwise: another number rounds otherwise, and results must not hang on the machine.
    whole = replace(detector, mode="exact" if detector.mode == "auto" else detector.mode, threads=detector.threads or 1)
    return Job(out, replace(settings, detector=whole), fps, part_s, inputs=inputs)


def settled(job: Job, before: Mapping[str, Any]) -> Job:
    """A job whose `auto` is what it was in an earlier one's `to_dict`."""
    detector, kept = job.settings.detector, dict(dict(before.get("settings", {})).get("detector", {}))
    same = {
        name: kept[name]
        for name in ("weights", "device", "backend")
        if getattr(detector, name) == "auto" and isinstance(kept.get(name), str)
    }
    return replace(job, settings=replace(job.settings, detector=replace(detector, **same)))


def input_hash(path: Path) -> str:
    """SHA-256 of a file that the settings name. Raises ConfigError."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def difference(job: Job, before: Mapping[str, Any]) -> str:
    """What of a job is otherwise than in an earlier one's `to_dict`, in a few words; empty: nothing."""
    now = json.loads(json.dumps(job.to_dict()))
    if before.get("format") != FORMAT:
        return "it was made by another version of irtrack"
    changed = [
        f"{name} = {value!r}, now {now['settings'].get(section, {}).get(name)!r}"
        for section, table in dict(before.get("settings", {})).items()
        for name, value in table.items()
        if now["settings"].get(section, {}).get(name) != value
    ]
    if before.get("fps") != now["fps"]:
        changed.append(f"fps = {before.get('fps')!r}, now {now['fps']!r}")
    if before.get("model") != now["model"]:
        changed.append("another model")
    if before.get("inputs") != now["inputs"]:
        changed.append("other contents of the files that the settings name")
    if not changed and before != now:
        changed.append("other settings")
    return "; ".join(changed)


def check_version(job: Job) -> None:
    """Raises Unfit on a worker of another version: results would mix what differs."""
    if job.version != __version__:
        raise Unfit(f"a worker has irtrack {__version__}, and this is {job.version}: install the same on all of them")
