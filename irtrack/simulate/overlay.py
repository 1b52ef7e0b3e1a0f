"""What a recorder burns into the picture: text, a clock, a reticle, frame lines. Fixed on the sensor, without noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from irtrack.core import Image
from irtrack.simulate.settings import SceneSettings

FONT = cv2.FONT_HERSHEY_PLAIN

WORDS = ("WHT HOT", "NFOV", "IR CAM 2", "AGC AUTO", "REC", "F/4.0", "DDE 3", "X2.0", "TRK OFF", "LRF ---")


class Overlay:
    """`burn(counts, i, white)` draws it; `covered(i)` says where."""

    def __init__(self, settings: SceneSettings) -> None:
        self._s = s = settings
        rng = np.random.default_rng([s.seed, 11])
        self._scale = max(0.7, min(s.height, s.width) / 300)
        self._line = max(1, round(self._scale / 1.5))
        self._start_s = int(rng.integers(0, 86_400))
        self._fixed = np.zeros((s.height, s.width), np.uint8)
        edge, row = round(0.03 * s.width), round(17 * self._scale)
        words = [str(w) for w in rng.choice(WORDS, 3, replace=False)]
        bearing = f"AZ {rng.uniform(0, 360):05.1f} EL {rng.uniform(-5, 30):+05.1f}"
        self._write(words[0], edge, row + edge)
        self._write(words[1], s.width - edge - self._long(words[1]), row + edge)
        self._write(words[2], s.width - edge - self._long(words[2]), s.height - edge)
        self._write(bearing, edge, s.height - edge - row)
        self._clock_at = (edge, s.height - edge)
        if s.overlay >= 2:
            self._reticle()

    def _long(self, text: str) -> int:
        return int(cv2.getTextSize(text, FONT, self._scale, self._line)[0][0])

    def _write(self, text: str, x: int, y: int) -> None:
        cv2.putText(self._fixed, text, (x, y), FONT, self._scale, 255, self._line)

    def _reticle(self) -> None:
        """A cross with a gap in the middle, and the corners of a frame."""
        s, x, y = self._s, self._s.width // 2, self._s.height // 2
        arm = min(s.width, s.height) // 12
        gap = max(3, arm // 3)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            cv2.line(self._fixed, (x + dx * gap, y + dy * gap), (x + dx * arm, y + dy * arm), 255, self._line)
            a, b = dx - dy, dx + dy  # the four corners, as the four arms turned by an eighth
            corner = (x + a * s.width // 4, y + b * s.height // 4)
            cv2.line(self._fixed, corner, (corner[0] - a * arm, corner[1]), 255, self._line)
            cv2.line(self._fixed, corner, (corner[0], corner[1] - b * arm), 255, self._line)

    def covered(self, index: int) -> NDArray[np.bool_]:
        """Pixels (H, W) of frame `index` that are drawn over."""
        drawn = self._fixed.copy()
        hundredths = round(100 * (self._start_s + index / self._s.fps))
        seconds = hundredths // 100
        clock = f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{hundredths % 100:02d}"
        cv2.putText(drawn, clock, self._clock_at, FONT, self._scale, 255, self._line)
        return drawn > 127

    def burn(self, counts: Image, index: int, white: int) -> None:
        """Draws into frame `index` (H, W)."""
        counts[self.covered(index)] = white
