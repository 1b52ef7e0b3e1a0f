"""Links detections into tracks: one short loop of parts, each of which can be exchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from irtrack.config import TrackerSettings
from irtrack.core import Detections, Floats, Image, Tracks
from irtrack.imaging.motion import carried, is_still, moved
from irtrack.track.appearance import followed
from irtrack.track.assignment import Ints
from irtrack.track.association import Association, GatedAssignment
from irtrack.track.bank import MODELS, Bank
from irtrack.track.belief import FULL_LOOK_S, MOST_DISTANCE, MOST_PLACE_NATS
from irtrack.track.camera_motion import CameraMotion, PictureOrVotes
from irtrack.track.design import TrackerDesign
from irtrack.track.footage import Footage
from irtrack.track.imm import combined, predict_models, update_models
from irtrack.track.initiation import EveryDetection, Initiation
from irtrack.track.judgement import Judgement, LearnedBelief
from irtrack.track.kalman import innovation_covariance, log_density, mahalanobis_squared, transition
from irtrack.track.look import Look, look
from irtrack.track.places import anchor, asked, away, stuck
from irtrack.track.snapshots import snapshots
from irtrack.track.trail import Trails


@dataclass(frozen=True)
class Parts:
    """What makes the exchangeable parts of a tracker, anew after each reset."""

    camera_motion: Callable[[TrackerSettings, TrackerDesign], CameraMotion] = PictureOrVotes
    association: Callable[[TrackerSettings, TrackerDesign], Association] = GatedAssignment
    judgement: Callable[[TrackerSettings, TrackerDesign], Judgement] = LearnedBelief
    initiation: Callable[[TrackerSettings, TrackerDesign], Initiation] = EveryDetection


class KalmanTracker:
    """Constant-velocity Kalman filters with Hungarian assignment inside a Mahalanobis gate, in a frame that may move.

    A track starts tentative, and is confirmed once the evidence that it is a target is worth more than `caution` asks
    for; lamps, warm stones, burnt-in text and hot pixels should never be. It coasts without detections and is deleted
    after `coast_s`; a tentative one is deleted once few of its frames have a detection. Raises ConfigError for tables
    of beliefs that are none.
    """

    def __init__(
        self,
        settings: TrackerSettings | None = None,
        design: TrackerDesign | None = None,
        parts: Parts | None = None,
    ) -> None:
        self.settings, self.design = settings or TrackerSettings(), design or TrackerDesign()
        self._parts = parts or Parts()
        self._next_id = 1
        transition(1.0, 1.0)  # what it needs is loaded now: that takes a third of a second, which no frame should wait
        self.reset()

    def reset(self) -> None:
        """Forget every track; identities are not used again."""
        made = self.settings, self.design
        self._camera_motion = self._parts.camera_motion(*made)
        self._associate = self._parts.association(*made)
        self._judgement = self._parts.judgement(*made)
        self._initiate = self._parts.initiation(*made)
        self._footage = Footage(self.design)
        self._bank = Bank()
        self._trails = Trails(self.settings.trail_s)
        self._time_s: float | None = None
        self._outage_s = 0.0

    def __call__(self, detections: Detections, time_s: float, image: Image | None = None) -> Tracks:
        """Tracks at `time_s` (seconds, not before the last call's), tentative ones included.

        `image` (H, W) tells how the scene moved since the last call; without one the detections vote.
        """
        dt_s = 0.0 if self._time_s is None else max(0.0, time_s - self._time_s)
        self._time_s = time_s
        seen = look(detections, time_s, dt_s, image, self.settings, self.design)
        self._predict(dt_s)
        self._follow(self._camera_motion(self._bank, seen, self._footage))
        rows = self._associate(self._bank, seen, self._footage)
        self._bridge_outage(seen)
        self._footage.learn_density(self._bank, rows, seen)
        self._update(rows, seen)
        self._judge(rows, seen)
        rows = self._delete(rows, seen)
        rows = np.concatenate([rows, self._start(rows, seen)])
        self._trails.append(self._bank.trail, self._bank.x[:, :2], time_s, self._footage.scene)
        trails = self._trails.view(self._bank.trail, self._footage.scene)
        return snapshots(self._bank, rows, time_s, self._footage.scene, trails, self._judgement)

    def evidence(self) -> tuple[Ints, Floats, Floats, Floats]:
        """What is known of the tracks that the last frame had a detection of, to learn from it.

        Identities (N,), places (N, 2), how many detections each has had (N,), quantities (N, P) as in `belief.py`.
        """
        b = self._bank
        seen = np.flatnonzero((b.hits & np.uint64(1)) > 0)
        return b.id[seen], b.x[seen, :2].copy(), b.sums[seen, 0], b.known[seen]

    def _predict(self, dt_s: float) -> None:
        """Move states on."""
        b, s, d = self._bank, self.settings, self.design
        if not len(b) or not dt_s:
            return
        # Media times carry rounding noise; microseconds are far below it and keep the cache of F and Q warm.
        step = round(dt_s, 6)
        agile: list[float | Floats] = [s.quiet_px_s2, s.acceleration_px_s2]
        if b.fixed.any():
            agile = [np.where(b.fixed, d.fixed_px_s2, a) for a in agile]
        b.xm, b.Pm, b.mu = predict_models(b.xm, b.Pm, b.mu, step, agile, (d.quiet_s, d.manoeuvre_s))
        b.x, b.P = combined(b.xm, b.Pm, b.mu)

    def _follow(self, motion: Floats) -> None:
        """Carry states, where tracks began and trails along with the scene."""
        if is_still(motion):
            return
        b = self._bank
        go = np.flatnonzero(~stuck(b, self.design))
        b.x[go], b.P[go] = carried(motion, b.x[go], b.P[go])
        b.xm[go], b.Pm[go] = carried(motion, b.xm[go], b.Pm[go])
        b.anchor = moved(motion, b.anchor)
        self._footage.carry(motion)

    def _bridge_outage(self, seen: Look) -> None:
        """Frames without any detection where several tracks should have one are the shutter: they do not count."""
        b, none = self._bank, len(seen.xy) == 0
        self._outage_s = self._outage_s + seen.dt_s if none else 0.0
        if none and self._outage_s <= self.design.outage_s and np.count_nonzero(b.confirmed) >= 2:
            b.seen_s += seen.dt_s

    def _update(self, rows: Ints, seen: Look) -> None:
        """Take in the detection of each track, or its miss."""
        b, d = self._bank, self.design
        # A frame in which a track's place was not looked at says nothing of it; a place outside is known to be empty.
        told = (rows >= 0) | seen.detections.looked_at(b.x[:, :2]) | seen.outside(b.x)
        b.frames += told
        b.hits = np.where(told, (b.hits << np.uint64(1)) | (rows >= 0).astype(np.uint64), b.hits)
        b.misses = np.where(rows >= 0, 0, b.misses + told)
        missed = np.where(told & (rows < 0), d.miss_nats, 0.0)
        b.doubt = np.minimum(b.doubt + missed, d.doubt_nats)
        b.place_nats -= missed
        hit = np.flatnonzero(rows >= 0)
        if not len(hit):
            return
        found = rows[hit]
        z, R = seen.xy[found], np.eye(2) * seen.variance[found, None, None]
        self._weigh(hit, z, R, seen.time_s)
        self._sum(hit, found, z, R, seen)
        b.xm[hit], b.Pm[hit], b.mu[hit] = update_models(b.xm[hit], b.Pm[hit], b.mu[hit], z, R)
        b.x[hit], b.P[hit] = combined(b.xm[hit], b.Pm[hit], b.mu[hit])
        b.last[hit] = seen.last[found]
        self._footage.learn_appearance(b, hit, found, seen)
        b.appearance[hit] = followed(b.appearance[hit], seen.appearance[found], b.sums[hit, 0])
        anchor(b, hit, found, seen, self._footage, d)

    def _weigh(self, hit: Ints, xy: Floats, R: Floats, time_s: float) -> None:
        """Weigh each detection against clutter: one in a wide gate says little and does not end a coast by itself.

        The log-likelihood ratio of target to clutter (Sittler 1964; Bar-Shalom et al. 2001, section 7.2).
        """
        b, most = self._bank, self.design.doubt_nats
        each = [
            log_density(xy - b.xm[hit, m, :2], innovation_covariance(b.Pm[hit, m], R)) + np.log(b.mu[hit, m])
            for m in range(MODELS)
        ]
        gain = np.logaddexp.reduce(each) - np.log(self._footage.clutter_px2)
        b.doubt[hit] = np.maximum(b.doubt[hit] - np.clip(gain, 0.0, most), 0.0)
        b.place_nats[hit] = np.clip(b.place_nats[hit] + np.clip(gain, -most, most), -MOST_PLACE_NATS, MOST_PLACE_NATS)
        sure = hit[b.doubt[hit] == 0]
        b.seen_s[sure] = time_s

    def _sum(self, hit: Ints, found: Ints, xy: Floats, R: Floats, seen: Look) -> None:
        """Add up what the detections `found` of the tracks `hit` say of them."""
        b = self._bank
        off = mahalanobis_squared(xy - b.x[hit, :2], b.P[hit, :2, :2] + R)
        flicker = np.abs(seen.appearance[found, 1] - np.log(np.maximum(b.last[hit, 4], 1e-3)))
        ones = np.ones(len(hit))
        b.sums[hit] += np.column_stack(
            [ones, seen.appearance[found], flicker, seen.around[found], np.minimum(off, MOST_DISTANCE)]
        )
        b.change[hit] += seen.change[found]

    def _judge(self, rows: Ints, seen: Look) -> None:
        """Ripe, believed or fixed; and what is not believed is noted in the clutter map."""
        b, d, clutter = self._bank, self.design, self._footage.clutter
        window = np.uint64((1 << d.ripe_window) - 1)
        b.ripe |= np.bitwise_count(b.hits & window) >= asked(b, d.ripe_hits, seen, d)
        clutter.fade(seen.dt_s)
        self._judgement(b, seen, self._footage)
        b.fixed = ~b.confirmed & (b.sums[:, 0] >= d.fixed_hits) & (away(b, seen, d) < d.move_px)
        loose = np.flatnonzero((rows >= 0) & ~b.confirmed)
        clutter.visited(seen.xy[rows[loose]], b.id[loose], self._footage.scene)

    def _delete(self, rows: Ints, seen: Look) -> Ints:
        """Forget what was not seen for too long, or has flown out. Returns the rows of the others."""
        b, d = self._bank, self.design
        # In this time every place is looked at once.
        scan_s = seen.detections.scan_s or max(seen.dt_s - FULL_LOOK_S, 0.0)
        lost = seen.time_s - b.seen_s > np.where(b.fixed, d.fixed_memory_s, self.settings.coast_s) + scan_s
        lost &= (rows < 0) | (b.doubt >= 2 * d.miss_nats)  # a detection that one miss makes doubtful is still one
        lost |= (rows < 0) & seen.outside(b.x)
        reachable = np.bitwise_count(b.hits).astype(np.int64) + d.ripe_window - b.frames
        hopeless = ~b.ripe & ~b.fixed & ~b.confirmed & (reachable < d.ripe_hits)
        keep = ~(lost | hopeless)
        if keep.all():
            return rows
        self._footage.learn_failures(b, ~keep & ~b.confirmed)
        b.keep(keep)
        return rows[keep]

    def _start(self, rows: Ints, seen: Look) -> Ints:
        """Begin tracks; returns the rows of their detections."""
        free = np.ones(len(seen.xy), bool)
        free[rows[rows >= 0]] = False
        found = np.flatnonzero(free)
        if not len(found):
            return found
        found, new = self._initiate(found, seen, self._footage)
        new.trail, self._bank.trail = self._trails.add(len(found), self._bank.trail)
        new.id = np.arange(self._next_id, self._next_id + len(found))
        self._next_id += len(found)
        self._bank.extend(new)
        return found
