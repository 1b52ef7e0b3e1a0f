"""The authors' network from a checkout of their code, for timing and comparison; nothing of it is kept here."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from irtrack.core import IrtrackError
from irtrack.detect.network import UNUSED_PREFIXES, DATransNet

NAME = "class DATransNet("


def find_modules(folder: Path) -> list[str]:
    """Dotted names, from the folder, of the modules that define DATransNet. Raises IrtrackError where there is none."""
    if not folder.is_dir():
        raise IrtrackError(f"there is no folder {folder}: give the checkout of the authors' code")
    found = [p for p in sorted(folder.rglob("*.py")) if NAME in p.read_text(encoding="utf-8", errors="replace")]
    if not found:
        raise IrtrackError(f"{folder} holds no Python file with '{NAME}': give the checkout of the authors' code")
    return [".".join(path.relative_to(folder).with_suffix("").parts) for path in found]


@contextmanager
def importing_from(folder: Path, module: str, bare: bool) -> Iterator[None]:
    """While modules of a checkout can be imported; afterwards none of them is left, nor hides one of that name.

    `bare`: the packages that `module` lies in are entered without running their `__init__.py`, which imports every
    other network of the checkout and with them packages that nobody needs here.
    """
    tops = {p.stem for p in folder.iterdir()}
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in tops}
    sys.path.insert(0, str(folder))
    try:
        parts = module.split(".")[:-1]
        for depth in range(1, len(parts) + 1) if bare else ():
            package = ModuleType(".".join(parts[:depth]))
            package.__path__ = [str(folder.joinpath(*parts[:depth]))]
            sys.modules[package.__name__] = package
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [n for n in sys.modules if n.partition(".")[0] in tops]:
            del sys.modules[name]
        sys.modules.update(hidden)


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
    folder = folder.resolve()
    errors: list[BaseException] = []
    for name, bare in ((name, bare) for name in find_modules(folder) for bare in (True, False)):
        try:
            with importing_from(folder, name, bare):
                return filled(importlib.import_module(name).DATransNet, weights)
        except (Exception, SystemExit) as error:  # theirs may fail in any way
            errors.append(error)
    first = errors[0]
    if isinstance(first, IrtrackError):
        raise first
    hint = f": pip install {first.name}" if isinstance(first, ModuleNotFoundError) and first.name else ""
    raise IrtrackError(f"the authors' code in {folder} does not load: {type(first).__name__}: {first}{hint}") from first


def filled(made: type[nn.Module], weights: DATransNet) -> Reference:
    """Their class as a network with these weights. Raises IrtrackError where it has others."""
    known = inspect.signature(made).parameters
    given = {"img_size": weights.img_size, "n_channels": 1, "n_classes": 1}
    network = made(**{k: v for k, v in given.items() if k in known})
    missing, unexpected = network.load_state_dict(weights.state_dict(), strict=False)
    foreign = [k for k in missing if not k.startswith(UNUSED_PREFIXES)] + list(unexpected)
    if foreign:
        raise IrtrackError(f"the authors' network has other weights than DATransNet: {foreign[0]}")
    return Reference(network.eval())


def difference(reference: Reference, network: nn.Module, x: Tensor) -> float:
    """Largest difference of the scores; the authors' network ends with a sigmoid in some versions only."""
    with torch.inference_mode():
        theirs, ours = reference(x), network(x).sigmoid()
    if theirs.min() < 0 or theirs.max() > 1:
        theirs = theirs.sigmoid()
    return float((theirs - ours).abs().max())
