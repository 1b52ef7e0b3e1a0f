"""A frame on a quiet machine and beside busy processes, by how OpenMP's idle threads wait for work.

Each policy's network runs in a process of its own, since the policy is read when the library loads. In each round every
policy in turn gets a few frames while the others sleep; ratios are to the library's own policy.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np

import irtrack
from irtrack.bench.report import Row
from irtrack.core import IrtrackError
from irtrack.detect.backends import OWN, available
from irtrack.detect.detector import usable_cores

POLICIES: dict[str, dict[str, str]] = {
    "library's own": {"GOMP_SPINCOUNT": "300000"},
    "irtrack's": {"GOMP_SPINCOUNT": irtrack.SPINS},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}
WIDTH, HEIGHT, TURN = 640, 512, 4
"""TURN: frames that a policy gets at a time; the first is not counted."""

CHILD = """
import sys, time
import torch
from irtrack.detect.backends import make_backend
from irtrack.detect.detector import keep_large_blocks
from irtrack.detect.weights import load_weights
keep_large_blocks()
form = make_backend(sys.argv[1], load_weights("datransnet-s").network)
with torch.inference_mode():
    for line in sys.stdin:
        times = []
        for _ in range(int(sys.argv[4])):
            x = torch.rand(1, 1, int(sys.argv[3]), int(sys.argv[2]))
            start = time.perf_counter()
            form(x)
            times.append(time.perf_counter() - start)
        print(*times[1:], flush=True)
"""

BUSY = "while True: pass"


class Policy:
    """A network in a process whose threads wait in one way; calling it gives seconds of frames."""

    def __init__(self, backend: str, environment: dict[str, str]) -> None:
        kept = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
        command = [sys.executable, "-c", CHILD, backend, str(WIDTH), str(HEIGHT), str(TURN)]
        self._process = subprocess.Popen(
            command, env=kept | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self) -> list[float]:
        """Raises IrtrackError where the process has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise IrtrackError("a process of the benchmark has died") from error
        line = self._process.stdout.readline()
        if not line:
            raise IrtrackError("a process of the benchmark has died")
        return [float(v) for v in line.split()]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def run(rounds: int) -> Iterator[Row]:
    """Median ms a frame of each engine and policy, quiet and beside as many busy processes as there are cores."""
    cores = usable_cores()
    for backend in (name for name in OWN if name == "torch" or name in available()):
        policies = {name: Policy(backend, environment) for name, environment in POLICIES.items()}
        busy: list[subprocess.Popen[bytes]] = []
        try:
            for beside in (0, cores):
                busy += [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(beside)]
                yield from rows(backend, policies, f"beside {beside} busy processes", rounds)
        finally:
            for process in busy:
                process.kill()
                process.wait()
            for policy in policies.values():
                policy.close()


def rows(backend: str, policies: dict[str, Policy], mode: str, rounds: int) -> Iterator[Row]:
    """One row for each policy: the mean over frames, since a frame that hangs is the point."""
    taken: dict[str, list[float]] = {name: [] for name in policies}
    for _ in range(rounds):
        for name, policy in policies.items():
            taken[name] += policy()
    base = float(np.mean(taken["library's own"]))
    for name, seconds in taken.items():
        mean = float(np.mean(seconds))
        yield Row(f"mean, {name}", backend, mode, f"{WIDTH}x{HEIGHT}", 0, 1e3 * mean, base / mean)
