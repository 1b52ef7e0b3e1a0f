"""Targets of several spots are one thing: in masks from boxes, in drawn ones, and in what validation counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from irtrack.train.boxes import from_boxes
from irtrack.train.evaluation import worth
from irtrack.train.spots import as_one, found_and_broken
from irtrack.train.synthetic import inject_targets

NO_BOXES = np.zeros((0, 4))
EIGHT = np.ones((3, 3))


def count(mask: NDArray[np.bool_]) -> int:
    return int(ndimage.label(mask, EIGHT)[1])


def drone(level: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Three warm motors on cold arms, and where they are."""
    image = np.random.default_rng(3).normal(90, 2, (80, 100)).round()
    spots = np.zeros(image.shape, bool)
    spots[30:33, 40:43] = spots[31:34, 48:51] = spots[36:39, 44:47] = True
    image[spots] += level
    return image.clip(0, 255).astype(np.uint8), spots


def test_a_mask_from_a_box_holds_all_spots_as_one() -> None:
    image, spots = drone(70)
    mask, _ = from_boxes(image, np.array([[37.0, 27.0, 17.0, 15.0]]), NO_BOXES)
    assert mask[spots].all()
    assert count(mask) == 1
    assert mask.sum() < 2.5 * spots.sum()


def test_what_reaches_out_of_the_box_is_not_a_spot() -> None:
    image, spots = drone(70)
    image[40:80, 52:54] = 165  # a mast that the box cuts
    mask, _ = from_boxes(image, np.array([[37.0, 27.0, 18.0, 16.0]]), NO_BOXES)
    assert mask[spots].all()
    assert not mask[41:].any()


def test_spots_are_joined_to_the_nearest_and_one_stays_as_it_is() -> None:
    _, spots = drone(0)
    whole = as_one(spots)
    assert count(whole) == 1
    assert whole[spots].all()
    one = ndimage.label(spots, EIGHT)[0] == 1
    assert np.array_equal(as_one(one), one)
    nothing = np.zeros_like(spots)
    assert not as_one(nothing).any()


def test_drawn_targets_are_labelled_as_one() -> None:
    """On a flat background one is drawn, two or three: never more pieces than that, touching ones fewer."""
    for seed in range(60):
        flat = np.full((128, 128), 90, np.float32)
        _, mask = inject_targets(flat, np.zeros((128, 128), bool), np.random.default_rng(seed))
        assert 1 <= count(mask) <= 3


def test_targets_in_pieces_are_counted() -> None:
    targets, unknown, found = (np.zeros((60, 60), bool) for _ in range(3))
    targets[10:14, 10:14] = targets[30:34, 30:34] = targets[50:52, 50:52] = True
    unknown[26:38, 26:38] = True
    unknown &= ~targets
    found[11:13, 11:13] = True  # whole
    found[31, 31] = found[27, 27] = True  # in two, one of them where nothing is known
    found[5, 50] = found[5, 54] = True  # no target
    pieces = ndimage.label(found, EIGHT)[0].astype(np.int32)
    assert found_and_broken(pieces, targets, unknown) == (2, 1)
    assert found_and_broken(pieces, targets, None) == (2, 0)
    assert found_and_broken(np.zeros_like(pieces), targets, unknown) == (0, 0)
    # Two targets in one place tell nothing.
    targets[28:30, 35:37] = True
    assert found_and_broken(pieces, targets, unknown | targets) == (1, 0)


def test_pieces_cost_where_boxes_are_the_truth() -> None:
    from irtrack.train.data import Sample

    image, spots = drone(70)
    boxed = Sample("a", image, spots, ignore=~spots)
    figures = {"Pd": 90.0, "false_objects_per_image": 0.5, "broken_percent": 20.0, "IoU": 0.0, "Fa_1e-6": 0.0}
    assert worth(figures, [boxed]) == 180 - 5 - 10
