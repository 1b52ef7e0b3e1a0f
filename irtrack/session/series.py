"""What is kept of each track in each frame, for plots and tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from irtrack.core import Floats, FrameResult, Image, Track, TrackStatus

SERIES = ("time_s", "brightness", "snr", "speed_px_s", "x_px", "y_px", "score", "celsius", "seen")
"""What is kept of a track in each frame. Brightness: mean of 3x3 pixels at its place, in counts; celsius: the same in
degrees, NaN where the picture does not say how; seen: 0 where it coasts."""

SEEN = SERIES.index("seen")


@dataclass(frozen=True, slots=True)
class Sums:
    """Figures of a track over some of its frames; `speed_px_s` is the sum over them."""

    frames: int
    first_s: float
    last_s: float
    snr: float
    speed_px_s: float

    @staticmethod
    def of(row: tuple[float, ...]) -> Sums:
        """Of one frame: a row of SERIES."""
        return Sums(1, row[0], row[0], row[SERIES.index("snr")], row[SERIES.index("speed_px_s")])

    def joined(self, other: Sums | None) -> Sums:
        """Of the frames of both."""
        if other is None:
            return self
        return Sums(
            self.frames + other.frames, min(self.first_s, other.first_s), max(self.last_s, other.last_s),
            float(np.fmax(self.snr, other.snr)), self.speed_px_s + other.speed_px_s,
        )  # fmt: skip


def extended(before: Sums | None, rows: Floats) -> Sums:
    """With more frames: `rows` (T, len(SERIES)), as if they were joined one by one."""
    time_s, snr, speed = (rows[:, SERIES.index(name)] for name in ("time_s", "snr", "speed_px_s"))
    if before is None:
        before, rest = Sums.of(tuple(rows[0].tolist())), slice(1, None)
    else:
        rest = slice(None)
    return Sums(
        before.frames + len(time_s[rest]), min(before.first_s, float(time_s.min())),
        max(before.last_s, float(time_s.max())), float(np.fmax.reduce([before.snr, *snr[rest]])),
        float(np.add.accumulate([before.speed_px_s, *speed[rest]])[-1]),
    )  # fmt: skip


def series_rows(result: FrameResult) -> dict[int, tuple[float, ...]]:
    """A row of SERIES for each confirmed track of a frame."""
    tracks = [t for t in result.tracks if t.confirmed]
    if not tracks:
        return {}
    frame = result.frame
    light = brightness(frame.image, np.array([t.xy_px for t in tracks]))
    warm = np.full(len(tracks), np.nan) if frame.celsius is None else frame.celsius(light)
    told = zip(tracks, light.tolist(), warm.tolist(), strict=True)
    return {t.id: series_row(t, frame.time_s, counts, degrees) for t, counts, degrees in told}


def series_row(track: Track, time_s: float, light: float = math.nan, celsius: float = math.nan) -> tuple[float, ...]:
    """SERIES of one track."""
    (x, y), (vx, vy) = track.xy_px.tolist(), track.velocity_px_s.tolist()
    seen = float(track.detection is not None and track.status is not TrackStatus.COASTING)
    return time_s, light, track.snr, float(np.hypot(vx, vy)), x, y, track.score, celsius, seen


def brightness(image: Image, xy: Floats) -> Floats:
    """Mean count (N,) of 3x3 pixels round places (N, 2); at the borders the nearest pixels stand in."""
    around = np.array([(i, j) for j in (-1, 0, 1) for i in (-1, 0, 1)])
    at = np.round(xy).astype(int)[:, None] + around
    x, y = (np.clip(at[..., k], 0, image.shape[1 - k] - 1) for k in (0, 1))
    means: Floats = image[y, x].mean(1, dtype=np.float64)
    return means
