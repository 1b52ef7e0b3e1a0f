"""Peak memory of a 1280x1024 frame beyond what the process needs without it, each form in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from irtrack.bench.report import Row
from irtrack.core import IrtrackError
from irtrack.detect.backends import OWN, available

WIDTH, HEIGHT = 1280, 1024

CODE = """
import resource, sys
from pathlib import Path
import torch
from irtrack.detect.backends import make_backend
from irtrack.detect.detector import keep_large_blocks
from irtrack.detect.weights import load_weights
form, model, width, height = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
network = load_weights(model).network
if form in ("torch", "native"):
    network = make_backend(form, network)
elif form == "readable":
    network.set_fused(False)
else:
    from irtrack.bench.reference import load_reference
    network = load_reference(Path(form), network)
keep_large_blocks()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with torch.inference_mode():
    network(torch.rand(1, 1, 32, 32))
    before = peak()
    network(torch.rand(1, 1, height, width))
print(peak() - before)
"""


def run(reference: Path | None = None) -> Iterator[Row]:
    """A row for each form; `median_ms` holds MiB here, as the stage's name says."""
    base: float | None = None
    compared = [(str(reference.resolve()), "datransnet")] if reference is not None else []
    compared += [("readable", "datransnet")]
    engines = [name for name in OWN if name == "torch" or name in available()]
    compared += [(name, model) for name in engines for model in ("datransnet", "datransnet-s")]
    for form, model in compared:
        mib = extra_mib(form, model)
        base = base or mib
        exact = form in engines
        mode = f"{model} {'exact' if exact else 'reference' if form.startswith(os.sep) else form}"
        yield Row("memory, MiB", form if exact else "torch", mode, f"{WIDTH}x{HEIGHT}", 0, mib, base / mib)


def extra_mib(form: str, model: str) -> float:
    """Peak less the peak before the frame. Raises IrtrackError where the process fails."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, form, model, str(WIDTH), str(HEIGHT)], capture_output=True, text=True
    )
    if done.returncode:
        raise IrtrackError(f"{form} failed: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout)
