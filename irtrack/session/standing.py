"""How things stand, in words: rates and latency, how far the analysis is, what the results that are shown hold."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from datetime import date, datetime

import numpy as np

from irtrack.core import Clock, Detector, Frame, Remarks, status_of
from irtrack.session.passes import network_of
from irtrack.session.picture import Picture
from irtrack.session.reel import LiveView
from irtrack.session.session import Session

WINDOW_S = 2.0
"""Rates are those of so many seconds."""

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
"""In the language of the rest, whatever the system's is."""

MOST_NAMED = 5
"""So many tracks are named in a line; the list of all tracks has them all."""

LOADING = "loading the network ..."
STATES = {"reconnecting": "CAMERA LOST, connecting again", "stalled": "no new picture", "closed": "camera closed"}


class Rate:
    """Events a second over the last WINDOW_S."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()

    def note(self, count: int) -> float:
        """Tell the running total; gives the rate."""
        now = self._clock()
        self._marks.append((now, count))
        while len(self._marks) > 2 and now - self._marks[0][0] > WINDOW_S:
            self._marks.popleft()
        (t0, n0), (t1, n1) = self._marks[0], self._marks[-1]
        return max(0.0, (n1 - n0) / (t1 - t0)) if t1 > t0 else 0.0


class Figures:
    """Honest figures of one source: what was captured, analysed and drawn, and how late the picture is."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._capture, self._infer, self._display = Rate(clock), Rate(clock), Rate(clock)
        self._drawn = 0
        self._frame: Frame | None = None

    def drew(self, picture: Picture) -> None:
        """A picture was put on screen just now."""
        if picture.result.frame is not self._frame:
            self._frame = picture.result.frame
            self._drawn += 1

    def text(self, session: Session) -> str:
        """The line; empty where nothing is open."""
        if session.view is None:
            return ""
        return "   ".join(filter(None, [state_of(session), *self._parts(session)]))

    def _parts(self, session: Session) -> list[str]:
        analysis, shown = session.analysis, f"display {self._display.note(self._drawn):.1f} fps"
        if analysis is None:  # what is shown was made before, or waits for the network
            kept, made = len(session.store), session.store.made
            said = f"analysed {count_of(kept)}" if session.live else f"{count_of(kept)} from before"
            return [shown, said if kept else "", made.model if made is not None else ""]
        pipeline = analysis.pipeline
        captured, analysed = self._capture.note(pipeline.captured), self._infer.note(pipeline.processed)
        parts = [shown]
        if session.live:
            parts.append(f"camera {captured:.1f} fps, tracking {analysed:.0f} of {captured:.0f} pictures a second")
            if analysis.latency_ms:
                p50, p95 = np.percentile(np.array(tuple(analysis.latency_ms)), (50, 95))
                parts.append(f"latency {p50:.0f} ms (p95 {p95:.0f})")
            parts.append(f"dropped {pipeline.dropped}")
        else:
            parts.append(f"analysed {count_of(analysis.done)}" if analysis.over else f"analysis {analysed:.1f} fps")
            if analysis.recalled:
                parts.append("from kept scores")
            elif analysis.detect_ms:
                parts.append(f"detection {np.median(np.array(tuple(analysis.detect_ms))):.0f} ms")
        return [*parts, model_of(pipeline.detector), status_of(pipeline.detector).without]


def state_of(session: Session) -> str:
    """What the picture does."""
    if session.live and (lost := STATES.get(session.camera_state)):
        return lost
    if session.live:
        return "live" if session.playing else "held"
    return "playing" if session.playing else "paused"


def model_of(detector: Detector | None) -> str:
    """Which network detects, and where."""
    if detector is None:
        return LOADING
    now = status_of(detector)
    scan = f", all of the picture every {now.scan_frames} frames" if now.scan_frames > 1 else ""
    return network_of(detector) + scan


def count_of(frames: int) -> str:
    """So many frames."""
    return f"{frames} frame{'s' * (frames != 1)}"


def clock_text(seconds: float | None) -> str:
    """About how long, for people; empty where that is not known."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{max(1, math.ceil(seconds))} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min"


def day_text(at: datetime, today: date | None = None) -> str:
    """A day, where this machine is, for people: with its year, if that is another one than today's."""
    day, now = at.astimezone().date(), today or datetime.now().astimezone().date()
    return f"{day.day} {MONTHS[day.month - 1]}" + (f" {day.year}" if day.year != now.year else "")


def remarks_of(session: Session) -> Remarks:
    """What should be known of the open source and of the results that are shown: what is not quite what it seems."""
    told, opened = Remarks(), session.opened
    there = [session.store.remarks] + ([opened.source.info.remarks] if opened is not None else [])
    if opened is not None and opened.source.info.clock is Clock.ASSUMED:
        told.add(f"how many pictures a second it has is not known: times and speeds are those of {session.fps:g}")
    counts = [remarks.counts() for remarks in there]
    for text in dict.fromkeys(text for each in counts for text in each):
        told.add(text, max(each.get(text, 0) for each in counts))
    if missing := missing_text(session):
        told.add(missing)
    return told


def missing_text(session: Session) -> str:
    """Which tracks are spoken of that these results do not have, and when they were there; empty where none are."""
    edits = session.edits.value
    some = [f"{edits.label(track)}{frames_text(gone.life)}" for track, gone in edits.missing.items()]
    if not some:
        return ""
    more = f" and {len(some) - MOST_NAMED} more" if len(some) > MOST_NAMED else ""
    return f"not found by this analysis, and kept for another one: {', '.join(some[:MOST_NAMED])}{more}"


def frames_text(life: tuple[int, int] | None) -> str:
    """When a track was there, behind what it is called; nothing where that is not known."""
    return "" if life is None else f" (frames {life[0]} to {life[1]})"


def notice_of(session: Session) -> str:
    """How the analysis stands, in a line."""
    view, analysis = session.view, session.analysis
    if isinstance(view, LiveView):
        kept = f"back to {view.reel.seconds:.0f} s ago"
        return f"held, {view.behind_s:.1f} s behind; {kept}" if not view.playing else kept
    if session.passes.due:
        return LOADING if session.loader.loading else "the analysis begins when the frame in the network is done ..."
    since = " and ".join(session.changed_since)
    if session.before is not None and session.before.at is not None:
        since = f"; {since} changed since" if since else ", made with these settings"
        lost = "; some are lost" if session.store.lacking else ""
        return f"results of {day_text(session.before.at)}{since}{lost}"
    if analysis is None or analysis.over:
        return f"{since} changed since the analysis" if since else ""
    changed = f"; {since} changed since it began" if since else ""
    share = session.analysing
    if share is None:
        return f"analysing: {count_of(analysis.done)}{changed}"
    left = clock_text(analysis.left_s(session.frames))
    doing = "analysing again" if session.anew else "analysing"
    return f"{doing}: {share:.0%}{f', {left} left' if left else ''}{changed}"


def holding(session: Session, count: int | None = None) -> str:
    """What an export would hold now, or one of `count` frames holds: of how many, and whether something else is chosen
    by now."""
    kept, frames = len(session.store) if count is None else count, session.frames
    of = f" of {frames}" if frames not in (None, kept) else ""
    older = session.older
    before = f", analysed before {' and '.join(older)} changed" if older else ""
    return f"{kept}{of} frame{'s' * (kept != 1 or bool(of))}{before}"
