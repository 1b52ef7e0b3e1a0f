"""What a training run can be told: read from TOML, saved in every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from irtrack.config import Checked, option
from irtrack.core import ConfigError
from irtrack.text import meant, read_toml
from irtrack.train.augment import AugmentSettings
from irtrack.train.losses import LOSSES

OPTIMISERS = ("muon", "adamw", "adam")
SCHEDULES = ("cosine", "steps")


@dataclass(frozen=True)
class TrainSettings(Checked):
    """A training run; saved in its checkpoint."""

    base: int = option(16, "channels of the first level: 16 is the paper's network, 8 the slim one", low=4, high=64)
    img_size: int = option(
        256, "training size of the attention scale, a constant of the weights", unit="px", low=32, high=8192
    )
    steps: int = option(4000, "optimiser steps in all", low=1, high=100_000_000)
    batch: int = option(8, "crops in a step, over all processes", low=1, high=4096)
    crop: int = option(128, "side of a crop, a multiple of 32", unit="px", low=32, high=4096)
    optimiser: str = option("adamw", "one of " + ", ".join(OPTIMISERS))
    rate: float = option(1.5e-3, "peak learning rate", low=1e-9, high=1.0)
    schedule: str = option("cosine", "cosine: down to zero; steps: times 0.1 at each of `drops`")
    drops: str = option("0.5,0.75", "fractions of the run at which the schedule `steps` drops")
    warmup: int = option(100, "steps of linear warm-up", low=0)
    weight_decay: float = option(1e-2, "decoupled weight decay of AdamW", low=0.0)
    clip: float = option(1.0, "largest norm of the gradient; 0 leaves it alone", low=0.0)
    bf16: bool = option(False, "bfloat16 arithmetic (weights stay float32): twice as fast where the machine has it")
    native: bool = option(True, "kernels in C for the steps on a CPU, where there is a compiler; else torch alone")
    ema: float = option(0.998, "decay of the averaged weights, which are evaluated and shipped", low=0.0, high=0.99999)
    loss: str = option("soft_iou_bce", "one of " + ", ".join(LOSSES))
    distil: float = option(0.5, "weight of the teacher's scores in the loss, where there is a teacher", low=0.0, high=1)
    mined: float = option(0.0, "share of crops placed where the averaged weights were wrong", low=0.0, high=1.0)
    mine_from: int = option(2000, "first step that mines", low=0)
    mine_every: int = option(1000, "steps between minings", low=1)
    mine_images: int = option(200, "training images looked at in a mining", low=1)
    validate_every: int = option(400, "steps between validations", low=1)
    validate_turned: bool = option(False, "validate on each image in all its turns, eight times as many")
    save_every: int = option(50, "steps between saves of last.pt", low=1)
    panels: int = option(6, "validation images drawn at each validation", low=0)
    seed: int = option(0, "seed of weights and crops", low=0)
    augment: AugmentSettings = field(default=AugmentSettings())

    def __post_init__(self) -> None:
        super().__post_init__()
        self.choose({"optimiser": OPTIMISERS, "schedule": SCHEDULES, "loss": tuple(LOSSES)})
        if self.base % 4:
            raise ConfigError(f"base = {self.base} must be a multiple of 4")
        if self.crop % 32:
            raise ConfigError(f"crop = {self.crop} must be a multiple of 32")
        if self.img_size % 32:
            raise ConfigError(f"img_size = {self.img_size} must be a multiple of 32")
        drops = drop_fractions(self)
        if not all(0 < at < 1 for at in drops) or drops != sorted(drops):
            raise ConfigError(f"drops = {self.drops!r} must be fractions of the run between 0 and 1 that rise")
        if self.schedule == "steps" and not drops:
            raise ConfigError("the schedule 'steps' needs drops: fractions of the run, such as 0.5,0.75")


def drop_fractions(settings: TrainSettings) -> list[float]:
    """`drops` as numbers. Raises ConfigError."""
    try:
        return [float(v) for v in settings.drops.split(",") if v.strip()]
    except ValueError as error:
        raise ConfigError(f"drops = {settings.drops!r} must be numbers with commas between") from error


def presets() -> dict[str, Path]:
    """The recipes that come with irtrack, by name."""
    folder = Path(str(resources.files("irtrack.train"))) / "presets"
    return {p.stem: p for p in sorted(folder.glob("*.toml"))}


def load_recipe(name: str) -> dict[str, Any]:
    """The table of a preset or of a TOML file. Raises ConfigError with one line."""
    path = presets().get(name, Path(name))
    try:
        return read_toml(path)
    except OSError as error:
        known = presets()
        raise ConfigError(
            f"no recipe {name!r}{meant(name, known)}: give a TOML file or one of {', '.join(known)}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"recipe {path} is not valid TOML: {error}") from error


def settings_from(values: dict[str, Any], pairs: list[str]) -> TrainSettings:
    """Settings of a table, overruled by `KEY=VALUE` texts (`augment.KEY=VALUE` for the crops). Raises ConfigError."""
    values = {k: dict(v) if isinstance(v, dict) else v for k, v in values.items()}
    if not isinstance(values.get("augment", {}), dict):
        raise ConfigError("augment must be a table of settings, [augment]")
    default = TrainSettings().to_dict()
    for pair in pairs:
        key, _, text = pair.partition("=")
        group, _, name = key.rpartition(".")
        known = default.get(group, {}) if group else default
        if not isinstance(known, dict) or not isinstance(known.get(name), bool | int | float | str):
            close = meant(key, [*default, *(f"augment.{name}" for name in default["augment"])])
            raise ConfigError(
                f"unknown training setting {key!r}{close}: it is one of {', '.join(default)} or augment.KEY"
            )
        table = values.setdefault(group, {}) if group else values
        table[name] = parse(text, known[name], key)
    return TrainSettings.from_dict(values)


def parse(text: str, like: bool | int | float | str, key: str) -> bool | int | float | str:
    """A text as a value of the same type as `like`. Raises ConfigError."""
    if isinstance(like, bool):
        if text.lower() not in ("true", "false"):
            raise ConfigError(f"{key} needs true or false, not {text!r}")
        return text.lower() == "true"
    try:
        return type(like)(text)
    except ValueError as error:
        raise ConfigError(f"{key} needs a number{', a whole one' * isinstance(like, int)}, not {text!r}") from error
