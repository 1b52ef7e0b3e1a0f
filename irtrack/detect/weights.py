"""Weights by name or by path: the manifest, its hashes, the authors' checkpoints and our own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from irtrack.core import WeightsError
from irtrack.detect.manifest import models_folder, read_manifest
from irtrack.detect.network import UNUSED_PREFIXES, DATransNet

DEFAULT_IMG_SIZE = 256
"""Attention scale of a checkpoint that does not say: the authors' NUDT and SIRST weights (IRSTD-1K has 512)."""


@dataclass(frozen=True)
class Weights:
    """A loaded network and what the manifest knows of it."""

    name: str
    network: DATransNet
    threshold: float
    entry: dict[str, Any]


def load_weights(name: str, img_size: int | None = None, folder: Path | None = None) -> Weights:
    """Load a model of the manifest, or a checkpoint by path.

    `img_size` overrides the attention scale of checkpoints that do not carry it. Raises WeightsError with one line.
    """
    manifest = read_manifest(folder)
    if name in manifest:
        entry = manifest[name]
        path = (folder or models_folder()) / str(entry["file"])
        check_hash(path, str(entry["sha256"]))
        network = build(read_tensors(path), int(entry["img_size"]), path)
        return Weights(name, network, float(entry["threshold"]), entry)
    path = Path(name)
    if not path.exists():
        known = ", ".join(manifest)
        raise WeightsError(f"no model or file named {name!r}: the models are {known}; or give the path of a checkpoint")
    tensors = read_tensors(path)
    own_size = tensors.pop("img_size", None)
    size = img_size or (int(own_size) if own_size is not None else DEFAULT_IMG_SIZE)
    return Weights(path.name, build(tensors, size, path), 0.5, {"file": str(path), "img_size": size})


def check_hash(path: Path, expected: str) -> None:
    """Raises WeightsError where the file is missing or is not the one the manifest speaks of."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror}; reinstall irtrack") from error
    if found != expected:
        raise WeightsError(f"weights {path} are damaged: sha256 {found[:12]}..., expected {expected[:12]}...")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a checkpoint (`weights_only`), keys without `model.` or `module.`.

    Where the file carries the attention scale, it is added as the key `img_size`.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler raises whatever garbage makes it stumble over
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{path} is not a checkpoint that can be read: {reason}") from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()) or not state:
        raise WeightsError(f"{path} holds no state_dict of tensors: it is no checkpoint of DATransNet")
    tensors = {k.removeprefix("module.").removeprefix("model."): v for k, v in state.items()}
    settings = loaded.get("settings")
    if isinstance(settings, dict) and "img_size" in settings:
        tensors["img_size"] = torch.tensor(settings["img_size"])
    return tensors


def build(tensors: dict[str, Tensor], img_size: int, path: Path) -> DATransNet:
    """A network in evaluation mode with these tensors; strict but for the authors' unused modules."""
    first = tensors.get("inc.0.conv1.weight")
    if first is None or first.ndim != 4:
        raise WeightsError(f"{path} is a checkpoint of another network: it has no inc.0.conv1.weight as DATransNet has")
    network = DATransNet(int(first.shape[0]), img_size)
    used = {k: v for k, v in tensors.items() if not k.startswith(UNUSED_PREFIXES)}
    expected = network.state_dict()
    missing, extra = sorted(expected.keys() - used.keys()), sorted(used.keys() - expected.keys())
    wrong = [k for k in expected if k in used and used[k].shape != expected[k].shape]
    for keys, what in ((missing, "lacks"), (extra, "has the unknown"), (wrong, "has another shape of")):
        if keys:
            raise WeightsError(
                f"{path} is a checkpoint of another network: it {what} {keys[0]} and {len(keys) - 1} more"
            )
    network.load_state_dict(used)
    return network.eval()


def save_weights(network: DATransNet, path: Path) -> str:
    """Write safetensors; returns the sha256 for the manifest."""
    save_file({k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()
