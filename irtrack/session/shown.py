"""What is drawn over the picture: a choice that is kept."""

from __future__ import annotations

from dataclasses import dataclass

from irtrack.config import Checked, option

MASK_STYLES = ("outline", "fill")
COLOURINGS = ("identity", "age", "speed")


@dataclass(frozen=True)
class Shown(Checked):
    """What is drawn over the picture, and how."""

    masks: bool = option(True, "pixels that the detector marks")
    trails: bool = option(True, "where each track has been; dashed while it coasts unseen")
    boxes: bool = option(True, "frame round each track; open corners while it coasts unseen")
    labels: bool = option(True, "identity or name of each track")
    ellipses: bool = option(False, "where the target may be: two standard deviations of its position")
    legend: bool = option(False, "colours of the counts beside the picture")
    opacity: int = option(55, "opacity of the masks", unit="%", low=5, high=100)
    mask_style: str = option("outline", "masks are filled, or outlined along their pixels", choices=MASK_STYLES)
    colouring: str = option(
        "identity", "colour of trails: identity, or blue to red by age (20 s) or speed", choices=COLOURINGS
    )
    trail_s: float = option(2.0, "so many seconds of each trail are shown", unit="s", low=0.1, high=60.0)
