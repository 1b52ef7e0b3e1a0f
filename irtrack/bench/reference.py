"""The authors' network from a checkout of their code, for timing and comparison; nothing of it is kept here."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from irtrack.core import IrtrackError
from irtrack.detect.network import UNUSED_PREFIXES, DATransNet

NAME = "class DATransNet("


def find_module(folder: Path) -> str:
    """Dotted name, from the folder, of the module that defines DATransNet. Raises IrtrackError."""
    for path in sorted(folder.rglob("*.py")):
        if NAME in path.read_text(encoding="utf-8", errors="replace"):
            return ".".join(path.relative_to(folder).with_suffix("").parts)
    raise IrtrackError(f"{folder} holds no Python file with '{NAME}': give the checkout of the authors' code")


class Reference(nn.Module):
    """The authors' network with our weights, giving one map (B, 1, H, W)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Whatever it returns, the finest map of it."""
        out = self.network(x)
        while isinstance(out, list | tuple):
            out = out[-1]
        assert isinstance(out, Tensor)
        return out


def load_reference(folder: Path, weights: DATransNet) -> Reference:
    """The authors' network with these weights, in evaluation mode. Raises IrtrackError with one line."""
    name = find_module(folder)
    sys.path.insert(0, str(folder))
    try:
        made = importlib.import_module(name).DATransNet
        known = inspect.signature(made).parameters
        given = {"img_size": weights.img_size, "n_channels": 1, "n_classes": 1}
        network = made(**{k: v for k, v in given.items() if k in known})
        missing, unexpected = network.load_state_dict(weights.state_dict(), strict=False)
    except Exception as error:  # theirs may fail in any way
        raise IrtrackError(f"the authors' code in {folder} does not load: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(folder))
    foreign = [k for k in missing if not k.startswith(UNUSED_PREFIXES)] + list(unexpected)
    if foreign:
        raise IrtrackError(f"the network in {folder} has other weights than DATransNet: {foreign[0]}")
    return Reference(network.eval())


def difference(reference: Reference, network: nn.Module, x: Tensor) -> float:
    """Largest difference of the scores; the authors' network ends with a sigmoid in some versions only."""
    with torch.inference_mode():
        theirs, ours = reference(x), network(x).sigmoid()
    if theirs.min() < 0 or theirs.max() > 1:
        theirs = theirs.sigmoid()
    return float((theirs - ours).abs().max())
