"""Motions of the scene in the picture: (2, 3) matrices that take a point from where it lay to where it lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from irtrack.core import Floats, frozen

STILL: Floats = frozen(np.eye(2, 3))
"""Nothing moves."""


def is_still(motion: Floats) -> bool:
    """Whether a motion moves nothing, exactly."""
    return motion is STILL or np.array_equal(motion, STILL)


def moved(motion: Floats, xy: Floats) -> Floats:
    """Points (N, 2) after a motion."""
    out: Floats = xy @ motion[:, :2].T + motion[:, 2]
    return out


def moved_back(motion: Floats, xy: Floats) -> Floats:
    """Points (N, 2) before a motion."""
    if is_still(motion):
        return xy
    out: Floats = (xy - motion[:, 2]) @ np.linalg.inv(motion[:, :2]).T
    return out


def as_it_lies(places: Floats, scenes: Sequence[Floats | None]) -> Floats:
    """Points (N, 2), each of a frame with its own scene (2, 3), as they lie in the last of them; as they are, where one
    is not known."""
    if all(scene is None or is_still(scene) for scene in scenes):
        return places
    known = [scene for scene in scenes if scene is not None]
    if len(known) < len(scenes):
        return places
    motions = np.array(known)
    first = np.linalg.solve(motions[:, :, :2], places[:, :, None] - motions[:, :, 2:])[:, :, 0]
    return moved(known[-1], np.asarray(first, np.float64))


def carried(motion: Floats, x: Floats, P: Floats) -> tuple[Floats, Floats]:
    """States (..., 4) of position and velocity and their covariances (..., 4, 4) after a motion."""
    full = np.kron(np.eye(2), motion[:, :2])
    x = x @ full.T
    x[..., :2] += motion[:, 2]
    return x, full @ P @ full.T


def after(second: Floats, first: Floats) -> Floats:
    """The motion that is `first` and then `second`."""
    turn = second[:, :2]
    return np.column_stack([turn @ first[:, :2], turn @ first[:, 2] + second[:, 2]])


def between(first: Floats, second: Floats) -> Floats:
    """The motion from where points lie after `first` to where they lie after `second`."""
    if is_still(first):
        return second
    turn = second[:, :2] @ np.linalg.inv(first[:, :2])
    return np.column_stack([turn, second[:, 2] - turn @ first[:, 2]])


def resized(motion: Floats, ratio: float) -> Floats:
    """The motion in a picture that is `ratio` times as large; the centre of its top-left pixel is (0, 0) too."""
    if ratio == 1:
        return motion
    offset = 0.5 * (1 / ratio - 1)  # of the new picture's origin, in pixels of the old one
    turn = motion[:, :2]
    return np.column_stack([turn, (motion[:, 2] - offset + turn @ np.full(2, offset)) * ratio])
