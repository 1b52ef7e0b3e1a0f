#!/usr/bin/env python3
"""Train the models, one after the other, in a given time: `tools/train_models.py PACKED OUT [--minutes 25]`.

PACKED is made by `python -m irtrack.train.pack`. Each model has a share of the minutes that are left. What a step and a
validation take on this machine is measured first; as many steps as fit are chosen, and kept in OUT/NAME/plan.json, so
that the rate comes down to zero in time. Called again, it goes on where it stopped, also after a kill.

On a GPU batches are larger and arithmetic is bfloat16; `--set` overrules that. The slim network learns from the new
OUT/general/best.pt too, where there is one. With `--ship DIR` the best weights so far are always in DIR/NAME.pt, with
the log beside them: a lent machine may end at any moment and hand back no file above 16 MiB, and of the full network
best.pt has 9 MB, last.pt 26.

A model that fails is named in a line, the next ones go on, and the exit code is 1. See `models/README.md`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from irtrack.cli import EXIT_ERROR, make_parser, one_line
from irtrack.config import DEVICES
from irtrack.core import ConfigError, IrtrackError, Remarks
from irtrack.detect.detector import keep_large_blocks, pick_device
from irtrack.detect.inference import prepare
from irtrack.detect.weights import first_words
from irtrack.sinks.target import write_whole
from irtrack.stopping import INTERRUPTED, Stop, end_with_parent, signals_heard, signals_held
from irtrack.train.commands import Job, job_of
from irtrack.train.evaluation import evaluate_sets, turned
from irtrack.train.feeding import AHEAD
from irtrack.train.loop import Run, fit, mines_at, start
from irtrack.train.parallel import team
from irtrack.train.settings import TrainSettings, load_recipe, settings_from

SHARES = {"general": 0.3, "slim": 0.2, "nudt": 0.25, "nuaa": 0.1, "irstd1k": 0.15}
"""Of the time, by recipe."""

GPU_BATCH = {"irstd1k": 8}
"""Crops in a step on a GPU, where it is not 16: crops of 384 px have more than twice the pixels of others."""

GPU_SAVE_EVERY = 200
"""Steps between saves on a GPU, some 15 s of them."""

MARGIN, VALIDATING = 0.95, 0.2
"""Share of a model's time that is planned, and share of that which validations may take."""

TRIAL_STEPS = {"cuda": 60, "cpu": 6}
"""Steps whose time is measured, on a GPU some seconds of them."""

TRIAL_IMAGES = 40
"""Validation images by which a validation's time is measured."""


@dataclass(frozen=True)
class Given:
    """The command line."""

    packed: Path
    out: Path
    device: str
    pairs: list[str]
    ship: Path | None
    workers: int | None
    trial: int | None
    most_steps: int


@dataclass
class Plan:
    """How a model is trained, kept in `plan.json` so that a resumed run has equal settings."""

    pairs: list[str]
    """KEY=VALUE texts that overrule the recipe, those of the command line last."""
    teacher: str
    seconds: float = 0.0
    """Spent so far, start and trial included."""
    finished: bool = False

    def save(self, folder: Path) -> None:
        """Write, whole or not at all."""
        write_whole(folder / "plan.json", json.dumps(asdict(self), indent=1))


def read_plan(folder: Path) -> Plan | None:
    """The plan of a run in `folder`, None where there is none yet. Raises IrtrackError for a damaged one."""
    path = folder / "plan.json"
    if not path.exists():
        return None
    try:
        return Plan(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise IrtrackError(f"{path} cannot be read: delete {folder} to begin anew ({error})") from error


def finished(folder: Path) -> bool:
    """Whether nothing is left to do; a damaged plan is for whoever goes on with it to name."""
    try:
        plan = read_plan(folder)
    except IrtrackError:
        return False
    return plan is not None and plan.finished


def settings_of(name: str, pairs: list[str]) -> TrainSettings:
    """A recipe's settings, overruled."""
    tables = ("data", "negatives", "validation", "init", "teacher")
    return settings_from({k: v for k, v in load_recipe(name).items() if k not in tables}, pairs)


def for_gpu(name: str, given: Given) -> list[str]:
    """What is set on a GPU: it has memory for more crops a step, and takes about as long for them.

    The rate rises with the square root of the batch: the noise of a mean of n gradients falls so, and the steps of Adam
    and Muon have a size that does not depend on the gradient's (Malladi et al., "On the SDEs and Scaling Rules for
    Adaptive Gradient Algorithms", 2022). The linear rule is SGD's and would be too much here.
    """
    own = settings_of(name, [])
    batch = settings_of(name, [f"batch={GPU_BATCH.get(name, 16)}", *given.pairs]).batch
    rate = own.rate * math.sqrt(batch / own.batch)
    return [f"batch={batch}", f"rate={rate:.3g}", "bf16=true", f"save_every={GPU_SAVE_EVERY}"]


def job(name: str, plan: Plan, given: Given) -> Job:
    """What `irtrack train` would do. Raises IrtrackError."""
    words = ["train", "--recipe", name, "--root", str(given.packed), "--out", str(given.out / name)]
    words += ["--device", given.device]
    words += ["--workers", str(given.workers)] if given.workers is not None else []
    words += ["--teacher", plan.teacher] if plan.teacher else []
    words += ["--set", *pairs] if (pairs := [*plan.pairs, *given.pairs]) else []
    remarks = Remarks()
    made = job_of(make_parser().parse_args(words), remarks)
    for line in remarks.lines():
        print(f"note: {line}")
    return made


@dataclass
class Clock:
    """Looks on while steps are tried, and notes when steps `first` and `last` were done."""

    first: int
    last: int
    device: torch.device
    times: list[float] = field(default_factory=list)

    def after_step(self, run: Run, bar: tqdm[Any]) -> None:
        """Called behind each step."""
        if run.step in (self.first, self.last):
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            self.times.append(time.monotonic())


def measured(work: Job, trial: int) -> tuple[float, float]:
    """Seconds of a step, and of looking at one validation image."""
    first = max(1, trial // 2, AHEAD * work.workers)  # batches that lie ready do not tell how fast they are made
    never = first + trial + 1
    settings = replace(work.settings, steps=first + trial, validate_every=never, save_every=never, mined=0.0)
    clock = Clock(first, first + trial, work.device)
    with team(str(work.device)) as us:
        run = start(settings, us.device, work.start)
        fit(run, run.network, work.sets, work.shares, settings, us, work.teacher, clock, work.workers)
    samples = [s for v in work.validation.values() for s in v]
    some = samples[:: -(-len(samples) // TRIAL_IMAGES)] if samples else []
    network = prepare(run.average, work.device)
    if some:
        evaluate_sets(network, {"first": some[:1]}, str(work.device))  # what is done once is no measure
    began = time.monotonic()
    if some:
        evaluate_sets(network, {"trial": some}, str(work.device))
    return (clock.times[1] - clock.times[0]) / trial, (time.monotonic() - began) / max(len(some), 1)


def chosen(name: str, work: Job, given: Given, until_s: float) -> list[str]:
    """The number of steps that ends at `until_s`, and what happens at the same fractions of a run as in the recipe.

    Raises IrtrackError where there is no time.
    """
    own, batch = settings_of(name, []), work.settings.batch
    step_s, image_s = measured(work, given.trial or TRIAL_STEPS[work.device.type])
    images = sum(len(turned(v)) if work.settings.validate_turned else len(v) for v in work.validation.values())
    mining_s = image_s * own.mine_images * sum(mines_at(step, own) for step in range(own.steps))
    left_s = MARGIN * (until_s - time.time())
    validations = -(-own.steps // own.validate_every)
    validations = max(1, min(validations, int(VALIDATING * left_s / max(images * image_s, 1e-9))))
    fit_in = int((left_s - validations * images * image_s - mining_s) / step_s)
    if fit_in < 1:
        raise IrtrackError(f"no step fits into the {max(left_s, 0):.0f} s that are left: give more --minutes")
    steps = min(fit_in, given.most_steps)
    print(
        f"{name}: {steps} steps of {batch} crops, {1e3 * step_s:.0f} ms each, and {validations} validations of "
        f"{images * image_s:.1f} s, on {work.device.type} with {work.workers} processes that make crops",
        flush=True,
    )
    part = steps / own.steps
    return [
        f"steps={steps}",
        f"warmup={min(own.warmup, steps // 4)}",
        f"validate_every={-(-steps // validations)}",
        f"mine_from={round(own.mine_from * part)}",
        f"mine_every={max(1, round(own.mine_every * part))}",
    ]


def copy_over(source: Path, target: Path) -> None:
    """Copy a file so that the old one or the new one is there, never half."""
    part = target.with_name(target.name + ".part")
    shutil.copyfile(source, part)
    os.replace(part, target)


def ship(name: str, given: Given) -> None:
    """The best weights so far and the log, to where they are fetched."""
    if given.ship is not None:
        given.ship.mkdir(parents=True, exist_ok=True)
        for file in ("best.pt", "log.csv"):
            if (source := given.out / name / file).exists():
                copy_over(source, given.ship / f"{name}{source.suffix}")


def train(name: str, given: Given, until_s: float) -> None:
    """One model, from the start or from where it stopped. Raises IrtrackError."""
    began, folder = time.monotonic(), given.out / name
    folder.mkdir(parents=True, exist_ok=True)
    keep_large_blocks()
    plan = read_plan(folder)
    if plan is None:
        general = given.out / "general" / "best.pt"
        teacher = str(general) if name == "slim" and general.exists() else ""
        on_gpu = pick_device(given.device).type == "cuda"
        plan = Plan(for_gpu(name, given) if on_gpu else [], teacher)
        work = job(name, plan, given)
        plan.pairs += [*chosen(name, work, given, until_s), *given.pairs]
        work = replace(work, settings=with_pairs(work.settings, plan.pairs))
        plan.save(folder)
    else:
        print(f"{name}: goes on", flush=True)
        work = job(name, plan, given)
    try:
        work.run(folder, lambda: ship(name, given))
        plan.finished = True
    finally:
        plan.seconds += time.monotonic() - began
        plan.save(folder)
    ship(name, given)


def with_pairs(settings: TrainSettings, pairs: list[str]) -> TrainSettings:
    """Settings overruled; what comes from the weights and the machine stays."""
    made = settings_from(settings.to_dict(), pairs)
    return replace(made, base=settings.base, img_size=settings.img_size, bf16=settings.bf16)


def in_process(name: str, given: Given, until_s: float) -> None:
    """`train` in a process of its own: an error within a GPU's library spoils the process for all that follows."""
    with Stop():
        signals_heard()
        end_with_parent()
        told = given.out / f"{name}-error.txt"
        try:
            train(name, given, until_s)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except IrtrackError as error:
            said = one_line(error)
        except Exception as error:  # the next model is to go on whatever this is
            said = f"{type(error).__name__}: {first_words(error)} (see {told})"
            told.write_text(traceback.format_exc(), encoding="utf-8")
        else:
            return
        print(f"train_models: {name}: {said}", file=sys.stderr, flush=True)
        sys.exit(EXIT_ERROR)


def train_all(names: Sequence[str], given: Given, minutes: float) -> list[str]:
    """Train what is not finished; returns the names of those that failed."""
    end_s, failed = time.time() + 60 * minutes, []
    waiting = [name for name in names if not finished(given.out / name)]
    for name in names:
        if name not in waiting:
            ship(name, given)
            continue
        now, left = time.time(), waiting[waiting.index(name) :]
        until_s = now + (end_s - now) * SHARES[name] / sum(SHARES[n] for n in left)
        process = get_context("spawn").Process(target=in_process, args=(name, given, until_s))
        with signals_held():  # until it knows what to do with them
            process.start()
        try:
            process.join()
        except KeyboardInterrupt:
            process.terminate()
            process.join()
            raise
        if process.exitcode == INTERRUPTED:
            raise KeyboardInterrupt
        if process.exitcode:
            failed.append(name)
            if process.exitcode < 0:
                print(f"train_models: {name}: ended by signal {-process.exitcode}", file=sys.stderr, flush=True)
    return failed


def row(name: str, folder: Path) -> str:
    """Steps, seconds and the best value of a model, as far as it came."""
    try:
        plan = read_plan(folder) or Plan([], "")
        state = torch.load(folder / "best.pt", map_location="cpu", weights_only=True)
        steps, figures = state["settings"]["steps"], state["figures"]
    except Exception:  # there is none, or it is damaged
        return f"{name:10s}{'-':>8s}{'-':>10s}  -  not finished"
    best = f"{figures['value']:.2f} at step {figures['step']}" if "value" in figures else "no validation"
    return f"{name:10s}{steps:8d}{plan.seconds:10.0f}  {best}{'' if plan.finished else ', not finished'}"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packed", type=Path, metavar="PACKED", help="folder with the sets that the recipes name")
    parser.add_argument("out", type=Path, metavar="OUT", help="a folder for each model")
    parser.add_argument("--minutes", type=float, default=25.0, help="for all of them, in this call (25)")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--models", default=",".join(SHARES), help="which, with commas between (all)")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings for all of them")
    parser.add_argument("--ship", type=Path, metavar="DIR", help="best weights and logs are copied here as they come")
    parser.add_argument("--workers", type=int, metavar="N", help="as of irtrack train")
    parser.add_argument("--trial", type=int, metavar="N", help="steps whose time is measured (60, on a CPU 6)")
    parser.add_argument(
        "--most-steps", type=int, default=10**8, metavar="N", help="no more, however much time there is"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    args = arguments(argv)
    names = [name for name in args.models.split(",") if name]
    try:
        if unknown := [name for name in names if name not in SHARES]:
            raise ConfigError(f"no model {unknown[0]!r}: they are {', '.join(SHARES)}")
        if not names:
            raise ConfigError(f"--models names none: there are {', '.join(SHARES)}")
        if not (args.minutes > 0 and (args.trial is None or args.trial > 0) and args.most_steps > 0):
            raise ConfigError("--minutes, --trial and --most-steps must be above 0")
        if not args.packed.is_dir():
            raise ConfigError(f"{args.packed} is not a folder: make it with python -m irtrack.train.pack")
        settings_from({}, args.set)
        pick_device(args.device)
        given = Given(
            args.packed, args.out, args.device, args.set, args.ship, args.workers, args.trial, args.most_steps
        )
        with Stop():
            failed = train_all(names, given, args.minutes)
        print(f"{'model':10s}{'steps':>8s}{'seconds':>10s}  best value")
        for name in names:
            print(row(name, args.out / name))
    except IrtrackError as error:
        print(f"train_models: {one_line(error)}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("train_models: stopped; call again to go on", file=sys.stderr)
        return INTERRUPTED
    return EXIT_ERROR if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
