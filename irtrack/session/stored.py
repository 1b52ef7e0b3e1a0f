"""What is kept of a frame: its result without the picture, in memory or as a file has it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, FrameResult
from irtrack.session.recipe import Recipe
from irtrack.session.scoremap import ScoreMap


@dataclass(frozen=True, slots=True)
class Stored:
    """A result whose picture is blank; the mask as the flat indices of its pixels. `recipe`: what it was made with.
    `rows`: SERIES of each of its confirmed tracks."""

    result: FrameResult
    mask_px: NDArray[np.uint32]
    recipe: Recipe | None
    rows: Mapping[int, tuple[float, ...]]


class Shut(Protocol):
    """Results of frames that follow each other, as a file has them; they are made when one of them is asked for."""

    numbers: Sequence[int]
    """Of the frames."""
    times_s: Sequence[float]
    scenes: Sequence[Floats | None]
    """As `FrameResult.scene`."""
    recipes: Sequence[Recipe | None]
    mapped: Collection[int]
    """Frames of which there are score maps."""

    def series(self) -> Iterator[tuple[int, Sequence[int], Floats]]:
        """Each track with its frames and its rows (T, len(SERIES)) there, in the order in which they begin."""
        ...

    def opened(self) -> Sequence[Stored]:
        """The results."""
        ...

    def maps(self) -> Mapping[int, ScoreMap]:
        """The score maps, by frames."""
        ...
