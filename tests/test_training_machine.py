"""Training on a machine with many cores and a GPU: batches made ahead, the tool that trains all models in a time."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import train_models

from irtrack.core import ConfigError, IrtrackError
from irtrack.detect.directional import apply_attention, attention_by_values
from irtrack.train import feeding
from irtrack.train.augment import AugmentSettings, Mix, training_batch
from irtrack.train.data import Sample
from irtrack.train.gpu import quick_steps, within_memory
from irtrack.train.loop import start as loop_start
from irtrack.train.loop import train
from irtrack.train.losses import LOSSES
from irtrack.train.settings import TrainSettings

MODELS = ("general", "slim", "nudt", "nuaa", "irstd1k")
GUARD_S = 240.0
"""Far above what anything here takes: only a hang gets there."""

SMALL = TrainSettings(
    base=4, steps=7, batch=2, crop=32, warmup=2, validate_every=7, mined=0.5, mine_from=2, mine_every=3, panels=0
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, and looked for in /proc")


def labelled(seed: int, side: int = 64) -> Sample:
    """A noisy picture with one bright target."""
    rng = np.random.default_rng(seed)
    image, mask = rng.normal(90, 8, (side, side)), np.zeros((side, side), bool)
    y, x = rng.integers(8, side - 12, 2)
    mask[y : y + 3, x : x + 4] = True
    image[mask] += 90
    return Sample(f"{seed}", image.clip(0, 255).astype(np.uint8), mask)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [labelled(seed) for seed in range(12)]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "last.pt", weights_only=True)
    return state["network"] | {f"average.{k}": v for k, v in state["average"].items()} | {"spots": state["spots"]}


@linux
def test_batches_made_ahead_are_those_of_the_main_thread(samples: list[Sample], tmp_path: Path) -> None:
    """Across two minings, each of which changes what the next crops are drawn from."""
    torch.set_num_threads(1)
    for workers in (0, 2):
        train([samples], [1.0], {"v": samples[:2]}, SMALL, tmp_path / f"{workers}", workers=workers)
    alone, ahead = weights_of(tmp_path / "0"), weights_of(tmp_path / "2")
    assert len(alone["spots"]) > 0
    assert all(torch.equal(alone[k], ahead[k]) for k in alone)
    unmined = replace(SMALL, mined=0.0)
    train([samples], [1.0], {"v": samples[:2]}, unmined, tmp_path / "unmined", workers=2)
    other = weights_of(tmp_path / "unmined")
    assert not all(torch.equal(alone[k], other[k]) for k in alone if k != "spots")  # so minings do change crops
    assert multiprocessing.active_children() == []


def test_processes_that_are_not_forked_get_the_images_too(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows and macOS; there each of them imports the program's file, which must not run it again."""
    monkeypatch.setattr(feeding, "context", lambda: multiprocessing.get_context("spawn"))
    mix = Mix([samples], [1.0])
    made = [list(feeding.batches(mix, range(2), SMALL, range(3), workers)) for workers in (0, 1)]
    assert all(np.array_equal(a, b) for one, other in zip(*made, strict=True) for a, b in zip(one, other, strict=True))
    monkeypatch.setattr(sys, "argv", ["main.py", "nonsense"])
    for file in ("main.py", "irtrack/__main__.py"):
        runpy.run_path(str(ROOT / file), run_name="__mp_main__")


def test_batches_in_bytes_are_the_same_batches(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    half_known = [replace(s, ignore=np.roll(s.mask, 9, 0) & ~s.mask) for s in samples]
    mix = Mix([half_known], [1.0])
    made = training_batch(mix, range(6), 64, AugmentSettings(), (1, 2))
    monkeypatch.setattr(feeding, "_make", lambda step: made)
    again = feeding.unpacked(feeding.packed(0))
    assert set(np.unique(made[1])) == {-1.0, 0.0, 1.0}
    for a, b in zip(made, again, strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)


def fails_at(step: int, how: Callable[[], object]) -> Callable[..., object]:
    def made(*given: object) -> object:
        if given[-1] == (SMALL.seed, step):
            how()
        return training_batch(*given)  # type: ignore[arg-type]

    return made


def wrong() -> None:
    raise ValueError("no such crop\nand more of it")


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@linux
@pytest.mark.parametrize(
    ("how", "said"), [(wrong, "step 3 cannot be made (ValueError: no such crop)"), (killed, "was killed")]
)
def test_what_fails_in_a_process_is_one_line_and_leaves_none(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[], object], said: str
) -> None:
    monkeypatch.setattr(feeding, "training_batch", fails_at(3, how))
    with pytest.raises(IrtrackError) as raised:
        train([samples], [1.0], {}, replace(SMALL, mined=0.0), tmp_path, workers=2)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert multiprocessing.active_children() == []


def test_how_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert [feeding.workers_for(d, None) for d in (cpu, cuda)] == [0, 7]
    assert [feeding.workers_for(d, 3) for d in (cpu, cuda)] == [3, 3]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert feeding.workers_for(cuda, None) == 1
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    assert feeding.workers_for(cuda, None) == 16
    with pytest.raises(ConfigError, match="--workers -1"):
        feeding.workers_for(cpu, -1)


def test_a_loss_that_is_no_number_is_named_with_its_step(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return logits.mean() * (float("nan") if calls == 3 else 1.0)

    monkeypatch.setitem(LOSSES, SMALL.loss, loss)
    with pytest.raises(IrtrackError, match="the loss is nan at step 3"):
        train([samples], [1.0], {"v": samples[:2]}, SMALL, tmp_path)
    assert not (tmp_path / "best.pt").exists()


@pytest.mark.parametrize("shifts", [(1, 3), (1,)])
def test_attention_of_several_pictures_by_values_is_the_same(shifts: tuple[int, ...]) -> None:
    """What a GPU computes, and its gradients, beside what a CPU does picture by picture."""
    torch.manual_seed(0)
    heads, hidden, channels = len(shifts), 4, 5

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    x, attention = random(3, channels, 16, 24), random(3, heads, hidden, 8 * hidden)
    kernels = [random(8 * hidden, channels, 3, 3) for _ in shifts]
    padded = [torch.nn.functional.pad(x, (d,) * 4, mode="reflect") for d in shifts]
    results = [form(padded, attention, kernels, shifts) for form in (apply_attention, attention_by_values)]
    ahead = torch.randn_like(results[0])
    grads = [torch.autograd.grad(r, [x, attention, *kernels], ahead, retain_graph=True) for r in results]
    for one, other in zip((results[0], *grads[0]), (results[1], *grads[1]), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-10)


def test_arithmetic_of_a_gpu_is_for_steps_alone() -> None:
    def state() -> tuple[object, ...]:
        matmul = torch.backends.cuda.matmul
        short = matmul.allow_bf16_reduced_precision_reduction
        return torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision(), short

    before = state()
    with quick_steps("cpu"):
        assert state() == before
    with quick_steps("cuda:0"):
        assert state() == (True, "high", False)
    assert state() == before
    with pytest.raises(IrtrackError, match="--set batch=8"), within_memory(16, 256):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_training_on_a_gpu(samples: list[Sample], tmp_path: Path) -> None:
    """A step's logits and gradients are those of a CPU; a run there ends, goes on, and is read without a GPU."""
    results = []
    for device in ("cpu", "cuda"):
        network = loop_start(SMALL, device, None).network
        batch = torch.from_numpy(np.stack([s.grey for s in samples[:3]]))[:, None].to(device)
        logits = network(batch)
        logits.sum().backward()
        grads = [p.grad.cpu() for p in network.parameters() if p.grad is not None]
        results.append([logits.detach().cpu(), *grads])
    for one, other in zip(*results, strict=True):
        assert (one - other).norm() <= 0.02 * one.norm() + 1e-3
    for steps in (3, 7):  # the first as if it were killed
        settings = replace(SMALL, bf16=True, optimiser="muon", save_every=1)
        with pytest.MonkeyPatch.context() as patch:
            if steps == 3:
                patch.setattr(feeding, "training_batch", fails_at(3, wrong))
                with pytest.raises(IrtrackError, match="step 3"):
                    train([samples], [1.0], {"v": samples[:2]}, settings, tmp_path, "cuda", workers=2)
            else:
                train([samples], [1.0], {"v": samples[:2]}, settings, tmp_path, "cuda", workers=2)
        assert torch.load(tmp_path / "last.pt", map_location="cpu", weights_only=True)["step"] == steps
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert all(v.device.type == "cpu" for v in best["state_dict"].values())
    assert all(v.isfinite().all() for v in best["state_dict"].values())


def write_set(folder: Path, samples: list[Sample], lists: dict[str, slice], masks: bool = True) -> None:
    for kind in ("images", "masks", "img_idx")[: 3 if masks else 1]:
        (folder / kind).mkdir(parents=True)
    for s in samples:
        cv2.imwrite(str(folder / "images" / f"{s.name}.png"), s.image)
        if masks:
            cv2.imwrite(str(folder / "masks" / f"{s.name}.png"), s.mask.astype(np.uint8) * 255)
    for name, part in lists.items():
        (folder / "img_idx" / f"{name}.txt").write_text("\n".join(s.name for s in samples[part]))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny sets with the names and lists that the recipes want."""
    root, rest = tmp_path_factory.mktemp("packed"), slice(0, None)
    first, last = slice(0, 4), slice(4, 6)
    write_set(root / "NUAA-SIRST", [labelled(100 + i) for i in range(6)], {"train_idx427": first, "val_idx427": last})
    write_set(root / "NUDT-SIRST", [labelled(200 + i) for i in range(64)], {"train_NUDT-SIRST": rest})
    write_set(root / "IRSTD-1k", [labelled(300 + i) for i in range(64)], {"train_IRSTD-1K": rest})
    for number, name in enumerate(("drone", "uav", "hit")):
        write_set(root / name, [labelled(400 + 10 * number + i) for i in range(6)], {"train": first, "val": last})
    for number, name in enumerate(("empty", "rendered")):
        write_set(root / name, [labelled(500 + 10 * number + i) for i in range(3)], {}, masks=False)
    return root


TINY = ("base=4", "batch=2", "crop=32", "panels=0", "bf16=false", "validate_turned=false")


def command(packed: Path, out: Path, *more: str, most: int = 3, pairs: tuple[str, ...] = ()) -> list[str]:
    tool = [sys.executable, str(ROOT / "tools" / "train_models.py"), str(packed), str(out)]
    return [*tool, "--device", "cpu", "--trial", "1", "--most-steps", str(most), *more, "--set", *TINY, *pairs]


def environment(mark: str = "") -> dict[str, str]:
    alone = {"OMP_NUM_THREADS": "1"}  # pictures this small gain nothing from more
    return os.environ | alone | {"PYTHONPATH": str(ROOT), "IRTRACK_TEST_MARK": mark}


def call(*args: object, **more: object) -> subprocess.CompletedProcess[str]:
    words = command(*args, **more)  # type: ignore[arg-type]
    return subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=GUARD_S, check=False)


def plan_of(folder: Path) -> dict[str, object]:
    plan: dict[str, object] = json.loads((folder / "plan.json").read_text())
    return plan


def test_all_models_are_trained_shipped_and_one_that_fails_stops_no_other(packed: Path, tmp_path: Path) -> None:
    out, ship = tmp_path / "out", tmp_path / "ship"
    (out / "nudt").mkdir(parents=True)
    (out / "nudt" / "last.pt").write_bytes(b"no checkpoint")
    done = call(packed, out, "--ship", str(ship), pairs=("validate_every=2",))
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("train_models")]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("train_models: nudt: ")
    assert "delete it to begin anew" in errors[0]
    trained = [name for name in MODELS if name != "nudt"]
    assert sorted(p.name for p in ship.iterdir()) == sorted(f"{n}.{kind}" for n in trained for kind in ("pt", "csv"))
    for name in trained:
        assert (ship / f"{name}.pt").read_bytes() == (out / name / "best.pt").read_bytes()
        assert [r.split(",")[0] for r in (ship / f"{name}.csv").read_text().splitlines()] == ["step", "2", "3"]
        state = torch.load(ship / f"{name}.pt", weights_only=True)
        assert state["settings"]["steps"] == 3
        assert state["settings"]["base"] == {"general": 16, "slim": 8}.get(name, 4)
        assert state["about"]["teacher"] == (str(out / "general" / "best.pt") if name == "slim" else "")
        assert f"{name:10s}       3" in done.stdout
    assert "nudt             -" in done.stdout

    (out / "nudt" / "last.pt").unlink()
    before = {name: (out / name / "best.pt").stat().st_mtime_ns for name in trained}
    (ship / "nuaa.pt").unlink()
    done = call(packed, out, "--ship", str(ship), pairs=("validate_every=2",))
    assert done.returncode == 0, done.stderr
    assert before == {name: (out / name / "best.pt").stat().st_mtime_ns for name in trained}
    assert torch.load(out / "nudt" / "last.pt", weights_only=True)["step"] == 3
    assert (ship / "nuaa.pt").exists()
    assert "not finished" not in done.stdout


def marked(mark: str) -> list[int]:
    """Processes that were started with this mark, by whomever, and have not ended."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and f"IRTRACK_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GUARD_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.02)


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_was_ended_goes_on_with_the_steps_once_chosen(
    packed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """The tool alone gets the signal: its own processes end with it."""
    out, mark = tmp_path / "out", uuid.uuid4().hex
    pairs = ("save_every=1", "validate_every=100000")
    words = command(packed, out, "--models", "nuaa", "--workers", "1", most=40, pairs=pairs)
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment(mark)) as begun:
        wait_for(lambda: (out / "nuaa" / "last.pt").exists() or begun.poll() is not None)
        begun.send_signal(number)
        _, said = begun.communicate(timeout=GUARD_S)
    wait_for(lambda: not marked(mark))
    if number == signal.SIGTERM:
        assert (begun.returncode, said.splitlines()[-1]) == (130, b"train_models: stopped; call again to go on")
        return
    kept = torch.load(out / "nuaa" / "last.pt", weights_only=True)
    assert 0 < kept["step"] < 40
    assert not plan_of(out / "nuaa")["finished"]
    done = call(packed, out, "--models", "nuaa", "--workers", "1", "--minutes", "1", most=3, pairs=pairs)
    assert done.returncode == 0, done.stderr
    ended = torch.load(out / "nuaa" / "last.pt", weights_only=True)
    assert ended["step"] == 40
    assert ended["settings"] == kept["settings"]
    assert plan_of(out / "nuaa")["finished"]


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_training_that_is_stopped_leaves_no_process(packed: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C goes to all processes of a terminal; a kill to the main one alone."""
    run, mark = tmp_path / "run", uuid.uuid4().hex
    words = [sys.executable, str(ROOT / "main.py"), "train", "--data", f"{packed / 'NUDT-SIRST'}:train_NUDT-SIRST"]
    words += ["--out", str(run), "--workers", "2", "--set", *TINY, "steps=100000", "save_every=1"]
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(mark), start_new_session=True
    ) as begun:
        wait_for(lambda: (run / "last.pt").exists() or begun.poll() is not None)
        assert len(marked(mark)) == 3
        (os.killpg if number == signal.SIGINT else os.kill)(begun.pid, number)
        wait_for(lambda: not marked(mark))
        _, said = begun.communicate(timeout=GUARD_S)
    if number == signal.SIGINT:
        assert begun.returncode == 130
        assert [line for line in said.splitlines() if b"irtrack" in line or b"rror" in line] == [b"irtrack: stopped"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--models", "general,nosuch"], "no model 'nosuch'"),
        (["--minutes", "0"], "--minutes, --trial and --most-steps must be above 0"),
        (["--models", ""], "--models names none"),
        (["--set", "stepps=3"], "unknown training setting 'stepps'"),
    ],
)
def test_wrong_words_are_one_line(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert train_models.main([str(packed), str(tmp_path / "out"), *more]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"train_models: {said}")
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_time_there_is_no_training(packed: Path, tmp_path: Path) -> None:
    done = call(packed, tmp_path / "out", "--models", "nuaa", "--minutes", "0.0001")
    assert done.returncode == 1
    assert "train_models: nuaa: no step fits into the 0 s that are left: give more --minutes" in done.stderr
    assert not (tmp_path / "out" / "nuaa" / "last.pt").exists()


def test_settings_for_a_gpu(tmp_path: Path) -> None:
    given = train_models.Given(tmp_path, tmp_path, "auto", [], None, None, 1, 1)
    settings = {name: train_models.settings_of(name, train_models.for_gpu(name, given)) for name in MODELS}
    assert {name: s.batch for name, s in settings.items()} == dict.fromkeys(MODELS, 16) | {"irstd1k": 8}
    assert all(s.bf16 for s in settings.values())
    assert all(s.rate == pytest.approx(5e-4 * 8**0.5, rel=0.01) for s in settings.values())  # eight times the recipe's
    asked = replace(given, pairs=["batch=4", "bf16=false"])
    for name in ("general", "irstd1k"):
        own = train_models.settings_of(name, [])
        made = train_models.settings_of(name, [*train_models.for_gpu(name, asked), *asked.pairs])
        assert (made.batch, made.bf16) == (4, False)
        assert made.rate == pytest.approx(own.rate * (4 / own.batch) ** 0.5, rel=0.01)
