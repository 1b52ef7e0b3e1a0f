"""The simulator's truth against its own pictures, and the sample clip against its truth."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from irtrack.capture import open_source
from irtrack.cli import main
from irtrack.core import ConfigError
from irtrack.metrics.segmentation import components
from irtrack.simulate import SCENES, Scene, add_target, scene_from_text
from irtrack.train.data import load_dataset


@pytest.mark.parametrize("centre", [(20.0, 15.0), (20.5, 15.25), (20.37, 14.81)])
@pytest.mark.parametrize("sigma", [0.5, 0.9, 2.0])
def test_targets_stand_where_truth_says(centre: tuple[float, float], sigma: float) -> None:
    grey = np.zeros((31, 41), np.float32)
    add_target(grey, *centre, 1.0, sigma)
    y, x = np.mgrid[:31, :41]
    assert (grey * x).sum() / grey.sum() == pytest.approx(centre[0], abs=4e-3)
    assert (grey * y).sum() / grey.sum() == pytest.approx(centre[1], abs=4e-3)
    assert grey.sum() == pytest.approx(2 * np.pi * sigma**2, rel=2e-3)  # the integral of a Gaussian of peak 1


def test_scenes_are_reproducible_in_any_order() -> None:
    a, b = (Scene(scene_from_text("clutter,seed=3,frames=30")) for _ in range(2))
    backwards = {i: a.image(i) for i in (29, 5, 0)}
    assert all(np.array_equal(backwards[i], b.image(i)) for i in (0, 5, 29))
    other = Scene(scene_from_text("clutter,seed=4,frames=30"))
    assert not np.array_equal(other.image(5), b.image(5))


@pytest.mark.parametrize("name", SCENES)
def test_every_scene(name: str) -> None:
    scene = Scene(SCENES[name])
    image, truth = scene.image(75), scene.truth(75)
    assert image.dtype == (np.uint8 if scene.settings.bits == 8 else np.uint16)
    assert image.shape == (scene.settings.height, scene.settings.width)
    assert len(truth.id) <= scene.settings.targets
    if name == "sky":  # the contrast asked for is in the picture
        quiet = np.median(np.abs(np.diff(image.astype(float), axis=1))) / 0.954  # deviation of noise from differences
        for (x, y), c in zip(truth.xy_px.round().astype(int), truth.contrast, strict=True):
            ring = image[y - 8 : y + 9, x - 8 : x + 9].astype(float)
            assert ring[7:10, 7:10].max() - np.median(ring) > 0.5 * c * 255 > 2 * quiet


def test_motion_is_smooth_and_of_the_speed_asked_for() -> None:
    scene = Scene(scene_from_text("sky,targets=50,speed_px_s=60,frames=90,width=1000,height=1000"))
    steps = [
        np.linalg.norm(scene.truth(i + 1).xy_px - scene.truth(i).xy_px, axis=1) * 30
        for i in range(89)
        if len(scene.truth(i).id) == len(scene.truth(i + 1).id) == 50
    ]
    assert np.mean(steps) == pytest.approx(60, rel=0.15)


def test_bad_pixels_and_noise() -> None:
    scene = Scene(scene_from_text("empty,bad_pixels=0.01,width=100,height=100,netd=0.02,drift_px_s=0"))
    stack = np.stack([scene.image(i) for i in range(40)]).astype(float)
    stuck = stack.std(0) == 0
    assert 50 < stuck.sum() < 150
    assert np.median(stack.std(0)) / 255 == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("text", ["nowhere", "sky,depth=3", "sky,width=x", "sky,width=4", "sky,scr=-1"])
def test_bad_scenes(text: str) -> None:
    with pytest.raises(ConfigError):
        scene_from_text(text)


def test_the_sample_clip_is_the_simulators(sample: Path) -> None:
    with sample.with_suffix(".truth.csv").open(newline="") as f:
        truth = [r for r in csv.DictReader(f) if r["frame"] == "40"]
    source = open_source(str(sample))
    source.seek(40)
    image = next(iter(source)).image.astype(float)
    source.close()
    assert len(truth) >= 3
    for r in truth:
        x, y = round(float(r["x_px"])), round(float(r["y_px"]))
        assert image[y - 1 : y + 2, x - 1 : x + 2].max() > np.median(image[y - 8 : y + 9, x - 8 : x + 9]) + 15


def test_masks_are_written_beside_images_and_lie_on_the_targets(tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert (
        main(["simulate", "sky,width=96,height=80,frames=4,targets=3,scr=30,seed=2", "--out", str(out), "--masks"]) == 0
    )
    scene = Scene(scene_from_text("sky,width=96,height=80,frames=4,targets=3,scr=30,seed=2"))
    samples = load_dataset(out)
    assert len(samples) == 4
    for i, sample in enumerate(samples):
        assert np.array_equal(sample.image, scene.image(i))
        found, true = components(sample.mask)[0], scene.truth(i).xy_px
        assert len(found) == len(true)
        assert all(np.linalg.norm(found - xy, axis=1).min() < 0.7 for xy in true)
    (out / "images/notes.txt").write_text("mine")
    shorter = ["simulate", "sky,width=96,height=80,frames=2,targets=3,scr=30,seed=3", "--out", str(out), "--masks"]
    assert main([*shorter, "--force"]) == 0
    assert len(load_dataset(out)) == 2  # nothing of the longer scene follows
    assert (out / "images/notes.txt").exists()
    assert main(["simulate", "sky", "--out", str(tmp_path / "a.mkv"), "--masks"]) == 1
