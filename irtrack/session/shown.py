"""What is drawn over the picture: a choice that is kept."""

from __future__ import annotations

from dataclasses import dataclass

from irtrack.config import Checked, option
from irtrack.core import ConfigError

MASK_STYLES = ("outline", "fill")
COLOURINGS = ("identity", "age", "speed")


@dataclass(frozen=True)
class Shown(Checked):
    """What is drawn over the picture, and how."""

    masks: bool = option(True, "show masks")
    trails: bool = option(True, "show trails")
    boxes: bool = option(True, "show boxes")
    labels: bool = option(True, "show numbers and names")
    ellipses: bool = option(False, "show where the target may be: two standard deviations")
    legend: bool = option(False, "show the colours of the counts beside the picture")
    opacity: int = option(55, "of the masks", unit="%", low=5, high=100)
    mask_style: str = option("outline", "one of " + ", ".join(MASK_STYLES))
    colouring: str = option("identity", "of trails: one of " + ", ".join(COLOURINGS))
    trail_s: float = option(2.0, "length of trails on the screen", unit="s", low=0.1, high=60.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("mask_style", MASK_STYLES), ("colouring", COLOURINGS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"unknown {name} {getattr(self, name)!r}: it is one of {', '.join(known)}")
