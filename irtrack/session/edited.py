"""Tracks as edited, by what each is made of: results with their trails, and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from irtrack.core import Floats, FrameResult
from irtrack.imaging.motion import moved, moved_back
from irtrack.session.byhand import as_tracks, series_of, sums_of
from irtrack.session.edits import Edits, Gone, Piece
from irtrack.session.looks import Look
from irtrack.session.picture import with_trails
from irtrack.session.series import SERIES, Sums
from irtrack.session.store import ResultStore


def as_edited(result: FrameResult, store: ResultStore, edits: Edits, trail_s: float) -> FrameResult:
    """A result as edited. A track that was cut, joined or swapped has the trail of what it is made of now, up to
    `trail_s` long."""
    made, changed = edits.apply(result), edits.changed_tracks()
    if not any(track.id in changed for track in made.tracks):
        return made
    pieces = edits.pieces({track: life for track, life in store.lives().items() if track in changed})
    tracks = []
    for track in made.tracks:
        own = [p for p in pieces if p.now == track.id and p.first <= made.frame.index] if track.id in changed else []
        if own:
            *past, now = sorted(own, key=lambda piece: piece.first)
            before = [trail_of(piece, made, store, edits, trail_s) for piece in past]
            since = len(store.numbers(now.first, made.frame.index)) or 1
            track = replace(track, trail=np.concatenate([*before, track.trail[-since:]]))
        tracks.append(track)
    return replace(made, tracks=tuple(tracks))


def trail_of(piece: Piece, at: FrameResult, store: ResultStore, edits: Edits, trail_s: float) -> Floats:
    """(T, 2): where a piece of a track lies in the scene of a later frame, as far as it is `trail_s` old at most."""
    end, none = store.before(piece.last + 1), np.zeros((0, 2))
    if end is None or end.frame.time_s < at.frame.time_s - trail_s:
        return none
    rows = edits.added.get(piece.track)
    end = with_trails(end if rows is None else as_tracks(piece.track, rows, end), store, trail_s)
    trail = next((track.trail for track in end.tracks if track.id == piece.track), none)
    trail = trail[-len(store.numbers(piece.first, piece.last)) :]
    if end.scene is None or at.scene is None:
        return trail
    return moved(at.scene, moved_back(end.scene, trail))


def sums_of_all(store: ResultStore, edits: Edits) -> dict[int, Sums]:
    """Every track with its figures."""
    out: dict[int, Sums] = {}
    for piece in edits.pieces(store.lives()):
        where = piece.first, piece.last
        added = edits.added.get(piece.track)
        sums = sums_of(added, *where) if added is not None else store.sums(piece.track, *where)
        if sums is not None:
            out[piece.now] = sums.joined(out.get(piece.now))
    return out


def sums_of_missing(store: ResultStore, edits: Edits, fps: float) -> dict[int, Sums]:
    """What is known of tracks that are spoken of, and that these results do not have."""

    def time_s(frame: int) -> float:
        return store.time_of(frame) if frame in store else frame / fps

    def sums(gone: Gone) -> Sums:
        first_s, last_s = map(time_s, gone.life) if gone.life is not None else (math.nan, math.nan)
        return Sums(len(gone.places), first_s, last_s, math.nan, math.nan)

    return {track: sums(gone) for track, gone in edits.missing.items()}


def parts_of(track: int, store: ResultStore, edits: Edits) -> list[Floats]:
    """(T, len(SERIES)) of each part of a track."""
    out = []
    for piece in edits.pieces(store.lives()):
        if piece.now == track:
            added = edits.added.get(piece.track)
            where = piece.first, piece.last
            out.append(series_of(added, *where) if added is not None else store.series(piece.track, *where))
    return out


def joined(parts: Sequence[Floats]) -> Floats:
    """(T, len(SERIES)) of all parts of a track, in their order."""
    some = sorted((part for part in parts if len(part)), key=lambda part: float(part[0, 0]))
    return np.concatenate(some) if some else np.zeros((0, len(SERIES)))


def looks_of_all(store: ResultStore, edits: Edits) -> dict[int, Look]:
    """How each track looks where it stands out most."""
    out: dict[int, Look] = {}
    for piece in edits.pieces(store.lives()):
        look = store.look(piece.track)
        if look is not None and (piece.now not in out or look.snr > out[piece.now].snr):
            out[piece.now] = look
    return out
