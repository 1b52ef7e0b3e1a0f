"""Regions as they are drawn and changed, and a camera looked at before it is opened; without a window."""

from __future__ import annotations

import time

from irtrack.session.drawn import Drawn
from irtrack.session.edits import Edits, History
from irtrack.session.preview import Preview

SQUARE = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0))


def test_regions_are_added_reshaped_renamed_and_deleted_singly() -> None:
    history = History()
    regions, drawn = history.regions, Drawn(history)
    assert drawn.add("exclude", SQUARE)
    assert not drawn.add("exclude", ((0, 0), (5, 5), (10, 10)))  # a line holds nothing
    assert drawn.add("exclude", [(x + 20.04, y) for x, y in SQUARE])
    assert drawn.of("exclude")[1][0] == (20.0, 0.0)  # to a tenth
    drawn.reshape("exclude", 0, ((0, 0), (0, 0), (0, 0)))
    assert drawn.of("exclude")[0] == SQUARE
    drawn.add_corner("exclude", 0, 3)  # between the last corner and the first
    assert drawn.of("exclude")[0] == (*SQUARE, (0.0, 5.0))
    drawn.delete_corner("exclude", 0, 1)
    assert drawn.of("exclude")[0] == ((0.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 5.0))
    drawn.rename("exclude", 0, "alarm")
    assert (len(drawn.of("exclude")), len(drawn.of("alarm"))) == (1, 1)
    drawn.rename("exclude", 7, "alarm")  # there is no such region
    drawn.delete("exclude", 0)
    assert regions.value["exclude"] == ()
    drawn.clear()
    assert regions.value == {}
    drawn.add_corner("exclude", 0, 0)  # of a region that is gone meanwhile
    drawn.delete_corner("exclude", 0, 0)
    assert regions.value == {}


def test_regions_are_taken_back_in_their_turn_with_edits() -> None:
    history = History()
    drawn = Drawn(history)
    drawn.add("exclude", SQUARE)
    history.edit(Edits().renamed(1, "A"))
    drawn.clear()
    assert history.undo()
    assert history.regions.value == {"exclude": (SQUARE,)}
    assert history.value.names == {1: "A"}
    assert history.undo()
    assert (history.value, history.regions.value) == (Edits(), {"exclude": (SQUARE,)})
    assert history.undo()
    assert (history.value, history.regions.value) == (Edits(), {})
    assert not history.undo()
    for _ in range(3):
        assert history.redo()
    assert (history.value.names, history.regions.value) == ({1: "A"}, {})
    assert not history.redo()


def test_a_region_beside_the_picture_is_none() -> None:
    history = History()
    drawn = Drawn(history, lambda: (80, 96))
    assert not drawn.add("include", [(x + 200, y) for x, y in SQUARE])
    assert drawn.add("include", [(x - 5, y - 5) for x, y in SQUARE])  # over its corner
    assert not drawn.reshape("include", 0, [(x - 50, y) for x, y in SQUARE])
    over = tuple((x - 5, y - 5) for x, y in SQUARE)
    assert history.regions.value == {"include": (over,)}
    assert drawn.reshape("include", 0, (*over[:2], (200.0, 90.0), over[3]))  # a corner that was dragged away
    assert drawn.of("include") == ((*over[:2], (95.5, 79.5), over[3]),)


def test_a_camera_is_looked_at_and_let_go_of() -> None:
    preview = Preview("simcam:sky,width=64,height=48,frames=30,targets=1")
    end = time.monotonic() + 60
    while preview.count < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert preview.frame is not None
    assert preview.frame.image.shape == (48, 64)
    assert preview.state == "live"
    assert preview.rate > 0
    preview.close()


def test_what_is_no_camera_is_said() -> None:
    preview = Preview("sim:sky,frames=3")
    end = time.monotonic() + 60
    while preview.state == "connecting ..." and time.monotonic() < end:
        time.sleep(0.01)
    assert "is a recording, not a camera" in preview.state
    preview.close()
