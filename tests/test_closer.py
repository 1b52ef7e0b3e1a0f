"""The closer look at small frames: what it adds, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from irtrack.build import load_detector
from irtrack.config import DetectorSettings, Settings
from irtrack.detect.scoring import NEAR_PX, SMALL_PX, closer_map, score_map
from irtrack.imaging.regions import Regions
from irtrack.session.recipe import Recipe
from irtrack.session.said import recipe_from, recipe_to

HEIGHT, WIDTH = 256, 320


def answering(of: Callable[[int, int], list[tuple[int, int]]]) -> Callable[[Tensor], Tensor]:
    """A network that has a score of 1 on blocks of 3x3 pixels at the places that `of` tells for a size of picture."""

    def network(x: Tensor) -> Tensor:
        out = torch.full_like(x, -20.0)
        for row, column in of(*x.shape[-2:]):
            out[..., row - 1 : row + 2, column - 1 : column + 2] = 20.0
        return out

    return network


def at(scores: Tensor, row: int, column: int) -> float:
    return float(scores[0, 0, row, column])


def test_what_only_the_enlarged_picture_shows_is_added_in_its_place() -> None:
    def places(h: int, w: int) -> list[tuple[int, int]]:
        enlarged = h > HEIGHT
        return [(91, 151), (301, 61)] if enlarged else [(200, 40)]

    x = torch.rand(1, 1, HEIGHT, WIDTH)
    plain, scores = score_map(answering(places), x), closer_map(answering(places), x)
    assert at(plain, 60, 100) < 0.01
    assert at(scores, 60, 100) > 0.99  # 91 / 1.5, 151 / 1.5: between pixel centres
    assert at(scores, 200, 40) > 0.99  # both show it
    assert scores.shape == plain.shape


def test_the_closer_look_must_be_surer() -> None:
    """An enlarged picture shows more of what is none: a score of 2/3 there counts as 0.5 of the first look."""
    x = torch.rand(1, 1, HEIGHT, WIDTH)
    for score, counts in ((0.5, 1 / 3), (2 / 3, 0.5), (0.95, 0.905)):
        logit = float(np.log(score / (1 - score)))

        def network(x: Tensor, logit: float = logit) -> Tensor:
            return torch.full_like(x, logit if x.shape[-2] > HEIGHT else -20.0)

        assert at(closer_map(network, x), 60, 100) == pytest.approx(counts, abs=0.002)


def test_targets_of_the_first_look_keep_their_outline() -> None:
    far = NEAR_PX + 3

    def places(h: int, w: int) -> list[tuple[int, int]]:
        rows = (100, 100 + far + 3)
        return [(rows[0], 100)] if h == HEIGHT else [(150, 156), (int(1.5 * rows[1]), 151)]

    x = torch.rand(1, 1, HEIGHT, WIDTH)
    plain, scores = score_map(answering(places), x), closer_map(answering(places), x)
    near = np.s_[0, 0, 100 - NEAR_PX : 100 + NEAR_PX + 1, 100 - NEAR_PX : 100 + NEAR_PX + 1]
    assert torch.equal(scores[near], plain[near])
    assert (scores > 0.5).sum() > (plain > 0.5).sum()


def test_larger_frames_are_looked_at_once() -> None:
    seen: list[tuple[int, int]] = []

    def network(x: Tensor) -> Tensor:
        seen.append((x.shape[-2], x.shape[-1]))
        return torch.zeros_like(x)

    closer_map(network, torch.zeros(1, 1, 288, 384))
    assert seen == [(288, 384), (448, 576)]  # 432 rows, to a multiple of 32
    assert SMALL_PX == 288 * 384
    seen.clear()
    closer_map(network, torch.zeros(1, 1, 288, 416))
    assert seen == [(288, 416)]


def dusk(seed: int) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """A dim point of a pixel or two in a dark sky over bright, uneven ground, as a small camera sees it; its place."""
    import cv2

    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    rough = cv2.GaussianBlur(rng.normal(0, 1, (1, WIDTH)), (0, 0), 4)[0]
    horizon = rng.integers(150, 200) + 6 * np.sin(columns[0] / rng.uniform(20, 60)) + 6 * rough
    sky = 20 + 60 * (rows / 200) ** rng.uniform(2, 5)
    ground = rng.uniform(120, 230) + 45 * cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)), (0, 0), 3)
    below = 1 / (1 + np.exp(-1.5 * (rows - horizon)))
    x = rng.uniform(60, 260)
    y = horizon[int(x)] - rng.uniform(8, 40)
    sigma = rng.uniform(0.6, 1.0)
    point = 20 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    picture = sky * (1 - below) + ground * below + point + rng.normal(0, 1, (HEIGHT, WIDTH))
    return np.clip(picture, 0, 255).round().astype(np.uint8), (x, y)


def test_the_network_finds_dim_points_over_bright_ground() -> None:
    def found(closer: bool) -> tuple[int, int]:
        detector = load_detector(DetectorSettings(weights="datransnet-s", device="cpu", temporal=False, closer=closer))
        hits = others = 0
        for seed in range(10):
            image, place = dusk(seed)
            xy = detector(image).xy_px
            hit = int((np.hypot(*(xy - place).T) < 2).sum())
            hits, others = hits + min(hit, 1), others + len(xy) - hit
        return hits, others

    (plain, _), (closer, others) = found(False), found(True)
    assert closer >= 8
    assert closer >= plain + 2
    assert others <= 2


def difference(mode: str, image: NDArray[np.uint8]) -> float:
    """The most by which the scores of a frame differ with and without the closer look."""
    plain, closer = (
        load_detector(DetectorSettings(weights="datransnet-s", device="cpu", mode=mode, closer=on)).scores(image)
        for on in (False, True)
    )
    return float(np.abs(plain - closer).max())


def test_modes_that_keep_attention_look_once() -> None:
    image = next(image for image, _ in map(dusk, range(10)) if difference("exact", image) > 0.5)
    for mode in ("video", "live"):
        assert difference(mode, image) < 1e-3  # sums of two threads come in any order


def test_a_recipe_of_an_earlier_version_did_not_look_closer() -> None:
    recipe = Recipe(Settings().detector, Regions())
    values = recipe_to(recipe)
    assert recipe_from(values) == recipe
    del values["detector"]["closer"]
    before = recipe_from(values)
    assert not before.detector.closer
    assert not before.same_scores(recipe)
    assert before.changes(recipe) == ["closer look"]
