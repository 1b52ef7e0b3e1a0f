"""Several processes under `torchrun`: who is who, and the gradients that they share.

A batch is cut among the processes by position, so the crops of a step are the same with one process or eight; BatchNorm
sees its own process's part, as usual with DistributedDataParallel.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """This process among `size` of them; the first one writes files and prints."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        return self.rank == 0

    def part(self, count: int) -> range:
        """Positions in a batch of `count` that are this process's."""
        return range(self.rank, count, self.size)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with gradients averaged over the team."""
        if self.size == 1:
            return network
        cuda = self.device.startswith("cuda")
        return nn.parallel.DistributedDataParallel(network, [torch.device(self.device)] if cuda else None)

    def from_first(self, value: T | None) -> T:
        """What the first process has, in all of them."""
        box: list[Any] = [value]
        if self.size > 1:
            torch.distributed.broadcast_object_list(box)
        return box[0]

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            torch.distributed.barrier()


@contextmanager
def team(device: str) -> Iterator[Team]:
    """The team that torchrun's variables tell of, or this process alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(device=device)
        return
    cuda = device.startswith("cuda")
    if cuda:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Team(torch.distributed.get_rank(), size, device)
    finally:
        torch.distributed.destroy_process_group()
