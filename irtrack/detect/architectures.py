"""Networks by the name of their architecture: DATransNet, and those that other packages bring as entry points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn

from irtrack import plugins
from irtrack.core import IrtrackError, WeightsError
from irtrack.text import meant

OWN = "DATransNet"


def architecture_of(path: Path) -> str:
    """What the metadata of a safetensors file says; DATransNet where a file says nothing."""
    if path.suffix != ".safetensors":
        return OWN
    try:
        with safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get("architecture", OWN))
    except Exception:  # whoever reads its tensors says what is wrong with it
        return OWN


def check_architecture(name: str, path: Path, others: bool) -> None:
    """Raises WeightsError where nothing here makes such a network, or it is not ours and only ours will do."""
    known = [OWN, *plugins.found(plugins.NETWORKS)]
    if name not in known:
        raise WeightsError(
            f"{path} is a {name[:60]!r}{meant(name, known)}: the networks known here are {', '.join(known)}; install "
            "the package that brings it"
        )
    if name != OWN and not others:
        raise WeightsError(f"{path} is a {name}: only {OWN} is trained, exported and timed; run it with --weights")


def build_other(name: str, tensors: dict[str, Tensor], img_size: int, path: Path) -> Any:
    """A network of another package, in evaluation mode. Raises WeightsError."""
    make = plugins.load(plugins.NETWORKS, name)
    try:
        network = make(tensors, img_size)
    except IrtrackError:
        raise
    except Exception as error:  # another package's code may fail in any way
        raise WeightsError(f"{path}: {name} cannot be made of it: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise WeightsError(f"{path}: {name} gives no torch.nn.Module: mend the package that brings it")
    return network.eval()
