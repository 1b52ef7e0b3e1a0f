"""The self-test: what would be seen now, by targets that nobody sees but a second, shadow detector.

Now and then a second of pictures is copied, faint targets are put into the copies (`faint.py`), and the shadow detector
and a fresh tracker look at them, one picture at a time with pauses in between. What the camera's own detector and
tracker know is not touched.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import gammaincinv

from irtrack.core import Detector, Floats, Forgetful, FrameResult, Tracker
from irtrack.imaging.motion import STILL
from irtrack.station.faint import Optics, Planted, Sight, blur_px, plan, sight_of, with_targets

log = logging.getLogger(__name__)

SCRS = (2.0, 3.0, 5.0, 8.0)
NEAR_PX = 3.0
"""A detection so near to a target is one of it."""

Z = 1.959964
"""Of a 95 % interval."""


@dataclass(frozen=True)
class SelfTestSettings:
    """`period_s`: from one batch to the next; `seconds` of pictures, `targets` in each; `pause_s` between two pictures
    that are looked at; `most_s`: of computing for a batch, which is cut short then; `memory_s`: batches count so long;
    `psf_px`: standard deviation of the optics' point spread; `speed_px_s`: usual one of targets. `compare`: targets are
    as faint as the reference says, else as each batch's own deviation says."""

    period_s: float = 600.0
    seconds: float = 1.0
    targets: int = 8
    most_frames: int = 30
    scrs: tuple[float, ...] = SCRS
    pause_s: float = 0.5
    most_s: float = 30.0
    memory_s: float = 86400.0
    psf_px: float = 0.9
    speed_px_s: float = 30.0
    compare: bool = True


@dataclass
class Batch:
    """What came of one. `false_scr`: SNRs of detections that are of nothing known; `false_tracks`: confirmed ones."""

    time_s: float
    planted: list[Planted]
    sight: Sight
    blur_px: float | None
    frames: int = 0
    video_s: float = 0.0
    spent_s: float = 0.0
    false_snr: list[float] = field(default_factory=list)
    false_tracks: int = 0
    tracked: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Row:
    """Of the targets of one SCR. `pd` of pictures, with a 95 % interval in which a target counts once, since its
    pictures are much alike; `tracked` of targets, those that the tracker believed within the batch. `peak`: median, in
    counts. `false_per_frame` of detections whose own SNR is nearest to this SCR."""

    scr: float
    targets: int
    frames: int
    peak: float
    pd: float
    pd_low: float
    pd_high: float
    tracked: float
    tracked_low: float
    tracked_high: float
    false_per_frame: float


@dataclass(frozen=True)
class Report:
    """Of the batches that count. `false_per_frame` with its 95 % interval. `deviation`: median local one by now, in
    counts, and `good` in good sight; `blur_px`: None where the scene does not tell."""

    batches: int
    frames: int
    rows: tuple[Row, ...]
    false_per_frame: float
    false_low: float
    false_high: float
    false_tracks: int
    video_s: float
    deviation: float
    good: float
    blur_px: float | None
    spent_ms: float

    def metrics(self) -> dict[str, float]:
        """Names as a metrics page has them, and values."""
        out = {"selftest_batches": float(self.batches), "selftest_false_per_frame": self.false_per_frame,
               "selftest_deviation_counts": self.deviation, "selftest_deviation_good_counts": self.good,
               "selftest_frame_ms": self.spent_ms}  # fmt: skip
        if self.blur_px is not None:
            out["selftest_blur_px"] = self.blur_px
        for row in self.rows:
            where = f'{{scr="{row.scr:g}"}}'
            for name in ("pd", "pd_low", "pd_high", "tracked", "targets"):
                out[f"selftest_{name}{where}"] = float(getattr(row, name))
        return out

    def lines(self) -> list[str]:
        """As a table."""
        out = [" SCR  counts  targets  Pd (95 %)           tracked (95 %)      false a frame"]
        out += [
            f"{r.scr:4g}{r.peak:8.1f}{r.targets:9d}  {r.pd:4.2f} ({r.pd_low:4.2f} to {r.pd_high:4.2f})"
            f"  {r.tracked:4.2f} ({r.tracked_low:4.2f} to {r.tracked_high:4.2f})  {r.false_per_frame:.4f}"
            for r in self.rows
        ]
        good = "" if self.good == self.deviation else f", in good sight {self.good:.1f}"
        blur = "" if self.blur_px is None else f", blur since the reference {self.blur_px:.1f} px"
        out.append(
            f"false detections {self.false_per_frame:.4f} a frame ({self.false_low:.4f} to {self.false_high:.4f}), "
            f"false tracks {self.false_tracks} in {self.video_s:.0f} s; local deviation {self.deviation:.1f} counts"
            f"{good}{blur}"
        )
        return out


def interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    middle = (share + Z * Z / 2 / count) / (1 + Z * Z / count)
    half = Z / (1 + Z * Z / count) * np.sqrt(share * (1 - share) / count + Z * Z / 4 / count**2)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def rate_interval(events: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a rate, of so many events in `of` (Garwood 1936)."""
    if not of:
        return 0.0, float("inf")
    low = gammaincinv(events, 0.025) if events else 0.0
    return float(low) / of, float(gammaincinv(events + 1, 0.975)) / of


class SelfTest:
    """An output of a run that keeps nothing of it: `report` tells what was found, in any thread.

    `reference`: how the camera sees in good sight; by itself, as in the first batch, and so where its pictures became
    others.
    """

    def __init__(
        self,
        make_detector: Callable[[], Detector],
        make_tracker: Callable[[], Tracker],
        settings: SelfTestSettings | None = None,
        reference: Sight | None = None,
        seed: int = 0,
        clock: Callable[[], float] = time.perf_counter,
        age: Callable[[], float] = time.monotonic,
    ) -> None:
        """`make_detector`: of the shadow, called with the first batch. `clock`: of computing time; `age`: of batches,
        since a camera's seconds begin anew each time that it is opened."""
        self.settings = settings or SelfTestSettings()
        self.reference = reference
        self._make_detector, self._make_tracker = make_detector, make_tracker
        self._clock, self._age = clock, age
        self._detector: Detector | None = None
        self._rng = np.random.default_rng(seed)
        self._batches: deque[Batch] = deque()
        self._clip: list[FrameResult] = []
        self._work: Iterator[None] | None = None
        self.trouble = ""
        """Why the last batch failed; empty while all is well."""
        self._due_s: float | None = None
        self._next_s = 0.0
        self._last_s = float("-inf")

    # -- as an output ---------------------------------------------------------------------------------------------

    def write(self, result: FrameResult) -> None:
        """Take a frame: copy it where a batch is due, or look at one picture of a batch that is under way.

        Never raises: what goes wrong is kept as `trouble`, and the next batch tries again.
        """
        try:
            self._take(result)
        except Exception as error:
            self._work, self._clip = None, []
            if (text := f"{type(error).__name__}: {error}") != self.trouble:
                log.warning("self-test: %s; it is tried again in %g s", text, self.settings.period_s)
            self.trouble = text

    def _take(self, result: FrameResult) -> None:
        now_s = result.frame.time_s
        if now_s < self._last_s or (self._clip and self._clip[0].frame.connection != result.frame.connection):
            self._clip, self._due_s = [], None if self._due_s is None else now_s
            self._next_s = now_s
        self._last_s = now_s
        if self._work is not None:
            if now_s >= self._next_s:
                self._next_s = now_s + self.settings.pause_s
                if next(self._work, self) is self:
                    self._work = None
            return
        if self._due_s is None:
            self._due_s = now_s
        if now_s < self._due_s:
            return
        self._clip.append(replace(result, frame=replace(result.frame, image=result.frame.image.copy())))
        s = self.settings
        if now_s - self._clip[0].frame.time_s >= s.seconds or len(self._clip) >= s.most_frames:
            clip, self._clip = self._clip, []
            self._due_s = now_s + s.period_s
            self._work = self._looked(clip)

    def close(self) -> None:
        """Nothing is kept open."""
        self._work = None

    # -- a batch --------------------------------------------------------------------------------------------------

    def run(self, clip: Sequence[FrameResult]) -> None:
        """A whole batch at once."""
        for _ in self._looked(clip):
            pass

    def _looked(self, clip: Sequence[FrameResult]) -> Iterator[None]:
        """The shadow looks at pictures, one each step."""
        s, images = self.settings, [r.frame.image for r in clip]
        start = self._clock()
        sight = sight_of(images)
        if self.reference is None or self.reference.kind != sight.kind:
            self.reference = sight
        blur = blur_px(sight, self.reference) if s.compare else None
        optics = Optics(s.psf_px, blur or 0.0)
        times_s = np.array([r.frame.time_s for r in clip])
        scenes = [STILL if r.scene is None else r.scene for r in clip]
        shape = images[0].shape[0], images[0].shape[1]
        taken = taken_in(clip)
        measure = self.reference if s.compare else sight
        planted = plan(shape, s.targets, s.scrs, measure, taken, self._speeds(clip), times_s, scenes, self._rng)
        batch = Batch(self._age(), planted, sight, blur)
        if self._detector is None:
            self._detector = self._make_detector()
        if isinstance(self._detector, Forgetful):
            self._detector.forget()
        tracker = self._make_tracker()
        batch.spent_s = self._clock() - start
        believed: dict[int, list[Floats]] = {}
        for k, image in enumerate(images):
            yield
            if batch.spent_s >= s.most_s:
                break
            start = self._clock()
            shown = with_targets(image, planted, k, optics, self._rng)
            detections = self._detector(shown)
            self._count(batch, detections.xy_px, detections.snr, k, taken)
            for track in tracker(detections, float(times_s[k]), shown):
                if track.confirmed:
                    believed.setdefault(track.id, []).append(np.append(track.xy_px, k))
            batch.frames = k + 1
            batch.spent_s += self._clock() - start
        if batch.frames:
            batch.video_s = float(times_s[batch.frames - 1] - times_s[0])
            judged(batch, believed, taken)
            self._keep(batch)
            self.trouble = ""

    def _count(self, batch: Batch, xy: Floats, snr: Floats, k: int, taken: Floats) -> None:
        """Detections of a picture: of the targets, of what was there already, or of nothing."""
        free = np.ones(len(xy), bool)
        for target in batch.planted:
            off = np.linalg.norm(xy - target.xy_px[k], axis=1) if len(xy) else np.zeros(0)
            target.seen.append(bool((off <= NEAR_PX).any()))
            free &= off > 2 * NEAR_PX
        for place in taken:
            free &= np.linalg.norm(xy - place, axis=1) > 4 * NEAR_PX
        batch.false_snr += snr[free].tolist()

    def _keep(self, batch: Batch) -> None:
        kept = [*self._batches, batch]
        since = batch.time_s - self.settings.memory_s
        # Replaced at once, so that whoever reports meanwhile has the old ones or the new ones.
        self._batches = deque(b for b in kept if b.time_s >= since)

    def _speeds(self, clip: Sequence[FrameResult]) -> Floats:
        """Of targets to come: those of the tracks there are, and such as are usual."""
        usual = self.settings.speed_px_s * np.array([0.5, 0.75, 1.0, 1.4, 2.0])
        real = [float(np.hypot(*t.velocity_px_s)) for t in clip[-1].tracks if t.confirmed]
        return np.array([*usual, *(v for v in real if 1.0 < v < 300.0)])

    def report(self) -> Report | None:
        """What was found by now; None before the first batch is done."""
        batches = list(self._batches)
        return (
            None
            if not batches or self.reference is None
            else reported(batches, self.reference if self.settings.compare else batches[-1].sight, self.settings.scrs)
        )


def taken_in(clip: Sequence[FrameResult]) -> Floats:
    """Where something is (M, 2): tracks, believed or not, and detections, in any picture."""
    every = [r.detections.xy_px for r in clip] + [np.array([t.xy_px for t in r.tracks]).reshape(-1, 2) for r in clip]
    places = np.concatenate(every)
    return np.unique(np.round(places / 4) * 4, axis=0)


def judged(batch: Batch, believed: dict[int, list[Floats]], taken: Floats) -> None:
    """Which targets the tracker believed, and what else."""
    for rows in believed.values():
        path = np.array(rows)
        of = None
        for i, target in enumerate(batch.planted):
            off = np.linalg.norm(path[:, :2] - target.xy_px[path[:, 2].astype(int)], axis=1)
            if np.median(off) <= NEAR_PX:
                of = i
        if of is not None:
            batch.tracked.add(of)
        elif not len(taken) or np.linalg.norm(path[:, None, :2] - taken, axis=2).min() > 4 * NEAR_PX:
            batch.false_tracks += 1


def reported(batches: Sequence[Batch], reference: Sight, scrs: Sequence[float]) -> Report:
    """Batches summed up."""
    frames = sum(b.frames for b in batches)
    false = np.array([snr for b in batches for snr in b.false_snr])
    nearest = np.abs(np.log(np.maximum(false, 0.1))[:, None] - np.log(np.array(scrs))).argmin(1)
    rows = []
    for i, scr in enumerate(scrs):
        own = [(t, k in b.tracked) for b in batches for k, t in enumerate(b.planted) if t.scr == scr and t.seen]
        n = len(own)
        pd = float(np.mean([np.mean(t.seen) for t, _ in own])) if n else 0.0
        tracked = float(np.mean([believed for _, believed in own])) if n else 0.0
        peak = float(np.median([t.peak for t, _ in own])) if n else 0.0
        rows.append(Row(
            scr, n, sum(len(t.seen) for t, _ in own), peak, pd, *interval(pd, n), tracked, *interval(tracked, n),
            float(np.count_nonzero(nearest == i)) / max(frames, 1),
        ))  # fmt: skip
    blurs = [b.blur_px for b in batches if b.blur_px is not None]
    low, high = rate_interval(len(false), frames)
    return Report(
        len(batches), frames, tuple(rows), len(false) / max(frames, 1), low, high,
        sum(b.false_tracks for b in batches), sum(b.video_s for b in batches),
        float(np.median(batches[-1].sight.deviation)), float(np.median(reference.deviation)),
        blurs[-1] if blurs else None, 1e3 * sum(b.spent_s for b in batches) / max(frames, 1),
    )  # fmt: skip


def to_dict(report: Report, reference: Sight | None) -> dict[str, Any]:
    """Plain values for JSON; the reference among them is what a later test may be compared with."""
    values = {name: getattr(report, name) for name in report.__dataclass_fields__ if name != "rows"}
    rows = [{name: getattr(row, name) for name in row.__dataclass_fields__} for row in report.rows]
    return values | {"rows": rows, "reference": None if reference is None else reference.to_dict()}
