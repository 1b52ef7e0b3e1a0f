"""Frames through a network on a GPU without the cost of starting a thousand small kernels one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3
"""Runs before a recording, in which the libraries choose their kernels."""

log = logging.getLogger(__name__)


class GraphedNetwork:
    """A network on a GPU, recorded as a CUDA graph for each size of input that comes and replayed from then on.

    A size that cannot be recorded runs as it is, with a warning.
    """

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        self._network = network
        self._recorded: dict[tuple[int, ...], tuple[torch.cuda.CUDAGraph, Tensor, Tensor] | None] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) on the GPU -> logits, valid until the next call."""
        size = tuple(x.shape)
        if size not in self._recorded:
            try:
                self._recorded[size] = self._record(x)
            except RuntimeError as error:
                log.warning("no CUDA graph for %s: %s", size, str(error).splitlines()[0])
                self._recorded[size] = None
        recorded = self._recorded[size]
        if recorded is None:
            return self._network(x)
        graph, grey, logits = recorded
        grey.copy_(x)
        graph.replay()
        return logits

    def _record(self, x: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        grey = x.clone()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self._network(grey)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self._network(grey)
        return graph, grey, logits


def upload(x: Tensor, device: torch.device) -> Tensor:
    """To the device; through page-locked memory where that is a GPU, so that the copy does not hold up the caller."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x
