"""Labels that keep apart, the magnified target, and what the side panel does to tracks and detections."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import hold, open_and_play_to
from PySide6.QtCore import QPointF, QRectF
from pytestqt.qtbot import QtBot

from irtrack.core import Detections, Frame, FrameResult, Track, TrackStatus
from irtrack.gui.inset import SIDE_PX, patch_round
from irtrack.gui.labels import corners_of, placed
from irtrack.gui.table import heading
from irtrack.gui.window import MainWindow


def wait(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=60_000)


def track(number: int, x: float, y: float, velocity: tuple[float, float] = (20.0, 0.0)) -> Track:
    trail = np.array([(x - 10, y), (x, y)])
    return Track(
        number, TrackStatus.CONFIRMED, np.array([x, y]), np.array(velocity), np.eye(4), 1.0, 0, 0, (3.0, 3.0), 9.0, 0.9,
        8.0, trail,
    )  # fmt: skip


def crowd(count: int) -> FrameResult:
    rng = np.random.default_rng(3)
    places = rng.uniform(10, (630, 500), (count, 2))
    image = rng.integers(60, 90, (512, 640)).astype(np.uint8)
    tracks = tuple(track(i + 1, *p) for i, p in enumerate(places))
    return FrameResult(Frame(0, 0.0, image), Detections.empty(np.zeros(image.shape, bool)), tracks, {})


def test_labels_of_a_hundred_tracks_keep_apart(qtbot: QtBot, window: MainWindow) -> None:
    window.canvas.show_result(crowd(100))
    qtbot.wait(50)
    labels = window.canvas.overlays.labels
    assert len(labels.shown) > 80
    spots = [(window.canvas._view.mapViewToScene(QPointF(v.x, v.y)), labels.size_px(v.text)) for v in labels.shown]
    boxes = [QRectF(at.x(), at.y() - h, w, h) for at, (w, h) in spots]
    overlaps = sum(a.intersected(b).width() > 3 and a.intersected(b).height() > 3
                   for i, a in enumerate(boxes) for b in boxes[:i])  # fmt: skip
    assert overlaps <= 2


def test_a_label_finds_another_side_or_is_left_out() -> None:
    at = np.array([[50.0, 50.0], [52.0, 50.0], [51.0, 51.0]])
    corners = corners_of(at, np.full((3, 2), 5.0), np.array([[20.0, 10.0]] * 3))
    got = placed(corners, [(20.0, 10.0)] * 3)
    assert got[0] == (55.0, 45.0)
    assert got[1] == (57.0, 65.0)
    assert len({g for g in got if g is not None}) == 3
    assert placed(corners[[0, 0], :1], [(20.0, 10.0)] * 2)[1] is None


@pytest.mark.parametrize("place", [(20, 20), (0, 0), (39, 29), (-60, 5), (300, 300)])
def test_the_patch_is_centred_and_black_outside(place: tuple[int, int]) -> None:
    grey = np.arange(30 * 40, dtype=np.uint32).reshape(30, 40).astype(np.uint8) | 1
    patch = patch_round(grey, *place)
    half = SIDE_PX // 2
    for dy in (-half, -3, 0, 4, half):
        for dx in (-half, -5, 0, 2, half):
            x, y = place[0] + dx, place[1] + dy
            inside = 0 <= x < 40 and 0 <= y < 30
            assert patch[half + dy, half + dx] == (grey[y, x] if inside else 0)


def test_the_marked_target_is_magnified(qtbot: QtBot, window: MainWindow) -> None:
    result = crowd(5)
    image = result.frame.image.copy()
    x, y = (round(v) for v in result.tracks[2].xy_px)
    image[y, x] = 255
    window.canvas.show_result(FrameResult(Frame(0, 0.0, image), result.detections, result.tracks, {}))
    inset = window.canvas._inset
    assert not inset.isVisible()
    window.session.selected.set(3)
    assert inset.isVisible()
    middle = inset.pixmap().toImage().pixelColor(inset.pixmap().width() // 2, inset.pixmap().height() // 2)
    assert middle.red() > 240
    window.session.selected.set(None)
    assert not inset.isVisible()


def test_headings() -> None:
    for velocity, expected in (((0, -30), 0), ((30, 0), 90), ((0, 30), 180), ((-30, 0), 270)):
        assert heading(track(1, 5, 5, velocity)) == pytest.approx(expected)
    assert math.isnan(heading(track(1, 5, 5, (0.1, 0.1))))


def test_the_table_can_be_filtered(qtbot: QtBot, window: MainWindow) -> None:
    window.canvas.show_result(crowd(30))
    window.drawing.show_side()
    assert window.side.tracks.view.sorted.rowCount() == 30
    qtbot.keyClicks(window.side.tracks.filter, "12")
    rows = window.side.tracks.view.sorted
    assert [rows.index(i, 0).data() for i in range(rows.rowCount())] == ["12"]
    window.side.tracks.filter.setText("confirmed")
    assert window.side.tracks.view.sorted.rowCount() == 30
    window.side.tracks.filter.setText("nothing like it")
    assert window.side.tracks.view.sorted.rowCount() == 0


def test_the_smallest_size_acts_at_once(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    open_and_play_to(qtbot, window, clip, 3)
    hold(qtbot, window)
    shown = window.canvas.result
    assert shown is not None
    assert len(shown.detections) == 3
    window.side.detection.smallest.setValue(80)
    wait(qtbot, lambda: window.canvas.result is not None and len(window.canvas.result.detections) == 0)
    window.side.detection.smallest.setValue(1)
    wait(qtbot, lambda: window.canvas.result is not None and len(window.canvas.result.detections) == 3)
