"""Links detections into tracks: predict, gate, assign, update, and a life cycle in seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from irtrack.config import TrackerSettings
from irtrack.core import Detections, Floats, Track, TrackStatus, frozen
from irtrack.track.assignment import Ints, assign, gated_pairs
from irtrack.track.kalman import innovation_covariance, predict, update
from irtrack.track.trail import Trail

PER_TRACK = (
    "_x", "_P", "_id", "_confirmed", "_hits", "_frames", "_misses", "_born_s", "_seen_s", "_last", "_evidence"
)  # fmt: skip
"""The tracker's arrays with a row for each track."""


class KalmanTracker:
    """Constant-velocity Kalman filters with Hungarian assignment inside a Mahalanobis gate.

    A track starts tentative from any unassigned detection and is confirmed by M detections within N frames if they are
    clear enough on average (score and SNR). It coasts without detections and is deleted after `coast_s`; a tentative
    one is deleted once it can no longer be confirmed.
    Confirmed tracks choose their detections first.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self._gate = float(chi2.ppf(self.settings.gate_probability, 2))
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget every track; identities are not used again."""
        self._time_s: float | None = None
        self._x, self._P = np.zeros((0, 4)), np.zeros((0, 4, 4))
        self._id = np.zeros(0, np.int64)
        self._confirmed = np.zeros(0, bool)
        self._hits = np.zeros(0, np.uint64)  # bit i: detected i frames ago
        self._frames, self._misses = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._born_s, self._seen_s = np.zeros(0), np.zeros(0)
        self._last = np.zeros((0, 5))  # w, h, area, score, snr of the last detection
        self._evidence = np.zeros((0, 3))  # detections so far, sum of their scores, sum of their SNR
        self._trails: list[Trail] = []

    def __call__(self, detections: Detections, time_s: float) -> tuple[Track, ...]:
        """Tracks at `time_s` (seconds, not before the last call's), tentative ones included."""
        self._predict(time_s)
        rows = np.full(len(self._id), -1, np.intp)
        free = np.ones(len(detections), bool)
        for stage in (self._confirmed, ~self._confirmed):
            tracks, found = self._assign(np.flatnonzero(stage), np.flatnonzero(free), detections.xy_px)
            rows[tracks] = found
            free[found] = False
        self._update(rows, detections, time_s)
        rows = self._delete(rows, time_s)
        rows = np.concatenate([rows, self._start(np.flatnonzero(free), detections, time_s)])
        return self._snapshots(rows, time_s)

    def _noise(self, n: int) -> Floats:
        return np.broadcast_to(np.eye(2) * self.settings.measurement_sigma_px**2, (n, 2, 2))

    def _predict(self, time_s: float) -> None:
        dt_s = 0.0 if self._time_s is None else max(0.0, time_s - self._time_s)
        self._time_s = time_s
        if len(self._id) and dt_s:
            # Media times carry rounding noise; microseconds are far below it and keep the cache of F and Q warm.
            self._x, self._P = predict(self._x, self._P, round(dt_s, 6), self.settings.acceleration_px_s2)

    def _assign(self, tracks: Ints, found: Ints, xy: Floats) -> tuple[Ints, Ints]:
        S = innovation_covariance(self._P[tracks], self._noise(len(tracks)))
        t, d, distance = gated_pairs(self._x[tracks, :2], S, xy[found], self._gate)
        # Negative log-likelihood up to a constant: a wide gate pays for its width, so it cannot steal from a sharp one.
        width = np.log(np.linalg.det(S[t])) if len(t) else np.zeros(0)
        lowest = float(np.log(self.settings.measurement_sigma_px**4))
        t, d = assign(t, d, distance + width - lowest, self._gate + 20.0)
        return tracks[t], found[d]

    def _update(self, rows: Ints, detections: Detections, time_s: float) -> None:
        hit = np.flatnonzero(rows >= 0)
        d = rows[hit]
        self._frames += 1
        self._hits = (self._hits << np.uint64(1)) | (rows >= 0).astype(np.uint64)
        self._misses = np.where(rows >= 0, 0, self._misses + 1)
        self._seen_s[hit] = time_s
        if len(hit):
            self._x[hit], self._P[hit] = update(self._x[hit], self._P[hit], detections.xy_px[d], self._noise(len(hit)))
            self._last[hit] = seen(detections, d)
            self._evidence[hit] += evidence(detections, d)
        window = np.uint64((1 << self.settings.confirm_window) - 1)
        often = np.bitwise_count(self._hits & window) >= self.settings.confirm_hits
        self._confirmed |= often & self._clear()
        for trail, xy in zip(self._trails, self._x[:, :2], strict=True):
            trail.append(xy, time_s)

    def _clear(self) -> NDArray[np.bool_]:
        """Whether the detections of each track so far are clear enough on average; unknown SNR does not count."""
        count, score, snr = self._evidence.T
        return (score >= self.settings.confirm_score * count) & ~(snr < self.settings.confirm_snr * count)

    def _delete(self, rows: Ints, time_s: float) -> Ints:
        s = self.settings
        lost = self._confirmed & (time_s - self._seen_s > s.coast_s)
        still_open = s.confirm_window - self._frames
        hopeless = ~self._confirmed & (np.bitwise_count(self._hits).astype(np.int64) + still_open < s.confirm_hits)
        keep = ~(lost | hopeless)
        if keep.all():
            return rows
        for name in PER_TRACK:
            setattr(self, name, getattr(self, name)[keep])
        self._trails = [t for t, k in zip(self._trails, keep, strict=True) if k]
        return rows[keep]

    def _start(self, found: Ints, detections: Detections, time_s: float) -> Ints:
        n = len(found)
        if not n:
            return found
        s = self.settings
        xy = detections.xy_px[found]
        P = np.zeros((n, 4, 4))
        P[:, (0, 1), (0, 1)] = s.measurement_sigma_px**2
        P[:, (2, 3), (2, 3)] = s.speed_sigma_px_s**2
        self._x = np.concatenate([self._x, np.concatenate([xy, np.zeros((n, 2))], 1)])
        self._P = np.concatenate([self._P, P])
        self._id = np.concatenate([self._id, np.arange(self._next_id, self._next_id + n)])
        self._next_id += n
        self._evidence = np.concatenate([self._evidence, evidence(detections, found)])
        at_once = self._clear()[-n:] & (s.confirm_hits <= 1)
        self._confirmed = np.concatenate([self._confirmed, at_once])
        self._hits = np.concatenate([self._hits, np.ones(n, np.uint64)])
        self._frames = np.concatenate([self._frames, np.ones(n, np.int64)])
        self._misses = np.concatenate([self._misses, np.zeros(n, np.int64)])
        self._born_s = np.concatenate([self._born_s, np.full(n, time_s)])
        self._seen_s = np.concatenate([self._seen_s, np.full(n, time_s)])
        self._last = np.concatenate([self._last, seen(detections, found)])
        self._trails += [Trail(s.trail_s, p, time_s) for p in xy]
        return found

    def _snapshots(self, rows: Ints, time_s: float) -> tuple[Track, ...]:
        x, P = frozen(self._x.copy()), frozen(self._P.copy())
        out = []
        for i, row in enumerate(rows.tolist()):
            hit = row >= 0
            status = TrackStatus.TENTATIVE
            if self._confirmed[i]:
                status = TrackStatus.CONFIRMED if hit else TrackStatus.COASTING
            w, h, area, score, snr = self._last[i].tolist()
            out.append(
                Track(
                    id=int(self._id[i]),
                    status=status,
                    xy_px=x[i, :2],
                    velocity_px_s=x[i, 2:],
                    covariance=P[i],
                    age_s=time_s - float(self._born_s[i]),
                    misses=int(self._misses[i]),
                    detection=row if hit else None,
                    size_px=(w, h),
                    area_px=area,
                    score=score if hit else float("nan"),
                    snr=snr,
                    trail=self._trails[i].view(),
                )
            )
        return tuple(out)


def evidence(detections: Detections, rows: Ints) -> Floats:
    """One, score and SNR of detections (N, 3): what `_evidence` adds up."""
    return np.column_stack([np.ones(len(rows)), detections.score[rows], detections.snr[rows]])


def seen(detections: Detections, rows: Ints) -> Floats:
    """Width, height, area, score and SNR of detections (N, 5)."""
    d = detections
    return np.column_stack([d.box_px[rows, 2], d.box_px[rows, 3], d.area_px[rows], d.score[rows], d.snr[rows]])
