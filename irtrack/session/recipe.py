"""What results are made with, so that each of them can say so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from irtrack.config import DetectorSettings, Settings, polygons_text
from irtrack.core import Detector
from irtrack.imaging.regions import Regions

NAMES = {
    "threshold": "threshold", "min_area_px": "smallest size", "max_area_px": "largest size", "weights": "model",
    "device": "device", "temporal": "temporal stage", "closer": "closer look",
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

    @property
    def network(self) -> DetectorSettings:
        """What the network's scores depend on: all else acts on them afterwards."""
        return replace(
            self.detector, threshold=0.5, min_area_px=1, max_area_px=1, include="", exclude="", temporal=False
        )

    def same_scores(self, other: Recipe) -> bool:
        """Whether the network says the same of a frame with both."""
        return self.network == other.network

    def changes(self, other: Recipe) -> list[str]:
        """What differs, in words."""
        mine, theirs = self.detector.to_dict(), other.detector.to_dict()
        differs = {name for name in mine if mine[name] != theirs[name]}
        out = [word for name, word in NAMES.items() if name in differs]
        out += ["regions"] * (self.regions != other.regions)
        return out + ["other settings of the detector"] * bool(differs - NAMES.keys() - {"include", "exclude"})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for what lies beside an export."""
        regions = {"include": polygons_text(self.regions.include), "exclude": polygons_text(self.regions.exclude)}
        return self.detector.to_dict() | regions


@dataclass(frozen=True)
class Made:
    """How results came to be, beside their recipe. `settings`: those of tracker and capture; `program`: as of
    `program_of`; `model`: the network and its device. `at`: when their pass began, UTC; None of files of an earlier
    version."""

    settings: Settings
    program: str
    model: str = ""
    at: datetime | None = None
