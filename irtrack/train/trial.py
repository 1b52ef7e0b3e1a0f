"""Whether bfloat16 arithmetic works on this processor: two steps of training in a process that may crash.

Libraries choose other code on each processor, and what was right on one has read past its buffers on another.
"""

from __future__ import annotations

import os
import subprocess
import sys

import torch

from irtrack.train.settings import TrainSettings

CODE = """
import sys
import torch
from irtrack.detect.network import DATransNet
from irtrack.train.losses import LOSSES
base, img_size, batch, crop, loss = *map(int, sys.argv[1:5]), sys.argv[5]
torch.manual_seed(0)
network = DATransNet(base, img_size).to(memory_format=torch.channels_last).train()
optimiser = torch.optim.SGD(network.parameters(), 1e-3)
images = torch.rand(batch, 1, crop, crop).to(memory_format=torch.channels_last)
masks = (torch.rand(batch, 1, crop, crop) > 0.99).float()
for _ in range(2):
    optimiser.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
    value = LOSSES[loss](logits.float(), masks)
    value.backward()
    optimiser.step()
finite = all(bool(p.isfinite().all()) for p in network.parameters())
sys.exit(0 if finite and bool(value.isfinite()) else 3)
"""
"""Exit code 0 where all stays finite."""

DEADLINE_S = 300.0


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16 by itself. Where it does not, it is imitated: right, and a step takes
    ten times as long as in float32 (measured on a processor with AVX2 alone).
    """
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def bfloat16_works(settings: TrainSettings, environment: dict[str, str] | None = None) -> bool:
    """Whether two steps at these sizes end well on the CPU. `environment`: variables of the process besides its own."""
    sizes = [str(v) for v in (settings.base, settings.img_size, settings.batch, settings.crop)]
    command = [sys.executable, "-c", CODE, *sizes, settings.loss]
    try:
        done = subprocess.run(
            command, env=os.environ | (environment or {}), capture_output=True, timeout=DEADLINE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
