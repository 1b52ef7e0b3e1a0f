"""Why a thing in the picture is no track, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable

from irtrack.core import FrameResult, Track
from irtrack.session.edits import Edits
from irtrack.session.store import ResultStore

AGAINST = {
    "detections": "it was seen too seldom so far",
    "place": "it is not where it was expected",
    "steadiness": "it is missing in too many frames",
    "score": "the network is not sure of it",
    "brightness": "it is faint",
    "size": "targets seldom have its size",
    "flicker": "it flickers",
    "motion": "it has hardly moved",
    "age": "it is not there for long",
    "surroundings": "its surroundings are uneven",
    "prominence": "it stands out little from what surrounds it",
    "clutter": "other tracks near it came to nothing",
    "path": "it jumps about",
    "pinned": "it sits still on the sensor",
    "change": "the picture has always been like that there",
}
"""What speaks against a target, by the part of the belief (`track/belief.py`) that says so."""

KINDS = {"chance": "chance detections", "fixture": "something fixed, such as a lamp, a bad pixel or text"}

REASONS, LEAST_NATS = 3, 0.2
"""At most so many reasons are named, and none that says less."""


PICK_PX = 15.0
"""A click is meant for what is no further away than this, in pixels of the frame."""


def nearest(tracks: Iterable[Track], x: float, y: float) -> Track | None:
    """The track that is closest to a place and within reach of a click."""
    away = [(float(((t.xy_px - (x, y)) ** 2).sum()), t) for t in tracks]
    distance, near = min(away, key=lambda pair: pair[0], default=(math.inf, None))
    return near if distance < PICK_PX**2 else None


def why_not(track: Track) -> str | None:
    """What is missing for a track to be believed; None where nobody weighed it."""
    if track.belief != track.belief:
        return None
    short, why = f"No track yet, {max(-track.belief, 0):.1f} nats short", track.why()
    if not why:  # of a file of an earlier version
        return f"{short}; what speaks against it was not kept"
    kind = min(why, key=lambda k: sum(why[k].values()))
    worst = sorted((nats, part) for part, nats in why[kind].items() if nats < -LEAST_NATS)[:REASONS]
    said = ", ".join(AGAINST[part] for _, part in worst) or "nothing speaks for it yet"
    return f"{short}: it could be {KINDS[kind]}; {said}"


def why_none(x: float, y: float, shown: FrameResult, store: ResultStore, edits: Edits, older: bool) -> str | None:
    """Why there is no track at a place of the frame that is shown, as edited; None where nothing was seen there.
    `older`: whether something else is chosen now than what the tracks were made with."""
    frame = shown.frame.index
    found = [track for stored in store.part(frame, frame) for track in stored.result.tracks]
    left_out = [track for track in found if edits.now(track.id, frame) is None]
    there = nearest([*left_out, *(t for t in shown.tracks if not t.confirmed)], x, y)
    if there is not None:
        by_hand = any(track is there for track in left_out)
        return f"No track: {edits.label(there.id)} was left out here by hand" if by_hand else why_not(there)
    away = ((shown.detections.xy_px - (x, y)) ** 2).sum(1)
    if len(away) and away.min() < PICK_PX**2:
        begun = "it is found with what is chosen now; Analyse again follows it" if older else "none was begun from it"
        return f"No track: {begun}"
    return None
