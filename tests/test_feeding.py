"""Batches made ahead by other processes, and what training does on a GPU."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from training_sets import GUARD_S, TINY, labelled, marked, started, step_of, wait_for, weights_of, write_set

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

SMALL = TrainSettings(
    base=4, steps=7, batch=2, crop=32, warmup=2, validate_every=7, mined=0.5, mine_from=2, mine_every=3, panels=0
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, and looked for in /proc")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [labelled(seed) for seed in range(12)]


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


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_training_that_is_stopped_leaves_no_process(
    samples: list[Sample], tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C goes to all processes of a terminal; a kill to the main one alone."""
    write_set(tmp_path / "set", samples, {"train": slice(0, None)})
    run, mark = tmp_path / "run", uuid.uuid4().hex
    words = [sys.executable, str(ROOT / "main.py"), "train", "--data", f"{tmp_path / 'set'}:train"]
    words += ["--out", str(run), "--workers", "2", "--set", *TINY, "steps=100000", "save_every=1"]
    with started(words, mark) as begun:
        wait_for(lambda: step_of(run) > 0 or begun.poll() is not None)
        assert len(marked(mark)) == 3
        (os.killpg if number == signal.SIGINT else os.kill)(begun.pid, number)
        wait_for(lambda: not marked(mark))
        _, said = begun.communicate(timeout=GUARD_S)
    if number == signal.SIGINT:
        assert begun.returncode == 130
        assert [line for line in said.splitlines() if b"irtrack" in line or b"rror" in line] == [b"irtrack: stopped"]
