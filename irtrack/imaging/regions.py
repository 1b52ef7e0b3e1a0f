"""Parts of the picture that count: polygons to look in, and polygons to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.config import DetectorSettings, Polygon, polygons
from irtrack.core import frozen


@dataclass(frozen=True)
class Regions:
    """`include`: where targets are looked for, everywhere if there is none; `exclude`: where not, whatever else holds.

    Polygons of (x, y) in pixels; (0, 0) is the centre of the top-left pixel.
    """

    include: tuple[Polygon, ...] = ()
    exclude: tuple[Polygon, ...] = ()

    @staticmethod
    def of(settings: DetectorSettings) -> Regions:
        """The regions that settings name."""
        return Regions(polygons(settings.include), polygons(settings.exclude))

    def __bool__(self) -> bool:
        return bool(self.include or self.exclude)

    def allowed(self, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
        """(H, W) bool, True where a target counts; None where all of the picture does."""
        if not self:
            return None
        inside = area(self.include, shape) if self.include else np.ones(shape, bool)
        return frozen(inside & ~area(self.exclude, shape))


def area(outlines: Sequence[Polygon], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool: the pixels whose centre lies in one of the polygons, borders included."""
    mask = np.zeros(shape, np.uint8)
    for outline in outlines:
        # One at a time: polygons of one call would cut holes into each other where they overlap.
        cv2.fillPoly(mask, [np.round(np.array(outline)).astype(np.int32)], 1)
    return mask.astype(bool)


def contain(outlines: Sequence[Polygon], x: float, y: float) -> bool:
    """Whether a place lies in one of the polygons, borders included."""
    return any(cv2.pointPolygonTest(np.array(outline, np.float32), (x, y), False) >= 0 for outline in outlines)
