"""What is drawn and how: masks, trails, ellipses, legend, histogram, score map, zoom; regions; the choice of model."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import go, hold, make_window, open_and_play_to, opened
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot
from test_gui import on_screen, pixels
from test_gui_picture import crowd, track

from irtrack.config import ConfigError, DetectorSettings, polygons, polygons_text
from irtrack.core import TrackStatus
from irtrack.gui.lines import edges
from irtrack.gui.overlays import MASK_RGB, OLD_S, box_outlines, colours_of, ellipses
from irtrack.gui.window import MainWindow
from irtrack.imaging.regions import Regions, contain
from irtrack.session.alarms import AlarmRules, Alarms
from irtrack.session.preferences import Preferences, preferences_path
from irtrack.simulate import Scene


def wait(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=60_000)


def paused_at(qtbot: QtBot, window: MainWindow, clip: Path, frame: int) -> None:
    open_and_play_to(qtbot, window, clip, frame)
    hold(qtbot, window)


def count(window: MainWindow) -> int:
    assert window.canvas.result is not None
    return len(window.canvas.result.detections)


# -- overlays ---------------------------------------------------------------------------------------------------------


def test_a_mask_can_be_an_outline(qtbot: QtBot, window: MainWindow) -> None:
    result = crowd(3)
    mask = np.zeros(result.frame.image.shape, bool)
    mask[200:216, 300:316] = True
    window.side.display.labels.setChecked(False)
    window.side.display.mask_style.setCurrentText("fill")
    window.canvas.show_result(replace(result, detections=replace(result.detections, mask=mask)))
    qtbot.wait(30)

    def redness(x: float, y: float) -> int:
        at, picture = on_screen(window, x, y), pixels(window)
        part = picture[at.y() - 1 : at.y() + 2, at.x() - 1 : at.x() + 2]
        return int((part[:, :, 0] - part[:, :, 1]).max())

    assert redness(307.5, 207.5) > 60
    window.side.display.mask_style.setCurrentText("outline")
    qtbot.wait(30)
    assert redness(307.5, 207.5) < 15
    assert redness(299.5, 207.5) > 100
    assert MASK_RGB[0] > MASK_RGB[1]


def test_edges_follow_pixel_borders() -> None:
    mask = np.zeros((6, 7), bool)
    mask[2, 3] = mask[2, 4] = True
    line = edges(mask)
    ends = line[~np.isnan(line[:, 0])].reshape(-1, 2, 2)
    assert len(ends) == 6  # the perimeter of two pixels side by side
    assert ends.reshape(-1, 2).min(0).tolist() == [2.5, 1.5]
    assert ends.reshape(-1, 2).max(0).tolist() == [4.5, 2.5]
    lengths = np.abs(ends[:, 0] - ends[:, 1]).sum(1)
    assert lengths.tolist() == [1.0] * 6
    assert len(edges(np.zeros((3, 3), bool))) == 0
    assert len(edges(np.ones((3, 3), bool))) == 12 * 3  # at the border of the picture too


def test_trails_have_the_length_that_is_asked_for(qtbot: QtBot, window: MainWindow) -> None:
    long = replace(track(1, 300, 200), trail=np.stack([np.arange(100, 301), np.full(201, 200)], 1).astype(float))
    window.canvas.show_result(replace(crowd(0), tracks=(long,)))
    left = {}
    for seconds in (0.5, 2.0):
        window.side.display.trail_s.setValue(seconds)
        left[seconds] = window.canvas.overlays.trails.boundingRect().left()
    assert left[0.5] - left[2.0] == pytest.approx(1.5 * 30, abs=1)
    window.side.display.trails.setChecked(False)
    assert window.canvas.overlays.trails.boundingRect().isEmpty()


def test_trails_are_coloured_by_age_and_speed_and_dashed_while_coasting() -> None:
    young, old = replace(track(1, 5, 5), age_s=0.1), replace(track(2, 5, 5), age_s=2 * OLD_S)
    (blue, red), slow_fast = (
        colours_of([young, old], "age"),
        colours_of([track(1, 5, 5), track(2, 5, 5, (999, 0))], "speed"),
    )
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    assert slow_fast[0][2] > slow_fast[0][0]
    assert slow_fast[1][0] > slow_fast[1][2]
    coasting = replace(track(1, 50, 50), status=TrackStatus.COASTING, detection=None)
    assert np.isnan(box_outlines([coasting])[:, 0]).sum() == 4
    assert np.isnan(box_outlines([track(1, 50, 50)])[:, 0]).sum() == 1


def test_an_ellipse_holds_two_deviations() -> None:
    covariance = np.eye(4)
    covariance[:2, :2] = [[9.0, 3.0], [3.0, 4.0]]
    line = ellipses([replace(track(1, 10, 20), covariance=covariance)])
    points = line[~np.isnan(line[:, 0])] - (10, 20)
    distance = np.einsum("ni,ij,nj->n", points, np.linalg.inv(covariance[:2, :2]), points)
    np.testing.assert_allclose(distance, 4.0, rtol=1e-6)


def test_ellipses_and_legend_by_their_keys(qtbot: QtBot, window: MainWindow) -> None:
    window.canvas.show_result(crowd(5))
    assert window.canvas.overlays.ellipses.boundingRect().isEmpty()
    qtbot.keyClick(window, Qt.Key.Key_E)
    assert not window.canvas.overlays.ellipses.boundingRect().isEmpty()
    assert not window.canvas.legend.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_G)
    assert window.canvas.legend.isVisible()
    assert (window.canvas.legend.low, window.canvas.legend.high) == (0.0, 255.0)
    window.side.display.palette_box.setCurrentText("Iron")
    picture = window.canvas.legend.grab().toImage()
    top, bottom = (picture.pixelColor(picture.width() - 12, y).lightness() for y in (12, picture.height() - 12))
    assert top > 200 > 60 > bottom


def test_the_histogram_sets_the_gain_by_hand(qtbot: QtBot, window: MainWindow) -> None:
    window.side.tabs.setCurrentWidget(window.side.display)
    result = crowd(0)
    image = result.frame.image.astype(np.uint16) * 10 + 3000  # 3600 to 3900
    window.canvas.show_result(replace(result, frame=replace(result.frame, image=image)))
    window.drawing.show_side()
    histogram = window.side.display.histogram
    assert histogram._bars.sum() > 0
    qtbot.wait(20)
    low_x = QPoint(round(histogram._x(histogram.low)), 10)
    target = QPoint(histogram.width() // 2, 10)
    qtbot.mousePress(histogram, Qt.MouseButton.LeftButton, pos=low_x)
    qtbot.mouseMove(histogram, target)
    qtbot.mouseRelease(histogram, Qt.MouseButton.LeftButton, pos=target)
    assert window.side.display.agc_box.currentText() == "Linear"
    display = window.canvas.agc.settings
    assert display.level - display.span / 2 == pytest.approx(histogram.low, abs=1)
    assert window.canvas.agc.levels[0] == pytest.approx(histogram.low, abs=1)
    grey = window.canvas.agc(image)
    assert (grey[image < histogram.low] == 0).all()


def test_one_to_one_and_fit(qtbot: QtBot, window: MainWindow) -> None:
    window.canvas.show_result(crowd(1))
    qtbot.wait(30)
    qtbot.keyClick(window, Qt.Key.Key_1)
    assert window.canvas._view.viewPixelSize()[0] == pytest.approx(1.0, rel=0.02)
    qtbot.keyClick(window, Qt.Key.Key_F)
    view = window.canvas._view.viewRect()
    assert view.width() >= 640
    assert view.height() >= 512


def test_the_score_map_is_what_the_detector_saw(qtbot: QtBot, window: MainWindow, clip: Path, scene: Scene) -> None:
    paused_at(qtbot, window, clip, 8)
    qtbot.keyClick(window, Qt.Key.Key_M)
    wait(qtbot, lambda: window.canvas.showing_scores)
    x, y = scene.truth(window.session.position or 0).xy_px[0]
    window.side.display.masks.setChecked(False)
    window.side.display.boxes.setChecked(False)
    window.side.display.trails.setChecked(False)
    qtbot.wait(30)
    at, picture = on_screen(window, x, y), pixels(window)
    assert picture[at.y(), at.x()].max() > 150
    assert np.median(picture[100:-100, 100:-100]) < 40
    go(qtbot, window, 3)
    assert window.canvas.showing_scores
    window.side.display.scores.setChecked(False)
    assert not window.canvas.showing_scores


def test_the_threshold_acts_on_a_stored_frame_too(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    paused_at(qtbot, window, clip, 8)
    go(qtbot, window, 4)
    assert count(window) == 3
    window.side.detection.smallest.setValue(80)
    wait(qtbot, lambda: count(window) == 0)
    assert window.session.position == 4
    window.side.detection.smallest.setValue(1)
    wait(qtbot, lambda: count(window) == 3)


# -- regions ----------------------------------------------------------------------------------------------------------


def click_region(qtbot: QtBot, window: MainWindow, corners: list[tuple[float, float]]) -> None:
    for x, y in corners:
        qtbot.mouseClick(window.canvas.viewport(), Qt.MouseButton.LeftButton, pos=on_screen(window, x, y))
        qtbot.wait(20)
    qtbot.keyClick(window.canvas, Qt.Key.Key_Return)


def test_a_region_drawn_on_the_picture_drops_what_lies_inside(
    qtbot: QtBot, window: MainWindow, clip: Path, scene: Scene
) -> None:
    paused_at(qtbot, window, clip, 10)
    x, y = scene.truth(window.session.position or 0).xy_px[0]
    square = [(x - 9, y - 9), (x + 9, y - 9), (x + 9, y + 9), (x - 9, y + 9)]
    before = count(window)
    qtbot.mouseClick(window.side.detection.region_buttons["exclude"], Qt.MouseButton.LeftButton)
    assert window.canvas.drawing
    click_region(qtbot, window, square)
    assert not window.canvas.drawing
    wait(qtbot, lambda: count(window) == before - 1)
    mask = window.canvas.result.detections.mask if window.canvas.result else None
    assert mask is not None
    assert not mask[round(y), round(x)]
    qtbot.mouseClick(window.side.detection.region_buttons["include"], Qt.MouseButton.LeftButton)
    click_region(qtbot, window, square)
    wait(qtbot, lambda: count(window) == 0)  # only there, and not there
    window.close()
    kept = tomllib.loads(preferences_path().read_text())["regions"][str(clip)]
    assert set(kept) == {"include", "exclude"}
    again = make_window(qtbot)
    again.open(str(clip))
    wait(qtbot, lambda: opened(again, str(clip)) and (again.session.position or 0) >= 2)
    assert len(again.canvas.regions["exclude"]) == 1
    hold(qtbot, again)
    assert again.canvas.result is not None
    assert len(again.canvas.result.detections) == 0
    qtbot.mouseClick(again.side.detection.clear_button, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: again.canvas.result is not None and len(again.canvas.result.detections) >= 2)
    again.close()
    assert tomllib.loads(preferences_path().read_text())["regions"] == {}


def test_a_region_can_be_given_up(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    paused_at(qtbot, window, clip, 3)
    qtbot.mouseClick(window.side.detection.region_buttons["alarm"], Qt.MouseButton.LeftButton)
    qtbot.mouseClick(window.canvas.viewport(), Qt.MouseButton.LeftButton, pos=on_screen(window, 30, 30))
    qtbot.keyClick(window.canvas, Qt.Key.Key_Escape)
    assert not window.canvas.drawing
    assert window.canvas.regions == {}
    assert window.canvas.selected is None  # the click was a corner, not a choice


def test_alarms_of_a_region() -> None:
    alarms = Alarms(AlarmRules(on=True, holdoff_s=0.0), (((0, 0), (20, 0), (20, 20), (0, 20)),))
    base = crowd(0)
    assert alarms(replace(base, tracks=(track(1, 50, 50),))) is None
    assert alarms(replace(base, tracks=(track(1, 15, 15),))) is not None


def test_regions_by_themselves() -> None:
    regions = Regions((((2, 2), (8, 2), (8, 8), (2, 8)),), (((5, 5), (9, 5), (9, 9), (5, 9)),))
    allowed = regions.allowed((12, 12))
    assert allowed is not None
    assert allowed[2, 2]
    assert allowed[4, 8]
    assert not allowed[6, 6]
    assert not allowed[10, 10]
    assert Regions().allowed((12, 12)) is None
    two = Regions((((1, 1), (6, 1), (6, 6), (1, 6)), ((4, 4), (9, 4), (9, 9), (4, 9)))).allowed((12, 12))
    assert two is not None
    assert two[5, 5]  # where two overlap there is no hole
    assert contain(regions.include, 8.0, 8.0)
    assert not contain(regions.include, 8.5, 5.0)
    text = "1,2 3.5,4 5,6; 0,0 9,0 9,9"
    assert polygons(polygons_text(polygons(text))) == polygons(text)
    for bad in ("1,2 3,4", "1,2 3,4 five,6", "1,2,3 3,4 5,6", "1,2 3,4 nan,5"):
        with pytest.raises(ConfigError):
            DetectorSettings(include=bad)
    assert "password" not in str(
        Preferences().with_regions("rtsp://me:password@cam/1", {"alarm": regions.include}).regions
    )


# -- the model --------------------------------------------------------------------------------------------------------


def test_another_model_analyses_again_when_that_is_asked_for(qtbot: QtBot, window: MainWindow, clip: Path) -> None:
    paused_at(qtbot, window, clip, 6)
    box = window.side.detection.model_box
    names = [box.itemText(i) for i in range(box.count())]
    assert {"auto", "datransnet", "datransnet-s", "From a file ..."} <= set(names)
    box.setCurrentText("datransnet")
    box.activated.emit(box.currentIndex())
    wait(qtbot, window.transport.again_button.isVisible)
    assert "model changed" in window.transport.notice.text()
    qtbot.mouseClick(window.transport.again_button, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: "datransnet on cpu" in window.status._rates.text())
    session = window.session
    wait(qtbot, lambda: session.store.recipe is not None and session.store.recipe.detector.weights == "datransnet")
    wait(qtbot, lambda: not session.older and not window.transport.again_button.isVisible())


def test_a_model_that_cannot_be_had_leaves_the_one_at_work(
    qtbot: QtBot, window: MainWindow, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused_at(qtbot, window, clip, 4)
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"no weights")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(bad), ""))
    box = window.side.detection.model_box
    box.setCurrentText("From a file ...")
    box.activated.emit(box.currentIndex())
    wait(qtbot, window.banner.isVisible)
    assert "bad.pt" in window.banner.text()
    wait(qtbot, lambda: box.currentText() == "datransnet-s")
    assert not window.session.older
    window.session.play()
    wait(qtbot, lambda: (window.session.position or 0) >= 8)
    assert on_screen(window, 5, 5) != QPointF(0, 0)
