"""Burnt-in sights: taken out of what the network sees, and nothing else; targets inside them are found and believed."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import irtrack
from irtrack.core import Frame
from irtrack.imaging.symbols import strokes, without_strokes
from irtrack.pipeline import process_frame
from irtrack.simulate import Scene, scene_from_text

Grey = NDArray[np.uint8]
HEIGHT, WIDTH = 160, 200
X, Y = 100, 80


def sky(seed: int = 0) -> Grey:
    rows = np.linspace(70, 120, HEIGHT)[:, None]
    return np.clip(rows + np.random.default_rng(seed).normal(0, 2, (HEIGHT, WIDTH)), 0, 255).round().astype(np.uint8)


def cross(image: Grey, level: int, width: int) -> None:
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        cv2.line(image, (X + 8 * dx, Y + 8 * dy), (X + 30 * dx, Y + 30 * dy), level, width)


def small(image: Grey, level: int, width: int) -> None:
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        cv2.line(image, (X + 5 * dx, Y + 5 * dy), (X + 12 * dx, Y + 12 * dy), level, width)


def gate(image: Grey, level: int, width: int) -> None:
    cv2.rectangle(image, (X - 14, Y - 14), (X + 14, Y + 14), level, width)


def hair(image: Grey, level: int, width: int) -> None:
    cv2.line(image, (0, Y), (WIDTH, Y), level, width)
    cv2.line(image, (X, 0), (X, HEIGHT), level, width)


@pytest.mark.parametrize("draw", [cross, small, gate, hair])
@pytest.mark.parametrize("level", [255, 0, 180])
@pytest.mark.parametrize("width", [1, 2])
def test_a_sight_is_taken_out_and_nothing_else(draw: Callable[[Grey, int, int], None], level: int, width: int) -> None:
    plain = sky()
    image = plain.copy()
    draw(image, level, width)
    drawn = image != plain
    given = image.copy()
    seen = without_strokes(image)
    assert np.array_equal(image, given)  # the picture itself stays as it is
    assert seen.dtype == np.uint8
    left = np.abs(seen.astype(int) - plain) > 15
    assert (drawn & left).sum() <= 0.02 * drawn.sum()
    far = cv2.dilate(drawn.astype(np.uint8), np.ones((7, 7))) == 0
    assert np.array_equal(seen[far], plain[far])


def test_compressed_and_blurred_sights_are_taken_out() -> None:
    plain = sky()
    image = plain.copy()
    cross(image, 255, 2)
    drawn = image != plain
    ok, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])
    assert ok
    for worse in (cv2.imdecode(code, 0), cv2.GaussianBlur(image, (0, 0), 0.7)):
        assert (np.abs(without_strokes(worse).astype(int) - plain)[drawn] > 25).mean() < 0.1


def test_a_target_in_the_gap_stays() -> None:
    image = sky()
    image[Y - 1 : Y + 2, X - 1 : X + 2] = 170
    cross(image, 255, 1)
    assert np.array_equal(without_strokes(image)[Y - 3 : Y + 4, X - 3 : X + 4], image[Y - 3 : Y + 4, X - 3 : X + 4])


def wire(image: Grey) -> None:
    cv2.line(image, (0, 60), (WIDTH, 60), 220, 1)


def mast(image: Grey) -> None:
    cv2.line(image, (70, 40), (70, HEIGHT), 220, 2)


def aircraft(image: Grey) -> None:
    image[60:64, 50:80] = 255
    image[54:70, 62:66] = 255


def aircraft_over_a_fence(image: Grey) -> None:
    """Short, white, level; and posts of its level below."""
    image[60:63, 90:102] = 250
    for x in (60, 90, 120):
        cv2.line(image, (x, 80), (x, 110), 250, 2)


@pytest.mark.parametrize("draw", [wire, mast, aircraft])
def test_things_are_no_sights(draw: Callable[[Grey], None]) -> None:
    image = sky()
    draw(image)
    assert strokes(image) is None
    assert without_strokes(image) is image


def test_an_aircraft_over_a_fence_stays() -> None:
    """Posts may be taken for strokes: nothing is lost with them."""
    image = sky()
    aircraft_over_a_fence(image)
    assert np.array_equal(without_strokes(image)[55:70, 85:107], image[55:70, 85:107])


@pytest.mark.parametrize("text", ["sky", "clutter", "crossing", "dark", "crowd,frames=2", "hovering", "lamps,city=0"])
def test_scenes_without_sights_are_left_alone(text: str) -> None:
    scene = Scene(scene_from_text(text))
    for i in (0, 1):
        image = scene.image(i)
        assert without_strokes(image) is image


def test_counts_of_16_bits_have_no_sights() -> None:
    image = sky()
    cross(image, 255, 1)
    counts = image.astype(np.uint16) * 60
    assert without_strokes(counts) is counts


def test_pictures_too_small_for_a_sight() -> None:
    for shape in ((1, 1), (3, 50), (50, 3), (5, 5)):
        image = np.full(shape, 90, np.uint8)
        image[shape[0] // 2] = 255
        assert without_strokes(image).shape == shape


@pytest.mark.parametrize("kind", ["sky", "clutter"])
def test_a_target_held_in_a_reticle_is_followed(kind: str) -> None:
    """As an operator's camera holds it: the scene swings past, the target stays within two pixels of the middle."""
    text = f"{kind},frames=45,seed=1,targets=0,swing_px=60,drift_px_s=0,shake_px=0.2,overlay="
    detector = irtrack.Detector("datransnet-s", device="cpu")
    shares = {}
    for overlay in (0, 2):
        scene, tracker = Scene(scene_from_text(text + str(overlay))), irtrack.Tracker()
        s = scene.settings
        peak, hidden = 255 * max(25 / 255, 8 * s.clutter), scene._overlay
        yy, xx = np.mgrid[: s.height, : s.width]
        found = believed = 0
        for i in range(s.frames):
            t = i / s.fps
            x, y = s.width // 2 + 2 * np.sin(1.3 * t + 1), s.height // 2 + 2 * np.sin(1.1 * t + 2)
            plain = scene.image(i)
            lit = plain + peak * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 2 / 1.1**2)
            covered = np.zeros(plain.shape, bool) if hidden is None else hidden.covered(i)
            image = np.where(covered, plain, np.clip(lit, 0, 255).round()).astype(np.uint8)
            result = process_frame(Frame(image=image, index=i, time_s=t), detector, tracker)
            found += bool((np.linalg.norm(result.detections.xy_px - (x, y), axis=1) < 3).any())
            believed += any(q.confirmed and np.hypot(q.xy_px[0] - x, q.xy_px[1] - y) < 3 for q in result.tracks)
        shares[overlay] = found / s.frames, believed / s.frames
    assert shares[2][0] > 0.9
    assert shares[2][1] > max(0.5, 0.7 * shares[0][1])
    assert shares[2][0] >= shares[0][0] - 0.1
