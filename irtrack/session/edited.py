"""Figures of tracks as edited: of what each is made of, by the tracker or by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from irtrack.core import Floats
from irtrack.session.byhand import series_of, sums_of
from irtrack.session.edits import Edits
from irtrack.session.looks import Look
from irtrack.session.series import SERIES, Sums
from irtrack.session.store import ResultStore


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
