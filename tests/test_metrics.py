"""The field's figures: against the brief's golden cases where definitions agree, and by hand where they differ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from irtrack.metrics.curves import RocCurve, ThresholdSweep
from irtrack.metrics.legacy import LegacyScore
from irtrack.metrics.segmentation import SegmentationScore, match_nearest


def test_golden_counts(golden: Path) -> None:
    """Intersection, union, targets and pixels of the reference's own run, case by case (threshold 0.5)."""
    arrays = np.load(golden / "metrics_arrays.npz")
    cases = json.loads((golden / "metrics.json").read_text())["per_case"]
    assert len(cases) > 10
    for name, case in cases.items():
        predicted, true = arrays[f"pred_{name}"] > 0.5, arrays[f"mask_{name}"] > 0
        score = SegmentationScore()
        score.add(predicted, true)
        assert score.intersection == case["raw"]["total_inter"], name
        assert score.union == case["raw"]["total_union"], name
        assert score.pixels == case["raw"]["all_pixel"], name
        assert score.targets == case["raw"]["target"], name
        if case["raw"]["total_union"]:
            assert score.figures()["IoU"] == pytest.approx(100 * case["mIoU"], abs=1e-4), name


def blank() -> np.ndarray:  # type: ignore[type-arg]
    return np.zeros((50, 50), bool)


def test_detections_match_within_three_pixels_one_to_one() -> None:
    true, predicted = blank(), blank()
    true[10:13, 10:13] = true[30:33, 30:33] = True
    predicted[12:15, 10:13] = True  # 2 px off: a hit
    predicted[30:33, 33:36] = True  # exactly 3 px off: a miss and a false alarm of 9 px
    score = SegmentationScore()
    score.add(predicted, true)
    figures = score.figures()
    assert figures["Pd"] == 50
    assert figures["Fa_1e-6"] == pytest.approx(1e6 * 9 / 2500)
    assert figures["false_objects_per_image"] == 1


def test_a_false_object_as_large_as_a_hit_counts() -> None:
    """The reference drops it: its list is by area."""
    true, predicted = blank(), blank()
    true[10:13, 10:13] = predicted[10:13, 10:13] = predicted[40:43, 40:43] = True
    score = SegmentationScore()
    score.add(predicted, true)
    assert score.figures()["Fa_1e-6"] > 0


def test_empty_images() -> None:
    score = SegmentationScore()
    score.add(blank(), blank())
    assert score.figures()["nIoU"] == 100
    assert score.figures()["Fa_1e-6"] == 0


def test_iou_pools_and_niou_averages() -> None:
    score, true = SegmentationScore(), blank()
    true[:10, :10] = True
    score.add(true, true)
    half = blank()
    half[:10, :5] = True
    score.add(half, true)
    assert score.figures()["IoU"] == pytest.approx(75)
    assert score.figures()["nIoU"] == pytest.approx(75)
    assert score.figures()["F1"] == pytest.approx(100 * 2 * 150 / 350)


def test_nearest_pairs_first() -> None:
    a, b = np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[1.5, 0.0]])
    assert match_nearest(a, b) == [(1, 0)]


def test_legacy_figures_are_the_references(golden: Path) -> None:
    """Case by case and accumulated, every number of metrics.json that the evaluation reports."""
    arrays = np.load(golden / "metrics_arrays.npz")
    expected = json.loads((golden / "metrics.json").read_text())
    names = {"auc": "ROCMetric_auc_200bins"}
    whole = LegacyScore()
    for case, figures in expected["per_case"].items():
        one, true = LegacyScore(), arrays[f"mask_{case}"] > 0
        for score in (one, whole):
            score.add(arrays[f"pred_{case}"], true)
        for key, value in one.figures().items():
            assert value == pytest.approx(figures[names.get(key, key)], abs=1e-6), (case, key)
        assert (one.matched, one.false_px) == (figures["raw"]["PD"], figures["raw"]["dismatch_pixel"]), case
    total = expected["accumulated_over_all_cases_in_name_order"]
    for key, value in whole.figures().items():
        assert value == pytest.approx(total[names.get(key, key)], abs=1e-6), key


def test_roc_area_is_exact(golden: Path) -> None:
    """scikit-learn's area under the curve, stored with the golden cases; and the empty classes."""
    arrays = np.load(golden / "metrics_arrays.npz")
    cases = json.loads((golden / "metrics.json").read_text())["per_case"]
    for name, case in cases.items():
        roc = RocCurve()
        roc.add(arrays[f"pred_{name}"], arrays[f"mask_{name}"] > 0)
        assert roc.auc() == pytest.approx(case["sklearn_auc"], abs=2e-3), name
    assert RocCurve().auc() == 0.5


def test_sweep_is_the_score_at_each_threshold() -> None:
    rng = np.random.default_rng(0)
    score, true = rng.random((40, 40)), rng.random((40, 40)) > 0.97
    sweep = ThresholdSweep((0.2, 0.9))
    sweep.add(score, true)
    for row, threshold in zip(sweep.table(), (0.2, 0.9), strict=True):
        alone = SegmentationScore()
        alone.add(score > threshold, true)
        assert row == {"threshold": threshold, **alone.figures()}
    assert sweep.table()[0]["Fa_1e-6"] != sweep.table()[1]["Fa_1e-6"]
