"""Why a thing in the picture is no track, in words."""

from __future__ import annotations

from irtrack.core import Track

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
}
"""What speaks against a target, by the part of the belief (`track/belief.py`) that says so."""

KINDS = {"chance": "chance detections", "fixture": "something fixed, such as a lamp, a bad pixel or text"}

REASONS, LEAST_NATS = 3, 0.2
"""At most so many reasons are named, and none that says less."""


def why_not(track: Track) -> str | None:
    """What is missing for a track to be believed; None where nobody weighed it."""
    why = track.why()
    if track.belief != track.belief or not why:
        return None
    kind = min(why, key=lambda k: sum(why[k].values()))
    worst = sorted((nats, part) for part, nats in why[kind].items() if nats < -LEAST_NATS)[:REASONS]
    said = ", ".join(AGAINST[part] for _, part in worst) or "nothing speaks for it yet"
    return f"No track yet, {max(-track.belief, 0):.1f} nats short: it could be {KINDS[kind]}; {said}"
