"""Tiny labelled sets, and processes that are found again by a mark in their environment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from conftest import ROOT

from irtrack.train.data import Sample

GUARD_S = 800.0
"""Far above what anything here takes: only a hang gets there."""

TINY = ("base=4", "batch=2", "crop=32", "panels=0", "bf16=false", "validate_turned=false")


def labelled(seed: int, side: int = 64) -> Sample:
    """A noisy picture with one bright target."""
    rng = np.random.default_rng(seed)
    image, mask = rng.normal(90, 8, (side, side)), np.zeros((side, side), bool)
    y, x = rng.integers(8, side - 12, 2)
    mask[y : y + 3, x : x + 4] = True
    image[mask] += 90
    return Sample(f"{seed}", image.clip(0, 255).astype(np.uint8), mask)


def write_set(folder: Path, samples: list[Sample], lists: dict[str, slice], masks: bool = True) -> None:
    for kind in ("images", "masks", "img_idx")[: 3 if masks else 1]:
        (folder / kind).mkdir(parents=True)
    for s in samples:
        cv2.imwrite(str(folder / "images" / f"{s.name}.png"), s.image)
        if masks:
            cv2.imwrite(str(folder / "masks" / f"{s.name}.png"), s.mask.astype(np.uint8) * 255)
    for name, part in lists.items():
        (folder / "img_idx" / f"{name}.txt").write_text("\n".join(s.name for s in samples[part]))


def environment(mark: str = "") -> dict[str, str]:
    alone = {"OMP_NUM_THREADS": "1"}  # pictures this small gain nothing from more
    return os.environ | alone | {"PYTHONPATH": str(ROOT), "IRTRACK_TEST_MARK": mark}


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


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """All that a run changes, from where it was saved."""
    state = torch.load(folder / "last.pt", weights_only=True)
    return state["network"] | {f"average.{k}": v for k, v in state["average"].items()} | {"spots": state["spots"]}


@contextlib.contextmanager
def started(words: Sequence[str], mark: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a session of its own; it is killed where the test fails before it has ended."""
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(mark), start_new_session=True
    ) as begun:
        try:
            yield begun
        finally:
            if begun.poll() is None:
                os.killpg(begun.pid, signal.SIGKILL)


def step_of(folder: Path) -> int:
    """How far a run is by what it saved; -1 before that."""
    path = folder / "last.pt"
    return int(torch.load(path, weights_only=True)["step"]) if path.exists() else -1


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GUARD_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.02)
