"""Detections from score maps: against scipy.ndimage, and against the simulator's exact positions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from irtrack.build import load_detector
from irtrack.config import DetectorSettings
from irtrack.core import Detections, IrtrackError
from irtrack.detect.background import REACH_PX
from irtrack.detect.extraction import extract
from irtrack.simulate import Scene, scene_from_text


def test_components_match_scipy(rng: np.random.Generator) -> None:
    image = rng.integers(0, 255, (120, 160)).astype(np.uint8)
    scores = ndimage.gaussian_filter(rng.random((120, 160)), 1.2).astype(np.float32)
    scores = ((scores - scores.min()) / np.ptp(scores)) ** 4
    found = extract(scores, image, 0.3)
    near = ndimage.binary_dilation(scores > 0.3, np.ones((3, 3)), 4)
    alone, count = ndimage.label(scores > 0.3, np.ones((3, 3)))
    area = ndimage.sum_labels(np.ones_like(scores), alone, np.arange(1, count + 1))
    large = np.zeros_like(near)
    for k in range(count):
        px = min(int(0.38 * np.sqrt(area[k])), 2)
        large |= ndimage.binary_dilation(alone == k + 1, np.ones((2 * px + 1, 2 * px + 1)))
    wide, _ = ndimage.label((scores > np.float32(0.12)) & near | large, np.ones((3, 3)))
    labels = np.where(scores > 0.3, wide, 0)
    index = np.unique(labels)[1:]
    labels = np.searchsorted(index, labels) * (labels > 0) + (labels > 0)
    n = len(index)
    index = np.arange(1, n + 1)
    assert ndimage.label(scores > 0.3, np.ones((3, 3)))[1] > len(found) == n > 20
    boxes = ndimage.find_objects(labels)
    expected = sorted(
        (b[1].start - 0.5, b[0].start - 0.5, b[1].stop - b[1].start, b[0].stop - b[0].start) for b in boxes
    )
    assert sorted(map(tuple, found.box_px.tolist())) == expected
    assert sorted(found.area_px) == sorted(ndimage.sum_labels(np.ones_like(scores), labels, index))
    assert np.allclose(np.sort(found.score), np.sort(ndimage.maximum(scores, labels, index)))
    assert found.mask is not None
    assert np.array_equal(found.mask, scores > 0.3)


def test_pieces_of_one_target_are_joined() -> None:
    """A drone of three warm spots, with weak scores between two of them, is one target and a spot that stands alone."""
    scores = np.zeros((60, 80), np.float32)
    scores[20:22, 20:22] = scores[20:22, 27:29] = scores[20:22, 40:42] = 0.9
    scores[21, 22:27] = 0.25
    found = extract(scores, np.full((60, 80), 90, np.uint8), 0.5)
    assert sorted(map(tuple, found.box_px.tolist())) == [(19.5, 19.5, 9, 2), (39.5, 19.5, 2, 2)]
    assert sorted(found.area_px) == [4, 8]
    scores[21, 24] = 0.1
    assert len(extract(scores, np.full((60, 80), 90, np.uint8), 0.5)) == 3
    # Weak scores far from both do not make two targets one; nor does a row of the frame that is left out.
    scores[:] = 0
    scores[10, 10:14] = scores[30, 10:14] = 0.9
    scores[10:31, 13] = np.maximum(scores[10:31, 13], 0.3)
    assert len(extract(scores, np.full((60, 80), 90, np.uint8), 0.5)) == 2


def test_the_motors_of_a_drone_are_its_own_and_two_points_stay_two() -> None:
    """What is large may have a gap in itself, with no score at all; of what is small the same gap parts two targets."""

    def boxes(*parts: tuple[int, int, int, int]) -> list[tuple[float, ...]]:
        scores = np.zeros((60, 80), np.float32)
        for left, top, width, height in parts:
            scores[top : top + height, left : left + width] = 0.9
        found = extract(scores, np.full((60, 80), 90, np.uint8), 0.5)
        return sorted(map(tuple, found.box_px.tolist()))

    assert boxes((20, 20, 8, 6), (31, 18, 3, 3), (14, 18, 3, 3)) == [(13.5, 17.5, 20, 8)]  # gaps of 3
    assert len(boxes((20, 20, 8, 6), (32, 18, 3, 3))) == 2  # of 4
    assert len(boxes((20, 20, 2, 2), (23, 20, 2, 2))) == 2  # points a pixel apart
    assert len(boxes((20, 20, 4, 4), (26, 20, 4, 4))) == 1
    assert len(boxes((20, 20, 4, 4), (27, 20, 4, 4))) == 2  # of the usual size, 3 apart


def test_area_limits_also_clear_the_mask() -> None:
    scores = np.zeros((40, 40), np.float32)
    scores[2, 2] = scores[10:14, 10:14] = scores[20:35, 20:35] = 0.9
    found = extract(scores, np.zeros((40, 40), np.uint8), 0.5, min_area_px=2, max_area_px=100)
    assert found.area_px.tolist() == [16.0]
    assert found.mask is not None
    assert found.mask.sum() == 16


def test_nothing_and_everything() -> None:
    image = np.zeros((20, 30), np.uint16)
    assert len(extract(np.zeros((20, 30), np.float32), image, 0.5)) == 0
    full = extract(np.ones((20, 30), np.float32), image, 0.5)
    assert full.area_px.tolist() == [600.0]
    assert np.isfinite(full.snr).all()
    assert np.isfinite(full.xy_px).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("dark", [0.0, 1.0])
def test_subpixel_centroid(bits: int, dark: float) -> None:
    """RMSE of 0.25 px or better at SCR 10, with a mask that is only the target's bright core."""
    scene = Scene(scene_from_text(f"sky,frames=60,targets=6,scr=10,seed=11,bits={bits},dark={dark}"))
    errors = []
    for i in range(0, 60, 3):
        truth = scene.truth(i)
        y, x = np.mgrid[: scene.settings.height, : scene.settings.width]
        scores = np.zeros(y.shape, np.float32)
        for cx, cy in truth.xy_px:
            scores[np.hypot(x - np.round(cx), y - np.round(cy)) < 2.0] = 0.9  # centred on a whole pixel: no hint
        found = extract(scores, scene.image(i), 0.5)
        distance = np.linalg.norm(truth.xy_px[:, None] - found.xy_px[None], axis=2).min(1)
        errors += distance[distance < 3].tolist()
    assert len(errors) > 80
    assert np.sqrt(np.mean(np.square(errors))) < 0.25


def test_snr_is_the_local_contrast_ratio(rng: np.random.Generator) -> None:
    image = (100 + 4 * rng.standard_normal((100, 100))).round().astype(np.uint8)
    scores = np.zeros((100, 100), np.float32)
    image[50:53, 50:53], scores[50:53, 50:53] = 140, 0.9
    window = np.ones((3 + 2 * REACH_PX,) * 2, bool)
    window[REACH_PX - 1 : REACH_PX + 4, REACH_PX - 1 : REACH_PX + 4] = False
    top = 50 - REACH_PX
    around = image[top : top + len(window), top : top + len(window)][window].astype(float)
    found = extract(scores, image, 0.5)
    assert found.snr[0] == pytest.approx((140 - around.mean()) / around.std(), rel=1e-6)


@pytest.mark.parametrize("slope", [0.0, 0.3])
@pytest.mark.parametrize("over", [6, 12, 18, -12])
def test_what_hangs_over_the_ground_is_measured_against_the_sky(slope: float, over: int) -> None:
    """Seven deviations before a quiet sky, however close the ground lies; `over` below zero: before the ground."""
    rng = np.random.default_rng(5)
    errors, snr, expected = [], [], []
    for _ in range(20):
        y, x = np.mgrid[:120, :160].astype(float)
        ground = y > 60 + slope * (x - 80) + 2 * np.sin(x / 9)
        noise = np.where(ground, 8.0, 2.0)
        at = np.array([80, 60 - over]) + rng.uniform(-0.5, 0.5, 2)
        peak = np.where(over < 0, 56.0, 14.0)
        point = peak * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 2)
        picture = np.where(ground, 150.0, 40.0) + noise * rng.standard_normal(y.shape) + point
        core = np.hypot(x - at[0], y - at[1]) < 1.5
        found = extract(np.where(core, 0.9, 0).astype(np.float32), picture.round().astype(np.uint8), 0.5)
        errors.append(found.xy_px[0] - at)
        snr.append(found.snr[0])
        expected.append(point[core].mean() / (8.0 if over < 0 else 2.0))
    assert np.sqrt(np.mean(np.square(errors))) < 0.2
    assert np.median(snr) == pytest.approx(np.median(expected), rel=0.15)


def test_thousands_of_components() -> None:
    scores = np.zeros((512, 640), np.float32)
    scores[::6, ::6] = 0.9
    found = extract(scores, np.full((512, 640), 90, np.uint8), 0.5)
    assert len(found) == 86 * 107
    order = np.lexsort((found.xy_px[:, 0], found.xy_px[:, 1]))
    assert np.allclose(found.xy_px[order][1], [6, 0], atol=1e-6)


def test_detections_leave_the_arrays_of_others_alone() -> None:
    """What is handed over cannot be written through it; whoever made the arrays may go on with them."""
    xy, one, box, mask = np.zeros((2, 2)), np.ones(2), np.zeros((2, 4)), np.zeros((4, 4), bool)
    found = Detections(xy, one, one, box, one, mask)
    for array in (xy, one, box, mask):
        array[:] = 0
    for name in ("xy_px", "score", "area_px", "box_px", "snr", "mask"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(found, name)[:] = 1


@pytest.mark.parametrize(
    ("image", "say"),
    [
        (np.zeros((40, 40), np.float32), "uint8 or uint16, not float32"),
        (np.zeros((40, 40), np.int16), "not int16"),
        (np.zeros((40, 40, 3), np.uint8), r"shape \(40, 40, 3\)"),
        (np.zeros(40, np.uint8), r"shape \(40,\)"),
        ([[1, 2]], "no array"),
    ],
)
def test_images_that_no_camera_makes_are_one_line(image: object, say: str) -> None:
    settings = DetectorSettings(weights="datransnet-s", device="cpu", backend="torch", mode="exact")
    detector = load_detector(settings)
    with pytest.raises(IrtrackError, match=say):
        detector(image)  # type: ignore[arg-type]
