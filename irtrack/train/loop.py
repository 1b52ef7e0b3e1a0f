"""The training loop: small, seeded, resumable at any step after a kill.

A crop is a function of (seed, step, position) and all else that changes is in `last.pt`, written through a temporary
file, so a resumed run equals the uninterrupted one.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from irtrack.core import Floats, IrtrackError
from irtrack.detect.inference import prepare
from irtrack.detect.network import DATransNet
from irtrack.detect.weights import first_words
from irtrack.train.augment import Mix, training_batch
from irtrack.train.data import Sample
from irtrack.train.evaluation import evaluate_sets, turned
from irtrack.train.journal import Journal, panel
from irtrack.train.losses import LOSSES, towards_teacher
from irtrack.train.mining import mine
from irtrack.train.optimisers import Muon, make_optimiser
from irtrack.train.parallel import Team, team
from irtrack.train.settings import TrainSettings, drop_fractions

PRIOR_LOGIT = -4.0
"""First bias of the output: targets are rare, and a start at 0 spends hundreds of steps on learning just that."""


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, then a cosine to zero or steps down."""
    if step < settings.warmup:
        return settings.rate * (step + 1) / settings.warmup
    progress = min((step - settings.warmup) / max(settings.steps - settings.warmup, 1), 1.0)
    if settings.schedule == "steps":
        return settings.rate * 0.1 ** sum(progress >= at for at in drop_fractions(settings))
    return settings.rate * 0.5 * (1 + math.cos(math.pi * progress))


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


@dataclass
class Run:
    """All that changes while training."""

    network: DATransNet
    average: DATransNet
    optimiser: torch.optim.Optimizer | Muon
    step: int = 0
    best: dict[str, float] = field(default_factory=lambda: {"value": -math.inf})
    running: float = 0.0
    spots: Floats = field(default_factory=lambda: np.zeros((0, 4)))

    def save(self, path: Path, settings: TrainSettings) -> None:
        """All state, to go on from."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "spots": torch.from_numpy(self.spots),
            "settings": asdict(settings),
        }
        atomic_save(state | {"step": self.step, "best": self.best, "running": self.running}, path)

    def load(self, path: Path, settings: TrainSettings, device: str) -> None:
        """Go on from there. Raises IrtrackError where the file is of another run."""
        try:
            state = torch.load(path, map_location=device, weights_only=True)
            saved = TrainSettings.from_dict(state["settings"])
            same = replace(saved, bf16=settings.bf16) == settings  # another machine's arithmetic may go on with it
        except IrtrackError:
            same = False
        except Exception as error:  # whatever torch's unpickler stumbles over
            raise IrtrackError(f"{path} cannot be read: delete it to begin anew ({first_words(error)})") from error
        if not same:
            raise IrtrackError(f"{path} was made with other settings: choose another folder or delete it")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.best, self.running = state["step"], state["best"], state["running"]
        if "spots" in state:
            self.spots = state["spots"].cpu().numpy()


def start(settings: TrainSettings, device: str, init: dict[str, Tensor] | None) -> Run:
    """A run at step 0, from `init` or from random weights."""
    torch.manual_seed(settings.seed)
    network = DATransNet(settings.base, settings.img_size).to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if init is not None:
        network.load_state_dict(init)
    else:
        torch.nn.init.constant_(network.outc[1].bias, PRIOR_LOGIT)  # type: ignore[arg-type]
    average = DATransNet(settings.base, settings.img_size).to(device).eval()
    average.load_state_dict(network.state_dict())
    return Run(network, average, make_optimiser(network, settings))


def train(
    sets: Sequence[Sequence[Sample]],
    shares: Sequence[float],
    validation: Mapping[str, Sequence[Sample]],
    settings: TrainSettings,
    out: Path,
    device: str = "cpu",
    init: dict[str, Tensor] | None = None,
    teacher: DATransNet | None = None,
    about: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Train, validate and keep `last.pt` (all state), `best.pt` (averaged weights), logs and panels in `out`.

    `init`: weights to start from instead of random ones. `teacher`: a trained network whose scores the loss follows
    too (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015). `about`: kept in `best.pt`. A run found
    in `out` is continued. The best checkpoint has the highest mean of validation IoU and Pd minus Fa / 10 over the
    sets. Returns its figures. Raises IrtrackError.
    """
    out.mkdir(parents=True, exist_ok=True)
    with team(device) as us:
        run = start(settings, us.device, init)
        last = out / "last.pt"
        if last.exists():
            run.load(last, settings, us.device)
        if teacher is not None:
            teacher = teacher.to(us.device).eval().requires_grad_(False)
        wrapped = us.wrap(run.network)
        if not us.first:
            fit(run, wrapped, sets, shares, settings, us, teacher, None)
            return run.best
        with Journal(out, run.step) as journal:
            keeper = Keeper(out, validation, settings, us.device, journal, dict(about or {}))
            fit(run, wrapped, sets, shares, settings, us, teacher, keeper)
    return run.best


def fit(
    run: Run,
    wrapped: nn.Module,
    sets: Sequence[Sequence[Sample]],
    shares: Sequence[float],
    settings: TrainSettings,
    us: Team,
    teacher: DATransNet | None,
    keeper: Keeper | None,
) -> None:
    """The steps from `run.step` to the last. `wrapped`: the network as the team sees it."""
    bar = tqdm(total=settings.steps, initial=run.step, unit="step", disable=None if us.first else True)
    loss_of, kind = LOSSES[settings.loss], us.device.partition(":")[0]
    while run.step < settings.steps:
        step = run.step
        mining = (
            settings.mined and step >= settings.mine_from and (step - settings.mine_from) % settings.mine_every == 0
        )
        if mining:
            key = (settings.seed, step)
            spots = mine(run.average, sets, shares, settings.mine_images, key, us.device) if us.first else None
            run.spots = us.from_first(spots)
        mix = Mix(sets, shares, run.spots, settings.mined)
        images, masks = training_batch(
            mix, us.part(settings.batch), settings.crop, settings.augment, (settings.seed, step)
        )
        x = torch.from_numpy(images).to(us.device, memory_format=torch.channels_last)
        y = torch.from_numpy(masks).to(us.device)
        for group in run.optimiser.param_groups:
            group["lr"] = learning_rate(step, settings) * group.get("factor", 1.0)
        wrapped.train()
        run.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(kind, torch.bfloat16, enabled=settings.bf16):
            logits = wrapped(x)
            taught = scores_of(teacher, x)
        loss = loss_of(logits.float(), y)
        if taught is not None:
            loss = (1 - settings.distil) * loss + settings.distil * towards_teacher(logits.float(), taught)
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.clip:
            torch.nn.utils.clip_grad_norm_(run.network.parameters(), settings.clip)
        run.optimiser.step()
        update_average(run.average, run.network, settings.ema, step)
        run.step += 1
        value = loss.item()
        if not math.isfinite(value):
            raise IrtrackError(f"the loss is {value} at step {run.step}: lower the rate (now {settings.rate:g})")
        run.running = 0.98 * run.running + 0.02 * value if run.step > 1 else value
        bar.update()
        if keeper is not None:
            keeper.after_step(run, bar)
        if run.step % settings.validate_every == 0:
            us.wait()
    bar.close()


def scores_of(teacher: DATransNet | None, x: Tensor) -> Tensor | None:
    """The teacher's scores, without gradients."""
    if teacher is None:
        return None
    with torch.no_grad():
        return teacher(x).float().sigmoid()


@dataclass
class Keeper:
    """What the first process does beside the steps: prints, logs, validates and saves."""

    out: Path
    validation: Mapping[str, Sequence[Sample]]
    settings: TrainSettings
    device: str
    journal: Journal
    about: dict[str, Any]
    judged: Mapping[str, Sequence[Sample]] = field(init=False)
    """What the weights are judged by: the validation images, or those in all their turns."""

    def __post_init__(self) -> None:
        turns = self.settings.validate_turned
        self.judged = {n: turned(v) for n, v in self.validation.items()} if turns else self.validation

    def after_step(self, run: Run, bar: tqdm[Any]) -> None:
        """Whatever is due at `run.step`."""
        s, ended = self.settings, run.step == self.settings.steps
        if run.step % 20 == 0:
            bar.set_postfix(loss=f"{run.running:.4f}", refresh=False)
            self.journal.scalars(run.step, {"loss": run.running, "rate": learning_rate(run.step - 1, s)})
            if not sys.stderr.isatty():
                print(f"step {run.step}/{s.steps} loss {run.running:.4f}", flush=True)
        if self.validation and (run.step % s.validate_every == 0 or ended):
            self.validate(run)
        elif ended:
            run.best = {"step": run.step, "loss": run.running}
            self.ship(run)
        if run.step % s.save_every == 0 or ended:
            run.save(self.out / "last.pt", s)

    def validate(self, run: Run) -> None:
        """Figures of the averaged weights; the best are kept."""
        figures, value = evaluate_sets(prepare(run.average, torch.device(self.device)), self.judged, self.device)
        print(f"step {run.step} validation " + json.dumps(figures), flush=True)
        row = {"loss": run.running, "value": value} | flatten(figures)
        self.journal.validation(run.step, row)
        shown = [s for v in self.validation.values() for s in v[:: max(1, len(v) // max(self.settings.panels, 1))]]
        if self.settings.panels:
            chosen = shown[:: max(1, len(shown) // self.settings.panels)][: self.settings.panels]
            self.journal.panel(run.step, panel(run.average, chosen, self.device))
        if value > run.best["value"]:
            run.best = {"step": run.step} | row
            self.ship(run)

    def ship(self, run: Run) -> None:
        """The averaged weights as `best.pt`, with how they came to be."""
        weights = {"state_dict": run.average.state_dict(), "settings": asdict(self.settings)}
        atomic_save(weights | {"figures": run.best, "about": self.about}, self.out / "best.pt")


def flatten(figures: dict[str, dict[str, float]]) -> dict[str, float]:
    """{'nuaa': {'IoU': 1}} -> {'nuaa IoU': 1}."""
    return {f"{name} {key}": value for name, row in figures.items() for key, value in row.items()}
