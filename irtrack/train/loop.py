"""The training loop: small, seeded, resumable at any step after a kill.

A crop is a function of (seed, step, position) and all else that changes is in `last.pt`, written through a temporary
file, so a resumed run equals the uninterrupted one.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from irtrack.core import Floats, IrtrackError, SinkError
from irtrack.detect.cuda import upload
from irtrack.detect.inference import prepare
from irtrack.detect.network import DATransNet
from irtrack.detect.weights import first_words
from irtrack.sinks.target import claimed_folder
from irtrack.train.augment import Mix
from irtrack.train.data import Sample
from irtrack.train.evaluation import evaluate_sets, turned
from irtrack.train.feeding import batches
from irtrack.train.gpu import quick_steps, within_memory
from irtrack.train.journal import Journal, panel
from irtrack.train.losses import LOSSES, towards_teacher
from irtrack.train.mining import mine
from irtrack.train.native import operations_for
from irtrack.train.optimisers import Muon, make_optimiser
from irtrack.train.parallel import Team, team
from irtrack.train.settings import TrainSettings, drop_fractions

PRIOR_LOGIT = -4.0
"""First bias of the output: targets are rare, and a start at 0 spends hundreds of steps on learning just that."""

SETTLE = 20
"""Losses are looked at, and logged, each so many steps."""


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
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    with torch.no_grad():
        # All at once: one by one, some 300 small kernels are a part of a GPU's step.
        floats = [(a, b) for a, b in pairs if a.dtype.is_floating_point]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - decay)
        for a, b in pairs:
            if not a.dtype.is_floating_point:
                a.copy_(b)


def atomic_save(state: dict[str, Any], path: Path) -> None:
    """Write beside and rename: a kill leaves the old file or the new one, never half. Raises SinkError, as where the
    disk is full."""
    part = path.with_suffix(".part")
    try:
        torch.save(state, part)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # of a full disk torch only says that it is not where it should be
        part.unlink(missing_ok=True)
        why = getattr(error, "strerror", None) or "its disk may be full"
        raise SinkError(f"cannot write {path}: {why}; what was written before stays") from error


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
    losses: list[Tensor] = field(default_factory=list)
    """Of the steps that `running` does not know yet."""

    def settle(self, settings: TrainSettings) -> None:
        """Bring `running` up to date: here alone, not in each step, a GPU is waited for.

        Raises IrtrackError where a loss is no number.
        """
        first = self.step - len(self.losses) + 1
        values = torch.stack(self.losses).tolist() if self.losses else []
        self.losses.clear()
        for step, value in enumerate(values, first):
            if not math.isfinite(value):
                raise IrtrackError(f"the loss is {value} at step {step}: lower the rate (now {settings.rate:g})")
            self.running = 0.98 * self.running + 0.02 * value if step > 1 else value

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

    def load(self, path: Path, settings: TrainSettings) -> None:
        """Go on from there. Raises IrtrackError where the file is of another run."""
        try:
            # Into memory first: counts of steps stay there, where optimisers keep them, and the rest is copied over.
            state = torch.load(path, map_location="cpu", weights_only=True)
            saved = TrainSettings.from_dict(state["settings"])
            # Another machine's arithmetic may go on with it.
            same = replace(saved, bf16=settings.bf16, native=settings.native) == settings
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
            self.spots = state["spots"].numpy()


def start(settings: TrainSettings, device: str, init: dict[str, Tensor] | None) -> Run:
    """A run at step 0, from `init` or from random weights."""
    torch.manual_seed(settings.seed)
    network = DATransNet(settings.base, settings.img_size).to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.set_operations(operations_for(settings, device))
    if init is not None:
        network.load_state_dict(init)
    else:
        torch.nn.init.constant_(network.outc[1].bias, PRIOR_LOGIT)  # type: ignore[arg-type]
    average = DATransNet(settings.base, settings.img_size).to(device).eval()
    average = average.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
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
    workers: int = 0,
    validated: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Train, validate and keep `last.pt` (all state), `best.pt` (averaged weights), logs and panels in `out`.

    `init`: weights to start from instead of random ones. `teacher`: a trained network whose scores the loss follows
    too (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015). `about`: kept in `best.pt`. `workers`:
    processes that make batches, 0 for none; the weights are the same. `validated`: called when a validation, or the
    end, has been written down. A run found in `out` is continued. The best checkpoint has the highest value
    (`evaluate_sets`). Returns its figures. Raises IrtrackError, also while another run writes there.
    """
    with team(device) as us, claimed_folder(out) if us.first else nullcontext():
        run = start(settings, us.device, init)
        last = out / "last.pt"
        if last.exists():
            run.load(last, settings)
        elif left := next((out / name for name in ("best.pt", "log.csv") if (out / name).exists()), None):
            raise IrtrackError(f"{left} is there, and no last.pt to go on from: choose another folder, or delete it")
        if teacher is not None:
            teacher = teacher.to(us.device).eval().requires_grad_(False)
        wrapped = us.wrap(run.network)
        if not us.first:
            fit(run, wrapped, sets, shares, settings, us, teacher, None, workers)
            return run.best
        if not last.exists():
            run.save(last, settings)  # before all else, so that it is known whose that is
        with Journal(out, run.step) as journal:
            keeper = Keeper(out, validation, settings, us.device, journal, dict(about or {}), validated)
            fit(run, wrapped, sets, shares, settings, us, teacher, keeper, workers)
    return run.best


class Watcher(Protocol):
    """Who looks on."""

    def after_step(self, run: Run, bar: tqdm[Any]) -> None:
        """Called behind each step; at each `SETTLE`-th, the last, and where a validation or save is due, `run` is
        settled."""


def fit(
    run: Run,
    wrapped: nn.Module,
    sets: Sequence[Sequence[Sample]],
    shares: Sequence[float],
    settings: TrainSettings,
    us: Team,
    teacher: DATransNet | None,
    watcher: Watcher | None,
    workers: int = 0,
) -> None:
    """The steps from `run.step` to the last. `wrapped`: the network as the team sees it. `workers`: of `batches`."""
    watched = tqdm(total=settings.steps, initial=run.step, unit="step", disable=None if us.first else True)
    with within_memory(settings.batch, settings.crop), watched as bar:
        while run.step < settings.steps:
            if mines_at(run.step, settings):
                run.settle(settings)  # a loss that is no number says more than scores that are none
                key = (settings.seed, run.step)
                spots = mine(run.average, sets, shares, settings.mine_images, key, us.device) if us.first else None
                run.spots = us.from_first(spots)
            # Batches are made ahead as far as the next mining, which changes what they are drawn from.
            ahead = range(run.step + 1, settings.steps)
            stretch = range(run.step, next((s for s in ahead if mines_at(s, settings)), settings.steps))
            mix = Mix(sets, shares, run.spots, settings.mined)
            with closing(batches(mix, us.part(settings.batch), settings, stretch, workers)) as made:
                for images, masks in made:
                    x, y = (upload(torch.from_numpy(a), torch.device(us.device)) for a in (images, masks))
                    with quick_steps(us.device):
                        advance(run, wrapped, x.to(memory_format=torch.channels_last), y, settings, teacher)
                    due = any(run.step % n == 0 for n in (SETTLE, settings.validate_every, settings.save_every))
                    if due or run.step == settings.steps:
                        run.settle(settings)
                    bar.update()
                    if watcher is not None:
                        watcher.after_step(run, bar)
                    if run.step % settings.validate_every == 0:
                        us.wait()


def mines_at(step: int, settings: TrainSettings) -> bool:
    """Whether hard spots are looked for before this step."""
    since = step - settings.mine_from
    return settings.mined > 0 and since >= 0 and since % settings.mine_every == 0


def advance(
    run: Run, wrapped: nn.Module, x: Tensor, y: Tensor, settings: TrainSettings, teacher: DATransNet | None
) -> None:
    """One step on crops x and masks y (B, 1, H, W)."""
    loss = loss_of(run, wrapped, x, y, settings, teacher)
    loss.backward()  # type: ignore[no-untyped-call]
    follow(run, settings)
    run.losses.append(loss.detach())
    run.step += 1


def loss_of(
    run: Run, wrapped: nn.Module, x: Tensor, y: Tensor, settings: TrainSettings, teacher: DATransNet | None = None
) -> Tensor:
    """The loss of a step, with no gradients left from the one before."""
    wrapped.train()
    run.optimiser.zero_grad(set_to_none=True)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.bf16):
        logits = wrapped(x)
        taught = scores_of(teacher, x)
    loss = LOSSES[settings.loss](logits.float(), y)
    if taught is not None:
        loss = (1 - settings.distil) * loss + settings.distil * towards_teacher(logits.float(), taught)
    return loss


def follow(run: Run, settings: TrainSettings) -> None:
    """Move the weights along their gradients, and their averages behind them."""
    for group in run.optimiser.param_groups:
        group["lr"] = learning_rate(run.step, settings) * group.get("factor", 1.0)
    if settings.clip:
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), settings.clip)
    run.optimiser.step()
    update_average(run.average, run.network, settings.ema, run.step)


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
    validated: Callable[[], None]
    judged: Mapping[str, Sequence[Sample]] = field(init=False)
    """What the weights are judged by: the validation images, or those in all their turns."""

    def __post_init__(self) -> None:
        turns = self.settings.validate_turned
        self.judged = {n: turned(v) for n, v in self.validation.items()} if turns else self.validation

    def after_step(self, run: Run, bar: tqdm[Any]) -> None:
        """Whatever is due at `run.step`."""
        s, ended = self.settings, run.step == self.settings.steps
        if run.step % SETTLE == 0:
            bar.set_postfix(loss=f"{run.running:.4f}", refresh=False)
            self.journal.scalars(run.step, {"loss": run.running, "rate": learning_rate(run.step - 1, s)})
            if not sys.stderr.isatty():
                print(f"step {run.step}/{s.steps} loss {run.running:.4f}", flush=True)
        if self.validation and (run.step % s.validate_every == 0 or ended):
            self.validate(run)
        elif ended:
            run.best = {"step": run.step, "loss": run.running}
            self.ship(run)
            self.validated()
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
        self.validated()

    def ship(self, run: Run) -> None:
        """The averaged weights as `best.pt`, with how they came to be."""
        tensors = {k: v.cpu() for k, v in run.average.state_dict().items()}  # for readers without a GPU
        weights = {"state_dict": tensors, "settings": asdict(self.settings)}
        atomic_save(weights | {"figures": run.best, "about": self.about}, self.out / "best.pt")


def flatten(figures: dict[str, dict[str, float]]) -> dict[str, float]:
    """{'nuaa': {'IoU': 1}} -> {'nuaa IoU': 1}."""
    return {f"{name} {key}": value for name, row in figures.items() for key, value in row.items()}
