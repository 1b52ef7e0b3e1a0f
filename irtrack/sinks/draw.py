"""Draws results on a picture, for annotated video and snapshots."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Floats, FrameResult, Track
from irtrack.imaging.agc import Agc
from irtrack.imaging.palettes import TABLES

IDENTITIES = (
    (255, 176, 0), (100, 143, 255), (254, 97, 0), (220, 38, 127), (0, 200, 150), (255, 225, 80), (120, 220, 255),
    (255, 130, 170), (160, 255, 120), (200, 150, 255),
)  # fmt: skip
"""RGB colours of identities; neighbours stay apart for colour-blind eyes too."""


def identity_colour(track_id: int) -> tuple[int, int, int]:
    """RGB of an identity, the same in the window and in the video."""
    return IDENTITIES[track_id % len(IDENTITIES)]


def half_size(track: Track) -> Floats:
    """Half width and height of the box drawn round a track, in pixels."""
    w, h = (v if v == v else 4.0 for v in track.size_px)
    return np.array((max(w / 2 + 3, 5.0), max(h / 2 + 3, 5.0)))


def annotate(
    result: FrameResult,
    scale: int = 1,
    agc: Agc | None = None,
    palette: str = "White hot",
    label: Callable[[int], str] = str,
    trail: int | None = None,
) -> NDArray[np.uint8]:
    """(H * scale, W * scale, 3) RGB: the picture, mask outlines, trails, boxes and identities of confirmed tracks.

    `label`: what stands beside a track of this number; `trail`: so many points of each trail, or all.
    """
    picture = TABLES[palette][(agc or Agc())(result.frame.image)]
    if scale > 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)

    def place(xy: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.round((xy + 0.5) * scale - 0.5).astype(np.int32)

    mask = result.detections.mask
    if mask is not None and mask.any():
        drawn = mask.view(np.uint8)
        if scale > 1:
            drawn = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(drawn.copy(), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, (255, 60, 60), 1)
    for track in result.tracks:
        if not track.confirmed:
            continue
        colour = identity_colour(track.id)
        points = track.trail if trail is None else track.trail[-trail:]
        if len(points) > 1:
            cv2.polylines(picture, [place(points)[:, None]], False, colour, 1, cv2.LINE_AA)
        half = half_size(track)
        (x0, y0), (x1, y1) = place(track.xy_px - half).tolist(), place(track.xy_px + half).tolist()
        cv2.rectangle(picture, (x0, y0), (x1, y1), colour, 1)
        cv2.putText(picture, label(track.id), (x1 + 2, y0 + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
    return picture.astype(np.uint8, copy=False)
