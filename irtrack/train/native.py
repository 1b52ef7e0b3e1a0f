"""Whether the steps of a training run on kernels in C: where there is a compiler and the gradients are torch's."""

from __future__ import annotations

import torch

from irtrack.core import IrtrackError
from irtrack.detect.backends import cache_folder
from irtrack.detect.native.training import NativeOperations
from irtrack.detect.network import DATransNet
from irtrack.detect.operations import TORCH, Operations
from irtrack.train.losses import soft_iou_bce
from irtrack.train.settings import TrainSettings

LIMIT, HALF_LIMIT = 0.02, 0.3
"""Largest difference from torch's gradients in float32, in shares of their norm: of kernels for float32 and bfloat16.

Wrong ones are far off. Rounding alone makes 1e-6, where it turns no sign before a rectifier and no maximum, else up to
1e-3, of torch's own float32 against float64 too; bfloat16 makes 0.02 to 0.08, torch's as much.
"""

SIDE = 64


def operations_for(settings: TrainSettings, device: str) -> Operations:
    """Kernels in C on a CPU, unless `settings.native` is off, they cannot be had, or they are wrong; else torch's."""
    if not settings.native or device != "cpu":
        return TORCH
    try:
        operations = NativeOperations(cache_folder())
        check(operations, settings.base, settings.bf16)
    except IrtrackError as error:
        print(f"note: steps run in torch alone ({error}), which takes longer", flush=True)
        return TORCH
    return operations


def check(operations: Operations, base: int, bf16: bool) -> None:
    """Raises IrtrackError where the gradients of a small batch are not those of torch."""
    expected = gradients(TORCH, base, False)
    for half, limit in [(False, LIMIT), (True, HALF_LIMIT)][: 1 + bf16]:
        found = gradients(operations, base, half)
        off = float((found - expected).norm() / expected.norm())
        if not off <= limit:
            raise IrtrackError(f"the kernels' gradients differ from torch's by {off:.2g}")


def gradients(operations: Operations, base: int, bf16: bool) -> torch.Tensor:
    """All gradients of a network of random weights on a batch of points in noise, one after the other."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DATransNet(base, SIDE).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        images = torch.rand(2, 1, SIDE, SIDE)
    network.set_operations(operations)
    masks = (images > 0.998).float()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = network(images)
    soft_iou_bce(logits.float(), masks).backward()
    own = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
    return torch.cat([g.flatten() for g in own])
