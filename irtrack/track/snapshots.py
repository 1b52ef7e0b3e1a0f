"""What is handed out of the tracks after a frame."""

from __future__ import annotations

from functools import partial

from irtrack.core import Floats, Track, Tracks, TrackStatus, frozen
from irtrack.track.assignment import Ints
from irtrack.track.bank import Bank
from irtrack.track.judgement import Judgement
from irtrack.track.trail import TrailView


def snapshots(bank: Bank, rows: Ints, time_s: float, scene: Floats, trails: TrailView, judgement: Judgement) -> Tracks:
    """The tracks of a frame at `time_s`; `rows` (N,): those of their detections, or -1.

    Arrays of the bank are replaced or written in place in the next frame: what is handed out is copied.
    """
    b = bank
    x, P, sure = frozen(b.x.copy()), frozen(b.P.copy()), (b.doubt == 0) & ((rows >= 0) | (b.misses == 0))
    id_, confirmed, last = b.id.copy(), b.confirmed.copy(), b.last.copy()
    age_s, misses = time_s - b.born_s, b.misses.copy()
    known, above, reasons = b.known.copy(), judgement.above(b), judgement.reasons()

    def snapshot(i: int) -> Track:
        row = int(rows[i])
        w, h, area, score, snr = last[i].tolist()
        status = TrackStatus.TENTATIVE
        if confirmed[i]:
            status = TrackStatus.CONFIRMED if sure[i] else TrackStatus.COASTING
        return Track(
            id=int(id_[i]),
            status=status,
            xy_px=x[i, :2],
            velocity_px_s=x[i, 2:],
            covariance=P[i],
            age_s=float(age_s[i]),
            misses=int(misses[i]),
            detection=row if row >= 0 else None,
            size_px=(w, h),
            area_px=area,
            score=score if row >= 0 else float("nan"),
            snr=snr,
            trail=trails[i],
            belief=float(above[i]),
            why=partial(reasons, known[i]),
        )

    return Tracks(id_, confirmed, x, scene, snapshot, P, b.fixed.copy())
