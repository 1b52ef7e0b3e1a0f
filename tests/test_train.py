"""Training: data sets, crops, losses, and a resumed run that equals the uninterrupted one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from training_sets import weights_of

from irtrack.cli import main
from irtrack.core import ConfigError, IrtrackError
from irtrack.detect.manifest import read_manifest
from irtrack.detect.network import DATransNet
from irtrack.detect.weights import load_weights
from irtrack.metrics.segmentation import components
from irtrack.simulate import Scene, scene_from_text
from irtrack.train import soup
from irtrack.train.augment import AugmentSettings, Mix, training_batch
from irtrack.train.backgrounds import background
from irtrack.train.commands import parse_set
from irtrack.train.data import DatasetError, Sample, check_apart, load_backgrounds, load_dataset
from irtrack.train.evaluation import evaluate, turned
from irtrack.train.journal import trim_log
from irtrack.train.loop import learning_rate, train
from irtrack.train.losses import soft_iou, soft_iou_pooled, towards_teacher
from irtrack.train.mining import mine
from irtrack.train.optimisers import Muon, matrix
from irtrack.train.paste import erased, lift_target, paste_target
from irtrack.train.publish import KEPT, add_figures, publish
from irtrack.train.settings import TrainSettings, load_recipe, presets, settings_from


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


SMALL = TrainSettings(
    base=4, steps=6, batch=2, crop=32, warmup=2, validate_every=3, save_every=2, mined=0.5, mine_from=2, mine_every=2
)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_resumed_equals_uninterrupted(samples: list[Sample], tmp_path: Path, optimiser: str) -> None:
    settings = replace(SMALL, optimiser=optimiser)
    torch.set_num_threads(1)
    train([samples], [1.0], {"v": samples[:2]}, settings, tmp_path / "whole")

    class Killed(Exception):
        pass

    calls = 0

    def dying(*given: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise Killed
        return training_batch(*given)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("irtrack.train.feeding.training_batch", dying)
        with pytest.raises(Killed):
            train([samples], [1.0], {"v": samples[:2]}, settings, tmp_path / "cut")
    train([samples], [1.0], {"v": samples[:2]}, settings, tmp_path / "cut")
    whole, cut = weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[k], cut[k]) for k in whole)
    assert (tmp_path / "whole" / "log.csv").read_text() == (tmp_path / "cut" / "log.csv").read_text()


def test_muon_turns_kernels_by_orthogonal_steps_and_leaves_the_rest_to_adamw() -> None:
    """Singular values of a kernel's first step lie near one (Newton-Schulz is rough), whatever the gradient's size."""
    torch.manual_seed(0)
    network = DATransNet(base=4).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = Muon(network, rate=1.0, weight_decay=0.0)
    for group in optimiser.param_groups:
        group["lr"] = 1e-2
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    network(torch.rand(2, 1, 64, 64)).square().mean().mul(1e3).backward()
    optimiser.step()
    kernel = "encoder1.0.conv2.weight"
    step = (before[kernel] - dict(network.named_parameters())[kernel].detach()) / 1e-2
    values = torch.linalg.svdvals(matrix(step))
    assert values.max() < 1.4
    assert values.median() > 0.5
    bias = "encoder1.0.bn1.bias"
    moved = (before[bias] - dict(network.named_parameters())[bias].detach()).abs()
    assert torch.allclose(moved, torch.full_like(moved, 1e-2), rtol=0.05)  # Adam's first step is the rate
    optimiser.zero_grad()
    assert all(p.grad is None for p in network.parameters())


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
    mix = Mix([samples], [1.0])
    a, b, c = (training_batch(mix, range(4), 32, AugmentSettings(), key) for key in ((0, 1), (0, 1), (0, 2)))
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
    with pytest.raises(DatasetError, match=r"has parts, set: say which"):
        load_dataset(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="not a folder"):
        load_dataset(tmp_path / "empty")


def test_slices_parts_and_backgrounds(samples: list[Sample], tmp_path: Path) -> None:
    make_folder(tmp_path / "trainval", samples)
    assert [s.name for s in load_dataset(tmp_path, "trainval")] == sorted(str(i) for i in range(12))
    root = tmp_path / "trainval"
    assert [s.name for s in load_dataset(root, "train[:-2]")] == [str(i) for i in range(6)]
    assert [s.name for s in load_dataset(root, "train[-2:]")] == ["6", "7"]
    empty = load_backgrounds(tmp_path / "trainval" / "images")
    assert len(empty) == len(load_backgrounds(root)) == 12
    assert not any(s.mask.any() for s in empty)
    (root / "img_idx" / "twice.txt").write_text("1 2 1")
    with pytest.raises(DatasetError, match="'1' twice"):
        load_dataset(root, "twice")


def test_sets_that_share_a_picture_are_refused(samples: list[Sample]) -> None:
    renamed = Sample("other", samples[0].image, samples[0].mask)
    check_apart({"a": samples[:4]}, {"b": samples[4:]})
    with pytest.raises(DatasetError, match="must not share"):
        check_apart({"a": samples[:4]}, {"b": [renamed]})
    with pytest.raises(DatasetError, match="must not share"):
        check_apart({"a": samples[:4], "c": [renamed]}, {})


def test_the_two_families_of_nuaa_lists_do_not_mix(data: Path) -> None:
    root = data / "irstd" / "NUAA-SIRST"
    train_341, test_214 = load_dataset(root, "trainval_idx427"), load_dataset(root, "test_NUAA-SIRST")
    with pytest.raises(DatasetError, match="one family"):
        check_apart({"341": train_341}, {"214": test_214})
    check_apart({"341": train_341}, {"86": load_dataset(root, "test_idx427")})


def test_real_data_sets_load(data: Path) -> None:
    assert len(load_dataset(data / "irstd" / "NUAA-SIRST", "test_idx427")) == 86
    assert len(load_dataset(data / "irstd" / "NUDT-SIRST", "train_NUDT-SIRST")) == 663


def call(*args: object) -> str:
    done = subprocess.run([sys.executable, MAIN, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


MAIN = str(Path(__file__).resolve().parent.parent / "main.py")
TINY = ("base=4", "steps=4", "batch=2", "crop=32", "augment.inject=0.5")


def test_train_and_evaluate_commands(samples: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, run = tmp_path / "set", tmp_path / "run"
    make_folder(folder, samples)
    (tmp_path / "sky").mkdir()
    cv2.imwrite(str(tmp_path / "sky" / "a.png"), np.full((40, 40), 90, np.uint8))
    call("train", "--data", f"{folder}:train@2", "--negatives", f"{tmp_path / 'sky'}@1", "--out", run, "--set", *TINY)
    state = torch.load(run / "best.pt", weights_only=True)
    assert state["settings"]["augment"]["inject"] == 0.5
    assert state["about"]["data"] == [{"folder": str(folder), "split": "train", "share": 2.0}]
    words = ["train", "--data", f"{folder}:train", "--out", tmp_path / "further", "--init", run / "best.pt"]
    assert main([*map(str, words), "--set", *TINY, "steps=1", "base=8"]) == 0
    assert f"note: base is 4, that of {run / 'best.pt'}" in capsys.readouterr().out
    outputs = {k: tmp_path / f"out.{k}" for k in ("json", "csv", "png", "jpg")}
    words = ["evaluate", "--weights", run / "best.pt", "--data", folder, "--json", outputs["json"]]
    words += ["--table", outputs["csv"], "--plot", outputs["png"], "--worst", outputs["jpg"]]
    assert main([*map(str, words)]) == 0
    printed = capsys.readouterr().out
    body = json.loads(outputs["json"].read_text())
    assert body["figures"]["images"] == 12
    assert 0 <= body["figures"]["AUC"] <= 1
    assert body["legacy"]["mIoU"] == pytest.approx(body["figures"]["IoU"] / 100)
    assert len(body["sweep"]) > 5
    assert "legacy (the authors' definitions)" in printed
    assert len(outputs["csv"].read_text().splitlines()) == 13
    for picture in ("png", "jpg"):
        seen = cv2.imread(str(outputs[picture]))
        assert seen is not None
        assert seen.std() > 5


def test_a_run_leaves_logs_and_panels(samples: list[Sample], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = replace(SMALL, steps=20, validate_every=10)
    train([samples], [1.0], {"v": samples[:2]}, settings, tmp_path)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert [r.split(",")[0] for r in rows] == ["step", "10", "20"]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("v/IoU")] == [10, 20]
    assert {e.step for e in events.Scalars("loss")} == {10, 20}
    pictures = sorted(p.name for p in (tmp_path / "panels").iterdir())
    assert pictures == ["000010.png", "000020.png"]
    assert cv2.imread(str(tmp_path / "panels" / "000020.png")).shape == (2 * 256, 3 * 256, 3)


def test_processes_of_a_team_agree(samples: list[Sample], tmp_path: Path) -> None:
    """Two processes under torchrun write one set of files, and go on from them."""
    folder, other, run = tmp_path / "set", tmp_path / "other", tmp_path / "run"
    make_folder(folder, samples)
    make_folder(other, samples[8:10])
    for _ in range(2):  # the second call finds the run ended
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", MAIN]
        command += ["train", "--data", f"{folder}:train", "--val", str(other), "--out", str(run)]
        command += ["--threads", "1", "--set", "base=4", "steps=3", "batch=4", "crop=32", "mined=0.5", "mine_from=1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr[-2000:]
        assert torch.load(run / "last.pt", weights_only=True)["step"] == 3
        assert len((run / "log.csv").read_text().splitlines()) == 2


def test_hard_spots_are_the_mistakes(samples: list[Sample]) -> None:
    """A network that sees only the top left corner: every target is missed, the corner is false."""

    class Corner(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = torch.full_like(x, -9.0)
            out[..., :3, :3] = 9.0
            return out

    spots = mine(Corner(), [samples], [1.0], len(samples), (0, 1), "cpu")
    targets = sum(len(components(s.mask)[0]) for s in samples)
    assert len(spots) == targets + len(samples)
    corner = (spots[:, 2:] == 1).all(1)
    assert sorted(spots[corner, 1]) == list(range(len(samples)))
    mix = Mix([samples], [1.0], spots[corner], 1.0)
    plain = AugmentSettings(scale_low=1, scale_high=1, inject=0, invert=0, clutter=0, sensor=0, target_centred=1)
    sample, near = mix.draw(np.random.default_rng(0))
    assert near == (1.0, 1.0)
    assert any(sample is s for s in samples)
    assert training_batch(mix, [0], 32, plain, (0, 0))[0].shape == (1, 1, 32, 32)


def test_a_student_follows_its_teacher(samples: list[Sample], tmp_path: Path) -> None:
    """With distil = 1 labels are not used: a teacher that sees nothing makes a student that sees nothing."""
    teacher = DATransNet(4)
    with torch.no_grad():
        teacher.outc[1].weight.zero_()
        teacher.outc[1].bias.fill_(-9.0)
    settings = replace(SMALL, steps=30, rate=5e-3, distil=1.0, mined=0.0, ema=0.5, validate_every=30)
    train([samples], [1.0], {"v": samples[:3]}, settings, tmp_path, teacher=teacher)
    state = torch.load(tmp_path / "best.pt", weights_only=True)
    student = DATransNet(4)
    student.load_state_dict(state["state_dict"])
    student.eval()
    with torch.no_grad():
        assert student(torch.rand(1, 1, 64, 64)).max() < -1.0
    assert towards_teacher(torch.full((1, 1, 4, 4), -9.0), torch.zeros(1, 1, 4, 4)).item() < 0.01


def test_recipes(tmp_path: Path) -> None:
    for name in presets():
        recipe = load_recipe(name)
        sets = {k: recipe.pop(k) for k in ("data", "validation", "negatives", "init", "teacher") if k in recipe}
        assert settings_from(recipe, []).steps > 100, name
        assert all("folder" in t for k in ("data", "validation") for t in sets.get(k, [])), name
    authors = settings_from(load_recipe("authors"), ["seed=3", "augment.invert=0.25", "bf16=true"])
    assert (authors.optimiser, authors.loss, authors.batch, authors.clip) == ("adam", "soft_iou_pooled", 4, 0)
    assert (authors.seed, authors.augment.invert, authors.bf16, authors.augment.whole) == (3, 0.25, True, True)
    rates = [learning_rate(i, authors) for i in (0, 33149, 33151, 49724, 49726)]
    assert rates == pytest.approx([5e-4, 5e-4, 5e-5, 5e-5, 5e-6])
    for wrong in ("nosuch=1", "augment=1", "steps=many", "bf16=perhaps", "loss=no", "crop=100", "drops=a"):
        with pytest.raises(IrtrackError):
            settings_from({}, [wrong])
    with pytest.raises(IrtrackError, match="one of authors"):
        load_recipe("nosuch")
    (tmp_path / "bad.toml").write_text("a = [")
    with pytest.raises(IrtrackError, match="not valid TOML"):
        load_recipe(str(tmp_path / "bad.toml"))


def test_sets_on_the_command_line(tmp_path: Path) -> None:
    assert parse_set("a/b:train[:-60]@0.4") == {"folder": "a/b", "split": "train[:-60]", "share": 0.4}
    assert parse_set("a/b") == {"folder": "a/b", "split": ""}
    assert parse_set("a/b@3") == {"folder": "a/b", "split": "", "share": 3.0}
    odd = tmp_path / "with:colon@2"
    odd.mkdir()
    assert parse_set(str(odd)) == {"folder": str(odd)}
    with pytest.raises(IrtrackError, match="not a number"):
        parse_set("a@1.2.3")


def test_whole_images_are_resized_and_nothing_else(samples: list[Sample]) -> None:
    plain = AugmentSettings(whole=True, inject=0, invert=0, clutter=0, sensor=0)
    images, masks = training_batch(Mix([samples[:1]], [1.0]), [0, 1], 64, plain, (0, 0))
    assert np.array_equal(images[0], images[1])
    expected = cv2.resize(samples[0].image.astype(np.float32), (64, 64))
    assert np.abs(images[0, 0] * 255 - expected).max() <= 0.5
    assert masks[0].sum() > 0


def test_evaluation_of_a_perfect_network(samples: list[Sample]) -> None:
    class Oracle(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full_like(x, -9.0)

    figures, table = evaluate(Oracle(), samples)  # type: ignore[arg-type]
    assert figures["Pd"] == 0
    assert len(table) == len(samples)


def test_turned_images_are_all_eight(samples: list[Sample]) -> None:
    eight = turned(samples[:1])
    assert len({s.image.tobytes() + str(s.image.shape).encode() for s in eight}) == 8
    original = samples[0]
    for sample in eight:  # grey levels of the target go along with its mask
        assert sample.image[sample.mask].sum() == original.image[original.mask].sum()
        assert sample.mask.sum() == original.mask.sum()


def test_the_mean_of_weights(samples: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_folder(tmp_path / "set", samples)
    networks = []
    for seed, base in ((1, 4), (2, 4), (3, 8)):
        torch.manual_seed(seed)
        networks.append(DATransNet(base).eval())
        settings = {"img_size": 256, "base": base}
        torch.save({"state_dict": networks[-1].state_dict(), "settings": settings}, tmp_path / f"{seed}.pt")
    parts = [f"{tmp_path / '1.pt'}=3", str(tmp_path / "2.pt")]
    assert soup.main([str(tmp_path / "mean.pt"), *parts, "--val", str(tmp_path / "set")]) == 0
    assert capsys.readouterr().out.count("value") == 3
    mean = load_weights(str(tmp_path / "mean.pt")).network.state_dict()
    for key, (a, b) in {k: (networks[0].state_dict()[k], networks[1].state_dict()[k]) for k in mean}.items():
        if a.is_floating_point():
            assert torch.allclose(mean[key], 0.75 * a + 0.25 * b, atol=1e-6), key
    for wrong in (str(tmp_path / "3.pt"), f"{tmp_path / '2.pt'}=much", str(tmp_path / "none.pt")):
        assert soup.main([str(tmp_path / "no.pt"), parts[0], wrong, "--val", str(tmp_path / "set")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "no.pt").exists()


def test_backgrounds_are_seeded_pictures() -> None:
    a, b, c = (background(96, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert a.shape == (96, 96)
    assert a.std() > 3


def test_publishing_keeps_figures_with_the_weights(samples: list[Sample], tmp_path: Path) -> None:
    train([samples], [1.0], {"v": samples[:2]}, replace(SMALL, steps=2, mined=0.0), tmp_path / "run")
    entry = publish(tmp_path / "run" / "best.pt", "mine", "my images", "a note", tmp_path)
    assert entry["base"] == 4
    assert load_weights("mine", folder=tmp_path).network.base == 4
    figures = dict.fromkeys(KEPT, 1.0)
    (tmp_path / "eval.json").write_text(json.dumps({"figures": figures | {"images": 3}}))
    add_figures("mine", [f"my test={tmp_path / 'eval.json'}"], tmp_path)
    manifest = read_manifest(tmp_path)
    assert manifest["mine"]["measured"]["my test"] == figures
    assert manifest["mine"]["training_data"] == "my images"
    assert any(k.endswith("IoU") for k in manifest["mine"]["validation"])


@pytest.mark.parametrize("pair", ["base=6", "crop=100", "loss=none", "rate=fast"])
def test_settings_that_cannot_be_are_one_line(pair: str) -> None:
    with pytest.raises(ConfigError, match=pair.split("=")[0]):
        settings_from({}, [pair])


def test_pasted_targets_are_where_the_mask_says(samples: list[Sample]) -> None:
    """On a flat background a pasted target's brightest pixel lies in its mask, and nothing else changes."""
    rng = np.random.default_rng(3)
    flat, empty = np.full((96, 96), 60.0, np.float32), np.zeros((96, 96), bool)
    pasted = 0
    for donor in samples:
        image, mask = paste_target(flat, empty, donor, rng)
        if not mask.any():
            assert np.array_equal(image, flat)
            continue
        pasted += 1
        change = np.abs(image - flat)
        assert mask[np.unravel_index(change.argmax(), change.shape)]
        near = cv2.dilate(mask.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        assert (change[~near] < 1).all()
    assert pasted > 0
    donor = Sample("none", np.zeros((40, 40), np.uint8), np.zeros((40, 40), bool))
    assert lift_target(donor, rng) is None


def test_erased_targets_are_gone(samples: list[Sample]) -> None:
    for sample in samples:
        out = erased(sample)
        assert not out.mask.any()
        far = cv2.dilate(sample.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
        assert np.array_equal(out.image[far], sample.image[far])
        if sample.mask.any():
            assert np.ptp(out.image[sample.mask]) < np.ptp(
                sample.image[cv2.dilate(sample.mask.astype(np.uint8), None) > 0]
            )


def test_augmented_batches_with_pasted_and_erased_targets(samples: list[Sample]) -> None:
    settings = AugmentSettings(paste=1.0, erase=1.0, inject=0.0, clutter=0.0, sensor=0.0, zoom=0.0)
    mix = Mix([samples], [1.0])
    images, masks = training_batch(mix, range(6), 64, settings, (1, 2))
    again, _ = training_batch(mix, range(6), 64, settings, (1, 2))
    assert np.array_equal(images, again)
    assert masks.any((1, 2, 3)).sum() >= 1


@pytest.mark.parametrize("share", ["0", "-1", "nan", '"much"', "true"])
def test_shares_that_say_nothing_are_one_line(
    samples: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str], share: str
) -> None:
    make_folder(tmp_path / "set", samples)
    (tmp_path / "r.toml").write_text(f'steps = 1\n[[data]]\nfolder = "{tmp_path / "set"}"\nshare = {share}\n')
    assert main(["train", "--recipe", str(tmp_path / "r.toml"), "--out", str(tmp_path / "run")]) == 1
    assert "must be a number above 0" in capsys.readouterr().err


@pytest.mark.parametrize("left", [b"", b"step,loss\n2,1\n\xff\xfe\n9,1\nx", b"step,loss\n9,1\n"])
def test_a_damaged_log_is_gone_on_with(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "log.csv").write_bytes(left)
    trim_log(tmp_path / "log.csv", 4)
    path = tmp_path / "log.csv"
    assert (path.read_text().splitlines() if path.exists() else []) == (["step,loss", "2,1"] if b"2,1" in left else [])


def test_code_in_a_state_never_runs(samples: list[Sample], tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return (Path.touch, (tmp_path / "exploded",))

    (tmp_path / "run").mkdir()
    torch.save({"settings": Bomb()}, tmp_path / "run" / "last.pt")
    with pytest.raises(IrtrackError):
        train([samples], [1.0], {}, SMALL, tmp_path / "run")
    assert not (tmp_path / "exploded").exists()


def test_a_damaged_state_is_one_line(samples: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for data in (b"", b"PK", bytes(400)):
        (tmp_path / "run" / "last.pt").write_bytes(data)
        with pytest.raises(IrtrackError, match="delete it to begin anew"):
            train([samples], [1.0], {}, SMALL, tmp_path / "run")


def test_an_option_given_twice_counts_twice(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The first of two --set is not lost without a word."""
    assert main(["train", "--out", str(tmp_path / "run"), "--set", "stepz=5", "--set", "batch=1"]) != 0
    assert "stepz" in capsys.readouterr().err
