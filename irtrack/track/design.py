"""The constants of the tracker, each with what it does and its range: nothing that a user has to set."""

from __future__ import annotations

from dataclasses import dataclass

from irtrack.config import Checked, option


@dataclass(frozen=True)
class TrackerDesign(Checked):
    """How the tracker is built; `KalmanTracker(settings, design)` takes another, as `tools/ablate_tracker.py` does."""

    quiet_s: float = option(2.0, "mean time that a target flies quietly", unit="s", low=0.01)
    manoeuvre_s: float = option(0.5, "mean time that it manoeuvres", unit="s", low=0.01)
    fixed_px_s2: float = option(
        10.0,
        "acceleration of a track that has not left its place: it must not wander off after clutter while it blinks",
        unit="px/s^2",
        low=0.0,
    )
    usual_snr: float = option(8.0, "SNR whose positions have the standard deviation of the settings", low=0.1)
    blur_low: float = option(0.6, "the least by which the standard deviation of others differs", low=0.01)
    blur_high: float = option(2.0, "the most", low=0.01)

    miss_nats: float = option(
        1.2, "what a miss adds to a track's doubt: a chance of detection of 0.7", unit="nats", low=0.0
    )
    doubt_nats: float = option(6.0, "the most of it that counts", unit="nats", low=0.0)
    outage_s: float = option(
        1.0, "longest outage of all detections that counts as the shutter and not as targets gone", unit="s", low=0.0
    )
    fixed_memory_s: float = option(3.0, "a place that blinks is forgotten after this", unit="s", low=0.0)

    ripe_hits: int = option(
        4, "a track with so many detections votes on the camera's motion; one that cannot reach it ends", low=1, high=64
    )
    ripe_window: int = option(6, "in so many frames", low=1, high=63)
    fewest_hits: int = option(
        3, "looks that are far apart say more each: in proportion fewer detections are asked for, down to these", low=1
    )

    anchor_hits: int = option(2, "detections whose mean is where a track began", low=1)
    away_hits: int = option(3, "detections in a row that show that it has left", low=1, high=3)
    anchor_drift_hz: float = option(
        0.15,
        "rate at which a place in the scene follows its detections: errors of the camera's motion add up over seconds. "
        "What creeps by less than move_px times this a second counts as fixed",
        unit="Hz",
        low=0.0,
    )
    move_px: float = option(3.0, "a detection so far from where its track began lies away from it", unit="px", low=0.0)
    fixed_hits: int = option(8, "detections after which a track that has not left its place is a fixed place", low=1)
    on_sensor_px: float = option(
        1.2,
        "a place whose detections scatter less than this on the sensor, and less than in the scene, is the sensor's",
        unit="px",
        low=0.0,
    )

    retreat_nats: float = option(
        1.5,
        "a track that was believed is doubted once its belief lies so far below the threshold: Wald's lower one",
        unit="nats",
        low=0.0,
    )
    temper: float = option(
        0.5, "share of the evidence of appearance that counts: its quantities depend on one another", low=0.0, high=1.0
    )
    visitors: float = option(2.5, "so many other tracks that came by make a place suspect", low=0.0)
