"""What networks are trained on: masks from boxes, pixels left open, drawn targets and text, the packed data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from irtrack.core import IrtrackError
from irtrack.metrics.segmentation import components
from irtrack.train.augment import AugmentSettings, Mix, sharpened, training_batch
from irtrack.train.boxes import from_boxes
from irtrack.train.commands import load_sets
from irtrack.train.data import DatasetError, Sample, check_apart, load_backgrounds, load_dataset
from irtrack.train.evaluation import evaluate, evaluate_sets, turned
from irtrack.train.losses import UNKNOWN, soft_iou_bce, soft_iou_pooled
from irtrack.train.marks import add_mark
from irtrack.train.mining import mistakes
from irtrack.train.pack import pack
from irtrack.train.settings import load_recipe
from irtrack.train.structures import KINDS, add_structure
from irtrack.train.synthetic import add_clutter, blob, inject_dim_targets, inject_targets, point, silhouette

NO_BOXES = np.zeros((0, 4))


def noisy(shape: tuple[int, int] = (80, 100), seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).normal(90, 2, shape).round().astype(np.uint8)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_mask_is_what_stands_out_in_its_box(sign: int) -> None:
    image = noisy().astype(int)
    truth = np.zeros(image.shape, bool)
    truth[30:34, 40:47] = True
    image[truth] += 60 * sign
    mask, open_px = from_boxes(image.astype(np.uint8), np.array([[36.0, 26.0, 16.0, 12.0]]), NO_BOXES)
    assert np.array_equal(mask, truth)
    assert not (open_px & mask).any()
    box = np.zeros_like(mask)
    box[26:38, 36:52] = True
    assert (open_px | mask)[box].all()
    assert (open_px | mask).sum() <= (12 + 5) * (16 + 5)


def test_a_bar_that_reaches_into_a_box_is_not_the_target() -> None:
    image = noisy()
    image[:29, 36:39] = 250
    truth = np.zeros(image.shape, bool)
    truth[32:35, 44:48] = True
    image[truth] = 170
    mask, _ = from_boxes(image, np.array([[36.0, 26.0, 18.0, 14.0]]), NO_BOXES)
    assert np.array_equal(mask, truth)


def test_boxes_that_say_too_little_are_left_open() -> None:
    """Nothing stands out; too large; cut out of a wall; of another class: no mask, and the loss does not look there."""
    image = noisy((120, 160))
    image[10:20, 100:150] = 200
    image[60:75, 20:40] = 200
    faint, large, wall = [20.0, 20, 9, 9], [95.0, 5, 60, 20], [24.0, 64, 8, 6]
    mask, open_px = from_boxes(image, np.array([faint, large, wall]), np.array([[70.0, 90, 20, 12]]))
    assert not mask.any()
    for x, y in ((24, 24), (125, 15), (28, 67), (80, 96)):
        assert open_px[y, x]
    assert open_px.mean() < 0.15
    nothing = from_boxes(image, NO_BOXES, NO_BOXES)
    assert not nothing[0].any()
    assert not nothing[1].any()


def test_mask_of_a_point_over_a_roof_and_of_one_on_a_gradient() -> None:
    """It stands out from its own surroundings and not from the ring round the box, which holds the roof, too."""
    rng = np.random.default_rng(5)
    image = np.full((120, 160), 40.0) + rng.normal(0, 1, (120, 160))
    image[60:] = 180 + rng.normal(0, 12, (60, 160))  # a roof
    image[50:52, 80:82] += 14
    mask, open_px = from_boxes(image.astype(np.uint8), np.array([[74.0, 44.0, 14.0, 14.0]]), NO_BOXES)
    assert mask[50:52, 80:82].all()
    assert mask.sum() <= 9
    assert open_px.any()
    slope = np.linspace(0, 250, 160)[None] + rng.normal(0, 1, (120, 160))
    empty = from_boxes(np.clip(slope, 0, 255).astype(np.uint8), np.array([[74.0, 44.0, 14.0, 14.0]]), NO_BOXES)
    assert not empty[0].any()  # and on the gradient alone nothing does
    slope[50:52, 80:82] -= 14
    mask, _ = from_boxes(np.clip(slope, 0, 255).astype(np.uint8), np.array([[74.0, 44.0, 14.0, 14.0]]), NO_BOXES)
    assert mask[50:52, 80:82].all()
    assert mask.sum() <= 9


def test_the_loss_does_not_look_at_open_pixels() -> None:
    generator = torch.Generator().manual_seed(1)
    masks = torch.zeros(2, 1, 16, 16)
    masks[0, 0, 4:8, 4:8] = 1
    masks[:, :, 8:12] = UNKNOWN
    for loss in (soft_iou_bce, soft_iou_pooled):
        logits = torch.randn(2, 1, 16, 16, generator=generator, requires_grad=True)
        loss(logits, masks).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert (logits.grad[:, :, 8:12] == 0).all()
        assert (logits.grad[:, :, :8] != 0).all()
        with torch.no_grad():
            other = torch.where(masks == UNKNOWN, torch.tensor(7.0), logits)
            assert loss(other, masks).item() == pytest.approx(loss(logits, masks).item())


def test_open_pixels_are_turned_and_cropped_with_their_image() -> None:
    """What is open is marked by grey levels here, so that any difference in geometry would show."""
    image = np.full((64, 90), 60, np.uint8)
    mask, ignore = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    mask[20:26, 30:36] = True
    ignore[14:32, 24:42] = ~mask[14:32, 24:42]
    image[ignore], image[mask] = 120, 240
    sample = Sample("a", image, mask, ignore)
    plain = AugmentSettings(zoom=0, inject=0, invert=0, clutter=0, sensor=0, target_centred=1)
    images, masks = training_batch(Mix([[sample]], [1.0]), range(24), 32, plain, (3, 1))
    assert set(np.unique(masks)) == {UNKNOWN, 0.0, 1.0}
    levels = np.round(images * 255)
    assert (masks[levels == 240] == 1).all()
    assert (masks[levels == 120] == UNKNOWN).all()
    assert (masks[levels == 60] == 0).all()
    whole, labels = training_batch(Mix([[sample]], [1.0]), [0], 64, replace(plain, whole=True), (3, 1))
    assert labels[0, 0, 16, 20] == UNKNOWN
    assert whole.shape == labels.shape
    for one in turned([sample]):
        assert one.ignore is not None
        assert (one.image[one.ignore] == 120).all()


def test_figures_do_not_count_what_is_open() -> None:
    image = np.zeros((40, 40), np.uint8)
    mask, ignore = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    mask[8:11, 8:11] = True
    ignore[20:30, 20:30] = True
    image[8:11, 8:11] = image[22:25, 22:25] = 255

    def network(x: torch.Tensor) -> torch.Tensor:
        return 40 * x - 20

    known = Sample("known", image, mask)
    for sample, false in ((known, 1), (replace(known, ignore=ignore), 0)):
        figures, _ = evaluate(network, [sample])
        assert figures["Pd"] == 100
        assert figures["false_objects_per_image"] == false
        assert len(mistakes(network, sample, "cpu")) == false
    value = evaluate_sets(network, {"a": [replace(known, ignore=ignore)]})[1]
    assert value == 200
    assert evaluate_sets(network, {"a": [known]})[1] == pytest.approx(50 + 100 - 1e5 * 9 / 1600)


def test_open_pixels_are_read_beside_the_masks(tmp_path: Path) -> None:
    image, mask, ignore = noisy(), np.zeros((80, 100), np.uint8), np.zeros((80, 100), np.uint8)
    mask[5:8, 5:8] = 255
    ignore[3:10, 3:10] = 255
    for folder in ("images", "masks", "ignore"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), image)
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), mask)
    cv2.imwrite(str(tmp_path / "ignore/a.png"), ignore)
    a, b = load_dataset(tmp_path)
    assert a.ignore is not None
    assert b.ignore is None
    assert a.ignore.sum() == 49 - 9
    cv2.imwrite(str(tmp_path / "ignore/a.png"), ignore[:40])
    with pytest.raises(DatasetError, match="ignore mask"):
        load_dataset(tmp_path)


def test_injected_targets_are_like_published_ones() -> None:
    """Areas of SIRST-v1: 7, 20 and 107 px at 5, 50 and 95 %, and points and larger ones with shapes beside."""
    areas = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        flat = np.full((96, 96), 90, np.float32) + rng.normal(0, 2, (96, 96)).astype(np.float32)
        image, mask = inject_targets(flat, np.zeros((96, 96), bool), rng)
        areas += components(mask)[1].tolist()
        changed = np.abs(image - flat)[mask]
        assert changed.max() > 6
    points = np.array(areas) <= 4
    assert 0.12 < points.mean() < 0.32
    low, middle, high = np.percentile(np.array(areas)[~points], (5, 50, 95))
    assert 4 < low < 10
    assert 14 < middle < 40
    assert 55 < high < 170


def test_points_are_of_one_to_four_pixels() -> None:
    areas, offs = [], []
    for seed in range(200):
        shape = point(np.random.default_rng(seed))
        assert shape.max() == 1
        areas.append(int((shape > 0.35).sum()))
        y, x = np.indices(shape.shape)
        offs.append([float((shape * v).sum() / shape.sum()) - 4 for v in (x, y)])
    assert set(areas) <= set(range(1, 7))
    assert np.mean(np.array(areas) <= 4) > 0.9
    assert areas.count(1) > 20
    assert np.abs(offs).max() <= 0.55  # anywhere on a pixel
    assert np.std(offs) > 0.2


def test_dim_targets_are_just_seen_and_labelled() -> None:
    """A few times the texture, however strong the gradient that they lie on."""
    ratios = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        sky = np.linspace(40, 200, 96)[:, None] + rng.normal(0, 3, (96, 96))
        image, mask = inject_dim_targets(sky.astype(np.float32), np.zeros((96, 96), bool), rng)
        assert mask.any()
        ratios.append(np.abs(image - sky)[mask].max() / 3)
    low, high = np.percentile(ratios, (5, 95))
    assert 2 < low < 5
    assert 7 < high < 11.5


def test_drawn_targets_are_of_many_sizes_and_shapes() -> None:
    """From 2x2 to 40x12 px: small blobs, and things two and more times as long as wide."""
    extents, areas = [], []
    for seed in range(300):
        for draw in (blob, silhouette):
            shape = draw(np.random.default_rng(seed))
            assert shape.max() == pytest.approx(1, abs=0.3)
            assert max(shape[0].max(), shape[-1].max(), shape[:, 0].max(), shape[:, -1].max()) < 0.1
            ys, xs = np.nonzero(shape > 0.35)
            (_, size, _) = cv2.minAreaRect(np.stack([xs, ys], 1).astype(np.float32))
            extents.append((max(size) + 1, min(size) + 1))
            areas.append(len(ys))
    long = np.array(extents)
    assert long[:, 0].max() > 25
    assert min(areas) <= 5
    assert ((long[:, 0] / long[:, 1]) > 2).mean() > 0.15
    assert long[:, 0].max() < 50


@pytest.mark.parametrize("kind", sorted(set(KINDS), key=lambda kind: kind.__name__))
def test_structures_are_drawn_in_all_places(kind: Callable[[int, np.random.Generator], NDArray[np.uint8]]) -> None:
    drawn = [kind(128, np.random.default_rng(seed)) for seed in range(40)]
    shares = [float((d > 0).mean()) for d in drawn]
    assert np.mean(np.array(shares) > 0.002) > 0.7  # some stand outside
    assert len(set(shares)) > 20
    assert np.mean([d > 0 for d in drawn], axis=0).min() < np.mean([d > 0 for d in drawn], axis=0).max()


def test_structures_stand_behind_targets_and_are_none() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sky = np.full((128, 128), 90, np.float32)
        mask = np.zeros((128, 128), bool)
        mask[60:68, 60:70] = True
        sky[mask] = 200
        image, there = add_structure(sky, mask, rng)
        assert np.abs(image[mask] - 200).max() < 8  # the target is before it
        assert not (there & mask).any()
        assert np.array_equal(there, there & (np.abs(image - sky) > 3))


def test_targets_are_put_before_structures() -> None:
    """On its lines or a few pixels beside them, and no brighter than a few times what they do in the picture."""
    away, levels = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        there = np.zeros((128, 128), bool)
        there[:, 60:63] = True
        image = np.where(there, np.float32(130), np.float32(90)) + rng.normal(0, 2, (128, 128)).astype(np.float32)
        seen, mask = inject_targets(image, np.zeros_like(there), rng, near=there)
        assert mask.any()
        away.append(np.abs(np.nonzero(mask)[1] - 61).min())
        levels.append(np.abs(seen - image)[mask].max())
    assert np.mean(np.array(away) <= 10) > 0.9
    assert np.percentile(levels, 10) > 8
    assert np.median(levels) < 110


def test_burnt_in_text_is_never_a_target() -> None:
    changed = []
    for seed in range(60):
        image, mask = np.full((128, 128), 90, np.float32), np.zeros((128, 128), bool)
        mask[60:64, 60:64] = True
        drawn, left = add_clutter(image, mask, np.random.default_rng(seed))
        assert not (left & ~mask).any()
        assert (np.abs(drawn - image)[left] < 200).all()
        changed.append((drawn != image).mean())
    assert 0.005 < np.median(changed) < 0.3


def thinned(data: Path, root: Path) -> Path:
    """All that is trained on as links, of the clips and of the largest sets a part: coding all of it takes minutes."""
    stills, clips = root / "irstd", root / "drone_train"
    for folder in (clips, stills / "backgrounds", stills / "IRSTD-1k" / "img_idx"):
        folder.mkdir(parents=True)
    for truth in sorted((data / "drone_train").glob("*.gt.csv"))[::5]:
        for path in (truth, truth.with_name(truth.name.replace(".gt.csv", ".mp4"))):
            (clips / path.name).symlink_to(path)
    for path in sorted((data / "irstd" / "backgrounds").iterdir())[::2]:
        (stills / "backgrounds" / path.name).symlink_to(path)
    for name in ("NUAA-SIRST", "NUDT-SIRST", "AntiUAV-stills", "HIT-UAV-half", "IRSTD-1k/images", "IRSTD-1k/masks"):
        (stills / name).symlink_to(data / "irstd" / name)
    for path in (data / "irstd" / "IRSTD-1k" / "img_idx").iterdir():
        (stills / "IRSTD-1k" / "img_idx" / path.name).write_text("\n".join(path.read_text().split()[::5]))
    return root


@pytest.fixture(scope="module")
def packed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of all that is trained on, small: few frames of the clips."""
    out = tmp_path_factory.mktemp("packed")
    size = pack(thinned(data, tmp_path_factory.mktemp("thinned")), out, quality=60, every=200)
    assert size < 60_000_000
    return out


def test_packed_data_is_what_the_recipes_name(packed: Path) -> None:
    loaded: dict[str, list[Sample]] = {}  # each once: recipes have sets in common

    def sets(tables: list[dict[str, str]]) -> dict[str, list[Sample]]:
        named = {f"{table['folder']}:{table['split']}": table for table in tables}
        loaded.update(load_sets([table for name, table in named.items() if name not in loaded], packed))
        return {name: loaded[name] for name in named}

    for name in ("general", "slim", "nuaa", "nudt", "irstd1k"):
        recipe = load_recipe(name)
        check_apart(sets(recipe["data"]), sets(recipe["validation"]))
        for table in recipe.get("negatives", []):
            assert len(load_backgrounds(packed / table["folder"])) >= 64
    counts = {name: len(samples) for name, samples in loaded.items()}
    assert counts["NUAA-SIRST:train_idx427"] == 256
    assert counts["NUDT-SIRST:train_NUDT-SIRST[:-60]"] == 603
    assert counts["IRSTD-1k:train_IRSTD-1K[:-60]"] == 160 - 60
    assert counts["hit:train"] == 322
    assert counts["uav:train"] > 200
    for name, split in (("NUDT-SIRST", "test_NUDT-SIRST"), ("IRSTD-1k", "test_IRSTD-1K")):
        with pytest.raises(DatasetError):
            load_dataset(packed / name, split)


def test_no_clip_is_on_both_sides(packed: Path) -> None:
    def groups(name: str, split: str) -> set[str]:
        names = (packed / name / "img_idx" / f"{split}.txt").read_text().split()
        clips = {n.rpartition("_")[0] for n in names} if name == "drone" else set()
        return clips or {str((int(n) - 1) // 100) for n in names if n.isdigit()}

    for name in ("drone", "uav"):
        train, val = groups(name, "train"), groups(name, "val")
        assert train
        assert val
        assert not train & val


def test_packing_nothing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(IrtrackError, match="drone_train"):
        pack(tmp_path, tmp_path / "out")


def test_targets_are_held_in_marks() -> None:
    """A reticle, a gate or brackets hide what they cover and are no target; most have one in their middle."""
    held, near, shown = [], [], []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        image, mask = np.full((128, 128), 90, np.float32), np.zeros((128, 128), bool)
        if seed % 2:
            mask[60:63, 60:63] = True
            image[mask] = 150
        drawn, left, inside = add_mark(image, mask, rng)
        shown.append(((np.abs(drawn - image) > 50) & ~left).any())
        assert not (left & (np.abs(drawn - 90) > 170)).any()  # of strokes none is a target
        held.append(left.any())
        ys, xs = np.nonzero(left)
        if len(ys):
            y, x = np.argwhere(inside).mean(0)
            near.append(np.hypot(ys - y, xs - x).min())
    assert np.mean(shown) > 0.85  # some are grey
    assert 0.6 < np.mean(held) < 0.95
    assert np.median(near) < 12


def test_sharpening_gives_a_target_a_halo_and_leaves_flat_places() -> None:
    image = np.full((64, 64), 90, np.float32)
    image[30:33, 30:33] = 150
    sharp = sharpened(image, np.random.default_rng(0))
    assert sharp[31, 31] > 155
    assert sharp[31, 33:36].min() < 88
    assert np.allclose(sharp[:10], image[:10], atol=1e-3)
