"""Links detections into tracks: predict, follow the camera, gate, assign, update, and a life cycle in seconds."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from irtrack.config import TrackerSettings
from irtrack.core import Detections, Floats, Image, Track, Tracks, TrackStatus, frozen
from irtrack.imaging.motion import STILL, carried, is_still, moved
from irtrack.imaging.registration import Registration
from irtrack.track.appearance import TRAITS, Appearance, appearance_of, followed
from irtrack.track.assignment import Ints, assign, gated_pairs
from irtrack.track.bank import MODELS, Bank
from irtrack.track.belief import FULL_LOOK_S, MOST_DISTANCE, MOST_PLACE_NATS, PARTS, RETREAT_NATS, beliefs, quantities
from irtrack.track.camera import CommonMotion
from irtrack.track.clutter import ClutterMap
from irtrack.track.imm import combined, predict_models, update_models
from irtrack.track.jerks import Jerks
from irtrack.track.kalman import first_state, innovation_covariance, log_density, mahalanobis_squared
from irtrack.track.surroundings import surroundings
from irtrack.track.trail import Trails

ANCHOR_HITS, AWAY_HITS = 2, 3
"""Detections whose mean is where a track began, and detections in a row that show that it has left."""

RIPE_HITS, RIPE_WINDOW = 4, 6
"""A track that has so many detections in so many frames votes on the camera's motion; one that cannot reach it ends."""

FIXED_HITS = 8
"""Detections after which a track that has not left its place is a fixed place."""

MOVE_PX = 3.0
"""A detection so far from where its track began, in the scene and on the sensor, lies away from it."""

FEWEST_HITS = 3
"""Looks further apart than `FULL_LOOK_S` say more each: in proportion fewer detections are asked for, down to three."""

ANCHOR_DRIFT_HZ = 0.15
"""Rate at which a place in the scene follows its detections: errors of the camera's motion add up over seconds. What
creeps by less than `MOVE_PX` times this a second counts as fixed."""

ON_SENSOR_PX = 1.2
"""A place whose detections scatter less than this on the sensor, and less than in the scene, belongs to the sensor."""

FIXED_ACCELERATION_PX_S2 = 10.0
"""Process noise of a track that has not left its place: it must not wander off after clutter while it blinks."""

FIXED_MEMORY_S = 3.0
"""A place that blinks is forgotten after this."""

OUTAGE_S = 1.0
"""Longest outage of all detections that counts as the shutter and not as targets gone."""

DWELL_S = (2.0, 0.5)
"""Mean time that a target flies quietly, and that it manoeuvres."""

MISS_NATS, DOUBT_NATS = 1.2, 6.0
"""What a miss adds to a track's doubt (a chance of detection of 0.7), and the most that counts."""

USUAL_SNR, BLUR = 8.0, (0.6, 2.0)
"""SNR whose positions have the standard deviation of the settings, and the bounds of how others differ from it."""


class KalmanTracker:
    """Constant-velocity Kalman filters with Hungarian assignment inside a Mahalanobis gate, in a frame that may move.

    A track starts tentative from any unassigned detection. It is ripe after M detections within N frames that are clear
    enough on average (score and SNR), and confirmed once it has also moved, against the scene and on the sensor: lamps,
    warm stones, burnt-in text and hot pixels never do, and a target that hovers later keeps its track. It coasts
    without detections and is deleted after `coast_s`; a tentative one is deleted once it can no longer become ripe.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self._gate = float(chi2.ppf(self.settings.gate_probability, 2))
        # One table for detections with their picture, one for those without.
        self._tables = [beliefs(self.settings.beliefs, name) for name in ("bare", "picture")]
        self._beliefs, self._threshold = self._tables[0], 0.0
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget every track; identities are not used again."""
        self._time_s: float | None = None
        self._now_s = 0.0
        self._bank = Bank()
        self._trails = Trails(self.settings.trail_s)
        self._outage_s = 0.0
        self._clutter_px2 = 1e-5  # detections that belong to no track, for each pixel of a frame
        self._extent = np.array([64.0, 64.0])
        self._frame: Floats | None = None  # width and height of the picture, where there is one
        self._common = CommonMotion()
        self._register = Registration()
        self._appearance = Appearance()
        self._jerks = Jerks()
        self._found, self._variance = np.zeros((0, TRAITS)), np.zeros(0)  # appearance of this frame's detections, and R
        self._clutter = ClutterMap()
        self._around = np.zeros((0, 2))  # what surrounds this frame's detections
        self._scene = STILL  # from the scene, as it lay in the first frame, to this frame

    def __call__(self, detections: Detections, time_s: float, image: Image | None = None) -> Tracks:
        """Tracks at `time_s` (seconds, not before the last call's), tentative ones included.

        `image` (H, W) tells how the scene moved since the last call; without one the detections vote.
        """
        dt_s = self._predict(time_s)
        if image is not None:
            self._frame = np.array(image.shape[::-1], float)
        kind = self.settings.camera_motion
        if kind == "image" and image is not None:
            self._follow(self._register(image))
        elif kind != "off":
            self._follow(self._voted(detections))
        self._found = appearance_of(detections)
        self._variance = self.settings.measurement_sigma_px**2 * blur(detections.snr)
        self._around = np.full((len(detections), 2), np.nan)
        if image is not None:
            self._around = surroundings(image, detections.xy_px, detections.box_px[:, 2:].max(1))
        self._beliefs = self._tables[image is not None]
        self._threshold = self._beliefs.threshold(self.settings.caution)
        rows = self._associate(detections)
        self._bridge_outage(detections, dt_s)
        self._learn_clutter(rows, detections)
        self._update(rows, detections, time_s, dt_s)
        rows = self._delete(rows, time_s, detections.scan_s or max(dt_s - FULL_LOOK_S, 0.0))
        rows = np.concatenate([rows, self._start(rows, detections, time_s)])
        return self._snapshots(rows, time_s)

    def evidence(self) -> tuple[Ints, Floats, Floats, Floats]:
        """What is known of the tracks that the last frame had a detection of, to learn from it.

        Identities (N,), places (N, 2), how many detections each has had (N,), quantities (N, P) as in `belief.py`.
        """
        b = self._bank
        seen = np.flatnonzero((b.hits & np.uint64(1)) > 0)
        return b.id[seen], b.x[seen, :2].copy(), b.sums[seen, 0], b.known[seen]

    def _predict(self, time_s: float) -> float:
        """Move states on; returns the time step."""
        dt_s = 0.0 if self._time_s is None else max(0.0, time_s - self._time_s)
        self._time_s = self._now_s = time_s
        b = self._bank
        if len(b) and dt_s:
            # Media times carry rounding noise; microseconds are far below it and keep the cache of F and Q warm.
            step = round(dt_s, 6)
            agile: list[float | Floats] = [self.settings.quiet_px_s2, self.settings.acceleration_px_s2]
            if b.fixed.any():
                agile = [np.where(b.fixed, FIXED_ACCELERATION_PX_S2, a) for a in agile]
            b.xm, b.Pm, b.mu = predict_models(b.xm, b.Pm, b.mu, step, agile, DWELL_S)
            b.x, b.P = combined(b.xm, b.Pm, b.mu)
        return dt_s

    def _voted(self, detections: Detections) -> Floats:
        """The common motion of what was tracked so far; what lies on the sensor has no part in it."""
        b = self._bank
        k = np.flatnonzero((b.ripe | b.fixed) & ~self._stuck() & (b.misses < 3))
        P = b.P[k, :2, :2] + self.settings.measurement_sigma_px**2 * np.eye(2)
        density = max(len(detections), 1) / float(self._extent.prod())
        return self._common(b.x[k, :2], P, detections.xy_px, density)

    def _stuck(self) -> NDArray[np.bool_]:
        """Which tracks (N,) are fixed to the sensor, not to the scene."""
        b = self._bank
        return b.fixed & (b.stray[:, 1] < ON_SENSOR_PX**2) & (b.stray[:, 1] <= b.stray[:, 0])

    def _follow(self, motion: Floats) -> None:
        """Carry states, where tracks began and trails along with the scene."""
        if is_still(motion):
            return
        b, turn = self._bank, motion[:, :2]
        go = np.flatnonzero(~self._stuck())
        b.x[go], b.P[go] = carried(motion, b.x[go], b.P[go])
        b.xm[go], b.Pm[go] = carried(motion, b.xm[go], b.Pm[go])
        b.anchor = moved(motion, b.anchor)
        self._scene = np.column_stack([turn @ self._scene[:, :2], turn @ self._scene[:, 2] + motion[:, 2]])

    def _associate(self, detections: Detections) -> Ints:
        """Row of the detection of each track, or -1. Established tracks and fixed places choose first."""
        b = self._bank
        rows = np.full(len(b), -1, np.intp)
        free = np.ones(len(detections), bool)
        first = b.confirmed | b.fixed
        for stage in (first, ~first):
            tracks, found = self._assign(np.flatnonzero(stage), np.flatnonzero(free), detections.xy_px)
            rows[tracks] = found
            free[found] = False
        self._refind(rows, free, detections.xy_px)
        return rows

    def _refind(self, rows: Ints, free: NDArray[np.bool_], xy: Floats) -> None:
        """After a jerk of the camera that no picture could tell: what looks like a confirmed track is that track.

        The whole state is carried to the detection, as the camera's motion would have.
        """
        b = self._bank
        tracks, found = np.flatnonzero((rows < 0) & b.confirmed), np.flatnonzero(free)
        self._jerks.next_frame()
        if not len(tracks) or not len(found):
            return
        alike = self._appearance.against_clutter(b.appearance[tracks], self._found[found])
        for i, j in self._jerks.pairs(alike, b.x[tracks, :2], xy[found], self._clutter_px2):
            track, detection = tracks[i], found[j]
            shift = xy[detection] - b.x[track, :2]
            for places in (b.x, b.xm):
                places[track, ..., :2] += shift
            b.anchor[track] += shift
            rows[track] = detection

    def _assign(self, tracks: Ints, found: Ints, xy: Floats) -> tuple[Ints, Ints]:
        if not len(tracks) or not len(found):
            return tracks[:0], found[:0]
        x, P = self._bank.x[tracks, :2], self._bank.P[tracks, :2, :2]
        t, d, distance, size = gated_pairs(x, P, xy[found], self._variance[found], self._gate)
        # Negative log-likelihood up to a constant: a wide gate pays for its width, so it cannot steal from a sharp one.
        width = np.log(size)
        lowest = float(np.log(self.settings.measurement_sigma_px**4))
        told = self._appearance.evidence(self._bank.appearance[tracks[t]], self._found[found[d]])
        t, d = assign(t, d, distance + width - lowest - 2 * told, self._gate + 20.0)
        return tracks[t], found[d]

    def _bridge_outage(self, detections: Detections, dt_s: float) -> None:
        """Frames without any detection where several tracks should have one are the shutter: they do not count."""
        b = self._bank
        self._outage_s = self._outage_s + dt_s if not len(detections) else 0.0
        if len(detections) == 0 and self._outage_s <= OUTAGE_S and np.count_nonzero(b.confirmed) >= 2:
            b.seen_s += dt_s

    def _learn_clutter(self, rows: Ints, detections: Detections) -> None:
        """Density of detections outside established tracks, smoothed over seconds; the frame is what was seen of it."""
        if not len(detections):
            return
        self._extent = np.maximum(self._extent, detections.xy_px.max(0))
        b = self._bank
        owned = np.count_nonzero((rows >= 0) & (b.confirmed | b.fixed))
        density = (len(detections) - owned + 0.1) / float(self._extent.prod())
        self._clutter_px2 += 0.05 * (density - self._clutter_px2)

    def _update(self, rows: Ints, detections: Detections, time_s: float, dt_s: float) -> None:
        b = self._bank
        hit = np.flatnonzero(rows >= 0)
        d = rows[hit]
        # A frame in which a track's place was not looked at says nothing of it; a place outside is known to be empty.
        told = (rows >= 0) | detections.looked_at(b.x[:, :2]) | self._outside(b.x)
        b.frames += told
        b.hits = np.where(told, (b.hits << np.uint64(1)) | (rows >= 0).astype(np.uint64), b.hits)
        b.misses = np.where(rows >= 0, 0, b.misses + told)
        missed = np.where(told & (rows < 0), MISS_NATS, 0.0)
        b.doubt = np.minimum(b.doubt + missed, DOUBT_NATS)
        b.place_nats -= missed
        if len(hit):
            z, R = detections.xy_px[d], np.eye(2) * self._variance[d, None, None]
            self._weigh(hit, z, R, time_s)
            self._sum(hit, d, z, R)
            b.xm[hit], b.Pm[hit], b.mu[hit] = update_models(b.xm[hit], b.Pm[hit], b.mu[hit], z, R)
            b.x[hit], b.P[hit] = combined(b.xm[hit], b.Pm[hit], b.mu[hit])
            b.last[hit] = seen(detections, d)
            self._learn(hit, d)
            self._anchor(hit, detections.xy_px[d], dt_s)
        self._judge(time_s, dt_s)
        loose = np.flatnonzero((rows >= 0) & ~b.confirmed)
        self._clutter.visited(detections.xy_px[rows[loose]], b.id[loose], self._scene)

    def _weigh(self, hit: Ints, xy: Floats, R: Floats, time_s: float) -> None:
        """Weigh each detection against clutter: one in a wide gate says little and does not end a coast by itself.

        The log-likelihood ratio of target to clutter (Sittler 1964; Bar-Shalom et al. 2001, section 7.2).
        """
        b = self._bank
        each = [
            log_density(xy - b.xm[hit, m, :2], innovation_covariance(b.Pm[hit, m], R)) + np.log(b.mu[hit, m])
            for m in range(MODELS)
        ]
        gain = np.logaddexp.reduce(each) - np.log(self._clutter_px2)
        b.doubt[hit] = np.maximum(b.doubt[hit] - np.clip(gain, 0.0, DOUBT_NATS), 0.0)
        b.place_nats[hit] = np.clip(
            b.place_nats[hit] + np.clip(gain, -DOUBT_NATS, DOUBT_NATS), -MOST_PLACE_NATS, MOST_PLACE_NATS
        )
        sure = hit[b.doubt[hit] == 0]
        b.seen_s[sure] = time_s

    def _sum(self, hit: Ints, d: Ints, xy: Floats, R: Floats) -> None:
        """Add up what the detections `d` of the tracks `hit` say of them."""
        b, found = self._bank, self._found[d]
        away = mahalanobis_squared(xy - b.x[hit, :2], b.P[hit, :2, :2] + R)
        change = np.abs(found[:, 1] - np.log(np.maximum(b.last[hit, 4], 1e-3)))
        b.sums[hit] += np.column_stack(
            [np.ones(len(hit)), found, change, self._around[d], np.minimum(away, MOST_DISTANCE)]
        )

    def _learn(self, hit: Ints, d: Ints) -> None:
        """Learn what targets look like from the detections `d` of the tracks `hit`."""
        b = self._bank
        sure = b.confirmed[hit]
        self._appearance.learn(self._found, b.appearance[hit[sure]], self._found[d[sure]])
        b.appearance[hit] = followed(b.appearance[hit], self._found[d], b.sums[hit, 0])

    def _anchor(self, hit: Ints, xy: Floats, dt_s: float) -> None:
        """Where a track began is the mean of its first detections; later ones lie there or away."""
        b, count = self._bank, self._bank.sums[hit, 0]
        early = count <= np.minimum(ANCHOR_HITS, self._asked(ANCHOR_HITS + 1)[hit] - 1)
        at, share = hit[early], 1 / count[early, None]
        b.anchor[at] += (xy[early] - b.anchor[at]) * share
        b.sensor[at] += (xy[early] - b.sensor[at]) * share
        late = hit[~early]
        b.anchor[late] += (xy[~early] - b.anchor[late]) * (1 - np.exp(-ANCHOR_DRIFT_HZ * dt_s))
        squared = np.stack([((xy - b.anchor[hit]) ** 2).sum(1), ((xy - b.sensor[hit]) ** 2).sum(1)], 1)
        b.stray[hit] += (squared - b.stray[hit]) * 0.2
        far = np.sqrt(squared.min(1))
        asked = np.flatnonzero((far >= 1.0) & ~b.confirmed[hit])
        area_px2 = float(self._extent.prod())
        far[asked] *= ~self._clutter.suspect(xy[asked], b.id[hit[asked]], self._scene, area_px2)
        b.recent[hit] = np.column_stack([far, b.recent[hit, :-1]])
        b.moved[hit] = np.maximum(b.moved[hit], np.where(count > ANCHOR_HITS, self._away()[hit], 0.0))

    def _away(self) -> Floats:
        """How far each track (N,) has surely gone from where it began: all its last detections lay that far off."""
        several = self._asked(AWAY_HITS + 1)[:, None] - 1
        return np.asarray(np.where(np.arange(AWAY_HITS) < several, self._bank.recent, np.inf).min(1))

    def _asked(self, most: int) -> NDArray[np.int64]:
        """Of `most` detections, how many are asked of each track, given the time between looks at it."""
        b = self._bank
        look_s = (self._now_s - b.born_s) / np.maximum(b.frames - 1, 1)
        fewest = min(most, FEWEST_HITS)
        share = np.minimum(FULL_LOOK_S / np.maximum(look_s, 1e-9), 1.0)
        return (fewest + np.ceil((most - fewest) * share - 1e-9)).astype(np.int64)

    def _judge(self, time_s: float, dt_s: float) -> None:
        """Ripe, believed or fixed."""
        b = self._bank
        window = np.uint64((1 << RIPE_WINDOW) - 1)
        b.ripe |= np.bitwise_count(b.hits & window) >= self._asked(RIPE_HITS)
        self._clutter.fade(dt_s)
        b.known = quantities(b, time_s, self._clutter.failures(b.x[:, :2]))
        b.belief = self._beliefs(b.known)
        b.confirmed = b.belief >= np.where(b.confirmed, self._threshold - RETREAT_NATS, self._threshold)
        b.fixed = ~b.confirmed & (b.sums[:, 0] >= FIXED_HITS) & (self._away() < MOVE_PX)

    def _outside(self, x: Floats) -> NDArray[np.bool_]:
        """Whether states (N, 4) lie outside the picture."""
        if self._frame is None:
            return np.zeros(len(x), bool)
        return np.logical_or.reduce((x[:, :2] < -0.5) | (x[:, :2] >= self._frame - 0.5), 1)

    def _delete(self, rows: Ints, time_s: float, scan_s: float) -> Ints:
        """Forget what was not seen for too long, or has flown out. `scan_s`: in which every place is looked at once."""
        b, s = self._bank, self.settings
        unseen_s = time_s - b.seen_s
        lost = unseen_s > np.where(b.fixed, FIXED_MEMORY_S, s.coast_s) + scan_s
        lost &= (rows < 0) | (b.doubt >= 2 * MISS_NATS)  # a detection that one miss makes doubtful is still one
        lost |= (rows < 0) & self._outside(b.x)
        still_open = RIPE_WINDOW - b.frames
        hopeless = (
            ~b.ripe & ~b.fixed & ~b.confirmed & (np.bitwise_count(b.hits).astype(np.int64) + still_open < RIPE_HITS)
        )
        keep = ~(lost | hopeless)
        if keep.all():
            return rows
        failed = ~keep & ~b.confirmed
        self._appearance.learn_clutter(b.appearance[failed])
        self._clutter.failed(b.x[failed, :2])
        b.keep(keep)
        return rows[keep]

    def _start(self, rows: Ints, detections: Detections, time_s: float) -> Ints:
        free = np.ones(len(detections), bool)
        free[rows[rows >= 0]] = False
        found = np.flatnonzero(free)
        n = len(found)
        if not n:
            return found
        s, xy = self.settings, detections.xy_px[found]
        trail, self._bank.trail = self._trails.add(n, self._bank.trail)
        x, P = first_state(xy, s.measurement_sigma_px, s.speed_sigma_px_s)
        self._bank.extend(
            Bank(
                n,
                x=x,
                P=P,
                xm=np.repeat(x[:, None], MODELS, 1),
                Pm=np.repeat(P[:, None], MODELS, 1),
                mu=np.full((n, MODELS), 1 / MODELS),
                id=np.arange(self._next_id, self._next_id + n),
                hits=np.ones(n, np.uint64),
                frames=np.ones(n, np.int64),
                born_s=np.full(n, time_s),
                seen_s=np.full(n, time_s),
                anchor=xy,
                sensor=xy,
                last=seen(detections, found),
                sums=np.column_stack([np.ones(n), self._found[found], np.zeros(n), self._around[found], np.zeros(n)]),
                appearance=self._found[found],
                known=np.full((n, len(PARTS)), np.nan),
                belief=np.full(n, np.nan),
                trail=trail,
            )
        )
        self._next_id += n
        return found

    def _snapshots(self, rows: Ints, time_s: float) -> Tracks:
        b = self._bank
        self._trails.append(b.trail, b.x[:, :2], time_s, self._scene)
        trails = self._trails.view(b.trail, self._scene)
        # Arrays of the bank are replaced or written in place in the next frame: what is handed out is copied.
        x, P, sure = frozen(b.x.copy()), frozen(b.P.copy()), (b.doubt == 0) & ((rows >= 0) | (b.misses == 0))
        id_, confirmed, last = b.id.copy(), b.confirmed.copy(), b.last.copy()
        age_s, misses = time_s - b.born_s, b.misses.copy()
        known, above, beliefs = b.known.copy(), b.belief - self._threshold, self._beliefs

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
                why=partial(beliefs.reasons, known[i]),
            )

        return Tracks(id_, confirmed, x, self._scene, snapshot, P, b.fixed.copy())


def blur(snr: Floats) -> Floats:
    """Variance of positions with these SNR (N,) over that of a usual one: the error of a centroid goes with 1 / SNR.

    Thompson et al., Biophysical Journal 2002, equation 17, where background noise dominates; measured on simulated
    targets through the network, median error an axis: 0.097 px at SNR 3.7, 0.065 at 6.5, 0.038 at 15. 1 where unknown.
    """
    return np.nan_to_num(np.clip(USUAL_SNR / np.maximum(snr, 1e-3), *BLUR) ** 2, nan=1.0)


def seen(detections: Detections, rows: Ints) -> Floats:
    """Width, height, area, score and SNR of detections (N, 5)."""
    d = detections
    return np.column_stack([d.box_px[rows, 2], d.box_px[rows, 3], d.area_px[rows], d.score[rows], d.snr[rows]])
