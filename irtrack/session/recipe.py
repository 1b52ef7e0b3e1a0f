"""What results are made with, so that each of them can say so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from irtrack.config import DetectorSettings, polygons_text
from irtrack.core import Detector
from irtrack.imaging.regions import Regions

NAMES = {
    "threshold": "threshold", "min_area_px": "smallest size", "max_area_px": "largest size", "weights": "model",
    "device": "device",
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Settings of the detector, and the regions that count: those of the settings and those that were drawn."""

    detector: DetectorSettings
    regions: Regions

    @staticmethod
    def of(settings: DetectorSettings) -> Recipe:
        """With the regions that settings name."""
        return Recipe(settings, Regions.of(settings))

    def use_in(self, detector: Detector) -> None:
        """Have a detector work by it."""
        detector.threshold, detector.min_area_px = self.detector.threshold, self.detector.min_area_px
        detector.regions = self.regions

    def same_scores(self, other: Recipe) -> bool:
        """Whether a frame's score map is the same with both: what differs acts on it afterwards."""
        mine, theirs = (
            replace(r.detector, threshold=0.5, min_area_px=1, max_area_px=1, include="", exclude="")
            for r in (self, other)
        )
        return mine == theirs

    def changes(self, other: Recipe) -> list[str]:
        """What differs, in words."""
        out = [word for name, word in NAMES.items() if getattr(self.detector, name) != getattr(other.detector, name)]
        return out + ["regions"] * (self.regions != other.regions)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for what lies beside an export."""
        regions = {"include": polygons_text(self.regions.include), "exclude": polygons_text(self.regions.exclude)}
        return self.detector.to_dict() | regions
