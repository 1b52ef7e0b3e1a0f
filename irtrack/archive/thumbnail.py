"""A small picture of a recording, at the moment in which most is tracked."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from irtrack.config import DisplaySettings
from irtrack.core import FrameResult
from irtrack.imaging.agc import Agc
from irtrack.imaging.palettes import TABLES
from irtrack.sinks.draw import half_size, identity_colour

WIDTH_PX = 320
LONG_ENOUGH_S = 2.0
"""A track counts the more the longer it has been followed, up to this."""

QUALITY = 80


class Best:
    """Watches results go by and keeps the one to show."""

    def __init__(self) -> None:
        self._result: FrameResult | None = None
        self._worth = -1.0
        self.last_s = 0.0
        """Time of the last one."""

    def __call__(self, result: FrameResult) -> None:
        self.last_s = result.frame.time_s
        seen = (t for t in result.tracks if t.confirmed and t.detection is not None)
        worth = sum(min(t.age_s, LONG_ENOUGH_S) for t in seen)
        if worth > self._worth:
            self._worth, self._result = worth, result

    def save(self, path: Path, display: DisplaySettings) -> bool:
        """Write it as JPEG, if there was any. Raises OSError."""
        if self._result is None:
            return False
        ok, code = cv2.imencode(".jpg", drawn(self._result, display)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if ok:
            path.write_bytes(code.tobytes())
        return bool(ok)


def drawn(result: FrameResult, display: DisplaySettings) -> np.ndarray:  # type: ignore[type-arg]
    """(H, W, 3) RGB, `WIDTH_PX` wide: lines are drawn when it has its size, so that they can be seen."""
    picture = TABLES[display.palette][Agc(display)(result.frame.image)]
    height, width = picture.shape[:2]
    scale = WIDTH_PX / width
    size = (WIDTH_PX, max(1, round(height * scale)))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    for track in (t for t in result.tracks if t.confirmed):
        colour = identity_colour(track.id)
        points = np.round((track.trail + 0.5) * scale - 0.5).astype(np.int32)
        if len(points) > 1:
            cv2.polylines(picture, [points[:, None]], False, colour, 1, cv2.LINE_AA)
        half = np.maximum(half_size(track) * scale, 5.0)
        centre = (track.xy_px + 0.5) * scale - 0.5
        corners = np.round([centre - half, centre + half]).astype(int).tolist()
        cv2.rectangle(picture, corners[0], corners[1], colour, 1)
    return picture
