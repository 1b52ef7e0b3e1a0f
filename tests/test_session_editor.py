"""Editing the tracks that are selected, without a window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from test_session import SCENE, SETTINGS, Bright, until, whole

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
    assert editor.selected == tail
    assert session.lives()[tail] == (first, last)


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
