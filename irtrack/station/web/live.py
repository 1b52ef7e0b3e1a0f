"""What a camera sees now: pictures with outlines and tracks, made once however many look."""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import FrameResult, Track
from irtrack.imaging.agc import Agc
from irtrack.sinks.draw import annotate, identity_colour
from irtrack.station.camera import Camera

TRAIL = 60
"""Points of a trail that are drawn."""

GREY, LIGHT = (38, 44, 52), (150, 160, 172)

WORDS = {
    "off": "off, by its schedule", "connecting": "connecting ...", "lost": "lost, connecting again ...",
    "waiting": "away, tried again soon", "ended": "ended", "running": "no picture yet",
}  # fmt: skip


class Live:
    """Pictures of one camera, as JPEG."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        display = camera.settings.settings.display
        self._agc, self._palette = Agc(display), display.palette
        self._lock = threading.Lock()
        self._made: tuple[object, bytes] = (None, b"")

    @property
    def key(self) -> object:
        """Changes with each picture."""
        result = self.camera.latest
        return str(self.camera.watch) if result is None else (result.frame.connection, result.frame.index)

    def jpeg(self) -> bytes:
        """The newest picture; while there is none, one that says why."""
        with self._lock:
            key, result = self.key, self.camera.latest
            if key != self._made[0]:
                self._made = key, encoded(self._drawn(result) if result is not None else self._blank())
            return self._made[1]

    def _drawn(self, result: FrameResult) -> NDArray[np.uint8]:
        scale = max(1, min(4, 720 // max(result.frame.image.shape[0], 1)))
        return annotate(result, scale, self._agc, self._palette, trail=TRAIL)

    def _blank(self) -> NDArray[np.uint8]:
        width, height = self.camera.size or (640, 512)
        scale = max(1.0, 480 / height)
        picture = np.full((round(height * scale), round(width * scale), 3), GREY, np.uint8)
        text = WORDS[str(self.camera.watch)]
        (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 1)
        at = ((picture.shape[1] - w) // 2, (picture.shape[0] + h) // 2)
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.7, LIGHT, 1, cv2.LINE_AA)
        return picture

    def tracks(self) -> dict[str, Any] | None:
        """Confirmed tracks of the newest picture; None while there is none."""
        result = self.camera.latest
        if result is None:
            return None
        height, width = result.frame.image.shape
        return {
            "camera": self.camera.name,
            "frame": result.frame.index,
            "time_s": round(result.frame.time_s, 3),
            "width": width,
            "height": height,
            "tracks": [told(t) for t in result.tracks if t.confirmed],
        }


def told(track: Track) -> dict[str, Any]:
    """A track as plain values."""
    x, y = track.xy_px.tolist()
    return {
        "id": track.id,
        "status": str(track.status),
        "x_px": round(x, 2),
        "y_px": round(y, 2),
        "speed_px_s": round(float(np.hypot(*track.velocity_px_s)), 1),
        "age_s": round(track.age_s, 1),
        "snr": round(track.snr, 1) if track.snr == track.snr else None,
        "belief": round(track.belief, 1) if track.belief == track.belief else None,
        "colour": "#{:02x}{:02x}{:02x}".format(*identity_colour(track.id)),
    }


def encoded(picture: NDArray[np.uint8]) -> bytes:
    """JPEG of an RGB picture."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    return data.tobytes()
