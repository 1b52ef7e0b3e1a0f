"""The training loop: small, seeded, resumable at any step after a kill.

A crop is a function of (seed, step, position) and all else that changes is in `last.pt`, written through a temporary
file, so a resumed run equals the uninterrupted one.
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from irtrack.config import Checked, option
from irtrack.core import IrtrackError
from irtrack.detect.network import DATransNet
from irtrack.train.augment import AugmentSettings, training_batch
from irtrack.train.data import Sample
from irtrack.train.evaluation import evaluate
from irtrack.train.losses import LOSSES


@dataclass(frozen=True)
class TrainSettings(Checked):
    """A training run; saved in its checkpoint."""

    base: int = option(16, "channels of the first level: 16 is the paper's network, 8 the slim one", low=4, high=64)
    img_size: int = option(256, "training size of the attention scale, a constant of the weights", unit="px", low=32)
    steps: int = option(4000, "optimiser steps in all", low=1)
    batch: int = option(8, "crops in a step", low=1)
    crop: int = option(128, "side of a crop, a multiple of 32", unit="px", low=32)
    rate: float = option(1.5e-3, "peak learning rate of AdamW", low=0.0)
    warmup: int = option(100, "steps of linear warm-up", low=0)
    weight_decay: float = option(1e-2, "decoupled weight decay", low=0.0)
    clip: float = option(1.0, "largest norm of the gradient", low=0.0)
    ema: float = option(0.998, "decay of the averaged weights, which are evaluated and shipped", low=0.0, high=1.0)
    loss: str = option("soft_iou_bce", "one of " + ", ".join(LOSSES))
    validate_every: int = option(400, "steps between validations", low=1)
    save_every: int = option(50, "steps between saves of last.pt", low=1)
    seed: int = option(0, "seed of weights and crops", low=0)
    augment: AugmentSettings = field(default=AugmentSettings())


PRIOR_LOGIT = -4.0
"""First bias of the output: targets are rare, and a start at 0 spends hundreds of steps on learning just that."""


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < settings.warmup:
        return settings.rate * (step + 1) / settings.warmup
    progress = (step - settings.warmup) / max(settings.steps - settings.warmup, 1)
    return settings.rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def update_average(average: DATransNet, network: DATransNet, decay: float, step: int) -> None:
    """Exponential moving average of every parameter and buffer; the decay rises from 0 so that early steps fade."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for a, b in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if a.dtype.is_floating_point:
                a.lerp_(b, 1 - decay)
            else:
                a.copy_(b)


def atomic_save(state: dict[str, Any], path: Path) -> None:
    """Write beside and rename: a kill leaves the old file or the new one, never half."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def train(
    sets: Sequence[Sequence[Sample]],
    shares: Sequence[float],
    validation: Mapping[str, Sequence[Sample]],
    settings: TrainSettings,
    out: Path,
    device: str = "cpu",
    init: dict[str, Tensor] | None = None,
) -> dict[str, float]:
    """Train, validate and keep `last.pt` (all state), `best.pt` (averaged weights) and `log.csv` in `out`.

    `init`: weights to start from instead of random ones. A run found in `out` is continued. The best checkpoint has
    the highest mean of validation IoU and Pd minus Fa / 10 over the sets. Returns its figures.
    """
    if settings.loss not in LOSSES:
        raise IrtrackError(f"unknown loss {settings.loss!r}: it is one of {', '.join(LOSSES)}")
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    network = DATransNet(settings.base, settings.img_size).to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if init is not None:
        network.load_state_dict(init)
    else:
        torch.nn.init.constant_(network.outc[1].bias, PRIOR_LOGIT)  # type: ignore[arg-type]
    average = DATransNet(settings.base, settings.img_size).to(device).eval()
    average.load_state_dict(network.state_dict())
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=settings.rate)
    step, best, running = 0, {"value": -math.inf}, 0.0
    last = out / "last.pt"
    if last.exists():
        state = torch.load(last, map_location=device, weights_only=True)
        if state["settings"] != asdict(settings):
            raise IrtrackError(f"{last} was made with other settings: choose another folder or delete it")
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, best, running = state["step"], state["best"], state["running"]
    log_path = out / "log.csv"
    loss_of, started = LOSSES[settings.loss], time.monotonic()
    while step < settings.steps:
        images, masks = training_batch(
            sets, shares, settings.batch, settings.crop, settings.augment, (settings.seed, step)
        )
        x = torch.from_numpy(images).to(device, memory_format=torch.channels_last)
        y = torch.from_numpy(masks).to(device)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, settings)
        network.train()
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(network(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        optimiser.step()
        update_average(average, network, settings.ema, step)
        step += 1
        running = 0.98 * running + 0.02 * loss.item() if step > 1 else loss.item()
        if step % 20 == 0:
            print(f"step {step}/{settings.steps} loss {running:.4f} {time.monotonic() - started:.0f} s", flush=True)
        if step % settings.validate_every == 0 or step == settings.steps:
            figures = {name: evaluate(average, samples, device=device)[0] for name, samples in validation.items()}
            value = sum(f["IoU"] + f["Pd"] - f["Fa_1e-6"] / 10 for f in figures.values()) / max(len(figures), 1)
            print(f"step {step} validation " + json.dumps(figures), flush=True)
            append_row(log_path, {"step": step, "loss": running, "value": value} | flatten(figures))
            if value > best["value"]:
                best = {"value": value, "step": step} | flatten(figures)
                atomic_save(
                    {"state_dict": average.state_dict(), "settings": asdict(settings), "figures": best}, out / "best.pt"
                )
        if step % settings.save_every == 0 or step == settings.steps:
            state = {
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
            }
            atomic_save(state | {"step": step, "best": best, "running": running, "settings": asdict(settings)}, last)
    return best


def flatten(figures: dict[str, dict[str, float]]) -> dict[str, float]:
    """{'nuaa': {'IoU': 1}} -> {'nuaa IoU': 1}."""
    return {f"{name} {key}": value for name, row in figures.items() for key, value in row.items()}


def append_row(path: Path, row: dict[str, float]) -> None:
    """Add a row to the CSV log, with a header when it is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
