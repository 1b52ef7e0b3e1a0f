"""Regions as they are drawn and changed, and a camera looked at before it is opened; without a window."""

from __future__ import annotations

import time

from irtrack.session.drawn import Drawn
from irtrack.session.events import Choice
from irtrack.session.preferences import Regions
from irtrack.session.preview import Preview

SQUARE = ((0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0))


def test_regions_are_added_reshaped_renamed_and_deleted_singly() -> None:
    regions: Choice[Regions] = Choice({})
    drawn = Drawn(regions)
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
