"""What flows through irtrack: frames, what was found in them, tracks, and results.

Coordinates, said once: x to the right, y down, in pixels; (0, 0) is the centre of the top-left pixel. Images are
(row, column) arrays. Everything here is frozen and its arrays are read-only once handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from irtrack.errors import IrtrackError
from irtrack.pictures import Image, described, frozen

Floats = NDArray[np.float64]
Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    `index`: 0-based number in the source; a gap is a drop. `time_s`: media time of a recording (0 at its first frame);
    of a camera, seconds from its opening to the picture's arrival. `image`: (H, W), raw counts as they come.
    `connection`: counts the fresh starts of a live source (connected again, or pictures of another size or depth): what
    was known before one of them says nothing of what comes after it. `celsius`: degrees of counts, if the file says.
    """

    index: int
    time_s: float
    image: Image
    connection: int = 0
    celsius: Callable[[ArrayLike], Floats] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Frame(index={self.index}, time_s={self.time_s:.3f}, image={described(self.image)})"


@dataclass(frozen=True, slots=True)
class Detections:
    """N components of one frame's score map, in no particular order; struct of arrays.

    xy_px (N, 2): sub-pixel intensity-weighted centroid. score (N,): highest score of the component, 0 to 1. area_px
    (N,): pixels. box_px (N, 4): left, top, width, height, where a single pixel (c, r) is (c - 0.5, r - 0.5, 1, 1). snr
    (N,): |mean target - mean background| / std background, local. mask: (H, W) bool, or None where detections came
    without an image. scores: (H, W) float32, the map that they were found in, where it is still at hand. looked (M, 4):
    left, top, width and height of the parts that were looked at, where that was not all of the frame. scan_s: time in
    which every place is looked at once, where that takes more than a frame. motion (2, 3): of the scene since the last
    frame, where the detector found out. change (N,): how far the picture differs there from what the frames before let
    expect, in standard deviations, where the detector found out; NaN where that is not known yet.
    """

    xy_px: Floats
    score: Floats
    area_px: Floats
    box_px: Floats
    snr: Floats
    mask: NDArray[np.bool_] | None = None
    scores: Scores | None = None
    looked: Floats | None = None
    scan_s: float = 0.0
    motion: Floats | None = None
    change: Floats | None = None

    def __post_init__(self) -> None:
        n = len(self.xy_px)
        if self.xy_px.shape != (n, 2) or self.box_px.shape != (n, 4):
            raise ValueError(f"xy_px {self.xy_px.shape} and box_px {self.box_px.shape} are not (N, 2) and (N, 4)")
        for name in ("score", "area_px", "snr"):
            if getattr(self, name).shape != (n,):
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected ({n},)")
        for name in self.__slots__:  # views: whoever made the arrays may go on with them
            array = getattr(self, name)
            if isinstance(array, np.ndarray):
                object.__setattr__(self, name, frozen(array.view()))

    def __len__(self) -> int:
        return len(self.xy_px)

    def __repr__(self) -> str:
        shown = [f"({x:.1f}, {y:.1f}) score {s:.2f}" for (x, y), s in zip(self.xy_px[:3], self.score, strict=False)]
        return f"Detections({len(self)}{': ' * bool(shown)}{'; '.join(shown)}{'; ...' * (len(self) > 3)})"

    def looked_at(self, xy: Floats) -> NDArray[np.bool_]:
        """Whether places (N, 2) lie where the frame was looked at."""
        if self.looked is None:
            return np.ones(len(xy), bool)
        low, size = self.looked[:, :2], self.looked[:, 2:]
        inside = (xy[:, None] >= low) & (xy[:, None] < low + size)
        return np.logical_or.reduce(np.logical_and.reduce(inside, 2), 1)

    @staticmethod
    def empty(mask: NDArray[np.bool_] | None = None, scores: Scores | None = None) -> Detections:
        """No detections."""
        zero = np.zeros(0)
        return Detections(np.zeros((0, 2)), zero.copy(), zero.copy(), np.zeros((0, 4)), zero.copy(), mask, scores)

    @staticmethod
    def at(xy_px: ArrayLike, score: ArrayLike | None = None, size_px: ArrayLike | None = None) -> Detections:
        """Detections of another program: centres (N, 2), scores (N,), sizes (N, 2). Raises IrtrackError."""
        xy = np.array(xy_px, float) if np.size(xy_px) else np.zeros((0, 2))
        if xy.ndim != 2 or xy.shape[1] != 2 or not np.isfinite(xy).all():
            raise IrtrackError(f"positions are an array (N, 2) of finite x and y, not one of shape {xy.shape}")
        n = len(xy)
        scores = np.ones(n) if score is None else np.array(score, float)
        size = np.full((n, 2), np.nan) if size_px is None else np.array(size_px, float)
        if scores.shape != (n,) or not ((scores >= 0) & (scores <= 1)).all():
            raise IrtrackError(f"scores are one number from 0 to 1 for each of the {n} positions")
        if size.shape != (n, 2) and n:
            raise IrtrackError(f"sizes are a width and a height for each of the {n} positions, not {size.shape}")
        size = size.reshape(n, 2)
        box = np.column_stack([xy - np.nan_to_num(size) / 2, size])
        return Detections(xy, scores, size[:, 0] * size[:, 1], box, np.full(n, np.nan))


class TrackStatus(StrEnum):
    """Life cycle of a track; deleted tracks are not reported."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    COASTING = "coasting"


@dataclass(frozen=True, slots=True)
class Track:
    """A snapshot of one track at one frame.

    `covariance` (4, 4) is that of (x, y, vx, vy). `detection` is the row of the frame's detections that updated it,
    None while coasting. `trail` (T, 2) holds the past positions, oldest first, this frame's last.
    `w_px`, `h_px`, `area_px` and `snr` are those of the last detection; `score` is that of this frame's, or NaN.
    `belief`: evidence that it is a target, in nats above what is asked of a track; NaN where nobody weighed it. `why()`
    tells what that consists of.
    """

    id: int
    status: TrackStatus
    xy_px: Floats
    velocity_px_s: Floats
    covariance: Floats
    age_s: float
    misses: int
    detection: int | None
    size_px: tuple[float, float]
    area_px: float
    score: float
    snr: float
    trail: Floats = field(repr=False)
    belief: float = float("nan")
    why: Callable[[], Mapping[str, Mapping[str, float]]] = field(default=dict, repr=False, compare=False)
    """Parts of the belief, in nats, against each kind of clutter (`track/belief.py`): negative ones speak for that."""

    @property
    def confirmed(self) -> bool:
        return self.status is not TrackStatus.TENTATIVE

    def __repr__(self) -> str:
        (x, y), (vx, vy) = self.xy_px, self.velocity_px_s
        return f"Track({self.id} {self.status} at ({x:.1f}, {y:.1f}) px, velocity ({vx:.1f}, {vy:.1f}) px/s)"


class Tracks(Sequence[Track]):
    """The tracks of one frame: arrays, and snapshots of single tracks that are made when they are asked for.

    `id` (N,), `confirmed` (N,), `x` (N, 4): position and velocity, `P` (N, 4, 4): their covariance. `fixed` (N,): seen
    for long, and has not left its place. `scene` (2, 3): from where points of the scene lay in the first frame to where
    they lie in this one. `make(i)` gives the snapshot of row i.
    """

    def __init__(
        self,
        id: NDArray[np.int64],
        confirmed: NDArray[np.bool_],
        x: Floats,
        scene: Floats,
        make: Callable[[int], Track],
        P: Floats | None = None,
        fixed: NDArray[np.bool_] | None = None,
    ) -> None:
        self.id, self.confirmed, self.x, self.scene = frozen(id), frozen(confirmed), frozen(x), scene
        self.P = frozen(np.zeros((len(id), 4, 4)) if P is None else P)
        self.fixed = frozen(np.zeros(len(id), bool) if fixed is None else fixed)
        self._make = make
        self._made: tuple[Track, ...] | None = None

    @property
    def xy_px(self) -> Floats:
        """Positions (N, 2)."""
        return self.x[:, :2]

    @property
    def velocity_px_s(self) -> Floats:
        """Velocities (N, 2), in the scene."""
        return self.x[:, 2:]

    def __repr__(self) -> str:
        sure = self.id[self.confirmed].tolist()
        shown = ", ".join(map(str, sure[:8])) + ", ..." * (len(sure) > 8)
        return f"Tracks({len(self)}, {len(sure)} confirmed{': ' * bool(sure)}{shown})"

    def unmade(self) -> Tracks:
        """The same without the snapshots made so far: some arrays instead of many objects, to keep."""
        return Tracks(self.id, self.confirmed, self.x, self.scene, self._make, self.P, self.fixed)

    def __len__(self) -> int:
        return len(self.id)

    @overload
    def __getitem__(self, index: int) -> Track: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Track, ...]: ...
    def __getitem__(self, index: int | slice) -> Track | tuple[Track, ...]:
        return self._all()[index]

    def __iter__(self) -> Iterator[Track]:
        return iter(self._all())

    def _all(self) -> tuple[Track, ...]:
        if self._made is None:
            self._made = tuple(self._make(i) for i in range(len(self)))
        return self._made


@dataclass(frozen=True, slots=True)
class FrameResult:
    """All that is known of one frame: what sinks write and the window draws.

    `captured_s`: monotonic clock when the frame left its source, for latency. `settings`: the tracker's, if it has any.
    `scene` (2, 3): the tracks' (see `Tracks`), which stays when these are rewritten; None where it is not known.
    """

    frame: Frame
    detections: Detections
    tracks: Sequence[Track]
    stage_ms: dict[str, float]
    dropped: int = 0
    captured_s: float = 0.0
    settings: object = field(default=None, compare=False)
    scene: Floats | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        return f"FrameResult({self.frame!r}, {len(self.detections)} detections, {self.tracks!r})"
