"""Directions of tracks, by a camera that stands still; where its picture moved, that is said or they are left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from irtrack.core import Floats, Frame, FrameResult, IrtrackError, Remarks, SourceInfo, Track
from irtrack.direction.camera import Camera
from irtrack.direction.geodesy import azimuth_elevation

STEADY_PX, STEADY_SIGMAS = 3.0, 3.0
"""A picture whose corners moved by more px than this since the first frame, and by more standard deviations of where
the camera looks, may be that of a camera that was turned."""

RATE_S = 1.0
"""Time over which the rate of the picture's motion is taken."""

MOVED = (
    "the picture has moved since its first frame, and directions are those of a camera that stands still: left out "
    "(fixed = true in [pose] of the camera's file says that it does, and that clouds or water move)"
)


RESIZED = "the pictures are of another size than those of the camera's file: directions are left out"


class Bearing(NamedTuple):
    """Where a track is seen: from north over east, above the level plane; standard deviations; degrees a second."""

    azimuth_deg: float
    elevation_deg: float
    sigma_azimuth_deg: float
    sigma_elevation_deg: float
    azimuth_deg_s: float
    elevation_deg_s: float


class Bearings:
    """Call with the results of a run, in order; frames of the last seconds may be asked for again.

    `moved_px`: how far a corner of the last frame asked for went since the first one, where that is more than a camera
    that stands still explains, else 0.
    """

    def __init__(self, camera: Camera, remarks: Remarks | None = None) -> None:
        self.camera = camera
        self._remarks = remarks
        self._scenes: deque[tuple[int, float, Floats]] = deque(maxlen=512)
        self._last = -1
        self._connection, self._other = 0, -1
        middle = np.array([[(camera.lens.width - 1) / 2, (camera.lens.height - 1) / 2]])
        pointing_px = camera.lens.focal_px * float(np.sqrt(np.trace(camera.spread(middle)[0]) / 2))
        self._steady_px = max(STEADY_PX, STEADY_SIGMAS * pointing_px)
        self.moved_px = 0.0

    def __call__(self, result: FrameResult) -> Mapping[int, Bearing]:
        """Of the confirmed tracks of a frame, by their number; of none where the camera may have been turned."""
        moving = self._follow(result)
        tracks = [t for t in result.tracks if t.confirmed]
        if not self._fits(result.frame):
            return {}
        if self.moved_px and not self.camera.fixed:
            return {}
        return bearings_of(self.camera, tracks, moving)

    def _fits(self, frame: Frame) -> bool:
        """Whether its pictures are still those that the camera's file is of."""
        lens = self.camera.lens
        if frame.image.shape == (lens.height, lens.width):
            return True
        if self._remarks is not None and frame.connection != self._other:
            self._other = frame.connection
            self._remarks.add(RESIZED)
        return False

    def _follow(self, result: FrameResult) -> Floats:
        """How fast the picture moves, (2, 3) a second; `moved_px` is kept."""
        scene, frame = result.scene, result.frame
        self.moved_px = 0.0
        if scene is None:
            return np.zeros((2, 3))
        w, h = self.camera.lens.width, self.camera.lens.height
        corners = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]], float)
        moved_px = float(np.linalg.norm(corners @ scene.T - corners[:, :2], axis=1).max())
        if moved_px > self._steady_px:
            self.moved_px = moved_px
        if frame.index > self._last:
            self._last = frame.index
            if frame.connection != self._connection:
                self._connection = frame.connection
                self._scenes.clear()
            self._scenes.append((frame.index, frame.time_s, scene))
            if self.moved_px and not self.camera.fixed and self._remarks is not None:
                self._remarks.add(MOVED)
        return self._rate(frame.index, frame.time_s, scene)

    def _rate(self, index: int, time_s: float, scene: Floats) -> Floats:
        """Of the picture's motion over the last second before a frame."""
        before = next(((t, s) for i, t, s in self._scenes if i < index and time_s - t <= RATE_S), None)
        if before is None or time_s <= before[0]:
            return np.zeros((2, 3))
        turn = scene[:, :2] @ np.linalg.inv(before[1][:, :2])
        step = np.column_stack([turn - np.eye(2), scene[:, 2] - turn @ before[1][:, 2]])
        out: Floats = step / (time_s - before[0])
        return out


def bearings_of(camera: Camera, tracks: list[Track], moving: Floats) -> dict[int, Bearing]:
    """Of tracks, by their number; of those that the lens can show. `moving` (2, 3): how fast the picture moves."""
    if not tracks:
        return {}
    xy = np.array([t.xy_px for t in tracks])
    # A track's velocity is that in the scene: what the scene does comes on top.
    velocity = np.array([t.velocity_px_s for t in tracks]) + np.column_stack([xy, np.ones(len(xy))]) @ moving.T
    looked = camera.look(xy, np.array([t.covariance[:2, :2] for t in tracks]))
    azimuth, elevation = azimuth_elevation(looked.unit)
    axes = angle_slopes(looked.unit)
    with np.errstate(invalid="ignore"):
        sigma = np.degrees(np.sqrt(np.einsum("nij,njk,nik->ni", axes, looked.by_pixel + looked.by_camera, axes)))
    rate = np.degrees(np.einsum("nij,njk,nk->ni", axes, looked.of_pixel, velocity))
    rows = np.column_stack([azimuth, elevation, sigma, rate])
    return {t.id: Bearing(*row) for t, row in zip(tracks, rows.tolist(), strict=True) if bool(np.isfinite(row).all())}


def angle_slopes(units: Floats) -> Floats:
    """What azimuth and elevation, in radians, change by with unit vectors (N, 3): (N, 2, 3)."""
    east, north, up = units.T
    level2 = np.maximum(east**2 + north**2, 1e-24)
    level, zero = np.sqrt(level2), np.zeros_like(east)
    azimuth = np.stack([north / level2, -east / level2, zero], -1)
    elevation = np.stack([-east * up / level, -north * up / level, level], -1)
    return np.stack([azimuth, elevation], 1)


def check_fits(camera: Camera, info: SourceInfo) -> None:
    """Raises IrtrackError where a camera's pictures are of another size than a source's."""
    lens = camera.lens
    if (lens.width, lens.height) != (info.width, info.height):
        raise IrtrackError(
            f"the camera's file is of pictures of {lens.width}x{lens.height} pixels, and {info.name} has "
            f"{info.width}x{info.height}: calibrate it for these"
        )
