"""What a step of training takes in torch alone and by kernels in C: both in turn in one run, on the same crops.

CPU time of one thread, which does not hang on what else the machine does. Crops are made before; they take the same in
both. In torch alone is `native = false`: as every step was before there were kernels for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from irtrack.core import IrtrackError
from irtrack.detect.detector import keep_large_blocks
from irtrack.detect.operations import TORCH
from irtrack.train.loop import Run, follow, loss_of, start
from irtrack.train.settings import TrainSettings

SIZES = ((8, 2, 256), (16, 2, 256))
"""Base, crops in a step and their side: of `datransnet-s` as it is trained, and of the wide network."""

FORMS = {"torch": False, "native": True}
PARTS = ("forward", "backward", "optimiser")
FIRST = 2
"""Steps that are not counted: libraries choose and compile their loops in the first."""

Figure = tuple[str, str, str, str, float, float | None]
"""Stage, form, precision, size, CPU milliseconds of a step, and how many times as long it takes in torch alone."""


def run(rounds: int = 12) -> Iterator[Figure]:
    """Figures of a whole step and of its parts, for each size and precision. Raises IrtrackError without a compiler."""
    keep_large_blocks()
    with one_thread():
        for base, batch, crop in SIZES:
            for bf16 in (True, False):
                taken = times(base, batch, crop, bf16, rounds)
                size, mode = f"base {base}, {batch} of {crop}x{crop}", "bfloat16" if bf16 else "float32"
                for stage in ("step", *PARTS):
                    ms = {form: 1e3 * median(parts, stage) for form, parts in taken.items()}
                    yield from ((stage, f, mode, size, ms[f], ms["torch"] / ms[f]) for f in FORMS)
                for form, parts in taken.items():
                    yield "steps an hour", form, mode, size, 3600 / median(parts, "step"), None


def times(base: int, batch: int, crop: int, bf16: bool, rounds: int) -> dict[str, list[dict[str, float]]]:
    """CPU seconds of the parts of each step, by form."""
    torch.manual_seed(0)
    x = torch.rand(batch, 1, crop, crop).to(memory_format=torch.channels_last)
    y = (torch.rand(batch, 1, crop, crop) > 0.999).float()
    given = {
        form: TrainSettings(base=base, batch=batch, crop=crop, bf16=bf16, optimiser="muon", native=native)
        for form, native in FORMS.items()
    }
    runs = {form: start(settings, "cpu", None) for form, settings in given.items()}
    if runs["native"].network.operations is TORCH:
        raise IrtrackError("nothing to compare: there are no kernels in C here")
    taken: dict[str, list[dict[str, float]]] = {form: [] for form in FORMS}
    for n in range(rounds + FIRST):
        for form, settings in given.items():
            parts = timed(runs[form], x, y, settings)
            if n >= FIRST:
                taken[form].append(parts)
    return taken


def timed(run: Run, x: Tensor, y: Tensor, settings: TrainSettings) -> dict[str, float]:
    """One step; the loss belongs to `forward`, clipping and averaging to `optimiser`."""
    marks = [time.process_time()]
    loss = loss_of(run, run.network, x, y, settings)
    marks.append(time.process_time())
    loss.backward()  # type: ignore[no-untyped-call]
    marks.append(time.process_time())
    follow(run, settings)
    marks.append(time.process_time())
    run.step += 1
    parts = dict(zip(PARTS, (b - a for a, b in pairwise(marks)), strict=True))
    return parts | {"step": marks[-1] - marks[0]}


def median(steps: list[dict[str, float]], stage: str) -> float:
    """The middle of a stage's times, in seconds."""
    return float(np.median([parts[stage] for parts in steps]))


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread, set back at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
