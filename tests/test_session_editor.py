"""Editing the tracks that are selected, without a window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from test_session import SCENE, SETTINGS, Bright, until, whole

from irtrack.core import Floats
from irtrack.session.editor import Editor
from irtrack.session.session import Session


@pytest.fixture
def editor() -> Iterator[Editor]:
    """Of a recording that was analysed, at frame 30; what it says is in `heard`."""
    session = Session(SETTINGS)
    session.use(Bright())
    session.open(SCENE)
    until(session, lambda: whole(session))
    session.pause()
    session.seek(30)
    yield Editor(session)
    session.shutdown()


def test_what_is_selected_is_edited_in_one_step_and_taken_back(editor: Editor) -> None:
    session, heard = editor.session, list[str]()
    session.said.connect(heard.append)
    for act in (editor.toggle_mark, editor.split, editor.delete):
        act()
    assert [heard.pop() for _ in range(3)] == ["select a track first"] * 3
    one, two, *_ = session.lives()
    session.select(one, [two])
    editor.toggle_mark()
    editor.judge("bird")
    assert editor.edits.marked == {one, two}
    assert editor.edits.verdicts == {one: "bird", two: "bird"}
    editor.judge("bird")  # the same again takes it back
    assert not editor.edits.verdicts
    editor.delete()
    assert heard == ["2 tracks are left out; Ctrl+Z brings them back"]
    assert editor.selected is None
    assert not {one, two} & session.lives().keys()
    editor.undo()
    assert {one, two} <= session.lives().keys()


def test_why_an_edit_could_not_be_made_is_settled_by_the_next_one(editor: Editor) -> None:
    """So that the line about it goes; others stay."""
    session, failed, settled = editor.session, list[str](), list[str]()
    session.failed.connect(failed.append)
    editor.settled.connect(settled.append)
    one = next(iter(session.lives()))
    session.selected.set(one)
    editor.toggle_mark()
    session.seek(session.lives()[one][0])
    editor.split()
    assert len(failed) == 1
    assert not settled
    editor.judge("bird")
    editor.judge("bird")
    assert settled == failed


def test_a_cut_says_what_it_did_or_why_it_could_not(editor: Editor) -> None:
    session, heard, failed = editor.session, list[str](), list[str]()
    session.said.connect(heard.append)
    session.failed.connect(failed.append)
    one = next(track for track, (first, last) in session.lives().items() if first < 30 < last)
    first, last = session.lives()[one]
    session.selected.set(one)
    editor.split()
    assert heard == [f"track {one} ends before this frame; what follows is another one"]
    (tail,) = editor.apart()  # all others live at the same time
    assert session.lives()[tail] == (30, last)
    assert editor.apart()[tail] == f"{one}b: frames 30 to {last}"
    assert tail in editor.still_there()
    assert one not in editor.still_there()
    session.seek(first)
    editor.cut_tail()
    assert failed == [f"track {one} lives in frames {first} to 29: go to a later frame of it to cut it there"]
    editor.merge(tail)
    assert editor.selected == one
    assert session.lives()[one] == (first, last)
    assert editor.edits.names == {}, "a name that the cut gave goes with it"
    assert heard[-1] == f"tracks {one} and {one}b are one now, {one}"


def test_trails_are_of_what_a_track_is_made_of_now(editor: Editor) -> None:
    """What is drawn behind a track has to be where the exports say that it was."""
    session = editor.session

    def trail(track: int, length: int) -> Floats:
        picture = session.present()
        assert picture is not None
        return next(t.trail[-length:] for t in picture.result.tracks if t.id == track)

    one, two = [track for track, (first, last) in session.lives().items() if first < 20 and last > 40][:2]
    one_before, two_before = trail(one, 12), trail(two, 12)  # of frames 19 to 30
    assert len(one_before) == len(two_before) == 12
    session.seek(25)
    session.selected.set(one)
    heard = list[str]()
    session.said.connect(heard.append)
    editor.swap(two)
    assert heard == [f"tracks {one} and {two} change places from this frame on"]
    session.seek(30)
    np.testing.assert_allclose(trail(one, 12), np.concatenate([one_before[:6], two_before[6:]]), atol=0.1)
    np.testing.assert_allclose(trail(two, 12), np.concatenate([two_before[:6], one_before[6:]]), atol=0.1)
    editor.undo()
    editor.split()
    np.testing.assert_array_equal(trail(max(session.lives()), 99), one_before[-1:])
    editor.merge(max(session.lives()))
    np.testing.assert_allclose(trail(one, 12), one_before, atol=0.1)


def test_the_nearest_is_offered_first_to_swap_with(editor: Editor) -> None:
    session = editor.session
    picture = session.present()
    assert picture is not None
    places = {t.id: t.xy_px for t in picture.result.tracks if t.id in session.lives()}
    for one in places:
        session.selected.set(one)
        offered = [track for track in editor.still_there() if track in places]
        distances = [np.hypot(*(places[track] - places[one])) for track in offered]
        assert len(offered) == len(places) - 1
        assert distances == sorted(distances)


def test_next_and_previous_go_round_by_their_first_frames(editor: Editor) -> None:
    session = editor.session
    order = sorted(session.lives(), key=lambda track: session.lives()[track])
    went = []
    for _ in range(len(order) + 1):
        editor.select_next(1)
        went.append(editor.selected)
        assert session.position == session.lives()[editor.selected or 0][0]
    assert went == [*order, order[0]]
    editor.select_next(-1)
    assert editor.selected == order[-1]
