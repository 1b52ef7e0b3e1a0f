"""`irtrack train` and `irtrack evaluate`."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from irtrack.core import ConfigError, IrtrackError, Remarks
from irtrack.detect.detector import keep_large_blocks, pick_device, pick_weights
from irtrack.detect.inference import prepare
from irtrack.detect.network import DATransNet
from irtrack.detect.weights import load_weights
from irtrack.train.data import (
    Sample,
    check_apart,
    check_without_targets,
    described,
    folders_of,
    load_backgrounds,
    load_dataset,
)
from irtrack.train.feeding import workers_for
from irtrack.train.loop import train as train_network
from irtrack.train.settings import TrainSettings, load_recipe, settings_from
from irtrack.train.trial import bfloat16_works, has_bfloat16

SET = re.compile(r"(?P<folder>.+?)(?::(?P<split>[^:/\\@\[\]]+(?:\[-?\d*:-?\d*\])?))?(?:@(?P<share>[0-9.]+))?")
"""DIR[:SPLIT][@SHARE]; SPLIT may end in a slice such as [:-60]."""

HELD_OUT = 10
"""Without validation sets, each tenth image is held out, if that leaves at least three of them."""


def parse_set(text: str) -> dict[str, Any]:
    """`DIR[:SPLIT][@SHARE]` as a table of a recipe. Raises ConfigError."""
    if Path(text).is_dir():
        return {"folder": text}
    found = SET.fullmatch(text)
    assert found is not None
    table: dict[str, Any] = {"folder": found["folder"], "split": found["split"] or ""}
    try:
        return table | ({"share": float(found["share"])} if found["share"] else {})
    except ValueError as error:
        raise ConfigError(f"{text!r}: the share {found['share']!r} is not a number") from error


def load_sets(
    tables: Sequence[Mapping[str, Any]],
    root: Path,
    backgrounds: bool = False,
    remarks: Remarks | None = None,
    taken: Collection[str] = (),
) -> dict[str, list[Sample]]:
    """Loaded sets by a short name, none of those `taken`. Raises IrtrackError, also where one is there twice."""
    out: dict[str, list[Sample]] = {}
    seen: set[tuple[Path, str]] = set()
    for table in tables:
        if not isinstance(table, dict) or "folder" not in table:
            raise ConfigError('each set of a recipe needs a folder = "..."')
        folder, split = root / str(table["folder"]), str(table.get("split", ""))
        if (folder.resolve(), split) in seen:
            raise ConfigError(f"the set {folder}{f':{split}' if split else ''} is given twice: give it a larger @SHARE")
        seen.add((folder.resolve(), split))
        name = name_of(folder, split, {*out, *taken})
        out[name] = load_backgrounds(folder, remarks) if backgrounds else load_dataset(folder, split, remarks)
    return out


def name_of(folder: Path, split: str, taken: Collection[str]) -> str:
    """What a set is called: by its folder and, where another is called so, by those above it."""
    parts = folder.absolute().parts
    names = ["/".join(parts[-n:]) + (f":{split}" if split else "") for n in range(1, len(parts) + 1)]
    return next((name for name in names if name not in taken), f"{names[-1]} ({len(taken)})")


def share_of(table: Mapping[str, Any]) -> float:
    """How often crops come from a set. Raises ConfigError."""
    share = table.get("share", 1.0)
    if type(share) not in (int, float) or not 0 < share < 1e9:
        raise ConfigError(f"the share {share!r} of a set must be a number above 0")
    return float(share)


def hold_out(sets: dict[str, list[Sample]]) -> tuple[dict[str, list[Sample]], dict[str, list[Sample]]]:
    """Training and validation parts where no validation set was given."""
    if sum(len(s[::HELD_OUT]) for s in sets.values()) < 3:
        return sets, {}
    rest = {n: [s for i, s in enumerate(v) if i % HELD_OUT] for n, v in sets.items()}
    return rest, {n: v[::HELD_OUT] for n, v in sets.items()}


@dataclass(frozen=True)
class Job:
    """A training, with everything read that it needs."""

    sets: list[list[Sample]]
    shares: list[float]
    validation: dict[str, list[Sample]]
    settings: TrainSettings
    device: torch.device
    start: dict[str, torch.Tensor] | None
    teacher: DATransNet | None
    about: dict[str, Any]
    workers: int

    def run(self, out: Path, validated: Callable[[], None] = lambda: None) -> dict[str, float]:
        """Train in `out`, or go on there; returns the best figures. `validated`: see `loop.train`.

        Raises IrtrackError.
        """
        return train_network(
            self.sets,
            self.shares,
            self.validation,
            self.settings,
            out,
            str(self.device),
            self.start,
            self.teacher,
            self.about,
            self.workers,
            validated,
        )


def job_of(args: argparse.Namespace, remarks: Remarks) -> Job:
    """Read what the arguments of `irtrack train` ask for. Raises IrtrackError."""
    recipe = load_recipe(args.recipe) if args.recipe else {}
    given = {"data": args.data, "negatives": args.negatives, "validation": args.val}
    in_recipe = {kind: recipe.pop(kind, []) for kind in given}
    tables = {kind: [parse_set(text) for text in texts] or in_recipe[kind] for kind, texts in given.items()}
    in_recipe_init, in_recipe_teacher = recipe.pop("init", ""), recipe.pop("teacher", "")
    init, teacher = args.init or in_recipe_init, args.teacher or in_recipe_teacher
    if not isinstance(init, str) or not isinstance(teacher, str):
        raise ConfigError("init and teacher of a recipe are names of models or paths, in quotes")
    settings = settings_from(recipe, args.set)
    if not tables["data"]:
        raise ConfigError("nothing to train on: give --data DIR[:SPLIT], or a recipe with [[data]]")
    device = pick_device(args.device)
    workers = workers_for(device, args.workers)
    sets, validation = (load_sets(tables[k], args.root, remarks=remarks) for k in ("data", "validation"))
    shares = [share_of(t) for t in (*tables["data"], *tables["negatives"])]
    check_apart(sets, validation)
    negatives = load_sets(tables["negatives"], args.root, True, remarks, sets)
    for labelled in (sets, validation):
        check_without_targets(negatives, labelled)
    if not validation:
        sets, validation = hold_out(sets)
        held = sum(len(v) for v in validation.values())
        print(f"note: no --val, so {held} images are held out for validation" if held else "note: no validation images")
    sets |= negatives
    for name, samples in sets.items():
        print(f"  read {name}: {described(samples)}")
    start = None
    if init:
        network = load_weights(init).network
        own = {"base": network.base, "img_size": network.img_size}
        for name in own.keys() & {*recipe, *(text.partition("=")[0] for text in args.set)}:
            if getattr(settings, name) != own[name]:
                print(f"note: {name} is {own[name]}, that of {init}: what is trained further stays as it is")
        start, settings = network.state_dict(), replace(settings, base=network.base, img_size=network.img_size)
    if settings.bf16 and (trouble := no_bfloat16(settings, device)):
        print(f"note: {trouble}; float32 instead")
        settings = replace(settings, bf16=False)
    return Job(
        [[s.in_levels() for s in samples] for samples in sets.values()],
        shares,
        validation,
        settings,
        device,
        start,
        prepare(load_weights(teacher).network, device) if teacher else None,
        {**tables, "init": init, "teacher": teacher},
        workers,
    )


def no_bfloat16(settings: TrainSettings, device: torch.device) -> str:
    """Why not to train in bfloat16 on this device; empty where nothing speaks against it."""
    on_gpu = device.type == "cuda"
    if not (torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else has_bfloat16()):
        return f"this {'GPU' if on_gpu else 'processor'} has no bfloat16 arithmetic, and is slow at imitating it"
    return "" if on_gpu or bfloat16_works(settings) else "bfloat16 does not work on this processor at these sizes"


def train(args: argparse.Namespace, remarks: Remarks) -> int:
    """`irtrack train`; what is to be said of the sets is added to `remarks`."""
    keep_large_blocks()
    if args.threads:
        torch.set_num_threads(args.threads)
    best = job_of(args, remarks).run(args.out)
    print(f"done: best at step {best.get('step', 0):.0f}\n  wrote {args.out / 'best.pt'}")
    return 0


def evaluate(args: argparse.Namespace, remarks: Remarks) -> int:
    """`irtrack evaluate`: the field's figures at native resolution; `remarks` as in `train`."""
    from irtrack.sinks.figure import check_figure, check_picture
    from irtrack.sinks.target import claimed_all, write_output
    from irtrack.train.evaluation import evaluate_fully
    from irtrack.train.report import write_plot, write_table, write_worst

    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise IrtrackError(f"a threshold of {args.threshold:g} makes no sense: give one from 0 to 1")
    check_figure(args.plot)
    check_picture(args.worst)
    read = [args.weights, args.split, *folders_of(args.data)]
    with claimed_all([args.json, args.table, args.plot, args.worst], args.force, read) as outputs:
        device = pick_device(args.device)
        weights = load_weights(pick_weights(args.weights, device))
        samples = load_dataset(args.data, args.split, remarks)
        network = prepare(weights.network, device)
        threshold = weights.threshold if args.threshold is None else args.threshold
        result = evaluate_fully(network, samples, threshold, str(device))
        figures, legacy = result.figures(), result.legacy.figures()
        print(
            " ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items() if k != "AUC")
        )
        print(f"AUC {figures['AUC']:.5f}")
        print("legacy (the authors' definitions): " + " ".join(f"{k} {v:.6g}" for k, v in legacy.items()))
        print(f"  read {described(samples)}")
        if args.json:
            body = {
                "weights": weights.name,
                "threshold": threshold,
                "figures": figures,
                "legacy": legacy,
                "sweep": result.sweep.table(),
                "images": result.table,
            }
            write_output(args.json, json.dumps(body, indent=1))
        if args.table:
            write_table(result, args.table)
        if args.plot:
            write_plot(result, f"{weights.name} on {args.data.name} {args.split}".strip(), args.plot)
        if args.worst:
            write_worst(result, samples, network, str(device), args.worst)
    for path in outputs:
        print(f"  wrote {path}")
    return 0
