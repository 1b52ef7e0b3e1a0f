"""What was said of tracks, and another pass over the recording: carried to the same targets, else kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_gui_picture import track as snapshot
from test_session import SCENE, until, whole
from test_session import detector as detector
from test_session import session as session
from test_sessionfile import Desk, another
from test_sessionfile import desk as desk
from test_sessionfile import desks as desks

from irtrack.core import Detections, Frame, FrameResult
from irtrack.session.carrying import Carrier
from irtrack.session.editor import Editor
from irtrack.session.edits import MADE_FROM, Edits, Gone, History
from irtrack.session.matching import by_frame, matched, votes_for
from irtrack.session.session import Session
from irtrack.session.standing import missing_text, remarks_of
from irtrack.session.store import ResultStore

Flights = Mapping[int, tuple[range, float]]
"""Tracks by their numbers: in which frames, and how far down. All fly to the right, 3 px a frame."""


def store_of(flights: Flights) -> ResultStore:
    store, image = ResultStore(), np.zeros((400, 400), np.uint8)
    for index in range(1 + max(frames[-1] for frames, _ in flights.values())):
        tracks = tuple(
            replace(snapshot(number, 3.0 * index, y), detection=0)
            for number, (frames, y) in flights.items()
            if index in frames
        )
        store.add(
            FrameResult(Frame(index, index / 30, image), Detections.empty(np.zeros(image.shape, bool)), tracks, {})
        )
    return store


def carried(edits: Edits, before: Flights, after: Flights) -> Edits:
    return Carrier(store_of(before), store_of(after), [edits])(edits)[0]


ONE: Flights = {1: (range(40), 20), 2: (range(10, 30), 200)}
NONE: Flights = {7: (range(40), 20)}
"""Another pass, which does not find the second target."""
AGAIN: Flights = {3: (range(12, 30), 201), 4: (range(40), 20)}


def test_what_finds_no_track_waits_and_comes_back() -> None:
    said = Edits().renamed(1, "A").renamed(2, "B").with_mark(2, True).judged(2, "bird")
    away = carried(said, ONE, NONE)
    (number,) = away.missing
    assert number >= MADE_FROM
    assert away.names == {7: "A", number: "B"}
    assert (away.marked, away.verdicts) == ({number}, {number: "bird"})
    assert away.missing[number].was == 2
    assert away.missing[number].life == (10, 29)
    assert away.lives(store_of(NONE).lives()) == {7: (0, 39)}  # it is none of the tracks
    assert Edits.from_dict(json.loads(json.dumps(away.to_dict()))) == away
    assert carried(away, NONE, NONE) == away  # once more without it
    back = carried(away, NONE, AGAIN)
    assert back == Edits({3: "B", 4: "A"}, frozenset({3}), {3: "bird"})


def test_files_of_earlier_versions_have_nothing_that_waits() -> None:
    values = Edits().renamed(1, "A").to_dict()
    del values["not_found"]
    assert Edits.from_dict(values) == Edits().renamed(1, "A")


def test_what_was_left_out_stays_so_wherever_it_comes_back() -> None:
    away = carried(Edits().without(2), ONE, NONE)
    assert away.missing == {}  # nobody need hear of it
    back = carried(away, NONE, AGAIN)
    assert back.lives(store_of(AGAIN).lives()) == {4: (0, 39)}
    deleted = carried(Edits().renamed(2, "B"), ONE, NONE)
    (number,) = deleted.missing
    assert deleted.without(number).missing == {}
    assert carried(deleted.without(number), NONE, AGAIN).lives(store_of(AGAIN).lives()) == {4: (0, 39)}


PIECES: Flights = {3: (range(10), 20), 7: (range(14, 40), 20)}


def joined() -> Edits:
    return Edits().renamed(3, "A").joined(7, 3, store_of(PIECES).lives())


def test_pieces_that_were_joined_and_that_another_pass_finds_as_one() -> None:
    made = carried(joined(), PIECES, NONE)
    assert made.lives(store_of(NONE).lives()) == {7: (0, 39)}
    assert made.names == {7: "A"}
    assert made.missing == {}
    back = carried(made, NONE, PIECES)
    assert back.lives(store_of(PIECES).lives()) in ({3: (0, 39)}, {7: (0, 39)})
    assert list(back.names.values()) == ["A"]


def test_a_piece_that_was_joined_to_one_that_is_gone_has_its_own_number() -> None:
    later: Flights = {5: (range(15, 40), 20)}
    made = carried(joined(), PIECES, later)
    assert made.lives(store_of(later).lives()) == {5: (15, 39)}
    assert made.names == {5: "A"}
    assert made.missing == {}
    back = carried(made, later, PIECES)
    (number,) = back.lives(store_of(PIECES).lives())
    assert back.lives(store_of(PIECES).lives()) == {number: (0, 39)}
    assert back.names == {number: "A"}


def test_a_track_that_was_cut_and_that_another_pass_cuts_by_itself() -> None:
    whole, cut = {1: (range(40), 20)}, {8: (range(18), 20), 9: (range(18, 40), 20)}
    said, tail = Edits().renamed(1, "A").split(1, 20, store_of(whole).lives())
    said = said.renamed(tail, "B")
    made = carried(said, whole, cut)
    lives = made.lives(store_of(cut).lives())
    assert {made.names[k]: lives[k] for k in made.names} == {"A": (0, 17), "B": (20, 39)}
    back = carried(made, cut, whole)
    assert sorted(back.names.values()) == ["A", "B"]
    assert {back.names[k]: life for k, life in back.lives(store_of(whole).lives()).items()} == {
        "A": (0, 19), "B": (20, 39),
    }  # fmt: skip
    without = carried(said.without(tail), whole, cut)
    left = without.lives(store_of(cut).lives())
    assert max(last for _, last in left.values()) == 19  # the tail stays left out


def test_both_parts_of_a_track_wait_and_come_back() -> None:
    both: Flights = {2: (range(10, 30), 200)}
    said, tail = Edits().renamed(2, "B").split(2, 20, store_of(both).lives())
    away = carried(said.judged(tail, "bird"), both, NONE)
    assert sorted(away.names[k] for k in away.missing) == ["B", "Bb"]
    assert sorted(gone.life for gone in away.missing.values() if gone.life) == [(10, 19), (20, 29)]
    back = carried(away, NONE, both)
    assert {back.label(k): life for k, life in back.lives(store_of(both).lives()).items()} == {
        "B": (10, 19), "Bb (bird)": (20, 29),
    }  # fmt: skip


def test_a_swap_of_which_one_is_gone_is_made_again_with_both() -> None:
    said = Edits().renamed(1, "A").renamed(2, "B")
    said = said.swapped(1, 2, 20, store_of(ONE).lives())
    away = carried(said, ONE, NONE)
    lives = away.lives(store_of(NONE).lives())
    assert {away.label(k): life for k, life in lives.items()} == {"A": (0, 19), "B": (20, 39)}  # as it was said
    back = carried(away, NONE, AGAIN)
    pieces = back.pieces(store_of(AGAIN).lives())
    assert sorted((p.track, p.first, p.last, back.label(p.now)) for p in pieces) == [
        (3, 12, 19, "B"), (3, 20, 29, "A"), (4, 0, 19, "A"), (4, 20, 39, "B"),
    ]  # fmt: skip


def test_what_can_be_gone_back_to_waits_too() -> None:
    history = History()
    history.edit(Edits().renamed(2, "B"))
    history.edit(history.value.judged(2, "bird"))
    history.edit(history.value.without(2))
    assert history.undo()
    carrier = Carrier(store_of(ONE), store_of(NONE), history.states)
    history.carry(lambda edits: carrier(edits)[0])
    (number,) = history.value.missing
    assert history.value.label(number) == "B (bird)"
    assert history.undo()
    assert history.value.label(number) == "B"
    carrier = Carrier(store_of(NONE), store_of(AGAIN), history.states)
    history.carry(lambda edits: carrier(edits)[0])
    assert history.value.names == {3: "B"}
    assert history.redo()
    assert history.value == Edits({3: "B"}, frozenset(), {3: "bird"})
    assert history.redo()
    assert 3 not in history.value.lives(store_of(AGAIN).lives())
    assert not history.redo()


def test_a_name_of_a_track_whose_results_were_lost_is_kept() -> None:
    made = carried(Edits().renamed(9, "C").split(1, 20, store_of(ONE).lives())[0], ONE, NONE)
    (number,) = made.missing
    assert made.names[number] == "C"
    assert made.missing[number] == Gone(9, {})
    assert made.missing[number].life is None


def test_of_equals_the_one_with_the_same_number() -> None:
    places = {i: (float(i), 5.0) for i in range(9)}
    assert votes_for({}, by_frame({1: places})) == []
    both = by_frame({1: places, 4: places})
    assert matched({4: votes_for(places, both)}) == {4: 4}
    one = votes_for(places, by_frame({5: places}))
    assert matched({4: one, 5: one}) == {5: 5}  # none goes to two


def test_tracks_that_wait_are_said_and_listed(session: Session) -> None:
    """Through a session: most of the picture is left out, so that a pass finds less, and then all of it again."""
    session.open(SCENE)
    until(session, lambda: whole(session))
    lives = session.lives()
    found = dict(lives)
    places = {track: session.store.places(track) for track in found}
    edits = session.edits.value
    for track in found:
        edits = edits.renamed(track, f"target {track}")
    session.edits.edit(edits)
    chosen = max(found, key=lambda track: lives[track][1] - lives[track][0])
    session.selected.set(chosen)
    assert missing_text(session) == ""
    session.regions.set({"exclude": (((-5.0, -5.0), (110.0, -5.0), (110.0, 90.0), (-5.0, 90.0)),)})
    session.analyse_again()
    until(session, lambda: whole(session) and session.store.recipe == session.recipe.value)
    assert session.lives() == {}
    assert sorted(session.edits.value.names.values()) == sorted(edits.names.values())
    said = missing_text(session)
    first, last = min(places[chosen]), max(places[chosen])
    assert f"target {chosen} (frames {first} to {last})" in said
    assert said in remarks_of(session).counts()
    missing = session.missing()
    assert missing.keys() == session.edits.value.missing.keys()
    assert len(missing) == len(found)
    now = session.selected.value
    assert now is not None
    assert session.edits.value.names[now] == f"target {chosen}"  # it stays selected
    assert missing[now].first_s == pytest.approx(first / 30)
    session.seek_track()
    assert session.position == first
    editor, refused = Editor(session), list[str]()
    session.failed.connect(refused.append)
    for act in (editor.split, editor.cut_tail, lambda: editor.swap(1)):
        act()
    assert len(refused) == 3
    assert all(f"target {chosen} was not found" in text for text in refused)
    editor.judge("bird")
    assert session.edits.undo()
    assert session.edits.redo()

    session.regions.set({})
    session.analyse_again()
    until(session, lambda: whole(session) and session.store.recipe == session.recipe.value)
    assert missing_text(session) == ""
    back = session.edits.value
    assert {back.names[track]: life for track, life in session.lives().items()} == {
        edits.names[track]: life for track, life in found.items()
    }
    now = session.selected.value
    assert now is not None
    assert back.label(now) == f"target {chosen} (bird)"
    assert session.store.places(now) == places[chosen]


def test_what_waits_is_in_the_session_file(desk: Desk, desks: list[Desk], tmp_path: Path) -> None:
    desk.seen_whole(SCENE)
    desk.keeping.save_as(tmp_path / "flight.irtrack")
    session = desk.session
    edits, lives = session.edits.value, session.lives()
    for track in lives:
        edits = edits.renamed(track, f"target {track}")
    session.edits.edit(edits)
    session.choose(min_area_px=80)
    session.analyse_again()
    until(session, lambda: whole(session) and session.store.recipe == session.recipe.value)
    assert session.lives() == {}
    waiting = session.edits.value
    assert waiting.missing.keys() == waiting.names.keys()
    desk.keeper.flush()
    other = another(desks)
    other.opened(tmp_path / "flight.irtrack")
    assert other.session.edits.value == waiting
    assert missing_text(other.session) == missing_text(session) != ""
    other.session.choose(min_area_px=1)
    other.session.analyse_again()
    until(other.session, lambda: whole(other.session) and other.session.store.recipe == other.session.recipe.value)
    back = other.session.edits.value
    assert {back.label(track): life for track, life in other.session.lives().items()} == {
        edits.label(track): life for track, life in lives.items()
    }
