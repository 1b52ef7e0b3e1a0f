"""Training: data sets, crops, losses, and a resumed run that equals the uninterrupted one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from irtrack.core import IrtrackError
from irtrack.simulate import Scene, scene_from_text
from irtrack.train.augment import AugmentSettings, training_batch
from irtrack.train.data import DatasetError, Sample, load_dataset
from irtrack.train.evaluation import evaluate
from irtrack.train.loop import TrainSettings, learning_rate, train
from irtrack.train.losses import soft_iou, soft_iou_pooled


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    scene = Scene(scene_from_text("sky,width=96,height=80,frames=12,targets=3,scr=20,seed=1"))
    out = []
    for i in range(12):
        y, x = np.mgrid[:80, :96]
        mask = np.zeros((80, 96), bool)
        for cx, cy in scene.truth(i).xy_px:
            mask |= np.hypot(x - cx, y - cy) < 2
        out.append(Sample(f"{i}", scene.image(i), mask))
    return out


SMALL = TrainSettings(base=4, steps=6, batch=2, crop=32, warmup=2, validate_every=3, save_every=1)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "last.pt", weights_only=True)
    return state["network"] | {f"average.{k}": v for k, v in state["average"].items()}


def test_resumed_equals_uninterrupted(samples: list[Sample], tmp_path: Path) -> None:
    torch.set_num_threads(1)
    train([samples], [1.0], {"v": samples[:2]}, SMALL, tmp_path / "whole")

    class Killed(Exception):
        pass

    calls = 0

    def dying(sets: object, *rest: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Killed
        return training_batch(sets, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("irtrack.train.loop.training_batch", dying)
        with pytest.raises(Killed):
            train([samples], [1.0], {"v": samples[:2]}, SMALL, tmp_path / "cut")
    train([samples], [1.0], {"v": samples[:2]}, SMALL, tmp_path / "cut")
    whole, cut = weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[k], cut[k]) for k in whole)
    assert (tmp_path / "whole" / "log.csv").read_text() == (tmp_path / "cut" / "log.csv").read_text()


def test_a_run_with_other_settings_is_not_continued(samples: list[Sample], tmp_path: Path) -> None:
    train([samples], [1.0], {}, TrainSettings(base=4, steps=1, batch=1, crop=32), tmp_path)
    with pytest.raises(IrtrackError, match="other settings"):
        train([samples], [1.0], {}, TrainSettings(base=4, steps=2, batch=1, crop=32), tmp_path)


def test_training_learns(samples: list[Sample], tmp_path: Path) -> None:
    plain = AugmentSettings(target_centred=1.0, inject=0, invert=0, clutter=0, sensor=0)
    settings = TrainSettings(
        base=8, steps=60, batch=4, crop=32, warmup=5, rate=4e-3, ema=0.9, validate_every=60, augment=plain
    )
    best = train([samples], [1.0], {"v": samples}, settings, tmp_path)
    assert best["v Pd"] > 60
    assert best["v IoU"] > 25


def test_crops_are_pure_functions_of_their_key(samples: list[Sample]) -> None:
    a, b, c = (training_batch([samples], [1.0], 4, 32, AugmentSettings(), key) for key in ((0, 1), (0, 1), (0, 2)))
    assert np.array_equal(a[0], b[0])
    assert not np.array_equal(a[0], c[0])
    images, masks = a
    assert images.shape == masks.shape == (4, 1, 32, 32)
    assert images.min() >= 0
    assert images.max() <= 1
    assert set(np.unique(masks)) <= {0.0, 1.0}


def test_losses() -> None:
    logits = torch.full((2, 1, 8, 8), -20.0)
    masks = torch.zeros(2, 1, 8, 8)
    assert soft_iou(logits, masks).item() == pytest.approx(0, abs=1e-5)
    masks[0, 0, 2:4, 2:4] = 1
    assert soft_iou(logits, masks).item() == pytest.approx(0.5 * (1 - 1 / 5), abs=1e-5)
    logits[0, 0, 2:4, 2:4] = 20
    assert soft_iou(logits, masks).item() == pytest.approx(0, abs=1e-5)


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    s = TrainSettings(steps=100, warmup=10, rate=1.0)
    rates = [learning_rate(i, s) for i in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert rates[100] == pytest.approx(0)


def test_pooled_soft_iou_is_the_authors(golden: Path) -> None:
    """The reference's SoftIoU of its first metric case."""
    arrays = np.load(golden / "metrics_arrays.npz")
    cases = json.loads((golden / "metrics.json").read_text())["per_case"]
    for name in list(cases)[:6]:
        p = torch.from_numpy(arrays[f"pred_{name}"])[None, None].double()
        m = torch.from_numpy(arrays[f"mask_{name}"] > 0)[None, None].double()
        expected = cases[name]["SoftIoULoss_fp64"]
        assert soft_iou_pooled(torch.logit(p, eps=1e-12), m).item() == pytest.approx(expected, abs=2e-4), name


def make_folder(root: Path, samples: list[Sample]) -> None:
    for kind in ("images", "masks", "img_idx"):
        (root / kind).mkdir(parents=True)
    for s in samples:
        cv2.imwrite(str(root / "images" / f"{s.name}.png"), s.image)
        cv2.imwrite(str(root / "masks" / f"{s.name}.png"), s.mask.astype(np.uint8) * 255)
    (root / "img_idx" / "train.txt").write_text("\n".join(s.name for s in samples[:8]))


def test_data_sets_are_checked(samples: list[Sample], tmp_path: Path) -> None:
    make_folder(tmp_path / "set", samples)
    assert len(load_dataset(tmp_path / "set")) == 12
    assert [s.name for s in load_dataset(tmp_path / "set", "train")] == [str(i) for i in range(8)]
    with pytest.raises(DatasetError, match="there are: train"):
        load_dataset(tmp_path / "set", "nosuch")
    cv2.imwrite(str(tmp_path / "set" / "masks" / "3.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(DatasetError, match="one size"):
        load_dataset(tmp_path / "set")
    (tmp_path / "set" / "masks" / "3.png").unlink()
    with pytest.raises(DatasetError, match="the mask of '3'"):
        load_dataset(tmp_path / "set")
    with pytest.raises(DatasetError, match="not a folder"):
        load_dataset(tmp_path)


def test_real_data_sets_load(data: Path) -> None:
    assert len(load_dataset(data / "irstd" / "NUAA-SIRST", "test_idx427")) == 86
    assert len(load_dataset(data / "irstd" / "NUDT-SIRST", "train_NUDT-SIRST")) == 663


def test_train_and_evaluate_commands(samples: list[Sample], tmp_path: Path) -> None:
    make_folder(tmp_path / "set", samples)
    main, folder, run = str(Path(__file__).resolve().parent.parent / "main.py"), tmp_path / "set", tmp_path / "run"

    def call(*args: object) -> None:
        done = subprocess.run([sys.executable, main, *map(str, args)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    tiny = ("base=4", "steps=2", "batch=2", "crop=32")
    call("train", "--data", f"{folder}:train", "--val", folder, "--out", run, "--threads", 1, "--set", *tiny)
    out = tmp_path / "figures.json"
    call("evaluate", "--weights", run / "best.pt", "--data", folder, "--json", out)
    assert json.loads(out.read_text())["figures"]["images"] == 12


def test_evaluation_of_a_perfect_network(samples: list[Sample]) -> None:
    class Oracle(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full_like(x, -9.0)

    figures, table = evaluate(Oracle(), samples)  # type: ignore[arg-type]
    assert figures["Pd"] == 0
    assert len(table) == len(samples)
